/* SPDX-License-Identifier: Apache-2.0
 * Hierarchical timing wheel over small indices (connections, neighbours): one timer for each index, no allocation after
 * xt_wheel_init(). Arming, cancelling and advancing are O(1); a timer cascades at most once for each level.
 * Times are microseconds of the caller's clock; a timer never fires early and at most one tick (256 us) late.
 * Not thread-safe. */
#ifndef XT_BASE_WHEEL_H
#define XT_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define XT_WHEEL_NONE UINT32_MAX
#define XT_WHEEL_TICK_SHIFT 8 /* a tick is 256 us */
#define XT_WHEEL_BITS 6       /* 64 slots for each level */
#define XT_WHEEL_LEVELS 10    /* 8 + 60 bits: every 64-bit deadline has its place */
#define XT_WHEEL_SLOTS (1u << XT_WHEEL_BITS)
#define XT_WHEEL_DUE (XT_WHEEL_LEVELS * XT_WHEEL_SLOTS) /* the list of timers that are due */

#define XT_WHEEL_LAST ((UINT64_C(1) << 54) - 1) /* microseconds: after 571 years all deadlines have come */

struct xt_wheel_timer {
    uint64_t deadline : 54; /* as given, microseconds */
    uint64_t slot : 10;     /* place in `head` plus 1; 0: not armed */
    uint32_t next, prev;    /* neighbours in the slot's list, or XT_WHEEL_NONE */
};
_Static_assert(sizeof(struct xt_wheel_timer) == 16, "xt_wheel_timer: it is part of what an idle connection costs");
_Static_assert(XT_WHEEL_DUE + 1 < 1 << 10, "xt_wheel_timer.slot");

struct xt_wheel {
    uint64_t tick;                      /* all timers of earlier ticks have been taken out or are due */
    uint64_t occupied[XT_WHEEL_LEVELS]; /* a bit for each slot that is not empty */
    uint32_t levels;                    /* a bit for each level that is not empty */
    uint32_t count;                     /* timers: indices below this are valid */
    struct xt_wheel_timer *timers;      /* zero pages until used */
    uint32_t head[XT_WHEEL_DUE + 1];    /* first timer of each slot, then of the due list */
};

/* Makes a wheel for indices 0 to count - 1 at time `now_us`. Returns 0 or -ENOMEM. */
int xt_wheel_init(struct xt_wheel *w, uint32_t count, uint64_t now_us);
void xt_wheel_fini(struct xt_wheel *w);

/* Arms timer `i` for `deadline_us`, in place of what it was armed for. UINT64_MAX cancels. */
void xt_wheel_set(struct xt_wheel *w, uint32_t i, uint64_t deadline_us);
void xt_wheel_cancel(struct xt_wheel *w, uint32_t i);

/* The deadline of timer `i`; UINT64_MAX when it is not armed. */
uint64_t xt_wheel_deadline(const struct xt_wheel *w, uint32_t i);

/* Takes out one timer that is due at `now_us`, in the order of ticks; XT_WHEEL_NONE when there is none left. Timers armed
 * between calls for the past are due at once: a caller that re-arms what it popped must arm it for later than now. */
uint32_t xt_wheel_pop(struct xt_wheel *w, uint64_t now_us);

/* When xt_wheel_pop() is to be called next: not later than a tick after the earliest deadline, possibly earlier (a far timer
 * then moves down a level). 0 when a timer is due already, UINT64_MAX when none is armed. */
uint64_t xt_wheel_next(const struct xt_wheel *w);

#endif
