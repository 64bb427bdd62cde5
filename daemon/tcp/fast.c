/* SPDX-License-Identifier: Apache-2.0
 * The fast way through SEGMENT ARRIVES, by prediction (V. Jacobson, "4BSD TCP Header Prediction", 1990): most segments are the
 * next text in order, or acknowledge what is in flight, or both, on a connection of which nothing else is to be said. What
 * such a segment does not touch is not looked at. Whatever else it is goes the long way (input.c), and both ways leave
 * the same record behind: tests run them side by side. */
#include "daemon/base/macros.h"
#include "daemon/tcp/both.h"
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rate.h"
#include "daemon/tcp/seam.h"
#include "daemon/tcp/step.h"

/* What makes one of the long way's questions have another answer than the usual one. */
#define UNUSUAL (XT_CF_SHUT | XT_CF_FIN_SEEN | XT_CF_PROBE | XT_CF_RESET | XT_CF_MORE | XT_CF_TLP | XT_CF_REO_ROUND)

/* Open, so that neither end has said its FIN or was closed; and nothing lost, SACKed or marked by the network. */
static inline bool is_usual(const struct xt_conn *c)
{
    return c->state == XT_ESTABLISHED && c->ca_state == XT_CA_OPEN && !(c->cflags & UNUSUAL) &&
           !(c->pending & (uint16_t)~XT_PEND_ACK) && !(c->ecn & XT_CE_OK) && !xt_timer_on(c, XT_TIMER_PERSIST);
}

/* The next in order, without more to say than ACK. */
static inline bool is_next(const struct xt_conn *c, const struct xt_seg *seg)
{
    const struct xt_tcp_opts *opt = &seg->opt;
    if ((seg->flags & (uint8_t)~XT_TH_PSH) != XT_TH_ACK || seg->seq != c->rcv_nxt || opt->nsack)
        return false;
    return !(c->opts & XT_OPT_TS) || ((opt->present & XT_OPT_TS) && !xt_seq_lt(opt->tsval, c->ts_recent));
}

/* There is room for the text, in the window and in the ring, and nothing came out of order before it. */
static inline bool fits(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg)
{
    return seg->len <= xt_rcv_wnd(c) && !c->n_ooo && ctx->rx && c->rx_head - c->rx_tail + seg->len <= c->rx_size;
}

/* Says the segment that something of what is in flight has arrived? Not of one that tries the path's MTU. */
static inline bool is_news(const struct xt_conn *c, uint32_t ack)
{
    return xt_seq_gt(ack, c->snd_una) && xt_seq_le(ack, c->snd_nxt) && xt_has_rack(c) && !c->mss_probe;
}

/* After the ACK, before text: the segment is at RCV.NXT. */
static inline void note(struct xt_conn *c, const struct xt_seg *seg, uint32_t now_ms)
{
    c->t_rcv_ms = now_ms;
    c->keep_probes = 0;
    if (XT_LIKELY(c->opts & XT_OPT_TS) && c->rcv_nxt == c->last_ack_sent) {
        c->ts_recent = seg->opt.tsval;
        c->ts_recent_ms = now_ms;
    }
}

/* Is `s`, which arrived up to `ack`, something that RACK need not look for losses for? Sent once, and later than all that was
 * delivered before: then what is in flight still left later. */
static inline bool in_order(struct xt_conn *c, const struct xt_flight *s, uint32_t ack, uint32_t rtt)
{
    if (s->state != XT_SENT_FLIGHT || rtt > XT_RACK_RTT_MAX_US)
        return false;
    if (!(c->cflags & XT_CF_RACK))
        return true;
    int32_t later = xt_sent_diff(s->tick, c->rack_tick);
    return !xt_seq_lt(ack, c->rack_fack) && (later > 0 || (later == 0 && xt_seq_gt(ack, c->rack_end)));
}

/* `s` is what arrived last, up to `ack`. */
static inline void rack_note(struct xt_conn *c, const struct xt_flight *s, uint32_t ack, uint32_t rtt)
{
    c->rack_tick = s->tick;
    c->rack_fack = c->rack_end = ack;
    c->rack_rtt = rtt;
    xt_timer_stop(c, XT_TIMER_REO);
}

static inline uint32_t age(const struct xt_tcp_ctx *ctx, const struct xt_flight *s)
{
    return (uint32_t)xt_sent_diff(xt_sent_tick(ctx->now_us), s->tick);
}

