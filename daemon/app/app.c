/* SPDX-License-Identifier: Apache-2.0
 * The application layer as a whole: its memory, the queues between control thread and data plane, and one round of work. */
#include "daemon/app/app.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"
#include "daemon/base/log.h"
#include "daemon/base/time.h"

#define GLOBAL_SIZE 4096

/* The page that all clients read. The next stack process must be able to write it, so it is not sealed against that: clients get a
 * descriptor that is open for reading, and its mode keeps other users from opening it anew. */
static int make_global(struct xt_app *a)
{
    char path[32];
    bool kept = a->cfg.global_fd > 0;
    a->global_fd = kept ? a->cfg.global_fd : memfd_create("xtcp-global", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (a->global_fd < 0)
        return -errno;
    if (!kept && (ftruncate(a->global_fd, GLOBAL_SIZE) < 0 || fchmod(a->global_fd, 0600) < 0 ||
                  fcntl(a->global_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0))
        return -errno;
    void *p = mmap(NULL, GLOBAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, a->global_fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    a->global = p;
    snprintf(path, sizeof path, "/proc/self/fd/%d", a->global_fd);
    a->global_ro = open(path, O_RDONLY | O_CLOEXEC);
    if (a->global_ro < 0)
        return -errno;
    a->global->magic = XT_REGION_MAGIC;
    a->global->abi = XT_ABI_VERSION;
    a->global->spin_us = a->cfg.spin_us;
    return 0;
}

static uint32_t pow2(uint64_t v, uint32_t lo, uint32_t hi)
{
    uint32_t n = lo;
    while (n < v && n < hi)
        n *= 2;
    return n;
}

static void set_defaults(struct xt_app_cfg *c)
{
    c->max_slots = c->max_slots ? c->max_slots : XT_MAX_SLOTS;
    if (c->max_slots > XT_BITMAP_MAX)
        c->max_slots = XT_BITMAP_MAX;
    c->max_sessions = c->max_sessions ? c->max_sessions : 4096;
    if (c->max_sessions > 65535)
        c->max_sessions = 65535; /* an index must fit half of a session's id */
    c->arena = c->arena ? c->arena : UINT64_C(16) << 30;
    c->bufmax = pow2(c->bufmax ? c->bufmax : 16u << 20, 4096, 1u << 30);
    c->sndbuf = pow2(c->sndbuf ? c->sndbuf : 64u << 10, 4096, c->bufmax);
    c->rcvbuf = pow2(c->rcvbuf ? c->rcvbuf : 64u << 10, 4096, c->bufmax);
    c->sndbuf_max = pow2(c->sndbuf_max ? c->sndbuf_max : 4u << 20, c->sndbuf, 1u << 30);
    c->rcvbuf_max = pow2(c->rcvbuf_max ? c->rcvbuf_max : 8u << 20, c->rcvbuf, 1u << 30);
    c->buf_idle_us = c->buf_idle_us ? c->buf_idle_us : 10000000;
    c->somaxconn = c->somaxconn ? c->somaxconn : 4096;
    if (c->somaxconn > 65536)
        c->somaxconn = 65536;
}

/* With the first app it begins, and each enters itself. */
static int join_common(struct xt_app *a, struct xt_app *first)
{
    struct xt_app_common *m = first ? first->common : calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    a->common = m;
    if (!first && !(m->index_used = calloc(a->cfg.max_sessions, sizeof *m->index_used)))
        return -ENOMEM;
    if (m->n == XT_CREW_MAX)
        return -EINVAL;
    a->shard = m->n;
    m->app[m->n++] = a;
    return 0;
}

static int make_queues(struct xt_app *a, const struct xt_app *first)
{
    if ((a->data_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return -errno;
    a->ctl_fd = first ? first->ctl_fd : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return a->ctl_fd < 0 ? -errno : 0;
}

int xt_app_new(struct xt_app **out, const struct xt_app_cfg *cfg)
{
    struct xt_app *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->cfg = *cfg;
    a->global_fd = a->global_ro = a->data_fd = a->ctl_fd = -1;
    set_defaults(&a->cfg);
    a->sessions = calloc(a->cfg.max_sessions, sizeof *a->sessions);
    a->touched = calloc(a->cfg.max_sessions, sizeof *a->touched);
    int rc = a->sessions && a->touched ? make_global(a) : -ENOMEM;
    if (rc == 0)
        rc = make_queues(a, cfg->first);
    if (rc == 0)
        rc = join_common(a, cfg->first);
    if (rc < 0) {
        xt_app_free(a);
        return rc;
    }
    *out = a;
    return 0;
}

void xt_app_free(struct xt_app *a)
{
    for (uint32_t i = 0; a->sessions && i < a->sessions_high; i++)
        if (a->sessions[i])
            xt_session_free(a->sessions[i]);
    if (a->global)
        munmap(a->global, GLOBAL_SIZE);
    const int fds[] = {a->global_fd, a->global_ro, a->data_fd, a->cfg.first ? -1 : a->ctl_fd};
    for (unsigned i = 0; i < 4; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(a->sessions);
    if (a->common && !a->cfg.first) {
        free(a->common->index_used);
        free(a->common);
    }
    free(a->touched);
    free(a->changed);
    free(a->doomed);
    free(a->returns);
    free(a->retired);
    free(a);
}

int xt_app_global_fd(const struct xt_app *a)
{
    return a->global_fd;
}

int xt_app_global_ro(const struct xt_app *a)
{
    return a->global_ro;
}

void xt_app_on_end(struct xt_app *first, void (*on_end)(void *session))
{
    for (uint32_t k = 0; k < first->common->n; k++) {
        struct xt_app *a = first->common->app[k];
        for (uint32_t i = 0; i < a->sessions_high; i++)
            if (a->sessions[i])
                a->sessions[i]->on_end = on_end;
    }
}

uint32_t xt_app_shards(const struct xt_app *a)
{
    return a->common->n;
}

struct xt_app *xt_app_shard(struct xt_app *a, uint32_t shard)
{
    return a->common->app[shard];
}

uint32_t xt_app_conn_id(const struct xt_app *a, const struct xt_conn *c)
{
    return c->index * a->common->n + a->shard;
}

struct xt_global *xt_app_global(struct xt_app *a)
{
    return a->global;
}

void xt_app_stack_ops(struct xt_app *a, struct xt_stack_ops *ops)
{
    ops->event = xt_app_event;
    ops->admit = xt_app_admit;
    ops->admit_open = xt_app_admit_open;
    ops->need_bufs = xt_app_need_bufs;
    ops->arg = a;
}

void xt_app_set_stack(struct xt_app *a, struct xt_stack *s)
{
    a->stack = s;
    a->global->addr_be = xt_stack_cfg(s)->addr;
}

void xt_app_on_doorbell(struct xt_app *a, void (*add)(void *arg, int fd, uint32_t session),
                        void (*remove)(void *arg, int fd, uint32_t session), void *arg)
{
    a->bell_add = add;
    a->bell_remove = remove;
    a->bell_arg = arg;
}

const struct xt_app_stats *xt_app_stats(const struct xt_app *a)
{
    return &a->stats;
}

int xt_app_ctl_fd(const struct xt_app *a)
{
    return a->ctl_fd;
}

int xt_app_data_fd(const struct xt_app *a)
{
    return a->data_fd;
}

/* ---- queues ---- */

static bool queue_put(struct xt_msgq *q, const struct xt_msg *m)
{
    uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    if (head - atomic_load_explicit(&q->tail, memory_order_acquire) == XT_QUEUE_LEN)
        return false;
    q->m[head % XT_QUEUE_LEN] = *m;
    /* Sequentially consistent: pairs with the look of xt_app_prepare_sleep() after it raised `sleeping`. */
    atomic_store(&q->head, head + 1);
    return true;
}

static bool queue_get(struct xt_msgq *q, struct xt_msg *m)
{
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    if (tail == atomic_load_explicit(&q->head, memory_order_acquire))
        return false;
    *m = q->m[tail % XT_QUEUE_LEN];
    atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
    return true;
}

static bool queue_any(struct xt_msgq *q)
{
    return atomic_load(&q->head) != atomic_load_explicit(&q->tail, memory_order_relaxed);
}

static void ring_fd(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
}

int xt_app_post(struct xt_app *a, const struct xt_msg *m)
{
    if (!queue_put(&a->to_data, m))
        return -EAGAIN;
    ring_fd(a->data_fd);
    return 0;
}

void xt_app_ctl_run(struct xt_app *a)
{
    uint64_t count;
    struct xt_msg m;
    (void)!read(a->ctl_fd, &count, sizeof count);
    for (uint32_t k = 0; k < a->common->n; k++)
        while (queue_get(&a->common->app[k]->to_ctl, &m)) {
            if (m.done)
                m.done(m.ptr);
            else if (m.type == XT_MSG_SESSION_END)
                xt_session_free(m.ptr);
        }
}

/* Puts what waits into the queue to [ctl]; what finds no room waits for the next round. */
static void flush_returns(struct xt_app *a)
{
    uint32_t n = 0;
    while (n < a->nreturns && queue_put(&a->to_ctl, &a->returns[n]))
        n++;
    if (!n)
        return;
    a->nreturns -= n;
    memmove(a->returns, a->returns + n, a->nreturns * sizeof *a->returns);
    ring_fd(a->ctl_fd);
}

void xt_app_return(struct xt_app *a, const struct xt_msg *m)
{
    if (a->nreturns == a->cap_returns) {
        uint32_t cap = a->cap_returns ? a->cap_returns * 2 : 64;
        struct xt_msg *v = realloc(a->returns, cap * sizeof *v);
        if (!v)
            xt_log_no_memory("a reply"); /* a lost one would hang the control thread for good */
        a->returns = v;
        a->cap_returns = cap;
    }
    a->returns[a->nreturns++] = *m;
}

static void handle_message(struct xt_app *a, struct xt_msg *m)
{
    switch (m->type) {
    case XT_MSG_SESSION:
        xt_app_session_begin(a, m->ptr, m->done);
        break;
    case XT_MSG_PROC_GONE:
        xt_app_proc_gone(a, m->ptr, m->arg);
        break;
    case XT_MSG_CALL:
        m->fn(m->ptr);
        m->type = XT_MSG_RETURN;
        xt_app_return(a, m);
        break;
    case XT_MSG_RETURN:
    case XT_MSG_SESSION_END:
        break;
    }
}

/* ---- one round ---- */

static void on_cmd(void *arg, uint32_t waiter)
{
    xt_app_cmd(arg, waiter);
}

/* Where a program did something with a socket: at the processor where one that waits for it did so last. */
static void ran(const struct xt_session *s, uint32_t slot)
{
    uint64_t subs = atomic_load_explicit(&s->slots[slot].subs, memory_order_relaxed);
    uint32_t cpu = subs ? atomic_load_explicit(&s->waiters[__builtin_ctzll(subs)].cpu, memory_order_relaxed) : 0;
    if (cpu) {
        _Atomic uint32_t *n = &s->app->global->ran[(cpu - 1) % XT_RAN];
        atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
    }
}

/* A command that was given before the mark is carried out before. */
static void on_dirty(void *arg, uint32_t slot)
{
    struct xt_session *s = arg;
    if (xt_bitmap_any(s->cmd))
        s->app->stats.commands += xt_bitmap_take_some(s->cmd, XT_MAX_WAITERS, XT_CMD_BUDGET, on_cmd, s);
    if (s->lied)
        return;
    ran(s, slot);
    xt_app_slot_dirty(s, slot);
}

static bool poll_session(struct xt_session *s)
{
    bool work = false;
    if (!s->ended) {
        /* Dirty slots after commands: a shutdown or close pulls the slot's counters itself. */
        unsigned n = xt_bitmap_take_some(s->cmd, XT_MAX_WAITERS, XT_CMD_BUDGET, on_cmd, s);
        s->app->stats.commands += n;
        n += xt_bitmap_take_some(s->dirty, s->max_slots, XT_DIRTY_BUDGET, on_dirty, s);
        work = n > 0;
    }
    if (s->sweeping)
        work |= xt_app_sweep(s);
    return work;
}

bool xt_app_poll(struct xt_app *a, uint64_t now_us)
{
    struct xt_msg m;
    bool work = false;
    a->now_us = now_us;
    a->round++;
    if (a->nretired)
        xt_app_rings_settle(a);
    for (unsigned n = 0; n < 64 && queue_get(&a->to_data, &m); n++) {
        handle_message(a, &m);
        work = true;
    }
    for (uint32_t i = 0; i < a->sessions_high; i++)
        if (a->sessions[i])
            work |= poll_session(a->sessions[i]);
    xt_app_rings_trim(a);
    return work;
}

bool xt_app_prepare_sleep(struct xt_app *a)
{
    atomic_store(&a->global->sleeping, 1);
    /* Pairs with the fence between a client's mark and its look at `sleeping`: one of the two sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    if (queue_any(&a->to_data) || a->nchanged || a->ntouched || a->ndoomed || a->nretired)
        return true;
    for (uint32_t i = 0; i < a->sessions_high; i++) {
        struct xt_session *s = a->sessions[i];
        if (s && (s->sweeping || (!s->ended && (xt_bitmap_any(s->cmd) || xt_bitmap_any(s->dirty)))))
            return true;
    }
    return false;
}

void xt_app_wake(struct xt_app *a)
{
    atomic_thread_fence(memory_order_seq_cst); /* as a client's, between its mark and its look at `sleeping` */
    if (atomic_load_explicit(&a->global->sleeping, memory_order_relaxed))
        ring_fd(a->data_fd);
}

void xt_app_awake(struct xt_app *a)
{
    atomic_store_explicit(&a->global->sleeping, 0, memory_order_relaxed);
}

/* ---- flush ---- */

static void wake(struct xt_session *s, uint32_t w)
{
    struct xt_pwaiter *pw = &s->pw[w];
    if (atomic_load_explicit(&pw->state, memory_order_acquire) != XT_WAITER_LIVE)
        return;
    if (!atomic_load_explicit(&s->waiters[w].async, memory_order_relaxed) &&
        (!atomic_load(&s->waiters[w].sleeping) || !atomic_exchange(&s->waiters[w].sleeping, 0)))
        return;
    XT_CRASH_POINT();
    (void)!write(pw->wfd, "", 1); /* full: it is readable already */
    s->app->stats.wakeups++;
}

/* The caller has put a sequentially consistent fence between publishing and this: pairs with the sleeper's, between its
 * store to `sleeping` and its look for news. */
static void wake_touched(struct xt_app *a)
{
    for (uint32_t n = 0; n < a->ntouched; n++) {
        struct xt_session *s = a->touched[n];
        s->in_touched = false;
        for (unsigned k = 0; k < XT_MAX_WAITERS / 64; k++) {
            uint64_t bits = s->touched[k];
            s->touched[k] = 0;
            for (; bits; bits &= bits - 1)
                wake(s, k * 64 + (unsigned)__builtin_ctzll(bits));
        }
    }
    a->ntouched = 0;
}

void xt_app_flush(struct xt_app *a)
{
    if (a->ndoomed)
        xt_app_run_doomed(a);
    if (a->nchanged)
        xt_app_publish(a);
    if (a->ntouched) {
        atomic_thread_fence(memory_order_seq_cst);
        wake_touched(a);
    }
    xt_app_sessions_finish(a);
    if (a->nreturns)
        flush_returns(a);
}

/* ---- who owns what ---- */

struct xt_session *xt_app_session(struct xt_app *a, uint32_t id)
{
    uint32_t index = (id & 0xffff) - 1;
    struct xt_session *s = index < a->cfg.max_sessions ? a->sessions[index] : NULL;
    return s && s->id == id ? s : NULL;
}

void xt_app_owner(struct xt_app *a, const struct xt_conn *c, struct xt_owner *out)
{
    struct xt_session *s = xt_app_session(a, c->session);
    memset(out, 0, sizeof *out);
    if (!s)
        return;
    out->pid = s->pid;
    out->uid = s->uid;
    memcpy(out->comm, s->comm, sizeof out->comm);
}

uint64_t xt_app_rx_tail(struct xt_app *a, const struct xt_conn *c)
{
    const struct xt_session *s = xt_app_owner_of(a, c);
    if (!s || s->ps[c->slot].kind != XT_SLOT_CONN)
        return c->rx_tail;
    uint64_t tail = atomic_load_explicit(&s->slots[c->slot].rx_tail, memory_order_relaxed);
    return tail - c->rx_tail <= c->rx_head - c->rx_tail ? tail : c->rx_tail; /* a liar's word is not shown */
}
