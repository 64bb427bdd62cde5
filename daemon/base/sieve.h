/* SPDX-License-Identifier: Apache-2.0
 * Which SYNs the kernel is to keep from us, when more come than can be looked at: by chance, and those of addresses that are known by
 * another than the rest. What the stack decides and the packet device has the kernel do. */
#ifndef XT_BASE_SIEVE_H
#define XT_BASE_SIEVE_H

#include <stdbool.h>
#include <stdint.h>

#define XT_SIEVE_HASH_BITS 12u
#define XT_SIEVE_WORDS (1u << XT_SIEVE_HASH_BITS >> 5)
#define XT_SIEVE_ALL UINT32_MAX

enum xt_sieve_class { XT_SIEVE_STRANGER, XT_SIEVE_KNOWN, XT_SIEVE_CLASSES };

struct xt_sieve {
    uint32_t pass[XT_SIEVE_CLASSES]; /* so many of 2^32 come through, and one: XT_SIEVE_ALL are all */
    uint32_t factor;                 /* of the hash: odd, and not to be guessed */
    uint32_t known[XT_SIEVE_WORDS];  /* a bit for each hash; some strangers share one with who is known */
};

/* `addr` in host byte order. */
static inline uint32_t xt_sieve_hash(const struct xt_sieve *v, uint32_t addr)
{
    return addr * v->factor >> (32 - XT_SIEVE_HASH_BITS);
}

static inline void xt_sieve_learn(struct xt_sieve *v, uint32_t addr)
{
    uint32_t h = xt_sieve_hash(v, addr);
    v->known[h / 32] |= UINT32_C(1) << h % 32;
}

static inline enum xt_sieve_class xt_sieve_class(const struct xt_sieve *v, uint32_t addr)
{
    uint32_t h = xt_sieve_hash(v, addr);
    return v->known[h / 32] >> h % 32 & 1 ? XT_SIEVE_KNOWN : XT_SIEVE_STRANGER;
}

static inline bool xt_sieve_open(const struct xt_sieve *v)
{
    return v->pass[XT_SIEVE_STRANGER] == XT_SIEVE_ALL && v->pass[XT_SIEVE_KNOWN] == XT_SIEVE_ALL;
}

#endif
