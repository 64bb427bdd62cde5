/* SPDX-License-Identifier: Apache-2.0
 * Keyed hashing (SipHash-2-4): flow tables, ISNs (RFC 6528), ports (RFC 6056). Thread-safe. */
#ifndef XT_BASE_SIPHASH_H
#define XT_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct xt_key {
    uint8_t b[16];
};

/* The hash of `n` bytes at `p` under `key`. The value is the same on every machine. */
uint64_t xt_siphash(const struct xt_key *key, const void *p, size_t n);

#endif
