/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/app/tune.h"

#include <stdbool.h>

#define RTT_UNKNOWN_US 100000 /* generous: what is wrong with too long a round is only some memory */

#define FAST UINT64_C(5000) /* bytes per us */

/* What is over XT_TUNE_EASY of `want`, counted only as num / den. */
static uint64_t scaled(uint64_t want, uint64_t num, uint64_t den)
{
    if (want <= XT_TUNE_EASY || num >= den)
        return want;
    want = want * num / den;
    return want > XT_TUNE_EASY ? want : XT_TUNE_EASY;
}

/* Both count: what waits for a slow reader is read much faster than it came, and what is not read needs no larger window. */
uint64_t xt_tune_consumed(struct xt_tune *t, uint64_t now_us, uint64_t tail, uint64_t head, uint32_t rtt_us)
{
    uint32_t copied = (uint32_t)(tail - t->start_tail), came = (uint32_t)(head - t->start_head);
    uint32_t took = (uint32_t)(now_us - t->start_us), rtt = rtt_us ? rtt_us : RTT_UNKNOWN_US;
    bool first = t->start_us == 0;
    if (!first && took < rtt)
        return 0;
    t->start_us = (uint32_t)now_us;
    t->start_tail = (uint32_t)tail;
    t->start_head = (uint32_t)head;
    if (first)
        return 0;
    t->space = copied < came ? copied : came;
    return scaled(2 * (uint64_t)t->space, rtt, took);
}

/* Up to twice the least delay, a queue that other traffic may have made is taken for the path. */
uint64_t xt_tune_send(uint32_t size, uint32_t cwnd, uint32_t min_rtt, uint32_t srtt)
{
    uint64_t window = cwnd < size ? cwnd : size;
    return scaled(2 * window, 2 * (uint64_t)min_rtt, min_rtt ? srtt : 0);
}

uint64_t xt_tune_most(uint32_t min_rtt)
{
    uint64_t most = 2 * FAST * min_rtt;
    if (min_rtt == 0)
        return UINT64_MAX;
    return most > XT_TUNE_EASY ? most : XT_TUNE_EASY;
}

uint32_t xt_tune_round(uint32_t size, uint64_t want, uint32_t max)
{
    while (size < want && size < max)
        size *= 2;
    return size;
}
