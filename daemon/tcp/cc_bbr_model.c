/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/cc_bbr.h"
#include "daemon/tcp/internal.h"

#define MIN_RTT_WINDOW_MS 10000
#define PROBE_RTT_INTERVAL_MS 5000
#define LOSS_PART 50 /* 1/50: the loss that is taken for the path's limit */
#define LOSS_SEGS 6  /* and at least that many segments */
#define BETA_PERCENT 70
#define FULL_ROUNDS 3
#define HEADROOM_PERCENT 85 /* of inflight_hi, left to others while cruising */

uint64_t xt_bbr_bw(const struct xt_bbr *b)
{
    uint64_t bw = b->bw[0] > b->bw[1] ? b->bw[0] : b->bw[1];
    return b->bw_lo && b->bw_lo < bw ? b->bw_lo : bw;
}

uint32_t xt_bbr_bdp(const struct xt_bbr *b, uint32_t percent)
{
    uint64_t bdp = xt_bbr_bw(b) / 100 * percent / 1000 * b->min_rtt_us / 1000;
    return bdp < XT_CWND_MAX ? (uint32_t)bdp : XT_CWND_MAX;
}

/* Loss while not probing: the path has less to give than the model says, until the next probe (section 5.5.10.3). */
static void lower_bounds(struct xt_conn *c, struct xt_bbr *b)
{
    bool probing = b->phase < XT_BBR_DOWN || b->phase == XT_BBR_REFILL || b->phase == XT_BBR_UP;
    bool after_probe = b->phase == XT_BBR_DOWN && b->rounds < 2; /* what is sent again now was lost by the probe */
    if (probing || after_probe || c->ca_state == XT_CA_LOSS)     /* after a time-out cwnd is the limit, not the path */
        return;
    uint64_t bw = b->bw_lo ? b->bw_lo : xt_bbr_bw(b);
    uint32_t inflight = b->inflight_lo ? b->inflight_lo : c->cwnd;
    bw = bw * BETA_PERCENT / 100;
    inflight = (uint32_t)((uint64_t)inflight * BETA_PERCENT / 100);
    b->bw_lo = b->round_bw > bw ? b->round_bw : bw;
    b->inflight_lo = xt_u32_max(b->round_inflight, inflight);
}

/* A round trip is over when something sent after its beginning is delivered. What was sent again in it counts as lost. */
static void count_round(struct xt_conn *c, struct xt_bbr *b, const struct xt_rate_sample *rs)
{
    b->round_start = rs->interval && xt_seq_ge(rs->prior, b->round_end);
    if (!b->round_start)
        return;
    uint32_t lost = (uint32_t)c->bytes_retrans - b->round_retrans;
    uint32_t delivered = c->rate.delivered - b->round_delivered;
    b->lossy = lost >= (uint32_t)LOSS_SEGS * c->mss_eff && lost > delivered / LOSS_PART;
    if (lost > 0 || b->congested)
        lower_bounds(c, b);
    b->congested = 0;
    b->round_end = b->round_delivered = c->rate.delivered;
    b->round_retrans = (uint32_t)c->bytes_retrans;
    if (b->rounds < UINT16_MAX)
        b->rounds++;
}

/* A rate that less than a round-trip time shows is none: ACKs came in a bunch. */
static void take_bandwidth(struct xt_bbr *b, const struct xt_rate_sample *rs)
{
    if (b->round_start)
        b->round_bw = b->round_inflight = 0;
    if (rs->interval == 0 || rs->interval < b->min_rtt_us)
        return;
    uint64_t rate = rs->delivered * 1000000ull / rs->interval;
    b->round_bw = rate > b->round_bw ? rate : b->round_bw;
    b->round_inflight = xt_u32_max(b->round_inflight, rs->delivered);
    if (rate > b->bw[0] && (!rs->limited || rate >= b->bw[1]))
        b->bw[0] = rate;
}

static bool take_rtt(struct xt_bbr *b, uint32_t now_ms, uint32_t rtt)
{
    bool old = b->probe_rtt_us && now_ms - b->probe_rtt_ms > PROBE_RTT_INTERVAL_MS;
    if (rtt == 0)
        return old;
    if (b->probe_rtt_us == 0 || old || rtt <= b->probe_rtt_us) {
        b->probe_rtt_us = rtt;
        b->probe_rtt_ms = now_ms;
    }
    if (b->min_rtt_us == 0 || now_ms - b->min_rtt_ms > MIN_RTT_WINDOW_MS || b->probe_rtt_us <= b->min_rtt_us) {
        b->min_rtt_us = b->probe_rtt_us;
        b->min_rtt_ms = b->probe_rtt_ms;
    }
    return old;
}

bool xt_bbr_model(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_rate_sample *rs)
{
    struct xt_bbr *b = &c->ccs.bbr;
    count_round(c, b, rs);
    take_bandwidth(b, rs);
    return take_rtt(b, xt_now_ms(ctx), rs->rtt_us);
}

bool xt_bbr_plateau(struct xt_bbr *b, const struct xt_rate_sample *rs)
{
    if (!b->round_start || rs->limited)
        return false;
    uint64_t bw = b->bw[0] > b->bw[1] ? b->bw[0] : b->bw[1];
    if (bw >= b->full_bw + b->full_bw / 4) {
        b->full_bw = bw;
        b->full_rounds = 0;
        return false;
    }
    return ++b->full_rounds >= FULL_ROUNDS;
}

void xt_bbr_new_cycle(struct xt_bbr *b)
{
    if (b->bw[0] == 0)
        return;
    b->bw[1] = b->bw[0];
    b->bw[0] = 0;
}

void xt_bbr_too_high(struct xt_bbr *b)
{
    uint32_t least = xt_bbr_bdp(b, b->phase == XT_BBR_STARTUP ? 100 : BETA_PERCENT);
    b->inflight_hi = xt_u32_max(xt_u32_max(b->round_inflight, least), 1);
}

uint32_t xt_bbr_with_headroom(const struct xt_bbr *b)
{
    return b->inflight_hi ? (uint32_t)((uint64_t)b->inflight_hi * HEADROOM_PERCENT / 100) : XT_CWND_MAX;
}

uint32_t xt_bbr_bound(const struct xt_bbr *b, uint32_t cwnd)
{
    if (b->phase == XT_BBR_CRUISE || b->phase == XT_BBR_PROBE_RTT)
        cwnd = xt_u32_min(cwnd, xt_bbr_with_headroom(b));
    else if (b->inflight_hi && b->phase >= XT_BBR_DOWN)
        cwnd = xt_u32_min(cwnd, b->inflight_hi);
    if (b->inflight_lo)
        cwnd = xt_u32_min(cwnd, b->inflight_lo);
    if (b->phase == XT_BBR_PROBE_RTT)
        cwnd = xt_u32_min(cwnd, xt_bbr_bdp(b, 50));
    return cwnd;
}
