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

/* A peer with the least MSS, reached by a source route: time stamps and SACK blocks must find room beside some payload. */
Test(pmtu, ip_options_leave_room_for_payload)
{
    struct pair *p = opened(1460);
    struct xt_conn *c = &p->e[0].c;
    c->mss_peer = 48;
    for (uint8_t len = 0; len <= 40; len += 4) {
        xt_tcp_ip_options(c, len);
        cr_expect_eq(c->mss_eff, 48 - TS_LEN, "%u bytes: %u", len, c->mss_eff);
    }
    c->mss_peer = 1460;
    xt_tcp_ip_options(c, 40);
    cr_expect_eq(c->mss_eff, 1460 - TS_LEN - 40);
    pair_free(p);
}

/* Req RFC5927-7.2 */
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

/* Req RFC1191-5.2 */
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

/* Req RFC1191-6.3 RFC4821-7.6.1 */
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

/* Req RFC4821-7.6.2 */
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

/* Req RFC4821-7.3 */
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

/* Req RFC4821-7.7 RFC8899-4.3 */
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

/* Req RFC8899-4.3 */
Test(pmtu, narrow_black_hole_takes_the_least)
{
    struct pair *p = opened(700);
    transfer(p, 50000, 60 * S);
    cr_assert_eq(p->e[0].stats.pmtu_black_holes, 2);
    cr_assert_eq(p->e[0].c.mss_path, 512);
    pair_free(p);
}

/* A message of less than a full segment may be too large all the same. */
Test(pmtu, narrow_black_hole_passes_a_single_message)
{
    struct pair *p = opened(700);
    transfer(p, 900, 60 * S);
    cr_assert_eq(p->e[0].c.mss_path, 512);
    pair_free(p);
}

static bool all_data(struct pair *p, int from, const struct xt_seg *seg)
{
    return seg->len > 0;
}

/* Req RFC8899-4.3 */
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

