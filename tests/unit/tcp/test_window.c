/* SPDX-License-Identifier: Apache-2.0
 * Windows, ACK policy, Nagle's algorithm, super-segments, urgent data. */
#include <criterion/criterion.h>

#include "tests/unit/tcp/pair.h"

#define ALL (XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS)

Test(window, delayed_ack_every_second_segment)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    p->e[1].cfg.quickack = 0;
    script_establish(p, ALL);
    script_in(p, XT_TH_ACK, 0, 0, 1448);
    cr_assert_not(script_out(p, &out));
    cr_assert_str_eq(xt_tcp_deadline_name(&p->e[1].c, p->now), "delack");
    script_in(p, XT_TH_ACK, 1448, 0, 1448);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.ack, 1001 + 2896);
    cr_assert_eq(xt_tcp_deadline(&p->e[1].c, p->now), UINT64_MAX);
    script_in(p, XT_TH_ACK, 2896, 0, 100);
    cr_assert_not(script_out(p, &out));
    p->now = xt_tcp_deadline(&p->e[1].c, p->now);
    pair_call(p, 1, xt_tcp_timer);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.ack, 1001 + 2996);
    /* a coalesced segment counts for all it carries */
    script_in(p, XT_TH_ACK, 2996, 0, 2 * 1448);
    cr_assert(script_out(p, &out));
    pair_free(p);
}

/* The window field says less than the ring holds: what was read is told all the same. */
Test(window, update_of_a_large_ring_without_scaling)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    p->e[1].cfg.quickack = 0;
    script_establish(p, ALL);
    struct xt_conn *c = &p->e[1].c;
    cr_assert_eq(c->rcv_wscale, 0);
    c->rx_size = 4u << 20;
    c->rcv_adv = c->rcv_nxt + 30000;
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    xt_tcp_consumed(c, &ctx, c->rx_head);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.wnd, 65535);
    pair_free(p);
}

Test(window, quick_acks_at_the_start)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    for (uint32_t i = 0; i < 16; i++) {
        script_in(p, XT_TH_ACK, i * 10, 0, 10);
        cr_assert(script_out(p, &out));
    }
    script_in(p, XT_TH_ACK, 160, 0, 10);
    cr_assert_not(script_out(p, &out));
    pair_free(p);
}

Test(window, quick_acks_after_a_gap)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    p->e[1].c.quick = 0;
    script_in(p, XT_TH_ACK, 0, 0, 10);
    cr_assert_not(script_out(p, &out));
    script_in(p, XT_TH_ACK, 20, 0, 10);
    cr_assert(script_out(p, &out));
    script_in(p, XT_TH_ACK, 10, 0, 10); /* fills it */
    for (uint32_t i = 3; i < 18; i++) {
        cr_assert(script_out(p, &out));
        script_in(p, XT_TH_ACK, i * 10, 0, 10);
    }
    cr_assert(script_out(p, &out));
    script_in(p, XT_TH_ACK, 180, 0, 10);
    cr_assert_not(script_out(p, &out));
    pair_free(p);
}

Test(window, one_ack_for_a_batch)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    for (uint32_t i = 0; i < 10; i++)
        script_in(p, XT_TH_ACK, i * 1448, 0, 1448);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.ack, 1001 + 14480);
    cr_assert_not(script_out(p, &out));
    pair_free(p);
}

/* Reads byte by byte: the offered right edge moves in steps worth a segment, and never back. */
Test(window, no_silly_window_from_the_receiver)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    struct xt_conn *c = &p->e[1].c;
    uint32_t off = 0;
    while (c->rcv_adv != c->rcv_nxt) {
        uint32_t n = c->rcv_adv - c->rcv_nxt < 1448 ? c->rcv_adv - c->rcv_nxt : 1448;
        script_in(p, XT_TH_ACK, off, 0, n);
        off += n;
        while (script_out(p, &out))
            ;
    }
    cr_assert_eq(c->rcv_adv, c->rcv_nxt);
    uint32_t edge = c->rcv_adv, updates = 0;
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    while (c->rx_tail < c->rx_head) {
        xt_tcp_consumed(c, &ctx, c->rx_tail + 1);
        if (!script_out(p, &out))
            continue;
        updates++;
        cr_assert_geq((int32_t)(c->rcv_adv - edge), 1460);
        edge = c->rcv_adv;
    }
    cr_assert_gt(updates, 0);
    cr_assert_lt(updates, 10);
    pair_free(p);
}

