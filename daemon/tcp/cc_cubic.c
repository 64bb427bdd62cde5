/* SPDX-License-Identifier: Apache-2.0
 * CUBIC (RFC 9438) with HyStart++ (RFC 9406) as its slow start. Integers throughout: bytes and milliseconds. */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"

/* beta_cubic = 7/10; C = 4/10 segments/s^3; alpha_cubic = 3 (1 - beta) / (1 + beta) = 9/17 */
#define BETA(x) ((uint32_t)((uint64_t)(x)*7 / 10))
#define FAST_BETA(x) ((uint32_t)((uint64_t)(x)*17 / 20)) /* (1 + beta) / 2 */
#define OFFSET_MAX_MS 500000                             /* of |t - K|: keeps the cube within 64 bits */

/* RFC 9406 section 4.3. It counts 8 samples where each segment may give one; here a flight gives up to XT_MARK_BOARD. L is
 * left out: an ACK for a super-segment stands for dozens. */
#define MIN_RTT_THRESH_US 4000u
#define MAX_RTT_THRESH_US 16000u
#define MIN_RTT_DIVISOR 8
#define N_RTT_SAMPLE 6
#define CSS_GROWTH_DIVISOR 4
#define CSS_ROUNDS 5

static void init(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    (void)c;
    (void)ctx; /* all zero is the beginning */
}

/* Equation 2, with W_max - cwnd_epoch in bytes: K^3 = bytes / mss / C, in ms^3. */
static uint32_t compute_k(uint32_t bytes, uint32_t mss)
{
    return xt_cc_cbrt(bytes * 2500000000ull / mss);
}

/* The stage begins with the first growth after a reduction (or after slow start that ended without one: section 4.10). */
static void begin_epoch(const struct xt_conn *c, struct xt_cubic *q, uint32_t now_ms)
{
    q->in_epoch = 1;
    q->now.start_ms = now_ms;
    q->now.w_est = c->cwnd;
    q->est_rest = 0;
    if (c->cwnd < q->now.w_max) {
        q->now.k_ms = compute_k(q->now.w_max - c->cwnd, c->mss_eff);
    } else {
        q->now.k_ms = 0;
        q->now.w_max = c->cwnd;
    }
}

/* Equation 1 at `t` milliseconds into the stage. */
static inline __attribute__((always_inline)) uint32_t w_cubic(const struct xt_conn *c, const struct xt_cubic_epoch *e,
                                                              uint32_t t)
{
    uint64_t d = xt_u32_min(t > e->k_ms ? t - e->k_ms : e->k_ms - t, OFFSET_MAX_MS);
    uint64_t off = d * d * d / 1000000 * c->mss_eff * 4 / 10000;
    if (t < e->k_ms)
        return off < e->w_max ? e->w_max - (uint32_t)off : 0;
    return off < XT_CWND_MAX - e->w_max ? e->w_max + (uint32_t)off : XT_CWND_MAX;
}

/* Equation 4: what Reno would have. alpha is 1 from the point on where that is what Reno had before the loss. */
static uint32_t w_est(const struct xt_conn *c, struct xt_cubic *q, uint32_t bytes)
{
    bool slow = q->now.w_est < q->now.cwnd_prior;
    uint64_t part = (uint64_t)bytes * c->mss_eff * (slow ? 9 : 17) + q->est_rest, whole = (uint64_t)c->cwnd * 17;
    uint64_t inc = part / whole;
    q->est_rest = part % whole;
    q->now.w_est = inc < XT_CWND_MAX - q->now.w_est ? q->now.w_est + (uint32_t)inc : XT_CWND_MAX;
    return q->now.w_est;
}

/* Congestion avoidance, sections 4.3 to 4.5. An ACK that closes a gap covers much more than left the network since the one
 * before: a window at most counts. */
static void avoid(struct xt_conn *c, struct xt_cubic *q, uint32_t now_ms, uint32_t bytes)
{
    bytes = xt_u32_min(bytes, c->cwnd);
    uint32_t t = now_ms - q->now.start_ms, est = w_est(c, q, bytes);
    if (w_cubic(c, &q->now, t) < est) {
        c->cwnd = xt_u32_max(c->cwnd, est);
        return;
    }
    uint32_t target = xt_u32_min(w_cubic(c, &q->now, t + c->srtt / 1000), c->cwnd + c->cwnd / 2);
    if (target <= c->cwnd)
        return;
    uint64_t part = (uint64_t)bytes * (target - c->cwnd) + c->cc_acked;
    uint32_t before = c->cwnd;
    c->cc_acked = (uint32_t)(part % before);
    c->cwnd = xt_u32_min(target, before + (uint32_t)(part / before));
}

