/* SPDX-License-Identifier: Apache-2.0
 * Loss recovery by time: reordering, lost retransmissions, tail loss probes, needless time-outs, the rate of recovery. */
#include <criterion/criterion.h>

#include "proto/xt_cc.h"
#include "tests/unit/tcp/pair.h"

#define ALL (XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS)
#define M 1448u
#define RTT 20000u /* microseconds */

/* An ACK with up to three SACK blocks, in segments from the stream's start; 0 to 0 is none. */
struct blocks {
    uint32_t l, r;
};

static void ack(struct pair *p, uint32_t upto, struct blocks a, struct blocks b, struct blocks c)
{
    struct xt_seg s = script_make(p, XT_TH_ACK, 0, upto * M, 0);
    const struct blocks all[] = {a, b, c};
    for (unsigned i = 0; i < 3; i++)
        if (all[i].r)
            s.opt.sack[s.opt.nsack++] = (struct xt_sack_block){5001 + all[i].l * M, 5001 + all[i].r * M};
    script_seg(p, &s);
}

#define NONE ((struct blocks){0, 0})
#define SEGS(l, r) ((struct blocks){l, r})

static void expect_out(struct pair *p, uint32_t first, uint32_t n)
{
    struct xt_seg out;
    cr_assert(script_out(p, &out), "nothing sent, not segment %u", first);
    cr_assert_eq(out.seq, 5001 + first * M, "sent %u, not %u", (out.seq - 5001) / M, first);
    cr_assert_eq(out.len, n * M, "sent %u bytes, not %u", out.len, n * M);
}

static void expect_quiet(struct pair *p)
{
    struct xt_seg out;
    cr_assert_not(script_out(p, &out), "sent %u", (out.seq - 5001) / M);
}

/* ESTABLISHED with a round-trip time of 20 ms known: one segment was sent and acknowledged. Segment 1 is the next. */
static struct pair *start(uint8_t opts)
{
    struct pair *p = pair_new();
    p->e[1].cfg.cc = XT_CC_RENO; /* half is easy to count */
    script_establish(p, opts);
    p->e[1].c.srtt = p->e[1].c.rttvar = p->e[1].c.min_rtt = 0;
    pair_write(p, 1, M, false);
    expect_out(p, 0, 1);
    p->now += RTT;
    ack(p, 1, NONE, NONE, NONE);
    cr_assert_eq(p->e[1].c.srtt, RTT);
    cr_assert_eq(p->e[1].c.ca_state, XT_CA_OPEN);
    return p;
}

static void fire(struct pair *p, const char *name)
{
    cr_assert_str_eq(xt_tcp_deadline_name(&p->e[1].c, p->now), name);
    p->now = xt_tcp_deadline(&p->e[1].c, p->now);
    pair_call(p, 1, xt_tcp_timer);
}

/* Req RFC8985-6.2: One segment above says nothing yet; a quarter of a round trip later it does. */
Test(rack, the_reordering_timer_finds_a_single_loss)
{
    struct pair *p = start(ALL);
    pair_write(p, 1, 4 * M, false);
    expect_out(p, 1, 4);
    p->now += RTT;
    ack(p, 3, SEGS(4, 5), NONE, NONE);
    expect_quiet(p);
    cr_assert_eq(p->e[1].c.ca_state, XT_CA_DISORDER);
    uint64_t then = p->now;
    fire(p, "reorder");
    cr_assert_leq(p->now - then, RTT / 4 + 16);
    cr_assert_geq(p->now - then, RTT / 4);
    expect_out(p, 3, 1);
    expect_quiet(p);
    p->now += RTT;
    ack(p, 5, NONE, NONE, NONE);
    cr_assert_eq(p->e[1].stats.rto_timeouts, 0);
    cr_assert_eq(p->e[1].stats.retrans_segs, 1);
    cr_assert_eq(p->e[1].stats.rack_timer_losses, 1);
    pair_free(p);
}

