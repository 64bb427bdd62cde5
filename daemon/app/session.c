/* SPDX-License-Identifier: Apache-2.0
 * Sessions as the control thread makes them: the region, its layout, processes and waiters. */
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
#include "daemon/base/macros.h"

#define PAGE UINT64_C(4096)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct layout {
    uint64_t procs, waiters, cmd, dirty, slots, rares, hold, ready, arena, size;
    uint64_t hold_stride, ready_stride;
};

/* Everything per-proc and per-waiter begins on a page of its own, so that what is not used is not populated. */
static struct layout lay_out(uint32_t max_slots, uint64_t arena)
{
    struct layout l;
    l.hold_stride = XT_ALIGN_UP((uint64_t)xt_bitmap_words0(max_slots) * 8, PAGE);
    l.ready_stride = XT_ALIGN_UP((uint64_t)xt_bitmap_size(max_slots), PAGE);
    l.procs = PAGE;
    l.waiters = XT_ALIGN_UP(l.procs + XT_MAX_PROCS * sizeof(struct xt_proc), PAGE);
    l.cmd = XT_ALIGN_UP(l.waiters + XT_MAX_WAITERS * sizeof(struct xt_waiter), PAGE);
    l.dirty = XT_ALIGN_UP(l.cmd + xt_bitmap_size(XT_MAX_WAITERS), PAGE);
    l.slots = XT_ALIGN_UP(l.dirty + xt_bitmap_size(max_slots), PAGE);
    l.rares = XT_ALIGN_UP(l.slots + (uint64_t)max_slots * sizeof(struct xt_slot), PAGE);
    l.hold = XT_ALIGN_UP(l.rares + (uint64_t)max_slots * sizeof(struct xt_rare), PAGE);
    l.ready = l.hold + XT_MAX_PROCS * l.hold_stride;
    l.arena = XT_ALIGN_UP(l.ready + XT_MAX_WAITERS * l.ready_stride, UINT64_C(2) << 20);
    l.size = l.arena + XT_ALIGN_UP(arena, PAGE);
    return l;
}

static void fill_header(struct xt_session *s, const struct layout *l)
{
    struct xt_region *r = s->region;
    r->magic = XT_REGION_MAGIC;
    r->abi = XT_ABI_VERSION;
    r->max_slots = s->max_slots;
    r->max_procs = XT_MAX_PROCS;
    r->max_waiters = XT_MAX_WAITERS;
    r->procs_off = l->procs;
    r->waiters_off = l->waiters;
    r->cmd_off = l->cmd;
    r->dirty_off = l->dirty;
    r->slots_off = l->slots;
    r->rares_off = l->rares;
    r->hold_off = l->hold;
    r->ready_off = l->ready;
    r->arena_off = l->arena;
    r->hold_stride = l->hold_stride;
    r->ready_stride = l->ready_stride;
    r->size = l->size;
    r->sndbuf = s->app->cfg.sndbuf;
    r->rcvbuf = s->app->cfg.rcvbuf;
}

static void set_pointers(struct xt_session *s, const struct layout *l)
{
    s->region = (void *)s->base;
    s->procs = (void *)(s->base + l->procs);
    s->waiters = (void *)(s->base + l->waiters);
    s->slots = (void *)(s->base + l->slots);
    s->rares = (void *)(s->base + l->rares);
    s->cmd = (void *)(s->base + l->cmd);
    s->dirty = (void *)(s->base + l->dirty);
    s->hold_off = l->hold;
    s->hold_stride = l->hold_stride;
    s->ready_off = l->ready;
    s->ready_stride = l->ready_stride;
}

/* A memfd that a client maps too: it can neither shrink nor grow under either. */
static int make_region(struct xt_session *s, const struct layout *l)
{
    s->memfd = memfd_create("xtcp-client", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->memfd < 0)
        return -errno;
    if (ftruncate(s->memfd, (off_t)l->size) < 0 || fcntl(s->memfd, F_ADD_SEALS, SEALS) < 0)
        return -errno;
    return 0;
}

