/* SPDX-License-Identifier: Apache-2.0
 * Counters of the TCP core: one list gives the code, the counter and the text. None of the reasons to drop is silent. */
#ifndef XT_TCP_STATS_H
#define XT_TCP_STATS_H

#include <stdint.h>

/* X(name, meaning). The author of daemon/tcp extends this list. */
#define XT_TCP_STATS(X)                                           \
    X(segs_in, "segments received by connections")                \
    X(segs_out, "segments sent")                                  \
    X(retrans_segs, "segments sent again")                        \
    X(resets_sent, "resets sent")                                 \
    X(resets_received, "resets accepted")                         \
    X(active_opens, "connections opened by connect")              \
    X(passive_opens, "connections opened by a peer's SYN")        \
    X(drop_seq, "dropped: outside the receive window")            \
    X(drop_ack, "dropped: acknowledges what was not sent")        \
    X(drop_no_ack, "dropped: no ACK bit in a synchronised state") \
    X(drop_paws, "dropped: old time stamp (PAWS, RFC 7323 section 5)")

struct xt_tcp_stats {
#define X(name, text) uint64_t name;
    XT_TCP_STATS(X)
#undef X
};

#endif
