/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "daemon/wire/seg.h"
#include "tests/unit/wire/rng.h"

static uint8_t out[XT_TCP_HDR_MAX + 8];

/* The options that `opt` becomes are exactly these bytes. */
static void expect_options(const struct xt_tcp_opts *opt, const uint8_t *want, size_t n)
{
    struct xt_seg s = {.flags = XT_TH_SYN, .opt = *opt};

    cr_assert_eq(xt_seg_emit(out, &s), XT_TCP_HDR_MIN + n);
    cr_expect_arr_eq(out + XT_TCP_HDR_MIN, want, n);
}

#define EXPECT_OPTIONS(opt, ...) \
    expect_options((opt), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static const struct xt_tcp_opts all = {.mss = 1460, .wscale = 7, .tsval = 0x01020304, .tsecr = 0x05060708};

static struct xt_tcp_opts with(uint8_t present)
{
    struct xt_tcp_opts opt = all;

    opt.present = present;
    return opt;
}

Test(seg_emit, header)
{
    static const uint8_t want[] = {0x9c, 0x40, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
                                   0x07, 0x08, 0x50, 0x18, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x09};
    struct xt_seg s = {.sport = 40000,
                       .dport = 80,
                       .seq = 0x01020304,
                       .ack = 0x05060708,
                       .wnd = 0xfaf0,
                       .urp = 9,
                       .flags = XT_TH_PSH | XT_TH_ACK};

    memset(out, 0xff, sizeof out);
    cr_assert_eq(xt_seg_emit(out, &s), 20);
    cr_expect_arr_eq(out, want, 20);
    cr_expect_eq(out[20], 0xff, "nothing is written behind the header");
}

/* Req MUST-68 */
Test(seg_emit, syn_as_linux_sends_it)
{
    struct xt_tcp_opts opt = with(XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS | XT_OPT_WSCALE);

    EXPECT_OPTIONS(&opt, 2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7);
}

Test(seg_emit, syn_without_sack)
{
    struct xt_tcp_opts opt = with(XT_OPT_MSS | XT_OPT_TS | XT_OPT_WSCALE);

    EXPECT_OPTIONS(&opt, 2, 4, 5, 180, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7);
}

Test(seg_emit, syn_without_timestamps)
{
    struct xt_tcp_opts opt = with(XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_WSCALE);

    EXPECT_OPTIONS(&opt, 2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7);
}

Test(seg_emit, timestamps_only)
{
    struct xt_tcp_opts opt = with(XT_OPT_TS);

    EXPECT_OPTIONS(&opt, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8);
}

Test(seg_emit, timestamps_and_sack)
{
    struct xt_tcp_opts opt = with(XT_OPT_TS);

    opt.nsack = 1;
    opt.sack[0] = (struct xt_sack_block){0x0a0b0c0d, 0x10111213};
    EXPECT_OPTIONS(&opt, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 5, 10, 0x0a, 0x0b, 0x0c, 0x0d, 0x10, 0x11, 0x12,
                   0x13);
}

/* Req MUST-69 MUST-68: whatever the options, their lengths fill the header to its end, or zeros do. */
Test(seg_emit, no_padding_but_zeros)
{
    for (unsigned i = 0; i < 16 * 5; i++) {
        struct xt_tcp_opts opt = with((uint8_t)(i % 16));
        opt.nsack = (uint8_t)(i / 16);
        struct xt_seg s = {.opt = opt};
        memset(out, 0xff, sizeof out);
        size_t len = xt_seg_emit(out, &s), at = XT_TCP_HDR_MIN;
        cr_assert_eq(len, (size_t)(out[12] >> 4) * 4);
        while (at < len && out[at] != 0) {
            at += out[at] == 1 ? 1 : out[at + 1];
            cr_assert_leq(at, len, "options %u", i);
        }
        while (at < len)
            cr_assert_eq(out[at++], 0, "options %u", i);
    }
}

/* The blocks of `opt` that parse back from what is emitted. */
static unsigned blocks_sent(const struct xt_tcp_opts *opt)
{
    struct xt_seg s = {.opt = *opt}, back;
    size_t n = xt_seg_emit(out, &s);

    cr_assert_leq(n, XT_TCP_HDR_MAX);
    cr_assert_eq(xt_seg_parse(out, n, &back), 0);
    cr_assert_eq(memcmp(back.opt.sack, opt->sack, back.opt.nsack * sizeof back.opt.sack[0]), 0, "the first ones");
    return back.opt.nsack;
}

Test(seg_emit, sack_blocks_that_do_not_fit_are_left_out)
{
    struct xt_tcp_opts opt = with(0);

    opt.nsack = 4;
    for (uint32_t i = 0; i < 4; i++)
        opt.sack[i] = (struct xt_sack_block){i * 10, i * 10 + 5};
    cr_expect_eq(blocks_sent(&opt), 4);
    opt.present = XT_OPT_TS;
    cr_expect_eq(blocks_sent(&opt), 3);
    opt.present = XT_OPT_TS | XT_OPT_MSS | XT_OPT_SACK_OK;
    cr_expect_eq(blocks_sent(&opt), 2);
    opt.present = XT_OPT_TS | XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_WSCALE;
    cr_expect_eq(blocks_sent(&opt), 2);
}

Test(seg_emit, a_count_of_blocks_that_lies_does_no_harm)
{
    struct xt_tcp_opts opt = with(0);

    opt.nsack = 255;
    cr_expect_eq(blocks_sent(&opt), XT_SACK_MAX);
}

static struct xt_seg random_segment(uint64_t *rng)
{
    uint8_t present = (uint8_t)rng_below(rng, 16);
    uint8_t fits = present & XT_OPT_TS ? 2 : 3;
    struct xt_seg s = {
        .sport = (uint16_t)rng_next(rng),
        .dport = (uint16_t)rng_next(rng),
        .seq = (uint32_t)rng_next(rng),
        .ack = (uint32_t)rng_next(rng),
        .wnd = (uint16_t)rng_next(rng),
        .urp = (uint16_t)rng_next(rng),
        .flags = (uint8_t)rng_next(rng),
        .opt = {.present = present, .nsack = (uint8_t)rng_below(rng, fits + 1U)},
    };

    if (present & XT_OPT_MSS)
        s.opt.mss = (uint16_t)rng_next(rng);
    if (present & XT_OPT_WSCALE)
        s.opt.wscale = (uint8_t)rng_next(rng);
    if (present & XT_OPT_TS) {
        s.opt.tsval = (uint32_t)rng_next(rng);
        s.opt.tsecr = (uint32_t)rng_next(rng);
    }
    rng_fill(rng, s.opt.sack, s.opt.nsack * sizeof s.opt.sack[0]);
    return s;
}

Test(seg_emit, parse_is_the_inverse_of_emit)
{
    uint64_t rng = rng_seed("seg_emit");

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct xt_seg s = random_segment(&rng), back;
        size_t n = xt_seg_emit(out, &s);

        cr_assert_eq(n % 4, 0);
        cr_assert_leq(n, XT_TCP_HDR_MAX);
        cr_assert_eq(xt_seg_parse(out, n + 8, &back), 0);
        cr_assert_eq(back.sport, s.sport);
        cr_assert_eq(back.dport, s.dport);
        cr_assert_eq(back.seq, s.seq);
        cr_assert_eq(back.ack, s.ack);
        cr_assert_eq(back.wnd, s.wnd);
        cr_assert_eq(back.urp, s.urp);
        cr_assert_eq(back.flags, s.flags);
        cr_assert_eq(back.payload, out + n);
        cr_assert_eq(back.len, 8);
        cr_assert_eq(back.opt.present, s.opt.present);
        cr_assert_eq(back.opt.mss, s.opt.mss);
        cr_assert_eq(back.opt.wscale, s.opt.wscale);
        cr_assert_eq(back.opt.tsval, s.opt.tsval);
        cr_assert_eq(back.opt.tsecr, s.opt.tsecr);
        cr_assert_eq(back.opt.nsack, s.opt.nsack);
        cr_assert_eq(memcmp(back.opt.sack, s.opt.sack, sizeof s.opt.sack), 0);
    }
}
