/* SPDX-License-Identifier: Apache-2.0
 * Losses, one by one. */
#include <criterion/criterion.h>
#include <errno.h>

#include "proto/xt_cc.h"
#include "tests/unit/tcp/pair.h"

#define ALL (XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS)
#define M 1448u

/* An ACK with up to two SACK blocks, in relative sequence numbers; a block of 0 to 0 is none. */
static void sack(struct pair *p, uint32_t ack, uint32_t l0, uint32_t r0, uint32_t l1, uint32_t r1)
{
    struct xt_seg s = script_make(p, XT_TH_ACK, 0, ack, 0);
    if (r0)
        s.opt.sack[s.opt.nsack++] = (struct xt_sack_block){5001 + l0, 5001 + r0};
    if (r1)
        s.opt.sack[s.opt.nsack++] = (struct xt_sack_block){5001 + l1, 5001 + r1};
    script_seg(p, &s);
}

static void expect_out(struct pair *p, uint32_t off, uint32_t len)
{
    struct xt_seg out;
    cr_assert(script_out(p, &out), "nothing sent, not %u", off);
    cr_assert_eq(out.seq, 5001 + off, "sent %u, not %u", out.seq - 5001, off);
    cr_assert_eq(out.len, len, "sent %u bytes, not %u", out.len, len);
}

static void expect_quiet(struct pair *p)
{
    struct xt_seg out;
    cr_assert_not(script_out(p, &out), "sent %u", out.seq - 5001);
}

/* Req RFC6675-5 */
Test(recovery, sack_sends_the_hole_and_only_that)
{
    struct pair *p = pair_new();
    p->e[1].cfg.cc = XT_CC_RENO;
    script_establish(p, ALL);
    pair_write(p, 1, 10 * M, false);
    expect_out(p, 0, 10 * M);
    p->now += 1000;
    sack(p, M, 2 * M, 5 * M, 0, 0); /* [M, 2M) is missing; three segments above say so at once */
    expect_out(p, M, M);
    cr_assert_eq(p->e[1].c.ca_state, XT_CA_RECOVERY);
    expect_quiet(p);
    sack(p, M, 2 * M, 10 * M, 0, 0);
    expect_quiet(p);
    sack(p, 10 * M, 0, 0, 0, 0);
    cr_assert_eq(p->e[1].c.ca_state, XT_CA_OPEN);
    cr_assert_eq(p->e[1].c.cwnd, 9 * M / 2);
    cr_assert_eq(p->e[1].stats.retrans_segs, 1);
    expect_quiet(p);
    pair_free(p);
}

/* Req RFC3042-2 */
Test(recovery, limited_transmit_sends_new_data_first)
{
    struct pair *p = pair_new();
    script_establish(p, ALL);
    pair_write(p, 1, 20 * M, false);
    expect_out(p, 0, 10 * M);
    expect_quiet(p);
    sack(p, 0, M, 2 * M, 0, 0);
    expect_out(p, 10 * M, M);
    expect_quiet(p);
    sack(p, 0, M, 3 * M, 0, 0);
    expect_out(p, 11 * M, M);
    expect_quiet(p);
    sack(p, 0, M, 4 * M, 0, 0);
    expect_out(p, 0, M);
    pair_free(p);
}

/* Req RFC6675-5 */
Test(recovery, two_holes)
{
    struct pair *p = pair_new();
    p->e[1].c.recovery = XT_RECOVERY_SACK;
    script_establish(p, ALL);
    pair_write(p, 1, 10 * M, false);
    expect_out(p, 0, 10 * M);
    sack(p, 0, M, 4 * M, 0, 0);
    expect_out(p, 0, M);
    sack(p, 0, 5 * M, 8 * M, M, 4 * M);
    expect_out(p, 4 * M, M);
    expect_out(p, 9 * M, M); /* the rescue, once: nothing new to send and room in cwnd (RFC 6675 NextSeg rule 4) */
    expect_quiet(p);
    sack(p, 4 * M, 5 * M, 10 * M, 0, 0);
    expect_quiet(p);
    sack(p, 10 * M, 0, 0, 0, 0);
    cr_assert_eq(p->e[1].stats.retrans_segs, 3);
    cr_assert_eq(xt_tcp_deadline(&p->e[1].c, p->now), UINT64_MAX);
    pair_free(p);
}

