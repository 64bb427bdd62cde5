/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/wire/seg.h"
#include "tests/unit/wire/rng.h"

static const uint8_t header[XT_TCP_HDR_MIN] = {0x9c, 0x40, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
                                               0x07, 0x08, 0x50, 0x18, 0xfa, 0xf0, 0xab, 0xcd, 0x00, 0x09};

static uint8_t pkt[256];
static struct xt_seg seg;

/* Parses a segment with the `n` bytes of options (padded with `pad` to a multiple of four) and 3 bytes of payload. */
static void parse_options(const void *options, size_t n, uint8_t pad)
{
    size_t words = (n + 3) / 4;

    memcpy(pkt, header, sizeof header);
    pkt[12] = (uint8_t)((5 + words) << 4);
    memset(pkt + 20, pad, words * 4);
    memcpy(pkt + 20, options, n);
    cr_assert_eq(xt_seg_parse(pkt, 20 + words * 4 + 3, &seg), 0);
    cr_assert_eq(seg.payload, pkt + 20 + words * 4);
    cr_assert_eq(seg.len, 3);
}

#define PARSE_OPTIONS(...) parse_options((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), 0)

Test(seg_parse, header)
{
    memset(&seg, 0xff, sizeof seg);
    cr_assert_eq(xt_seg_parse(header, sizeof header, &seg), 0);
    cr_expect_eq(seg.sport, 40000);
    cr_expect_eq(seg.dport, 80);
    cr_expect_eq(seg.seq, 0x01020304);
    cr_expect_eq(seg.ack, 0x05060708);
    cr_expect_eq(seg.flags, XT_TH_PSH | XT_TH_ACK);
    cr_expect_eq(seg.wnd, 0xfaf0);
    cr_expect_eq(seg.urp, 9);
    cr_expect_eq(seg.payload, header + 20);
    cr_expect_eq(seg.len, 0);
    cr_expect_eq(seg.opt.present, 0);
    cr_expect_eq(seg.opt.nsack, 0);
    cr_expect_eq(seg.ecn | seg.gso_size, 0, "the caller's to set");
}

Test(seg_parse, every_truncation_is_refused)
{
    for (size_t n = 0; n < sizeof header; n++)
        cr_expect_eq(xt_seg_parse(header, n, &seg), -EBADMSG, "%zu bytes", n);
}

Test(seg_parse, data_offset_out_of_bounds_is_refused)
{
    memcpy(pkt, header, sizeof header);
    for (uint8_t words = 0; words < 16; words++) {
        pkt[12] = (uint8_t)(words << 4);
        cr_expect_eq(xt_seg_parse(pkt, 40, &seg), words < 5 || words > 10 ? -EBADMSG : 0, "%u words", words);
    }
}

Test(seg_parse, reserved_bits_are_ignored)
{
    memcpy(pkt, header, sizeof header);
    pkt[12] |= 0x0f;
    cr_assert_eq(xt_seg_parse(pkt, 20, &seg), 0);
    cr_expect_eq(seg.flags, XT_TH_PSH | XT_TH_ACK);
}

/* Req MUST-4 */
Test(seg_parse, the_syn_of_linux)
{
    PARSE_OPTIONS(2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7);
    cr_expect_eq(seg.opt.present, XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS | XT_OPT_WSCALE);
    cr_expect_eq(seg.opt.mss, 1460);
    cr_expect_eq(seg.opt.tsval, 0x01020304);
    cr_expect_eq(seg.opt.tsecr, 0x05060708);
    cr_expect_eq(seg.opt.wscale, 7);
}

/* Req MUST-64 MUST-5 */
Test(seg_parse, timestamps_aligned_and_not)
{
    PARSE_OPTIONS(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2);
    cr_expect(seg.opt.present == XT_OPT_TS && seg.opt.tsval == 1 && seg.opt.tsecr == 2);
    PARSE_OPTIONS(8, 10, 0, 0, 0, 3, 0, 0, 0, 4, 1, 1);
    cr_expect(seg.opt.present == XT_OPT_TS && seg.opt.tsval == 3 && seg.opt.tsecr == 4);
    PARSE_OPTIONS(1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6);
    cr_expect(seg.opt.present == XT_OPT_TS && seg.opt.tsval == 5 && seg.opt.tsecr == 6);
}

Test(seg_parse, sack_blocks)
{
    PARSE_OPTIONS(1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 4);
    cr_assert_eq(seg.opt.nsack, 2);
    cr_expect(seg.opt.sack[0].left == 1 && seg.opt.sack[0].right == 2);
    cr_expect(seg.opt.sack[1].left == UINT32_MAX && seg.opt.sack[1].right == 4);
}

