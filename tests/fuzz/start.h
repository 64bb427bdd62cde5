/* SPDX-License-Identifier: Apache-2.0
 * A connection led by a well-behaved peer to any of the eleven states, so that an input need not find the way. */
#ifndef XT_TESTS_FUZZ_START_H
#define XT_TESTS_FUZZ_START_H

#include "tests/sim/endpoint.h"

#define START_ISS 0xfffffff0u /* sequence numbers wrap early, on both sides */
#define START_IRS 0xffffff00u

/* `e` has just come from ep_init(). `passive`: it came from `listener`, which is made; else it opened. The peer offers the
 * options `opts` (XT_OPT_*), and ECN. */
void start_in(struct ep *e, struct ep *listener, enum xt_state state, bool passive, uint8_t opts);

#endif
