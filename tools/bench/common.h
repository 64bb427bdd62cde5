/* SPDX-License-Identifier: Apache-2.0
 * What several benchmarks need. */
#ifndef XT_BENCH_COMMON_H
#define XT_BENCH_COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