Test(seg_parse, as_many_sack_blocks_as_fit)
{
    uint8_t opt[34] = {5, 34, [9] = 1, [17] = 2, [25] = 3, [33] = 4};

    parse_options(opt, sizeof opt, 1);
    cr_assert_eq(seg.opt.nsack, 4);
    for (uint32_t i = 0; i < 4; i++)
        cr_expect_eq(seg.opt.sack[i].right, i + 1);
}

/* Req MUST-6 MUST-68 */
Test(seg_parse, unknown_options_are_skipped)
{
    PARSE_OPTIONS(254, 4, 0xf9, 0x89, 253, 2, 2, 4, 5, 180, 34, 2);
    cr_expect_eq(seg.opt.present, XT_OPT_MSS);
    cr_expect_eq(seg.opt.mss, 1460);
}

/* Req MUST-4 */
Test(seg_parse, nothing_counts_after_the_end_of_the_list)
{
    PARSE_OPTIONS(1, 1, 1, 0, 2, 4, 5, 180);
    cr_expect_eq(seg.opt.present, 0, "nor if the end had no length");
    PARSE_OPTIONS(1, 0, 2, 1, 2, 4, 5, 180);
    cr_expect_eq(seg.opt.present, 0, "nor if it had one");
}

/* Req MUST-7 */
Test(seg_parse, a_length_of_zero_or_one_ends_the_options)
{
    PARSE_OPTIONS(4, 2, 254, 0, 2, 4, 5, 180);
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK);
    PARSE_OPTIONS(4, 2, 254, 1, 2, 4, 5, 180);
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK);
    PARSE_OPTIONS(4, 2, 2, 0, 2, 4, 5, 180);
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK);
}

/* Req MUST-7 */
Test(seg_parse, a_length_beyond_the_header_ends_the_options)
{
    PARSE_OPTIONS(4, 2, 2, 4, 5, 180, 254, 3);
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK | XT_OPT_MSS);
    PARSE_OPTIONS(4, 2, 1, 1, 1, 1, 2, 4);
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK, "an MSS whose value would be payload");
    PARSE_OPTIONS(4, 2, 8, 10);
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK, "timestamps without values");
}

/* Req MUST-7 */
Test(seg_parse, a_kind_as_the_last_octet_ends_the_options)
{
    PARSE_OPTIONS(4, 2, 1, 2);
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK);
}

Test(seg_parse, known_options_of_a_wrong_length_are_skipped)
{
    PARSE_OPTIONS(2, 3, 5, 2, 5, 5, 180, 0, 4, 2);
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK, "MSS");
    PARSE_OPTIONS(3, 2, 3, 4, 7, 7, 4, 2);
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK, "window scale");
    PARSE_OPTIONS(8, 9, 1, 2, 3, 4, 5, 6, 7, 4, 2);
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK, "timestamps");
    PARSE_OPTIONS(4, 3, 0, 1, 2, 4, 5, 180);
    cr_expect_eq(seg.opt.present, XT_OPT_MSS, "SACK-permitted");
    PARSE_OPTIONS(5, 2, 5, 9, 1, 2, 3, 4, 5, 6, 7, 4, 2);
    cr_expect_eq(seg.opt.nsack, 0, "SACK");
    cr_expect_eq(seg.opt.present, XT_OPT_SACK_OK, "SACK");
}

Test(seg_parse, the_last_of_two_counts)
{
    PARSE_OPTIONS(2, 4, 1, 0, 2, 4, 2, 0);
    cr_expect_eq(seg.opt.mss, 0x200);
}

Test(seg_parse, sequence_length)
{
    struct xt_seg s = {.flags = XT_TH_SYN | XT_TH_FIN, .len = 5};

    cr_expect_eq(xt_seg_seqlen(&s), 7);
    s.flags = XT_TH_ACK;
    cr_expect_eq(xt_seg_seqlen(&s), 5);
}

/* The packet lies at the very end of its allocation, so that a sanitizer sees any read beyond it. */
Test(seg_parse, random_bytes_never_lead_outside)
{
    uint64_t rng = rng_seed("seg_parse");

    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t len = rng_below(&rng, 80);
        uint8_t *p = malloc(len > 0 ? len : 1);
        int rc;

        cr_assert_not_null(p);
        rng_fill(&rng, p, len);
        for (size_t at = 20; at < len; at++)
            p[at] = (uint8_t)rng_below(&rng, 12);
        rc = xt_seg_parse(p, len, &seg);
        cr_assert(rc == 0 || rc == -EBADMSG);
        if (rc == 0) {
            cr_assert_leq(seg.opt.nsack, XT_SACK_MAX);
            cr_assert_eq(seg.payload + seg.len, p + len);
        }
        free(p);
    }
}
