/* SPDX-License-Identifier: Apache-2.0
 * How a reader finds the bytes of a receive ring that the daemon may replace by a larger one at any time. */
#ifndef XT_RING_H
#define XT_RING_H

#include "proto/xt_shm.h"

/* A stretch of the stream that lies in one ring: place of stream offset x is off + (x & (size - 1)). */
struct xt_rx_part {
    uint64_t off; /* of the ring, from the start of the region */
    uint64_t len;
    uint32_t size; /* of the ring */
};

/* Where stream offset `at` is, and how many of the `len` bytes from there on are in the same ring. To be called after rx_head was
 * loaded (acquire), for bytes before that head that were not given back. Whoever sees any part of the new ring sees what is in
 * the old one: pairs with the daemon's stores, which are in the opposite order. Who does not trust the slot checks the result. */
static inline struct xt_rx_part xt_rx_part(const struct xt_slot *sl, uint64_t at, uint64_t len)
{
    struct xt_rx_part p = {.off = xt_page_off(atomic_load_explicit(&sl->rx_page, memory_order_acquire)), .len = len};
    p.size = atomic_load_explicit(&sl->rx_size, memory_order_acquire);
    uint64_t from = atomic_load_explicit(&sl->rx_switch, memory_order_acquire);
    if (at < from) {
        uint64_t old = atomic_load_explicit(&sl->rx_old, memory_order_acquire);
        p.off = old & ~UINT64_C(4095);
        p.size = 1u << (old & 31);
        p.len = from - at < len ? from - at : len;
    }
    return p;
}

#endif
