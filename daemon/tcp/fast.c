/* SPDX-License-Identifier: Apache-2.0
 * The fast way through SEGMENT ARRIVES, by prediction (V. Jacobson, "4BSD TCP Header Prediction", 1990): most segments are the
 * next text in order, or acknowledge what is in flight, or both, on a connection of which nothing else is to be said. What
 * such a segment does not touch is not looked at. Whatever else it is goes the long way (input.c), and both ways leave
 * the same record behind: tests run them side by side. */
#include "daemon/tcp/both.h"
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rate.h"
#include "daemon/tcp/seam.h"
#include "daemon/tcp/step.h"

/* What makes one of the long way's questions have another answer than the usual one. */
#define UNUSUAL (XT_CF_SHUT | XT_CF_FIN_SEEN | XT_CF_PROBE | XT_CF_RESET | XT_CF_MORE | XT_CF_TLP | XT_CF_REO_ROUND)

/* Open, so that neither end has said its FIN or was closed; and nothing lost, SACKed, probed or marked by the network. */
static bool is_usual(const struct xt_conn *c)
{
    uint64_t odd = (c->cflags & UNUSUAL) | (c->pending & (uint16_t)~XT_PEND_ACK) | (c->ecn & XT_CE_OK) | c->mss_probe |
                   c->tally.rto_since_ms | (uint64_t)c->board | c->timer[XT_TIMER_PERSIST];
    return c->state == XT_ESTABLISHED && c->ca_state == XT_CA_OPEN && odd == 0;
}

/* The next in order, without more to say than ACK. */
static bool is_next(const struct xt_conn *c, const struct xt_seg *seg)
{
    const struct xt_tcp_opts *opt = &seg->opt;
    if ((seg->flags & (uint8_t)~XT_TH_PSH) != XT_TH_ACK || seg->seq != c->rcv_nxt || opt->nsack)
        return false;
    return !(c->opts & XT_OPT_TS) || ((opt->present & XT_OPT_TS) && !xt_seq_lt(opt->tsval, c->ts_recent));
}

/* There is room for the text, in the window and in the ring, and nothing came out of order before it. */
static bool fits(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg)
{
    return seg->len <= xt_rcv_wnd(c) && !c->n_ooo && ctx->rx && c->rx_head - c->rx_tail + seg->len <= c->rx_size;
}

/* Says the segment that something of what is in flight has arrived? */
static bool is_news(const struct xt_conn *c, uint32_t ack)
{
    return xt_seq_gt(ack, c->snd_una) && xt_seq_le(ack, c->snd_nxt) && xt_has_rack(c);
}

/* An ACK that is no news: the window moves along. */
static inline void same_ack(struct xt_conn *c, const struct xt_seg *seg)
{
    if (!xt_seq_lt(c->snd_wl1, seg->seq) && !(c->snd_wl1 == seg->seq && xt_seq_le(c->snd_wl2, seg->ack)))
        return;
    xt_step_window(c, (uint32_t)seg->wnd << c->snd_wscale, seg->seq, seg->ack);
    c->probes = 0;
}

/* The first stretch has arrived, there are others. Was it cut off the next? (is_part() of rack.c) */
static __attribute__((noinline)) uint32_t drop_first(struct xt_conn *c)
{
    struct xt_flight *s = c->sent;
    uint32_t tick = s->tick;
    memmove(s, s + 1, c->n_sent * sizeof *s);
    return XT_CF_RACK | (s->state == XT_SENT_FLIGHT && s->tick == tick ? XT_CF_RACK_BLUR : 0u);
}

/* `ack` ends in or with the first stretch of what is in flight, which was sent once, and later than all that was delivered before.
 * Then RACK need not look for losses: what is in flight still left later. False: nothing was done. */
static inline bool rack_in_order(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t ack)
{
    struct xt_flight *s = c->sent;
    uint32_t rtt = (uint32_t)xt_sent_diff(xt_sent_tick(ctx->now_us), s->tick);
    if (c->n_sent == 0 || s->state != XT_SENT_FLIGHT || xt_seq_gt(ack, s->end) || rtt > XT_RACK_RTT_MAX_US)
        return false;
    if (c->cflags & XT_CF_RACK) {
        int32_t later = xt_sent_diff(s->tick, c->rack_tick);
        if (xt_seq_lt(ack, c->rack_fack) || later < 0 || (later == 0 && xt_seq_le(ack, c->rack_end)))
            return false;
    }
    uint32_t flags = XT_CF_RACK | XT_CF_RACK_BLUR;
    c->rack_fack = c->rack_end = ack;
    c->rack_tick = s->tick;
    c->rack_rtt = rtt;
    c->timer[XT_TIMER_REO] = 0;
    if (ack == s->end) {
        if (--c->n_sent == 0)
            flags = 0;
        else
            flags = drop_first(c);
    }
    c->cflags = (c->cflags & ~(uint32_t)(XT_CF_RACK | XT_CF_RACK_BLUR)) | flags;
    return true;
}

/* RACK the long way, behind an ACK that moved SND.UNA from `una`; returns the segments that arrived. */
static __attribute__((noinline)) uint32_t rack_at_length(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                         const struct xt_seg *seg, uint32_t una)
{
    struct xt_ack a;
    xt_recovery_begin(&a, c, ctx, seg);
    xt_recovery_advance(&a, una);
    xt_rack_detect(c, ctx);
    return a.segs;
}

