/* SPDX-License-Identifier: Apache-2.0
 * CUBIC against RFC 9438's formulas in floating point, and HyStart++ (RFC 9406) by its rounds; time is virtual. */
#include <criterion/criterion.h>
#include <math.h>

#include "daemon/tcp/cc.h"
#include "daemon/tcp/seldom.h"

#define MSS 1000
#define RTT_MS 100u

static struct xt_tcp_cfg cfg;
static struct xt_tcp_stats stats;
static struct xt_tcp_ctx ctx;
static struct xt_conn c;
static struct xt_seldom seldom;
static const struct xt_cc *cc;

static void prepare(void)
{
    struct xt_endpoint e = {.port = 1};
    xt_tcp_cfg_default(&cfg);
    ctx = (struct xt_tcp_ctx){XT_TCP_AT(1000000000), .cfg = &cfg, .stats = &stats};
    xt_tcp_init(&c, &e, &e, &cfg);
    xt_seldom_attach(&c, &seldom);
    c.mss_eff = MSS;
    c.srtt = RTT_MS * 1000;
    c.rto = 300000;
    c.cflags |= XT_CF_CWND_LIM;
    xt_cc_start(&c, &ctx);
    cc = xt_cc_of(&c);
    cr_assert_str_eq(cc->name, "cubic");
}

/* A loss at this window, as loss recovery has it. */
static void lose(uint32_t cwnd)
{
    c.cwnd = cwnd;
    c.ssthresh = cc->ssthresh(&c, cwnd);
    c.cwnd = c.ssthresh;
    c.cc_acked = 0;
}

static void pass(uint32_t us)
{
    ctx = (struct xt_tcp_ctx){XT_TCP_AT(ctx.now_us + us), .cfg = &cfg, .stats = &stats};
}

/* Time passes with a full window: an ACK for every two segments, evenly over each round trip. */
static void grow(unsigned ms)
{
    uint64_t end = ctx.now_us + ms * 1000ull;
    while (ctx.now_us < end) {
        uint32_t acks = c.cwnd / (2 * MSS);
        for (uint32_t i = 0; i < acks; i++) {
            pass(c.srtt / acks);
            cc->acked(&c, &ctx, 2 * MSS);
        }
    }
}

/* Equations 1 and 2, in segments and seconds. */
static double w_cubic(double w_max, double start, double t)
{
    double k = cbrt((w_max - start) / 0.4);
    return 0.4 * (t - k) * (t - k) * (t - k) + w_max;
}

static void expect_near(double segments, double off)
{
    double is = (double)c.cwnd / MSS;
    cr_assert(fabs(is - segments) <= off, "cwnd is %.2f segments, not %.2f", is, segments);
}

/* Req RFC9438-4.6 MAY-18 */
Test(cubic, reduction_is_by_three_tenths, .init = prepare)
{
    c.cwnd = 100000;
    cr_assert_eq(cc->ssthresh(&c, 100000), 70000);
    c.cwnd = 2000;
    cr_assert_eq(cc->ssthresh(&c, 2000), 2 * MSS);
}

/* Req RFC9438-4.2: Section 4.2: concave up to W_max at K, convex beyond. The window lags the curve at t + RTT by its round trip. */
Test(cubic, the_curve_after_a_loss, .init = prepare)
{
    lose(1000000);
    cc->acked(&c, &ctx, 1); /* the epoch begins */
    uint64_t begin = ctx.now_us;
    cr_assert_eq(xt_seldom_of(&c)->ccs.cubic.now.k_ms, (uint32_t)(cbrt(300 / 0.4) * 1000));
    for (int s = 1; s <= 14; s++) {
        grow(1000);
        double t = (double)(ctx.now_us - begin) / 1e6, now = w_cubic(1000, 700, t);
        expect_near(now, fabs(w_cubic(1000, 700, t + RTT_MS / 1000.0) - now) + 1);
    }
    cr_assert_gt(c.cwnd, 1000000);
}

/* Req RFC9438-4.3: Section 4.3: where Reno would do better, CUBIC does as Reno with beta 0.7 and alpha 0.53. */
Test(cubic, friendly_region_follows_reno, .init = prepare)
{
    lose(20000);
    c.srtt = 10000; /* K is 2.4 s, and Reno is back long before */
    uint64_t begin = ctx.now_us;
    double est = 14;
    while (est < 19.5) {
        uint32_t acks = c.cwnd / (2 * MSS);
        grow(1);
        est += 9 / 17.0 * acks * 2 * MSS / c.cwnd;
        cr_assert_gt(est, w_cubic(20, 14, (double)(ctx.now_us - begin) / 1e6));
        expect_near(est, 0.3);
    }
}

/* Req RFC9438-4.3: As soon as W_est is where Reno had been before the loss it grows by a segment for each round trip. */
Test(cubic, friendly_region_beyond_the_old_window, .init = prepare)
{
    lose(10000);
    grow(RTT_MS * 6);
    uint32_t before = xt_seldom_of(&c)->ccs.cubic.now.w_est;
    cr_assert_geq(before, 9500);
    grow(RTT_MS * 4);
    cr_assert_geq(xt_seldom_of(&c)->ccs.cubic.now.w_est, before + 2500);
}

/* Req RFC9438-4.7: Section 4.7: a flow that loses below its last W_max makes room for others. */
Test(cubic, fast_convergence, .init = prepare)
{
    lose(100000);
    cr_assert_eq(xt_seldom_of(&c)->ccs.cubic.now.w_max, 100000);
    lose(80000);
    cr_assert_eq(xt_seldom_of(&c)->ccs.cubic.now.w_max, 68000); /* 80 * (1 + 0.7) / 2 */
    lose(90000);
    cr_assert_eq(xt_seldom_of(&c)->ccs.cubic.now.w_max, 90000);
}

