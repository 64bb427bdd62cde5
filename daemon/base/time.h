/* SPDX-License-Identifier: Apache-2.0
 * The monotonic clock. Thread-safe. */
#ifndef XT_BASE_TIME_H
#define XT_BASE_TIME_H

#include <stdint.h>

#define XT_US_PER_S UINT64_C(1000000)

/* Microseconds since an arbitrary point (CLOCK_MONOTONIC); the same for all processes until the machine restarts. */
uint64_t xt_time_us(void);

#endif
