/* SPDX-License-Identifier: Apache-2.0
 * Bytes: one memory copy for each contiguous piece between the caller's buffers and the rings. */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "libclient/fastopen.h"
#include "libclient/opts.h"
#include "proto/xt_ring.h"

#define CHUNK 65536u /* published at a time, so that the daemon sends while the next is copied */
#define OOBINLINE(sl) ((sl)->optval_more[XT_SO_OOBINLINE - 11])

/* A place in a caller's vector of buffers. */
struct cursor {
    const struct iovec *iov;
    int n;
    size_t off; /* in iov[0] */
};

static size_t total(const struct iovec *iov, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        if (__builtin_add_overflow(sum, iov[i].iov_len, &sum) || sum > SSIZE_MAX)
            return SSIZE_MAX;
    return sum;
}

/* Copies `len` bytes between ring bytes at stream offset `at` and the cursor, which moves on. A NULL cursor skips. */
static void copy(uint8_t *ring, uint32_t size, uint64_t at, size_t len, struct cursor *c, bool to_ring)
{
    while (len) {
        while (c->off == c->iov->iov_len) { // NOLINT(clang-analyzer-core*): `len` is at most what the pieces hold
            c->iov++;
            c->off = 0;
        }
        size_t pos = at & (size - 1), n = len;
        n = n < size - pos ? n : size - pos;
        n = n < c->iov->iov_len - c->off ? n : c->iov->iov_len - c->off;
        uint8_t *user = (uint8_t *)c->iov->iov_base + c->off;
        memcpy(to_ring ? ring + pos : user, to_ring ? user : ring + pos, n);
        at += n;
        len -= n;
        c->off += n;
    }
}

/* Past `n` bytes of what the cursor still has. */
static void advance(struct cursor *c, size_t n)
{
    while (n) {
        size_t left = c->iov->iov_len - c->off; // NOLINT(clang-analyzer-core*): `n` is at most what the pieces hold
        size_t k = n < left ? n : left;
        c->off += k;
        n -= k;
        if (n) {
            c->iov++;
            c->off = 0;
        }
    }
}

/* ---- send ---- */

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

/* The ring has `n` bytes more than `head`. False: a signal handler has moved the head since. */
static bool publish(struct xtcp *x, int s, struct xt_slot *sl, uint64_t head, size_t n, int flags)
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
    atomic_store_explicit(&sl->rx_told, atomic_load_explicit(&sl->rx_tail, memory_order_relaxed), memory_order_relaxed);
    xtcp_mark(x, s);
    return true;
}

/* A piece on its way into the ring, with the lock held. A signal handler that interrupts it and sends on the same socket completes it
 * first: the interrupted copy then writes the same once more, to where nobody else may write before it has ended. */
struct piece {
    struct piece *outer; /* of the call that this one's caller has interrupted */
    struct xtcp *x;
    struct xt_slot *sl;
    struct cursor from;
    uint64_t head;
    size_t n;
    int s, flags;
    bool done;
};

static __thread struct {
    struct piece *volatile top;
    volatile uint32_t jumps;
} under_way __attribute__((tls_model("initial-exec")));

static void put_piece(struct piece *p)
{
    struct cursor c = p->from;
    if (atomic_load_explicit(&p->sl->tx_head, memory_order_relaxed) != p->head)
        return;
    copy(p->x->base + p->sl->tx_off, p->sl->tx_size, p->head, p->n, &c, true);
    if (publish(p->x, p->s, p->sl, p->head, p->n, p->flags))
        p->done = true;
}

/* The oldest first. Returns where the oldest copy into this ring that may still run began, or UINT64_MAX. */
static uint64_t complete(struct piece *p, const struct xt_slot *sl)
{
    uint64_t oldest = p ? complete(p->outer, sl) : UINT64_MAX;
    if (!p || p->sl != sl)
        return oldest;
    put_piece(p);
    return oldest < p->head ? oldest : p->head;
}

/* Room in the ring for one who has interrupted others. */
static uint64_t room_beside(struct xt_slot *sl, struct piece *interrupted)
{
    uint64_t oldest = complete(interrupted, sl), room = xtcp_tx_free(sl);
    if (oldest == UINT64_MAX)
        return room;
    uint64_t used = atomic_load_explicit(&sl->tx_head, memory_order_relaxed) - oldest;
    uint64_t left = used < sl->tx_size ? sl->tx_size - used : 0;
    return room < left ? room : left;
}

static struct piece *interrupted(void)
{
    if (under_way.jumps != xtcp_jumps())
        under_way.top = NULL; /* left by a jump */
    under_way.jumps = xtcp_jumps();
    return under_way.top;
}

