/* SPDX-License-Identifier: Apache-2.0
 * Neighbours, as dialogues. The host is 10.0.0.1 alone; all frames of others are made by hand. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/wire/arp.h"
#include "daemon/wire/eth.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull

static struct host h;
static uint8_t f[2048];

static void setup(void)
{
    host_begin(&h, S);
    /* the probe and the two announcements of the start */
    xt_stack_timers(h.s, S);
    xt_stack_timers(h.s, 2 * S + 2000);
    xt_stack_timers(h.s, 4 * S + 4000);
    host_drain(&h);
}

static void teardown(void)
{
    host_stop(&h);
}

TestSuite(arp, .init = setup, .fini = teardown);

/* The next frame sent must be ARP; `dst` its Ethernet destination's last octet. */
static struct xt_arp expect_arp(unsigned *dst)
{
    struct packet p;
    struct xt_arp arp;
    struct xt_eth eth;
    cr_assert(host_take(&h, &p), "no frame was sent");
    cr_assert_eq(xt_eth_parse(p.data, p.len, &eth), 0);
    cr_assert_eq(eth.type, XT_ETH_TYPE_ARP);
    cr_assert_eq(xt_arp_parse(p.data + XT_ETH_HDR_LEN, p.len - XT_ETH_HDR_LEN, &arp), 0);
    *dst = eth.dst[5];
    free(p.data);
    return arp;
}

static void expect_request(unsigned target, unsigned dst)
{
    unsigned to;
    struct xt_arp arp = expect_arp(&to);
    cr_assert_eq(arp.op, XT_ARP_REQUEST);
    cr_assert_eq(arp.spa, ip(1));
    cr_assert_eq(arp.tpa, ip(target));
    cr_assert_eq(to, dst);
}

static void expect_nothing(void)
{
    cr_assert_eq(h.count, 0, "%u frames too many", h.count);
}

/* The next frame must be TCP to MAC ...:`mac`. */
static void expect_tcp(unsigned mac)
{
    struct packet p;
    cr_assert(host_take(&h, &p), "no frame was sent");
    cr_assert_eq(p.data[12], 8);
    cr_assert_eq(p.data[13], 0);
    cr_assert_eq(p.data[5], mac);
    free(p.data);
}

static void arp_from(uint16_t op, unsigned mac, unsigned spa, unsigned tpa, uint64_t now)
{
    inject(&h, f, make_arp(f, &h, op, mac, spa, tpa), now);
}

static unsigned state_of(unsigned addr, uint64_t now)
{
    struct xt_neigh_info info[8];
    unsigned n = xt_stack_neighbours(h.s, info, 8, now);
    for (unsigned i = 0; i < n; i++)
        if (info[i].addr == ip(addr))
            return info[i].state;
    return 0;
}

static void restart(void)
{
    host_stop(&h);
    host_begin(&h, S);
}

static void expect_probe(void)
{
    unsigned to;
    struct xt_arp arp = expect_arp(&to);
    cr_assert_eq(arp.op, XT_ARP_REQUEST);
    cr_assert_eq(arp.spa, 0, "who has the address already keeps its place in the peers' tables");
    cr_assert_eq(arp.tpa, ip(1));
    cr_assert_eq(to, 0xff);
}

Test(arp, asks_who_has_its_address_then_announces_itself_twice)
{
    restart();
    cr_assert_leq(xt_stack_deadline(h.s), S);
    xt_stack_timers(h.s, S);
    expect_probe();
    xt_stack_timers(h.s, 2 * S - 2000);
    expect_nothing();
    xt_stack_timers(h.s, 2 * S + 1000);
    expect_request(1, 0xff);
    xt_stack_timers(h.s, 3 * S);
    expect_nothing();
    xt_stack_timers(h.s, 4 * S + 2000);
    expect_request(1, 0xff);
    xt_stack_timers(h.s, 60 * S);
    expect_nothing();
    cr_assert_eq(xt_stack_stats(h.s)->arp_announcements, 3);
}

