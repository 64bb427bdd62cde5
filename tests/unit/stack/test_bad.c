/* SPDX-License-Identifier: Apache-2.0
 * Records that cannot be: a stack that takes over from another drops each alone, and never trips over one. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "daemon/stack/internal.h"
#include "proto/xt_cc.h"
#include "tests/unit/stack/net.h"

#define PAIRS 8u

static struct net n;
static struct host *a = &n.h[0], *b = &n.h[1];
static struct xt_conn *ca[PAIRS], *cb[PAIRS];

static void setup(void)
{
    net_init(&n);
    cr_assert(host_listen(b, 80, true, n.now));
    for (unsigned i = 0; i < PAIRS; i++) {
        b->accepted = NULL;
        cr_assert(ca[i] = host_connect(a, 2, 80, n.now, NULL));
        net_pump(&n);
        cr_assert(cb[i] = b->accepted);
    }
}

static void teardown(void)
{
    net_fini(&n);
}

TestSuite(bad, .init = setup, .fini = teardown);

/* As if its process had died. The application gives the rings back, and ends a connection that says it had other ones. */
static void take_over(struct host *h)
{
    xt_stack_free(h->s);
    host_start(h, n.now);
    for (uint32_t i = 0; i < MAX_CONNS; i++) {
        struct xt_conn *c = xt_stack_conn(h->s, i);
        if (c && h->rx[i])
            xt_stack_set_bufs(h->s, c, h->rx[i], 0, h->tx[i], 0);
        if (c && c->state != XT_LISTEN && (!h->rx[i] || c->rx_size != RING || c->tx_size != RING))
            xt_stack_abort(h->s, c, n.now);
    }
}

static bool lives(struct host *h, const struct xt_conn *c)
{
    return xt_stack_conn(h->s, (uint32_t)(c - h->s->conns)) == c && c->state == XT_ESTABLISHED;
}

static void lend(struct xt_conn *c)
{
    xt_board_give(a->s, c);
}

static uint32_t n_lent(const struct host *h)
{
    return h->s->boards_high - h->s->n_board_free;
}

static void only_the_first_is_lost(void)
{
    take_over(a);
    cr_expect_eq(xt_stack_stats(a->s)->records_bad, 1);
    cr_expect_eq(ca[0]->err, ECONNABORTED);
    for (unsigned i = 1; i < PAIRS; i++)
        cr_expect(lives(a, ca[i]), "%u", i);
}

Test(bad, a_board_that_is_none)
{
    const int32_t wrong[] = {1, -1, INT32_MAX, INT32_MIN, (int32_t)sizeof(struct xt_board) / XT_RECORD_ALIGN};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct xt_conn before = *ca[0];
        ca[0]->board = wrong[i];
        only_the_first_is_lost();
        *ca[0] = before;
        take_over(a);
    }
}

Test(bad, what_is_seldom_needed_somewhere_else)
{
    ca[0]->seldom++;
    only_the_first_is_lost();
}

Test(bad, a_board_that_another_has)
{
    lend(ca[0]);
    lend(ca[1]);
    uint32_t lent = n_lent(a);
    ca[0]->board = xt_board_distance(ca[0], xt_board_of(ca[1]));
    take_over(a);
    cr_expect_eq(xt_stack_stats(a->s)->records_bad, 1);
    cr_expect_neq(lives(a, ca[0]), lives(a, ca[1]));
    cr_expect_eq(n_lent(a), lent - 1, "one is lent");
}

Test(bad, boards_of_the_others_stay_theirs)
{
    for (unsigned i = 0; i < PAIRS; i++)
        lend(ca[i]);
    uint32_t lent = n_lent(a);
    ca[0]->n_sent = 255;
    only_the_first_is_lost();
    cr_expect_eq(n_lent(a), lent - 1);
    ca[1]->board++; /* and none of the undo copy's either */
    xt_conn_begin(a->s, ca[2]);
    a->s->undo->before.board += 4;
    take_over(a);
    cr_expect_eq(xt_stack_stats(a->s)->records_bad, 2);
    for (unsigned i = 3; i < PAIRS; i++)
        cr_expect(lives(a, ca[i]), "%u", i);
}

