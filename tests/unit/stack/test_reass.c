/* SPDX-License-Identifier: Apache-2.0
 * Fragments, seen through echo: the reply shows what was put together. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/icmp.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull
#define ECHO_LEN 3000u

static struct host h;
static uint8_t echo[65536], f[65536];

static void setup(void)
{
    struct xt_icmp m = {.type = XT_ICMP_ECHO, .id = 7, .seq = 1};
    static uint8_t data[ECHO_LEN - 8];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    m.data = data;
    m.data_len = sizeof data;
    cr_assert_eq(xt_icmp_emit(echo, sizeof echo, &m), ECHO_LEN);
    host_cfg(&h, 1);
    h.cfg.mtu = 9000;
    host_start(&h, S);
}

static void teardown(void)
{
    host_stop(&h);
}

TestSuite(reass, .init = setup, .fini = teardown);

/* Bytes [left, right) of the echo request, of datagram `id`. */
static void frag(uint16_t id, unsigned left, unsigned right, uint64_t now)
{
    inject(&h, f, make_ip(f, &h, 2, XT_IPPROTO_ICMP, id, left, right < ECHO_LEN, echo + left, right - left), now);
}

static void expect_reply(void)
{
    struct packet p;
    struct xt_icmp m;
    cr_assert(host_take(&h, &p), "no reply");
    cr_assert_eq(p.len, 34 + ECHO_LEN);
    cr_assert_eq(xt_icmp_parse(p.data + 34, ECHO_LEN, &m), 0);
    cr_assert_eq(m.type, XT_ICMP_ECHO_REPLY);
    cr_assert_arr_eq(m.data, echo + 8, ECHO_LEN - 8);
    free(p.data);
    cr_assert_eq(h.count, 0);
}

Test(reass, in_order)
{
    frag(1, 0, 1480, S);
    frag(1, 1480, 2960, S);
    cr_assert_eq(h.count, 0);
    frag(1, 2960, 3000, S);
    expect_reply();
    cr_assert_eq(xt_stack_stats(h.s)->frags_done, 1);
}

Test(reass, reversed)
{
    frag(1, 2960, 3000, S);
    frag(1, 1480, 2960, S);
    frag(1, 0, 1480, S);
    expect_reply();
}

Test(reass, holes_filled_in_any_order)
{
    for (unsigned i = 0; i < 3000; i += 1000)
        frag(1, i, i + 504, S);
    frag(1, 2504, 3000, S);
    frag(1, 504, 1000, S);
    frag(1, 1504, 2000, S);
    expect_reply();
}

Test(reass, datagrams_do_not_mix)
{
    frag(1, 0, 1480, S);
    frag(2, 1480, 3000, S);
    cr_assert_eq(h.count, 0);
    frag(2, 0, 1480, S);
    expect_reply();
    frag(1, 1480, 3000, S);
    expect_reply();
}

Test(reass, duplicate_is_ignored)
{
    frag(1, 0, 1480, S);
    frag(1, 0, 1480, S);
    frag(1, 1480, 3000, S);
    expect_reply();
    cr_assert_eq(xt_stack_stats(h.s)->drop_frag_dup, 1);
}

Test(reass, overlap_costs_the_datagram)
{
    frag(1, 0, 1480, S);
    frag(1, 1472, 3000, S);
    cr_assert_eq(xt_stack_stats(h.s)->drop_frag_overlap, 1);
    frag(1, 1480, 3000, S);
    cr_assert_eq(h.count, 0);
}

Test(reass, overlap_from_the_left)
{
    frag(1, 1480, 3000, S);
    frag(1, 0, 1488, S);
    cr_assert_eq(xt_stack_stats(h.s)->drop_frag_overlap, 1);
}