/* Req RFC4821-7.7 */
Test(pmtu, an_outage_lowers_it_only_for_a_while)
{
    struct pair *p = opened(1460);
    p->drop = all_data;
    pair_write(p, 0, 20000, false);
    pair_run(p, p->now + 20 * S);
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

Test(pmtu, what_others_learned_never_raises_it)
{
    struct pair *p = opened(1460);
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    told(p, 1000);
    xt_tcp_path_mtu(&p->e[0].c, &ctx, 1400);
    cr_assert_eq(p->e[0].c.mss_path, 960);
    xt_tcp_path_mtu(&p->e[0].c, &ctx, 900);
    cr_assert_eq(p->e[0].c.mss_path, 860);
    pair_free(p);
}

/* The segment that tries a larger size meets a router that says what fits. */
Test(pmtu, icmp_about_a_probe_ends_the_search_there)
{
    struct pair *p = opened(1260);
    told(p, 1000);
    p->now += 601 * S;
    struct xt_conn *c = &p->e[0].c;
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    pair_write(p, 0, 40000, false);
    pair_flush(p, 0);
    cr_assert_eq(c->mss_probe, 1460);
    uint32_t una = c->snd_una;
    uint64_t again = p->e[0].stats.retrans_segs;
    xt_tcp_icmp(c, &ctx, una, EMSGSIZE, 1300);
    cr_assert_eq(c->mss_path, 960, "a probe tries, ICMP does not raise");
    cr_assert_eq(c->mss_bad, 1261, "what the search knows now");
    cr_assert_eq(c->snd_una, una);
    pair_flush(p, 0);
    cr_assert_eq(p->e[0].stats.retrans_segs, again, "what is in flight beside it fits");
    transfer(p, 300000, 30 * S);
    p->now += 2 * S;
    transfer(p, 300000, 30 * S);
    cr_assert_leq(c->mss_path, 1260);
    cr_assert_gt(c->mss_path, 1000, "the search went on, below what ICMP said: %u", c->mss_path);
    pair_free(p);
}

Test(pmtu, an_idle_connection_sends_nothing_again)
{
    struct pair *p = opened(1460);
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    pair_write(p, 0, 1000, false);
    pair_settle(p);
    cr_assert_eq(xt_tcp_icmp(&p->e[0].c, &ctx, p->e[0].c.snd_una, EMSGSIZE, 1000), 0);
    cr_assert_eq(p->e[0].c.mss_path, 1460, "a quote of what is not in flight is forged, or late");
    pair_free(p);
}

Test(pmtu, no_larger_size_is_tried_where_the_segment_has_more_to_carry)
{
    struct pair *p = opened(1460);
    struct xt_conn *c = &p->e[0].c;
    told(p, 1000);
    p->now += 601 * S;
    pair_write(p, 0, 20000, true);
    pair_settle(p);
    cr_assert_eq(p->e[0].stats.pmtu_probes, 0, "the urgent mark would lie beyond a probe's end");
    pair_read(p, 1);
    transfer(p, 100000, 10 * S);
    cr_assert_eq(p->e[0].stats.pmtu_probes, 1);
    cr_assert_eq(c->mss_path, 1460);
    pair_free(p);
}

/* When all that was in flight with it is lost too, that is more than a segment that was too large. */
Test(pmtu, a_larger_one_lost_in_an_outage_is_not_forgiven)
{
    struct pair *p = opened(1460);
    struct xt_conn *c = &p->e[0].c;
    told(p, 1000);
    transfer(p, 100000, 10 * S);
    p->now += 601 * S;
    p->drop = all_data;
    pair_write(p, 0, 30000, false);
    pair_flush(p, 0);
    cr_assert_eq(c->mss_probe, 1460);
    uint32_t in_flight = c->snd_nxt - c->snd_una;
    pair_run(p, p->now + S);
    cr_assert_geq(p->e[0].stats.rto_timeouts, 1);
    cr_assert_eq(c->mss_probe, 0, "it was sent again, in smaller parts");
    cr_assert_eq(c->mss_bad, 1460);
    cr_assert_eq(c->ca_state, XT_CA_LOSS);
    cr_assert_lt(c->ssthresh, in_flight);
    p->drop = path;
    transfer(p, 100000, 60 * S);
    cr_assert_geq(c->mss_path, 960, "the search goes on");
    pair_free(p);
}

/* Below the least MTU that is believed segments are as large as that, and routers may cut them up. */
Test(pmtu, what_is_told_below_the_least_is_left_to_routers)
{
    struct pair *p = opened(1460);
    struct xt_seg out;
    struct xt_conn *c = &p->e[0].c;
    p->drop = all_data;
    pair_write(p, 0, 1000, false);
    pair_run(p, p->now + 1000);
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    xt_tcp_icmp(c, &ctx, c->snd_una, EMSGSIZE, 600);
    cr_assert_eq(xt_tcp_output(c, &ctx, &out, 0), 1);
    cr_assert_eq(out.len, 560 - TS_LEN);
    cr_assert(!out.may_fragment);
    xt_tcp_icmp(c, &ctx, c->snd_una, EMSGSIZE, 300);
    cr_assert_eq(xt_tcp_output(c, &ctx, &out, 0), 1);
    cr_assert_eq(out.len, 512 - TS_LEN);
    cr_assert(out.may_fragment);
    pair_free(p);
}

/* IP_MTU_DISCOVER: DF is the application's to give up. */
Test(pmtu, an_application_may_want_no_df)
{
    struct pair *p = opened(1460);
    struct xt_seg out;
    struct xt_conn *c = &p->e[0].c;
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    for (int fragment = 0; fragment < 2; fragment++) {
        c->opt.fragment = (uint8_t)fragment;
        pair_write(p, 0, 1000, false);
        cr_assert_eq(xt_tcp_output(c, &ctx, &out, 0), 1);
        cr_assert_eq(out.may_fragment, fragment);
        pair_run(p, p->now + S);
        pair_read(p, 1);
    }
    pair_free(p);
}
