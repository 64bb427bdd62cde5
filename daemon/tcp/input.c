/* SPDX-License-Identifier: Apache-2.0
 * SEGMENT ARRIVES, other states (RFC 9293 section 3.10.7.4), in its order: sequence number, RST, SYN, ACK, URG, text, FIN. */
#include "daemon/tcp/internal.h"
#include "daemon/tcp/sack.h"

/* An older time stamp than TS.Recent, unless that one is so old itself that it says nothing (RFC 7323 section 5.5). */
static bool ts_is_old(const struct xt_in *in)
{
    const struct xt_conn *c = in->c;
    return xt_seq_lt(in->seg->opt.tsval, c->ts_recent) && xt_now_ms(in->ctx) - c->ts_recent_ms <= XT_PAWS_IDLE_MS;
}

/* PAWS, before all else (RFC 7323 sections 3.2 and 5.3). SYNs go on to their challenge, resets have their own test. */
static bool check_paws(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    const struct xt_tcp_opts *opt = &in->seg->opt;
    if (!(c->opts & XT_OPT_TS) || (in->flags & (XT_TH_RST | XT_TH_SYN)))
        return true;
    if (!(opt->present & XT_OPT_TS)) {
        in->ctx->stats->drop_no_ts++;
        return false;
    }
    if (!ts_is_old(in))
        return true;
    in->ctx->stats->drop_paws++;
    if (in->len > 0) {
        c->pending |= XT_PEND_DUP; /* data is no part of a loop of ACKs */
        in->ev |= XT_EV_ACK_NOW;
    } else {
        in->ev |= xt_window_challenge(c, in->ctx);
    }
    return false;
}

/* A segment outside the window is answered with an ACK: always when it carries something, since the ACK of it may have been
 * lost; otherwise at a limited rate, so that two ends never answer each other for ever. */
static bool unacceptable(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    in->ctx->stats->drop_seq++;
    if ((in->flags & XT_TH_FIN) && c->state == XT_TIME_WAIT)
        xt_timer_set(c, XT_TIMER_WAIT, in->ctx->now_us + 2 * in->ctx->cfg->msl);
    if ((in->len == 0 && !(in->flags & XT_TH_FIN)) || (in->flags & XT_TH_SYN)) {
        in->ev |= xt_window_challenge(c, in->ctx);
        return false;
    }
    if (in->len > 0 && xt_seq_lt(in->seq, c->rcv_nxt)) {
        /* It was sent again: the peer has slowed down. */
        c->cflags &= ~(uint32_t)XT_CF_DIALOGUE;
        xt_window_quick_acks(c, in->ctx->cfg);
    }
    if (in->len > 0 && xt_seq_le(in->seq + in->len, c->rcv_nxt))
        xt_sack_duplicate(c, in->seq, in->seq + in->len);
    c->pending |= XT_PEND_DUP;
    in->ev |= XT_EV_ACK_NOW;
    return false;
}

/* Cuts off what lies outside the window. */
static void trim(struct xt_in *in, uint32_t wnd)
{
    struct xt_conn *c = in->c;
    if (xt_seq_lt(in->seq, c->rcv_nxt)) {
        uint32_t old = xt_u32_min(c->rcv_nxt - in->seq, in->len);
        if (old > 0)
            xt_sack_duplicate(c, in->seq, in->seq + old);
        c->pending |= XT_PEND_ACK;
        in->skip += old;
        in->len -= old;
        in->seq = c->rcv_nxt;
    }
    uint32_t fits = c->rcv_nxt + wnd - in->seq;
    if (in->len > fits) {
        in->ctx->stats->trim_window++;
        in->len = fits;
        in->flags &= (uint8_t)~XT_TH_FIN;
        c->pending |= XT_PEND_ACK;
    }
}

/* The SYN that made this connection, again. With an ACK it is the other half of a simultaneous open, and what follows the
 * SYN counts (RFC 9293 figure 8); without, our SYN+ACK was lost. */
static bool syn_again(struct xt_in *in)
{
    if (in->flags & XT_TH_ACK) {
        in->flags &= (uint8_t)~XT_TH_SYN;
        in->seq++;
        in->c->pending |= XT_PEND_ACK;
        return true;
    }
    in->c->pending |= XT_PEND_SYN;
    return false;
}

