/* SPDX-License-Identifier: Apache-2.0
 * Routes: which neighbour is asked for. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/wire/arp.h"
#include "daemon/wire/eth.h"
#include "tests/unit/stack/net.h"

static struct host h;

static void start(void)
{
    host_cfg(&h, 1);
    h.cfg.routes[0] = (struct xt_route){.gateway = ip(254)};
    h.cfg.routes[1] = (struct xt_route){.dst = htonl(0xc0a80000), .mask = htonl(0xffff0000), .gateway = ip(253)};
    h.cfg.routes[2] = (struct xt_route){.dst = htonl(0xc0a80100), .mask = htonl(0xffffff00), .gateway = ip(252)};
    h.cfg.nroutes = 3;
}

static int connect_to(const char *addr, struct xt_conn **c)
{
    struct xt_endpoint local = ep(0, 0), remote = {.addr = xt_addr_v4(inet_addr(addr)), .port = 80};
    return xt_stack_connect(h.s, &local, &remote, 1000, NULL, NULL, c);
}

/* Connects to `addr` and returns whom the ARP request is about, last octet. */
static unsigned asked_for(const char *addr)
{
    struct packet p;
    struct xt_arp arp;
    struct xt_conn *c;
    cr_assert_eq(connect_to(addr, &c), 0);
    xt_stack_output(h.s, 1000);
    cr_assert(host_take(&h, &p));
    cr_assert_eq(xt_arp_parse(p.data + XT_ETH_HDR_LEN, p.len - XT_ETH_HDR_LEN, &arp), 0);
    free(p.data);
    return ntohl(arp.tpa) & 0xff;
}

Test(route, longest_prefix_wins)
{
    start();
    host_start(&h, 1000);
    cr_assert_eq(asked_for("10.0.0.77"), 77);
    cr_assert_eq(asked_for("192.168.1.9"), 252);
    cr_assert_eq(asked_for("192.168.2.9"), 253);
    cr_assert_eq(asked_for("8.8.8.8"), 254);
    host_stop(&h);
}

Test(route, none_is_network_unreachable)
{
    struct xt_conn *c;
    host_cfg(&h, 1);
    host_start(&h, 1000);
    cr_assert_eq(connect_to("8.8.8.8", &c), -ENETUNREACH);
    cr_assert_eq(connect_to("10.0.0.255", &c), -ENETUNREACH);
    cr_assert_eq(connect_to("224.0.0.1", &c), -ENETUNREACH);
    cr_assert_eq(connect_to("127.0.0.1", &c), -ENETUNREACH);
    host_stop(&h);
}

Test(route, change_at_run_time_moves_connections)
{
    struct xt_conn *c;
    struct packet p;
    start();
    host_start(&h, 1000);
    cr_assert_eq(connect_to("8.8.8.8", &c), 0);
    struct xt_stack_cfg cfg = h.cfg;
    cfg.routes[0].gateway = ip(77);
    cr_assert_eq(xt_stack_reconfigure(h.s, &cfg), 0);
    xt_stack_output(h.s, 1000);
    cr_assert(host_take(&h, &p));
    cr_assert_eq(p.data[XT_ETH_HDR_LEN + 27], 77);
    free(p.data);
    host_stop(&h);
}

Test(route, wrong_configuration_is_refused)
{
    start();
    host_start(&h, 1000);
    struct xt_stack_cfg cfg = h.cfg;
    cfg.routes[0].mask = htonl(0xff00ff00);
    cr_assert_eq(xt_stack_reconfigure(h.s, &cfg), -EINVAL);
    cfg = h.cfg;
    cfg.mtu = 100;
    cr_assert_eq(xt_stack_reconfigure(h.s, &cfg), -EINVAL);
    cfg = h.cfg;
    cfg.addr = ip(5);
    cr_assert_eq(xt_stack_reconfigure(h.s, &cfg), -EINVAL);
    cr_assert_eq(asked_for("8.8.8.8"), 254);
    host_stop(&h);
}