/* In the place of an epoch, after a reduction. A reduction that loss recovery found needless gave cwnd back: so goes the rest (section 4.9). */
static __attribute__((noinline)) void maybe_restore(const struct xt_conn *c, struct xt_cubic *q)
{
    if (c->cwnd < q->now.cwnd_prior)
        return;
    q->now = q->before;
    q->in_epoch = q->was_in_epoch;
    q->reduced = 0;
}

static uint32_t slow_start(struct xt_conn *c, const struct xt_cubic *q, uint32_t bytes)
{
    if (q->css_rounds == 0)
        return xt_cc_slow_start(c, bytes);
    xt_cc_slow_start(c, bytes / CSS_GROWTH_DIVISOR);
    return 0;
}

static void acked(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t bytes)
{
    struct xt_cubic *q = &xt_seldom(c)->ccs.cubic;
    uint32_t now_ms = xt_now_ms(ctx), gap = now_ms - q->acked_ms;
    q->acked_ms = now_ms;
    if (!q->in_epoch && q->reduced)
        maybe_restore(c, q);
    if (c->cwnd < c->ssthresh)
        bytes = slow_start(c, q, bytes);
    if (bytes > 0 && c->cwnd >= c->ssthresh) {
        if (!q->in_epoch)
            begin_epoch(c, q, now_ms);
        else if (gap * 1000ull > c->srtt + c->rto) /* idle, or the application was the limit: not the curve's time */
            q->now.start_ms += gap - c->srtt / 1000;
        avoid(c, q, now_ms, bytes);
    }
}

/* Sections 4.6 and 4.7. A window that was not in use says nothing about the path: then what was in flight counts. */
static uint32_t ssthresh(struct xt_conn *c, uint32_t flight)
{
    struct xt_cubic *q = &xt_seldom(c)->ccs.cubic;
    uint32_t w = c->cflags & XT_CF_CWND_LIM ? c->cwnd : xt_u32_min(c->cwnd, xt_u32_max(flight, c->mss_eff));
    q->before = q->now;
    q->was_in_epoch = q->in_epoch;
    q->reduced = 1;
    q->now.w_max = w < q->now.w_max ? FAST_BETA(w) : w; /* fast convergence */
    q->now.cwnd_prior = c->cwnd;
    q->in_epoch = 0;
    q->css_rounds = 0;
    return xt_u32_max(BETA(w), 2u * c->mss_eff);
}

static void begin_round(struct xt_conn *c, struct xt_cubic *q)
{
    q->in_round = 1;
    q->window_end = c->snd_nxt;
    q->last_rtt_us = q->round_rtt_us;
    q->round_rtt_us = 0;
    q->samples = 0;
    if (q->css_rounds > 0 && q->css_rounds++ == CSS_ROUNDS) {
        c->ssthresh = c->cwnd;
        q->css_rounds = 0;
    }
}

/* RFC 9406 section 4.2, in the first slow start only (section 4.3). */
static void rtt(struct xt_conn *c, uint32_t rtt_us)
{
    /* It begins when the window is the limit, for else it does not grow. */
    if (c->ssthresh < XT_CWND_MAX || !(xt_seldom_of(c)->ccs.cubic.in_round || (c->cflags & XT_CF_CWND_LIM)))
        return;
    struct xt_cubic *q = &xt_seldom(c)->ccs.cubic;
    if (!q->in_round || xt_seq_ge(c->snd_una, q->window_end))
        begin_round(c, q);
    if (rtt_us == 0)
        return;
    if (q->round_rtt_us == 0 || rtt_us < q->round_rtt_us)
        q->round_rtt_us = rtt_us;
    if (q->samples < N_RTT_SAMPLE)
        q->samples++;
    if (q->samples < N_RTT_SAMPLE || q->last_rtt_us == 0)
        return;
    uint32_t part = q->last_rtt_us / MIN_RTT_DIVISOR;
    uint32_t thresh = xt_u32_max(MIN_RTT_THRESH_US, xt_u32_min(part, MAX_RTT_THRESH_US));
    if (q->css_rounds > 0 && q->round_rtt_us < q->css_rtt_us) {
        q->css_rounds = 0;
    } else if (q->css_rounds == 0 && q->round_rtt_us >= q->last_rtt_us + thresh) {
        q->css_rtt_us = q->round_rtt_us;
        q->css_rounds = 1;
    }
}

const struct xt_cc xt_cc_cubic = {.name = "cubic",
                                  .init = init,
                                  .acked = acked,
                                  .ssthresh = ssthresh,
                                  .idle = xt_cc_restart,
                                  .rtt = rtt,
                                  .ecn_percent = 121};