/* Who answers the probe was here first: neither announcement nor defence takes its peers away. */
Test(arp, leaves_an_address_to_the_host_that_had_it_before)
{
    restart();
    xt_stack_timers(h.s, S);
    expect_probe();
    arp_from(XT_ARP_REPLY, 9, 1, 0, S + 500);
    xt_stack_timers(h.s, 60 * S);
    arp_from(XT_ARP_REQUEST, 9, 1, 1, 61 * S);
    expect_nothing();
    cr_assert_eq(xt_stack_stats(h.s)->arp_conflicts, 2);
}

Test(arp, answers_a_request_and_learns_from_it)
{
    unsigned to;
    arp_from(XT_ARP_REQUEST, 2, 2, 1, 5 * S);
    struct xt_arp arp = expect_arp(&to);
    cr_assert_eq(arp.op, XT_ARP_REPLY);
    cr_assert_eq(arp.tpa, ip(2));
    cr_assert_eq(to, 2);
    cr_assert_eq(state_of(2, 5 * S), 3);
}

Test(arp, leaves_requests_for_others_alone)
{
    arp_from(XT_ARP_REQUEST, 2, 2, 3, 5 * S);
    expect_nothing();
    cr_assert_eq(state_of(2, 5 * S), 0);
}

Test(arp, syn_waits_for_resolution)
{
    cr_assert(host_connect(&h, 2, 80, 5 * S, NULL));
    xt_stack_output(h.s, 5 * S);
    expect_request(2, 0xff);
    expect_nothing();
    arp_from(XT_ARP_REPLY, 2, 2, 1, 5 * S + 100);
    xt_stack_output(h.s, 5 * S + 100);
    expect_tcp(2);
    cr_assert_eq(state_of(2, 5 * S + 100), 2);
}

Test(arp, many_wait_for_one_resolution)
{
    for (unsigned i = 0; i < 10; i++)
        cr_assert(host_connect(&h, 2, (uint16_t)(80 + i), 5 * S, NULL));
    xt_stack_output(h.s, 5 * S);
    expect_request(2, 0xff);
    expect_nothing();
    arp_from(XT_ARP_REPLY, 2, 2, 1, 5 * S);
    xt_stack_output(h.s, 5 * S);
    for (unsigned i = 0; i < 10; i++)
        expect_tcp(2);
}

Test(arp, three_tries_then_host_unreachable)
{
    struct xt_conn *c = host_connect(&h, 2, 80, 5 * S, NULL);
    uint32_t i = c->index;
    for (unsigned n = 0; n < 3; n++) {
        xt_stack_timers(h.s, (5 + n) * S + 1000 * n);
        xt_stack_output(h.s, (5 + n) * S + 1000 * n);
        expect_request(2, 0xff);
        expect_nothing();
        cr_assert_eq(h.closed, 0);
    }
    xt_stack_timers(h.s, 8 * S + 3000);
    cr_assert_eq(h.closed, 1);
    cr_assert_eq(h.err[i], EHOSTUNREACH);
    cr_assert_eq(xt_stack_stats(h.s)->arp_failed, 1);
    cr_assert_null(xt_stack_conn(h.s, i));
    xt_stack_timers(h.s, 10 * S);
    cr_assert_eq(state_of(2, 10 * S), 0);
}

Test(arp, connect_after_a_failure_asks_again)
{
    host_connect(&h, 2, 80, 5 * S, NULL);
    for (unsigned n = 0; n < 4; n++) {
        xt_stack_output(h.s, (5 + n) * S + 1000 * n);
        xt_stack_timers(h.s, (5 + n) * S + 1000 * n);
    }
    host_drain(&h);
    host_connect(&h, 2, 80, 8 * S + 10000, NULL);
    xt_stack_output(h.s, 8 * S + 10000);
    expect_request(2, 0xff);
}

