/* SPDX-License-Identifier: Apache-2.0
 * A table of connections that TIME_WAIT has filled. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/unit/stack/net.h"

#define S 1000000ull

static struct net n;
static struct host *a = &n.h[0], *b = &n.h[1]; /* a connects, b listens */

static void setup(void)
{
    net_init(&n);
    host_listen(b, 80, true, n.now);
}

static void teardown(void)
{
    net_fini(&n);
}

TestSuite(timewait, .init = setup, .fini = teardown);

static struct xt_conn *open_one(struct xt_conn **server)
{
    struct xt_conn *c = host_connect(a, 2, 80, n.now, NULL);
    cr_assert(c);
    b->accepted = NULL;
    net_pump(&n);
    cr_assert((*server = b->accepted), "not accepted");
    return c;
}

/* b's end closes first, and waits. */
static struct xt_conn *wait_one(void)
{
    struct xt_conn *server, *c = open_one(&server);
    xt_stack_close(b->s, server, n.now);
    net_pump(&n);
    xt_stack_close(a->s, c, n.now);
    net_pump(&n);
    cr_assert_eq(server->state, XT_TIME_WAIT);
    return server;
}

static unsigned dropped(const struct host *h)
{
    return (unsigned)xt_stack_stats(h->s)->time_wait_dropped;
}

/* All of b's table but the listener, one open connection and those in TIME_WAIT. */
static struct xt_conn *fill(struct xt_conn **oldest, struct xt_conn **second)
{
    struct xt_conn *open;
    open_one(&open);
    *oldest = wait_one();
    *second = wait_one();
    for (unsigned i = 0; i < MAX_CONNS - 4; i++)
        wait_one();
    return open;
}

Test(timewait, the_oldest_makes_room_for_a_peer)
{
    struct xt_conn *oldest, *second, *open = fill(&oldest, &second), *server;
    cr_assert_eq(dropped(b), 0);
    unsigned closed = b->closed;
    open_one(&server);
    cr_assert_eq(server, oldest, "its record");
    cr_assert_eq(server->state, XT_ESTABLISHED);
    cr_assert_eq(second->state, XT_TIME_WAIT);
    cr_assert_eq(open->state, XT_ESTABLISHED);
    cr_assert_eq(dropped(b), 1);
    cr_assert_eq(b->closed, closed + 1, "its owner is told");
    cr_assert_eq(a->count + b->count, 0, "no reset for what is over");
    open_one(&server);
    cr_assert_eq(server, second);
}

Test(timewait, the_oldest_makes_room_for_a_connect)
{
    struct xt_conn *oldest, *second;
    fill(&oldest, &second);
    cr_assert_eq(host_connect(b, 1, 90, n.now, NULL), oldest);
    cr_assert_eq(dropped(b), 1);
}

Test(timewait, the_next_stack_makes_room_too)
{
    struct xt_conn *oldest, *second, *server;
    fill(&oldest, &second);
    xt_stack_free(b->s);
    host_start(b, n.now);
    open_one(&server);
    cr_assert_eq(server->state, XT_ESTABLISHED);
    cr_assert_eq(dropped(b), 1);
}

/* Peers that never close have no hold on the table: who waits for their FINs on nobody's behalf gives way, without a word. */
Test(timewait, fin_wait2_of_nobody_makes_room_too)
{
    struct xt_conn *open, *half, *first, *server;
    open_one(&open);
    open_one(&half);
    xt_stack_shutdown(b->s, half, n.now);
    open_one(&first);
    xt_stack_close(b->s, first, n.now);
    net_pump(&n);
    for (unsigned i = 0; i < MAX_CONNS - 4; i++) {
        struct xt_conn *client = open_one(&server);
        xt_stack_close(b->s, server, n.now);
        net_pump(&n);
        cr_assert_eq(server->state, XT_FIN_WAIT2);
        xt_stack_abort(a->s, client, n.now);
        host_drain(a);
    }
    cr_assert_eq(half->state, XT_FIN_WAIT2);
    cr_assert_eq(xt_stack_stats(b->s)->fin_wait2_dropped, 0);
    open_one(&server);
    cr_assert_eq(server, first, "its record");
    cr_assert_eq(half->state, XT_FIN_WAIT2, "somebody may read there");
    cr_assert_eq(open->state, XT_ESTABLISHED);
    cr_assert_eq(xt_stack_stats(b->s)->fin_wait2_dropped, 1);
    cr_assert_eq(dropped(b), 0);
}