/* Puts as much as there is room for into the ring; the lock is held. Who is nested has interrupted a call that may be writing to the ring
 * of now: it stays. */
static size_t fill(struct xtcp *x, int s, struct xt_slot *sl, struct cursor *c, size_t len, int flags, bool nested)
{
    size_t done = 0;
    struct piece *outer = interrupted();
    while (done < len && xtcp_may_queue(sl)) {
        uint64_t room = nested ? room_beside(sl, outer) : xtcp_tx_free(sl);
        size_t n = len - done < CHUNK ? len - done : CHUNK;
        n = n < room ? n : (size_t)room;
        if (!n && !nested && xtcp_tx_grow(x, s, sl))
            continue;
        if (!n)
            break;
        struct piece p = {.outer = outer, .x = x, .s = s, .sl = sl, .from = *c, .n = n};
        p.head = atomic_load_explicit(&sl->tx_head, memory_order_relaxed);
        p.flags = done + n == len ? flags : flags & ~MSG_OOB;
        atomic_signal_fence(memory_order_seq_cst);
        under_way.top = &p;
        put_piece(&p);
        under_way.top = outer;
        atomic_signal_fence(memory_order_seq_cst);
        if (!p.done)
            continue; /* a handler sent before it knew of the piece */
        done += n;
        advance(c, n);
    }
    return done;
}

/* The pending error. Who has moved some bytes already leaves it to the next call. */
static int pending_error(struct xt_slot *sl, bool take)
{
    return take ? xtcp_take_error(sl) : atomic_load_explicit(&sl->so_error, memory_order_relaxed);
}

/* Why nothing can be sent now: 0 if only room (or the connection) is missing. */
static int send_error(struct xt_slot *sl, bool take)
{
    uint32_t cond = atomic_load_explicit(&sl->cond, memory_order_acquire);
    int err;
    if (cond & (XT_COND_CONNECTING | XT_COND_DEFERRED))
        return 0;
    if ((err = pending_error(sl, take)))
        return -err;
    if (cond & XT_COND_WRSHUT || !(cond & XT_COND_CONNECTED))
        return -EPIPE;
    return 0;
}

/* Since `before` somebody has ended the connection by connect() to no family: there may be another one by now. */
static bool was_disconnected(const struct xt_slot *sl, uint32_t before)
{
    return atomic_load_explicit(&sl->disconnects, memory_order_relaxed) != before;
}

static bool can_send(struct xt_slot *sl, void *arg)
{
    const uint32_t *disconnects = arg;
    uint32_t cond = atomic_load_explicit(&sl->cond, memory_order_acquire);
    if (was_disconnected(sl, *disconnects))
        return true;
    if (cond & XT_COND_CONNECTING)
        return false;
    return cond & XT_COND_WRSHUT || atomic_load_explicit(&sl->so_error, memory_order_relaxed) || xtcp_is_relayed(sl) ||
           xtcp_tx_writable(sl);
}

/* One go with the lock held; `first`: nothing was sent before. Returns bytes, 0 for "no room", or a negative errno. */
static ssize_t try_send(struct xtcp *x, int s, struct xt_slot *sl, struct cursor *c, size_t len, int flags, bool first)
{
    int rc = xtcp_alive(x) ? xtcp_lock(x, &sl->tx_lock) : -ECONNABORTED;
    if (rc < 0)
        return rc;
    ssize_t n = send_error(sl, first);
    if (n == 0 && !(atomic_load_explicit(&sl->cond, memory_order_acquire) & XT_COND_CONNECTING))
        n = (ssize_t)fill(x, s, sl, c, len, flags, rc == XTCP_NESTED);
    if (rc != XTCP_NESTED)
        xtcp_unlock(&sl->tx_lock);
    return n;
}

ssize_t xtcp_put(struct xtcp *x, int s, struct xt_slot *sl, const struct iovec *iov, int n, size_t max)
{
    struct cursor c = {iov, n, 0};
    size_t len = total(iov, n);
    int rc = xtcp_alive(x) ? xtcp_lock(x, &sl->tx_lock) : -ECONNABORTED;
    if (rc < 0)
        return rc;
    size_t done = fill(x, s, sl, &c, len < max ? len : max, 0, rc == XTCP_NESTED);
    if (rc != XTCP_NESTED)
        xtcp_unlock(&sl->tx_lock);
    return (ssize_t)done;
}

