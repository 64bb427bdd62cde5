/* SPDX-License-Identifier: Apache-2.0
 * Reads a fuzz input as numbers; after its end all are zero. */
#ifndef XT_TESTS_FUZZ_INPUT_H
#define XT_TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *p;
    size_t left;
};

static inline uint8_t in_u8(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->p++;
}

static inline uint16_t in_u16(struct input *in)
{
    uint16_t hi = in_u8(in);
    return (uint16_t)(hi << 8 | in_u8(in));
}

static inline uint32_t in_u32(struct input *in)
{
    uint32_t hi = in_u16(in);
    return hi << 16 | in_u16(in);
}

/* A number near zero, at a distance that the first byte chooses: bytes, kilobytes or anything. */
static inline uint32_t in_delta(struct input *in)
{
    uint8_t kind = in_u8(in);
    if (kind < 96)
        return (uint32_t)(int32_t)(int8_t)in_u8(in);
    if (kind < 192)
        return (uint32_t)(int32_t)(int16_t)in_u16(in);
    if (kind < 240)
        return 0;
    return in_u32(in);
}

#endif
