/* SPDX-License-Identifier: Apache-2.0
 * Listening and accepting. The accept ring is filled by the daemon; a process takes an entry by moving acc_tail, having said
 * before that it holds the socket: at no instant does an accepted socket look abandoned. */
#include <fcntl.h>

#include "libclient/internal.h"

XTCP_API int xtcp_listen(struct xtcp *x, int s, int backlog)
{
    struct xtcp_cmd c = {.op = XT_OP_LISTEN, .slot = s, .arg = {(uint64_t)(uint32_t)backlog}};
    return xtcp_slot(x, s) ? xtcp_call_settled(x, &c) : -EBADF;
}

static bool acceptable(struct xt_slot *sl, void *unused)
{
    return !(atomic_load_explicit(&sl->cond, memory_order_acquire) & XT_COND_LISTEN) ||
           atomic_load_explicit(&sl->acc_head, memory_order_acquire) !=
               atomic_load_explicit(&sl->acc_tail, memory_order_relaxed);
}

/* Takes one entry under the listener's lock: so no other thread of this process can want the same hold bit at the same time.
 * Returns the socket, -EAGAIN or -EINVAL. */
static int take(struct xtcp *x, struct xt_slot *sl)
{
    for (;;) {
        uint32_t tail = atomic_load(&sl->acc_tail);
        uint32_t head = atomic_load_explicit(&sl->acc_head, memory_order_acquire); /* the entry is written */
        if (!(atomic_load_explicit(&sl->cond, memory_order_acquire) & XT_COND_LISTEN))
            return -EINVAL;
        if (head == tail || !sl->tx_size)
            return -EAGAIN;
        const uint32_t *ring = (const uint32_t *)(const void *)(x->base + xt_page_off(sl->tx_page));
        uint32_t c = ring[tail & (sl->tx_size - 1)];
        if (c >= x->max_slots)
            return -ECONNABORTED;
        uint64_t bit = 1ULL << (c % 64);
        atomic_fetch_or(&x->hold[c / 64], bit);
        if (atomic_compare_exchange_strong(&sl->acc_tail, &tail, tail + 1)) {
            atomic_fetch_or(&x->known[c / 64], bit);
            return (int)c;
        }
        if (!(atomic_load(&x->known[c / 64]) & bit)) {
            atomic_fetch_and(&x->hold[c / 64], ~bit);
            xtcp_mark(
                x, (int)c); /* a handler may have accepted and closed it meanwhile, and the daemon have seen it held */
        }
    }
}

/* xtcpd has gone, and no connection will come. One call tells so. A server that was told each time would ask again at once, and for
 * ever: from then on this is a listener that nobody connects to. */
static int accept_of_gone(struct xt_slot *sl, int flags, uint64_t deadline)
{
    if (!(atomic_load(&sl->cond) & XT_COND_LISTEN) ||
        !(atomic_fetch_or(&sl->oflags, (uint32_t)XT_OFLAG_GONE) & (uint32_t)XT_OFLAG_GONE))
        return -ECONNABORTED;
    return xtcp_blocking(sl, flags) ? xtcp_pause(deadline) : -EAGAIN;
}

XTCP_API int xtcp_accept(struct xtcp *x, int s, struct sockaddr *addr, socklen_t *alen, int flags)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    uint64_t deadline = xtcp_deadline(sl->rcvtimeo_ms);
    if (atomic_load_explicit(&sl->oflags, memory_order_relaxed) & (uint32_t)XT_OFLAG_SIGNALS)
        xtcp_async_drain(x, s);
    for (;;) {
        int rc = xtcp_alive(x) ? xtcp_lock(x, &sl->rx_lock) : -ECONNABORTED;
        if (rc < 0)
            return rc == -ECONNABORTED ? accept_of_gone(sl, flags, deadline) : rc;
        int c = take(x, sl);
        if (rc != XTCP_NESTED)
            xtcp_unlock(&sl->rx_lock);
        if (c >= 0) {
            xt_bitmap_set(x->dirty, (uint32_t)s); /* for its books: no reason to wake it */
            atomic_store(&x->slots[c].oflags, flags & SOCK_NONBLOCK ? (uint32_t)O_NONBLOCK : 0);
            const struct xt_endpoint remote = xt_slot_remote(&x->slots[c]);
            xtcp_to_sockaddr(&remote, addr, alen);
            return c;
        }
        if (c != -EAGAIN || !xtcp_blocking(sl, flags))
            return c;
        rc = xtcp_wait(x, s, acceptable, NULL, deadline);
        if (rc < 0)
            return rc == -ECONNABORTED ? accept_of_gone(sl, flags, deadline) : rc;
    }
}
