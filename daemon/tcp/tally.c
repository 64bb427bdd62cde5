/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/tally.h"

#include "daemon/tcp/seam.h"

#define REORDERING_MAX 300u

static uint32_t segments(const struct xt_conn *c, uint32_t bytes)
{
    return (bytes + c->mss_eff - 1) / c->mss_eff;
}

void xt_tally_become(struct xt_conn *c, uint32_t now, uint8_t busy)
{
    struct xt_tally *t = &c->tally;
    if (t->busy == busy)
        return;
    if (t->busy == XT_BUSY_NETWORK)
        t->busy_ms += now - t->busy_since_ms;
    else if (t->busy != XT_BUSY_NOT)
        *xt_tally_blocked(&xt_seldom(c)->tally, t->busy) += now - t->busy_since_ms;
    t->busy = busy;
    t->busy_since_ms = now;
}

void xt_tally_sent(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t segs)
{
    c->tally.data_segs_out += segs;
    if (c->tally.busy == XT_BUSY_NOT)
        xt_tally_become(c, xt_now_ms(ctx), XT_BUSY_NETWORK);
}

void xt_tally_overcome(struct xt_conn *c, uint32_t now)
{
    struct xt_tally *t = &c->tally;
    if (t->rto_since_ms) {
        xt_seldom(c)->tally.rto_ms += now - t->rto_since_ms;
        t->rto_since_ms = 0;
    }
}

uint32_t xt_tally_flight(const struct xt_conn *c)
{
    return xt_seam_count(c, XT_SENT_ALL_FLIGHT | XT_SENT_ALL_LOST);
}

void xt_tally_acked(const struct xt_ack *a)
{
    struct xt_conn *c = a->c;
    uint32_t now = xt_now_ms(a->ctx);
    if (a->ce_segs)
        xt_seldom(c)->tally.delivered_ce += a->ce_segs;
    if (c->ca_state != XT_CA_LOSS)
        xt_tally_overcome(c, now);
    if (c->snd_una == xt_send_end(c))
        xt_tally_become(c, now, XT_BUSY_NOT);
    xt_seam_prune(c);
}

void xt_tally_reordered(struct xt_conn *c, uint32_t left)
{
    struct xt_tally_seldom *t = &xt_seldom(c)->tally;
    uint32_t metric = segments(c, c->rack_fack - left);
    t->reord_seen++;
    if (metric > xt_u32_max(t->reordering, c->dupthresh))
        t->reordering = (uint16_t)xt_u32_min(metric, REORDERING_MAX);
}

void xt_tally_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    struct xt_tally_seldom *t = &xt_seldom(c)->tally;
    t->rtos++;
    if (c->tally.rto_since_ms == 0) {
        t->rto_spells++;
        c->tally.rto_since_ms = xt_u32_max(xt_now_ms(ctx), 1);
    }
}

void xt_tally_busy(struct xt_conn *c, const struct xt_tcp_ctx *ctx, bool blocked)
{
    uint8_t busy = XT_BUSY_NETWORK;
    if (c->snd_una == xt_send_end(c))
        busy = XT_BUSY_NOT;
    else if (blocked)
        busy = XT_BUSY_RWND;
    else if (c->snd_nxt == xt_send_end(c) && c->tx_size && c->tx_head - c->tx_una >= c->tx_size)
        busy = XT_BUSY_SNDBUF;
    xt_tally_become(c, xt_now_ms(ctx), busy);
}

void xt_tally_info(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_tcp_info *out)
{
    struct xt_tally_seldom seldom = xt_seldom_of(c)->tally;
    const struct xt_tally *t = &c->tally;
    uint32_t now = xt_now_ms(ctx), busy_ms = t->busy_ms, since = now - t->busy_since_ms;
    if (t->busy == XT_BUSY_NETWORK)
        busy_ms += since;
    else if (t->busy != XT_BUSY_NOT)
        *xt_tally_blocked(&seldom, t->busy) += since;
    out->data_segs_in = t->data_segs_in;
    out->data_segs_out = t->data_segs_out;
    out->delivered = t->segs_once - xt_tally_flight(c);
    out->delivered_ce = seldom.delivered_ce;
    out->dsacks = seldom.dsacks;
    out->reord_seen = seldom.reord_seen;
    out->ooo_segs = seldom.ooo_segs;
    out->reordering = xt_u32_max(seldom.reordering, c->dupthresh);
    out->rtos = seldom.rtos;
    out->rto_spells = seldom.rto_spells;
    out->rto_ms = seldom.rto_ms + (t->rto_since_ms ? now - t->rto_since_ms : 0);
    out->rwnd_ms = seldom.rwnd_ms;
    out->sndbuf_ms = seldom.sndbuf_ms;
    out->busy_ms = busy_ms + out->rwnd_ms + out->sndbuf_ms;
    out->delivery_rate = t->rate_us ? t->rate_bytes * 1000000ull / t->rate_us : 0;
    out->rate_limited = t->rate_us ? t->rate_limited : c->rate.limited;
}
