/* SPDX-License-Identifier: Apache-2.0
 * What the runs have met, all together: runs that meet nothing prove nothing. */
#ifndef XT_TEST_TOTALS_H
#define XT_TEST_TOTALS_H

#include "tests/sim/net.h"

struct totals {
    uint64_t segs, bytes, crowds, lost, reordered, duplicated, corrupted, queue_drops, marks, blacked_out, acks_thinned;
    uint64_t too_big, crashes, lent, overfull, fast;
    struct xt_tcp_stats tcp;
};

void totals_add(struct totals *t, const struct net *n);
void totals_print(const struct totals *t);

/* Says what some thousand runs should have met and did not. */
bool totals_met_all(const struct totals *t);

#endif
