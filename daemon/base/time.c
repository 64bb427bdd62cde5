/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/time.h"

#include <time.h>

uint64_t xt_time_us(void)
{
    struct timespec ts;

    /* Cannot fail: the clock exists on every Linux and the pointer is valid. */
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * XT_US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}