/* Req RFC9438-5.8: Section 5.8: time without growth is not the curve's. */
Test(cubic, idle_time_does_not_count, .init = prepare)
{
    lose(1000000);
    grow(2000);
    uint32_t before = c.cwnd;
    pass(60000000);
    cc->acked(&c, &ctx, 2 * MSS);
    cr_assert_leq(c.cwnd, before + 10 * MSS);
    grow(3000);
    expect_near(w_cubic(1000, 700, 5), 15);
}

/* Req RFC9438-4.9: Section 4.9: loss recovery gives cwnd back; the curve goes on as if nothing had been. */
Test(cubic, a_needless_reduction_leaves_no_trace, .init = prepare)
{
    lose(1000000);
    grow(4000);
    struct xt_cubic_epoch before = xt_seldom_of(&c)->ccs.cubic.now;
    uint32_t cwnd = c.cwnd, ssthresh = c.ssthresh;
    lose(cwnd);
    cr_assert_neq(xt_seldom_of(&c)->ccs.cubic.now.w_max, before.w_max);
    c.cwnd = cwnd;
    c.ssthresh = ssthresh;
    cc->acked(&c, &ctx, 2 * MSS);
    cr_assert_eq(xt_seldom_of(&c)->ccs.cubic.now.w_max, before.w_max);
    cr_assert_eq(xt_seldom_of(&c)->ccs.cubic.now.k_ms, before.k_ms);
    cr_assert_eq(xt_seldom_of(&c)->ccs.cubic.now.start_ms, before.start_ms);
    cr_assert_lt(c.cwnd, cwnd + 10 * MSS);
}

/* An ACK that closes a gap may cover megabytes: it does not blow the window up. */
Test(cubic, a_great_leap_counts_as_a_window, .init = prepare)
{
    lose(10000);
    cc->acked(&c, &ctx, 1000000);
    cr_assert_leq(c.cwnd, 7000 + 7000 / 2);
}

/* Req RFC9438-4.6: A window that was not in use: what was in flight counts. */
Test(cubic, loss_below_the_window, .init = prepare)
{
    c.cflags &= ~(uint32_t)XT_CF_CWND_LIM;
    c.cwnd = 1000000;
    cr_assert_eq(cc->ssthresh(&c, 100000), 70000);
    cr_assert_eq(xt_seldom_of(&c)->ccs.cubic.now.w_max, 100000);
}

/* ---- HyStart++ ---- */

/* A round trip of slow start: all of the window is sent and acknowledged, with these samples. */
static void round_trip(uint32_t rtt_us, int samples)
{
    uint32_t window = c.cwnd;
    c.snd_nxt = c.snd_una + window;
    xt_seldom(&c)->ccs.cubic.window_end =
        xt_seldom_of(&c)->ccs.cubic.in_round ? xt_seldom_of(&c)->ccs.cubic.window_end : c.snd_nxt;
    for (int i = 0; i < samples; i++) {
        uint32_t part = window / (uint32_t)samples;
        c.snd_una += part;
        cc->acked(&c, &ctx, part);
        c.snd_nxt += part;
        cc->rtt(&c, rtt_us);
        pass(rtt_us / (uint32_t)samples);
    }
}

static bool in_css(void)
{
    return xt_seldom_of(&c)->ccs.cubic.css_rounds > 0;
}

/* Req RFC9406-4.2 */
Test(hystart, steady_rtt_stays_in_slow_start, .init = prepare)
{
    for (int i = 0; i < 6; i++)
        round_trip(50000, 8);
    cr_assert_not(in_css());
    cr_assert_eq(c.cwnd, 10 * MSS << 6);
    cr_assert_eq(c.ssthresh, XT_CWND_MAX);
}

/* Req RFC9406-4.2: Clamp(4 ms, lastRoundMinRTT / 8, 16 ms): 6.25 ms here. */
Test(hystart, a_rise_enters_css_and_five_rounds_end_it, .init = prepare)
{
    for (int i = 0; i < 3; i++)
        round_trip(50000, 8);
    round_trip(56000, 8);
    cr_assert_not(in_css());
    round_trip(63000, 8);
    cr_assert(in_css());
    uint32_t before = c.cwnd;
    round_trip(63000, 8);
    cr_assert(in_css());
    cr_assert_leq(c.cwnd, before + before / 4 + MSS);
    cr_assert_geq(c.cwnd, before + before / 5);
    for (int i = 0; i < 6; i++)
        round_trip(63000, 8);
    cr_assert_not(in_css());
    cr_assert_lt(c.ssthresh, XT_CWND_MAX, "congestion avoidance");
}

/* Req RFC9406-4.2 */
Test(hystart, css_ends_when_the_rtt_sinks_again, .init = prepare)
{
    for (int i = 0; i < 3; i++)
        round_trip(50000, 8);
    round_trip(70000, 8);
    cr_assert(in_css());
    round_trip(50000, 8);
    round_trip(50000, 8);
    cr_assert_not(in_css());
    cr_assert_eq(c.ssthresh, XT_CWND_MAX);
}

/* Req RFC9406-4.2 */
Test(hystart, few_samples_prove_nothing, .init = prepare)
{
    for (int i = 0; i < 3; i++)
        round_trip(50000, 8);
    round_trip(90000, 4);
    cr_assert_not(in_css());
}

/* Req RFC9406-4.3 */
Test(hystart, only_in_the_first_slow_start, .init = prepare)
{
    lose(400000);
    c.cwnd = 10000;
    for (int i = 0; i < 3; i++)
        round_trip(50000, 8);
    round_trip(200000, 8);
    cr_assert_not(in_css());
}
