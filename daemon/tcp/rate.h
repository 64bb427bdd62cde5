/* SPDX-License-Identifier: Apache-2.0
 * Delivery rate and round-trip time, sampled from the stream itself: a few marks are set at points of what is sent, spread
 * over the window, and an ACK or SACK block that covers a mark gives a sample. A mark whose bytes are sent again is
 * replaced by one that tells the rate but no round-trip time (Karn). After draft-ietf-ccwg-bbr's rate estimation, with marks in place of state for each packet. */
#ifndef XT_TCP_RATE_H
#define XT_TCP_RATE_H

#include "daemon/tcp/tcp.h"

/* What an ACK told. */
struct xt_rate_sample {
    uint32_t newly;     /* bytes that it reported as delivered for the first time */
    uint32_t rtt_us;    /* 0: none */
    uint32_t interval;  /* microseconds; 0: it covered no mark, and all fields from here on are 0 */
    uint32_t delivered; /* bytes delivered in that time: since the mark was sent or, when longer, in which they left */
    uint32_t prior;     /* bytes delivered when the mark was sent */
    bool limited;       /* the application had too little to send: the rate is a lower bound */
};

/* [seq, end) left, `again`: not for the first time. Called after SND.NXT has moved. */
void xt_rate_sent(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t seq, uint32_t end, bool again);

/* An ACK came; SND.UNA and the scoreboard are up to date, loss recovery has done its part. Hands the sample to congestion
 * control. */
void xt_rate_acked(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* There is room in cwnd and nothing to fill it with. */
void xt_rate_app_limited(struct xt_conn *c);

/* Likewise, and nothing is in flight. */
static inline void xt_rate_idle(struct xt_conn *c)
{
    c->rate.limited = 1;
    c->rate.limited_until = c->rate.delivered + 1;
}

#endif
