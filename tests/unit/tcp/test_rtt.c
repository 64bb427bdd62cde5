/* SPDX-License-Identifier: Apache-2.0
 * Retransmission time-out as numbers. */
#include <criterion/criterion.h>

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

/* Req RFC6298-5.5 */
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
