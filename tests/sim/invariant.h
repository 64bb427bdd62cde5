/* SPDX-License-Identifier: Apache-2.0
 * What holds for a connection record at any time, and for any segment with data that leaves it: a second opinion on the
 * core's bookkeeping. All return NULL or what is broken. */
#ifndef XT_TEST_INVARIANT_H
#define XT_TEST_INVARIANT_H

#include "daemon/tcp/tcp.h"

/* Every timer ends within what its kind may take. */
const char *invariant_timers(const struct xt_conn *c, const struct xt_tcp_cfg *cfg, uint64_t now);

/* The lists have their order and their bounds; nothing lies outside of the windows. */
const char *invariant_lists(const struct xt_conn *c);

/* The record just before a segment leaves. */
struct invariant_flight {
    uint32_t pipe, una, nxt;
    uint16_t pending;
};

void invariant_before(struct invariant_flight *b, const struct xt_conn *c);

/* `s` has left: was it allowed to? */
const char *invariant_sent(const struct invariant_flight *b, const struct xt_conn *c, const struct xt_seg *s);

#endif
