/* SPDX-License-Identifier: Apache-2.0
 * Adaptive spinning: is it worth to look for work again instead of sleeping? Waking a sleeping CPU costs tens of microseconds,
 * spinning costs others the core. The idle gaps of the recent past decide: spin, for a bounded time, only while gaps
 * have mostly been shorter than that bound. */
#ifndef XT_SPIN_H
#define XT_SPIN_H

#include <stdbool.h>
#include <stdint.h>

struct xt_spin {
    uint32_t max_us;    /* bound of one spin; 0: never spin */
    uint32_t gap_us8;   /* running mean of idle gaps, in 1/8 us; a gap counts for at most 4 * max_us */
    uint64_t idle_from; /* when the work ran out, 0: busy */
    uint64_t paid, vain;
};

static inline void xt_spin_init(struct xt_spin *s, uint32_t max_us)
{
    *s = (struct xt_spin){.max_us = max_us, .gap_us8 = max_us * 16};
}

/* There was work at `now` (microseconds). */
static inline void xt_spin_work(struct xt_spin *s, uint64_t now)
{
    if (!s->idle_from)
        return;
    uint64_t gap = now - s->idle_from, cap = 4ULL * s->max_us;
    s->gap_us8 += (uint32_t)(gap < cap ? gap : cap) - s->gap_us8 / 8;
    if (gap < s->max_us)
        s->paid++;
    else
        s->vain++;
    s->idle_from = 0;
}

/* There was no work at `now`: true to look again at once, false to sleep. */
static inline bool xt_spin_again(struct xt_spin *s, uint64_t now)
{
    if (!s->idle_from)
        s->idle_from = now ? now : 1;
    return s->gap_us8 / 8 < s->max_us && now - s->idle_from < s->max_us;
}

#endif
