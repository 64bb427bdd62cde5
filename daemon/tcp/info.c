/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rtt.h"
#include "daemon/tcp/sent.h"

static void flight(const struct xt_conn *c, struct xt_tcp_info *out)
{
    out->unacked = c->snd_nxt - c->snd_una;
    out->sacked = xt_sent_bytes(c, XT_SENT_BIT(XT_SENT_SACKED));
    out->lost = xt_sent_bytes(c, XT_SENT_ALL_LOST);
    out->retrans = c->retrans;
}

void xt_tcp_info(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_tcp_info *out)
{
    uint32_t now = xt_now_ms(ctx);
    *out = (struct xt_tcp_info){
        .state = c->state,
        .snd_wscale = c->snd_wscale,
        .rcv_wscale = c->rcv_wscale,
        .ca_state = c->ca_state,
        .options = c->opts,
        .backoff = c->backoff,
        .probes = c->probes,
        .cc = c->state >= XT_ESTABLISHED ? c->cc : xt_cc_chosen(c, ctx->cfg),
        .snd_mss = c->mss_eff,
        .rcv_mss = c->rcv_mss,
        .rto = (uint32_t)xt_tcp_rto(c, ctx->cfg),
        .ato = (uint32_t)ctx->cfg->delack,
        .srtt = c->srtt,
        .rttvar = c->rttvar,
        .min_rtt = c->min_rtt,
        .cwnd = c->cwnd,
        .ssthresh = c->ssthresh,
        .snd_wnd = c->snd_wnd,
        .rcv_wnd = xt_rcv_wnd(c),
        .last_data_sent_ms = now - c->t_snd_ms,
        .last_data_recv_ms = now - c->data_rcv_ms,
        .last_ack_recv_ms = now - c->t_rcv_ms,
        .bytes_sent = c->bytes_sent,
        .bytes_retrans = c->bytes_retrans,
        .bytes_acked = c->tx_una,
        .bytes_received = c->rx_head,
        .segs_out = c->segs_out,
        .segs_in = c->segs_in,
    };
    flight(c, out);
}
