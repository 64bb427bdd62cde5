/* SPDX-License-Identifier: Apache-2.0
 * Which of the programs' threads waits for this shard most. */
#include "daemon/app/internal.h"

#define SESSIONS 16 /* with more of them nobody is looked at: that would take too long */

/* What a client has counted since the last look. It may write anything: what cannot be is nothing. */
static uint32_t since(const _Atomic uint32_t *count, uint32_t *last)
{
    uint32_t now = atomic_load_explicit(count, memory_order_relaxed), n = now - *last;
    *last = now;
    return n < 1u << 20 ? n : 0;
}

void xt_app_waits(struct xt_app *a, struct xt_app_waits *out)
{
    uint64_t all = 0, most = 0;
    *out = (struct xt_app_waits){.cpu = -1};
    if (a->sessions_high > SESSIONS)
        return;
    for (uint32_t i = 0; i < a->sessions_high; i++) {
        struct xt_session *s = a->sessions[i];
        if (!s || s->ended)
            continue;
        uint32_t high = atomic_load(&s->l->waiters_high);
        for (uint32_t w = 0; w < high && w < XT_WATCHED_WAITERS; w++) {
            const struct xt_waiter *sw = &s->waiters[w];
            uint32_t n = since(&sw->waits, &s->waited[w].waits),
                     cpu = atomic_load_explicit(&sw->cpu, memory_order_relaxed);
            out->shared += since(&sw->shared, &s->waited[w].shared);
            all += n;
            if (n > most) {
                most = n;
                out->cpu = cpu <= INT16_MAX ? (int)cpu - 1 : -1;
            }
        }
    }
    if (most * 3 < all * 2)
        out->cpu = -1;
}
