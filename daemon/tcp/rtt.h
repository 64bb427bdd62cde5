/* SPDX-License-Identifier: Apache-2.0
 * The retransmission time-out (RFC 6298). */
#ifndef XT_TCP_RTT_H
#define XT_TCP_RTT_H

#include "daemon/tcp/tcp.h"

/* Takes a round-trip time in microseconds of a segment that was not sent again (Karn) or that a time stamp identifies:
 * updates SRTT, RTTVAR and RTO and ends the backoff. */
void xt_tcp_rtt_sample(struct xt_conn *c, const struct xt_tcp_cfg *cfg, uint32_t rtt_us);

/* RTO with the backoff applied, at most cfg->rto_max; microseconds. */
uint64_t xt_tcp_rto(const struct xt_conn *c, const struct xt_tcp_cfg *cfg);

#endif
