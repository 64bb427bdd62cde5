/* SPDX-License-Identifier: Apache-2.0
 * What a peer sees of a connection: rules for the segments that it sends, whatever it was sent. */
#ifndef XT_TESTS_FUZZ_RULES_H
#define XT_TESTS_FUZZ_RULES_H

#include "tests/sim/endpoint.h"

struct rules {
    bool acked, edge_known;
    uint32_t last_ack, edge; /* of what the connection sent: acknowledgment, right edge of its window */
    uint32_t peer_edge;      /* the rightmost that the peer may have been understood to offer */
};

/* `s` is about to be given to the connection. */
void rules_input(struct rules *r, const struct xt_conn *c, const struct xt_seg *s);

/* The connection has sent `s`. A broken rule ends the process. */
void rules_sent(struct rules *r, const struct ep *e, const struct xt_seg *s);

#endif