/* Req RFC8985-6.2: The path has reordered before: four segments overtake one that comes within the window, and nothing is sent again. */
Test(rack, reordering_that_is_known_costs_nothing)
{
    struct pair *p = start(ALL);
    pair_write(p, 1, 10 * M, false);
    expect_out(p, 1, 10);
    p->now += RTT;
    ack(p, 1, SEGS(2, 3), NONE, NONE);
    expect_quiet(p);
    p->now += 100;
    ack(p, 3, NONE, NONE, NONE); /* it was only late */
    p->now += 100;
    ack(p, 3, SEGS(4, 8), NONE, NONE);
    expect_quiet(p);
    p->now += RTT / 8;
    ack(p, 8, NONE, NONE, NONE);
    ack(p, 11, NONE, NONE, NONE);
    cr_assert_eq(p->e[1].stats.retrans_segs, 0);
    cr_assert_eq(p->e[1].c.ca_state, XT_CA_OPEN);
    cr_assert_eq(xt_tcp_deadline(&p->e[1].c, p->now), UINT64_MAX);
    pair_free(p);
}

/* Req RFC8985-6.2: D-SACKs widen the window, once in a round trip; sixteen recoveries without any bring it back. */
Test(rack, the_reordering_window_adapts)
{
    struct pair *p = start(ALL);
    struct xt_conn *c = &p->e[1].c;
    pair_write(p, 1, 4 * M, false);
    expect_out(p, 1, 4);
    ack(p, 1, SEGS(0, 1), NONE, NONE);
    ack(p, 1, SEGS(0, 1), NONE, NONE);
    cr_assert_eq(c->reo_mult, 2);
    p->now += RTT;
    ack(p, 5, SEGS(0, 1), NONE, NONE);
    cr_assert_eq(c->reo_mult, 3);
    uint32_t una = 5;
    for (int i = 0; i < 16; i++, una += 8) {
        cr_assert_eq(c->reo_mult, 3);
        c->cwnd = 20 * M;
        pair_write(p, 1, 8 * M, false);
        expect_out(p, una, 8);
        p->now += RTT;
        ack(p, una, SEGS(una + 1, una + 8), NONE, NONE);
        expect_out(p, una, 1);
        p->now += RTT;
        ack(p, una + 8, NONE, NONE, NONE);
        cr_assert_eq(c->ca_state, XT_CA_OPEN);
    }
    cr_assert_eq(c->reo_mult, 1);
    pair_free(p);
}

/* Req RFC8985-6.2: The retransmission is lost too; what was sent after it arrives. No time-out is needed. */
Test(rack, a_lost_retransmission_is_repaired)
{
    struct pair *p = start(ALL);
    p->e[1].c.cwnd = 12 * M;
    pair_write(p, 1, 20 * M, false);
    expect_out(p, 1, 12);
    p->now += RTT;
    ack(p, 1, SEGS(2, 13), NONE, NONE);
    expect_out(p, 1, 1);
    expect_out(p, 13, 5);
    expect_quiet(p);
    p->now += RTT;
    ack(p, 1, SEGS(2, 18), NONE, NONE); /* the newest left with the retransmission and arrived */
    expect_out(p, 1, 1);
    p->now += RTT;
    ack(p, 18, NONE, NONE, NONE);
    cr_assert_eq(p->e[1].stats.rack_rtx_lost, 1);
    cr_assert_eq(p->e[1].stats.rto_timeouts, 0);
    cr_assert_eq(p->e[1].stats.fast_recoveries, 1);
    pair_free(p);
}

/* What left shortly after one another is one stretch, with the time of its last: when its first part arrives, a retransmission
 * that left in between has not been overtaken. */
Test(rack, a_part_of_a_stretch_overtakes_nothing)
{
    struct pair *p = start(ALL);
    p->e[1].c.cwnd = 12 * M;
    pair_write(p, 1, 20 * M, false);
    expect_out(p, 1, 12);
    p->now += RTT;
    ack(p, 1, SEGS(2, 10), NONE, NONE);
    expect_out(p, 1, 1);
    expect_out(p, 13, 2);
    p->now += RTT / 32;
    ack(p, 1, SEGS(2, 12), NONE, NONE);
    expect_out(p, 15, 2); /* joins 13 and 14, which now seem to have left after 1 */
    p->now += RTT - RTT / 32;
    ack(p, 1, SEGS(13, 14), SEGS(2, 12), NONE);
    cr_assert_eq(p->e[1].stats.rack_rtx_lost, 0);
    ack(p, 14, NONE, NONE, NONE);
    cr_assert_eq(p->e[1].stats.rack_rtx_lost, 0);
    pair_free(p);
}

