/* SPDX-License-Identifier: Apache-2.0
 * Receiving: bytes come out of the ring, the daemon is told of the room. */
#include <pthread.h>
#include <signal.h>

#include "libclient/data.h"

static void copy_out(const struct xtcp *x, struct xt_slot *sl, uint64_t at, size_t len, struct xtcp_cursor *c)
{
    while (len) {
        struct xt_rx_part p = xt_rx_part(sl, at, len);
        xtcp_copy(x->base + p.off, p.size, at, (size_t)p.len, c, false);
        at += p.len;
        len -= (size_t)p.len;
    }
}

uint64_t xtcp_urgent_at(struct xt_slot *sl, uint64_t tail)
{
    uint64_t urg = atomic_load_explicit(&sl->rx_urg, memory_order_acquire);
    return urg && tail < urg ? urg - 1 : UINT64_MAX;
}

uint64_t xtcp_rx_avail(struct xt_slot *sl)
{
    uint64_t head = atomic_load_explicit(&sl->rx_head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&sl->rx_tail, memory_order_relaxed);
    if (head <= tail)
        return 0;
    return head - tail - (!OOBINLINE(sl) && xtcp_urgent_at(sl, tail) == tail);
}

/* Ring space has been given back. The daemon is told when that matters to the peer: a quarter of the ring has been freed since the
 * last time, or the peer may be short of window and two segments are free again, or it may have none at all. Whatever else makes
 * the daemon look at the slot (sending, above all) tells it too. */
static void tell_consumed(struct xtcp *x, int s, struct xt_slot *sl, uint64_t tail)
{
    uint32_t told = atomic_load_explicit(&sl->rx_told, memory_order_relaxed), freed = (uint32_t)tail - told;
    uint32_t unread = (uint32_t)atomic_load_explicit(&sl->rx_head, memory_order_relaxed) - told;
    uint64_t size = sl->rx_size;
    uint64_t window = size > unread ? size - unread : 0; /* as the daemon sees it */
    uint64_t two = 2 * (uint64_t)(sl->snd_mss ? sl->snd_mss : 1460);
    two = two < size / 4 ? two : size / 4;
    if (freed < size / 4 && !(window < size / 4 && freed >= two) && window >= two)
        return;
    atomic_store_explicit(&sl->rx_told, (uint32_t)tail, memory_order_relaxed);
    xtcp_mark(x, s);
}

bool xtcp_consumed(struct xtcp *x, int s, struct xt_slot *sl, uint64_t was, uint64_t tail)
{
    if (!atomic_compare_exchange_strong_explicit(&sl->rx_tail, &was, tail, memory_order_release, memory_order_relaxed))
        return false;
    tell_consumed(x, s, sl, tail);
    return true;
}

size_t xtcp_readable(struct xt_slot *sl, uint64_t *from, size_t len)
{
    uint64_t head = atomic_load_explicit(&sl->rx_head, memory_order_acquire); /* bytes up to here are written */
    uint64_t tail = atomic_load_explicit(&sl->rx_tail, memory_order_relaxed);
    uint64_t at = xtcp_urgent_at(sl, tail), end = head;
    if (at < head && at > tail)
        end = at;
    *from = tail;
    if (at == tail && at < head && !OOBINLINE(sl))
        *from = ++tail; /* out of band: the plain stream goes on behind it */
    return end - tail < len ? (size_t)(end - tail) : len;
}

int xtcp_nothing_to_read(struct xt_slot *sl, bool take)
{
    uint32_t cond = atomic_load_explicit(&sl->cond, memory_order_acquire);
    int err;
    if (xtcp_rx_avail(sl)) /* came with, or before, what cond says */
        return 1;
    if (cond & XT_COND_FIN) /* an end is an end, whatever came after it */
        return 0;
    if (!(cond & XT_COND_CONNECTING) && (err = xtcp_pending_error(sl, take)))
        return -err;
    if (cond & XT_COND_RDHUP)
        return xtcp_is_failed(sl, cond) ? -ENOTCONN : 0;
    return cond & (XT_COND_CONNECTED | XT_COND_CONNECTING | XT_COND_DEFERRED) ? 1 : -ENOTCONN;
}

struct recv_op {
    struct xtcp_cursor c;
    size_t len, done;
    int flags;
};

/* False: a signal handler has read what is being read. */
static bool take_bytes(struct xtcp *x, int s, struct xt_slot *sl, struct recv_op *op, size_t *n)
{
    uint64_t from, was = atomic_load_explicit(&sl->rx_tail, memory_order_relaxed);
    *n = xtcp_readable(sl, &from, op->len - op->done);
    if (*n && !(op->flags & MSG_TRUNC))
        copy_out(x, sl, from, *n, &op->c);
    if (op->flags & MSG_PEEK || (!*n && (op->done || from == was)))
        return atomic_load_explicit(&sl->rx_tail, memory_order_relaxed) == was;
    return xtcp_consumed(x, s, sl, was, from + *n);
}

/* One go with the lock held. Returns bytes; 0: none there. */
static ssize_t try_recv(struct xtcp *x, int s, struct xt_slot *sl, struct recv_op *op)
{
    struct xtcp_cursor start = op->c;
    size_t n;
    int rc = xtcp_alive(x) ? xtcp_lock(x, &sl->rx_lock) : -ECONNABORTED;
    if (rc < 0)
        return rc;
    while (!take_bytes(x, s, sl, op, &n))
        op->c = start;
    if (rc != XTCP_NESTED)
        xtcp_unlock(&sl->rx_lock);
    return (ssize_t)n;
}

struct want {
    uint64_t bytes;
    uint32_t disconnects; /* as at the beginning of the call */
};

