/* SPDX-License-Identifier: Apache-2.0
 * Path MTU: told by ICMP, found out behind a black hole, and searched upwards again. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/unit/tcp/pair.h"

#define S 1000000ull
#define TS_LEN 12

/* What fits: payload and time stamp option. */
static uint32_t path_mss;

static bool path(struct pair *p, int from, const struct xt_seg *seg)
{
    uint32_t len = seg->gso_size ? seg->gso_size : seg->len;
    return len && len + (seg->opt.present & XT_OPT_TS ? TS_LEN : 0) > path_mss;
}

static struct pair *opened(uint32_t mss)
{
    struct pair *p = pair_new();
    pair_open(p);
    path_mss = mss;
    p->drop = path;
    return p;
}

/* End 0 sends `n` bytes, which must arrive within `us`. */
static void transfer(struct pair *p, uint32_t n, uint64_t us)
{
    uint64_t target = p->e[0].c.tx_head + n, end = p->now + us;
    while (p->e[1].c.rx_tail < target) {
        uint64_t room = RING - (p->e[0].c.tx_head - p->e[0].c.tx_una), left = target - p->e[0].c.tx_head;
        cr_assert_lt(p->now, end, "stuck at %llu", (unsigned long long)p->e[1].c.rx_tail);
        pair_write(p, 0, (uint32_t)(left < room ? left : room), false);
        pair_run(p, p->now + 4000);
        pair_read(p, 1);
    }
}

static void told(struct pair *p, uint32_t mtu)
{
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    pair_write(p, 0, 100, false);
    pair_flush(p, 0);
    xt_tcp_icmp(&p->e[0].c, &ctx, p->e[0].c.snd_una, EMSGSIZE, mtu);
    pair_run(p, p->now + S);
    pair_read(p, 1);
}

Test(pmtu, is_never_believed_below_552)
{
    struct pair *p = opened(1460);
    told(p, 1400);
    cr_assert_eq(p->e[0].c.mss_path, 1360);
    cr_assert_eq(p->e[0].c.mss_eff, 1360 - TS_LEN);
    told(p, 68);
    cr_assert_eq(p->e[0].c.mss_path, 512);
    told(p, 1500);
    cr_assert_eq(p->e[0].c.mss_path, 512, "ICMP does not raise it");
    cr_assert_eq(p->e[0].stats.pmtu_lowered, 2);
    pair_free(p);
}

Test(pmtu, what_others_learned_bounds_a_new_connection)
{
    struct pair *p = pair_new();
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    xt_tcp_connect(&p->e[0].c, &ctx, 1000);
    xt_tcp_path_mtu(&p->e[0].c, &ctx, 1300);
    pair_settle(p);
    cr_assert_eq(p->e[0].c.state, XT_ESTABLISHED);
    cr_assert_eq(p->e[0].c.mss_eff, 1260 - TS_LEN);
    cr_assert_eq(p->e[1].c.mss_peer, 1460, "what is announced is what we can receive");
    path_mss = 1260;
    p->drop = path;
    transfer(p, 300000, 10 * S);
    cr_assert_eq(p->e[0].stats.retrans_segs, 0);
    pair_free(p);
}

Test(pmtu, ten_minutes_later_a_larger_one_is_tried)
{
    struct pair *p = opened(1460);
    told(p, 1000);
    transfer(p, 100000, 10 * S);
    cr_assert_eq(p->e[0].stats.pmtu_probes, 0);
    p->now += 601 * S;
    uint64_t again = p->e[0].stats.retrans_segs;
    transfer(p, 100000, 10 * S);
    cr_assert_eq(p->e[0].stats.pmtu_probes, 1);
    cr_assert_eq(p->e[0].stats.pmtu_raised, 1);
    cr_assert_eq(p->e[0].c.mss_eff, 1448);
    cr_assert_eq(p->e[0].stats.retrans_segs, again);
    pair_free(p);
}

