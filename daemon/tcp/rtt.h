/* SPDX-License-Identifier: Apache-2.0
 * The retransmission time-out (RFC 6298). Inline: most ACKs bring a sample. */
#ifndef XT_TCP_RTT_H
#define XT_TCP_RTT_H

#include "daemon/base/macros.h"
#include "daemon/tcp/seq.h"
#include "daemon/tcp/tcp.h"

#define XT_RTT_MAX_US 60000000u /* beyond: a forged or stale time stamp echo, cut */

/* Takes a round-trip time in microseconds of a segment that was not sent again (Karn) or that a time stamp identifies:
 * updates SRTT, RTTVAR and RTO and ends the backoff. None of the sums exceeds 32 bits. */
static inline void xt_tcp_rtt_sample(struct xt_conn *c, const struct xt_tcp_cfg *cfg, uint32_t rtt_us)
{
    uint32_t r = xt_u32_max(rtt_us, 1);
    if (XT_UNLIKELY(r > XT_RTT_MAX_US))
        r = XT_RTT_MAX_US;
    if (r <= c->min_rtt - 1) /* 0 is none */
        c->min_rtt = r;
    if (XT_UNLIKELY(c->srtt == 0)) {
        c->srtt = r;
        c->rttvar = r / 2;
    } else {
        int32_t err = (int32_t)(r - c->srtt);
        c->rttvar = (3 * c->rttvar + (uint32_t)(err < 0 ? -err : err)) / 4;
        c->srtt = (7 * c->srtt + r) / 8; /* not 0, as neither was */
    }
    /* The floor takes the place of 4*RTTVAR and not of the whole sum, as Linux does: a peer that delays an ACK by just
     * rto_min on a path with a tiny RTT must not cause a needless retransmission. */
    uint64_t var = 4 * c->rttvar, rto = c->srtt + (var > cfg->rto_min ? var : cfg->rto_min);
    c->rto = (uint32_t)(rto < cfg->rto_max ? rto : cfg->rto_max);
    c->backoff = 0;
}

/* RTO with the backoff applied, at most cfg->rto_max; microseconds. */
static inline uint64_t xt_tcp_rto(const struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    uint64_t rto = (uint64_t)c->rto << (c->backoff < 16 ? c->backoff : 16);
    return rto < cfg->rto_max ? rto : cfg->rto_max;
}

#endif
