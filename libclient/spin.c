/* SPDX-License-Identifier: Apache-2.0
 * What a waiter does before it sleeps. */
#include <sched.h>

#include "libclient/internal.h"

#define AWAY_NS 4000 /* a yield takes that long only when somebody else runs meanwhile */

static void count(_Atomic uint32_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* For the shard, which may come to this processor. */
static void tell_wait(struct xt_waiter *sh)
{
    int cpu = sched_getcpu();
    if (cpu >= 0)
        atomic_store_explicit(&sh->cpu, (uint32_t)cpu + 1, memory_order_relaxed);
    count(&sh->waits);
}

static void yielded(struct xtcp_waiter *w, uint64_t from, uint64_t to)
{
    xt_hog_yielded(&w->hog, from / 1000, to / 1000);
    if (!xt_hog_near(&w->hog, to / 1000)) /* else there are no turns to be taken */
        count(&w->sh->shared);
}

static bool look(struct xtcp_waiter *w)
{
    for (unsigned n = 0; n < 32; n++) {
        if (xt_bitmap_any(w->ready))
            return true;
        __builtin_ia32_pause();
    }
    return false;
}

/* Spins while it pays: each success raises the score, each failure lowers it; with a low score only now and then. */
XTCP_API bool xtcp_waiter_spin(struct xtcp_waiter *w)
{
    xtcp_waiter_fix(w);
    uint32_t us = w->x->global->spin_us;
    if (xt_bitmap_any(w->ready))
        return true;
    if (!us || (w->spin_score < 4 && ++w->spin_skip % 16))
        return false;
    uint64_t begin = xtcp_now_ns(), now = begin;
    if (xt_hog_near(&w->hog, now / 1000))
        return false;
    while (!look(w)) {
        if (now == begin)
            tell_wait(w->sh);
        uint64_t last = now;
        sched_yield(); /* whoever else wants this core may be the one that makes the news */
        now = xtcp_now_ns();
        if (now - last > AWAY_NS)
            yielded(w, last, now);
        if (now - begin >= us * 1000u) {
            w->spin_score -= w->spin_score > 0;
            return false;
        }
    }
    w->spin_score = w->spin_score > 11 ? 15 : (uint8_t)(w->spin_score + 4);
    return true;
}
