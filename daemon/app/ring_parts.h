/* SPDX-License-Identifier: Apache-2.0
 * What a ledger keeps of a ring. */
#ifndef XT_APP_RING_PARTS_H
#define XT_APP_RING_PARTS_H

#include <stdint.h>

/* Ring space of a region (arena.h). */
struct xt_extent {
    uint32_t page; /* its first one; bytes from the start of the region: xt_extent_off() */
    uint32_t size; /* bytes; 0: none */
};

static inline uint64_t xt_extent_off(const struct xt_extent *e)
{
    return (uint64_t)e->page << 12;
}

/* As slots have it. */
static inline uint32_t xt_extent_page(const struct xt_extent *e)
{
    return e->page;
}

/* The size stays as it is. */
static inline void xt_extent_move(struct xt_extent *e, uint64_t off)
{
    e->page = (uint32_t)(off >> 12);
}

/* What a reader had consumed, and what had come, when the current round of it began (tune.h). A round lasts a round-trip time, or until
 * the reader comes back after one. Low 32 bits, for only differences count: one that is wrong by their wrapping around makes a ring too large
 * or too small, and the next round sets it right. All zero: no round yet. */
struct xt_tune {
    uint32_t start_us;
    uint32_t start_tail, start_head; /* stream offsets */
    uint32_t space;                  /* bytes that came and were consumed in the last whole round; 0: none yet */
};

#endif
