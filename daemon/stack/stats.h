/* SPDX-License-Identifier: Apache-2.0
 * Counters of the stack layer, drop reasons included: one list of name and meaning. */
#ifndef XT_STACK_STATS_H
#define XT_STACK_STATS_H

#include <stdint.h>

/* X(name, meaning). The author of daemon/stack extends this list. */
#define XT_STACK_STATS(X)                                      \
    X(frames_in, "frames received")                            \
    X(frames_out, "frames sent")                               \
    X(drop_short, "dropped: shorter than its headers say")     \
    X(drop_checksum_ip, "dropped: wrong IPv4 header checksum") \
    X(drop_checksum_tcp, "dropped: wrong TCP checksum")        \
    X(drop_not_ours, "dropped: not to our address")

struct xt_stack_stats {
#define X(name, text) uint64_t name;
    XT_STACK_STATS(X)
#undef X
};

#endif
