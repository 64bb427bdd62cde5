/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/tally.h"

#include "daemon/tcp/seam.h"

#define REORDERING_MAX 300u

static uint32_t segments(const struct xt_conn *c, uint32_t bytes)
{
    return (bytes + c->mss_eff - 1) / c->mss_eff;
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
        t->rto_ms += now - t->rto_since_ms;
        t->rto_since_ms = 0;
    }
}

void xt_tally_acked(const struct xt_ack *a)
{
    struct xt_conn *c = a->c;
    struct xt_tally *t = &c->tally;
    uint32_t n = a->segs, now = xt_now_ms(a->ctx);
    t->delivered += n;
    if ((a->seg->flags & XT_TH_ECE) && (c->ecn & XT_CE_OK))
        t->delivered_ce += n;
    if (c->ca_state != XT_CA_LOSS)
        xt_tally_overcome(c, now);
    if (c->snd_una == xt_send_end(c))
        xt_tally_become(c, now, XT_BUSY_NOT);
    xt_seam_prune(c);
}

void xt_tally_reordered(struct xt_conn *c, uint32_t left)
{
    uint32_t metric = segments(c, c->rack_fack - left);
    c->tally.reord_seen++;
    if (metric > xt_u32_max(c->tally.reordering, c->dupthresh))
        c->tally.reordering = (uint16_t)xt_u32_min(metric, REORDERING_MAX);
}

void xt_tally_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    struct xt_tally *t = &c->tally;
    t->rtos++;
    if (t->rto_since_ms == 0) {
        t->rto_spells++;
        t->rto_since_ms = xt_u32_max(xt_now_ms(ctx), 1);
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
    struct xt_conn copy = *c;
    const struct xt_tally *t = &copy.tally;
    uint32_t now = xt_now_ms(ctx);
    xt_tally_become(&copy, now, XT_BUSY_NOT); /* up to now */
    out->data_segs_in = t->data_segs_in;
    out->data_segs_out = t->data_segs_out;
    out->delivered = t->delivered;
    out->delivered_ce = t->delivered_ce;
    out->dsacks = t->dsacks;
    out->reord_seen = t->reord_seen;
    out->ooo_segs = t->ooo_segs;
    out->reordering = xt_u32_max(t->reordering, c->dupthresh);
    out->rtos = t->rtos;
    out->rto_spells = t->rto_spells;
    out->rto_ms = t->rto_ms + (t->rto_since_ms ? now - t->rto_since_ms : 0);
    out->rwnd_ms = t->busy_ms[XT_BUSY_RWND - XT_BUSY_NETWORK];
    out->sndbuf_ms = t->busy_ms[XT_BUSY_SNDBUF - XT_BUSY_NETWORK];
    out->busy_ms = t->busy_ms[0] + out->rwnd_ms + out->sndbuf_ms;
    out->delivery_rate = t->rate_us ? t->rate_bytes * 1000000ull / t->rate_us : 0;
    out->rate_limited = t->rate_us ? t->rate_limited : c->rate.limited;
}
