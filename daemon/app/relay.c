/* SPDX-License-Identifier: Apache-2.0
 * Every word of a slot is loaded once and checked before use. The counters of a ring that the relay has taken are its own to
 * write, but a hostile client may overwrite them: that disturbs its own socket, or is found by the data plane. */
#include "daemon/app/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"
#include "proto/xt_ring.h"

#define NEWS_BUDGET 256u

static struct xt_slot *slot_of(const struct xt_relay *r, uint32_t slot)
{
    return &r->session->slots[slot];
}

/* By the daemon's own eventfd: the doorbell's open file is the client's too, who may fill it up and make it blocking. */
static void kick(struct xt_relay *r)
{
    struct xt_session *s = r->session;
    uint64_t one = 1;
    /* Pairs with the fence of xt_app_prepare_sleep(), as a client's kick does. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&s->app->global->sleeping, memory_order_relaxed))
        (void)!write(s->app->data_fd, &one, sizeof one);
}

static void mark(struct xt_relay *r, uint32_t slot)
{
    xt_bitmap_set(r->session->dirty, slot);
    kick(r);
}

int xt_relay_open(struct xt_relay *r, struct xt_session *s)
{
    int rfd = -1;
    if (atomic_load(&s->l->relay))
        return -EBUSY;
    int proc = xt_session_add_proc(s, getpid());
    if (proc < 0)
        return proc;
    *r = (struct xt_relay){.session = s, .proc = (uint32_t)proc, .fd = -1};
    int waiter = xt_session_add_waiter(s, r->proc, &rfd);
    if (waiter >= 0) {
        r->waiter = (uint32_t)waiter;
        r->fd = fcntl(rfd, F_DUPFD_CLOEXEC, 0); /* the data plane closes its own when the proc ends */
    }
    if (r->fd < 0) {
        struct xt_msg m = {.type = XT_MSG_PROC_GONE, .arg = r->proc, .ptr = s};
        xt_app_post(s->app, &m);
        return waiter < 0 ? waiter : -EMFILE;
    }
    atomic_store(&s->waiters[r->waiter].sleeping, 1);
    atomic_store(&s->l->relay, xt_ledger_relay(r->waiter, r->proc));
    return 0;
}

bool xt_relay_is_proc(const struct xt_session *s, uint32_t proc)
{
    uint32_t relay = atomic_load(&s->l->relay);
    return relay && xt_ledger_relay_proc(relay) == proc;
}

int xt_relay_reopen(struct xt_relay *r, struct xt_session *s)
{
    uint32_t relay = atomic_load(&s->l->relay), proc;
    int rfd, wfd;
    if (!relay)
        return -ENOENT;
    *r = (struct xt_relay){.session = s, .proc = xt_ledger_relay_proc(relay), .waiter = xt_ledger_relay_waiter(relay)};
    s->procs[r->proc].pid = (uint32_t)getpid();
    bool kept = xt_session_waiter(s, r->waiter, &proc, &rfd, &wfd);
    r->fd = kept ? fcntl(rfd, F_DUPFD_CLOEXEC, 0) : -1;
    return !kept ? -ENOTCONN : r->fd < 0 ? -EMFILE : 0;
}

struct xt_pexport *xt_relay_entry(const struct xt_relay *r)
{
    struct xt_pexport *e = r->session->l->export;
    for (uint32_t i = 0; i < XT_LEDGER_EXPORTS; i++)
        if (!e[i].slot)
            return &e[i];
    return NULL;
}

struct xt_pexport *xt_relay_next_entry(const struct xt_relay *r, uint32_t *cursor)
{
    struct xt_pexport *e = r->session->l->export;
    while (*cursor < XT_LEDGER_EXPORTS && (!e[*cursor].slot || e[*cursor].slot > r->session->max_slots))
        ++*cursor;
    return *cursor < XT_LEDGER_EXPORTS ? &e[(*cursor)++] : NULL;
}

static bool has_entry(const struct xt_relay *r, uint32_t slot)
{
    uint32_t cursor = 0;
    const struct xt_pexport *e;
    while ((e = xt_relay_next_entry(r, &cursor)))
        if (e->slot - 1 == slot)
            return true;
    return false;
}

void xt_relay_release_rest(struct xt_relay *r)
{
    for (uint32_t i = 0; i < r->session->l->slots_high; i++)
        if (xt_app_holds(r->session, r->proc, i) && !has_entry(r, i))
            xt_relay_release(r, i);
}

void xt_relay_close(struct xt_relay *r)
{
    atomic_store(&r->session->l->relay, 0);
    xt_relay_forget(r);
}