static ssize_t send_on(struct xtcp *x, int s, const struct iovec *iov, int n, int flags, ssize_t sent)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    struct cursor c = {iov, n, 0};
    size_t len = total(iov, n), done = sent > 0 ? (size_t)sent : 0;
    uint32_t disconnects = atomic_load_explicit(&sl->disconnects, memory_order_relaxed);
    if (sent < 0 || (done > 0 && (done == len || !xtcp_blocking(sl, flags))))
        return sent;
    advance(&c, done);
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
        if (rc == 0 && was_disconnected(sl, disconnects))
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

/* ---- receive ---- */

static void copy_out(const struct xtcp *x, struct xt_slot *sl, uint64_t at, size_t len, struct cursor *c)
{
    while (len) {
        struct xt_rx_part p = xt_rx_part(sl, at, len);
        copy(x->base + p.off, p.size, at, (size_t)p.len, c, false);
        at += p.len;
        len -= (size_t)p.len;
    }
}

/* The place of the urgent byte that is still ahead of the reader, or UINT64_MAX. */
static uint64_t urgent_at(struct xt_slot *sl, uint64_t tail)
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
    return head - tail - (!OOBINLINE(sl) && urgent_at(sl, tail) == tail);
}

/* Ring space has been given back. The daemon is told when that matters to the peer: a quarter of the ring has been freed since the
 * last time, or the peer may be short of window and two segments are free again, or it may have none at all. Whatever else makes
 * the daemon look at the slot (sending, above all) tells it too. */
static void tell_consumed(struct xtcp *x, int s, struct xt_slot *sl, uint64_t tail)
{
    uint64_t told = atomic_load_explicit(&sl->rx_told, memory_order_relaxed);
    uint64_t size = sl->rx_size, freed = tail - told;
    uint64_t unread = atomic_load_explicit(&sl->rx_head, memory_order_relaxed) - told;
    uint64_t window = size > unread ? size - unread : 0; /* as the daemon sees it */
    uint64_t two = 2 * (uint64_t)(sl->snd_mss ? sl->snd_mss : 1460);
    two = two < size / 4 ? two : size / 4;
    if (freed < size / 4 && !(window < size / 4 && freed >= two) && window >= two)
        return;
    atomic_store_explicit(&sl->rx_told, tail, memory_order_relaxed);
    xtcp_mark(x, s);
}

/* Gives back what is before `tail`: the bytes are copied, they may be overwritten. False: a signal handler has read since `was` was
 * loaded. */
static bool consumed(struct xtcp *x, int s, struct xt_slot *sl, uint64_t was, uint64_t tail)
{
    if (!atomic_compare_exchange_strong_explicit(&sl->rx_tail, &was, tail, memory_order_release, memory_order_relaxed))
        return false;
    tell_consumed(x, s, sl, tail);
    return true;
}

/* What may be read now: from *from on, at most `len` bytes, not across the urgent mark. With nothing behind the urgent byte the
 * reader still passes it, as in Linux. */
static size_t readable(struct xt_slot *sl, uint64_t *from, size_t len)
{
    uint64_t head = atomic_load_explicit(&sl->rx_head, memory_order_acquire); /* bytes up to here are written */
    uint64_t tail = atomic_load_explicit(&sl->rx_tail, memory_order_relaxed);
    uint64_t at = urgent_at(sl, tail), end = head;
    if (at < head && at > tail)
        end = at;
    *from = tail;
    if (at == tail && at < head && !OOBINLINE(sl))
        *from = ++tail; /* out of band: the plain stream goes on behind it */
    return end - tail < len ? (size_t)(end - tail) : len;
}

/* Why there is nothing to read: 1 to wait, 0 end of file, or a negative errno. Loads cond before the caller's last look at
 * rx_head would be too late, so looks again itself. */
static int nothing_to_read(struct xt_slot *sl, bool take)
{
    uint32_t cond = atomic_load_explicit(&sl->cond, memory_order_acquire);
    int err;
    if (xtcp_rx_avail(sl)) /* came with, or before, what cond says */
        return 1;
    if (cond & XT_COND_FIN) /* an end is an end, whatever came after it */
        return 0;
    if (!(cond & XT_COND_CONNECTING) && (err = pending_error(sl, take)))
        return -err;
    if (cond & XT_COND_RDHUP)
        return xtcp_is_failed(sl, cond) ? -ENOTCONN : 0;
    return cond & (XT_COND_CONNECTED | XT_COND_CONNECTING | XT_COND_DEFERRED) ? 1 : -ENOTCONN;
}

struct recv_op {
    struct cursor c;
    size_t len, done;
    int flags;
};