static bool check_seq(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    uint32_t wnd = xt_rcv_wnd(c);
    if (in->seq == c->rcv_nxt && in->len <= wnd && !(in->flags & XT_TH_SYN))
        return true;
    int32_t off = (int32_t)(in->seq - c->rcv_nxt);
    if (in->flags & XT_TH_RST) {
        if (off == 0 || (off > 0 && (uint32_t)off < wnd))
            return true;
        in->ctx->stats->drop_rst++;
        return false;
    }
    if ((in->flags & XT_TH_SYN) && in->seq == c->irs && xt_syn_in_flight(c))
        return syn_again(in) && check_seq(in);
    if (wnd == 0 && off == 0 && !(in->flags & XT_TH_SYN)) {
        /* A probe of our closed window: its ACK and URG count all the same (MUST-66). */
        in->len = 0;
        in->flags &= (uint8_t)~XT_TH_FIN;
        c->pending |= XT_PEND_DUP;
        in->ev |= XT_EV_ACK_NOW;
        return true;
    }
    uint32_t n = in->len + ((in->flags & XT_TH_SYN) != 0) + ((in->flags & XT_TH_FIN) != 0);
    if (n == 0) {
        /* The right edge itself is let in: there stands what a peer sends after data that filled the window and was lost,
         * and its ACK must count (RFC 9293 appendix A.2). */
        return off >= 0 && (uint32_t)off <= wnd ? true : unacceptable(in);
    }
    if ((off >= 0 && (uint32_t)off >= wnd) || (off < 0 && (int32_t)(off + n) <= 0))
        return unacceptable(in);
    if (!(in->flags & XT_TH_SYN))
        trim(in, wnd);
    return true;
}

/* RFC 7323 section 4.3 (3): only segments that reach back to the last ACK sent move TS.Recent. And only those with a good ACK,
 * so that blind injection cannot set it ahead and have PAWS drop what the peer sends. */
static void update_ts_recent(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    const struct xt_seg *seg = in->seg;
    if (!(c->opts & XT_OPT_TS) || !(seg->opt.present & XT_OPT_TS))
        return;
    if (xt_seq_le(seg->seq, c->last_ack_sent) && !ts_is_old(in)) {
        c->ts_recent = seg->opt.tsval;
        c->ts_recent_ms = xt_now_ms(in->ctx);
    }
}

/* An acceptable reset ends the connection; only an exact one is believed (RFC 5961 section 3.2). */
static bool check_rst(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    if (!(in->flags & XT_TH_RST))
        return true;
    if (in->seq != c->rcv_nxt) {
        in->ctx->stats->drop_rst++;
        in->ev |= xt_window_challenge(c, in->ctx);
        return false;
    }
    in->ctx->stats->resets_received++;
    switch (c->state) {
    case XT_SYN_RECV:
        /* A passive open goes back to its listener, and the user need not be informed. */
        if (c->fo & XT_FO_CHILD)
            c->err = ECONNRESET; /* which the application has already */
        else if (!(c->cflags & XT_CF_PASSIVE))
            c->err = ECONNREFUSED;
        break;
    case XT_CLOSE_WAIT:
        c->err = EPIPE; /* reading is over already: as Linux says it */
        break;
    case XT_TIME_WAIT:
        break;
    default: /* CLOSING and LAST_ACK too: what we sent may not have arrived */
        c->err = ECONNRESET;
    }
    if (c->err)
        in->ev |= XT_EV_ERROR;
    in->ev |= xt_fsm_post(c, in->ctx, XT_FSM_RCV_RST);
    return false;
}

/* A SYN inside a connection: a challenge ACK brings a peer that lost its state to send a reset (RFC 5961 section 4). A
 * passive open that is not complete returns to its listener (RFC 9293 section 3.10.7.4), silently: Linux sends a reset, which refuses
 * the peer a connection that its next SYN would get. */
static bool check_syn(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    if (!(in->flags & XT_TH_SYN))
        return true;
    bool opening = c->state == XT_SYN_RECV && (c->cflags & XT_CF_PASSIVE) && !(c->fo & XT_FO_CHILD);
    in->ev |= opening ? xt_fsm_post(c, in->ctx, XT_FSM_ABORT) : xt_window_challenge(c, in->ctx);
    return false;
}

