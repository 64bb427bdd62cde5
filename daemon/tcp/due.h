/* SPDX-License-Identifier: Apache-2.0
 * A connection's timers. Their deadlines are kept in units of 8 us, as low bits that wrap: 32 of them, by which a deadline up to 4.7
 * hours away, before or behind, is known. Two timers may run for longer than that (an option's 65,535 seconds), and have 16 bits more:
 * 35 years. A timer never comes early, and at most one unit late. */
#ifndef XT_TCP_DUE_H
#define XT_TCP_DUE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/tcp/record.h"

#define XT_DUE_SHIFT 3
#define XT_DUE_UNIT (1u << XT_DUE_SHIFT) /* microseconds */

static inline bool xt_timer_is_long(unsigned t)
{
    return t == XT_TIMER_KEEP || t == XT_TIMER_WAIT;
}

static inline bool xt_timer_on(const struct xt_conn *c, enum xt_timer t)
{
    return c->timers >> t & 1;
}

/* For `at_us`, or at most a unit later. */
static inline void xt_timer_set(struct xt_conn *c, enum xt_timer t, uint64_t at_us)
{
    uint64_t due = (at_us + XT_DUE_UNIT - 1) >> XT_DUE_SHIFT;
    c->due[t] = (uint32_t)due;
    if (xt_timer_is_long(t))
        c->due_high[t - XT_TIMER_KEEP] = (uint16_t)(due >> 32);
    c->timers |= 1u << t;
}

/* It is due at once. */
static inline void xt_timer_set_due(struct xt_conn *c, enum xt_timer t, uint64_t now_us)
{
    xt_timer_set(c, t, now_us - (XT_DUE_UNIT - 1));
}

/* Two that are not long; both are on, or `t` alone: it is due when `u` is, at the latest. */
static inline void xt_timer_no_later(struct xt_conn *c, enum xt_timer t, enum xt_timer u)
{
    if (xt_timer_on(c, u) && (int32_t)(c->due[u] - c->due[t]) < 0)
        c->due[t] = c->due[u];
}

static inline void xt_timer_stop(struct xt_conn *c, enum xt_timer t)
{
    c->timers &= ~(1u << t);
}

static inline void xt_timer_stop_both(struct xt_conn *c, enum xt_timer t, enum xt_timer u)
{
    c->timers &= ~(1u << t | 1u << u);
}

static inline void xt_timer_stop_all(struct xt_conn *c)
{
    c->timers = 0;
}

/* Units until it is due; of one that is on. */
static inline int64_t xt_timer_left(const struct xt_conn *c, unsigned t, uint64_t now_us)
{
    uint64_t now = now_us >> XT_DUE_SHIFT;
    if (xt_timer_is_long(t)) {
        uint64_t due = (uint64_t)c->due_high[t - XT_TIMER_KEEP] << 32 | c->due[t];
        return (int64_t)((due - now) << 16) >> 16;
    }
    return (int32_t)(c->due[t] - (uint32_t)now);
}

static inline bool xt_timer_is_due(const struct xt_conn *c, unsigned t, uint64_t now_us)
{
    return (c->timers >> t & 1) && xt_timer_left(c, t, now_us) <= 0;
}

/* So many units from now as a time, microseconds. */
static inline uint64_t xt_timer_time(int64_t left, uint64_t now_us)
{
    return (now_us & ~(uint64_t)(XT_DUE_UNIT - 1)) + (uint64_t)(left * XT_DUE_UNIT);
}

/* When it is due; of one that is on. */
static inline uint64_t xt_timer_at(const struct xt_conn *c, enum xt_timer t, uint64_t now_us)
{
    return xt_timer_time(xt_timer_left(c, t, now_us), now_us);
}

/* Of a record that another process has left: is there no timer that we don't know? */
static inline bool xt_timers_ok(const struct xt_conn *c)
{
    return c->timers < 1u << XT_TIMERS;
}

/* The first one of those that are on; `*at`: when it is due. XT_TIMERS: none is on. */
static inline unsigned xt_timer_first(const struct xt_conn *c, uint64_t now_us, uint64_t *at)
{
    unsigned first = XT_TIMERS;
    int64_t least = INT64_MAX;
    for (uint32_t on = c->timers; on; on &= on - 1) {
        unsigned t = (unsigned)__builtin_ctz(on);
        int64_t left = xt_timer_left(c, t, now_us);
        if (left < least) {
            least = left;
            first = t;
        }
    }
    *at = first == XT_TIMERS ? UINT64_MAX : xt_timer_time(least, now_us);
    return first;
}

#endif
