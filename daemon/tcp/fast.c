/* SPDX-License-Identifier: Apache-2.0
 * The fast way through SEGMENT ARRIVES, by prediction (V. Jacobson, "4BSD TCP Header Prediction", 1990): most segments of a bulk
 * transfer are the next text in order, or the ACK of what is in flight, on a connection of which nothing else is to be said. What
 * such a segment does not touch is not looked at. Whatever else it is goes the long way (input.c), and both ways leave
 * the same record behind: tests run them side by side. */
#include "daemon/tcp/both.h"
#include "daemon/tcp/internal.h"

/* What makes one of the long way's questions have another answer than the usual one. */
#define UNUSUAL (XT_CF_FIN_SEEN | XT_CF_PROBE | XT_CF_RESET | XT_CF_MORE | XT_CF_TLP | XT_CF_REO_ROUND)

/* Open, so that neither end has said its FIN or was closed; and nothing lost, SACKed, probed or marked by the network. */
static bool is_usual(const struct xt_conn *c)
{
    return c->state == XT_ESTABLISHED && c->ca_state == XT_CA_OPEN && !(c->cflags & UNUSUAL) &&
           !(c->pending & (uint16_t)~XT_PEND_ACK) && !(c->ecn & XT_CE_OK) && !c->board && !c->mss_probe &&
           !xt_timer_on(c, XT_TIMER_PERSIST) && !c->tally.rto_since_ms;
}

/* The next in order within the window, without more to say than ACK. */
static bool is_next(const struct xt_in *in)
{
    const struct xt_conn *c = in->c;
    const struct xt_tcp_opts *opt = &in->seg->opt;
    if ((in->flags & (uint8_t)~XT_TH_PSH) != XT_TH_ACK || in->seq != c->rcv_nxt || opt->nsack)
        return false;
    return !(c->opts & XT_OPT_TS) || ((opt->present & XT_OPT_TS) && !xt_seq_lt(opt->tsval, c->ts_recent));
}

/* Text that fits, with nothing out of order before it, and no news of what we sent. */
static bool is_text(const struct xt_in *in)
{
    const struct xt_conn *c = in->c;
    return in->len <= xt_rcv_wnd(c) && in->seg->ack == c->snd_una && !c->n_ooo && in->ctx->rx && c->rx_size &&
           in->len <= xt_rcv_space(c) && c->rate.delivered == (uint32_t)c->tx_una;
}

/* Nothing but the ACK of what is in flight. */
static bool is_ack(const struct xt_in *in)
{
    const struct xt_conn *c = in->c;
    uint32_t ack = in->seg->ack;
    return xt_seq_gt(ack, c->snd_una) && xt_seq_le(ack, c->snd_nxt) && xt_has_rack(c);
}

static bool fast(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    if (!is_usual(c) || !is_next(in) || !(in->len ? is_text(in) : is_ack(in)))
        return false;
    c->t_rcv_ms = xt_now_ms(in->ctx);
    c->keep_probes = 0;
    if (in->len)
        xt_fast_window(in);
    else
        xt_fast_ack(in);
    if ((c->opts & XT_OPT_TS) && xt_seq_le(in->seq, c->last_ack_sent)) {
        c->ts_recent = in->seg->opt.tsval;
        c->ts_recent_ms = c->t_rcv_ms;
    }
    if (in->len)
        xt_fast_text(in);
    return true;
}

#ifndef XT_TCP_BOTH
bool xt_in_fast(struct xt_in *in)
{
    return fast(in);
}
#else
bool xt_in_fast(struct xt_in *in)
{
    struct xt_both b;
    struct xt_in slow = *in;
    xt_both_begin(&b, in->c, in->ctx);
    slow.c = &b.conn;
    slow.ctx = &b.ctx;
    if (!fast(in))
        return false;
    xt_in_slow(&slow);
    xt_both_end(&b, in->c, in->ctx, "input", in->ev == slow.ev && in->reset == slow.reset);
    return true;
}
#endif
