/* SPDX-License-Identifier: Apache-2.0
 * Model-based congestion control after draft-ietf-ccwg-bbr (BBRv3): sends at the bandwidth that the path was seen to give,
 * with about as much in flight as fits, and probes in turn for more bandwidth and for the bare round-trip time.
 *
 * Left out: the filter for ACK aggregation (a few bursts of room are added instead); an ECN echo counts as a loss. */
#include "daemon/tcp/cc_bbr.h"
#include "daemon/tcp/internal.h"

#define PROBE_RTT_MS 200
#define MIN_RATE 1000 /* bytes per second: a slower one would hold a segment back for long */
#define MIN_CWND_SEGS 4u
#define RENO_ROUNDS_MAX 63 /* cycles as often as Reno would, on short paths */
#define BURST_MAX 65536u

/* Percent. */
static const uint16_t pacing_gain[] = {277, 50, 90, 100, 100, 125, 100};
static const uint16_t cwnd_gain[] = {200, 200, 200, 200, 200, 225, 50};

static void enter(struct xt_conn *c, enum xt_bbr_phase phase, uint32_t now_ms)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    b->phase = (uint8_t)phase;
    b->phase_ms = now_ms;
    if (phase == XT_BBR_REFILL || phase == XT_BBR_UP) {
        b->round_end = c->rate.delivered; /* a whole round trip of it */
        b->full_bw = 0;
        b->full_rounds = 0;
        b->up_rounds = 0;
    }
}

/* The length of a cycle varies so that flows do not probe in step. */
static void enter_down(struct xt_conn *c, uint32_t now_ms)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    uint32_t mix = (c->iss ^ now_ms ^ c->rate.delivered) * 2654435769u;
    b->cycle_ms = now_ms;
    b->wait_ms = 2000 + (mix >> 22);
    b->rounds = 0;
    enter(c, XT_BBR_DOWN, now_ms);
}

static void enter_refill(struct xt_conn *c, uint32_t now_ms)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    b->bw_lo = 0;
    b->inflight_lo = 0;
    xt_bbr_new_cycle(b);
    enter(c, XT_BBR_REFILL, now_ms);
}

static bool time_to_probe(const struct xt_conn *c, uint32_t now_ms)
{
    const struct xt_bbr *b = &xt_seldom_of(c)->ccs.bbr;
    uint32_t reno = xt_u32_min(xt_bbr_bdp(b, 100) / c->mss_eff, RENO_ROUNDS_MAX);
    return now_ms - b->cycle_ms >= b->wait_ms || b->rounds >= xt_u32_max(reno, 4);
}

static void startup(struct xt_conn *c, const struct xt_rate_sample *rs, uint32_t now_ms)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    bool full = xt_bbr_plateau(b, rs);
    if (b->round_start && b->lossy) {
        xt_bbr_too_high(b);
        full = true;
    }
    if (!full)
        return;
    b->filled = 1;
    enter(c, XT_BBR_DRAIN, now_ms);
}

/* More may be in flight with each round trip that shows no harm, faster and faster. */
static void raise_inflight(struct xt_conn *c, struct xt_bbr *b)
{
    if (b->inflight_hi == 0 || !b->round_start)
        return;
    b->inflight_hi = xt_u32_max(b->inflight_hi, b->round_inflight);
    if (c->cflags & XT_CF_CWND_LIM)
        b->inflight_hi =
            xt_u32_min(b->inflight_hi + ((uint32_t)c->mss_eff << xt_u32_min(b->up_rounds, 10)), XT_CWND_MAX);
    if (b->up_rounds < UINT8_MAX)
        b->up_rounds++;
}

static void probe_up(struct xt_conn *c, const struct xt_rate_sample *rs, uint32_t inflight, uint32_t now_ms)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    if (b->inflight_hi && c->cwnd >= b->inflight_hi && (c->cflags & XT_CF_CWND_LIM))
        b->full_bw = b->full_rounds = 0; /* bandwidth can't grow before the bound does */
    bool full = xt_bbr_plateau(b, rs);
    if (b->round_start && b->lossy) {
        xt_bbr_too_high(b);
        enter_down(c, now_ms);
        return;
    }
    raise_inflight(c, b);
    /* On while bandwidth grows by a quarter with each round trip; what does not grow it only makes a queue. */
    if (full || (b->full_rounds > 0 && inflight >= xt_bbr_bdp(b, 125) + 2u * c->mss_eff))
        enter_down(c, now_ms);
}

/* Hardly anything in flight for a while, so that all queues on the path run empty. */
static void probe_rtt(struct xt_conn *c, uint32_t inflight, uint32_t now_ms)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    if (b->phase_ms == 0) {
        if (inflight > xt_u32_max(xt_bbr_bdp(b, 50), MIN_CWND_SEGS * c->mss_eff))
            return;
        b->phase_ms = now_ms ? now_ms : 1;
        b->rounds = 0;
        b->round_end = c->rate.delivered;
        return;
    }
    if (now_ms - b->phase_ms < PROBE_RTT_MS || b->rounds == 0)
        return;
    b->probe_rtt_ms = now_ms;
    b->bw_lo = 0;
    b->inflight_lo = 0;
    if (b->filled)
        enter_down(c, now_ms);
    else
        enter(c, XT_BBR_STARTUP, now_ms);
}