static inline uint32_t arrived(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg, uint32_t una)
{
    if (!rack_in_order(c, ctx, seg->ack))
        return rack_at_length(c, ctx, seg, una);
    if (c->n_seam && xt_seq_lt(c->seam[0], seg->ack))
        return xt_seam_segments(c, una, seg->ack);
    return (seg->ack - una + c->mss_eff - 1) / c->mss_eff;
}

/* Nothing is in flight any longer. */
static inline void all_acked(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t now_ms)
{
    struct xt_rate *r = &c->rate;
    uint32_t now_us = (uint32_t)ctx->now_us;
    struct xt_rate_sample rs = {.newly = xt_step_delivered(c, now_us, 0)};
    c->timer[XT_TIMER_RTO] = c->timer[XT_TIMER_PTO] = 0;
    c->n_seam = 0;
    if (r->n) {
        xt_step_read_mark(r, r->n - 1u, now_us, &rs);
        r->n = 0;
    }
    xt_step_sample(c, ctx, &rs);
    if (c->snd_una == xt_data_end(c))
        xt_tally_become(c, now_ms, XT_BUSY_NOT);
}

static void part_acked(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    xt_timer_rto_arm(c, ctx);
    xt_rack_pto_arm(c, ctx);
    xt_seam_prune(c);
    xt_rate_acked(c, ctx);
}

/* The ACK of something in flight. */
static inline void new_ack(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg, uint32_t now_ms)
{
    uint32_t una = c->snd_una, ack = seg->ack;
    xt_step_measure(c, ctx, seg);
    c->tx_una += ack - una;
    c->snd_una = ack;
    c->snd_sml = xt_seq_max(c->snd_sml, ack);
    c->timeouts = 0;
    c->t_progress_ms = now_ms;
    xt_step_window(c, (uint32_t)seg->wnd << c->snd_wscale, seg->seq, ack);
    c->probes = 0;
    c->tally.delivered += arrived(c, ctx, seg, una);
    if (c->cflags & XT_CF_CWND_LIM)
        xt_cc_of(c)->acked(c, ctx, ack - una);
    if (ack == c->snd_nxt)
        all_acked(c, ctx, now_ms);
    else
        part_acked(c, ctx);
}

/* After the ACK, before text. */
static inline void note(struct xt_conn *c, const struct xt_seg *seg, uint32_t now_ms)
{
    c->t_rcv_ms = now_ms;
    c->keep_probes = 0;
    if ((c->opts & XT_OPT_TS) && xt_seq_le(seg->seq, c->last_ack_sent)) {
        c->ts_recent = seg->opt.tsval;
        c->ts_recent_ms = now_ms;
    }
}

static __attribute__((noinline)) uint32_t take_ack(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                   const struct xt_seg *seg)
{
    uint32_t now_ms = xt_now_ms(ctx);
    note(c, seg, now_ms);
    new_ack(c, ctx, seg, now_ms);
    return XT_EV_WRITABLE;
}

static inline void put(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg)
{
    uint32_t at = (uint32_t)c->rx_head & (c->rx_size - 1);
    if (seg->part || seg->len > c->rx_size - at)
        xt_text_put(c, ctx->rx, seg, 0, c->rx_head, seg->len);
    else if (seg->payload != ctx->rx + at)
        memcpy(ctx->rx + at, seg->payload, seg->len);
}

static __attribute__((noinline)) uint32_t take_text(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                    const struct xt_seg *seg)
{
    put(c, ctx, seg);
    uint32_t now_ms = xt_now_ms(ctx);
    same_ack(c, seg);
    note(c, seg, now_ms);
    xt_step_arrival(c, ctx, seg, now_ms);
    c->rx_head += seg->len;
    c->rcv_nxt += seg->len;
    c->ooo_acks = 0;
    xt_step_ack_data(c, ctx, seg->len, seg->gso_size);
    return XT_EV_READABLE;
}

static __attribute__((noinline)) uint32_t take_both(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                    const struct xt_seg *seg)
{
    return take_ack(c, ctx, seg) | take_text(c, ctx, seg);
}

enum kind { LONG, ACK, TEXT, ACK_AND_TEXT };

/* LONG: the segment goes the long way. */
static inline enum kind predict(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg)
{
    if (!is_usual(c) || !is_next(c, seg))
        return LONG;
    if (seg->len == 0)
        return is_news(c, seg->ack) ? ACK : LONG;
    if (!fits(c, ctx, seg))
        return LONG;
    if (seg->ack == c->snd_una)
        return c->rate.delivered == (uint32_t)c->tx_una ? TEXT : LONG;
    return is_news(c, seg->ack) ? ACK_AND_TEXT : LONG;
}

static inline uint32_t take(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg, enum kind kind)
{
    if (kind == ACK)
        return take_ack(c, ctx, seg);
    if (kind == TEXT)
        return take_text(c, ctx, seg);
    return take_both(c, ctx, seg);
}

uint32_t xt_tcp_input(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg, struct xt_seg *reply,
                      int *reply_len)
{
    ctx->stats->segs_in++;
    c->segs_in++;
    enum kind kind = predict(c, ctx, seg);
    if (kind == LONG)
        return xt_in_slow(c, ctx, seg, reply, reply_len);
    *reply_len = 0;
#ifndef XT_TCP_BOTH
    return take(c, ctx, seg, kind);
#else
    struct xt_both b;
    xt_both_begin(&b, c, ctx);
    uint32_t ev = take(c, ctx, seg, kind), slow = xt_in_slow(&b.conn, &b.ctx, seg, reply, reply_len);
    xt_both_end(&b, c, ctx, "input", ev == slow && !*reply_len);
    return ev;
#endif
}