/* False: a signal handler has read what is being read. */
static bool take_bytes(struct xtcp *x, int s, struct xt_slot *sl, struct recv_op *op, size_t *n)
{
    uint64_t from, was = atomic_load_explicit(&sl->rx_tail, memory_order_relaxed);
    *n = readable(sl, &from, op->len - op->done);
    if (*n && !(op->flags & MSG_TRUNC))
        copy_out(x, sl, from, *n, &op->c);
    if (op->flags & MSG_PEEK || (!*n && (op->done || from == was)))
        return atomic_load_explicit(&sl->rx_tail, memory_order_relaxed) == was;
    return consumed(x, s, sl, was, from + *n);
}

/* One go with the lock held. Returns bytes; 0: none there. */
static ssize_t try_recv(struct xtcp *x, int s, struct xt_slot *sl, struct recv_op *op)
{
    struct cursor start = op->c;
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
    if (was_disconnected(sl, w->disconnects))
        return true;
    if (atomic_load_explicit(&sl->so_error, memory_order_relaxed) && !(cond & XT_COND_CONNECTING))
        return true;
    return cond & XT_COND_RDHUP || xtcp_rx_avail(sl) >= w->bytes || xtcp_is_relayed(sl);
}

/* The urgent byte, out of band. The lock keeps it from being read past meanwhile. */
static ssize_t take_oob(const struct xtcp *x, struct xt_slot *sl, struct cursor *c, int flags)
{
    uint64_t tail = atomic_load(&sl->rx_tail), at = urgent_at(sl, tail);
    if (OOBINLINE(sl) || at == UINT64_MAX || atomic_load(&sl->urg_read) == at + 1)
        return -EINVAL;
    if (at >= atomic_load_explicit(&sl->rx_head, memory_order_acquire))
        return -EAGAIN;
    if (!total(c->iov, c->n))
        return 0;
    copy_out(x, sl, at, 1, c);
    if (!(flags & MSG_PEEK))
        atomic_store(&sl->urg_read, at + 1);
    return 1;
}

static ssize_t recv_oob(struct xtcp *x, struct xt_slot *sl, const struct iovec *iov, int n, int flags)
{
    struct cursor c = {iov, n, 0};
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
    struct cursor start = op->c;
    uint32_t disconnects = atomic_load_explicit(&sl->disconnects, memory_order_relaxed);
    for (;;) {
        ssize_t n = try_recv(x, s, sl, op);
        if (n < 0)
            return op->done ? (ssize_t)op->done : n;
        op->done += (size_t)n;
        if (op->done >= target)
            return (ssize_t)op->done;
        int why = n ? 1 : nothing_to_read(sl, op->done == 0);
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
        if (rc == 0 && was_disconnected(sl, disconnects))
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
        if (was_disconnected(sl, w.disconnects))
            return -EPIPE;
        int why = xtcp_alive(x) ? nothing_to_read(sl, true) : -ECONNABORTED;
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
    struct recv_op op = {.c = {iov, n, 0}, .len = total(iov, n), .flags = flags};
    size_t target = sl->rcvlowat > 1 ? sl->rcvlowat : 1;
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

/* ---- zero copy ---- */

/* The one or two contiguous pieces of `len` ring bytes from `at` on. */
static void pieces(uint8_t *ring, uint32_t size, uint64_t at, size_t len, struct iovec iov[2])
{
    size_t pos = at & (size - 1), first = len < size - pos ? len : size - pos;
    iov[0] = (struct iovec){ring + pos, first};
    iov[1] = (struct iovec){ring, len - first};
}

/* Free space will be written to without the lock: says so once, so that the daemon leaves its pages alone. A full ring grows, or
 * the wake-up is asked for. */
static int reserve_begin(struct xtcp *x, int s, struct xt_slot *sl)
{
    bool pinned = atomic_load_explicit(&sl->want, memory_order_relaxed) & XT_WANT_PINNED;
    if (pinned && xtcp_tx_free(sl))
        return 0;
    int rc = xtcp_lock(x, &sl->tx_lock);
    if (rc < 0)
        return rc;
    atomic_fetch_or(&sl->want, (uint32_t)XT_WANT_PINNED);
    if (!xtcp_tx_free(sl) && (rc == XTCP_NESTED || !xtcp_tx_grow(x, s, sl)))
        xtcp_tx_writable(sl);
    if (rc != XTCP_NESTED)
        xtcp_unlock(&sl->tx_lock);
    return 0;
}

XTCP_API int xtcp_hold_ring(struct xtcp *x, int s, bool tx)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    _Atomic uint32_t *lock = tx ? &sl->tx_lock : &sl->rx_lock;
    int rc = xtcp_lock(x, lock);
    if (rc == 0)
        xtcp_lock_alone(lock);
    return rc == XTCP_NESTED ? -EAGAIN : rc;
}

XTCP_API void xtcp_release_ring(struct xtcp *x, int s, bool tx)
{
    xtcp_unlock(tx ? &x->slots[s].tx_lock : &x->slots[s].rx_lock);
}

XTCP_API ssize_t xtcp_reserve(struct xtcp *x, int s, struct iovec iov[2])
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    if (!xtcp_alive(x))
        return -ECONNABORTED;
    int rc = xtcp_is_relayed(sl) ? -EREMOTE : send_error(sl, true);
    if (rc < 0)
        return rc;
    if ((rc = reserve_begin(x, s, sl)) < 0)
        return rc;
    uint64_t room = xtcp_tx_free(sl);
    if (!xtcp_may_queue(sl)) {
        xtcp_tx_writable(sl);
        return 0;
    }
    if (XT_NOTSENT_LOWAT(sl) && room > CHUNK)
        room = CHUNK;
    if (!room)
        return 0;
    pieces(x->base + sl->tx_off, sl->tx_size, atomic_load_explicit(&sl->tx_head, memory_order_relaxed), (size_t)room,
           iov);
    return (ssize_t)room;
}

