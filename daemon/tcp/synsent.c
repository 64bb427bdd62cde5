/* SPDX-License-Identifier: Apache-2.0
 * SEGMENT ARRIVES, SYN-SENT state (RFC 9293 section 3.10.7.3). */
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rtt.h"

#define SYN_AGAIN_US 10000 /* after a bad ACK: behind our reset */

/* Our SYN is acknowledged: ESTABLISHED. */
static void connected(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    c->snd_una = in->seg->ack;
    if (c->rtt_start)
        xt_tcp_rtt_sample(c, in->ctx->cfg, (uint32_t)in->ctx->now_us - c->rtt_start);
    c->rtt_start = 0;
    xt_fo_synack(in);
    in->ev |= xt_open_established(c, in->ctx, XT_FSM_RCV_SYN_ACK);
    c->pending |= XT_PEND_ACK;
    in->flags &= (uint8_t)~XT_TH_SYN;
    in->seq++;
    uint32_t wnd = xt_rcv_wnd(c);
    if (in->len > wnd) {
        in->len = wnd;
        in->flags &= (uint8_t)~XT_TH_FIN;
        in->ctx->stats->trim_window++;
    }
    xt_in_rest(in);
}

/* Both ends opened at once: answer with SYN+ACK, the same SYN again (MUST-10). */
static void simultaneous(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    /* What our SYN carried goes again after the handshake: the peer's SYN crossed it, and says nothing of it. */
    c->snd_nxt = c->iss + 1;
    c->fo = 0;
    in->ev |= xt_fsm_post(c, in->ctx, XT_FSM_RCV_SYN);
    xt_timer_stop(c, XT_TIMER_RTO);
    c->rtt_start = 0;
    c->timeouts = 0;
    c->pending |= XT_PEND_SYN;
}

void xt_in_syn_sent(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    bool ack = in->flags & XT_TH_ACK;
    /* first: the ACK bit. ISS + 1 is SND.NXT, unless the SYN carried data. */
    if (ack && (xt_seq_le(in->seg->ack, c->iss) || xt_seq_gt(in->seg->ack, c->snd_nxt))) {
        in->ctx->stats->drop_ack++;
        in->reset = xt_tcp_reset_for(in->seg, in->reply);
        in->ctx->stats->resets_sent += in->reset;
        /* Our reset ends the peer's old connection, half open or in TIME_WAIT: the SYN is worth sending again, once. */
        if (c->timeouts == 0 && xt_timer_on(c, XT_TIMER_RTO) &&
            xt_timer_at(c, XT_TIMER_RTO, in->ctx->now_us) > in->ctx->now_us + SYN_AGAIN_US)
            xt_timer_set(c, XT_TIMER_RTO, in->ctx->now_us + SYN_AGAIN_US);
        return;
    }
    /* second: the RST bit */
    if (in->flags & XT_TH_RST) {
        if (!ack) {
            in->ctx->stats->drop_rst++;
            return;
        }
        in->ctx->stats->resets_received++;
        c->err = ECONNREFUSED;
        in->ev |= XT_EV_ERROR | xt_fsm_post(c, in->ctx, XT_FSM_RCV_RST);
        return;
    }
    /* fourth: the SYN bit */
    if (!(in->flags & XT_TH_SYN)) {
        in->ctx->stats->drop_syn_sent++;
        return;
    }
    if (c->fo & XT_FO_DEFER) {
        in->ctx->stats->drop_syn_sent++; /* a SYN of the peer that met none of ours: as if we were CLOSED */
        return;
    }
    c->t_rcv_ms = xt_now_ms(in->ctx);
    xt_open_negotiate(c, in->ctx, in->seg);
    if (ack)
        connected(in);
    else
        simultaneous(in);
}
