/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/app/tune.h"

#include <stdbool.h>

#define RTT_UNKNOWN_US 100000 /* generous: what is wrong with too long a round is only some memory */

uint64_t xt_tune_consumed(struct xt_tune *t, uint64_t now_us, uint64_t tail, uint32_t rtt_us)
{
    uint64_t copied = tail - t->start_tail;
    if (t->start_us && now_us - t->start_us < (rtt_us ? rtt_us : RTT_UNKNOWN_US))
        return 0;
    bool first = t->start_us == 0;
    t->start_us = now_us;
    t->start_tail = tail;
    return first ? 0 : 2 * copied;
}

uint64_t xt_tune_send(uint32_t cwnd)
{
    return 2 * (uint64_t)cwnd;
}

uint32_t xt_tune_round(uint32_t size, uint64_t want, uint32_t max)
{
    while (size < want && size < max)
        size *= 2;
    return size;
}