Test(pmtu, a_larger_one_that_does_not_fit_costs_no_window)
{
    struct pair *p = opened(960);
    told(p, 1000);
    p->now += 601 * S;
    uint32_t ssthresh = p->e[0].c.ssthresh, cwnd = p->e[0].c.cwnd;
    transfer(p, 400000, 30 * S);
    cr_assert_geq(p->e[0].stats.pmtu_probes, 1);
    cr_assert_eq(p->e[0].stats.pmtu_raised, 0);
    cr_assert_eq(p->e[0].c.mss_path, 960);
    cr_assert_eq(p->e[0].c.ssthresh, ssthresh, "a lost probe is no congestion");
    cr_assert_geq(p->e[0].c.cwnd, cwnd);
    cr_assert_leq(p->e[0].c.cwnd, 4u * RING, "%u", p->e[0].c.cwnd);
    cr_assert_eq(p->e[0].c.ca_state, XT_CA_OPEN);
    cr_assert_eq(p->e[0].stats.rto_timeouts, 0);
    pair_free(p);
}

Test(pmtu, search_between_ends_near_the_truth)
{
    struct pair *p = opened(1200);
    told(p, 1000);
    p->now += 601 * S;
    for (unsigned i = 0; i < 20; i++) {
        transfer(p, 200000, 30 * S);
        p->now += 2 * S;
    }
    cr_assert_leq(p->e[0].c.mss_path, 1200);
    cr_assert_gt(p->e[0].c.mss_path, 1200 - 32);
    unsigned probes = (unsigned)p->e[0].stats.pmtu_probes;
    transfer(p, 200000, 30 * S);
    cr_assert_eq(p->e[0].stats.pmtu_probes, probes, "the search has ended");
    pair_free(p);
}

Test(pmtu, black_hole_is_passed_and_searched)
{
    struct pair *p = opened(1400);
    transfer(p, 100000, 30 * S);
    cr_assert_eq(p->e[0].stats.pmtu_black_holes, 1);
    cr_assert_eq(p->e[0].c.mss_path, 1160);
    for (unsigned i = 0; i < 20; i++) {
        p->now += 5 * S;
        transfer(p, 200000, 30 * S);
    }
    cr_assert_leq(p->e[0].c.mss_path, 1400);
    cr_assert_gt(p->e[0].c.mss_path, 1400 - 32);
    pair_free(p);
}

Test(pmtu, narrow_black_hole_takes_the_least)
{
    struct pair *p = opened(700);
    transfer(p, 50000, 60 * S);
    cr_assert_eq(p->e[0].stats.pmtu_black_holes, 2);
    cr_assert_eq(p->e[0].c.mss_path, 512);
    pair_free(p);
}

static bool all_data(struct pair *p, int from, const struct xt_seg *seg)
{
    return seg->len > 0;
}

Test(pmtu, small_segments_that_get_lost_say_nothing)
{
    struct pair *p = opened(1460);
    p->drop = all_data;
    pair_write(p, 0, 500, false);
    pair_run(p, p->now + 30 * S);
    cr_assert_geq(p->e[0].stats.rto_timeouts, 5);
    cr_assert_eq(p->e[0].stats.pmtu_black_holes, 0);
    cr_assert_eq(p->e[0].c.mss_path, 1460);
    pair_free(p);
}

Test(pmtu, an_outage_lowers_it_only_for_a_while)
{
    struct pair *p = opened(1460);
    p->drop = all_data;
    pair_write(p, 0, 20000, false);
    pair_run(p, p->now + 5 * S);
    cr_assert_eq(p->e[0].stats.pmtu_black_holes, 2);
    p->drop = path;
    transfer(p, 100000, 60 * S);
    for (unsigned i = 0; i < 20; i++) {
        p->now += 40 * S;
        transfer(p, 200000, 30 * S);
    }
    cr_assert_eq(p->e[0].c.mss_path, 1460);
    pair_free(p);
}