/* RACK the long way, behind an ACK that moved SND.UNA from `una`. */
static __attribute__((noinline)) void rack_at_length(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                     const struct xt_seg *seg, uint32_t una)
{
    struct xt_ack a;
    xt_recovery_begin(&a, c, ctx, seg);
    xt_recovery_advance(&a, una);
    xt_rack_detect(c, ctx);
}

static inline const struct xt_flight *last_stretch(const struct xt_conn *c)
{
    return xt_sent_list(c) + c->n_sent - 1;
}

/* Takes all stretches before `s` off the list. */
static inline void drop_before(struct xt_conn *c, const struct xt_flight *s)
{
    struct xt_flight *list = xt_sent_list(c);
    if (s == list)
        return;
    c->n_sent = (uint8_t)(c->n_sent - (s - list));
    if (c->n_sent)
        memmove(list, s, c->n_sent * sizeof *s);
}

/* The first stretch that did not arrive before `ack`, after others that all were sent once. NULL: that is not so. */
static inline const struct xt_flight *stretch_at(const struct xt_conn *c, uint32_t una, uint32_t ack)
{
    const struct xt_flight *s = xt_sent_list(c), *last = last_stretch(c);
    if (c->n_sent == 0)
        return NULL;
    if (xt_seq_lt(s->end, ack) && (c->cflags & XT_CF_RACK) && xt_seq_lt(una, c->rack_fack))
        return NULL;
    for (; xt_seq_lt(s->end, ack); s++)
        if (s->state != XT_SENT_FLIGHT || s == last)
            return NULL;
    return s;
}

/* RACK's part of the ACK: the list. */
static inline void rack(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg, uint32_t una)
{
    uint32_t ack = c->snd_una, flags = c->cflags & ~(uint32_t)(XT_CF_RACK | XT_CF_RACK_BLUR);
    const struct xt_flight *s = stretch_at(c, una, ack);
    if (XT_UNLIKELY(!s || !in_order(c, s, ack, age(ctx, s)))) {
        rack_at_length(c, ctx, seg, una);
        return;
    }
    rack_note(c, s, ack, age(ctx, s));
    if (s->end != ack) {
        c->cflags = flags | XT_CF_RACK | XT_CF_RACK_BLUR;
    } else if (s++ == last_stretch(c)) {
        c->cflags = flags;
    } else {
        bool cut = s->state == XT_SENT_FLIGHT && s->tick == s[-1].tick; /* is_part() of rack.c */
        c->cflags = flags | XT_CF_RACK | (cut ? XT_CF_RACK_BLUR : 0u);
    }
    drop_before(c, s);
}

/* Nothing is in flight any longer. */
static inline void none_left(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    xt_timer_stop_both(c, XT_TIMER_RTO, XT_TIMER_PTO);
    c->n_seam = 0;
    if (c->snd_nxt == xt_data_end(c))
        xt_tally_become(c, xt_now_ms(ctx), XT_BUSY_NOT);
}

/* Something still is. */
static inline void some_left(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    xt_timer_rto_arm(c, ctx);
    if (c->snd_wnd > 0)
        xt_rack_pto_set(c, ctx);
    else
        xt_timer_stop(c, XT_TIMER_PTO);
    if (c->n_seam)
        xt_seam_prune(c);
}

/* What an ACK that moved SND.UNA from `una` means for what is in flight, congestion control and the rate. */
static __attribute__((noinline)) uint32_t arrived(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                  const struct xt_seg *seg, uint32_t una)
{
    rack(c, ctx, seg, una);
    if (c->cflags & XT_CF_CWND_LIM)
        xt_cc_of(c)->acked(c, ctx, c->snd_una - una);
    if (c->snd_una == c->snd_nxt)
        none_left(c, ctx);
    else
        some_left(c, ctx);
    xt_rate_acked(c, ctx);
    return XT_EV_WRITABLE;
}

/* Congestion control may want to know what mark `i` tells; `before`: what was delivered before the ACK. */
static __attribute__((noinline)) uint32_t tell(struct xt_conn *c, const struct xt_tcp_ctx *ctx, unsigned i,
                                               uint32_t before)
{
    uint32_t newly = c->rate.delivered - before;
    xt_step_hand_over(c, ctx, xt_step_read_mark(c, i, (uint32_t)ctx->now_us, newly));
    return XT_EV_WRITABLE;
}

