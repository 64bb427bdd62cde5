/* SPDX-License-Identifier: Apache-2.0
 * How many segments were delivered (TCP_INFO): each counts once, when it has arrived. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/unit/tcp/pair.h"

enum { S = 1000000, SMALL = 3 * XT_SEAM_BOARD /* segments: more than the list of seams holds */ };

static struct pair *p;
static struct xt_conn *c;

static void setup(void)
{
    p = pair_new();
    pair_open(p);
    c = &p->e[0].c;
}

static void teardown(void)
{
    pair_free(p);
}

TestSuite(tally, .init = setup, .fini = teardown);

static uint32_t delivered(void)
{
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    struct xt_tcp_info info;
    xt_tcp_info(c, &ctx, &info);
    return info.delivered;
}

static bool third(struct pair *q, int from, const struct xt_seg *seg)
{
    return from == 0 && seg->len && ++q->count == 3;
}

/* SYN, segments, one of them sent again, and the FIN. */
Test(tally, each_segment_is_delivered_once)
{
    cr_assert_eq(delivered(), 1);
    p->drop = third;
    c->opt.nodelay = 1;
    for (unsigned i = 0; i < SMALL; i++) {
        pair_write(p, 0, 10, false);
        pair_flush(p, 0);
    }
    pair_run(p, p->now + 2 * S);
    cr_assert_eq(c->snd_una, c->snd_nxt);
    cr_assert_gt(xt_seldom_of(c)->retrans, 0);
    cr_assert_eq(delivered(), 1 + SMALL);
    pair_call(p, 0, xt_tcp_shutdown);
    pair_settle(p);
    cr_assert_eq(delivered(), 1 + SMALL + 1);
}

/* What is in flight is cut up anew when the path's MTU sinks: nothing of it has arrived by that. */
Test(tally, a_smaller_mss_delivers_nothing)
{
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    pair_write(p, 0, 8 * c->mss_eff, false);
    pair_flush(p, 0);
    cr_assert_eq(delivered(), 1);
    xt_tcp_icmp(c, &ctx, c->snd_una, EMSGSIZE, 800);
    cr_assert_lt(c->mss_eff, 800);
    cr_assert_eq(delivered(), 1);
    pair_run(p, p->now + S);
    cr_assert_eq(c->snd_una, c->snd_nxt);
    cr_assert_gt(delivered(), 1 + 8);
}
