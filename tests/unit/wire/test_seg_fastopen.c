/* SPDX-License-Identifier: Apache-2.0
 * The Fast Open option (RFC 7413 section 4.1.1). */
#include <criterion/criterion.h>
#include <string.h>

#include "daemon/wire/seg.h"

static uint8_t bytes[XT_TCP_HDR_MAX + 8];
static const uint8_t cookie[XT_FO_COOKIE_MAX] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* Parses a header with these flags and `n` bytes of options. */
static struct xt_seg parse(uint8_t flags, const uint8_t *options, size_t n)
{
    struct xt_seg s;
    memset(bytes, 0, sizeof bytes);
    bytes[12] = (uint8_t)((XT_TCP_HDR_MIN + (n + 3) / 4 * 4) / 4 << 4);
    bytes[13] = flags;
    memcpy(bytes + XT_TCP_HDR_MIN, options, n);
    cr_assert_eq(xt_seg_parse(bytes, XT_TCP_HDR_MIN + (n + 3) / 4 * 4, &s), 0);
    return s;
}

/* Req RFC7413-4.1.1 */
Test(seg_fastopen, cookies_of_4_to_16_bytes_and_an_even_number)
{
    uint8_t option[40] = {34};
    for (uint8_t n = 0; n <= 18; n++) {
        bool good = n == 0 || (n >= 4 && n <= 16 && n % 2 == 0);
        option[1] = (uint8_t)(2 + n);
        memcpy(option + 2, cookie, n < 16 ? n : 16);
        struct xt_seg s = parse(XT_TH_SYN, option, 2u + n);
        cr_expect_eq(s.opt.present, good ? XT_OPT_FO : 0, "a cookie of %u bytes", n);
        cr_expect_eq(s.opt.ncookie, good ? n : 0);
        if (good && n)
            cr_expect_arr_eq(s.opt.cookie, cookie, n);
    }
}

/* Req RFC7413-4.1.1 */
Test(seg_fastopen, counts_only_with_syn)
{
    const uint8_t option[] = {34, 6, 1, 2, 3, 4};
    cr_expect_eq(parse(XT_TH_ACK, option, sizeof option).opt.present, 0);
    cr_expect_eq(parse(XT_TH_SYN | XT_TH_ACK, option, sizeof option).opt.present, XT_OPT_FO);
}

/* Req RFC7413-4.1.1 */
Test(seg_fastopen, is_emitted_behind_all_others_and_filled_up)
{
    struct xt_seg s = {.flags = XT_TH_SYN,
                       .opt = {.present = XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS | XT_OPT_WSCALE | XT_OPT_FO,
                               .mss = 1460,
                               .cookie = cookie}};
    for (uint8_t n = 0; n <= 16; n = (uint8_t)(n ? n + 2 : 4)) {
        struct xt_seg back;
        s.opt.ncookie = n;
        size_t want = XT_TCP_HDR_MIN + 20 + (2u + n + 3) / 4 * 4;
        cr_assert_eq(xt_seg_emit(bytes, &s), want, "a cookie of %u bytes", n);
        cr_expect_eq(bytes[40], 34);
        cr_expect_eq(bytes[41], 2 + n);
        cr_assert_eq(xt_seg_parse(bytes, want, &back), 0);
        cr_expect_eq(back.opt.present, s.opt.present);
        cr_expect_eq(back.opt.ncookie, n);
        if (n)
            cr_expect_arr_eq(back.opt.cookie, cookie, n);
    }
}
