/* SPDX-License-Identifier: Apache-2.0
 * ICMP: echo, errors about connections, errors sent and their limit. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/icmp.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull

static struct host h;
static uint8_t f[4096], m_buf[2048];

static void setup(void)
{
    host_begin(&h, S);
    inject(&h, f, make_arp(f, &h, XT_ARP_REPLY, 2, 2, 1), S);
    xt_stack_timers(h.s, S);
    host_drain(&h);
}

static void teardown(void)
{
    host_stop(&h);
}

TestSuite(icmp, .init = setup, .fini = teardown);

static void expect_icmp(struct xt_icmp *m)
{
    static struct packet p;
    free(p.data);
    p.data = NULL;
    cr_assert(host_take(&h, &p), "nothing was sent");
    cr_assert_eq(p.data[5], 2);
    cr_assert_eq(p.data[XT_ETH_HDR_LEN + 9], XT_IPPROTO_ICMP);
    cr_assert_eq(xt_icmp_parse(p.data + 34, p.len - 34, m), 0);
}

static size_t ping(unsigned len)
{
    static uint8_t data[2000];
    struct xt_icmp m = {.type = XT_ICMP_ECHO, .id = 42, .seq = 3, .data = data, .data_len = len};
    memset(data, 0x5a, sizeof data);
    size_t n = xt_icmp_emit(m_buf, sizeof m_buf, &m);
    return make_ip(f, &h, 2, XT_IPPROTO_ICMP, 1, 0, false, m_buf, n);
}

Test(icmp, echo_is_answered)
{
    struct xt_icmp m;
    const unsigned lens[] = {0, 1, 56, 214, 215, 1000, 1472};
    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
        inject(&h, f, ping(lens[i]), S);
        expect_icmp(&m);
        cr_assert_eq(m.type, XT_ICMP_ECHO_REPLY);
        cr_assert_eq(m.id, 42);
        cr_assert_eq(m.seq, 3);
        cr_assert_eq(m.data_len, lens[i]);
    }
}

Test(icmp, wrong_checksum_is_dropped)
{
    size_t n = ping(56);
    f[n - 1] ^= 1;
    inject(&h, f, n, S);
    cr_assert_eq(h.count, 0);
    cr_assert_eq(xt_stack_stats(h.s)->drop_checksum_icmp, 1);
}

Test(icmp, unknown_protocol_and_udp_are_answered)
{
    struct xt_icmp m;
    inject(&h, f, make_ip(f, &h, 2, 132, 1, 0, false, "12345678abcd", 12), S);
    expect_icmp(&m);
    cr_assert_eq(m.type, XT_ICMP_UNREACHABLE);
    cr_assert_eq(m.code, XT_ICMP_PROTO_UNREACH);
    cr_assert_arr_eq(m.data + 20, "12345678", 8);
    inject(&h, f, make_ip(f, &h, 2, XT_IPPROTO_UDP, 1, 0, false, "12345678abcd", 12), S);
    expect_icmp(&m);
    cr_assert_eq(m.code, XT_ICMP_PORT_UNREACH);
}

Test(icmp, errors_are_limited)
{
    for (unsigned i = 0; i < 200; i++)
        inject(&h, f, make_ip(f, &h, 2, 132, 1, 0, false, "12345678", 8), 2 * S);
    unsigned n = h.count;
    cr_assert_eq(n, 50);
    cr_assert_eq(xt_stack_stats(h.s)->icmp_limited, 150);
    inject(&h, f, make_ip(f, &h, 2, 132, 1, 0, false, "12345678", 8), 3 * S);
    cr_assert_eq(h.count, n + 1);
}

Test(icmp, no_error_for_a_group_frame)
{
    size_t n = make_ip(f, &h, 2, XT_IPPROTO_UDP, 1, 0, false, "12345678", 8);
    memset(f, 0xff, 6);
    inject(&h, f, n, S);
    cr_assert_eq(h.count, 0);
}

/* Connects, takes the SYN and makes an ICMP error that quotes it. */
static struct xt_conn *refused(uint8_t type, uint8_t code, uint32_t seq_off, size_t *n)
{
    struct packet p;
    struct xt_conn *c = host_connect(&h, 2, 80, S, NULL);
    xt_stack_output(h.s, S);
    cr_assert(host_take(&h, &p));
    xt_be32_store(p.data + 38, xt_be32_load(p.data + 38) + seq_off);
    struct xt_icmp m = {
        .type = type, .code = code, .data = p.data + XT_ETH_HDR_LEN, .data_len = p.len - XT_ETH_HDR_LEN};
    size_t len = xt_icmp_emit(m_buf, sizeof m_buf, &m);
    *n = make_ip(f, &h, 2, XT_IPPROTO_ICMP, 9, 0, false, m_buf, len);
    free(p.data);
    return c;
}

/* Req MUST-54 SHLD-26 */
Test(icmp, hard_error_ends_a_connect)
{
    size_t n;
    uint32_t i = refused(XT_ICMP_UNREACHABLE, XT_ICMP_PORT_UNREACH, 0, &n)->index;
    inject(&h, f, n, S);
    cr_assert_eq(xt_stack_stats(h.s)->icmp_errors_in, 1);
    cr_assert_eq(h.closed, 1);
    cr_assert_eq(h.err[i], ECONNREFUSED);
}

/* Req RFC5927-4.1 */
Test(icmp, error_about_another_sequence_number_is_ignored)
{
    size_t n;
    struct xt_conn *c = refused(XT_ICMP_UNREACHABLE, XT_ICMP_PORT_UNREACH, 12345, &n);
    inject(&h, f, n, S);
    cr_assert_eq(h.closed, 0);
    cr_assert_eq(c->state, XT_SYN_SENT);
}

Test(icmp, error_about_no_connection_is_counted)
{
    size_t n;
    struct xt_conn *c = refused(XT_ICMP_UNREACHABLE, XT_ICMP_PORT_UNREACH, 0, &n);
    xt_stack_close(h.s, c, S);
    inject(&h, f, n, S);
    cr_assert_eq(xt_stack_stats(h.s)->drop_icmp_stray, 1);
}