void xt_relay_forget(struct xt_relay *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

bool xt_relay_news(struct xt_relay *r, void (*fn)(void *arg, uint32_t slot), void *arg)
{
    char buf[64];
    struct xt_session *s = r->session;
    (void)!read(r->fd, buf, sizeof buf);
    atomic_store(&s->waiters[r->waiter].sleeping, 1);
    /* Pairs with the data plane's fence between the ready bitmap and `sleeping`: what is missed here writes a byte. */
    atomic_thread_fence(memory_order_seq_cst);
    return xt_bitmap_take_some(xt_app_ready(s, r->waiter), s->max_slots, NEWS_BUDGET, fn, arg) >= NEWS_BUDGET;
}

bool xt_relay_client_holds(const struct xt_session *s, uint32_t proc, uint32_t slot)
{
    return slot < s->max_slots && xt_app_holds(s, proc, slot);
}

bool xt_relay_holds(const struct xt_relay *r, uint32_t slot)
{
    return xt_relay_client_holds(r->session, r->proc, slot) && xt_app_is_used(r->session, slot);
}

void xt_relay_share(const struct xt_relay *r, uint32_t proc, uint32_t slot)
{
    atomic_fetch_or(&xt_app_hold(r->session, proc)[slot / 64], 1ULL << (slot % 64));
    if (proc != r->proc)
        atomic_store(&r->session->ps[slot].left, false); /* when it has left too, that is news again */
}

void xt_relay_hold(struct xt_relay *r, uint32_t slot)
{
    xt_relay_share(r, r->proc, slot);
    atomic_fetch_or(&slot_of(r, slot)->subs, 1ULL << (r->waiter % 64));
}

void xt_relay_release(struct xt_relay *r, uint32_t slot)
{
    atomic_fetch_and(&xt_app_hold(r->session, r->proc)[slot / 64], ~(1ULL << (slot % 64)));
    mark(r, slot);
}

bool xt_relay_alone(const struct xt_relay *r, uint32_t slot)
{
    return !xt_app_slot_held_by_other(r->session, slot, r->proc);
}

static bool take(_Atomic uint32_t *lock, bool by_force)
{
    uint32_t v = 0;
    if (by_force)
        atomic_store(lock, XT_LOCK_RELAY);
    return by_force || atomic_compare_exchange_strong(lock, &v, XT_LOCK_RELAY) || v == XT_LOCK_RELAY;
}

bool xt_relay_take(struct xt_relay *r, uint32_t slot, bool by_force)
{
    struct xt_slot *sl = slot_of(r, slot);
    return take(&sl->rx_lock, by_force) && take(&sl->tx_lock, by_force);
}

uint32_t xt_relay_cond(const struct xt_relay *r, uint32_t slot)
{
    return atomic_load_explicit(&slot_of(r, slot)->cond, memory_order_acquire);
}

void xt_relay_names(const struct xt_relay *r, uint32_t slot, struct xt_endpoint *local, struct xt_endpoint *remote)
{
    *local = xt_slot_local(slot_of(r, slot));
    *remote = xt_slot_remote(slot_of(r, slot));
}

bool xt_relay_nonblock(const struct xt_relay *r, uint32_t slot)
{
    return atomic_load(&slot_of(r, slot)->oflags) & O_NONBLOCK;
}

struct ring {
    uint8_t *base;
    uint64_t size;
};

/* False: not within the region's ring space. */
static bool ring_of(const struct xt_session *s, uint64_t off, uint32_t size, struct ring *out)
{
    if (size & (size - 1) || off > s->size || size > s->size - off || off < s->ready_off)
        return false;
    *out = (struct ring){s->base + off, size};
    return true;
}

static void pieces(const struct ring *g, uint64_t at, uint64_t len, struct iovec iov[2])
{
    uint64_t pos = at & (g->size - 1), first = len < g->size - pos ? len : g->size - pos;
    iov[0] = (struct iovec){g->base + pos, first};
    iov[1] = (struct iovec){g->base, len - first};
}

ssize_t xt_relay_unread(struct xt_relay *r, uint32_t slot, struct iovec iov[2])
{
    struct xt_slot *sl = slot_of(r, slot);
    struct ring g;
    uint64_t head = atomic_load_explicit(&sl->rx_head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&sl->rx_tail, memory_order_relaxed);
    if (head == tail)
        return 0;
    struct xt_rx_part part = xt_rx_part(sl, tail, head - tail);
    if (!ring_of(r->session, part.off, part.size, &g) || part.len > g.size)
        return -EPROTO;
    pieces(&g, tail, part.len, iov);
    return (ssize_t)part.len;
}

ssize_t xt_relay_room(struct xt_relay *r, uint32_t slot, struct iovec iov[2])
{
    const volatile struct xt_slot *sl = slot_of(r, slot);
    struct ring g;
    uint64_t tail = atomic_load_explicit(&slot_of(r, slot)->tx_tail, memory_order_acquire);
    uint64_t head = atomic_load_explicit(&slot_of(r, slot)->tx_head, memory_order_relaxed);
    if (!ring_of(r->session, xt_page_off(sl->tx_page), sl->tx_size, &g) || head - tail > g.size)
        return -EPROTO;
    if (head - tail == g.size)
        return 0;
    pieces(&g, head, g.size - (head - tail), iov);
    return (ssize_t)(g.size - (head - tail));
}

void xt_relay_consumed(struct xt_relay *r, uint32_t slot, size_t n)
{
    struct xt_slot *sl = slot_of(r, slot);
    uint64_t tail = atomic_load_explicit(&sl->rx_tail, memory_order_relaxed) + n;
    atomic_store_explicit(&sl->rx_tail, tail, memory_order_release);
    atomic_store_explicit(&sl->rx_told, (uint32_t)tail, memory_order_relaxed);
    mark(r, slot);
}

/* The compiler keeps the stores before and after apart; who finds what a dead process has left sees them in that order. */
static void in_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    XT_CRASH_POINT();
}

