/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <time.h>

#include "daemon/base/time.h"

static uint64_t monotonic_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

Test(time, is_the_monotonic_clock_in_microseconds)
{
    uint64_t before = monotonic_us();
    uint64_t now = xt_time_us();

    cr_expect_leq(before, now);
    cr_expect_leq(now, monotonic_us());
}
