/* SPDX-License-Identifier: Apache-2.0
 * Handshakes, closes and data between two cores. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/unit/tcp/pair.h"

static void expect_path(const struct end *e, unsigned n, const enum xt_state *path)
{
    cr_assert_eq(e->npath, n, "%u states, not %u", e->npath, n);
    for (unsigned i = 0; i < n; i++)
        cr_assert_eq(e->path[i], path[i], "%u: %s", i, xt_state_name(e->path[i]));
}
#define EXPECT_PATH(e, ...) \
    expect_path(e, sizeof((enum xt_state[]){__VA_ARGS__}) / sizeof(enum xt_state), (enum xt_state[]){__VA_ARGS__})

Test(dialogue, open_takes_three_segments)
{
    struct pair *p = pair_new();
    pair_open(p);
    cr_assert_eq(p->e[0].sent, 2);
    cr_assert_eq(p->e[1].sent, 1);
    EXPECT_PATH(&p->e[0], XT_SYN_SENT, XT_ESTABLISHED);
    EXPECT_PATH(&p->e[1], XT_LISTEN, XT_SYN_RECV, XT_ESTABLISHED);
    cr_assert(p->e[0].ev & XT_EV_CONNECTED);
    cr_assert(p->e[1].ev & XT_EV_CONNECTED);
    cr_assert_eq(p->e[0].c.mss_eff, 1448);
    cr_assert_eq(p->e[0].c.srtt, 2000);
    cr_assert_eq(xt_tcp_deadline(&p->e[0].c, p->now), UINT64_MAX);
    pair_free(p);
}

Test(dialogue, bulk_both_ways)
{
    struct pair *p = pair_new();
    pair_open(p);
    uint64_t total = 1 << 20, got[2] = {0, 0};
    for (unsigned rounds = 0; got[0] < total || got[1] < total; rounds++) {
        cr_assert_lt(rounds, 10000);
        for (int i = 0; i < 2; i++) {
            struct xt_conn *c = &p->e[i].c;
            uint32_t room = RING - (uint32_t)(c->tx_head - c->tx_una);
            uint64_t left = total - c->tx_head;
            pair_write(p, i, left < room ? (uint32_t)left : room, false);
        }
        pair_run(p, p->now + 1000);
        for (int i = 0; i < 2; i++)
            got[i] += pair_read(p, i);
    }
    cr_assert_eq(p->e[0].stats.retrans_segs + p->e[1].stats.retrans_segs, 0);
    pair_free(p);
}

Test(dialogue, active_and_passive_close)
{
    struct pair *p = pair_new();
    pair_open(p);
    pair_call(p, 0, xt_tcp_close);
    pair_settle(p);
    cr_assert_eq(p->e[0].c.state, XT_FIN_WAIT2);
    cr_assert_eq(p->e[1].c.state, XT_CLOSE_WAIT);
    cr_assert(p->e[1].ev & XT_EV_PEER_FIN);
    pair_call(p, 1, xt_tcp_close);
    pair_settle(p);
    cr_assert_eq(p->e[1].c.state, XT_CLOSED);
    cr_assert_eq(p->e[0].c.state, XT_TIME_WAIT);
    cr_assert_str_eq(xt_tcp_deadline_name(&p->e[0].c, p->now), "timewait");
    pair_run(p, p->now + 61000000);
    EXPECT_PATH(&p->e[0], XT_SYN_SENT, XT_ESTABLISHED, XT_FIN_WAIT1, XT_FIN_WAIT2, XT_TIME_WAIT, XT_CLOSED);
    EXPECT_PATH(&p->e[1], XT_LISTEN, XT_SYN_RECV, XT_ESTABLISHED, XT_CLOSE_WAIT, XT_LAST_ACK, XT_CLOSED);
    pair_free(p);
}

Test(dialogue, simultaneous_close)
{
    struct pair *p = pair_new();
    pair_open(p);
    pair_call(p, 0, xt_tcp_close);
    pair_call(p, 1, xt_tcp_close);
    pair_settle(p);
    pair_run(p, p->now + 61000000);
    EXPECT_PATH(&p->e[0], XT_SYN_SENT, XT_ESTABLISHED, XT_FIN_WAIT1, XT_CLOSING, XT_TIME_WAIT, XT_CLOSED);
    EXPECT_PATH(&p->e[1], XT_LISTEN, XT_SYN_RECV, XT_ESTABLISHED, XT_FIN_WAIT1, XT_CLOSING, XT_TIME_WAIT, XT_CLOSED);
    pair_free(p);
}

Test(dialogue, simultaneous_open)
{
    struct pair *p = pair_new();
    for (int i = 0; i < 2; i++) {
        struct xt_tcp_ctx ctx = pair_ctx(p, i);
        xt_tcp_connect(&p->e[i].c, &ctx, 100 + 200 * (uint32_t)i);
    }
    pair_settle(p);
    for (int i = 0; i < 2; i++)
        EXPECT_PATH(&p->e[i], XT_SYN_SENT, XT_SYN_RECV, XT_ESTABLISHED);
    pair_write(p, 0, 5000, false);
    pair_settle(p);
    cr_assert_eq(pair_read(p, 1), 5000);
    pair_free(p);
}

/* Req MAY-1 */
Test(dialogue, half_close_still_receives)
{
    struct pair *p = pair_new();
    pair_open(p);
    pair_write(p, 0, 3000, false);
    pair_call(p, 0, xt_tcp_shutdown);
    pair_settle(p);
    cr_assert_eq(pair_read(p, 1), 3000);
    cr_assert(p->e[1].ev & XT_EV_PEER_FIN);
    pair_write(p, 1, 20000, false);
    pair_settle(p);
    cr_assert_eq(pair_read(p, 0), 20000);
    pair_call(p, 1, xt_tcp_shutdown);
    pair_settle(p);
    cr_assert_eq(p->e[0].c.state, XT_TIME_WAIT);
    cr_assert_eq(p->e[1].c.state, XT_CLOSED);
    pair_free(p);
}

