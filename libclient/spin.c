/* SPDX-License-Identifier: Apache-2.0
 * What a waiter does before it sleeps. */
#include <sched.h>

#include "libclient/internal.h"

#define AWAY_NS 4000 /* a yield takes that long only when somebody else runs meanwhile */

static void count(_Atomic uint32_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

int xtcp_waiter_here(struct xt_waiter *sh)
{
    int cpu = sched_getcpu();
    if (cpu >= 0 && atomic_load_explicit(&sh->cpu, memory_order_relaxed) != (uint32_t)cpu + 1)
        atomic_store_explicit(&sh->cpu, (uint32_t)cpu + 1, memory_order_relaxed);
    return cpu;
}

static uint32_t ran(const struct xtcp_waiter *w, int cpu)
{
    return cpu < 0 ? 0
                   : atomic_load_explicit((_Atomic uint32_t *)&w->x->global->ran[cpu % XT_RAN], memory_order_relaxed);
}

static void yielded(struct xtcp_waiter *w, uint64_t from, uint64_t to, uint32_t sockets)
{
    xt_hog_yielded(&w->hog, from / 1000, to / 1000, sockets);
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
    int cpu = xtcp_waiter_here(w->sh);
    if (xt_bitmap_any(w->ready))
        return true;
    if (!us || (w->spin_score < 4 && ++w->spin_skip % 16))
        return false;
    uint64_t begin = xtcp_now_ns(), now = begin;
    if (xt_hog_near(&w->hog, now / 1000))
        return false;
    while (!look(w)) {
        if (now == begin)
            count(&w->sh->waits);
        uint64_t last = now;
        uint32_t before = ran(w, cpu);
        sched_yield(); /* whoever else wants this core may be the one that makes the news */
        now = xtcp_now_ns();
        if (now - last > AWAY_NS)
            yielded(w, last, now, ran(w, cpu) - before);
        if (now - begin >= us * 1000u) {
            w->spin_score -= w->spin_score > 0;
            return false;
        }
    }
    w->spin_score = w->spin_score > 11 ? 15 : (uint8_t)(w->spin_score + 4);
    return true;
}