static int map_region(struct xt_session *s, const struct layout *l)
{
    void *p = mmap(NULL, l->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, s->memfd, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    s->base = p;
    s->size = l->size;
    madvise(p, l->size, MADV_DONTDUMP);
    return 0;
}

/* A free place. A session's shard is the remainder of its index, so that a successor finds it again; they have turns. */
static uint32_t free_place_in(const struct xt_app *a, uint32_t shard)
{
    const struct xt_app_common *m = a->common;
    for (uint32_t i = shard; i < a->cfg.max_sessions; i += m->n)
        if (!m->index_used[i])
            return i;
    return UINT32_MAX;
}

static uint32_t free_place(struct xt_app *a)
{
    struct xt_app_common *m = a->common;
    uint32_t i = UINT32_MAX;
    for (uint32_t k = 0; k < m->n && i == UINT32_MAX; k++)
        i = free_place_in(a, m->turn++ % m->n);
    return i;
}

/* Takes the place `index`. Both kinds of session are made of zeros. */
static int take_place(struct xt_app *a, uint32_t index, struct xt_session **out)
{
    struct xt_app_common *m = a->common;
    if (index >= a->cfg.max_sessions || m->index_used[index])
        return -ENOBUFS;
    struct xt_session *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    m->index_used[index] = true;
    s->app = m->app[index % m->n];
    s->index = index;
    s->listeners = XT_NO_PSLOT;
    s->memfd = s->doorbell = s->ledger_fd = -1;
    *out = s;
    return 0;
}

/* Everything of a session that hangs on its ledger and region. */
static int set_up(struct xt_session *s, const struct layout *lay)
{
    struct xt_ledger *l = s->l;
    s->id = l->id;
    s->pid = l->pid;
    s->uid = l->uid;
    s->max_slots = l->max_slots;
    memcpy(s->comm, l->comm, sizeof s->comm);
    s->lied = l->lied;
    s->ps = xt_ledger_slots(l);
    s->rare = xt_ledger_rares(l);
    s->pw = l->waiter;
    s->used = calloc(xt_bitmap_words0(s->max_slots), sizeof *s->used);
    s->user = xt_user_join(s->app, s->uid);
    int rc = s->used && s->user ? map_region(s, lay) : -ENOMEM;
    if (rc < 0)
        return rc;
    set_pointers(s, lay);
    xt_arena_init(&s->arena, s->memfd, lay->arena, lay->size - lay->arena, &s->app->stats.bytes_mapped);
    s->arena.budget = &s->user->memory;
    return 0;
}

static int make_ledger(struct xt_session *s, pid_t pid, uid_t uid, const char *comm)
{
    struct xt_app *a = s->app;
    int rc = xt_ledger_new(&s->l, &s->ledger_fd, a->cfg.max_slots);
    if (rc < 0)
        return rc;
    s->l->id = (++a->common->next_gen & 0xffff) << 16 |
               (s->index + 1); /* never 0: that means "no session" in a connection record */
    s->l->index = s->index;
    s->l->arena = a->cfg.arena;
    s->l->pid = pid;
    s->l->uid = uid;
    snprintf(s->l->comm, sizeof s->l->comm, "%s", comm ? comm : "");
    return 0;
}

static int make(struct xt_app *a, uint32_t place, pid_t pid, uid_t uid, const char *comm, struct xt_session **out)
{
    struct xt_session *s;
    int rc = xt_user_may_attach(a, uid) ? take_place(a, place, &s) : -ENOBUFS;
    if (rc < 0)
        return rc;
    struct layout lay = lay_out(a->cfg.max_slots, a->cfg.arena);
    rc = make_ledger(s, pid, uid, comm);
    if (rc == 0)
        rc = make_region(s, &lay);
    if (rc == 0)
        rc = set_up(s, &lay);
    if (rc == 0 && (s->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        rc = -errno;
    if (rc < 0) {
        xt_session_free(s);
        return rc == -ENFILE ? -EMFILE : rc;
    }
    fill_header(s, &lay);
    *out = s;
    return 0;
}

int xt_session_new(struct xt_app *a, pid_t pid, uid_t uid, const char *comm, struct xt_session **out)
{
    return make(a, free_place(a), pid, uid, comm, out);
}

int xt_session_new_kin(struct xt_app *a, const struct xt_kin *kin, pid_t pid, const char *comm, struct xt_session **out)
{
    if (kin->shard >= a->common->n)
        return -EINVAL;
    int rc = make(a, free_place_in(a, kin->shard), pid, kin->uid, comm, out);
    if (rc < 0)
        return rc;
    xt_ledger_set_family((*out)->l, kin->family);
    (*out)->l->low_ports = kin->low_ports;
    return 0;
}

void xt_session_kin(const struct xt_session *s, struct xt_kin *out)
{
    uint32_t family = xt_ledger_family(s->l);
    *out = (struct xt_kin){
        .family = family ? family : s->id, .shard = s->app->shard, .uid = s->uid, .low_ports = s->l->low_ports};
}

void xt_session_allow_low_ports(struct xt_session *s)
{
    s->l->low_ports = true;
}

/* Waiters whose pipe was kept too; the others are gone. The end for writing is kept last and forgotten first: where it is missing, the
 * other one is not taken, for what nobody takes the keeper is told to forget. What it held on to would come before the end of a later
 * waiter of this number, and both be forgotten together. */
static void take_waiters(struct xt_session *s, int (*take)(void *arg, uint32_t id, char what, uint32_t n), void *arg)
{
    for (uint32_t w = 0; w < XT_MAX_WAITERS && w < atomic_load(&s->l->waiters_high); w++) {
        struct xt_pwaiter *pw = &s->pw[w];
        if (atomic_load(&pw->state) != XT_WAITER_LIVE)
            continue;
        pw->wfd = take(arg, s->id, XT_KEEP_WRITER, w);
        pw->rfd = pw->wfd >= 0 ? take(arg, s->id, XT_KEEP_READER, w) : -1;
        if (pw->rfd >= 0 && pw->proc < XT_MAX_PROCS)
            continue;
        if (pw->rfd >= 0)
            close(pw->rfd);
        if (pw->wfd >= 0)
            close(pw->wfd);
        atomic_store(&s->waiters[w].live, 0);
        atomic_store(&pw->state, XT_WAITER_FREE);
    }
}

static bool region_fits(int fd, const struct layout *lay)
{
    struct stat sb;
    return fd >= 0 && fstat(fd, &sb) == 0 && (uint64_t)sb.st_size == lay->size &&
           (fcntl(fd, F_GET_SEALS) & SEALS) == SEALS;
}

int xt_session_open(struct xt_app *a, int ledger_fd, int (*take)(void *arg, uint32_t id, char what, uint32_t n),
                    void *arg, struct xt_session **out)
{
    struct xt_ledger *l;
    struct xt_session *s = NULL;
    int rc = xt_ledger_open(&l, ledger_fd);
    if (rc < 0) {
        close(ledger_fd);
        return rc;
    }
    rc = take_place(a, l->index, &s);
    if (!s) {
        xt_ledger_close(l);
        close(ledger_fd);
        return rc;
    }
    struct layout lay = lay_out(l->max_slots, l->arena);
    s->l = l;
    s->ledger_fd = ledger_fd;
    s->memfd = take(arg, l->id, XT_KEEP_REGION, 0);
    s->doorbell = take(arg, l->id, XT_KEEP_DOORBELL, 0);
    rc =
        (l->id & 0xffff) == l->index + 1 && s->doorbell >= 0 && region_fits(s->memfd, &lay) ? set_up(s, &lay) : -EPROTO;
    if (rc < 0) {
        s->pw = NULL; /* not taken yet; the next process may have more luck with them */
        xt_session_free(s);
        return rc;
    }
    take_waiters(s, take, arg);
    s->revive = true;
    a = s->app;
    a->sessions[s->index] = s;
    if (s->index >= a->sessions_high)
        a->sessions_high = s->index + 1;
    if (a->common->next_gen < l->id >> 16)
        a->common->next_gen = l->id >> 16;
    *out = s;
    return 0;
}

void xt_session_free(struct xt_session *s)
{
    for (unsigned w = 0; s->pw && w < XT_MAX_WAITERS; w++)
        if (atomic_load(&s->pw[w].state) == XT_WAITER_LIVE) {
            close(s->pw[w].rfd);
            close(s->pw[w].wfd);
        }
    xt_arena_fini(&s->arena);
    if (s->base)
        munmap(s->base, s->size);
    if (s->l)
        xt_ledger_close(s->l);
    const int fds[] = {s->memfd, s->doorbell, s->ledger_fd};
    for (unsigned i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(s->used);
    if (s->user)
        xt_user_leave(s->user);
    s->app->common->index_used[s->index] = false;
    free(s);
}

uint32_t xt_session_id(const struct xt_session *s)
{
    return s->id;
}

struct xt_app *xt_session_app(const struct xt_session *s)
{
    return s->app;
}

uint32_t xt_session_shard(const struct xt_session *s)
{
    return s->app->shard;
}

uid_t xt_session_uid(const struct xt_session *s)
{
    return s->uid;
}

int xt_session_memfd(const struct xt_session *s)
{
    return s->memfd;
}

int xt_session_doorbell(const struct xt_session *s)
{
    return s->doorbell;
}

int xt_session_ledger(const struct xt_session *s)
{
    return s->ledger_fd;
}

uint32_t xt_session_next_proc(const struct xt_session *s, uint32_t proc)
{
    while (proc < XT_MAX_PROCS && !(atomic_load(&s->l->procs_used[proc / 64]) >> (proc % 64) & 1))
        proc++;
    return proc;
}

pid_t xt_session_proc_pid(const struct xt_session *s, uint32_t proc)
{
    return (pid_t)s->procs[proc].pid;
}

bool xt_session_waiter(const struct xt_session *s, uint32_t w, uint32_t *proc, int *rfd, int *wfd)
{
    const struct xt_pwaiter *pw = &s->pw[w];
    if (w >= atomic_load(&s->l->waiters_high) || atomic_load(&s->pw[w].state) != XT_WAITER_LIVE)
        return false;
    *proc = pw->proc;
    *rfd = pw->rfd;
    *wfd = pw->wfd;
    return true;
}

static uint32_t free_proc(const struct xt_session *s)
{
    uint32_t k = 0;
    uint64_t used;
    while (k < XT_PROC_WORDS && ~(used = atomic_load_explicit(&s->l->procs_used[k], memory_order_acquire)) == 0)
        k++;
    return k < XT_PROC_WORDS ? k * 64 + (uint32_t)__builtin_ctzll(~used) : XT_MAX_PROCS;
}

int xt_session_add_proc(struct xt_session *s, pid_t pid)
{
    uint32_t i = free_proc(s);
    if (i == XT_MAX_PROCS)
        return -ENOBUFS;
    bool first = xt_session_next_proc(s, 0) == XT_MAX_PROCS;
    struct xt_proc *p = &s->procs[i];
    p->pid = (uint32_t)pid;
    memset(p->comm, 0, sizeof p->comm);
    atomic_fetch_or(&s->l->procs_used[i / 64], 1ULL << (i % 64));
    XT_CRASH_POINT();
    atomic_fetch_or(&s->l->procs_live[i / 64], 1ULL << (i % 64));
    atomic_store_explicit(&p->state, first ? XT_PROC_LIVE : XT_PROC_RESERVED, memory_order_release);
    return (int)i;
}

int xt_session_add_waiter(struct xt_session *s, uint32_t proc, int *fd)
{
    uint32_t w = 0;
    while (w < XT_MAX_WAITERS && atomic_load_explicit(&s->pw[w].state, memory_order_acquire) != XT_WAITER_FREE)
        w++;
    if (w == XT_MAX_WAITERS)
        return -ENOBUFS;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return errno == ENFILE ? -EMFILE : -errno;
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    struct xt_pwaiter *pw = &s->pw[w];
    struct xt_waiter *sw = &s->waiters[w];
    pw->rfd = ends[0];
    pw->wfd = ends[1];
    pw->proc = proc;
    pw->cmd_seen = atomic_load(&sw->cmd_seq);
    atomic_store(&sw->sleeping, 0);
    atomic_store(&sw->done_seq, pw->cmd_seen);
    for (unsigned k = 0; k < XT_WAITER_EXCLUSIVE; k++)
        atomic_store_explicit(&sw->exclusive[k], 0, memory_order_relaxed);
    atomic_store_explicit(&sw->family, 0, memory_order_relaxed);
    sw->proc = proc;
    XT_CRASH_POINT();
    atomic_store(&sw->live, 1);
    if (atomic_load(&s->l->waiters_high) <= w) {
        atomic_store(&s->l->waiters_high, w + 1);
        atomic_store(&s->region->waiters_high, w + 1);
    }
    atomic_store_explicit(&pw->state, XT_WAITER_LIVE, memory_order_release);
    *fd = pw->rfd;
    return (int)w;
}
