/* SPDX-License-Identifier: Apache-2.0
 * What is taken from the wire and what is dropped, each with its counter. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/ipv4.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull
#define DROPS(name) (xt_stack_stats(h.s)->name)

static struct host h;
static uint8_t f[4096];

static void setup(void)
{
    host_begin(&h, S);
}

static void teardown(void)
{
    host_stop(&h);
}

TestSuite(input, .init = setup, .fini = teardown);

static const struct xt_seg syn = {.sport = 4000, .dport = 80, .seq = 100, .flags = XT_TH_SYN, .wnd = 1000};

static size_t make_syn(void)
{
    return make_tcp(f, &h, 2, &syn, NULL);
}

/* The next frame must be a right TCP segment to MAC ...:02. */
static struct xt_seg expect_seg(void)
{
    struct packet p;
    struct xt_ipv4 ip4;
    struct xt_seg seg;
    cr_assert(host_take(&h, &p), "nothing was sent");
    cr_assert_eq(p.data[5], 2);
    cr_assert_eq(xt_ipv4_parse(p.data + XT_ETH_HDR_LEN, p.len - XT_ETH_HDR_LEN, &ip4), 0);
    cr_assert_eq(ip4.dst, ip(2));
    cr_assert(ip4.df);
    uint16_t tcp_len = (uint16_t)(ip4.total_len - 20);
    cr_assert_eq(xt_seg_parse(p.data + 34, tcp_len, &seg), 0);
    /* what the device is to finish */
    cr_assert_eq(p.vnet.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    cr_assert_eq(p.vnet.csum_start, 34);
    cr_assert_eq(p.vnet.csum_offset, 16);
    cr_assert_eq(xt_be16_load(p.data + 50), xt_csum_pseudo4(ip4.src, ip4.dst, XT_IPPROTO_TCP, tcp_len));
    free(p.data);
    return seg;
}

/* Req MUST-2 */
Test(input, closed_port_is_reset)
{
    inject(&h, f, make_syn(), S);
    struct xt_seg seg = expect_seg();
    cr_assert_eq(seg.flags, XT_TH_RST | XT_TH_ACK);
    cr_assert_eq(seg.ack, 101);
    cr_assert_eq(seg.dport, 4000);
    cr_assert_eq(DROPS(drop_closed_port), 1);
}

Test(input, reset_to_a_closed_port_is_silent)
{
    struct xt_seg rst = syn;
    rst.flags = XT_TH_RST;
    inject(&h, f, make_tcp(f, &h, 2, &rst, NULL), S);
    cr_assert_eq(h.count, 0);
}

static struct xt_conn *half_open(void)
{
    for (uint32_t i = 0; i < MAX_CONNS; i++) {
        struct xt_conn *c = xt_stack_conn(h.s, i);
        if (c && c->state == XT_SYN_RECV)
            return c;
    }
    return NULL;
}

/* IP_MINTTL; frames come with a TTL of 64. */
Test(input, from_too_far_away)
{
    struct xt_conn *l = host_listen(&h, 80, false, S);
    l->opt.min_ttl = 65;
    inject(&h, f, make_syn(), S);
    cr_assert_null(half_open());
    cr_assert_eq(DROPS(drop_min_ttl), 1);
    l->opt.min_ttl = 64;
    inject(&h, f, make_syn(), S);
    xt_stack_output(h.s, S);
    struct xt_conn *c = half_open();
    cr_assert_not_null(c);
    cr_assert_eq(c->opt.min_ttl, 64, "not its listener's");
    struct xt_seg ack = {.sport = 4000, .dport = 80, .seq = 101, .ack = c->iss + 1, .flags = XT_TH_ACK, .wnd = 1000};
    c->opt.min_ttl = 65;
    inject(&h, f, make_tcp(f, &h, 2, &ack, NULL), S);
    cr_assert_eq(c->state, XT_SYN_RECV);
    cr_assert_eq(DROPS(drop_min_ttl), 2);
    c->opt.min_ttl = 64;
    inject(&h, f, make_tcp(f, &h, 2, &ack, NULL), S);
    cr_assert_eq(c->state, XT_ESTABLISHED);
}

/* Req MUST-3 */
Test(input, wrong_checksum_is_dropped)
{
    size_t n = make_syn();
    f[34 + 14] ^= 1;
    inject(&h, f, n, S);
    cr_assert_eq(h.count, 0);
    cr_assert_eq(DROPS(drop_checksum_tcp), 1);
}

/* The kernel has verified it, or it never left the machine. */
Test(input, verified_and_partial_checksums_are_not_looked_at)
{
    const uint8_t flags[] = {VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_DATA_VALID};
    for (unsigned i = 0; i < 2; i++) {
        struct virtio_net_hdr vnet = {.flags = flags[i], .csum_start = 34, .csum_offset = 16};
        size_t n = make_syn();
        f[34 + 16] ^= 0xff;
        xt_stack_input(h.s, f, n, &vnet, S);
        cr_assert_eq(expect_seg().flags, XT_TH_RST | XT_TH_ACK);
    }
    cr_assert_eq(DROPS(drop_checksum_tcp), 0);
}

Test(input, ip_header_checksum)
{
    size_t n = make_syn();
    f[XT_ETH_HDR_LEN + 8]--;
    inject(&h, f, n, S);
    cr_assert_eq(DROPS(drop_checksum_ip), 1);
    cr_assert_eq(h.count, 0);
}

Test(input, truncated_frames)
{
    size_t n = make_syn();
    for (size_t len = 0; len < n; len++)
        inject(&h, f, len, S);
    cr_assert_eq(h.count, 0);
    cr_assert_eq(DROPS(drop_short) + DROPS(drop_bad_ip), n);
}

Test(input, padding_behind_the_packet_is_ignored)
{
    size_t n = make_syn();
    memset(f + n, 0xaa, 20);
    inject(&h, f, n + 20, S);
    cr_assert_eq(expect_seg().ack, 101);
}

Test(input, tcp_header_that_lies_about_its_length)
{
    struct virtio_net_hdr vnet = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};
    size_t n = make_syn();
    f[34 + 12] = 0xf0;
    xt_stack_input(h.s, f, n, &vnet, S);
    f[34 + 12] = 0x40;
    xt_stack_input(h.s, f, n, &vnet, S);
    cr_assert_eq(DROPS(drop_bad_tcp), 2);
}