/* Req RFC6582-3.2 */
Test(recovery, newreno_sends_one_for_each_partial_ack)
{
    struct pair *p = pair_new();
    script_establish(p, XT_OPT_MSS | XT_OPT_TS);
    pair_write(p, 1, 10 * M, false);
    expect_out(p, 0, 10 * M);
    for (int i = 0; i < 3; i++) {
        expect_quiet(p);
        sack(p, 0, 0, 0, 0, 0);
    }
    expect_out(p, 0, M);
    expect_quiet(p);
    sack(p, 3 * M, 0, 0, 0, 0); /* partial: [3M, 4M) is missing too */
    expect_out(p, 3 * M, M);
    expect_quiet(p);
    sack(p, 10 * M, 0, 0, 0, 0);
    cr_assert_eq(p->e[1].c.ca_state, XT_CA_OPEN);
    cr_assert_eq(p->e[1].stats.retrans_segs, 2);
    pair_free(p);
}

/* Req RFC2018-8 */
Test(recovery, timeout_goes_back_but_not_over_what_was_sacked)
{
    struct pair *p = pair_new();
    p->e[1].c.recovery = XT_RECOVERY_SACK;
    script_establish(p, ALL);
    pair_write(p, 1, 4 * M, false);
    expect_out(p, 0, 4 * M);
    sack(p, 0, 2 * M, 3 * M, 0, 0);
    expect_quiet(p);
    p->now = xt_tcp_deadline(&p->e[1].c, p->now);
    pair_call(p, 1, xt_tcp_timer);
    expect_out(p, 0, M);
    expect_quiet(p);
    cr_assert_eq(p->e[1].c.cwnd, M);
    p->now += 1000;
    sack(p, M, 2 * M, 3 * M, 0, 0);
    expect_out(p, M, M);
    p->now += 1000;
    sack(p, 3 * M, 0, 0, 0, 0);
    expect_out(p, 3 * M, M);
    sack(p, 4 * M, 0, 0, 0, 0);
    cr_assert_eq(p->e[1].c.ca_state, XT_CA_OPEN);
    pair_free(p);
}

/* Req RFC4015-3.2 RFC3522-3.2 */
Test(recovery, needless_timeout_is_undone)
{
    struct pair *p = pair_new();
    p->e[1].c.recovery = XT_RECOVERY_SACK;
    script_establish(p, ALL);
    pair_write(p, 1, 10 * M, false);
    expect_out(p, 0, 10 * M);
    uint32_t sent_ms = (uint32_t)(p->now / 1000), cwnd = p->e[1].c.cwnd;
    p->now = xt_tcp_deadline(&p->e[1].c, p->now);
    pair_call(p, 1, xt_tcp_timer);
    expect_out(p, 0, M);
    struct xt_seg late = script_make(p, XT_TH_ACK, 0, 10 * M, 0);
    late.opt.tsecr = sent_ms; /* the first transmission's */
    script_seg(p, &late);
    cr_assert_eq(p->e[1].stats.undone_timeouts, 1);
    cr_assert_geq(p->e[1].c.cwnd, cwnd);
    expect_quiet(p);
    pair_free(p);
}

/* Req RFC3708-3 RFC4015-3.2: [0, M) comes late, after it was sent again: the peer reports the duplicate, and the reduction is taken back. */
Test(recovery, reordering_is_undone_and_learnt)
{
    struct pair *p = pair_new();
    p->e[1].cfg.cc = XT_CC_RENO;
    script_establish(p, ALL);
    pair_write(p, 1, 40 * M, false);
    expect_out(p, 0, 10 * M);
    sack(p, 0, M, 4 * M, 0, 0);
    expect_out(p, 0, M);
    cr_assert_eq(p->e[1].c.ssthresh, 5 * M);
    sack(p, 10 * M, 0, 0, 0, 0);
    expect_out(p, 10 * M, 5 * M);
    sack(p, 10 * M, 0, M, 0, 0);
    cr_assert_eq(p->e[1].stats.undone_recoveries, 1);
    cr_assert_eq(p->e[1].c.cwnd, 10 * M);
    expect_out(p, 15 * M, 5 * M);
    sack(p, 10 * M, 11 * M, 14 * M, 0, 0); /* three segments above are no proof any more */
    cr_assert_eq(p->e[1].c.ca_state, XT_CA_DISORDER);
    pair_free(p);
}