static bool can_recv(struct xt_slot *sl, void *arg)
{
    const struct want *w = arg;
    uint32_t cond = atomic_load_explicit(&sl->cond, memory_order_acquire);
    if (xtcp_was_disconnected(sl, w->disconnects))
        return true;
    if (atomic_load_explicit(&sl->so_error, memory_order_relaxed) && !(cond & XT_COND_CONNECTING))
        return true;
    return cond & XT_COND_RDHUP || xtcp_rx_avail(sl) >= w->bytes || xtcp_is_relayed(sl);
}

/* The urgent byte, out of band. The lock keeps it from being read past meanwhile. */
static ssize_t take_oob(const struct xtcp *x, struct xt_slot *sl, struct xtcp_cursor *c, int flags)
{
    uint64_t tail = atomic_load(&sl->rx_tail), at = xtcp_urgent_at(sl, tail);
    if (OOBINLINE(sl) || at == UINT64_MAX || atomic_load(&sl->urg_read) == at + 1)
        return -EINVAL;
    if (at >= atomic_load_explicit(&sl->rx_head, memory_order_acquire))
        return -EAGAIN;
    if (!xtcp_total(c->iov, c->n))
        return 0;
    copy_out(x, sl, at, 1, c);
    if (!(flags & MSG_PEEK))
        atomic_store(&sl->urg_read, at + 1);
    return 1;
}

static ssize_t recv_oob(struct xtcp *x, struct xt_slot *sl, const struct iovec *iov, int n, int flags)
{
    struct xtcp_cursor c = {iov, n, 0};
    int rc = xtcp_lock(x, &sl->rx_lock);
    if (rc < 0)
        return rc;
    ssize_t r = take_oob(x, sl, &c, flags);
    if (rc != XTCP_NESTED)
        xtcp_unlock(&sl->rx_lock);
    return r;
}

/* Reads until `target` bytes are there, or there will be no more. */
static ssize_t recv_loop(struct xtcp *x, int s, struct xt_slot *sl, struct recv_op *op, size_t target)
{
    bool peek = op->flags & MSG_PEEK;
    uint64_t deadline = xtcp_blocking(sl, op->flags) ? xtcp_deadline(sl->rcvtimeo_ms) : 0;
    struct xtcp_cursor start = op->c;
    uint32_t disconnects = atomic_load_explicit(&sl->disconnects, memory_order_relaxed);
    for (;;) {
        ssize_t n = try_recv(x, s, sl, op);
        if (n < 0)
            return op->done ? (ssize_t)op->done : n;
        op->done += (size_t)n;
        if (op->done >= target)
            return (ssize_t)op->done;
        int why = n ? 1 : xtcp_nothing_to_read(sl, op->done == 0);
        if (why <= 0)
            return op->done ? (ssize_t)op->done : why;
        if (!xtcp_blocking(sl, op->flags)) {
            if (!n && xtcp_rx_avail(sl))
                continue;
            return op->done ? (ssize_t)op->done : -EAGAIN;
        }
        /* A peek sees everything again. It cannot wait for more than the ring holds. */
        struct want w = {peek ? target < sl->rx_size ? target : sl->rx_size : 1, disconnects};
        int rc = xtcp_wait(x, s, can_recv, &w, deadline);
        if (rc == 0 && xtcp_was_disconnected(sl, disconnects))
            rc = -EPIPE;
        if (rc < 0 || (peek && op->done && xtcp_rx_avail(sl) <= op->done))
            return op->done ? (ssize_t)op->done : rc;
        if (peek) {
            op->done = 0;
            op->c = start;
        }
    }
}

/* As Linux: who asks for no bytes waits until some could be had. */
static ssize_t recv_nothing(struct xtcp *x, int s, struct xt_slot *sl, int flags)
{
    uint64_t deadline = xtcp_blocking(sl, flags) ? xtcp_deadline(sl->rcvtimeo_ms) : 0;
    struct want w = {1, atomic_load_explicit(&sl->disconnects, memory_order_relaxed)};
    while (!xtcp_rx_avail(sl)) {
        if (xtcp_was_disconnected(sl, w.disconnects))
            return -EPIPE;
        int why = xtcp_alive(x) ? xtcp_nothing_to_read(sl, true) : -ECONNABORTED;
        if (why > 0 && !xtcp_rx_avail(sl))
            why = xtcp_blocking(sl, flags) ? xtcp_wait(x, s, can_recv, &w, deadline) : -EAGAIN;
        else if (why == 0)
            return 0;
        if (why < 0)
            return why;
    }
    return 0;
}

XTCP_API ssize_t xtcp_recvv(struct xtcp *x, int s, const struct iovec *iov, int n, int flags)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    if (atomic_load_explicit(&sl->oflags, memory_order_relaxed) & (uint32_t)XT_OFLAG_SIGNALS)
        xtcp_async_drain(x, s);
    if (flags & MSG_ERRQUEUE) /* ICMP errors are told by SO_ERROR, see IP_RECVERR: none is ever queued */
        return xtcp_errqueue(x, s, NULL);
    if (flags & MSG_OOB)
        return recv_oob(x, sl, iov, n, flags);
    struct recv_op op = {.c = {iov, n, 0}, .len = xtcp_total(iov, n), .flags = flags};
    uint32_t lowat = xtcp_rare(x, sl)->rcvlowat;
    size_t target = lowat > 1 ? lowat : 1;
    if (flags & MSG_WAITALL || target > op.len)
        target = op.len;
    if (op.len == 0)
        return recv_nothing(x, s, sl, flags);
    return recv_loop(x, s, sl, &op, target);
}

XTCP_API ssize_t xtcp_recv(struct xtcp *x, int s, void *buf, size_t len, int flags)
{
    struct iovec iov = {buf, len};
    return xtcp_recvv(x, s, &iov, 1, flags);
}
