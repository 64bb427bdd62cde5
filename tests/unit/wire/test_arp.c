/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/wire/arp.h"
#include "tests/unit/wire/rng.h"

/* Who has 10.0.0.2? Tell 10.0.0.1. */
static const uint8_t request[XT_ARP_LEN] = {0,  1, 8, 0, 6, 4, 0, 1, 2, 0, 0,  0, 0, 1,
                                            10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};

Test(arp, parse)
{
    struct xt_arp arp;

    cr_assert_eq(xt_arp_parse(request, sizeof request, &arp), 0);
    cr_expect_eq(arp.op, XT_ARP_REQUEST);
    cr_expect_arr_eq(arp.sha, ((uint8_t[]){2, 0, 0, 0, 0, 1}), 6);
    cr_expect_eq(arp.spa, inet_addr("10.0.0.1"));
    cr_expect_arr_eq(arp.tha, ((uint8_t[]){0, 0, 0, 0, 0, 0}), 6);
    cr_expect_eq(arp.tpa, inet_addr("10.0.0.2"));
}

Test(arp, padding_is_ignored)
{
    uint8_t padded[46] = {0};
    struct xt_arp arp;

    memcpy(padded, request, sizeof request);
    cr_expect_eq(xt_arp_parse(padded, sizeof padded, &arp), 0);
}

Test(arp, every_truncation_is_refused)
{
    struct xt_arp arp;

    for (size_t n = 0; n < XT_ARP_LEN; n++)
        cr_expect_eq(xt_arp_parse(request, n, &arp), -EBADMSG, "%zu bytes", n);
}

Test(arp, other_hardware_protocols_and_lengths_are_refused)
{
    struct xt_arp arp;

    for (size_t i = 0; i < 6; i++) {
        uint8_t bad[XT_ARP_LEN];

        memcpy(bad, request, sizeof bad);
        bad[i] ^= 0x02;
        cr_expect_eq(xt_arp_parse(bad, sizeof bad, &arp), -EPROTONOSUPPORT, "octet %zu", i);
    }
}

Test(arp, emit_is_the_inverse_of_parse)
{
    uint64_t rng = rng_seed("arp");

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t in[XT_ARP_LEN], out[XT_ARP_LEN];
        struct xt_arp arp;

        memcpy(in, request, sizeof in);
        rng_fill(&rng, in + 6, sizeof in - 6);
        cr_assert_eq(xt_arp_parse(in, sizeof in, &arp), 0);
        cr_assert_eq(xt_arp_emit(out, &arp), XT_ARP_LEN);
        cr_assert_arr_eq(in, out, sizeof in);
    }
}
