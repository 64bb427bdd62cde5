/* SPDX-License-Identifier: Apache-2.0
 * Explicit congestion notification: who agrees to it, what is marked, who answers what, and how often. */
#include <criterion/criterion.h>

#include "proto/xt_cc.h"
#include "tests/unit/tcp/pair.h"

#define ASK (XT_TH_ECE | XT_TH_CWR)
#define ECT0 2
#define CE 3

/* Opens with ECN settings `a` (active) and `b`; does it come to ECN? */
static bool agree(uint8_t a, uint8_t b)
{
    struct pair *p = pair_new();
    p->e[0].cfg.ecn = a;
    p->e[1].cfg.ecn = b;
    pair_open(p);
    bool ok = p->e[0].c.ecn & XT_CE_OK;
    cr_assert_eq(ok, (p->e[1].c.ecn & XT_CE_OK) != 0, "the ends disagree");
    cr_assert_eq(p->e[0].stats.ecn_conns, ok);
    cr_assert_eq(p->e[1].stats.ecn_conns, ok);
    pair_free(p);
    return ok;
}

/* Req RFC3168-6.1.1 */
Test(ecn, one_asks_and_the_other_agrees)
{
    cr_assert(agree(XT_ECN_ON, XT_ECN_PASSIVE));
    cr_assert(agree(XT_ECN_ON, XT_ECN_ON));
    cr_assert_not(agree(XT_ECN_ON, XT_ECN_OFF));
    cr_assert_not(agree(XT_ECN_PASSIVE, XT_ECN_ON));
    cr_assert_not(agree(XT_ECN_OFF, XT_ECN_ON));
}

/* The flags of the first segment that each end sends, and more to look at. */
static uint8_t syn_flags[2];
static unsigned lose_syns;

static bool note_syns(struct pair *p, int from, const struct xt_seg *seg)
{
    if (!(seg->flags & XT_TH_SYN))
        return false;
    cr_assert_eq(seg->ecn, 0, "no mark on a SYN");
    syn_flags[from] = seg->flags;
    return from == 0 && p->count++ < lose_syns;
}

/* Req RFC3168-6.1.1 */
Test(ecn, syn_asks_with_both_flags_and_is_answered_with_one)
{
    struct pair *p = pair_new();
    p->e[0].cfg.ecn = XT_ECN_ON;
    p->drop = note_syns;
    pair_open(p);
    cr_assert_eq(syn_flags[0], XT_TH_SYN | ASK);
    cr_assert_eq(syn_flags[1], XT_TH_SYN | XT_TH_ACK | XT_TH_ECE);
    pair_free(p);
}

/* Req RFC3168-6.1.1.1 */
Test(ecn, syn_sent_again_does_not_ask)
{
    struct pair *p = pair_new();
    p->e[0].cfg.ecn = XT_ECN_ON;
    p->drop = note_syns;
    lose_syns = 1;
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    xt_tcp_connect(&p->e[0].c, &ctx, 1000);
    pair_run(p, p->now + 3000000);
    cr_assert_eq(p->e[0].c.state, XT_ESTABLISHED);
    cr_assert_eq(syn_flags[0], XT_TH_SYN);
    cr_assert_not(p->e[0].c.ecn & XT_CE_OK);
    cr_assert_not(p->e[1].c.ecn & XT_CE_OK);
    pair_free(p);
}

/* A SYN+ACK that reflects the flags of the SYN comes from no host that knows ECN (RFC 3168 section 6.1.1). */
static bool reflect(struct pair *p, int from, const struct xt_seg *seg)
{
    if (from == 1 && (seg->flags & XT_TH_SYN))
        ((struct xt_seg *)(uintptr_t)seg)->flags |= ASK;
    return false;
}

/* Req RFC3168-6.1.1 */
Test(ecn, reflected_flags_are_no_agreement)
{
    struct pair *p = pair_new();
    p->e[0].cfg.ecn = XT_ECN_ON;
    p->e[1].cfg.ecn = XT_ECN_OFF;
    p->drop = reflect;
    pair_open(p);
    cr_assert_not(p->e[0].c.ecn & XT_CE_OK);
    pair_free(p);
}

/* The path: marks data segments numbered [first, last) of end 0, drops number `lost`; and what it saw. */
static unsigned mark_first, mark_last, lost, ndata, ncwr, nece;
static uint32_t again_below;
static uint8_t algorithm = XT_CC_RENO;

