/* SPDX-License-Identifier: Apache-2.0
 * Copying into a ring that another core reads. */
#ifndef XT_COPY_H
#define XT_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define XT_COPY_FAR_MIN 16384u /* what is shorter stays in the cache, for a reader who looks at once */

/* As memcpy(). The lines of a ring are in the cache of the core that has read them, and fetching each from there to overwrite it takes longer
 * than the copy: stores that pass the caches by do without. They are done when this returns, before anything the caller stores then. */
static inline void xt_copy_far(uint8_t *to, const uint8_t *from, size_t n)
{
#ifdef __SSE2__
    if (n >= XT_COPY_FAR_MIN) {
        size_t head = -(uintptr_t)to & 63, i = head;
        memcpy(to, from, head);
        for (; n - i >= 64; i += 64) {
            const __m128i *f = (const __m128i *)(const void *)(from + i);
            __m128i a = _mm_loadu_si128(f), b = _mm_loadu_si128(f + 1), c = _mm_loadu_si128(f + 2),
                    d = _mm_loadu_si128(f + 3);
            __m128i *t = (__m128i *)(void *)(to + i);
            _mm_stream_si128(t, a);
            _mm_stream_si128(t + 1, b);
            _mm_stream_si128(t + 2, c);
            _mm_stream_si128(t + 3, d);
        }
        _mm_sfence();
        to += i;
        from += i;
        n -= i;
    }
#endif
    memcpy(to, from, n);
}

#endif