/* Req RFC8985-6.2: The first transmission arrives after all, just when its retransmission has left: that is no news of the latter's
 * time, and what left between the two is not lost for it. */
Test(rack, an_ack_of_the_first_transmission_is_not_taken_for_the_second)
{
    struct pair *p = start(ALL);
    pair_write(p, 1, 10 * M, false);
    expect_out(p, 1, 10);
    p->now += RTT;
    ack(p, 1, SEGS(2, 6), NONE, NONE);
    expect_out(p, 1, 1);
    uint32_t tick = p->e[1].c.rack_tick;
    p->now += 1000;
    struct xt_seg s = script_make(p, XT_TH_ACK, 0, 6 * M, 0);
    s.opt.tsecr -= RTT / 1000; /* the time stamp of the first transmission */
    script_seg(p, &s);
    cr_assert_eq(p->e[1].c.rack_tick, tick);
    cr_assert_eq(p->e[1].stats.rack_lost, 1);
    pair_free(p);
}

/* The first ACK after a silence of any length is no news about the rest of the flight: ticks, which wrap after 71 minutes, must
 * not make what arrived before the silence look newer. */
Test(rack, silence_loses_nothing)
{
    struct pair *p = start(ALL);
    for (uint64_t minutes = 20; minutes <= 80; minutes += 20) {
        p->now += minutes * 60 * 1000000;
        uint32_t first = (uint32_t)(p->e[1].c.tx_head / M);
        pair_write(p, 1, 10 * M, false);
        expect_out(p, first, 10);
        p->now += RTT + minutes * 500; /* slower each time */
        ack(p, first + 2, NONE, NONE, NONE);
        cr_assert_eq(p->e[1].stats.rack_lost, 0, "after %u minutes", (unsigned)minutes);
        ack(p, first + 10, NONE, NONE, NONE);
    }
    pair_free(p);
}

static bool drop_tail(struct pair *p, int from, const struct xt_seg *seg)
{
    return from == 0 && seg->len > 0 && seg->seq >= 1001 + 7 * M && p->count++ < 3;
}

/* Req RFC8985-7.3: Two real ends: the last three of ten segments are lost. A probe brings the SACK that shows it. */
Test(tlp, the_tail_is_repaired_without_a_timeout)
{
    struct pair *p = pair_new();
    p->e[0].cfg.gso_max = M;
    pair_open(p);
    p->drop = drop_tail;
    pair_write(p, 0, 10 * M, false);
    pair_run(p, p->now + 100000);
    cr_assert_eq(p->e[1].c.rx_head, 10 * M);
    pair_read(p, 1);
    cr_assert_eq(p->e[0].stats.tlp_probes, 1);
    cr_assert_eq(p->e[0].stats.rto_timeouts, 0);
    cr_assert_eq(p->e[0].c.snd_una, p->e[0].c.snd_nxt);
    pair_free(p);
}

/* Req RFC8985-7.2: Twice the round-trip time and a little, from the last segment on; the RTO then counts from the probe. */
Test(tlp, the_probe_leaves_after_two_round_trips)
{
    struct pair *p = start(ALL);
    p->e[1].c.srtt = 50000;
    pair_write(p, 1, 4 * M, false);
    expect_out(p, 1, 4);
    expect_quiet(p);
    uint64_t then = p->now;
    fire(p, "tlp");
    cr_assert_eq(p->now - then, 102000);
    expect_out(p, 4, 1);
    expect_quiet(p);
    cr_assert_str_eq(xt_tcp_deadline_name(&p->e[1].c, p->now), "rto"); /* one probe only */
    cr_assert_eq(xt_tcp_deadline(&p->e[1].c, p->now) - p->now, p->e[1].c.rto);
    pair_free(p);
}

/* Req RFC8985-7.3: Where there is new data it is what probes. */
Test(tlp, the_probe_takes_new_data)
{
    struct pair *p = start(ALL);
    p->e[1].c.cwnd = 4 * M;
    pair_write(p, 1, 6 * M, false);
    expect_out(p, 1, 4);
    expect_quiet(p);
    fire(p, "tlp");
    expect_out(p, 5, 1);
    expect_quiet(p);
    uint32_t cwnd = p->e[1].c.cwnd;
    p->now += RTT;
    ack(p, 6, NONE, NONE, NONE);
    cr_assert_eq(p->e[1].stats.retrans_segs, 0);
    cr_assert_geq(p->e[1].c.cwnd, cwnd);
    pair_free(p);
}