/* One field each, to a value that would be used to reach somewhere or to divide by. */
Test(bad, what_would_be_used)
{
#define BAD(field, value)                                                                    \
    {                                                                                        \
#field, offsetof(struct xt_conn, field), sizeof(((struct xt_conn *)0)->field), value \
    }
    static const struct {
        const char *name;
        size_t at, len;
        uint64_t value;
    } bad[] = {
        BAD(state, XT_NSTATES), BAD(state, XT_LISTEN), BAD(index, 3),      BAD(listener, 100000), BAD(n_sent, 41),
        BAD(n_ooo, 33),         BAD(n_seam, 17),       BAD(n_recent, 5),   BAD(rate.n, 9),        BAD(snd_wscale, 15),
        BAD(rcv_wscale, 31),    BAD(ca_state, 5),      BAD(cc, XT_CC_MAX), BAD(rx_size, 65535),   BAD(tx_size, 3),
        BAD(rx_tail, 1 << 20),  BAD(rx_head, 1 << 20), BAD(tx_una, 5),     BAD(tx_head, 1 << 20), BAD(mss_eff, 0),
        BAD(mss_eff, 20),       BAD(cwnd, 0),          BAD(ip_optlen, 44), BAD(ip_optlen, 8),     BAD(snd_una, 0),
        BAD(snd_nxt, 0),        BAD(rcv_nxt, 0),       BAD(recovery, 2),   BAD(tally.busy, 4),    BAD(remote.port, 0),
        BAD(opts, XT_OPT_FO),
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct xt_conn before = *ca[0];
        memcpy((char *)ca[0] + bad[i].at, &bad[i].value, bad[i].len);
        take_over(a);
        cr_expect_eq(xt_stack_stats(a->s)->records_bad, 1, "%s = %llu", bad[i].name, (unsigned long long)bad[i].value);
        *ca[0] = before;
        take_over(a);
        cr_assert(lives(a, ca[0]), "%s put back", bad[i].name);
    }
}

/* ---- anything ---- */

static void work(uint64_t us)
{
    static uint8_t buf[RING];
    for (unsigned i = 0; i < PAIRS; i++) {
        if (lives(a, ca[i]))
            host_write(a, ca[i], buf, 3000 * i, n.now);
        if (lives(b, cb[i]))
            host_write(b, cb[i], buf, 20000, n.now);
    }
    net_run(&n, us);
    for (unsigned i = 0; i < PAIRS; i++)
        if (lives(b, cb[i]))
            host_read(b, cb[i], buf, RING, n.now);
}

static void scribble(struct xt_conn *c, unsigned *seed)
{
    for (int k = rand_r(seed) % 4; k >= 0; k--) {
        size_t at = (size_t)rand_r(seed) % sizeof *c, len = 1u << (rand_r(seed) % 4);
        for (size_t i = at; i < at + len && i < sizeof *c; i++)
            ((uint8_t *)c)[i] = rand_r(seed) % 3 ? (uint8_t)rand_r(seed) : rand_r(seed) % 2 ? 0xff : 0;
    }
}

/* Half of the connections of one host are scribbled on, while data is on its way over a bad line. The others go on: what was written
 * arrives. */
Test(bad, anything_in_any_of_them, .timeout = 250)
{
    static uint8_t buf[RING];
    unsigned seed = 1;
    printf("anything in any of them: seed %u\n", seed);
    for (unsigned round = 0; round < 100; round++) {
        n.bad = true;
        n.seed = seed;
        work(2000);
        for (unsigned i = 0; i < PAIRS; i += 2)
            scribble(ca[i], &seed);
        take_over(a);
        for (unsigned i = 1; i < PAIRS; i += 2)
            cr_assert(lives(a, ca[i]), "seed %u round %u: %u is lost", seed, round, i);
        work(300000);
        n.bad = false;
        work(20000000);
        for (unsigned i = 1; i < PAIRS; i += 2) {
            host_read(a, ca[i], buf, RING, n.now);
            cr_assert(lives(a, ca[i]) && lives(b, cb[i]), "seed %u round %u: %u ends", seed, round, i);
            cr_assert_eq(ca[i]->tx_una, ca[i]->tx_head, "seed %u round %u: %u hangs", seed, round, i);
        }
        teardown();
        setup();
    }
}
