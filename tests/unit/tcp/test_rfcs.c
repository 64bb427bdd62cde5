/* SPDX-License-Identifier: Apache-2.0
 * Requirements of other RFCs that have no test of their own kind elsewhere: each is tagged with its section. */
#include <criterion/criterion.h>
#include <errno.h>

#include "proto/xt_cc.h"
#include "tests/unit/tcp/pair.h"

/* One octet in flight, and an ICMP error of kind `err` about it. Returns the events. */
static uint32_t icmp_in_flight(struct pair *p, int err)
{
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    pair_write(p, 0, 1, false);
    pair_flush(p, 0);
    return xt_tcp_icmp(&p->e[0].c, &ctx, p->e[0].c.snd_una, err, 0);
}

/* Req RFC5927-5.2: a hard error is remembered only, once synchronised. */
Test(rfcs, hard_icmp_error_leaves_an_open_connection)
{
    static const int hard[] = {ENOPROTOOPT, ECONNREFUSED};
    for (unsigned i = 0; i < 2; i++) {
        struct pair *p = pair_new();
        pair_open(p);
        cr_assert_eq(icmp_in_flight(p, hard[i]), XT_EV_SOFT);
        cr_assert_eq(p->e[0].c.state, XT_ESTABLISHED);
        cr_assert_eq(p->e[0].c.soft_err, hard[i]);
        pair_free(p);
    }
}

/* Req SHLD-26: it ends the connection in any state where that is asked for. */
Test(rfcs, hard_icmp_error_ends_it_when_configured)
{
    struct pair *p = pair_new();
    p->e[0].cfg.icmp_abort = 1;
    pair_open(p);
    cr_assert_eq(icmp_in_flight(p, EHOSTUNREACH), XT_EV_SOFT);
    cr_assert_eq(p->e[0].c.state, XT_ESTABLISHED);
    cr_assert(icmp_in_flight(p, ECONNREFUSED) & XT_EV_CLOSED);
    cr_assert_eq(p->e[0].c.err, ECONNREFUSED);
    pair_free(p);
}

/* Req SHLD-20: the application has errors that end nothing told at once, or not. */
Test(rfcs, icmp_errors_are_told_when_asked_for)
{
    struct pair *p = pair_new();
    pair_open(p);
    cr_assert_eq(icmp_in_flight(p, EHOSTUNREACH), XT_EV_SOFT);
    p->e[0].c.opt.recverr = 1;
    cr_assert_eq(icmp_in_flight(p, ENETUNREACH), XT_EV_SOFT_ERROR);
    cr_assert_eq(p->e[0].c.soft_err, ENETUNREACH);
    cr_assert_eq(p->e[0].c.err, 0);
    pair_free(p);
}

static bool lose_first(struct pair *p, int from, const struct xt_seg *seg)
{
    return p->count++ == 0;
}

/* Req RFC6298-5.7: the SYN was sent again, so nothing is known of the round-trip time: data begins with three seconds. */
Test(rfcs, timeout_after_a_lost_syn)
{
    struct pair *p = pair_new();
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    p->e[0].cfg.timestamps = 0;
    p->e[0].c.opts &= (uint8_t)~XT_OPT_TS;
    p->drop = lose_first;
    xt_tcp_connect(&p->e[0].c, &ctx, 1000);
    pair_run(p, p->now + 2000000);
    cr_assert_eq(p->e[0].c.state, XT_ESTABLISHED);
    cr_assert_eq(p->e[0].c.rto, 3000000);
    pair_free(p);
}

/* The path: when data of end 0 leaves, most of it at one instant, and segment number `lost` vanishes. */
static uint64_t last_at;
static unsigned burst, longest, ndata, lost = UINT32_MAX;

static bool watch(struct pair *p, int from, const struct xt_seg *seg)
{
    if (from == 1 || seg->len == 0)
        return false;
    burst = p->now == last_at ? burst + 1 : 1;
    last_at = p->now;
    longest = burst > longest ? burst : longest;
    return ndata++ == lost;
}

/* 40 round trips of 20 ms with all the window that there is. */
static struct pair *long_transfer(uint8_t cc)
{
    struct pair *p = pair_new();
    p->delay = 10000;
    p->e[0].cfg.cc = cc;
    p->e[0].cfg.gso_max = 0;
    pair_open(p);
    p->drop = watch;
    for (uint64_t end = p->now + 800000; p->now < end;) {
        pair_write(p, 0, RING - (uint32_t)(p->e[0].c.tx_head - p->e[0].c.tx_una), false);
        pair_run(p, p->now + 1000);
        pair_read(p, 1);
        longest = p->now < end - 400000 ? 0 : longest; /* once it knows the path */
    }
    return p;
}

/* Req BBR-4.6: segments leave evenly, by the rate at which the path delivers, not in bursts of a window. */
Test(rfcs, bbr_paces)
{
    struct pair *p = long_transfer(XT_CC_BBR);
    cr_assert_gt(ndata, 400);
    cr_assert_lt(longest, 12, "%u segments at once", longest);
    pair_free(p);
}

/* Req BBR-5.2: a segment lost by chance, one in hundreds, is sent again and costs no rate; CUBIC takes it for congestion. */
Test(rfcs, bbr_does_not_yield_to_a_single_loss)
{
    lost = 700;
    struct pair *p = long_transfer(XT_CC_BBR);
    cr_assert_gt(ndata, 900);
    cr_assert_geq(p->e[0].stats.retrans_segs, 1);
    cr_assert_geq(p->e[0].c.cwnd, 63000, "cwnd %u", p->e[0].c.cwnd);
    pair_free(p);
}

/* Req SHLD-31: a FIN alone beyond a gap is kept, and answered at once with what is missing. */
Test(rfcs, a_fin_beyond_a_gap_is_answered_and_kept)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, XT_OPT_MSS);
    script_in(p, XT_TH_FIN | XT_TH_ACK, 100, 0, 0);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.ack, p->e[1].c.rcv_nxt);
    cr_assert_eq(p->e[1].c.state, XT_ESTABLISHED);
    script_in(p, XT_TH_ACK, 0, 0, 100);
    cr_assert_eq(p->e[1].c.state, XT_CLOSE_WAIT);
    pair_free(p);
}
