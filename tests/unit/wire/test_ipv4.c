/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/ipv4.h"
#include "tests/unit/wire/rng.h"

/* A well-known header: 192.168.0.1 to 192.168.0.199, UDP, don't fragment, checksum b861. */
static const uint8_t known[XT_IPV4_HDR_LEN] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                               0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};

static uint8_t pkt[65535];
static struct xt_ipv4 ip;

static void setup(void)
{
    memcpy(pkt, known, sizeof known);
}

TestSuite(ipv4, .init = setup);

/* Makes the checksum right again after a change of the header. */
static void reseal(size_t hdr_len)
{
    xt_be16_store(pkt + 10, 0);
    xt_be16_store(pkt + 10, xt_csum(pkt, hdr_len));
}

Test(ipv4, parse)
{
    cr_assert_eq(xt_ipv4_parse(pkt, 0x73, &ip), 0);
    cr_expect_eq(ip.hdr_len, 20);
    cr_expect_eq(ip.tos, 0);
    cr_expect_eq(ip.total_len, 0x73);
    cr_expect_eq(ip.id, 0);
    cr_expect(ip.df);
    cr_expect_not(ip.mf);
    cr_expect_eq(ip.frag_off, 0);
    cr_expect_eq(ip.ttl, 64);
    cr_expect_eq(ip.proto, XT_IPPROTO_UDP);
    cr_expect_eq(ip.src, inet_addr("192.168.0.1"));
    cr_expect_eq(ip.dst, inet_addr("192.168.0.199"));
    cr_expect_not(xt_ipv4_is_fragment(&ip));
}

Test(ipv4, link_layer_padding_is_not_payload)
{
    cr_assert_eq(xt_ipv4_parse(pkt, 0x73 + 40, &ip), 0);
    cr_expect_eq(ip.total_len, 0x73);
}

Test(ipv4, every_truncation_is_refused)
{
    for (size_t n = 0; n < 0x73; n++)
        cr_expect_eq(xt_ipv4_parse(pkt, n, &ip), -EBADMSG, "%zu bytes", n);
}

