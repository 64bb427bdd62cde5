/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rtt.h"
#include "daemon/tcp/seam.h"
#include "daemon/tcp/sent.h"
#include "daemon/tcp/tally.h"

static void flight(const struct xt_conn *c, struct xt_tcp_info *out)
{
    out->unacked = c->snd_nxt - c->snd_una;
    out->sacked = xt_sent_bytes(c, XT_SENT_BIT(XT_SENT_SACKED));
    out->lost = xt_sent_bytes(c, XT_SENT_ALL_LOST);
    /* A tail loss probe outside of recovery was sent again and still is not held to be lost. */
    out->rexmit = c->ca_state >= XT_CA_RECOVERY ? xt_sent_bytes(c, XT_SENT_BIT(XT_SENT_AGAIN)) : 0;
    out->retrans = xt_seldom_of(c)->retrans;
    out->unacked_segs = out->unacked ? xt_seam_segments(c, c->snd_una, c->snd_nxt) : 0;
    out->sacked_segs = xt_seam_count(c, XT_SENT_BIT(XT_SENT_SACKED));
    out->lost_segs = xt_seam_count(c, XT_SENT_ALL_LOST);
    out->rexmit_segs = c->ca_state >= XT_CA_RECOVERY ? xt_seam_count(c, XT_SENT_BIT(XT_SENT_AGAIN)) : 0;
    out->notsent = xt_send_end(c) - c->snd_nxt;
    if (c->state < XT_ESTABLISHED)
        out->notsent = (uint32_t)(c->tx_head - c->tx_una);
}

/* Bytes that have left at all. */
static uint64_t sent_once(const struct xt_conn *c)
{
    uint64_t off = xt_seq_gt(c->snd_nxt, c->iss + 1) || c->tx_una ? xt_tx_offset(c, c->snd_nxt) : 0;
    return off < c->tx_head ? off : c->tx_head;
}

static uint64_t pacing_rate(const struct xt_conn *c)
{
    uint64_t rate = xt_cc_pacing_rate(c);
    return rate ? rate : xt_cc_window_rate(c);
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
        .fo = c->fo,
        .snd_mss = c->mss_eff,
        .rcv_mss = c->rcv_mss,
        .rto = xt_timer_on(c, XT_TIMER_PERSIST) ? c->rto : (uint32_t)xt_tcp_rto(c, ctx->cfg),
        .ato = c->tally.data_segs_in ? (uint32_t)ctx->cfg->delack : 0,
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
        .bytes_sent = sent_once(c) + xt_seldom_of(c)->bytes_retrans,
        .bytes_retrans = xt_seldom_of(c)->bytes_retrans,
        .bytes_acked = c->tx_una,
        .bytes_received = c->rx_head,
        .segs_out = c->segs_out,
        .segs_in = c->segs_in,
        .timeouts = c->timeouts,
        .advmss = c->mss_local,
        .pmtu = c->mss_path + (xt_addr_is_v4(&c->remote.addr) ? 40 : 60),
    };
    flight(c, out);
    if (c->ca_state < XT_CA_CWR && (c->ecn & XT_CE_REDUCED) && xt_seq_le(c->snd_una, xt_seldom_of(c)->ecn_recover))
        out->ca_state = XT_CA_CWR;
    if (c->state >= XT_ESTABLISHED)
        out->pacing_rate = pacing_rate(c);
    xt_tally_info(c, ctx, out);
}
