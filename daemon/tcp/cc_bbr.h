/* SPDX-License-Identifier: Apache-2.0
 * The model behind the model-based congestion control, after draft-ietf-ccwg-bbr (BBRv3): what the path's bandwidth,
 * round-trip time and room for data in flight are, by what was measured. */
#ifndef XT_TCP_CC_BBR_H
#define XT_TCP_CC_BBR_H

#include "daemon/tcp/cc.h"

/* xt_bbr.phase; those of ProbeBW in the order they follow each other. */
enum xt_bbr_phase {
    XT_BBR_STARTUP,
    XT_BBR_DRAIN,
    XT_BBR_DOWN,
    XT_BBR_CRUISE,
    XT_BBR_REFILL,
    XT_BBR_UP,
    XT_BBR_PROBE_RTT,
};

/* Takes a sample into the filters and bounds. True when the filter of the round-trip time wants a fresh minimum. */
bool xt_bbr_model(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_rate_sample *rs);

/* Bandwidth now believed in, bytes per second; 0: no sample yet. */
uint64_t xt_bbr_bw(const struct xt_bbr *b);

/* `percent` of the bandwidth-delay product, in bytes; 0 before the first samples. */
uint32_t xt_bbr_bdp(const struct xt_bbr *b, uint32_t percent);

/* True when bandwidth has not grown by a quarter for three round trips; asked once for each sample. */
bool xt_bbr_plateau(struct xt_bbr *b, const struct xt_rate_sample *rs);

/* The bandwidth filter forgets the cycle before the last. */
void xt_bbr_new_cycle(struct xt_bbr *b);

/* Loss in a round trip of probing showed how much in flight is too much. */
void xt_bbr_too_high(struct xt_bbr *b);

/* What may be in flight while others are left room to come in. */
uint32_t xt_bbr_with_headroom(const struct xt_bbr *b);

/* The queue that a probe made is gone. What is lost but not known to be may keep the flight from getting that short: a few
 * round trips at 90 % will do. */
bool xt_bbr_drained(const struct xt_bbr *b, uint32_t inflight);

/* `cwnd` within the bounds that hold in this phase. */
uint32_t xt_bbr_bound(const struct xt_bbr *b, uint32_t cwnd);

#endif
