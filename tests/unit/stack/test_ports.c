/* SPDX-License-Identifier: Apache-2.0
 * Ports: who may bind, and which are chosen. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/wire/seg.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull

static struct host h;

static void setup(void)
{
    host_cfg(&h, 1);
    h.cfg.port_min = 40000;
    h.cfg.port_max = 40009;
    host_start(&h, S);
}

static void teardown(void)
{
    host_stop(&h);
}

TestSuite(ports, .init = setup, .fini = teardown);

static int bind_to(unsigned addr, uint16_t port, uint64_t claim)
{
    struct xt_endpoint at = ep(addr, port);
    return xt_stack_bind(h.s, &at, claim);
}

Test(ports, address_must_be_ours)
{
    struct xt_endpoint any = {0}, loop = {.addr = xt_addr_v4(htonl(0x7f000001)), .port = 80};
    cr_assert_eq(bind_to(2, 80, false), -EADDRNOTAVAIL);
    cr_assert_eq(xt_stack_bind(h.s, &loop, false), -EADDRNOTAVAIL);
    any.port = 80;
    cr_assert_eq(xt_stack_bind(h.s, &any, false), 0);
    cr_assert_eq(xt_addr_to_v4(&any.addr), ip(1));
}

Test(ports, reuse_is_needed_on_both_sides)
{
    cr_assert_eq(bind_to(1, 80, false), 0);
    cr_assert_eq(bind_to(1, 80, false), -EADDRINUSE);
    cr_assert_eq(bind_to(1, 80, true), -EADDRINUSE);
    cr_assert_eq(bind_to(1, 81, true), 0);
    cr_assert_eq(bind_to(1, 81, false), -EADDRINUSE);
    cr_assert_eq(bind_to(0, 81, true), 0);
}

Test(ports, unbind_gives_back)
{
    struct xt_endpoint at = ep(1, 80);
    cr_assert_eq(bind_to(1, 80, false), 0);
    xt_stack_unbind(h.s, &at, 0);
    cr_assert_eq(bind_to(1, 80, true), 0);
    cr_assert_eq(bind_to(1, 80, true), 0);
    xt_stack_unbind(h.s, &at, XT_CLAIM_REUSE);
    cr_assert_eq(bind_to(1, 80, false), -EADDRINUSE);
    xt_stack_unbind(h.s, &at, XT_CLAIM_REUSE);
    cr_assert_eq(bind_to(1, 80, false), 0);
}

Test(ports, no_second_listener_and_no_bind_beside_one)
{
    struct xt_endpoint at = ep(1, 80);
    struct xt_conn *l;
    cr_assert_eq(bind_to(1, 80, true), 0);
    cr_assert_eq(bind_to(1, 80, true), 0);
    cr_assert_eq(xt_stack_listen(h.s, &at, true, S, &l), 0);
    cr_assert_eq(l->state, XT_LISTEN);
    struct xt_conn *second;
    cr_assert_eq(xt_stack_listen(h.s, &at, true, S, &second), -EADDRINUSE);
    cr_assert_eq(bind_to(1, 80, true), -EADDRINUSE);
    xt_stack_close(h.s, l, S);
    cr_assert_eq(bind_to(1, 80, true), 0);
    cr_assert_eq(xt_stack_listen(h.s, &at, true, S, &second), 0);
}

Test(ports, bind_to_zero_takes_each_port_once)
{
    bool seen[10] = {0};
    for (unsigned i = 0; i < 10; i++) {
        struct xt_endpoint at = ep(0, 0);
        cr_assert_eq(xt_stack_bind(h.s, &at, true), 0);
        cr_assert(at.port >= 40000 && at.port <= 40009);
        cr_assert_not(seen[at.port - 40000]);
        seen[at.port - 40000] = true;
    }
    cr_assert_eq(bind_to(0, 0, true), -EADDRINUSE);
    cr_assert_eq(xt_stack_stats(h.s)->ports_exhausted, 1);
}

Test(ports, one_port_serves_many_remotes_until_none_is_left)
{
    struct xt_conn *c = NULL;
    int err;
    for (unsigned i = 0; i < 10; i++)
        cr_assert((c = host_connect(&h, 2, 80, S, NULL)));
    cr_assert_null(host_connect(&h, 2, 80, S, &err));
    cr_assert_eq(err, -EADDRNOTAVAIL);
    for (unsigned i = 0; i < 10; i++)
        cr_assert(host_connect(&h, 3, 80, S, NULL), "another remote has all ports free");
    uint16_t port = c->local.port;
    xt_stack_close(h.s, c, S);
    cr_assert((c = host_connect(&h, 2, 80, S, &err)));
    cr_assert_eq(c->local.port, port);
}

Test(ports, bound_ports_are_not_chosen_for_connects)
{
    for (uint16_t p = 40000; p < 40009; p++)
        cr_assert_eq(bind_to(1, p, true), 0);
    struct xt_conn *c = host_connect(&h, 2, 80, S, NULL);
    cr_assert_eq(c->local.port, 40009);
    cr_assert_eq(bind_to(1, 40009, true), -EADDRINUSE);
}

Test(ports, same_four_tuple_is_refused)
{
    struct xt_endpoint at = ep(1, 5000), to = ep(2, 80);
    struct xt_conn *c;
    cr_assert_eq(xt_stack_bind(h.s, &at, false), 0);
    cr_assert_eq(xt_stack_connect(h.s, &at, &to, S, NULL, NULL, &c), 0);
    cr_assert_eq(xt_stack_connect(h.s, &at, &to, S, NULL, NULL, &c), -EADDRINUSE);
}

Test(ports, table_of_connections_is_bounded)
{
    struct xt_endpoint at = ep(1, 0);
    struct xt_conn *c;
    for (unsigned i = 0; i < MAX_CONNS; i++) {
        struct xt_endpoint to = ep(2 + i % 200, (uint16_t)(1000 + i));
        cr_assert_eq(xt_stack_connect(h.s, &at, &to, S, NULL, NULL, &c), 0);
    }
    struct xt_endpoint to = ep(2, 80);
    cr_assert_eq(xt_stack_connect(h.s, &at, &to, S, NULL, NULL, &c), -ENOBUFS);
    xt_stack_close(h.s, c, S);
    cr_assert_eq(xt_stack_connect(h.s, &at, &to, S, NULL, NULL, &c), 0);
}

Test(ports, sharing_needs_all_and_one_user)
{
    cr_assert_eq(bind_to(1, 80, xt_claim_share(7)), 0);
    cr_assert_eq(bind_to(1, 80, 0), -EADDRINUSE);
    cr_assert_eq(bind_to(1, 80, XT_CLAIM_REUSE), -EADDRINUSE);
    cr_assert_eq(bind_to(1, 80, xt_claim_share(8)), -EADDRINUSE, "another user");
    cr_assert_eq(bind_to(1, 80, xt_claim_share(7)), 0);
    cr_assert_eq(bind_to(1, 81, XT_CLAIM_REUSE), 0);
    cr_assert_eq(bind_to(1, 81, xt_claim_share(7)), -EADDRINUSE);
    cr_assert_eq(bind_to(1, 81, xt_claim_share(7) | XT_CLAIM_REUSE), 0, "SO_REUSEADDR in common will do");
    cr_assert_eq(bind_to(1, 81, xt_claim_share(7)), -EADDRINUSE);
}

static struct xt_conn *listen_at(uint16_t port, uint64_t claim, int *err)
{
    struct xt_endpoint at = ep(1, port);
    struct xt_conn *l = NULL;
    *err = xt_stack_bind(h.s, &at, claim);
    if (*err == 0)
        *err = xt_stack_listen(h.s, &at, claim, S, &l);
    return l;
}

Test(ports, who_may_listen_beside_a_listener)
{
    int err;
    struct xt_endpoint at = ep(1, 80);
    struct xt_conn *l;
    cr_assert_eq(bind_to(1, 80, XT_CLAIM_REUSE), 0);
    cr_assert_eq(bind_to(1, 80, xt_claim_share(7) | XT_CLAIM_REUSE), 0);
    cr_assert_eq(xt_stack_listen(h.s, &at, XT_CLAIM_REUSE, S, &l), 0);
    struct xt_conn *second;
    cr_assert_eq(xt_stack_listen(h.s, &at, xt_claim_share(7) | XT_CLAIM_REUSE, S, &second), -EADDRINUSE,
                 "one does not share");
    cr_assert(listen_at(81, xt_claim_share(7), &err));
    cr_assert(listen_at(81, xt_claim_share(7) | XT_CLAIM_REUSE, &err));
    cr_assert_null(listen_at(81, XT_CLAIM_REUSE, &err));
    cr_assert_eq(err, -EADDRINUSE);
    cr_assert_null(listen_at(81, xt_claim_share(8) | XT_CLAIM_REUSE, &err));
    cr_assert_eq(err, -EADDRINUSE);
}

/* Lets `n` peers connect to port 80, each from a port of its own that begins at `from`; counts the children of each listener. */
static void dial(unsigned n, uint16_t from, struct xt_conn *const l[], unsigned nl, unsigned count[])
{
    memset(count, 0, nl * sizeof *count);
    for (unsigned i = 0; i < n; i++) {
        uint8_t f[128];
        struct xt_seg syn = {.sport = (uint16_t)(from + i), .dport = 80, .seq = 1, .flags = XT_TH_SYN, .wnd = 1000};
        inject(&h, f, make_tcp(f, &h, 2, &syn, NULL), S);
    }
    for (uint32_t at = 0; at < MAX_CONNS; at++) {
        const struct xt_conn *c = xt_stack_conn(h.s, at);
        for (unsigned k = 0; c && k < nl; k++)
            count[k] += c->state == XT_SYN_RECV && c->remote.port >= from && c->listener == l[k]->index;
    }
}