/* A stale neighbour is used at once and probed by unicast on the side. */
Test(arp, stale_entry_is_used_and_probed)
{
    arp_from(XT_ARP_REQUEST, 2, 2, 1, 5 * S);
    host_drain(&h);
    cr_assert(host_connect(&h, 2, 80, 6 * S, NULL));
    xt_stack_output(h.s, 6 * S);
    expect_request(2, 2);
    expect_tcp(2);
    arp_from(XT_ARP_REPLY, 2, 2, 1, 6 * S + 100);
    cr_assert_eq(state_of(2, 6 * S + 100), 2);
    cr_assert_eq(state_of(2, 6 * S + 100 + 29 * S), 2);
    cr_assert_eq(state_of(2, 6 * S + 100 + 60 * S), 3);
}

Test(arp, unanswered_probes_end_in_asking_all)
{
    arp_from(XT_ARP_REQUEST, 2, 2, 1, 5 * S);
    host_drain(&h);
    host_connect(&h, 2, 80, 6 * S, NULL);
    xt_stack_output(h.s, 6 * S);
    expect_request(2, 2);
    expect_tcp(2);
    for (unsigned n = 1; n < 3; n++) {
        xt_stack_timers(h.s, 6 * S + n * (S + 1000));
        expect_request(2, 2);
    }
    xt_stack_timers(h.s, 6 * S + 3 * (S + 1000));
    expect_request(2, 0xff);
    cr_assert_eq(state_of(2, 10 * S), 1);
}

Test(arp, new_hardware_address_is_taken)
{
    arp_from(XT_ARP_REPLY, 2, 2, 1, 5 * S);
    arp_from(XT_ARP_REQUEST, 7, 2, 2, 5 * S); /* an announcement */
    host_connect(&h, 2, 80, 6 * S, NULL);
    xt_stack_output(h.s, 6 * S);
    expect_request(2, 7);
    expect_tcp(7);
}

Test(arp, conflict_is_counted_and_defended_once)
{
    for (unsigned n = 0; n < 3; n++)
        arp_from(XT_ARP_REQUEST, 9, 1, 1, 5 * S + n * S);
    expect_request(1, 0xff);
    expect_nothing();
    cr_assert_eq(xt_stack_stats(h.s)->arp_conflicts, 3);
    arp_from(XT_ARP_REPLY, 9, 1, 2, 16 * S);
    expect_request(1, 0xff);
    cr_assert_eq(state_of(1, 16 * S), 0);
}

Test(arp, malformed_is_dropped)
{
    size_t n = make_arp(f, &h, XT_ARP_REQUEST, 2, 2, 1);
    inject(&h, f, n - 1, 5 * S);
    f[6 + 16] = 1; /* sender hardware address: a group */
    make_arp(f, &h, XT_ARP_REQUEST, 2, 2, 1);
    f[XT_ETH_HDR_LEN + 8] |= 1;
    inject(&h, f, n, 5 * S);
    expect_nothing();
    cr_assert_eq(xt_stack_stats(h.s)->drop_bad_arp, 2);
}

Test(arp, off_link_sender_is_not_entered)
{
    size_t n = make_arp(f, &h, XT_ARP_REPLY, 2, 2, 1);
    uint32_t far = htonl(0xc0000201);
    memcpy(f + XT_ETH_HDR_LEN + 14, &far, 4);
    inject(&h, f, n, 5 * S);
    struct xt_neigh_info info;
    cr_assert_eq(xt_stack_neighbours(h.s, &info, 1, 5 * S), 0);
}

/* More neighbours than the table holds: old ones give way, the newest is there. */
Test(arp, table_is_bounded)
{
    host_stop(&h);
    host_cfg(&h, 1);
    h.cfg.prefix = 8;
    host_start(&h, 5 * S);
    for (unsigned i = 0; i < 3000; i++)
        arp_from(XT_ARP_REPLY, 2, 1000 + i, 1, 5 * S + i);
    static struct xt_neigh_info info[4000];
    unsigned n = xt_stack_neighbours(h.s, info, 4000, 6 * S), found = 0;
    cr_assert_eq(n, 1024);
    for (unsigned i = 0; i < n; i++)
        found += info[i].addr == ip(3999);
    cr_assert_eq(found, 1);
}

