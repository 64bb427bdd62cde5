/* SPDX-License-Identifier: Apache-2.0
 * Vectors from the reference implementation of SipHash-2-4: key 00..0f, message 00, 01, 02, ... */
#include <criterion/criterion.h>

#include "daemon/base/siphash.h"

static const struct xt_key key = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

Test(siphash, reference_vectors)
{
    uint8_t msg[15];

    for (uint8_t i = 0; i < sizeof msg; i++)
        msg[i] = i;
    cr_expect_eq(xt_siphash(&key, msg, 0), 0x726fdb47dd0e0e31);
    cr_expect_eq(xt_siphash(&key, msg, 1), 0x74f839c593dc67fd);
    cr_expect_eq(xt_siphash(&key, msg, 8), 0x93f5f5799a932462);
    cr_expect_eq(xt_siphash(&key, msg, 15), 0xa129ca6149be45e5);
}

Test(siphash, the_key_matters)
{
    struct xt_key other = key;

    other.b[15] ^= 1;
    cr_expect_neq(xt_siphash(&key, "abc", 3), xt_siphash(&other, "abc", 3));
}
