/* SPDX-License-Identifier: Apache-2.0
 * Steps of SEGMENT ARRIVES that the long way (input.c) and the short one (fast.c) have in common. Inline: each is a
 * few instructions, and nearly every segment takes them. */
#ifndef XT_TCP_STEP_H
#define XT_TCP_STEP_H

#include "daemon/base/macros.h"
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rate.h"
#include "daemon/tcp/rtt.h"
#include "daemon/tcp/tally.h"

/* A round-trip time from an ACK that moves SND.UNA: of the timed segment, in microseconds; after a retransmission, which
 * ends that timing (Karn), from the time stamp, in milliseconds. */
static inline void xt_step_measure(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg)
{
    const struct xt_tcp_opts *opt = &seg->opt;
    if (XT_LIKELY(c->rtt_start)) {
        if (xt_seq_lt(seg->ack, c->rtt_seq))
            return;
        xt_tcp_rtt_sample(c, ctx->cfg, (uint32_t)ctx->now_us - c->rtt_start);
        c->rtt_start = 0;
    } else if ((c->opts & XT_OPT_TS) && opt->tsecr && (c->backoff || c->srtt == 0 || c->ca_state >= XT_CA_RECOVERY)) {
        uint32_t ms = xt_now_ms(ctx) - opt->tsecr;
        if ((int32_t)ms >= 0 && ms < 60000)
            xt_tcp_rtt_sample(c, ctx->cfg, ms ? ms * 1000 : xt_u32_max(c->srtt, 1));
    }
}

/* SND.WND becomes `wnd` bytes, by a segment at `seq`. */
static inline void xt_step_window(struct xt_conn *c, uint32_t wnd, uint32_t seq, uint32_t ack)
{
    c->snd_wnd = wnd;
    c->snd_wl1 = seq;
    c->snd_wl2 = ack;
    if (wnd > c->snd_wnd_max)
        c->snd_wnd_max = wnd;
}

/* Text came. After a pause the peer's window is small again. */
static inline void xt_step_arrival(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t len, uint16_t gso_size,
                                   uint32_t now_ms)
{
    if ((now_ms - c->data_rcv_ms) * 1000ull > c->rto)
        xt_window_quick_acks(c, ctx->cfg);
    c->data_rcv_ms = now_ms;
    xt_tally_received(c, len, gso_size);
}

/* RCV.NXT has moved by `len` bytes: is their ACK to go now or later? */
static inline void xt_step_ack_data(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t len, uint16_t gso_size)
{
    uint32_t segment = gso_size ? gso_size : len;
    if (segment > c->rcv_mss && segment <= c->mss_local)
        c->rcv_mss = (uint16_t)segment;
    /* Two full segments by bytes, so that coalesced ones count for what they carry (SHLD-19). */
    if (c->rcv_nxt - c->last_ack_sent >= 2u * c->rcv_mss || len > c->mss_local ||
        (c->quick > 0 && !(c->cflags & XT_CF_DIALOGUE)) || c->opt.quickack == XT_QUICKACK_ON || ctx->cfg->delack == 0)
        c->pending |= XT_PEND_ACK;
    else if (!xt_timer_on(c, XT_TIMER_DELACK))
        xt_timer_set(c, XT_TIMER_DELACK, ctx->now_us + ctx->cfg->delack);
}

/* Bytes that were delivered for the first time; `sacked` are. Counts from the streams alone, so that it needs no word from loss
 * recovery; what the peer takes back of its SACKs does not count twice. */
static inline uint32_t xt_step_delivered(struct xt_conn *c, uint32_t now_us, uint32_t sacked)
{
    struct xt_rate *r = &c->rate;
    uint32_t sum = (uint32_t)c->tx_una + sacked, newly = sum - r->delivered;
    if ((int32_t)newly <= 0)
        return 0;
    r->delivered = sum;
    r->delivered_us = now_us;
    if (r->limited && xt_seq_ge(sum, r->limited_until))
        r->limited = 0;
    return newly;
}

/* What mark `i` tells now that it is covered, by an ACK that delivered `newly` bytes. */
static inline struct xt_rate_sample xt_step_read_mark(struct xt_conn *c, unsigned i, uint32_t now_us, uint32_t newly)
{
    struct xt_rate *r = &c->rate;
    const struct xt_rate_mark *m = &xt_mark_list(c)[i];
    uint32_t sent = m->sent_us, rtt = xt_u32_max(now_us - sent, 1);
    struct xt_rate_sample rs = {
        .newly = newly,
        .rtt_us = r->mark_again >> i & 1 ? 0 : rtt,
        .interval = xt_u32_max(xt_u32_max(sent - m->first_us, now_us - m->delivered_us), 1),
        .delivered = r->delivered - m->delivered,
        .prior = m->delivered,
        .limited = r->mark_limited >> i & 1,
    };
    r->first_us = sent;
    return rs;
}

/* To whom the sample is of use. */
static inline void xt_step_hand_over(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_rate_sample rs)
{
    const struct xt_cc *cc = xt_cc_of(c);
    if (cc->sample)
        cc->sample(c, ctx, &rs);
    else if (c->ssthresh >= XT_CWND_MAX && cc->rtt)
        cc->rtt(c, rs.rtt_us);
}

#endif
