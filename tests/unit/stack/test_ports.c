/* SPDX-License-Identifier: Apache-2.0
 * Ports: who may bind, and which are chosen. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

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

static int bind_to(unsigned addr, uint16_t port, bool reuse)
{
    struct xt_endpoint at = ep(addr, port);
    return xt_stack_bind(h.s, &at, reuse);
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
    xt_stack_unbind(h.s, &at);
    cr_assert_eq(bind_to(1, 80, true), 0);
    cr_assert_eq(bind_to(1, 80, true), 0);
    xt_stack_unbind(h.s, &at);
    cr_assert_eq(bind_to(1, 80, false), -EADDRINUSE);
    xt_stack_unbind(h.s, &at);
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