Test(ipv4, a_flipped_bit_is_refused)
{
    for (size_t bit = 0; bit < 8 * XT_IPV4_HDR_LEN; bit++) {
        pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_expect_lt(xt_ipv4_parse(pkt, sizeof pkt, &ip), 0, "bit %zu", bit);
        pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

Test(ipv4, a_wrong_checksum_has_its_own_error)
{
    pkt[10] ^= 1;
    cr_expect_eq(xt_ipv4_parse(pkt, 0x73, &ip), -EILSEQ);
}

Test(ipv4, other_versions_are_refused)
{
    for (unsigned v = 0; v < 16; v++) {
        pkt[0] = (uint8_t)(v << 4 | 5);
        reseal(20);
        cr_expect_eq(xt_ipv4_parse(pkt, 0x73, &ip), v == 4 ? 0 : -EBADMSG, "version %u", v);
    }
}

Test(ipv4, header_lengths_below_the_least_are_refused)
{
    for (unsigned ihl = 0; ihl < 5; ihl++) {
        pkt[0] = (uint8_t)(0x40 | ihl);
        reseal(20);
        cr_expect_eq(xt_ipv4_parse(pkt, 0x73, &ip), -EBADMSG, "%u words", ihl);
    }
}

Test(ipv4, options_are_skipped)
{
    for (uint8_t ihl = 6; ihl < 16; ihl++) {
        pkt[0] = (uint8_t)(0x40 | ihl);
        reseal(ihl * 4U);
        cr_assert_eq(xt_ipv4_parse(pkt, 0x73, &ip), 0);
        cr_expect_eq(ip.hdr_len, ihl * 4);
    }
}

Test(ipv4, options_beyond_the_packet_are_refused)
{
    pkt[0] = 0x46;
    xt_be16_store(pkt + 2, 20); /* total length 20, header 24 */
    reseal(24);
    cr_expect_eq(xt_ipv4_parse(pkt, 100, &ip), -EBADMSG);
    xt_be16_store(pkt + 2, 24);
    reseal(24);
    cr_expect_eq(xt_ipv4_parse(pkt, 23, &ip), -EBADMSG);
    cr_expect_eq(xt_ipv4_parse(pkt, 24, &ip), 0);
}

Test(ipv4, fragments)
{
    xt_be16_store(pkt + 6, 0x2000);
    reseal(20);
    cr_assert_eq(xt_ipv4_parse(pkt, 0x73, &ip), 0);
    cr_expect(ip.mf && !ip.df && ip.frag_off == 0);
    cr_expect(xt_ipv4_is_fragment(&ip), "the first");

    xt_be16_store(pkt + 6, 185);
    reseal(20);
    cr_assert_eq(xt_ipv4_parse(pkt, 0x73, &ip), 0);
    cr_expect(!ip.mf && !ip.df && ip.frag_off == 1480);
    cr_expect(xt_ipv4_is_fragment(&ip), "the last");
}

Test(ipv4, a_fragment_that_ends_beyond_the_largest_packet_is_refused)
{
    uint16_t last = (65535 - 0x73) / 8;

    xt_be16_store(pkt + 6, last);
    reseal(20);
    cr_expect_eq(xt_ipv4_parse(pkt, 0x73, &ip), 0);
    xt_be16_store(pkt + 6, last + 1);
    reseal(20);
    cr_expect_eq(xt_ipv4_parse(pkt, 0x73, &ip), -EBADMSG);
}

Test(ipv4, a_quoted_packet_may_be_cut_and_changed)
{
    pkt[8]--; /* a router's TTL, the checksum not brought up to date */
    cr_expect_eq(xt_ipv4_parse_quoted(pkt, 28, &ip), 0);
    cr_expect_eq(ip.total_len, 0x73);
    cr_expect_eq(ip.ttl, 63);
    cr_expect_eq(xt_ipv4_parse_quoted(pkt, 19, &ip), -EBADMSG);
}

Test(ipv4, emit_the_known_header)
{
    uint8_t out[XT_IPV4_HDR_LEN];

    cr_assert_eq(xt_ipv4_parse(pkt, 0x73, &ip), 0);
    cr_expect_eq(xt_ipv4_emit(out, &ip), XT_IPV4_HDR_LEN);
    cr_expect_arr_eq(out, known, sizeof known);
}

Test(ipv4, the_largest_packet)
{
    xt_be16_store(pkt + 2, 65535);
    reseal(20);
    cr_assert_eq(xt_ipv4_parse(pkt, sizeof pkt, &ip), 0);
    cr_expect_eq(ip.total_len, 65535);
}

static struct xt_ipv4 random_header(uint64_t *rng)
{
    uint64_t bits = rng_next(rng);
    struct xt_ipv4 h = {
        .hdr_len = 20,
        .tos = (uint8_t)rng_next(rng),
        .ttl = (uint8_t)rng_next(rng),
        .proto = (uint8_t)rng_next(rng),
        .id = (uint16_t)rng_next(rng),
        .total_len = (uint16_t)(20 + rng_below(rng, 65536 - 20)),
        .df = bits & 1,
        .mf = bits & 2,
        .src = (uint32_t)rng_next(rng),
        .dst = (uint32_t)rng_next(rng),
    };

    if (bits & 4)
        h.frag_off = (uint16_t)(rng_below(rng, (65535U - h.total_len) / 8 + 1) * 8);
    return h;
}

Test(ipv4, parse_is_the_inverse_of_emit)
{
    uint64_t rng = rng_seed("ipv4");

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct xt_ipv4 h = random_header(&rng);

        cr_assert_eq(xt_ipv4_emit(pkt, &h), XT_IPV4_HDR_LEN);
        cr_assert_eq(xt_ipv4_parse(pkt, sizeof pkt, &ip), 0);
        cr_assert_eq(ip.hdr_len, h.hdr_len);
        cr_assert_eq(ip.tos, h.tos);
        cr_assert_eq(ip.ttl, h.ttl);
        cr_assert_eq(ip.proto, h.proto);
        cr_assert_eq(ip.id, h.id);
        cr_assert_eq(ip.total_len, h.total_len);
        cr_assert_eq(ip.frag_off, h.frag_off);
        cr_assert_eq(ip.df, h.df);
        cr_assert_eq(ip.mf, h.mf);
        cr_assert_eq(ip.src, h.src);
        cr_assert_eq(ip.dst, h.dst);
    }
}
