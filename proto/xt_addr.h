/* SPDX-License-Identifier: Apache-2.0
 * Addresses: 16 bytes, IPv4 mapped (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), above the wire layer everywhere. */
#ifndef XT_ADDR_H
#define XT_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct xt_addr {
    uint8_t b[16]; /* network byte order */
};

/* A transport end point. `port` is in host byte order. */
struct xt_endpoint {
    struct xt_addr addr;
    uint16_t port;
};

/* The mapped form of an IPv4 address given in network byte order (as in struct in_addr). */
static inline struct xt_addr xt_addr_v4(uint32_t be)
{
    struct xt_addr a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    memcpy(a.b + 12, &be, 4);
    return a;
}

static inline bool xt_addr_is_v4(const struct xt_addr *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a->b, prefix, sizeof prefix) == 0;
}

/* The IPv4 address in network byte order; meaningful only when xt_addr_is_v4(). */
static inline uint32_t xt_addr_to_v4(const struct xt_addr *a)
{
    uint32_t be;
    memcpy(&be, a->b + 12, 4);
    return be;
}

static inline bool xt_addr_eq(const struct xt_addr *x, const struct xt_addr *y)
{
    return memcmp(x, y, sizeof *x) == 0;
}

/* The unspecified address of either family: all zero, or ::ffff:0.0.0.0. */
static inline bool xt_addr_is_any(const struct xt_addr *a)
{
    static const struct xt_addr any6;
    return xt_addr_eq(a, &any6) || (xt_addr_is_v4(a) && xt_addr_to_v4(a) == 0);
}

#endif