/* Is what is in flight one stretch of which nothing has arrived so far, sent once, and all that was to be sent? */
static inline bool is_one_stretch(const struct xt_conn *c, const struct xt_flight *s, uint32_t rtt)
{
    return c->n_sent == 1 && !(c->cflags & (XT_CF_RACK | XT_CF_RACK_BLUR | XT_CF_CWND_LIM)) && c->rate.n > 0 &&
           s->state == XT_SENT_FLIGHT && rtt <= XT_RACK_RTT_MAX_US && c->snd_nxt == xt_data_end(c) &&
           c->tally.busy == XT_BUSY_NETWORK;
}

/* As arrived(), of an ACK for all that is in flight: in a dialogue that is one stretch, and cwnd no matter. */
static __attribute__((noinline)) uint32_t all_arrived(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                      const struct xt_seg *seg, uint32_t una)
{
    const struct xt_flight *s = xt_sent_list(c);
    uint32_t now_us = (uint32_t)ctx->now_us, rtt = age(ctx, s);
    if (!is_one_stretch(c, s, rtt))
        return arrived(c, ctx, seg, una);
    rack_note(c, s, c->snd_una, rtt);
    xt_timer_stop_both(c, XT_TIMER_RTO, XT_TIMER_PTO);
    c->n_sent = c->n_seam = 0;
    xt_tally_idle(c, xt_now_ms(ctx));
    uint32_t before = c->rate.delivered;
    xt_step_delivered(c, now_us, 0);
    unsigned mark = c->rate.n - 1u;
    struct xt_rate_sample rs = xt_step_read_mark(c, mark, now_us, 0);
    c->rate.n = 0;
    xt_tally_rate(c, &rs);
    return xt_seldom_begun(c) && xt_cc_wants_samples(c) ? tell(c, ctx, mark, before) : XT_EV_WRITABLE;
}

/* The ACK of something in flight. */
static __attribute__((noinline)) uint32_t take_ack(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                   const struct xt_seg *seg)
{
    xt_step_measure(c, ctx, seg);
    uint32_t una = c->snd_una, ack = seg->ack, now_ms = xt_now_ms(ctx);
    note(c, seg, now_ms);
    c->tx_una += ack - una;
    c->snd_una = ack;
    if (xt_seq_lt(c->snd_sml, ack))
        c->snd_sml = ack;
    c->timeouts = c->probes = 0;
    c->t_progress_ms = now_ms;
    xt_step_window(c, (uint32_t)seg->wnd << c->snd_wscale, c->rcv_nxt, ack);
    return ack == c->snd_nxt ? all_arrived(c, ctx, seg, una) : arrived(c, ctx, seg, una);
}

static __attribute__((noinline)) uint32_t put_pieces(const struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                     const struct xt_seg *seg)
{
    xt_text_put(c, ctx->rx, seg, 0, c->rx_head - seg->len, seg->len);
    return XT_EV_READABLE;
}

/* Text that is next in order, with an ACK of SND.UNA, in segments of `gso_size` (0: it is one). It goes to its place last, unless it
 * is there: up to then no call is made that would have to be prepared for. */
static inline __attribute__((always_inline)) uint32_t take_text(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                                const struct xt_seg *seg, uint16_t gso_size)
{
    uint32_t now_ms = xt_now_ms(ctx), len = seg->len, at;
    if (XT_LIKELY(xt_seq_le(c->snd_wl1, c->rcv_nxt))) {
        /* SND.WL2 is not above SND.UNA. */
        xt_step_window(c, (uint32_t)seg->wnd << c->snd_wscale, c->rcv_nxt, c->snd_una);
        c->probes = 0;
    }
    note(c, seg, now_ms);
    xt_step_arrival(c, ctx, len, gso_size, now_ms);
    c->ooo_acks = 0;
    c->rcv_nxt += len;
    xt_step_ack_data(c, ctx, len, gso_size);
    at = (uint32_t)c->rx_head & (c->rx_size - 1);
    c->rx_head += len;
    if (seg->part || len > c->rx_size - at)
        return put_pieces(c, ctx, seg);
    if (seg->payload != ctx->rx + at)
        memcpy(ctx->rx + at, seg->payload, len);
    return XT_EV_READABLE;
}

static __attribute__((noinline)) uint32_t take_super(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                     const struct xt_seg *seg)
{
    return take_text(c, ctx, seg, seg->gso_size);
}

static __attribute__((noinline)) uint32_t take_both(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                    const struct xt_seg *seg)
{
    return take_ack(c, ctx, seg) | take_text(c, ctx, seg, seg->gso_size);
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
        return seg->gso_size ? take_super(c, ctx, seg) : take_text(c, ctx, seg, 0);
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