/* Req RFC8985-7.2: A receiver need not acknowledge less than two segments, nor a window whose reader is behind, before its timer. */
Test(tlp, a_delayed_ack_is_waited_for)
{
    struct pair *p = start(ALL);
    pair_write(p, 1, M, false);
    expect_out(p, 1, 1);
    expect_quiet(p);
    uint64_t then = p->now;
    cr_assert_geq(xt_tcp_deadline(&p->e[1].c, p->now) - then, 200000);
    p->now += RTT;
    struct xt_seg s = script_make(p, XT_TH_ACK, 0, 2 * M, 0);
    s.wnd = 4 * M;
    script_seg(p, &s);
    pair_write(p, 1, 5 * M, false);
    expect_out(p, 2, 4);
    expect_quiet(p);
    cr_assert_geq(xt_tcp_deadline(&p->e[1].c, p->now) - p->now, 200000);
    pair_free(p);
}

/* Req RFC8985-7.4: The ACK was late, nothing was lost: the peer reports the probe as a duplicate. cwnd stays. */
Test(tlp, a_needless_probe_costs_no_rate)
{
    struct pair *p = start(ALL);
    pair_write(p, 1, 4 * M, false);
    expect_out(p, 1, 4);
    fire(p, "tlp");
    expect_out(p, 4, 1);
    uint32_t cwnd = p->e[1].c.cwnd;
    ack(p, 5, NONE, NONE, NONE);
    ack(p, 5, SEGS(4, 5), NONE, NONE);
    cr_assert_eq(p->e[1].stats.tlp_needless, 1);
    cr_assert_geq(p->e[1].c.cwnd, cwnd);
    cr_assert_eq(p->e[1].c.reo_mult, 1); /* nor is it news of the path's order */
    pair_free(p);
}

/* Req RFC8985-7.4: The probe was the repair: that loss too is to be told to congestion control. */
Test(tlp, a_loss_that_the_probe_repaired_counts)
{
    struct pair *p = start(ALL);
    pair_write(p, 1, 4 * M, false);
    expect_out(p, 1, 4);
    fire(p, "tlp");
    expect_out(p, 4, 1);
    p->now += RTT;
    ack(p, 5, NONE, NONE, NONE);
    pair_write(p, 1, 4 * M, false);
    expect_out(p, 5, 4);
    p->now += RTT;
    ack(p, 9, NONE, NONE, NONE);
    cr_assert_eq(p->e[1].stats.tlp_repairs, 1);
    cr_assert_leq(p->e[1].c.ssthresh, 4 * M);
    pair_free(p);
}

/* Req RFC5682-3.1: Time stamps off: after the time-out a SACK of what was not sent again shows that all is only late. */
Test(frto, a_needless_timeout_is_undone_by_sack)
{
    struct pair *p = start(XT_OPT_MSS | XT_OPT_SACK_OK);
    struct xt_conn *c = &p->e[1].c;
    c->cflags |= XT_CF_TLP; /* as after a probe of an earlier flight */
    c->tlp_end = c->snd_nxt + 100 * M;
    pair_write(p, 1, 10 * M, false);
    struct xt_seg out;
    while (script_out(p, &out))
        ;
    uint32_t cwnd = c->cwnd, mss = c->mss_eff, una = c->snd_una;
    fire(p, "rto");
    cr_assert_eq(c->ca_state, XT_CA_LOSS);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.seq, una);
    p->now += 1000;
    struct xt_seg s = script_make(p, XT_TH_ACK, 0, 0, 0);
    s.ack = una + 2 * mss; /* the retransmission fills nothing: both had arrived */
    script_seg(p, &s);
    cr_assert_eq(p->e[1].stats.frto_undone, 1);
    cr_assert_geq(c->cwnd, cwnd);
    cr_assert_neq(c->ca_state, XT_CA_LOSS);
    uint64_t again = p->e[1].stats.retrans_segs;
    while (script_out(p, &out))
        ;
    cr_assert_eq(p->e[1].stats.retrans_segs, again); /* the marks are gone too */
    pair_free(p);
}