void xt_relay_move_begin(struct xt_relay *r, struct xt_pexport *e, uint8_t way, const struct iovec iov[2])
{
    struct xt_slot *sl = slot_of(r, e->slot - 1);
    e->iov[0] = iov[0];
    e->iov[1] = iov[1];
    e->h = (struct mmsghdr){.msg_hdr = {.msg_iov = e->iov, .msg_iovlen = 2}};
    e->at = atomic_load_explicit(way == XT_MOVE_OUT ? &sl->rx_tail : &sl->tx_head, memory_order_relaxed);
    in_order();
    e->moving = way;
    in_order();
}

void xt_relay_move_end(struct xt_relay *r, struct xt_pexport *e)
{
    uint32_t slot = e->slot - 1;
    struct xt_slot *sl = slot_of(r, slot);
    uint64_t to = e->at + e->h.msg_len;
    in_order();
    if (e->moving == XT_MOVE_OUT) {
        atomic_store_explicit(&sl->rx_tail, to, memory_order_release);
        atomic_store_explicit(&sl->rx_told, (uint32_t)to, memory_order_relaxed);
    } else if (e->moving == XT_MOVE_IN) {
        atomic_store_explicit(&sl->tx_head, to, memory_order_release);
    }
    in_order();
    e->moving = XT_MOVE_NONE;
    in_order();
    if (e->h.msg_len)
        mark(r, slot);
}

void xt_relay_want_room(struct xt_relay *r, uint32_t slot)
{
    atomic_fetch_or(&slot_of(r, slot)->want, (uint32_t)XT_WANT_SPACE);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the data plane's, between tx_tail and its look at `want` */
}

bool xt_relay_command(struct xt_relay *r, uint32_t op, uint32_t slot, uint64_t arg)
{
    struct xt_session *s = r->session;
    struct xt_waiter *box = &s->waiters[r->waiter];
    uint32_t seq = atomic_load_explicit(&box->cmd_seq, memory_order_relaxed);
    if (atomic_load_explicit(&box->done_seq, memory_order_acquire) != seq)
        return false;
    box->op = op;
    box->slot = slot;
    box->arg[0] = arg;
    atomic_store_explicit(&box->cmd_seq, seq + 1, memory_order_release);
    xt_bitmap_set(s->cmd, r->waiter);
    kick(r);
    return true;
}

void xt_relay_again(struct xt_relay *r, uint32_t slot)
{
    struct xt_session *s = r->session;
    struct xt_waiter *box = &s->waiters[r->waiter];
    xt_relay_hold(r, slot);
    if (xt_relay_command(r, XT_OP_NEWS, slot, 0))
        return;
    uint32_t seq = atomic_load(&box->cmd_seq);
    if (seq == __atomic_load_n(&s->pw[r->waiter].cmd_seen, __ATOMIC_ACQUIRE))
        atomic_store(&box->done_seq, seq); /* it was taken, whatever the box says */
    xt_bitmap_set(s->cmd, r->waiter);
    kick(r);
}
