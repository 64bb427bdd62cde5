/* SPDX-License-Identifier: Apache-2.0
 * Congestion control: an algorithm is a const table of functions in a file of its own. It reads the record and writes
 * cwnd, ssthresh and cc_acked only. Bytes throughout. */
#ifndef XT_TCP_CC_H
#define XT_TCP_CC_H

#include "daemon/tcp/tcp.h"

struct xt_cc {
    const char *name;
    /* The connection is established. */
    void (*init)(struct xt_conn *c, const struct xt_tcp_cfg *cfg);
    /* `bytes` were newly acknowledged outside of fast recovery. Called only when cwnd was the limit. */
    void (*acked)(struct xt_conn *c, uint32_t bytes);
    /* A loss: the new ssthresh, for `flight` bytes outstanding. */
    uint32_t (*ssthresh)(const struct xt_conn *c, uint32_t flight);
    /* Nothing was sent for longer than a retransmission time-out. */
    void (*idle)(struct xt_conn *c, const struct xt_tcp_cfg *cfg);
    /* What a congestion mark leaves, in percent of what `ssthresh` says of a loss (RFC 8511); 0: as a loss. */
    uint8_t ecn_percent;
};

#define XT_CWND_MAX (1u << 30)

extern const struct xt_cc xt_cc_newreno;

/* The algorithm of a connection. */
const struct xt_cc *xt_cc_of(const struct xt_conn *c);

/* The initial window in bytes (RFC 6928; one segment after a lost SYN, RFC 5681 section 3.1). */
uint32_t xt_cc_initial_window(const struct xt_conn *c, const struct xt_tcp_cfg *cfg);

#endif