/* Req RFC5682-2.1: The first ACK covers just the retransmission: new data answers it, and the next ACK decides. */
Test(frto, new_data_answers_the_first_ack)
{
    struct pair *p = start(ALL);
    struct xt_conn *c = &p->e[1].c;
    c->cflags |= XT_CF_TLP;
    c->tlp_end = c->snd_nxt + 100 * M;
    c->cwnd = 10 * M;
    pair_write(p, 1, 20 * M, false);
    expect_out(p, 1, 10);
    fire(p, "rto");
    expect_out(p, 1, 1);
    expect_quiet(p);
    p->now += RTT;
    ack(p, 2, NONE, NONE, NONE);
    expect_out(p, 11, 2);
    expect_quiet(p);
    p->now += RTT;
    ack(p, 2, SEGS(11, 13), NONE, NONE); /* the flight is gone indeed */
    cr_assert_eq(p->e[1].stats.frto_undone, 0);
    expect_out(p, 2, 2);
    pair_free(p);
}

/* Req RFC6937-3: Twenty in flight, the first lost, ssthresh ten: one goes out for two that arrive, and no burst at the end. */
Test(prr, halves_the_rate_smoothly)
{
    struct pair *p = start(ALL);
    struct xt_conn *c = &p->e[1].c;
    c->cwnd = 20 * M;
    pair_write(p, 1, 40 * M, false);
    expect_out(p, 1, 20);
    p->now += RTT;
    ack(p, 1, SEGS(2, 5), NONE, NONE);
    cr_assert_eq(c->ssthresh, 10 * M);
    expect_out(p, 1, 1);
    uint32_t sent = 1;
    for (uint32_t top = 6; top <= 21; top++) {
        struct xt_seg out;
        p->now += 100;
        ack(p, 1, SEGS(2, top), NONE, NONE);
        while (script_out(p, &out))
            sent += out.len / M;
        uint32_t delivered = top - 2;
        cr_assert_leq(sent, delivered / 2 + 1, "%u sent for %u delivered", sent, delivered);
        cr_assert_geq(sent + 2, delivered / 2, "%u sent for %u delivered", sent, delivered);
    }
    p->now += RTT;
    ack(p, 21, NONE, NONE, NONE);
    cr_assert_eq(c->ca_state, XT_CA_OPEN);
    cr_assert_eq(c->cwnd, 10 * M);
    pair_free(p);
}

/* Req RFC6937-3.1: Half of the flight is lost: the pipe is below ssthresh at once and recovery conserves packets instead of bursting. */
Test(prr, heavy_losses_do_not_burst)
{
    struct pair *p = start(ALL);
    struct xt_conn *c = &p->e[1].c;
    c->cwnd = 20 * M;
    pair_write(p, 1, 40 * M, false);
    expect_out(p, 1, 20);
    p->now += RTT;
    ack(p, 1, SEGS(17, 21), NONE, NONE); /* sixteen are gone */
    expect_out(p, 1, 4);                 /* as many as arrived */
    expect_quiet(p);
    p->now += RTT;
    ack(p, 5, SEGS(17, 21), NONE, NONE); /* going well: one more than arrived */
    expect_out(p, 5, 5);
    expect_quiet(p);
    pair_free(p);
}

/* A segment that only makes the last range longer waits for the batch; one that opens another does not. */
Test(acks, out_of_order_segments_of_a_batch_share_an_ack)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    for (uint32_t i = 1; i <= 3; i++) {
        cr_assert(script_in(p, XT_TH_ACK, i * M, 0, M) & XT_EV_ACK_NOW);
        cr_assert(script_out(p, &out));
    }
    for (uint32_t i = 4; i <= 9; i++)
        cr_assert_not(script_in(p, XT_TH_ACK, i * M, 0, M) & XT_EV_ACK_NOW);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.opt.nsack, 1);
    cr_assert_eq(out.opt.sack[0].left, 1001 + M);
    cr_assert_eq(out.opt.sack[0].right, 1001 + 10 * M);
    expect_quiet(p);
    cr_assert_eq(p->e[1].stats.acks_coalesced, 5);
    cr_assert(script_in(p, XT_TH_ACK, 11 * M, 0, M) & XT_EV_ACK_NOW);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.opt.sack[0].left, 1001 + 11 * M);
    pair_free(p);
}
