/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wire/checksum.h"

#include <endian.h>
#include <string.h>

#include "daemon/wire/ipv4.h"

/* One's complement addition: the carry comes back in at the bottom (RFC 1071 section 2 (C)). */
static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
    a += b;
    return a + (a < b);
}

static inline uint64_t load_word(const uint8_t *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
    return w;
}

/* A 64-bit one's complement sum is congruent to the 16-bit one, and byte order does not matter to it (RFC 1071 section
 * 2 (B)): so words are added as memory holds them. Two sums run beside each other since each waits for its own carry. */
static uint64_t sum_words(const uint8_t *p, size_t n)
{
    uint64_t even = 0, odd = 0, tail = 0;

    for (; n >= 16; p += 16, n -= 16) {
        even = add_carry(even, load_word(p));
        odd = add_carry(odd, load_word(p + 8));
    }
    if (n >= 8) {
        even = add_carry(even, load_word(p));
        p += 8;
        n -= 8;
    }
    if (n > 0)
        memcpy(&tail, p, n);
    return add_carry(add_carry(even, odd), tail);
}

/* To 16 bits, still in the byte order of memory. */
static uint16_t fold(uint64_t acc)
{
    acc = (acc & UINT32_MAX) + (acc >> 32);
    acc = (acc & UINT32_MAX) + (acc >> 32);
    acc = (acc & UINT16_MAX) + (acc >> 16);
    acc = (acc & UINT16_MAX) + (acc >> 16);
    return (uint16_t)acc;
}

void xt_csum_add(struct xt_csum *c, const void *p, size_t n)
{
    uint64_t sum;

    if (n == 0)
        return;
    sum = sum_words(p, n);
    /* A piece at an odd place has its bytes in the other halves of the 16-bit words. */
    if (c->odd)
        sum = __builtin_bswap16(fold(sum));
    c->acc = add_carry(c->acc, sum);
    c->odd ^= n & 1;
}

uint16_t xt_csum_fold(const struct xt_csum *c)
{
    return be16toh(fold(c->acc));
}

uint16_t xt_csum(const void *p, size_t n)
{
    struct xt_csum c = {0};

    xt_csum_add(&c, p, n);
    return (uint16_t)~xt_csum_fold(&c);
}

static struct xt_csum pseudo4(uint32_t src, uint32_t dst, uint8_t proto, uint16_t len)
{
    /* In memory order as everything here: a zero byte, the protocol, the length. */
    return (struct xt_csum){.acc = (uint64_t)src + dst + htobe32((uint32_t)proto << 16 | len)};
}

uint16_t xt_csum_pseudo4(uint32_t src, uint32_t dst, uint8_t proto, uint16_t len)
{
    struct xt_csum c = pseudo4(src, dst, proto, len);

    return xt_csum_fold(&c);
}

uint16_t xt_csum_tcp4(uint32_t src, uint32_t dst, const void *hdr, size_t hdr_len, const struct iovec *iov,
                      unsigned niov)
{
    size_t len = hdr_len;
    struct xt_csum c;

    for (unsigned i = 0; i < niov; i++)
        len += iov[i].iov_len;
    c = pseudo4(src, dst, XT_IPPROTO_TCP, (uint16_t)len);
    xt_csum_add(&c, hdr, hdr_len);
    for (unsigned i = 0; i < niov; i++)
        xt_csum_add(&c, iov[i].iov_base, iov[i].iov_len);
    return (uint16_t)~xt_csum_fold(&c);
}

bool xt_csum_tcp4_verify(uint32_t src, uint32_t dst, const void *p, size_t len)
{
    struct xt_csum c = pseudo4(src, dst, XT_IPPROTO_TCP, (uint16_t)len);

    xt_csum_add(&c, p, len);
    return xt_csum_fold(&c) == UINT16_MAX;
}
