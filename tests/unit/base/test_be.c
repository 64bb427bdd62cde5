/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "daemon/base/be.h"

Test(be, loads_at_any_alignment)
{
    static const uint8_t bytes[] = {0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08};

    cr_expect_eq(xt_be16_load(bytes + 1), 0x0102);
    cr_expect_eq(xt_be32_load(bytes + 1), 0x01020304);
    cr_expect_eq(xt_be64_load(bytes + 1), 0x0102030405060708);
}

Test(be, stores_are_the_inverse_and_touch_nothing_else)
{
    uint8_t bytes[10];

    memset(bytes, 0xaa, sizeof bytes);
    xt_be16_store(bytes + 1, 0x0102);
    cr_expect_arr_eq(bytes, ((uint8_t[]){0xaa, 0x01, 0x02, 0xaa}), 4);
    xt_be32_store(bytes + 1, 0x01020304);
    cr_expect_arr_eq(bytes, ((uint8_t[]){0xaa, 0x01, 0x02, 0x03, 0x04, 0xaa}), 6);
    xt_be64_store(bytes + 1, 0x0102030405060708);
    cr_expect_arr_eq(bytes, ((uint8_t[]){0xaa, 1, 2, 3, 4, 5, 6, 7, 8, 0xaa}), 10);
}
