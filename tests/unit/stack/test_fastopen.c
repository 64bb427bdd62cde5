/* SPDX-License-Identifier: Apache-2.0
 * TCP Fast Open between two hosts: cookies by address and key, what is remembered of peers, and when it is given up. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/stack/net.h"

#define S 1000000ull

static struct net n;
static struct host *a = &n.h[0], *b = &n.h[1]; /* a connects, b listens */
static struct xt_conn *listener;

static void allow(uint32_t limit, unsigned nkeys, const char *keys)
{
    struct xt_fo_listen set = {.limit = limit, .nkeys = (uint8_t)nkeys};
    memcpy(set.keys, keys, 16ul * nkeys);
    xt_stack_fastopen_listen(b->s, listener, &set);
}

static void setup(void)
{
    net_init(&n);
    cr_assert(listener = host_listen(b, 80, true, n.now));
    allow(8, 0, "");
    a->fo = XT_FO_OPTION;
}

static void teardown(void)
{
    net_fini(&n);
}

TestSuite(fastopen, .init = setup, .fini = teardown);

static struct xt_conn *opens(void)
{
    struct xt_conn *c = host_connect(a, 2, 80, n.now, NULL);
    cr_assert(c);
    return c;
}

/* A connect that must wait for data; `len` bytes then go with its SYN. */
static struct xt_conn *opens_with(uint32_t len)
{
    static const uint8_t data[2000] = {1, 2, 3};
    struct xt_conn *c = opens();
    cr_assert(xt_stack_fastopen_room(c) >= len, "no cookie is known");
    cr_assert_eq(host_write(a, c, data, len, n.now), len);
    xt_stack_fastopen_go(a->s, c, n.now);
    return c;
}

/* The first connection, which brings the cookie. */
static void learn(void)
{
    struct xt_conn *c = opens();
    cr_assert_eq(xt_stack_fastopen_room(c), 0);
    net_pump(&n);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(xt_stack_stats(a->s)->fastopen_cookies, 1);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_cookie_reqs, 1);
}

/* Req RFC7413-3 RFC7413-4.1.3 RFC7413-4.2.1 RFC7413-4.2.2 */
Test(fastopen, the_second_connection_carries_data_in_its_syn)
{
    learn();
    struct xt_conn *c = opens_with(100);
    host_output(a, n.now); /* the SYN, taken away: nothing but it is needed for what follows */
    xt_stack_abort(a->s, c, n.now);
    c = opens_with(100);
    net_pump(&n);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(c->tx_una, 100);
    cr_assert_eq(xt_stack_tcp_stats(a->s)->fastopen_active, 1);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_passive, 1);
    cr_assert_eq(b->accepted->rx_head, 100);
    cr_assert(b->events[b->accepted->index] & XT_EV_FASTOPEN);
    cr_assert_eq(listener->fo_listen.pending, 0);
}

/* Req RFC7413-4.1.2 */
Test(fastopen, a_cookie_is_for_one_key)
{
    allow(8, 1, "the first key...");
    learn();
    allow(8, 1, "another key.....");
    struct xt_conn *c = opens_with(100);
    net_pump(&n);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_passive_fail, 1);
    cr_assert_eq(c->tx_una, 100, "after the handshake, in the ordinary way");
    cr_assert_eq(xt_stack_tcp_stats(a->s)->fastopen_active_fail, 1);
    opens_with(100); /* with the cookie that came in the SYN+ACK */
    net_pump(&n);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_passive, 1);
}

/* Req RFC7413-4.1.2 */
Test(fastopen, the_key_before_is_good_until_it_goes)
{
    allow(8, 1, "the first key...");
    learn();
    allow(8, 2, "another key.....the first key...");
    opens_with(100);
    net_pump(&n);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_passive_alt, 1);
    allow(8, 1, "another key.....");
    opens_with(100);
    net_pump(&n);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_passive, 2);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_passive_alt, 1);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_passive_fail, 0);
}

/* Req RFC7413-4.2.2 */
Test(fastopen, no_more_children_are_pending_than_allowed)
{
    learn();
    allow(2, 0, "");
    n.drop = false;
    for (unsigned i = 0; i < 3; i++)
        opens_with(100);
    /* The SYNs arrive, and nothing comes back: three handshakes that do not end. */
    struct packet p;
    xt_stack_output(a->s, n.now);
    while (host_take(a, &p)) {
        xt_stack_input(b->s, p.data, p.len, &p.vnet, n.now);
        free(p.data);
    }
    host_output(b, n.now);
    cr_assert_eq(listener->fo_listen.pending, 2);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_passive, 2);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_overflow, 1);
    net_run(&n, 10 * S);
    cr_assert_eq(listener->fo_listen.pending, 0);
    cr_assert_eq(b->naccepted, 4);
}

/* The application has such a child already: it lives on when the listener goes. */
Test(fastopen, a_child_outlives_its_listener)
{
    learn();
    struct xt_conn *c = opens_with(100);
    struct packet p;
    xt_stack_output(a->s, n.now);
    cr_assert(host_take(a, &p));
    xt_stack_input(b->s, p.data, p.len, &p.vnet, n.now);
    free(p.data);
    xt_stack_close(b->s, listener, n.now);
    net_pump(&n);
    cr_assert_eq(c->state, XT_ESTABLISHED);
}