Test(dialogue, close_with_unread_data_resets)
{
    struct pair *p = pair_new();
    pair_open(p);
    pair_write(p, 0, 100, false);
    pair_settle(p);
    pair_call(p, 1, xt_tcp_close);
    pair_run(p, p->now + 10000);
    cr_assert_eq(p->e[1].c.state, XT_CLOSED);
    cr_assert(p->e[1].ev & XT_EV_CLOSED);
    cr_assert_eq(p->e[0].c.state, XT_CLOSED);
    cr_assert_eq(p->e[0].c.err, ECONNRESET);
    pair_free(p);
}

Test(dialogue, data_to_an_orphan_resets)
{
    struct pair *p = pair_new();
    pair_open(p);
    pair_call(p, 0, xt_tcp_close);
    pair_settle(p);
    pair_write(p, 1, 10, false);
    pair_settle(p);
    cr_assert_eq(p->e[0].c.state, XT_CLOSED);
    cr_assert_eq(p->e[1].c.state, XT_CLOSED);
    cr_assert_eq(p->e[1].c.err, EPIPE); /* in CLOSE_WAIT only writing can fail, and Linux says so */
    pair_free(p);
}

Test(dialogue, connect_to_nobody_is_refused)
{
    struct pair *p = pair_new();
    p->e[1].npath = 1; /* not a listener */
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    xt_tcp_connect(&p->e[0].c, &ctx, 77);
    pair_settle(p);
    cr_assert_eq(p->e[0].c.state, XT_CLOSED);
    cr_assert_eq(p->e[0].c.err, ECONNREFUSED);
    cr_assert(p->e[0].ev & XT_EV_ERROR);
    pair_free(p);
}

static bool drop_all(struct pair *p, int from, const struct xt_seg *seg)
{
    (void)p, (void)from, (void)seg;
    return true;
}

/* Req MUST-22 */
Test(dialogue, connect_times_out)
{
    struct pair *p = pair_new();
    p->drop = drop_all;
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    xt_tcp_connect(&p->e[0].c, &ctx, 77);
    pair_run(p, p->now + 300000000);
    cr_assert_eq(p->e[0].sent, 8); /* the SYN and syn_retries more */
    cr_assert_eq(p->e[0].c.state, XT_CLOSED);
    cr_assert_eq(p->e[0].c.err, ETIMEDOUT);
    cr_assert(p->e[0].ev & XT_EV_ADVISE);
    pair_free(p);
}

Test(dialogue, data_written_before_the_handshake_follows_it)
{
    struct pair *p = pair_new();
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    xt_tcp_connect(&p->e[0].c, &ctx, 4000000000u);
    pair_write(p, 0, 4000, false);
    pair_call(p, 0, xt_tcp_shutdown);
    pair_settle(p);
    cr_assert_eq(pair_read(p, 1), 4000);
    cr_assert_eq(p->e[0].c.state, XT_FIN_WAIT2);
    EXPECT_PATH(&p->e[0], XT_SYN_SENT, XT_ESTABLISHED, XT_FIN_WAIT1, XT_FIN_WAIT2);
    pair_free(p);
}