/* Req RFC1191-6.4 */
Test(recovery, a_smaller_mtu_sends_again_in_smaller_parts)
{
    struct pair *p = pair_new();
    script_establish(p, ALL);
    pair_write(p, 1, 3 * M, false);
    expect_out(p, 0, 3 * M);
    uint32_t cwnd = p->e[1].c.cwnd;
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    cr_assert_eq(xt_tcp_icmp(&p->e[1].c, &ctx, 5000 - 1, EMSGSIZE, 1000), 0);
    cr_assert_eq(p->e[1].c.mss_eff, M); /* not about anything in flight */
    xt_tcp_icmp(&p->e[1].c, &ctx, 5001, EMSGSIZE, 1000);
    cr_assert_eq(p->e[1].c.mss_eff, 1000 - 40 - 12);
    expect_out(p, 0, 948);
    struct xt_seg out;
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.gso_size, 948);
    cr_assert_eq(p->e[1].c.cwnd, cwnd / M * 948); /* as many segments */
    pair_free(p);
}

/* Req RFC5961-3.2 */
Test(attacks, blind_reset_is_challenged)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    cr_assert_eq(script_in(p, XT_TH_RST, 70000, 0, 0), 0); /* outside the window */
    cr_assert_not(script_out(p, &out));
    cr_assert(script_in(p, XT_TH_RST, 10, 0, 0) & XT_EV_ACK_NOW);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.flags, XT_TH_ACK);
    cr_assert(script_in(p, XT_TH_RST, 0, 0, 0) & XT_EV_ERROR);
    cr_assert_eq(p->e[1].c.err, ECONNRESET);
    pair_free(p);
}

/* Req RFC5961-7 */
Test(attacks, challenges_are_rationed)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    unsigned answers = 0;
    for (int i = 0; i < 100; i++) {
        script_in(p, XT_TH_SYN, 10, 0, 0);
        answers += script_out(p, &out);
    }
    cr_assert_eq(answers, 1);
    p->now += 499000;
    script_in(p, XT_TH_SYN, 10, 0, 0);
    cr_assert_not(script_out(p, &out));
    p->now += 1000;
    script_in(p, XT_TH_SYN, 10, 0, 0);
    cr_assert(script_out(p, &out));
    cr_assert_eq(p->e[1].c.state, XT_ESTABLISHED);
    pair_free(p);
}

/* Req RFC5961-5.2 */
Test(attacks, blind_data_needs_a_good_ack)
{
    struct pair *p = pair_new();
    script_establish(p, ALL);
    script_in(p, XT_TH_ACK, 0, 1, 100); /* acknowledges what was not sent */
    script_in(p, XT_TH_ACK, 0, 0u - 70000u, 100);
    cr_assert_eq(p->e[1].stats.drop_ack, 2);
    cr_assert_eq(p->e[1].c.rx_head, 0);
    pair_free(p);
}

/* Req RFC7323-5.3 */
Test(attacks, old_time_stamps_are_dropped)
{
    struct pair *p = pair_new();
    script_establish(p, ALL);
    script_in(p, XT_TH_ACK, 0, 0, 100);
    struct xt_seg old = script_make(p, XT_TH_ACK, 100, 0, 100);
    old.opt.tsval -= 5;
    script_seg(p, &old);
    cr_assert_eq(p->e[1].stats.drop_paws, 1);
    struct xt_seg bare = script_make(p, XT_TH_ACK, 100, 0, 100);
    bare.opt.present = 0;
    script_seg(p, &bare);
    cr_assert_eq(p->e[1].stats.drop_no_ts, 1);
    cr_assert_eq(p->e[1].c.rx_head, 100);
    pair_free(p);
}
