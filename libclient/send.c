/* SPDX-License-Identifier: Apache-2.0
 * Sending: bytes go into the ring, the daemon is told. */
#include <pthread.h>
#include <signal.h>

#include "libclient/data.h"

/* What a signal handler sent meanwhile would be put into the old ring. */
bool xtcp_tx_grow(struct xtcp *x, int s, struct xt_slot *sl)
{
    uint32_t size = atomic_load_explicit(&sl->tx_size, memory_order_relaxed);
    sigset_t all, old;
    if (atomic_load_explicit(&sl->tx_goal, memory_order_relaxed) <= size)
        return false;
    struct xtcp_cmd c = {.op = XT_OP_GROW_TX, .slot = s};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = xtcp_call(x, &c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc == 0 && atomic_load_explicit(&sl->tx_size, memory_order_relaxed) > size;
}

/* MSG_MORE goes with what is written last. The daemon loads it after tx_head: it may hear of it early, never late. */
static void publish_more(struct xt_slot *sl, int flags)
{
    if (flags & MSG_MORE)
        atomic_fetch_or(&sl->want, (uint32_t)XT_WANT_MORE);
    else if (atomic_load_explicit(&sl->want, memory_order_relaxed) & XT_WANT_MORE)
        atomic_fetch_and(&sl->want, ~(uint32_t)XT_WANT_MORE);
}

bool xtcp_publish(struct xtcp *x, int s, struct xt_slot *sl, uint64_t head, size_t n, int flags)
{
    publish_more(sl, flags);
    /* The bytes are written: pairs with the daemon. */
    if (!atomic_compare_exchange_strong_explicit(&sl->tx_head, &head, head + n, memory_order_release,
                                                 memory_order_relaxed))
        return false;
    if (flags & MSG_OOB)
        atomic_store_explicit(&sl->tx_urg, head + n,
                              memory_order_release); /* after tx_head: the daemon loads it first */
    /* The daemon looks at everything: what was consumed too. */
    atomic_store_explicit(&sl->rx_told, (uint32_t)atomic_load_explicit(&sl->rx_tail, memory_order_relaxed),
                          memory_order_relaxed);
    xtcp_mark(x, s);
    return true;
}

/* A piece on its way into the ring, with the lock held. A signal handler that interrupts it and sends on the same socket completes it
 * first: a copy that it has interrupted then writes the same once more, to where nobody else may write before it has ended. */
struct piece {
    struct piece *outer; /* of the call that this one's caller has interrupted */
    struct xtcp *x;
    struct xt_slot *sl;
    struct xtcp_cursor from;
    uint64_t head;
    size_t n;
    int s, flags;
    bool done;
    volatile bool copying; /* the owner's copy is before its end */
};

static __thread struct {
    struct piece *volatile top;
    volatile uint32_t jumps;
} under_way __attribute__((tls_model("initial-exec")));

static bool is_next(const struct piece *p)
{
    return atomic_load_explicit(&p->sl->tx_head, memory_order_relaxed) == p->head;
}

static void copy_piece(const struct piece *p)
{
    struct xtcp_cursor c = p->from;
    xtcp_copy(p->x->base + xt_page_off(p->sl->tx_page), p->sl->tx_size, p->head, p->n, &c, true);
}

static void publish_piece(struct piece *p)
{
    if (xtcp_publish(p->x, p->s, p->sl, p->head, p->n, p->flags))
        p->done = true;
}

static void put_own(struct piece *p)
{
    if (!is_next(p))
        return;
    copy_piece(p);
    atomic_signal_fence(memory_order_seq_cst);
    p->copying = false;
    atomic_signal_fence(memory_order_seq_cst);
    publish_piece(p);
}

/* The oldest first. Returns where the oldest copy into this ring that still runs began, or UINT64_MAX. */
static uint64_t complete(struct piece *p, const struct xt_slot *sl)
{
    uint64_t oldest = p ? complete(p->outer, sl) : UINT64_MAX;
    if (!p || p->sl != sl)
        return oldest;
    if (is_next(p)) {
        if (p->copying)
            copy_piece(p);
        publish_piece(p);
    }
    return p->copying && p->head < oldest ? p->head : oldest;
}

/* What one who has interrupted others may put beside them before their copies end. */
static uint64_t left_beside(const struct xt_slot *sl, struct piece *interrupted)
{
    uint64_t oldest = complete(interrupted, sl);
    if (oldest == UINT64_MAX)
        return UINT64_MAX;
    uint64_t used = atomic_load_explicit(&sl->tx_head, memory_order_relaxed) - oldest;
    return used < sl->tx_size ? sl->tx_size - used : 0;
}

static struct piece *interrupted(void)
{
    if (under_way.jumps != xtcp_jumps())
        under_way.top = NULL; /* left by a jump */
    under_way.jumps = xtcp_jumps();
    return under_way.top;
}

/* Puts as much as there is room for into the ring; the lock is held. Who is nested has interrupted a call that may be writing to the ring
 * of now: it stays. No piece takes more than half of a ring, which leaves room for a handler. -EAGAIN: the copy that this one has
 * interrupted must end before there is any, and waiting would be for ever. */
static ssize_t fill(struct xtcp *x, int s, struct xt_slot *sl, struct xtcp_cursor *c, size_t len, int flags,
                    bool nested)
{
    size_t done = 0;
    struct piece *outer = interrupted();
    while (done < len && xtcp_may_queue(sl)) {
        uint64_t left = nested ? left_beside(sl, outer) : UINT64_MAX, room = xtcp_tx_free(sl);
        size_t n = len - done < CHUNK ? len - done : CHUNK, half = sl->tx_size / 2;
        n = n < half ? n : half;
        n = n < room ? n : (size_t)room;
        n = n < left ? n : (size_t)left;
        if (!n && !nested && xtcp_tx_grow(x, s, sl))
            continue;
        if (!left && !done)
            return -EAGAIN;
        if (!n)
            break;
        struct piece p = {.outer = outer, .x = x, .s = s, .sl = sl, .from = *c, .n = n, .copying = true};
        p.head = atomic_load_explicit(&sl->tx_head, memory_order_relaxed);
        p.flags = done + n == len ? flags : flags & ~MSG_OOB;
        atomic_signal_fence(memory_order_seq_cst);
        under_way.top = &p;
        put_own(&p);
        under_way.top = outer;
        atomic_signal_fence(memory_order_seq_cst);
        if (!p.done)
            continue; /* a handler sent before it knew of the piece */
        done += n;
        xtcp_advance(c, n);
    }
    return (ssize_t)done;
}

int xtcp_send_error(struct xt_slot *sl, bool take)
{
    uint32_t cond = atomic_load_explicit(&sl->cond, memory_order_acquire);
    int err;
    if (cond & (XT_COND_CONNECTING | XT_COND_DEFERRED))
        return 0;
    if ((err = xtcp_pending_error(sl, take)))
        return -err;
    if (cond & XT_COND_WRSHUT || !(cond & XT_COND_CONNECTED))
        return -EPIPE;
    return 0;
}

static bool can_send(struct xt_slot *sl, void *arg)
{
    const uint32_t *disconnects = arg;
    uint32_t cond = atomic_load_explicit(&sl->cond, memory_order_acquire);
    if (xtcp_was_disconnected(sl, *disconnects))
        return true;
    if (cond & XT_COND_CONNECTING)
        return false;
    return cond & XT_COND_WRSHUT || atomic_load_explicit(&sl->so_error, memory_order_relaxed) || xtcp_is_relayed(sl) ||
           xtcp_tx_writable(sl);
}

/* One go with the lock held; `first`: nothing was sent before. Returns bytes, 0 for "no room", or a negative errno. */
static ssize_t try_send(struct xtcp *x, int s, struct xt_slot *sl, struct xtcp_cursor *c, size_t len, int flags,
                        bool first)
{
    int rc = xtcp_alive(x) ? xtcp_lock(x, &sl->tx_lock) : -ECONNABORTED;
    if (rc < 0)
        return rc;
    ssize_t n = xtcp_send_error(sl, first);
    if (n == 0 && !(atomic_load_explicit(&sl->cond, memory_order_acquire) & XT_COND_CONNECTING))
        n = fill(x, s, sl, c, len, flags, rc == XTCP_NESTED);
    if (rc != XTCP_NESTED)
        xtcp_unlock(&sl->tx_lock);
    return n;
}

ssize_t xtcp_put(struct xtcp *x, int s, struct xt_slot *sl, const struct iovec *iov, int n, size_t max)
{
    struct xtcp_cursor c = {iov, n, 0};
    size_t len = xtcp_total(iov, n);
    int rc = xtcp_alive(x) ? xtcp_lock(x, &sl->tx_lock) : -ECONNABORTED;
    if (rc < 0)
        return rc;
    ssize_t done = fill(x, s, sl, &c, len < max ? len : max, 0, rc == XTCP_NESTED);
    if (rc != XTCP_NESTED)
        xtcp_unlock(&sl->tx_lock);
    return done;
}

static ssize_t send_on(struct xtcp *x, int s, const struct iovec *iov, int n, int flags, ssize_t sent)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    struct xtcp_cursor c = {iov, n, 0};
    size_t len = xtcp_total(iov, n), done = sent > 0 ? (size_t)sent : 0;
    uint32_t disconnects = atomic_load_explicit(&sl->disconnects, memory_order_relaxed);
    if (sent < 0 || (done > 0 && (done == len || !xtcp_blocking(sl, flags))))
        return sent;
    xtcp_advance(&c, done);
    uint64_t deadline = xtcp_blocking(sl, flags) ? xtcp_deadline(sl->sndtimeo_ms) : 0;
    for (;;) {
        ssize_t r = try_send(x, s, sl, &c, len - done, flags, done == 0);
        if (r > 0)
            done += (size_t)r;
        if (r < 0 || done == len)
            return done ? (ssize_t)done : r;
        if (!xtcp_blocking(sl, flags)) {
            /* Asks for the wake-up, then looks once more: room that came in between must not be missed. */
            if (can_send(sl, &disconnects) && r == 0 && !done)
                continue;
            return done ? (ssize_t)done : -EAGAIN;
        }
        int rc = xtcp_wait(x, s, can_send, &disconnects, deadline);
        if (rc == 0 && xtcp_was_disconnected(sl, disconnects))
            rc = done || !(rc = -xtcp_take_error(sl)) ? -EPIPE : rc;
        if (rc < 0)
            return done ? (ssize_t)done : rc;
    }
}

ssize_t xtcp_send_on(struct xtcp *x, int s, const struct iovec *iov, int n, int flags, ssize_t sent)
{
    ssize_t done = send_on(x, s, iov, n, flags, sent);
    if (flags & MSG_ZEROCOPY && done > 0)
        xtcp_sent_zerocopy(x, s, &x->slots[s]);
    return done;
}

XTCP_API ssize_t xtcp_sendv(struct xtcp *x, int s, const struct iovec *iov, int n, int flags)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    struct xtcp_cmd c = {0};
    if (!sl)
        return -EBADF;
    ssize_t done = 0;
    if (atomic_load_explicit(&sl->cond, memory_order_relaxed) & XT_COND_DEFERRED)
        done = xtcp_fastopen_send(x, s, iov, n, flags & ~MSG_FASTOPEN, &c);
    return xtcp_send_on(x, s, iov, n, flags, done);
}

XTCP_API ssize_t xtcp_send(struct xtcp *x, int s, const void *buf, size_t len, int flags)
{
    struct iovec iov = {(void *)buf, len};
    return xtcp_sendv(x, s, &iov, 1, flags);
}
