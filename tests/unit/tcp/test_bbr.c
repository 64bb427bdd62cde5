/* SPDX-License-Identifier: Apache-2.0
 * The model-based congestion control, where it takes a connection of two ends to see it. */
#include <criterion/criterion.h>

#include "daemon/tcp/cc_bbr.h"
#include "daemon/tcp/due.h"
#include "proto/xt_cc.h"
#include "tests/unit/tcp/pair.h"

#define S 1000000ull

static void fill(struct pair *p)
{
    const struct xt_conn *c = &p->e[0].c;
    pair_write(p, 0, RING - (uint32_t)(c->tx_head - c->tx_una), false);
}

/* The octets that probe a closed window are no measure of the path. */
Test(bbr, a_closed_window_leaves_the_bandwidth_alone)
{
    struct pair *p = pair_new();
    p->e[0].cfg.cc = XT_CC_BBR;
    pair_open(p);
    for (unsigned i = 0; i < 200; i++) {
        fill(p);
        pair_run(p, p->now + 3000);
        pair_read(p, 1);
    }
    uint64_t before = xt_bbr_bw(&xt_seldom(&p->e[0].c)->ccs.bbr);
    cr_assert(xt_seldom(&p->e[0].c)->ccs.bbr.filled);
    for (unsigned i = 0; i < 60; i++) {
        struct xt_tcp_ctx ctx = pair_ctx(p, 1);
        fill(p);
        pair_run(p, p->now + S);
        /* Room for an octet, which is not worth a window. */
        if (i > 2)
            xt_tcp_consumed(&p->e[1].c, &ctx, p->e[1].c.rx_tail + 1);
    }
    cr_assert_gt(p->e[0].stats.probes_sent, 5);
    cr_assert_geq(xt_bbr_bw(&xt_seldom(&p->e[0].c)->ccs.bbr), before / 2, "%llu before", (unsigned long long)before);
    pair_free(p);
}

static bool drop_all_data(struct pair *p, int from, const struct xt_seg *seg)
{
    (void)p;
    return from == 0 && seg->len > 0;
}

/* However slow the path was, nothing is held back for longer than a second, not even where retransmissions, which do not wait
 * their turn, used up what the rate gives. */
Test(bbr, no_segment_is_held_back_for_long)
{
    struct pair *p = pair_new();
    p->e[0].cfg.cc = XT_CC_BBR;
    pair_open(p);
    fill(p);
    pair_run(p, p->now + S);
    struct xt_conn *c = &p->e[0].c;
    p->drop = drop_all_data;
    pair_read(p, 1);
    fill(p);
    xt_seldom(c)->ccs.bbr.pacing_rate = 100;
    for (unsigned i = 0; i < 10; i++) {
        pair_run(p, p->now + S);
        cr_assert_leq((int32_t)(c->pace_next - (uint32_t)p->now), (int32_t)S);
        cr_assert_leq(xt_timer_at(c, XT_TIMER_PACE, p->now), p->now + S + XT_DUE_UNIT);
    }
    cr_assert_gt(p->e[0].stats.rto_timeouts, 2);
    pair_free(p);
}
