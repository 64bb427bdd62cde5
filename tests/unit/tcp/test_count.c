/* SPDX-License-Identifier: Apache-2.0
 * Loss detection by count (RFC 6675), where RACK is not chosen: how much evidence it wants, and what it sends when it has
 * none left. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "proto/xt_cc.h"
#include "tests/unit/tcp/pair.h"

#define ALL (XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS)
#define M 1448u

static struct pair *p;
static struct xt_conn *c;

static void setup(void)
{
    p = pair_new();
    c = &p->e[1].c;
    c->recovery = XT_RECOVERY_SACK;
    p->e[1].cfg.cc = XT_CC_RENO;
    script_establish(p, ALL);
}

static void teardown(void)
{
    pair_free(p);
}

TestSuite(count, .init = setup, .fini = teardown);

static void sack(uint32_t ack, uint32_t l0, uint32_t r0, uint32_t l1, uint32_t r1)
{
    struct xt_seg s = script_make(p, XT_TH_ACK, 0, ack, 0);
    s.opt.sack[s.opt.nsack++] = (struct xt_sack_block){5001 + l0, 5001 + r0};
    if (r1)
        s.opt.sack[s.opt.nsack++] = (struct xt_sack_block){5001 + l1, 5001 + r1};
    p->now += 100;
    script_seg(p, &s);
}

static void expect_out(uint32_t off, uint32_t len)
{
    struct xt_seg out;
    cr_assert(script_out(p, &out), "nothing sent, not %u", off);
    cr_assert_eq(out.seq, 5001 + off, "sent %u, not %u", out.seq - 5001, off);
    cr_assert_eq(out.len, len, "sent %u bytes, not %u", out.len, len);
}

static void expect_quiet(void)
{
    struct xt_seg out;
    cr_assert_not(script_out(p, &out), "sent %u", out.seq - 5001);
}

static void drain(void)
{
    struct xt_seg out;
    while (script_out(p, &out))
        ;
}

/* The peer says that it got twice what was sent again: the path reorders by more than three. The next time six segments are
 * asked for, or half of the flight if that is less (RFC 4653 has the idea). */
Test(count, a_path_that_reorders_is_given_more_patience)
{
    pair_write(p, 1, 20 * M, false);
    expect_out(0, 10 * M);
    sack(0, M, 4 * M, 0, 0);
    cr_assert_eq(c->ca_state, XT_CA_RECOVERY);
    expect_out(0, M);
    sack(4 * M, 0, M, 0, 0);
    cr_assert_eq(p->e[1].stats.undone_recoveries, 1);
    cr_assert_eq(c->ca_state, XT_CA_OPEN);
    cr_assert_geq(c->cwnd, 10 * M, "what the needless recovery took is given back");
    drain();
    uint32_t flight = c->snd_nxt - c->snd_una;
    cr_assert_geq(flight, 10 * M);
    sack(4 * M, 5 * M, 9 * M, 0, 0);
    cr_assert_eq(c->ca_state, XT_CA_DISORDER, "four are too few now");
    cr_assert_eq(p->e[1].stats.fast_recoveries, 1);
    drain();
    sack(4 * M, 5 * M, 12 * M, 0, 0);
    cr_assert_eq(c->ca_state, XT_CA_RECOVERY);
    expect_out(4 * M, M);
}

/* Three duplicate ACKs count, however few bytes they tell of; what lies above all of them is not lost by that. */
Test(count, small_segments_are_counted_too)
{
    c->opt.nodelay = 1;
    for (uint32_t i = 0; i < 6; i++) {
        pair_write(p, 1, 100, false);
        expect_out(100 * i, 100);
        p->now += 1000;
    }
    sack(0, 100, 200, 0, 0);
    sack(0, 100, 300, 0, 0);
    cr_assert_neq(c->ca_state, XT_CA_RECOVERY);
    expect_quiet();
    sack(0, 100, 400, 0, 0);
    cr_assert_eq(c->ca_state, XT_CA_RECOVERY);
    expect_out(0, 100);
    expect_quiet();
    script_in(p, XT_TH_ACK, 0, 400, 0);
    expect_quiet();
    cr_assert_eq(p->e[1].stats.retrans_segs, 1);
}

/* NextSeg() (RFC 6675 section 4): with no more that counts as lost, and nothing new to send, what lies below the highest
 * SACK goes again (rule 3), then once the last segment (rule 4). */
Test(count, with_nothing_else_to_send_what_may_be_lost_goes_again)
{
    pair_write(p, 1, 10 * M, false);
    expect_out(0, 10 * M);
    sack(0, M, 4 * M, 5 * M, 6 * M);
    cr_assert_eq(c->ca_state, XT_CA_RECOVERY);
    expect_out(0, M);
    cr_assert_eq(p->e[1].stats.retrans_segs, 1);
    sack(4 * M, 5 * M, 6 * M, 0, 0);
    expect_quiet();
    sack(4 * M, 5 * M, 7 * M, 0, 0);
    expect_out(4 * M, M);
    sack(4 * M, 5 * M, 8 * M, 0, 0);
    struct xt_seg out;
    bool rescued = false;
    while (script_out(p, &out)) {
        cr_assert_eq(out.seq, 5001 + 9 * M, "sent %u", out.seq - 5001);
        cr_assert_not(rescued, "once in a recovery");
        rescued = true;
    }
    cr_assert(rescued);
    cr_assert_eq(c->ca_state, XT_CA_RECOVERY);
}