Test(reass, impossible_lengths)
{
    inject(&h, f, make_ip(f, &h, 2, XT_IPPROTO_ICMP, 1, 0, true, echo, 1001), S);
    inject(&h, f, make_ip(f, &h, 2, XT_IPPROTO_ICMP, 2, 65528, false, echo, 1000), S);
    inject(&h, f, make_ip(f, &h, 2, XT_IPPROTO_ICMP, 3, 8, true, echo, 0), S);
    cr_assert_eq(xt_stack_stats(h.s)->drop_bad_ip, 1, "beyond the largest datagram");
    cr_assert_eq(xt_stack_stats(h.s)->drop_frag_bad, 2);
    frag(4, 2960, 3000, S);
    inject(&h, f, make_ip(f, &h, 2, XT_IPPROTO_ICMP, 4, 3000, true, echo, 80), S);
    cr_assert_eq(xt_stack_stats(h.s)->drop_frag_bad, 3);
}

Test(reass, too_many_pieces)
{
    for (unsigned i = 0; i < 65; i++)
        frag(1, i * 16, i * 16 + 8, S);
    cr_assert_eq(xt_stack_stats(h.s)->drop_frag_many, 1);
}

Test(reass, oldest_gives_way)
{
    for (uint16_t id = 0; id < 17; id++)
        frag(id, 0, 1480, S + id);
    cr_assert_eq(xt_stack_stats(h.s)->drop_frag_full, 1);
    frag(1, 1480, 3000, S + 20);
    expect_reply();
    frag(0, 1480, 3000, S + 21);
    cr_assert_eq(h.count, 0);
}

Test(reass, time_out_tells_the_sender_when_the_first_was_there)
{
    struct packet p;
    struct xt_icmp m;
    for (unsigned n = 1; n <= 3; n++) /* the probe and the announcements of the start */
        xt_stack_timers(h.s, n * 5 * S);
    host_drain(&h);
    frag(1, 0, 1480, 20 * S);
    frag(2, 1480, 2960, 20 * S);
    xt_stack_timers(h.s, 49 * S);
    cr_assert_eq(xt_stack_stats(h.s)->drop_frag_timeout, 0);
    xt_stack_timers(h.s, 50 * S + 1000);
    cr_assert_eq(xt_stack_stats(h.s)->drop_frag_timeout, 2);
    cr_assert(host_take(&h, &p));
    cr_assert_eq(xt_icmp_parse(p.data + 34, p.len - 34, &m), 0);
    cr_assert_eq(m.type, XT_ICMP_TIME_EXCEEDED);
    cr_assert_eq(m.code, 1);
    cr_assert_eq(h.count, 0);
    free(p.data);
    frag(1, 1480, 3000, 51 * S);
    cr_assert_eq(h.count, 0);
}

/* The reply is larger than the MTU and leaves in fragments, which the peer could put together. */
Test(reass, large_reply_leaves_in_fragments)
{
    struct xt_stack_cfg cfg = h.cfg;
    struct packet p;
    uint8_t all[ECHO_LEN];
    unsigned got = 0;
    struct xt_icmp m;
    cfg.mtu = 1500;
    cr_assert_eq(xt_stack_reconfigure(h.s, &cfg), 0);
    frag(1, 0, 1480, S);
    frag(1, 1480, 3000, S);
    while (host_take(&h, &p)) {
        struct xt_ipv4 ip4;
        cr_assert_leq(p.len, 1514);
        cr_assert_eq(xt_ipv4_parse(p.data + XT_ETH_HDR_LEN, p.len - XT_ETH_HDR_LEN, &ip4), 0);
        cr_assert_eq(ip4.mf, ip4.frag_off + ip4.total_len - 20u < ECHO_LEN);
        memcpy(all + ip4.frag_off, p.data + 34, ip4.total_len - 20u);
        got += ip4.total_len - 20u;
        free(p.data);
    }
    cr_assert_eq(got, ECHO_LEN);
    cr_assert_eq(xt_icmp_parse(all, ECHO_LEN, &m), 0);
    cr_assert_arr_eq(m.data, echo + 8, ECHO_LEN - 8);
}
