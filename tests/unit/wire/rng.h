/* SPDX-License-Identifier: Apache-2.0
 * Seeded pseudo-random numbers for tests (SplitMix64). The seed is printed; XT_SEED in the environment sets it. */
#ifndef XT_TESTS_UNIT_WIRE_RNG_H
#define XT_TESTS_UNIT_WIRE_RNG_H

#include <stddef.h>
#include <stdint.h>

#define ROUNDS 20000 /* of a randomised test */

/* Takes the seed from XT_SEED or from the kernel and prints it on standard error, with the name of the test. */
uint64_t rng_seed(const char *test);

uint64_t rng_next(uint64_t *state);

/* 0 to `n` - 1; `n` is not 0. */
uint32_t rng_below(uint64_t *state, uint32_t n);

void rng_fill(uint64_t *state, void *p, size_t n);

#endif