static void walk(struct xt_conn *c, const struct xt_rate_sample *rs, uint32_t now_ms)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    uint32_t inflight = xt_recovery_pipe(c);
    switch (b->phase) {
    case XT_BBR_STARTUP:
        startup(c, rs, now_ms);
        break;
    case XT_BBR_DRAIN:
        if (inflight <= xt_bbr_bdp(b, 100))
            enter_down(c, now_ms);
        break;
    case XT_BBR_DOWN:
    case XT_BBR_CRUISE:
        if (time_to_probe(c, now_ms))
            enter_refill(c, now_ms);
        else if (b->phase == XT_BBR_DOWN && xt_bbr_drained(b, inflight))
            enter(c, XT_BBR_CRUISE, now_ms);
        break;
    case XT_BBR_REFILL:
        if (b->round_start)
            enter(c, XT_BBR_UP, now_ms);
        break;
    case XT_BBR_UP:
        probe_up(c, rs, inflight, now_ms);
        break;
    default:
        probe_rtt(c, inflight, now_ms);
    }
}

/* Startup's first rate is a guess, the initial window in a round-trip time; until the pipe is full none is lowered. */
static void set_rate(struct xt_conn *c)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    uint64_t bw = xt_bbr_bw(b);
    if (bw == 0)
        bw = c->cwnd * 1000000ull / xt_u32_max(c->srtt ? c->srtt : 1000, 1);
    uint64_t rate = bw * pacing_gain[b->phase] / 100 * 99 / 100;
    if (b->filled || rate > b->pacing_rate)
        b->pacing_rate = rate > MIN_RATE ? rate : MIN_RATE;
}

/* After a time-out cwnd grows from one segment by what is delivered, up to where the model says. */
static void set_cwnd(struct xt_conn *c, uint32_t newly)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    uint32_t burst = b->pacing_rate / 1000 < BURST_MAX ? (uint32_t)(b->pacing_rate / 1000) : BURST_MAX;
    uint32_t target = xt_bbr_bdp(b, cwnd_gain[b->phase]) + 3 * xt_u32_max(burst, 2u * c->mss_eff);
    uint32_t grown = xt_u32_min(c->cwnd + newly, XT_CWND_MAX);
    if (b->filled)
        c->cwnd = xt_u32_min(grown, target);
    else if (c->cwnd < target)
        c->cwnd = grown;
    uint32_t least = c->ca_state == XT_CA_LOSS ? c->mss_eff : MIN_CWND_SEGS * c->mss_eff;
    c->cwnd = xt_u32_max(xt_bbr_bound(b, c->cwnd), least);
}

static void init(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    b->min_rtt_us = b->probe_rtt_us = c->srtt;
    b->min_rtt_ms = b->probe_rtt_ms = xt_now_ms(ctx);
    b->round_end = b->round_delivered = c->rate.delivered;
    b->round_retrans = (uint32_t)xt_seldom_of(c)->bytes_retrans;
    set_rate(c);
}

static void acked(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t bytes)
{
    (void)c;
    (void)ctx;
    (void)bytes; /* all is done with the sample */
}

static void sample(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_rate_sample *rs)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    uint32_t now_ms = xt_now_ms(ctx);
    bool stale = xt_bbr_model(c, ctx, rs);
    if (stale && b->phase != XT_BBR_PROBE_RTT) {
        enter(c, XT_BBR_PROBE_RTT, now_ms);
        b->phase_ms = 0;
    }
    walk(c, rs, now_ms);
    set_rate(c);
    set_cwnd(c, rs->newly);
}

/* Loss and ECN bound the model, not the window itself. */
static uint32_t ssthresh(struct xt_conn *c, uint32_t flight)
{
    (void)flight;
    return xt_u32_max(c->cwnd, MIN_CWND_SEGS * c->mss_eff);
}

static void marked(struct xt_conn *c)
{
    xt_seldom(c)->ccs.bbr.marked = 1;
}

/* The rate bounds the first burst after silence; what was learned of the path stays. */
static void idle(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    (void)ctx;
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    if (b->phase >= XT_BBR_DOWN && xt_bbr_bw(b))
        b->pacing_rate = xt_bbr_bw(b) > MIN_RATE ? xt_bbr_bw(b) : MIN_RATE;
}

static uint64_t pacing_rate(const struct xt_conn *c)
{
    return xt_seldom_of(c)->ccs.bbr.pacing_rate;
}

const struct xt_cc xt_cc_bbr = {.name = "bbr",
                                .init = init,
                                .acked = acked,
                                .ssthresh = ssthresh,
                                .marked = marked,
                                .idle = idle,
                                .sample = sample,
                                .pacing_rate = pacing_rate,
                                .own_recovery = true};