static void step_urg(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    if (!(in->flags & XT_TH_URG) ||
        (c->state != XT_ESTABLISHED && c->state != XT_FIN_WAIT1 && c->state != XT_FIN_WAIT2))
        return;
    int32_t ahead = (int32_t)(in->seg->seq + in->seg->urp - c->rcv_nxt);
    uint64_t up = c->rx_head + (uint64_t)(int64_t)ahead;
    if ((int64_t)(up - c->rx_tail) <= 0 || up <= xt_rx_urg(c))
        return;
    xt_set_rx_urg(c, up);
    in->ev |= XT_EV_URGENT;
}

static void step_fin(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    if ((in->flags & XT_TH_FIN) && !(c->cflags & XT_CF_FIN_SEEN)) {
        c->rcv_fin = in->seq + in->len;
        c->cflags |= XT_CF_FIN_SEEN;
    }
    if ((c->cflags & (XT_CF_FIN_SEEN | XT_CF_FIN_RCVD)) != XT_CF_FIN_SEEN)
        return;
    if (c->rcv_nxt != c->rcv_fin) {
        if (in->flags & XT_TH_FIN) {
            c->pending |= XT_PEND_DUP;
            in->ev |= XT_EV_ACK_NOW;
        }
        return;
    }
    c->cflags |= XT_CF_FIN_RCVD;
    c->rcv_nxt++;
    c->rcv_adv = xt_seq_max(c->rcv_adv, c->rcv_nxt);
    c->pending |= XT_PEND_ACK;
    in->ev |= XT_EV_PEER_FIN | xt_fsm_post(c, in->ctx, XT_FSM_RCV_FIN);
}

/* Sixth to eighth: what may follow a valid ACK, on the SYN+ACK too. */
void xt_in_rest(struct xt_in *in)
{
    step_urg(in);
    xt_in_text(in);
    if (in->c->state >= XT_ESTABLISHED)
        step_fin(in);
}

/* A SYN for a connection in TIME_WAIT may open a new one when it is surely new (RFC 6191 section 2). */
static bool timewait_reuse(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    const struct xt_tcp_opts *opt = &in->seg->opt;
    bool newer = xt_seq_gt(in->seq, c->rcv_nxt);
    if ((c->opts & XT_OPT_TS) && (opt->present & XT_OPT_TS) && opt->tsval != c->ts_recent)
        newer = xt_seq_gt(opt->tsval, c->ts_recent);
    if (!newer)
        return false;
    c->isn_floor = c->snd_nxt + 65537; /* beyond any window of the old connection that was not scaled */
    in->ctx->stats->time_wait_reused++;
    in->ev |= XT_EV_TIME_WAIT | xt_fsm_post(c, in->ctx, XT_FSM_REUSE);
    return true;
}

static void synchronised(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    if (c->state == XT_TIME_WAIT && (in->flags & (XT_TH_SYN | XT_TH_ACK | XT_TH_RST)) == XT_TH_SYN &&
        timewait_reuse(in))
        return;
    if (!check_paws(in) || !check_seq(in))
        return;
    if (!check_rst(in) || !check_syn(in))
        return;
    c->t_rcv_ms = xt_now_ms(in->ctx);
    c->keep_probes = 0;
    if (!xt_in_check_ack(in))
        return;
    if (c->cflags & XT_CF_MORE)
        xt_more_over(c); /* as on Linux: an ACK asks for whatever Nagle's algorithm allows */
    update_ts_recent(in);
    if (c->ecn & XT_CE_OK)
        xt_ecn_received(in);
    xt_in_rest(in);
}

uint32_t xt_in_slow(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg, struct xt_seg *reply,
                    int *reply_len)
{
    struct xt_in in = {
        .c = c,
        .ctx = ctx,
        .seg = seg,
        .seq = seg->seq,
        .len = seg->len,
        .flags = seg->flags,
        .reply = reply,
    };
    if (c->state <= XT_LISTEN)
        ctx->stats->drop_closed++;
    else if (c->pending & XT_PEND_RST || c->cflags & XT_CF_RESET)
        ctx->stats->drop_rst_pending++;
    else if (c->state == XT_SYN_SENT)
        xt_in_syn_sent(&in);
    else
        synchronised(&in);
    *reply_len = in.reset;
    return in.ev;
}
