/* SPDX-License-Identifier: Apache-2.0
 * A seeded generator for reproducible tests: splitmix64. Not for secrets. */
#ifndef XT_TEST_RNG_H
#define XT_TEST_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t s;
};

static inline uint64_t rng_u64(struct rng *r)
{
    uint64_t z = r->s += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Uniform in [lo, hi]. */
static inline uint64_t rng_in(struct rng *r, uint64_t lo, uint64_t hi)
{
    return lo + rng_u64(r) % (hi - lo + 1);
}

/* Roughly log-uniform in [lo, hi], lo > 0: each order of magnitude is as likely as the next. */
static inline uint64_t rng_log(struct rng *r, uint64_t lo, uint64_t hi)
{
    uint64_t steps = 0, top;
    while (lo << steps < hi)
        steps++;
    top = lo << rng_in(r, 0, steps);
    return rng_in(r, lo, top < hi ? top : hi);
}

/* True in `ppm` of a million cases. */
static inline bool rng_ppm(struct rng *r, uint32_t ppm)
{
    return rng_u64(r) % 1000000 < ppm;
}

#endif
