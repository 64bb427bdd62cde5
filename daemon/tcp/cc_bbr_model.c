/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/cc_bbr.h"
#include "daemon/tcp/internal.h"

#define MIN_RTT_WINDOW_MS 10000
#define PROBE_RTT_INTERVAL_MS 5000
#define LOSS_PART 1311       /* of 65536, 2 %: the loss that is taken for the path's limit */
#define LOSS_PART_QUIET 6554 /* 10 %, where no queue shows */
#define LOSS_SEGS 6          /* and at least that many segments */
#define LOSS_BASE_SEGS 16    /* fewer, delivered in a round, say nothing about what the path loses */
#define QUEUE_SLACK_US 1000  /* what scheduling adds to a round-trip time */
#define BETA_PERCENT 70
#define RAISE_PART 8
#define DOWN_ROUNDS_MAX 5
#define FULL_ROUNDS 3
#define PROBE_ECHO_ROUNDS 3 /* until what a probe lost, retransmissions of it included, was sent again */
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
    bool after_probe = b->phase == XT_BBR_DOWN && b->rounds < PROBE_ECHO_ROUNDS;
    if (probing || after_probe || c->ca_state == XT_CA_LOSS) /* after a time-out cwnd is the limit, not the path */
        return;
    uint64_t bw = b->bw_lo ? b->bw_lo : xt_bbr_bw(b);
    uint32_t inflight = b->inflight_lo ? b->inflight_lo : c->cwnd;
    bw = bw * BETA_PERCENT / 100;
    inflight = (uint32_t)((uint64_t)inflight * BETA_PERCENT / 100);
    b->bw_lo = b->round_bw > bw ? b->round_bw : bw;
    b->inflight_lo = xt_u32_max(b->round_inflight, inflight);
}

/* No harm and no queue for a round trip: what was given up comes back bit by bit. The draft waits for the next probe, dozens
 * of round trips, which one burst of loss on an otherwise bad line does not deserve. */
static void raise_bounds(struct xt_bbr *b)
{
    uint64_t bw = b->bw[0] > b->bw[1] ? b->bw[0] : b->bw[1];
    b->bw_lo += b->bw_lo / RAISE_PART;
    b->inflight_lo += b->inflight_lo / RAISE_PART;
    if (b->bw_lo >= bw)
        b->bw_lo = b->inflight_lo = 0;
}

/* Did the round trip's fastest segment wait, for as long as the first of a probe's round trips would make it wait? */
static bool queue_shows(const struct xt_bbr *b)
{
    return b->round_rtt_us == 0 || b->round_rtt_us > b->min_rtt_us + b->min_rtt_us / 4 + QUEUE_SLACK_US;
}

/* What a round trip's losses mean. A queue that is full loses what is too much, and shows before it does. Where none shows
 * the line itself is bad, and to send less would not make it better: such a loss is no limit, unless it is so large that it
 * takes a queue too short to be seen, and where a queue shows, only what is lost beyond it counts. That is a departure from
 * the draft, which takes any 2 % for the path's limit and gives up nearly all of a line that loses 3 %. */
static bool harmful(struct xt_conn *c, struct xt_bbr *b, uint32_t lost, uint32_t delivered)
{
    uint32_t part = (uint32_t)(lost * 65536ull / xt_u32_max(lost + delivered, 1)), limit = LOSS_PART_QUIET;
    bool queue = queue_shows(b), beyond = queue && lost > 0 && part > 2u * b->loss_base;
    if (queue)
        limit = b->loss_base + LOSS_PART;
    else if (delivered >= (uint32_t)LOSS_BASE_SEGS * c->mss_eff)
        b->loss_base = (uint16_t)((7u * b->loss_base + xt_u32_min(part, LOSS_PART_QUIET)) / 8);
    b->lossy = lost >= (uint32_t)LOSS_SEGS * c->mss_eff && part > limit;
    return b->lossy || beyond || b->marked;
}

/* The few samples of a round trip may all be lost or late; what it delivered in all is a lower bound of what it could. */
static void take_round(struct xt_bbr *b, uint32_t delivered, uint32_t us)
{
    if (us < b->min_rtt_us)
        return;
    uint64_t rate = delivered * 1000000ull / xt_u32_max(us, 1);
    b->round_bw = rate > b->round_bw ? rate : b->round_bw;
    b->round_inflight = xt_u32_max(b->round_inflight, delivered);
}

/* A round trip is over when something sent after its beginning is delivered. What was sent again in it counts as lost. */
static void count_round(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_rate_sample *rs)
{
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    b->round_start = rs->interval && xt_seq_ge(rs->prior, b->round_end);
    if (!b->round_start)
        return;
    uint32_t retrans = (uint32_t)xt_seldom(c)->bytes_retrans;
    uint32_t delivered = c->rate.delivered - b->round_delivered, lost = retrans - b->round_retrans;
    take_round(b, delivered, (uint32_t)ctx->now_us - b->round_us);
    b->round_us = (uint32_t)ctx->now_us;
    b->round_volume = delivered + lost;
    if (harmful(c, b, lost, delivered))
        lower_bounds(c, b);
    else if (b->bw_lo && !queue_shows(b))
        raise_bounds(b);
    b->marked = 0;
    b->round_rtt_us = 0;
    b->round_end = b->round_delivered = c->rate.delivered;
    b->round_retrans = retrans;
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
    if (b->round_rtt_us == 0 || rtt < b->round_rtt_us)
        b->round_rtt_us = rtt;
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
    struct xt_bbr *b = &xt_seldom(c)->ccs.bbr;
    count_round(c, ctx, rs);
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
    b->inflight_hi = xt_u32_max(xt_u32_max(b->round_volume, xt_bbr_bdp(b, 100)), 1);
}

bool xt_bbr_drained(const struct xt_bbr *b, uint32_t inflight)
{
    return inflight <= xt_u32_min(xt_bbr_bdp(b, 100), xt_bbr_with_headroom(b)) || b->rounds >= DOWN_ROUNDS_MAX;
}

/* What the path itself holds is nobody's queue: less would only waste it. */
uint32_t xt_bbr_with_headroom(const struct xt_bbr *b)
{
    if (!b->inflight_hi)
        return XT_CWND_MAX;
    return xt_u32_max((uint32_t)((uint64_t)b->inflight_hi * HEADROOM_PERCENT / 100), xt_bbr_bdp(b, 100));
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
