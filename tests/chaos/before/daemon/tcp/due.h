/* SPDX-License-Identifier: Apache-2.0
 * In the place of daemon/tcp/due.h: deadlines were times, and 0 for a timer that was off. */
#ifndef XT_TCP_DUE_H
#define XT_TCP_DUE_H

#include <stdbool.h>
#include <string.h>

#include "tests/chaos/before/names.h"

static inline bool xt_timer_on(const struct xt_conn *c, enum xt_timer t)
{
    return c->timer[t] != 0;
}

static inline void xt_timer_set(struct xt_conn *c, enum xt_timer t, uint64_t at_us)
{
    c->timer[t] = at_us;
}

static inline void xt_timer_set_due(struct xt_conn *c, enum xt_timer t, uint64_t now_us)
{
    c->timer[t] = now_us;
}

static inline void xt_timer_no_later(struct xt_conn *c, enum xt_timer t, enum xt_timer u)
{
    if (c->timer[u] && c->timer[u] < c->timer[t])
        c->timer[t] = c->timer[u];
}

static inline void xt_timer_stop(struct xt_conn *c, enum xt_timer t)
{
    c->timer[t] = 0;
}

static inline void xt_timer_stop_both(struct xt_conn *c, enum xt_timer t, enum xt_timer u)
{
    c->timer[t] = c->timer[u] = 0;
}

static inline void xt_timer_stop_all(struct xt_conn *c)
{
    memset(c->timer, 0, sizeof c->timer);
}

static inline bool xt_timer_is_due(const struct xt_conn *c, unsigned t, uint64_t now_us)
{
    return c->timer[t] && c->timer[t] <= now_us;
}

static inline uint64_t xt_timer_at(const struct xt_conn *c, enum xt_timer t, uint64_t now_us)
{
    return c->timer[t];
}

static inline bool xt_timers_ok(const struct xt_conn *c)
{
    return true;
}

static inline unsigned xt_timer_first(const struct xt_conn *c, uint64_t now_us, uint64_t *at)
{
    unsigned first = XT_TIMERS;
    *at = UINT64_MAX;
    for (unsigned t = 0; t < XT_TIMERS; t++)
        if (c->timer[t] && c->timer[t] < *at)
            *at = c->timer[first = t];
    return first;
}

#endif