static void restart_on_slash_8(void)
{
    host_stop(&h);
    host_cfg(&h, 1);
    h.cfg.prefix = 8;
    host_start(&h, 5 * S);
}

/* A storm of requests fills the table with strangers; the one that we talk to stays. */
Test(arp, strangers_push_out_none_that_is_talked_to)
{
    restart_on_slash_8();
    arp_from(XT_ARP_REPLY, 2, 2, 1, 5 * S);
    cr_assert(host_connect(&h, 2, 80, 5 * S, NULL));
    xt_stack_output(h.s, 5 * S);
    for (unsigned i = 0; i < 5000; i++) {
        arp_from(XT_ARP_REQUEST, 3, 1000 + i, 1, 6 * S + i);
        host_drain(&h);
    }
    cr_assert_geq(xt_stack_stats(h.s)->arp_replaced, 5000 - 1024);
    cr_assert_eq(xt_stack_stats(h.s)->arp_moved, 0);
    static struct xt_neigh_info info[1024];
    unsigned n = xt_stack_neighbours(h.s, info, 1024, 7 * S), found = 0;
    for (unsigned i = 0; i < n; i++)
        found += info[i].addr == ip(2);
    cr_assert_eq(found, 1);
}

Test(arp, another_hardware_address_is_counted)
{
    arp_from(XT_ARP_REPLY, 2, 2, 1, 5 * S);
    arp_from(XT_ARP_REPLY, 2, 2, 1, 5 * S);
    cr_assert_eq(xt_stack_stats(h.s)->arp_moved, 0);
    arp_from(XT_ARP_REPLY, 3, 2, 1, 5 * S);
    cr_assert_eq(xt_stack_stats(h.s)->arp_moved, 1);
}

/* SYNs from addresses of our link that nobody has: they have half of the table ask for them, not more. */
Test(arp, half_open_peers_leave_room_in_the_table)
{
    restart_on_slash_8();
    cr_assert(host_listen(&h, 80, true, 5 * S));
    for (unsigned i = 0; i < 1000; i++) {
        struct xt_seg seg = {.sport = 4000, .dport = 80, .seq = 7, .wnd = 65535, .flags = XT_TH_SYN};
        inject(&h, f, make_tcp(f, &h, 1000 + i, &seg, NULL), 5 * S + i);
        xt_stack_output(h.s, 5 * S + i);
        host_drain(&h);
        seg.seq++;
        seg.flags = XT_TH_RST;
        inject(&h, f, make_tcp(f, &h, 1000 + i, &seg, NULL), 5 * S + i);
    }
    cr_assert_eq(xt_stack_stats(h.s)->arp_requests_out, 512);
    cr_assert_eq(xt_stack_stats(h.s)->arp_limited, 1000 - 512);
    cr_assert(host_connect(&h, 9, 80, 6 * S, NULL));
    xt_stack_output(h.s, 6 * S);
    expect_request(9, 0xff);
    /* When they are found not to exist, there is room for the next. */
    for (unsigned i = 1; i <= 10; i++)
        xt_stack_timers(h.s, 6 * S + i * S);
    host_drain(&h);
    cr_assert_eq(xt_stack_stats(h.s)->arp_failed, 513);
    struct xt_seg seg = {.sport = 4000, .dport = 80, .seq = 7, .wnd = 65535, .flags = XT_TH_SYN};
    inject(&h, f, make_tcp(f, &h, 5000, &seg, NULL), 20 * S);
    xt_stack_output(h.s, 20 * S);
    expect_request(5000, 0xff);
}
