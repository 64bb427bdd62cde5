/* SPDX-License-Identifier: Apache-2.0
 * Counts and times that only struct xt_tcp_info shows. Nothing decides by them. */
#ifndef XT_TCP_TALLY_H
#define XT_TCP_TALLY_H

#include "daemon/base/macros.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rate.h"

/* A segment with `len` bytes of payload came. */
static inline void xt_tally_received(struct xt_conn *c, uint32_t len, uint16_t gso_size)
{
    if (gso_size)
        c->tally.data_segs_in += (len + gso_size - 1) / gso_size;
    else
        c->tally.data_segs_in++;
}

/* What the time spent in `busy`, which is XT_BUSY_RWND or XT_BUSY_SNDBUF, is added to. */
static inline uint32_t *xt_tally_blocked(struct xt_tally_seldom *t, uint8_t busy)
{
    return busy == XT_BUSY_RWND ? &t->rwnd_ms : &t->sndbuf_ms;
}

/* From `now` (milliseconds) on the sending side waits for `busy` (XT_BUSY_*). */
void xt_tally_become(struct xt_conn *c, uint32_t now, uint8_t busy);

/* For nothing any longer, after XT_BUSY_NETWORK. */
static inline void xt_tally_idle(struct xt_conn *c, uint32_t now)
{
    struct xt_tally *t = &c->tally;
    t->busy_ms += now - t->busy_since_ms;
    t->busy = XT_BUSY_NOT;
    t->busy_since_ms = now;
}

/* Something that wants an ACK left, payload in `segs` segments. */
void xt_tally_sent(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t segs);

/* Segments in flight: neither acknowledged nor SACKed. */
uint32_t xt_tally_flight(const struct xt_conn *c);

/* When all else has been done with an ACK. */
void xt_tally_acked(const struct xt_ack *a);

/* What was sent once, from `left` on, arrived after what was sent later. */
void xt_tally_reordered(struct xt_conn *c, uint32_t left);

/* A retransmission time-out, before `timeouts` counts it. */
void xt_tally_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* What such time-outs were about is acknowledged, at `now` (milliseconds). */
void xt_tally_overcome(struct xt_conn *c, uint32_t now);

/* Nothing more can be sent now, `blocked`: because of the peer's window. */
void xt_tally_busy(struct xt_conn *c, const struct xt_tcp_ctx *ctx, bool blocked);

/* A sample of the delivery rate. */
static inline void xt_tally_rate(struct xt_conn *c, const struct xt_rate_sample *rs)
{
    struct xt_tally *t = &c->tally;
    /* A lower bound counts only when it is above what is known. */
    if (rs->limited && (uint64_t)rs->delivered * t->rate_us < (uint64_t)t->rate_bytes * rs->interval)
        return;
    t->rate_bytes = rs->delivered;
    t->rate_us = rs->interval;
    t->rate_limited = rs->limited;
}

/* Fills its part of `out`. */
void xt_tally_info(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_tcp_info *out);

#endif
