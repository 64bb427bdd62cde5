/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/ipv4.h"
#include "tests/unit/wire/rng.h"

/* The definition, octet by octet (RFC 1071 section 1). */
static uint16_t naive_sum(uint32_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* The pseudo-header as a packet would show it (RFC 9293 section 3.1). */
static uint16_t naive_pseudo(uint32_t src, uint32_t dst, uint8_t proto, uint16_t len)
{
    uint8_t hdr[12] = {0};

    memcpy(hdr, &src, 4);
    memcpy(hdr + 4, &dst, 4);
    hdr[9] = proto;
    xt_be16_store(hdr + 10, len);
    return naive_sum(0, hdr, sizeof hdr);
}

Test(checksum, example_of_rfc_1071)
{
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    struct xt_csum c = {0};

    xt_csum_add(&c, data, sizeof data);
    cr_expect_eq(xt_csum_fold(&c), 0xddf2);
    cr_expect_eq(xt_csum(data, sizeof data), 0x220d);
}

Test(checksum, of_nothing)
{
    cr_expect_eq(xt_csum(NULL, 0), 0xffff);
}

Test(checksum, carries_come_back_in)
{
    static uint8_t ones[65535];

    memset(ones, 0xff, sizeof ones);
    for (size_t n = 2; n < 64; n += 2)
        cr_expect_eq(xt_csum(ones, n), 0, "%zu bytes", n);
    cr_expect_eq(xt_csum(ones, sizeof ones - 1), 0);
    cr_expect_eq(xt_csum(ones, sizeof ones), 0x00ff, "an odd last octet is the high half");
}

Test(checksum, equals_the_naive_one_at_all_small_lengths_and_alignments)
{
    uint64_t rng = rng_seed("checksum small");
    uint8_t buf[160];

    rng_fill(&rng, buf, sizeof buf);
    for (size_t off = 0; off < 16; off++) {
        for (size_t n = 0; n < 128; n++) {
            cr_assert_eq(xt_csum(buf + off, n), (uint16_t)~naive_sum(0, buf + off, n), "offset %zu length %zu", off, n);
        }
    }
}

Test(checksum, equals_the_naive_one_when_large)
{
    uint64_t rng = rng_seed("checksum large");
    static uint8_t buf[65536];

    rng_fill(&rng, buf, sizeof buf);
    for (unsigned i = 0; i < 100; i++) {
        size_t n = rng_below(&rng, sizeof buf);

        cr_assert_eq(xt_csum(buf, n), (uint16_t)~naive_sum(0, buf, n), "length %zu", n);
    }
}

Test(checksum, pieces_of_any_length_sum_up_as_one)
{
    uint64_t rng = rng_seed("checksum pieces");
    uint8_t buf[256];

    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t n = rng_below(&rng, sizeof buf + 1);
        struct xt_csum c = {0};

        rng_fill(&rng, buf, n);
        for (size_t at = 0, piece; at < n; at += piece) {
            piece = rng_below(&rng, (uint32_t)(n - at) + 1);
            xt_csum_add(&c, buf + at, piece);
        }
        cr_assert_eq(xt_csum_fold(&c), naive_sum(0, buf, n), "length %zu", n);
    }
}

Test(checksum, pseudo_header)
{
    uint64_t rng = rng_seed("checksum pseudo");

    cr_expect_eq(xt_csum_pseudo4(inet_addr("10.0.0.1"), inet_addr("10.0.0.2"), XT_IPPROTO_TCP, 20), 0x141d);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t src = (uint32_t)rng_next(&rng), dst = (uint32_t)rng_next(&rng);
        uint8_t proto = (uint8_t)rng_next(&rng);
        uint16_t len = (uint16_t)rng_next(&rng);

        cr_assert_eq(xt_csum_pseudo4(src, dst, proto, len), naive_pseudo(src, dst, proto, len));
    }
}

/* Req MUST-3: a flipped bit anywhere, a wrong address and a wrong length are all noticed. */
Test(checksum, a_tcp_segment_is_verified)
{
    uint8_t seg[] = {0xd9, 0x03, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0, 0, 0, 0, 0x50, 0x02, 0xfa, 0xf0, 0, 0, 0, 0};
    uint32_t src = inet_addr("192.168.0.31"), dst = inet_addr("192.168.0.30");
    uint16_t want = (uint16_t)~naive_sum(naive_pseudo(src, dst, XT_IPPROTO_TCP, sizeof seg), seg, sizeof seg);

    xt_be16_store(seg + 16, want);
    cr_expect(xt_csum_tcp4_verify(src, dst, seg, sizeof seg));
    for (size_t bit = 0; bit < 8 * sizeof seg; bit++) {
        seg[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_expect_not(xt_csum_tcp4_verify(src, dst, seg, sizeof seg), "bit %zu", bit);
        seg[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_expect_not(xt_csum_tcp4_verify(src + 1, dst, seg, sizeof seg));
    cr_expect_not(xt_csum_tcp4_verify(src, dst, seg, sizeof seg - 1));
}

/* Req MUST-2 */
Test(checksum, header_and_pieces_make_a_segment_that_verifies)
{
    uint64_t rng = rng_seed("checksum segment");

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t src = (uint32_t)rng_next(&rng), dst = (uint32_t)rng_next(&rng);
        uint8_t seg[20 + 100];
        size_t len = rng_below(&rng, 101), first = rng_below(&rng, (uint32_t)len + 1);
        struct iovec iov[2] = {{seg + 20, first}, {seg + 20 + first, len - first}};

        rng_fill(&rng, seg, sizeof seg);
        xt_be16_store(seg + 16, 0);
        xt_be16_store(seg + 16, xt_csum_tcp4(src, dst, seg, 20, iov, 2));
        cr_assert(xt_csum_tcp4_verify(src, dst, seg, 20 + len));
    }
}

/* What the device does with a partial checksum: sums from the TCP header on, the field included, and stores the complement. */
Test(checksum, a_device_finishes_the_partial_checksum)
{
    uint64_t rng = rng_seed("checksum partial");

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t src = (uint32_t)rng_next(&rng), dst = (uint32_t)rng_next(&rng);
        uint8_t seg[121];
        uint16_t len = (uint16_t)(20 + rng_below(&rng, 102));

        rng_fill(&rng, seg, len);
        xt_be16_store(seg + 16, xt_csum_pseudo4(src, dst, XT_IPPROTO_TCP, len));
        xt_be16_store(seg + 16, (uint16_t)~naive_sum(0, seg, len));
        cr_assert(xt_csum_tcp4_verify(src, dst, seg, len));
    }
}