Test(ports, listeners_that_share_get_new_connections_by_their_hash)
{
    struct xt_conn *l[4];
    unsigned count[4], again[4];
    int err;
    for (unsigned k = 0; k < 4; k++)
        cr_assert((l[k] = listen_at(80, xt_claim_share(7), &err)));
    dial(100, 1000, l, 4, count);
    cr_assert_eq(count[0] + count[1] + count[2] + count[3], 100);
    for (unsigned k = 0; k < 4; k++)
        cr_assert(count[k] >= 10 && count[k] <= 45, "listener %u has %u of 100", k, count[k]);
    dial(100, 1000, l, 4, again); /* the same SYNs once more */
    cr_assert_arr_eq(count, again, sizeof count);
    xt_stack_close(h.s, l[1], S);
    struct xt_conn *left[] = {l[0], l[2], l[3]};
    dial(60, 3000, left, 3, count);
    cr_assert_eq(count[0] + count[1] + count[2], 60, "who has gone gets none");
    cr_assert(count[0] && count[1] && count[2]);
    cr_assert((l[1] = listen_at(80, xt_claim_share(7), &err)));
    dial(60, 5000, l, 4, count);
    cr_assert(count[1], "who joins gets some");
}

Test(ports, sharing_outlives_the_stack)
{
    struct xt_conn *l[3];
    unsigned count[3];
    int err;
    for (unsigned k = 0; k < 3; k++)
        cr_assert((l[k] = listen_at(80, xt_claim_share(7), &err)));
    xt_stack_free(h.s);
    host_start(&h, S);
    dial(60, 1000, l, 3, count);
    cr_assert_eq(count[0] + count[1] + count[2], 60);
    cr_assert(count[0] && count[1] && count[2]);
}

/* The reset of a connection may have been lost with the process; its port would find what is left of it at the peer. */
Test(ports, a_successor_begins_elsewhere)
{
    h.cfg.port_max = 49999;
    xt_stack_free(h.s);
    host_start(&h, S);
    struct xt_conn *c = host_connect(&h, 2, 80, S, NULL);
    cr_assert(c);
    uint16_t first = c->local.port;
    xt_stack_abort(h.s, c, S);
    xt_stack_free(h.s);
    host_start(&h, 2 * S);
    cr_assert(c = host_connect(&h, 2, 80, 2 * S, NULL));
    cr_assert_gt(abs(c->local.port - first), 10);
}