XTCP_API int xtcp_commit(struct xtcp *x, int s, size_t n)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    if (n > xtcp_tx_free(sl))
        return -EINVAL;
    if (n)
        publish(x, s, sl, atomic_load_explicit(&sl->tx_head, memory_order_relaxed), n, 0);
    if (atomic_load_explicit(&sl->cond, memory_order_relaxed) & XT_COND_DEFERRED)
        return xtcp_fastopen_go(x, s);
    return 0;
}

XTCP_API ssize_t xtcp_peek(struct xtcp *x, int s, struct iovec iov[2])
{
    struct xt_slot *sl = xtcp_slot(x, s);
    uint64_t from;
    if (!sl)
        return -EBADF;
    if (!xtcp_alive(x))
        return -ECONNABORTED;
    if (xtcp_is_relayed(sl))
        return -EREMOTE;
    size_t n = readable(sl, &from, SIZE_MAX);
    if (!n) {
        int why = nothing_to_read(sl, true);
        if (why <= 0)
            return why ? why : -ESHUTDOWN;
        n = readable(sl, &from, SIZE_MAX);
        if (!n)
            return 0;
    }
    struct xt_rx_part p = xt_rx_part(sl, from, n); /* what is in another ring comes next time */
    pieces(x->base + p.off, p.size, from, (size_t)p.len, iov);
    return (ssize_t)p.len;
}

XTCP_API int xtcp_consume(struct xtcp *x, int s, size_t n)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    uint64_t from;
    if (!sl)
        return -EBADF;
    if (n > readable(sl, &from, SIZE_MAX))
        return -EINVAL;
    if (n)
        consumed(x, s, sl, atomic_load_explicit(&sl->rx_tail, memory_order_relaxed), from + n);
    return 0;
}

/* ---- how much ---- */

XTCP_API int xtcp_inq(struct xtcp *x, int s)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    if (atomic_load(&sl->cond) & XT_COND_LISTEN)
        return -EINVAL;
    uint64_t head = atomic_load_explicit(&sl->rx_head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&sl->rx_tail, memory_order_relaxed), at = urgent_at(sl, tail);
    uint64_t end = !OOBINLINE(sl) && at < head ? at : head; /* up to the urgent byte, unless that is one like others */
    return end - tail < INT_MAX ? (int)(end - tail) : INT_MAX;
}

XTCP_API int xtcp_inq_hint(struct xtcp *x, int s)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl || !(sl->misc & MISC_INQ) || xtcp_is_relayed(sl))
        return -ENOENT;
    uint64_t tail =
        atomic_load_explicit(&sl->rx_tail, memory_order_acquire); /* first: the head never falls behind it */
    bool fin = atomic_load_explicit(&sl->cond, memory_order_acquire) & XT_COND_FIN;
    uint64_t left = atomic_load_explicit(&sl->rx_head, memory_order_acquire) - tail + fin;
    return left < INT_MAX ? (int)left : INT_MAX;
}

XTCP_API int xtcp_outq(struct xtcp *x, int s)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    if (atomic_load(&sl->cond) & XT_COND_LISTEN)
        return -EINVAL;
    return (int)(atomic_load(&sl->tx_head) - atomic_load(&sl->tx_tail));
}

XTCP_API bool xtcp_at_mark(struct xtcp *x, int s)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return false;
    uint64_t tail = atomic_load(&sl->rx_tail);
    return urgent_at(sl, tail) == tail;
}