static bool path(struct pair *p, int from, const struct xt_seg *seg)
{
    struct xt_seg *s = (struct xt_seg *)(uintptr_t)seg;
    if (from == 1) {
        nece += (seg->flags & XT_TH_ECE) != 0;
        cr_assert_eq(seg->ecn, 0, "a pure ACK must not be ECN-capable");
        return false;
    }
    if (seg->len == 0) {
        cr_assert_eq(seg->ecn, 0);
        return false;
    }
    bool again = (int32_t)(seg->seq - again_below) < 0;
    cr_assert_eq(seg->ecn, again ? 0 : ECT0, "segment %u", ndata);
    if (!again)
        again_below = seg->seq + seg->len;
    ncwr += (seg->flags & XT_TH_CWR) != 0;
    if (ndata >= mark_first && ndata < mark_last && seg->ecn)
        s->ecn = CE;
    return ndata++ == lost;
}

/* An open pair with ECN, and `total` bytes sent through the path above. */
static struct pair *run(uint32_t total)
{
    struct pair *p = pair_new();
    p->e[0].cfg.ecn = XT_ECN_ON;
    p->e[0].cfg.gso_max = 0;
    p->e[0].cfg.cc = algorithm;
    pair_open(p);
    again_below = p->e[0].c.snd_nxt;
    p->drop = path;
    for (uint32_t sent = 0; sent < total;) {
        uint32_t room = RING - (uint32_t)(p->e[0].c.tx_head - p->e[0].c.tx_una), n = total - sent;
        n = n < room ? n : room;
        pair_write(p, 0, n, false);
        sent += n;
        pair_run(p, p->now + 2000);
        pair_read(p, 1);
    }
    pair_run(p, p->now + 3000000);
    pair_read(p, 1);
    cr_assert_eq(p->e[1].c.rx_head, total);
    return p;
}

/* Req RFC3168-6.1.2 RFC3168-6.1.3 RFC8511-3 */
Test(ecn, a_mark_is_echoed_until_cwr_and_reduces_once)
{
    mark_first = 5, mark_last = 6, lost = UINT32_MAX;
    struct pair *p = run(200000);
    cr_assert_eq(p->e[1].stats.ecn_marks_in, 1);
    cr_assert_eq(p->e[0].stats.ecn_reductions, 1);
    cr_assert_eq(ncwr, 1);
    cr_assert_geq(nece, 1);
    cr_assert_not(p->e[1].c.ecn & XT_CE_ECHO, "the echo ended");
    cr_assert_eq(p->e[0].stats.retrans_segs, 0);
    /* Five of ten segments were acknowledged when the mark was, so 15 were in flight: four fifths are left (RFC 8511). */
    cr_assert_eq(p->e[0].c.ssthresh, 12 * 1448);
    pair_free(p);
}

/* Req RFC8511-3 */
Test(ecn, a_mark_leaves_more_than_a_loss_with_cubic_too)
{
    mark_first = 5, mark_last = 6, lost = UINT32_MAX, algorithm = XT_CC_CUBIC;
    struct pair *p = run(200000);
    cr_assert_eq(p->e[0].stats.ecn_reductions, 1);
    uint32_t left = 15 * 1448 * 7 / 10 * 121 / 100; /* about 0.85 (RFC 8511 section 3.1) */
    cr_assert_leq(p->e[0].c.ssthresh - left + 2, 4, "%u", p->e[0].c.ssthresh);
    pair_free(p);
}

Test(ecn, a_mark_bounds_the_model_but_not_the_window_with_bbr)
{
    mark_first = 5, mark_last = 6, lost = UINT32_MAX, algorithm = XT_CC_BBR;
    struct pair *p = run(200000);
    cr_assert_eq(p->e[0].stats.ecn_reductions, 1);
    cr_assert_eq(ncwr, 1);
    cr_assert_geq(p->e[0].c.ssthresh, 10 * 1448);
    cr_assert_geq(p->e[0].c.cwnd, 10 * 1448);
    pair_free(p);
}

/* Req RFC3168-6.1.2 */
Test(ecn, a_window_full_of_marks_counts_as_one)
{
    mark_first = 0, mark_last = 10, lost = UINT32_MAX;
    struct pair *p = run(300000);
    cr_assert_eq(p->e[1].stats.ecn_marks_in, 10);
    cr_assert_leq(p->e[0].stats.ecn_reductions, 2, "the initial window is one, what follows it at most another");
    cr_assert_eq(ncwr, p->e[0].stats.ecn_reductions);
    cr_assert_eq(p->e[0].stats.retrans_segs, 0);
    pair_free(p);
}