/* The SYN of a connection with data arrives; what answers it does not leave. */
static void arrives(void)
{
    struct packet p;
    xt_stack_output(a->s, n.now);
    cr_assert(host_take(a, &p));
    xt_stack_input(b->s, p.data, p.len, &p.vnet, n.now);
    free(p.data);
}

/* As another stack process finds the records: children that have been accepted are pending still, and count. */
Test(fastopen, a_new_stack_goes_on_with_what_is_pending)
{
    learn();
    allow(2, 1, "a key of our own");
    opens_with(100); /* the cookie in its SYN+ACK is of the new key */
    net_pump(&n);
    struct xt_conn *c = opens_with(100);
    arrives();
    uint32_t child = 0, l = listener->index;
    while (!(b->events[child] & XT_EV_FASTOPEN) || xt_stack_conn(b->s, child)->state != XT_SYN_RECV)
        cr_assert_lt(++child, MAX_CONNS);
    cr_assert_eq(listener->fo_listen.pending, 1);
    listener->fo_listen.pending = 77; /* the process died while it counted */
    host_drain(b);
    xt_stack_free(b->s);
    host_start(b, n.now);
    listener = xt_stack_conn(b->s, l);
    cr_assert_eq(listener->fo_listen.pending, 1);
    cr_assert_eq(listener->fo_listen.limit, 2);
    struct xt_conn *cb = xt_stack_conn(b->s, child);
    cr_assert_eq(cb->state, XT_SYN_RECV);
    cr_assert_eq(cb->rx_head, 100);
    xt_stack_set_bufs(b->s, cb, b->rx[child], 0, b->tx[child], 0);
    xt_stack_close(b->s, listener, n.now); /* the application has the child: it stays */
    net_run(&n, 3 * S);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(c->tx_una, 100);
    cr_assert_eq(cb->state, XT_ESTABLISHED);
}

Test(fastopen, without_memory_for_rings_the_handshake_is_an_ordinary_one)
{
    learn();
    b->no_bufs = true;
    struct xt_conn *c = opens_with(100);
    struct packet p;
    xt_stack_output(a->s, n.now);
    cr_assert(host_take(a, &p));
    xt_stack_input(b->s, p.data, p.len, &p.vnet, n.now);
    free(p.data);
    b->no_bufs = false;
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_passive, 0);
    net_run(&n, S);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(c->tx_una, 100);
}

/* SYN cookies leave no record, and so take no data. */
Test(fastopen, no_data_with_syn_cookies)
{
    learn();
    b->cfg.tcp.syn_cookies = XT_COOKIES_ALWAYS;
    cr_assert_eq(xt_stack_reconfigure(b->s, &b->cfg), 0);
    struct xt_conn *c = opens_with(100);
    net_run(&n, S);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->fastopen_passive, 0);
    cr_assert_eq(c->tx_una, 100);
}

/* Fast Open that times out three times in a row is paused, for an hour, then for two. */
/* Req RFC7413-4.1.3.1 RFC7413-7.1 */
Test(fastopen, a_black_hole_pauses_it_for_all)
{
    learn();
    for (unsigned i = 0; i < 2; i++) {
        struct xt_conn *c = opens_with(100);
        n.drop = true;
        net_run(&n, 15 * S);
        n.drop = false;
        cr_assert_eq(xt_stack_stats(a->s)->fastopen_blackholes, i + 1);
        xt_stack_abort(a->s, c, n.now);
        cr_assert_eq(xt_stack_fastopen_room(c = opens()), 0);
        cr_assert_eq(c->fo, 0, "not even a cookie is asked for");
        xt_stack_abort(a->s, c, n.now);
        net_run(&n, (1ull << i) * 3500 * S);
        cr_assert_eq(opens()->fo, 0);
        net_run(&n, (1ull << i) * 100 * S);
    }
    opens_with(100);
    net_pump(&n);
    cr_assert_eq(xt_stack_tcp_stats(a->s)->fastopen_active, 1);
}

Test(fastopen, the_pause_can_be_switched_off)
{
    a->cfg.tcp.fo_blackhole = 0;
    cr_assert_eq(xt_stack_reconfigure(a->s, &a->cfg), 0);
    learn();
    struct xt_conn *c = opens_with(100);
    n.drop = true;
    net_run(&n, 15 * S);
    n.drop = false;
    xt_stack_abort(a->s, c, n.now);
    opens_with(100);
    cr_assert_eq(xt_stack_stats(a->s)->fastopen_blackholes, 0);
}

/* A peer that answers plain SYNs only, twice in a row, is left alone for minutes. */
/* Req RFC7413-4.1.3.1 */
Test(fastopen, a_peer_that_loses_such_syns_gets_plain_ones)
{
    learn();
    for (unsigned i = 0; i < 2; i++) {
        opens_with(100);
        host_output(a, n.now);
        net_run(&n, 3 * S);
        cr_assert_eq(xt_stack_tcp_stats(a->s)->fastopen_active_fail, i + 1);
    }
    cr_assert_eq(opens()->fo, 0);
    net_run(&n, 200 * S);
    cr_assert_eq(opens()->fo, 0);
    net_run(&n, 50 * S);
    opens_with(100);
}

Test(fastopen, is_not_wanted_where_it_is_switched_off)
{
    b->cfg.tcp.fast_open = XT_FO_CLIENT;
    cr_assert_eq(xt_stack_reconfigure(b->s, &b->cfg), 0);
    opens();
    net_pump(&n);
    cr_assert_eq(xt_stack_stats(a->s)->fastopen_cookies, 0);
}
