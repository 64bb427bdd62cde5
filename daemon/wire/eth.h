/* SPDX-License-Identifier: Apache-2.0
 * The Ethernet II header (RFC 894). */
#ifndef XT_WIRE_ETH_H
#define XT_WIRE_ETH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XT_ETH_HDR_LEN 14

enum {
    XT_ETH_TYPE_IPV4 = 0x0800,
    XT_ETH_TYPE_ARP = 0x0806,
    XT_ETH_TYPE_VLAN = 0x8100,
    XT_ETH_TYPE_IPV6 = 0x86dd,
};

struct xt_eth {
    uint8_t dst[6], src[6];
    uint16_t type; /* XT_ETH_TYPE_*; below 0x600 it is an IEEE 802.3 length */
};

/* Parses the header of the frame at `p`; what it carries starts XT_ETH_HDR_LEN bytes later.
 * Returns 0, or -EBADMSG when `len` is too short for it. */
int xt_eth_parse(const uint8_t *p, size_t len, struct xt_eth *eth);

/* Writes the header to `p` (at least XT_ETH_HDR_LEN bytes). Returns XT_ETH_HDR_LEN. */
size_t xt_eth_emit(uint8_t *p, const struct xt_eth *eth);

/* True for broadcast and multicast addresses: the group bit. */
static inline bool xt_eth_is_group(const uint8_t mac[6])
{
    return (mac[0] & 1) != 0;
}

#endif
