/* SPDX-License-Identifier: Apache-2.0
 * Boards: lent to a connection whose lists outgrow its record, taken back, and kept through a restart. */
#include <criterion/criterion.h>

#include "daemon/tcp/board.h"
#include "tests/unit/stack/net.h"

#define RANGES 60u

static struct net n;
static struct host *a = &n.h[0], *b = &n.h[1]; /* a connects and is sent segments by hand */

static void setup(void)
{
    net_init(&n);
    cr_assert(host_listen(b, 80, false, n.now));
}

static void teardown(void)
{
    net_fini(&n);
}

TestSuite(board, .init = setup, .fini = teardown);

static struct xt_conn *open_one(void)
{
    struct xt_conn *c = host_connect(a, 2, 80, n.now, NULL);
    cr_assert(c);
    net_pump(&n);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    return c;
}

/* One segment of b's with `len` bytes, `off` beyond what is expected. */
static void segment(const struct xt_conn *c, uint32_t off, uint32_t len)
{
    static const uint8_t zero[256];
    static uint8_t f[2048];
    struct xt_seg seg = {.sport = 80,
                         .dport = c->local.port,
                         .seq = c->rcv_nxt + off,
                         .ack = c->snd_nxt,
                         .flags = XT_TH_ACK,
                         .wnd = 1000,
                         .len = len,
                         .opt = {.present = XT_OPT_TS, .tsval = c->ts_recent}};
    inject(a, f, make_tcp(f, a, 2, &seg, zero), n.now);
    host_output(a, n.now);
}

/* Every other byte: as many ranges as bytes. */
static void make_ranges(const struct xt_conn *c)
{
    for (uint32_t i = 0; i < RANGES; i++)
        segment(c, 2 * i + 1, 1);
}

Test(board, is_lent_for_many_ranges_and_comes_back)
{
    struct xt_conn *c = open_one();
    make_ranges(c);
    cr_assert_neq(c->board, 0);
    cr_assert_eq(c->n_ooo, RANGES, "%u ranges", c->n_ooo);
    for (uint32_t i = 0; i < RANGES; i++)
        cr_assert_eq(xt_ooo_list(c)[i].left, c->rcv_nxt + 2 * i + 1);
    uint64_t before = c->rx_head;
    segment(c, 0, 2 * RANGES);
    cr_assert_eq(c->rx_head, before + 2 * RANGES);
    cr_assert_eq(c->n_ooo, 0);
    cr_assert_eq(c->board, 0);
}

Test(board, two_connections_have_one_each)
{
    struct xt_conn *c = open_one(), *d = open_one();
    make_ranges(c);
    make_ranges(d);
    cr_assert_neq(xt_board_of(c), xt_board_of(d));
    cr_assert_eq(c->n_ooo, RANGES);
    cr_assert_eq(d->n_ooo, RANGES);
    xt_stack_abort(a->s, c, n.now);
    struct xt_conn *e = open_one();
    make_ranges(e);
    cr_assert_neq(xt_board_of(e), xt_board_of(d));
    cr_assert_eq(xt_ooo_list(d)[0].left, d->rcv_nxt + 1);
}

/* The stack of before is gone without a word: the records go on with what they have. */
Test(board, survives_a_restart)
{
    struct xt_conn *c = open_one();
    make_ranges(c);
    const struct xt_board *was = xt_board_of(c);
    xt_stack_free(a->s);
    host_start(a, n.now);
    c = xt_stack_conn(a->s, c->index);
    cr_assert(c);
    cr_assert_eq(xt_board_of(c), was);
    cr_assert_eq(c->n_ooo, RANGES);
    struct xt_conn *d = open_one();
    make_ranges(d);
    cr_assert_neq(d->board, 0);
    cr_assert_neq(xt_board_of(d), was);
}
