/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/wire/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/base/rand.h"

uint64_t rng_seed(const char *test)
{
    const char *given = getenv("XT_SEED");
    uint64_t seed;

    if (given != NULL)
        seed = strtoull(given, NULL, 0);
    else
        xt_random_bytes(&seed, sizeof seed);
    fprintf(stderr, "%s: XT_SEED=0x%" PRIx64 "\n", test, seed);
    return seed;
}

uint64_t rng_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint32_t rng_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)(rng_next(state) % n);
}

void rng_fill(uint64_t *state, void *p, size_t n)
{
    uint8_t *at = p;

    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)rng_next(state);
}
