/* SPDX-License-Identifier: Apache-2.0
 * What a waiter does before it sleeps. */
#include <sched.h>

#include "libclient/internal.h"

#define AWAY_NS 4000   /* a yield takes that long only when somebody else runs meanwhile */
#define HOG_NS 2000000 /* and that long when it is one who computes, and does not give way */

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
    while (!look(w)) {
        if (now == begin)
            tell_wait(w->sh);
        uint64_t last = now;
        sched_yield(); /* whoever else wants this core may be the one that makes the news */
        now = xtcp_now_ns();
        if (now - last > AWAY_NS && now - last < HOG_NS)
            count(&w->sh->shared);
        if (now - begin >= us * 1000u) {
            w->spin_score -= w->spin_score > 0;
            return false;
        }
    }
    w->spin_score = w->spin_score > 11 ? 15 : (uint8_t)(w->spin_score + 4);
    return true;
}
