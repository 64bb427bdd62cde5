/* SPDX-License-Identifier: Apache-2.0
 * TCP_INFO: what the core says of a connection, as the interface with programs has it. */
#include "daemon/app/internal.h"

static void put_state(struct xt_tcp_info_abi *o, const struct xt_tcp_info *t)
{
    o->state = t->state;
    o->ca_state = t->ca_state;
    o->options = t->options;
    o->snd_wscale = t->snd_wscale;
    o->rcv_wscale = t->rcv_wscale;
    o->backoff = t->backoff;
    o->probes = t->probes;
    o->snd_mss = t->snd_mss;
    o->rcv_mss = t->rcv_mss;
    o->rto = t->rto;
    o->ato = t->ato;
    o->srtt = t->srtt;
    o->rttvar = t->rttvar;
    o->min_rtt = t->min_rtt;
    o->cwnd = t->cwnd;
    o->ssthresh = t->ssthresh;
    o->snd_wnd = t->snd_wnd;
    o->rcv_wnd = t->rcv_wnd;
}

static void put_flight(struct xt_tcp_info_abi *o, const struct xt_tcp_info *t)
{
    o->unacked = t->unacked_segs;
    o->sacked = t->sacked_segs;
    o->lost = t->lost_segs;
    o->retrans = t->retrans;
    o->last_data_sent_ms = t->last_data_sent_ms;
    o->last_data_recv_ms = t->last_data_recv_ms;
    o->last_ack_recv_ms = t->last_ack_recv_ms;
    o->cc = t->cc;
    o->fo = (t->fo & XT_FO_ACKED ? 1 : 0) | (uint32_t)(t->fo & XT_FO_FAIL) >> XT_FO_FAIL_SHIFT << 1;
    o->rexmit = t->rexmit_segs;
    o->notsent = t->notsent;
    o->reordering = t->reordering;
    o->pacing_rate = t->pacing_rate;
    o->delivery_rate = t->delivery_rate;
    o->rate_limited = t->rate_limited;
}

static void put_counts(struct xt_tcp_info_abi *o, const struct xt_tcp_info *t)
{
    o->bytes_sent = t->bytes_sent;
    o->bytes_retrans = t->bytes_retrans;
    o->bytes_acked = t->bytes_acked;
    o->bytes_received = t->bytes_received;
    o->segs_out = t->segs_out;
    o->segs_in = t->segs_in;
    o->timeouts = t->timeouts;
    o->advmss = t->advmss;
    o->pmtu = t->pmtu;
    o->data_segs_in = t->data_segs_in;
    o->data_segs_out = t->data_segs_out;
    o->delivered = t->delivered;
    o->delivered_ce = t->delivered_ce;
    o->dsacks = t->dsacks;
    o->reord_seen = t->reord_seen;
    o->ooo_segs = t->ooo_segs;
    o->rtos = t->rtos;
    o->rto_spells = t->rto_spells;
    o->rto_ms = t->rto_ms;
    o->busy_ms = t->busy_ms;
    o->rwnd_ms = t->rwnd_ms;
    o->sndbuf_ms = t->sndbuf_ms;
}

void xt_app_info(const struct xt_session *s, uint32_t i, struct xt_tcp_info_abi *o)
{
    const struct xt_pslot *p = &s->ps[i];
    const struct xt_tcp_cfg *cfg = &xt_stack_cfg(s->app->stack)->tcp;
    const struct xt_conn *conn = xt_app_conn(s, p);
    *o = (struct xt_tcp_info_abi){.state = p->kind == XT_SLOT_LISTEN ? XT_LISTEN : XT_CLOSED};
    o->fo_limit = xt_app_rare(s, i)->fo.limit;
    o->cc = p->opt.cc ? p->opt.cc - 1u : cfg->cc;
    if (conn && p->kind == XT_SLOT_CONN) {
        struct xt_tcp_ctx ctx = {XT_TCP_AT(s->app->now_us), .cfg = cfg};
        struct xt_tcp_info t;
        xt_tcp_info(conn, &ctx, &t);
        put_state(o, &t);
        put_flight(o, &t);
        put_counts(o, &t);
        o->rcv_space = p->tune.space;
        o->ecn = (conn->ecn & XT_CE_OK ? 1 : 0) | (conn->ecn & XT_CE_SEEN ? 2 : 0);
    }
}
