/* SPDX-License-Identifier: Apache-2.0
 * How long to wait before a process that died is started again. */
#ifndef XT_MAIN_BACKOFF_H
#define XT_MAIN_BACKOFF_H

#include <stdint.h>

#define XT_BACKOFF_FIRST_US UINT64_C(100000)
#define XT_BACKOFF_CALM_US UINT64_C(10000000) /* a life this long makes the next restart immediate again */

struct xt_backoff {
    uint64_t max_us;  /* the longest pause */
    uint64_t next_us; /* what the next early death waits */
};

/* A process that ran for `lived_us` has died: the pause before its successor, in microseconds. The first is none; deaths
 * within XT_BACKOFF_CALM_US of the start, one after the other, double it up to the longest. */
static inline uint64_t xt_backoff_died(struct xt_backoff *b, uint64_t lived_us)
{
    if (lived_us >= XT_BACKOFF_CALM_US)
        b->next_us = 0;
    uint64_t wait = b->next_us;
    b->next_us = wait ? wait * 2 : XT_BACKOFF_FIRST_US;
    if (b->next_us > b->max_us)
        b->next_us = b->max_us;
    return wait;
}

#endif
