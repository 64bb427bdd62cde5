/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "daemon/base/rand.h"

Test(rand, fills_exactly_what_it_is_given)
{
    uint8_t buf[1002];
    unsigned changed = 0;

    memset(buf, 0, sizeof buf);
    xt_random_bytes(buf + 1, 1000);
    cr_expect_eq(buf[0], 0);
    cr_expect_eq(buf[1001], 0);
    for (unsigned i = 1; i <= 1000; i++)
        changed += buf[i] != 0;
    /* Each of 1000 bytes is zero with a probability of 1/256: fewer than 900 others never happens. */
    cr_expect_gt(changed, 900);
}

Test(rand, nothing_is_asked_for)
{
    uint8_t b = 7;

    xt_random_bytes(&b, 0);
    cr_expect_eq(b, 7);
}
