/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdint.h>

#include "daemon/base/macros.h"

static int calls;

static int counted(int v)
{
    calls++;
    return v;
}

Test(macros, array_len_counts_elements)
{
    uint32_t a[7];

    cr_expect_eq(XT_ARRAY_LEN(a), 7);
}

Test(macros, min_max_clamp)
{
    cr_expect_eq(XT_MIN(3, -4), -4);
    cr_expect_eq(XT_MAX(3, -4), 3);
    cr_expect_eq(XT_CLAMP(5, 1, 4), 4);
    cr_expect_eq(XT_CLAMP(0, 1, 4), 1);
    cr_expect_eq(XT_CLAMP(2, 1, 4), 2);
    cr_expect_eq(XT_MIN(XT_MAX(1, 7), XT_MIN(9, 8)), 7, "they nest");
}

Test(macros, arguments_are_evaluated_once)
{
    cr_expect_eq(XT_MIN(counted(1), counted(2)), 1);
    cr_expect_eq(calls, 2);
    cr_expect_eq(XT_CLAMP(counted(5), counted(1), counted(3)), 3);
    cr_expect_eq(calls, 5);
}

Test(macros, align_up)
{
    cr_expect_eq(XT_ALIGN_UP((size_t)0, (size_t)8), 0);
    cr_expect_eq(XT_ALIGN_UP((size_t)1, (size_t)8), 8);
    cr_expect_eq(XT_ALIGN_UP((size_t)8, (size_t)8), 8);
    cr_expect_eq(XT_ALIGN_UP((size_t)4097, (size_t)4096), 8192);
}