Test(window, nagle_holds_the_second_small_segment)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    pair_write(p, 1, 10, false);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.len, 10);
    cr_assert(out.flags & XT_TH_PSH);
    pair_write(p, 1, 10, false);
    cr_assert_not(script_out(p, &out));
    script_in(p, XT_TH_ACK, 0, 10, 0);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.len, 10);
    pair_write(p, 1, 10, false);
    cr_assert_not(script_out(p, &out));
    p->e[1].c.opt.nodelay = 1;
    pair_call(p, 1, xt_tcp_options_changed);
    cr_assert(script_out(p, &out));
    pair_free(p);
}

Test(window, cork_holds_for_a_while)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    p->e[1].c.opt.cork = 1;
    pair_write(p, 1, 2000, false);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.len, 1448);
    script_in(p, XT_TH_ACK, 0, 1448, 0);
    cr_assert_not(script_out(p, &out));
    cr_assert_str_eq(xt_tcp_deadline_name(&p->e[1].c, p->now), "cork");
    p->now = xt_tcp_deadline(&p->e[1].c, p->now);
    pair_call(p, 1, xt_tcp_timer);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.len, 552);
    pair_write(p, 1, 5, false);
    cr_assert_not(script_out(p, &out));
    p->e[1].c.opt.cork = 0;
    script_in(p, XT_TH_ACK, 0, 2000, 0);
    cr_assert(script_out(p, &out));
    pair_free(p);
}

Test(window, super_segments_have_whole_parts)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    pair_write(p, 1, 14480 + 100, false);
    cr_assert(xt_tcp_output(&p->e[1].c, &ctx, &out, 5000));
    cr_assert_eq(out.len, 3 * 1448);
    cr_assert_eq(out.gso_size, 1448);
    cr_assert_not(out.flags & XT_TH_PSH);
    cr_assert(xt_tcp_output(&p->e[1].c, &ctx, &out, 0));
    cr_assert_eq(out.len, 7 * 1448); /* the initial window's rest */
    cr_assert_eq(out.tx_off, 3 * 1448);
    cr_assert_not(xt_tcp_output(&p->e[1].c, &ctx, &out, 0));
    script_in(p, XT_TH_ACK, 0, 14480, 0);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.len, 100);
    cr_assert_eq(out.gso_size, 0);
    cr_assert(out.flags & XT_TH_PSH);
    pair_free(p);
}

Test(window, sender_waits_for_a_window_worth_a_segment)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    pair_write(p, 1, 5000, false);
    struct xt_seg seg = script_make(p, XT_TH_ACK, 0, 0, 0);
    seg.wnd = 100;
    script_seg(p, &seg);
    cr_assert_not(script_out(p, &out));
    cr_assert_str_eq(xt_tcp_deadline_name(&p->e[1].c, p->now), "persist");
    seg.wnd = 3000;
    script_seg(p, &seg);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.len, 2 * 1448);
    cr_assert_not(script_out(p, &out));
    pair_free(p);
}

Test(window, mss_of_a_silent_peer_is_536)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, 0);
    pair_write(p, 1, 3000, false);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.gso_size, 536);
    cr_assert_eq(out.opt.present, 0);
    pair_free(p);
}

Test(window, sack_blocks_shorten_data)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    script_in(p, XT_TH_ACK, 100, 0, 100);
    cr_assert(script_out(p, &out));
    pair_write(p, 1, 3000, false);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.opt.nsack, 1);
    cr_assert_eq(out.gso_size, 1448 - 12);
    pair_free(p);
}

/* Req MUST-62 */
Test(window, urgent_pointer_is_past_the_urgent_byte)
{
    struct pair *p = pair_new();
    pair_open(p);
    pair_write(p, 0, 50, true);
    pair_flush(p, 0);
    cr_assert(p->e[0].last.flags & XT_TH_URG);
    cr_assert_eq(p->e[0].last.urp, 50);
    pair_write(p, 0, 10, false);
    pair_settle(p);
    cr_assert(p->e[1].ev & XT_EV_URGENT);
    cr_assert_eq(xt_rx_urg(&p->e[1].c), 50);
    cr_assert_not(p->e[0].last.flags & XT_TH_URG);
    cr_assert_eq(pair_read(p, 1), 60);
    pair_free(p);
}
