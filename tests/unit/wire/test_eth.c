/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/wire/eth.h"
#include "tests/unit/wire/rng.h"

static const uint8_t frame[XT_ETH_HDR_LEN] = {0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02, 0x08, 0x06};

Test(eth, parse)
{
    struct xt_eth eth;

    cr_assert_eq(xt_eth_parse(frame, sizeof frame, &eth), 0);
    cr_expect_arr_eq(eth.dst, frame, 6);
    cr_expect_arr_eq(eth.src, frame + 6, 6);
    cr_expect_eq(eth.type, XT_ETH_TYPE_ARP);
}

Test(eth, every_truncation_is_refused)
{
    struct xt_eth eth;

    for (size_t n = 0; n < XT_ETH_HDR_LEN; n++)
        cr_expect_eq(xt_eth_parse(frame, n, &eth), -EBADMSG, "%zu bytes", n);
}

Test(eth, group_addresses)
{
    cr_expect(xt_eth_is_group((const uint8_t[6]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
    cr_expect(xt_eth_is_group((const uint8_t[6]){0x01, 0x00, 0x5e, 0, 0, 1}));
    cr_expect_not(xt_eth_is_group((const uint8_t[6]){0x02, 0xff, 0xff, 0xff, 0xff, 0xff}));
}

Test(eth, emit_is_the_inverse_of_parse)
{
    uint64_t rng = rng_seed("eth");

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t in[XT_ETH_HDR_LEN], out[XT_ETH_HDR_LEN];
        struct xt_eth eth;

        rng_fill(&rng, in, sizeof in);
        cr_assert_eq(xt_eth_parse(in, sizeof in, &eth), 0);
        cr_assert_eq(xt_eth_emit(out, &eth), XT_ETH_HDR_LEN);
        cr_assert_arr_eq(in, out, sizeof in);
    }
}
