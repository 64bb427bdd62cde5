/* SPDX-License-Identifier: Apache-2.0
 * A three-level bitmap in shared memory: any number of producers set bits, consumers take them. A set bit is never lost and
 * setting is idempotent, so there is no queue to overflow and no lock for a dying process to hold.
 * Level 0 has a bit for each item; level 1 a bit for each word of level 0; level 2 is one word. */
#ifndef XT_BITMAP_H
#define XT_BITMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XT_BITMAP_MAX (64u * 64u * 64u) /* items */

static inline size_t xt_bitmap_words0(uint32_t items)
{
    return (items + 63u) / 64u;
}

/* Bytes of a bitmap for `items` (1 to XT_BITMAP_MAX). Layout: word of level 2, 64 words of level 1, words of level 0. */
static inline size_t xt_bitmap_size(uint32_t items)
{
    return (1 + 64 + xt_bitmap_words0(items)) * sizeof(uint64_t);
}

typedef _Atomic uint64_t xt_bitword;

/* Marks item `i`. All three levels are always written: a producer that died between two of them is repaired by the next
 * one, or by xt_bitmap_repair(). Sequentially consistent: pairs with the consumer's check before it sleeps. */
static inline void xt_bitmap_set(xt_bitword *map, uint32_t i)
{
    uint32_t w0 = i / 64, w1 = w0 / 64;
    atomic_fetch_or(&map[65 + w0], 1ULL << (i % 64));
    atomic_fetch_or(&map[1 + w1], 1ULL << (w0 % 64));
    atomic_fetch_or(&map[0], 1ULL << w1);
}

static inline bool xt_bitmap_any(const xt_bitword *map)
{
    return atomic_load((xt_bitword *)map) != 0;
}

/* Takes marked items below `items` and calls fn(arg, i) for each. Bits at or beyond `items` are cleared and ignored. Stops at the
 * first word boundary after `max` items; what is left stays marked, so that a producer cannot make the consumer work for longer
 * than that. Returns how many were taken. */
static inline unsigned xt_bitmap_take_some(xt_bitword *map, uint32_t items, unsigned max,
                                           void (*fn)(void *arg, uint32_t i), void *arg)
{
    unsigned n = 0;
    size_t words0 = xt_bitmap_words0(items);
    if (atomic_load_explicit(&map[0], memory_order_relaxed) == 0)
        return 0;
    for (uint64_t b2 = atomic_exchange(&map[0], 0); b2; b2 &= b2 - 1) {
        uint32_t w1 = (uint32_t)__builtin_ctzll(b2);
        for (uint64_t b1 = atomic_exchange(&map[1 + w1], 0); b1; b1 &= b1 - 1) {
            uint32_t w0 = w1 * 64 + (uint32_t)__builtin_ctzll(b1);
            if (w0 >= words0)
                break;
            if (n >= max) { /* put back, the lower level first: level 0 is untouched */
                atomic_fetch_or(&map[1 + w1], b1);
                atomic_fetch_or(&map[0], b2);
                return n;
            }
            for (uint64_t b0 = atomic_exchange(&map[65 + w0], 0); b0; b0 &= b0 - 1) {
                uint32_t i = w0 * 64 + (uint32_t)__builtin_ctzll(b0);
                if (i < items) {
                    fn(arg, i);
                    n++;
                }
            }
        }
    }
    return n;
}

/* All of them. */
static inline unsigned xt_bitmap_take(xt_bitword *map, uint32_t items, void (*fn)(void *arg, uint32_t i), void *arg)
{
    return xt_bitmap_take_some(map, items, XT_BITMAP_MAX + 1, fn, arg);
}

/* Marks the upper levels for every non-empty word of level 0: after a producer died. */
static inline void xt_bitmap_repair(xt_bitword *map, uint32_t items)
{
    for (uint32_t w0 = 0; w0 < xt_bitmap_words0(items); w0++)
        if (atomic_load(&map[65 + w0]) != 0) {
            atomic_fetch_or(&map[1 + w0 / 64], 1ULL << (w0 % 64));
            atomic_fetch_or(&map[0], 1ULL << (w0 / 64));
        }
}

#endif
