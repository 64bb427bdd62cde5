/* SPDX-License-Identifier: Apache-2.0
 * Unpredictable numbers from the kernel. Thread-safe, fork-safe. */
#ifndef XT_BASE_RAND_H
#define XT_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* Fills `p` with `n` random bytes. Never fails: without a source of randomness the process aborts, since every secret
 * made without one would be a lie. */
void xt_random_bytes(void *p, size_t n);

#endif
