/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/bottleneck.h"

bool bottleneck_pass(struct bottleneck *b, uint64_t now, uint64_t len, uint8_t *ecn, uint64_t *leaves)
{
    uint64_t start = b->busy_until > now ? b->busy_until : now;
    uint64_t waiting = (start - now) * b->rate / 8000000;
    if (waiting + len > b->depth) {
        b->drops++;
        return false;
    }
    if (b->mark && waiting >= b->mark && *ecn) {
        b->marks++;
        *ecn = ECN_CE;
    }
    b->busy_until = start + len * 8000000 / b->rate;
    *leaves = b->busy_until;
    return true;
}
