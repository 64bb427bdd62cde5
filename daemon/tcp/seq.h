/* SPDX-License-Identifier: Apache-2.0
 * Arithmetic on sequence numbers, modulo 2^32 (RFC 9293 section 3.4). Two numbers compare as they stand within half the
 * space of each other. */
#ifndef XT_TCP_SEQ_H
#define XT_TCP_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool xt_seq_lt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline bool xt_seq_le(uint32_t a, uint32_t b)
{
    return (int32_t)(b - a) >= 0;
}

static inline bool xt_seq_gt(uint32_t a, uint32_t b)
{
    return (int32_t)(b - a) < 0;
}

static inline bool xt_seq_ge(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) >= 0;
}

static inline uint32_t xt_seq_max(uint32_t a, uint32_t b)
{
    return xt_seq_gt(a, b) ? a : b;
}

static inline uint32_t xt_seq_min(uint32_t a, uint32_t b)
{
    return xt_seq_lt(a, b) ? a : b;
}

static inline uint32_t xt_u32_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t xt_u32_max(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

#endif
