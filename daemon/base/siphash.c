/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/siphash.h"

#include <endian.h>
#include <sodium/crypto_shorthash.h>

_Static_assert(sizeof(struct xt_key) == crypto_shorthash_KEYBYTES, "SipHash-2-4 takes a key of 16 bytes");
_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "SipHash-2-4 yields 64 bits");

uint64_t xt_siphash(const struct xt_key *key, const void *p, size_t n)
{
    uint64_t hash;

    crypto_shorthash((unsigned char *)&hash, p, n, key->b);
    return le64toh(hash);
}
