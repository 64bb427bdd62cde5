/* SPDX-License-Identifier: Apache-2.0
 * The rings as they are, for who reads and writes them in place; and how much is in them. */
#include "libclient/data.h"

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
    int rc = xtcp_is_relayed(sl) ? -EREMOTE : xtcp_send_error(sl, true);
    if (rc < 0)
        return rc;
    if ((rc = reserve_begin(x, s, sl)) < 0)
        return rc;
    uint64_t room = xtcp_tx_free(sl);
    if (!xtcp_may_queue(sl)) {
        xtcp_tx_writable(sl);
        return 0;
    }
    if (sl->notsent_lowat && room > CHUNK)
        room = CHUNK;
    if (!room)
        return 0;
    pieces(x->base + xt_page_off(sl->tx_page), sl->tx_size, atomic_load_explicit(&sl->tx_head, memory_order_relaxed),
           (size_t)room, iov);
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
        xtcp_publish(x, s, sl, atomic_load_explicit(&sl->tx_head, memory_order_relaxed), n, 0);
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
    size_t n = xtcp_readable(sl, &from, SIZE_MAX);
    if (!n) {
        int why = xtcp_nothing_to_read(sl, true);
        if (why <= 0)
            return why ? why : -ESHUTDOWN;
        n = xtcp_readable(sl, &from, SIZE_MAX);
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
    if (n > xtcp_readable(sl, &from, SIZE_MAX))
        return -EINVAL;
    if (n)
        xtcp_consumed(x, s, sl, atomic_load_explicit(&sl->rx_tail, memory_order_relaxed), from + n);
    return 0;
}

XTCP_API int xtcp_inq(struct xtcp *x, int s)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    if (atomic_load(&sl->cond) & XT_COND_LISTEN)
        return -EINVAL;
    uint64_t head = atomic_load_explicit(&sl->rx_head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&sl->rx_tail, memory_order_relaxed), at = xtcp_urgent_at(sl, tail);
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
    return xtcp_urgent_at(sl, tail) == tail;
}
