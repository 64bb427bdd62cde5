/* SPDX-License-Identifier: Apache-2.0
 * Byte rings: the place of stream offset `off` in a ring of `size` bytes (a power of two) is off & (size - 1). */
#ifndef XT_BASE_RING_H
#define XT_BASE_RING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Copies `len` bytes from stream offset `off` on from one ring to the same offsets in another; both hold that much. */
static inline void xt_ring_copy(uint8_t *to, uint32_t to_size, const uint8_t *from, uint32_t from_size, uint64_t off,
                                uint64_t len)
{
    while (len) {
        size_t t = (size_t)(off & (to_size - 1)), f = (size_t)(off & (from_size - 1)), n = to_size - t;
        n = n < from_size - f ? n : from_size - f;
        n = n < len ? n : (size_t)len;
        memcpy(to + t, from + f, n);
        off += n;
        len -= n;
    }
}

#endif
