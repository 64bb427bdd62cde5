/* SPDX-License-Identifier: Apache-2.0
 * Retransmission time-out and congestion windows as numbers. */
#include <criterion/criterion.h>

#include "daemon/tcp/cc.h"
#include "daemon/tcp/rtt.h"

static struct xt_tcp_cfg cfg;
static struct xt_conn c;

static void prepare(void)
{
    struct xt_endpoint e = {.port = 1};
    xt_tcp_cfg_default(&cfg);
    xt_tcp_init(&c, &e, &e, &cfg);
    c.mss_eff = 1000;
}

/* Req RFC6298-2 */
Test(rtt, first_sample, .init = prepare)
{
    cr_assert_eq(xt_tcp_rto(&c, &cfg), 1000000);
    xt_tcp_rtt_sample(&c, &cfg, 400000);
    cr_assert_eq(c.srtt, 400000);
    cr_assert_eq(c.rttvar, 200000);
    cr_assert_eq(xt_tcp_rto(&c, &cfg), 1200000);
}

/* Req RFC6298-2 */
Test(rtt, next_samples_and_floor, .init = prepare)
{
    xt_tcp_rtt_sample(&c, &cfg, 100000);
    xt_tcp_rtt_sample(&c, &cfg, 180000);
    cr_assert_eq(c.srtt, 110000);
    cr_assert_eq(c.rttvar, (3 * 50000 + 80000) / 4);
    for (int i = 0; i < 200; i++)
        xt_tcp_rtt_sample(&c, &cfg, 100);
    cr_assert_eq(c.min_rtt, 100);
    cr_assert_geq(c.rto, cfg.rto_min + 100);
    cr_assert_lt(c.rto, cfg.rto_min + 1000);
}

Test(rtt, backoff_doubles_up_to_the_limit, .init = prepare)
{
    uint64_t last = xt_tcp_rto(&c, &cfg);
    for (c.backoff = 1; c.backoff < 7; c.backoff++, last *= 2)
        cr_assert_eq(xt_tcp_rto(&c, &cfg), last * 2);
    for (; c.backoff < 40; c.backoff++)
        cr_assert_eq(xt_tcp_rto(&c, &cfg), cfg.rto_max);
    xt_tcp_rtt_sample(&c, &cfg, 1000);
    cr_assert_eq(c.backoff, 0);
}

Test(rtt, a_forged_echo_is_bounded, .init = prepare)
{
    xt_tcp_rtt_sample(&c, &cfg, UINT32_MAX);
    cr_assert_leq(c.rto, cfg.rto_max);
    xt_tcp_rtt_sample(&c, &cfg, 0);
    cr_assert_gt(c.srtt, 0);
}

Test(cc, slow_start_doubles_then_adds_a_segment, .init = prepare)
{
    const struct xt_cc *cc = xt_cc_of(&c);
    cc->init(&c, &cfg);
    cr_assert_eq(c.cwnd, 10000);
    cc->acked(&c, 10000);
    cr_assert_eq(c.cwnd, 20000);
    c.ssthresh = 24000;
    cc->acked(&c, 4000);
    cr_assert_eq(c.cwnd, 24000);
    for (int i = 0; i < 24; i++)
        cc->acked(&c, 1000);
    cr_assert_eq(c.cwnd, 25000);
    cr_assert_eq(cc->ssthresh(&c, 25000), 12500);
    cr_assert_eq(cc->ssthresh(&c, 1000), 2000);
}

/* Req RFC5681-3.1 */
Test(cc, initial_window_after_a_lost_syn, .init = prepare)
{
    c.cflags |= XT_CF_SYN_RXT;
    xt_cc_of(&c)->init(&c, &cfg);
    cr_assert_eq(c.cwnd, 1000);
}

Test(cc, idle_goes_back_to_the_initial_window, .init = prepare)
{
    xt_cc_of(&c)->init(&c, &cfg);
    c.cwnd = 500000;
    xt_cc_of(&c)->idle(&c, &cfg);
    cr_assert_eq(c.cwnd, 10000);
    c.cwnd = 3000;
    xt_cc_of(&c)->idle(&c, &cfg);
    cr_assert_eq(c.cwnd, 3000);
}