Test(input, other_destinations_and_types)
{
    size_t n = make_syn();
    struct host other;
    host_cfg(&other, 9);
    memcpy(other.cfg.mac, h.cfg.mac, 6);
    inject(&h, f, make_tcp(f, &other, 2, &syn, NULL), S);
    cr_assert_eq(DROPS(drop_not_ours), 1);
    make_syn();
    f[13] = 0xdd;
    f[12] = 0x86;
    inject(&h, f, n, S);
    cr_assert_eq(DROPS(drop_ethertype), 1);
    cr_assert_eq(h.count, 0);
}

/* Req MUST-63 */
Test(input, impossible_sources)
{
    const unsigned from[] = {1, 255, 0};
    for (unsigned i = 0; i < 3; i++)
        inject(&h, f, make_tcp(f, &h, from[i], &syn, NULL), S);
    cr_assert_eq(DROPS(drop_martian), 3);
    cr_assert_eq(h.count, 0);
}

/* Req MUST-57 */
Test(input, tcp_in_a_group_frame)
{
    size_t n = make_syn();
    memset(f, 0xff, 6);
    inject(&h, f, n, S);
    cr_assert_eq(DROPS(drop_group), 1);
    cr_assert_eq(h.count, 0);
}

/* Random bytes behind a right Ethernet header, and flipped bits in a right frame: nothing but counting happens. */
Test(input, garbage_is_survived)
{
    unsigned seed = 12345;
    for (unsigned i = 0; i < 20000; i++) {
        size_t n = make_syn();
        for (unsigned k = rand_r(&seed) % 4; k < 5; k++)
            f[12 + (unsigned)rand_r(&seed) % (n - 12)] = (uint8_t)rand_r(&seed);
        inject(&h, f, n - (unsigned)rand_r(&seed) % 8, S + i);
        host_drain(&h);
    }
    cr_assert_eq(DROPS(frames_in), 20000);
}