Test(ecn, marks_without_end_keep_two_segments_going)
{
    mark_first = 0, mark_last = UINT32_MAX, lost = UINT32_MAX;
    struct pair *p = run(300000);
    cr_assert_geq(p->e[0].c.cwnd, 2 * 1448);
    cr_assert_leq(p->e[0].c.cwnd, 4 * 1448);
    cr_assert_eq(p->e[0].stats.retrans_segs, 0);
    pair_free(p);
}

/* Req RFC3168-6.1.5 */
Test(ecn, a_retransmission_is_not_marked_and_a_loss_with_marks_reduces_once)
{
    mark_first = 5, mark_last = 9, lost = 4;
    struct pair *p = run(60000);
    cr_assert_geq(p->e[0].stats.retrans_segs, 1);
    cr_assert_eq(p->e[0].stats.fast_recoveries, 1);
    cr_assert_leq(p->e[0].stats.ecn_reductions, 1);
    cr_assert_geq(ncwr, 1);
    pair_free(p);
}

Test(ecn, no_mark_and_no_echo_when_it_was_not_agreed)
{
    struct pair *p = pair_new();
    struct xt_seg seg, out;
    script_establish(p, XT_OPT_MSS);
    pair_write(p, 1, 100, false);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.ecn, 0);
    seg = script_make(p, XT_TH_ACK | XT_TH_ECE, 0, 100, 10);
    seg.ecn = CE;
    script_seg(p, &seg);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.flags, XT_TH_ACK);
    cr_assert_eq(p->e[1].stats.ecn_reductions, 0);
    pair_free(p);
}

/* End 1 ESTABLISHED with a scripted peer that agreed on ECN. */
static struct pair *scripted(void)
{
    struct pair *p = pair_new();
    script_establish(p, XT_OPT_MSS);
    p->e[1].c.ecn = XT_CE_OK;
    p->e[1].c.quick = 0;
    return p;
}

static struct xt_seg marked(struct pair *p, uint8_t flags, uint32_t seq)
{
    struct xt_seg seg = script_make(p, flags, seq, 0, 10), out;
    seg.ecn = flags & XT_TH_CWR ? ECT0 : CE;
    script_seg(p, &seg);
    cr_assert(script_out(p, &out), "news of congestion are told at once");
    return out;
}

/* Req RFC3168-6.1.3 */
Test(ecn, echo_is_on_every_ack_and_ends_with_cwr)
{
    struct pair *p = scripted();
    struct xt_seg out = marked(p, XT_TH_ACK, 0);
    cr_assert_eq(out.flags, XT_TH_ACK | XT_TH_ECE);
    script_in(p, XT_TH_ACK, 10, 0, 1460);
    script_in(p, XT_TH_ACK, 1470, 0, 1460);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.flags, XT_TH_ACK | XT_TH_ECE, "until the sender says CWR");
    out = marked(p, XT_TH_ACK | XT_TH_CWR, 2930);
    cr_assert_eq(out.flags, XT_TH_ACK);
    pair_free(p);
}

Test(ecn, cwr_and_a_mark_on_one_segment_begin_a_new_echo)
{
    struct pair *p = scripted();
    marked(p, XT_TH_ACK, 0);
    struct xt_seg seg = script_make(p, XT_TH_ACK | XT_TH_CWR, 10, 0, 10), out;
    seg.ecn = CE;
    script_seg(p, &seg);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.flags, XT_TH_ACK | XT_TH_ECE);
    pair_free(p);
}

/* Req RFC3168-6.1.5 */
Test(ecn, a_mark_outside_the_window_is_not_believed)
{
    struct pair *p = scripted();
    struct xt_seg seg = script_make(p, XT_TH_ACK, 1000000, 0, 10), out;
    seg.ecn = CE;
    script_seg(p, &seg);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.flags, XT_TH_ACK);
    cr_assert_eq(p->e[1].stats.ecn_marks_in, 0);
    pair_free(p);
}

/* Req RFC3168-6.1.6 */
Test(ecn, window_probe_is_not_marked)
{
    struct pair *p = scripted();
    struct xt_seg seg = script_make(p, XT_TH_ACK, 0, 0, 0), out;
    seg.wnd = 0;
    script_seg(p, &seg);
    pair_write(p, 1, 100, false);
    cr_assert_not(script_out(p, &out));
    p->now = xt_tcp_deadline(&p->e[1].c, p->now);
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    xt_tcp_timer(&p->e[1].c, &ctx);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.seq, p->e[1].c.snd_una - 1);
    cr_assert_eq(out.ecn, 0);
    pair_free(p);
}
