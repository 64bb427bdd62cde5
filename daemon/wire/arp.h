/* SPDX-License-Identifier: Apache-2.0
 * ARP for IPv4 over Ethernet (RFC 826). */
#ifndef XT_WIRE_ARP_H
#define XT_WIRE_ARP_H

#include <stddef.h>
#include <stdint.h>

#define XT_ARP_LEN 28

enum { XT_ARP_REQUEST = 1, XT_ARP_REPLY = 2 };

struct xt_arp {
    uint16_t op;    /* XT_ARP_REQUEST, XT_ARP_REPLY, or what else was received */
    uint8_t sha[6]; /* sender's hardware address */
    uint32_t spa;   /* sender's protocol address, network byte order */
    uint8_t tha[6]; /* target's hardware address */
    uint32_t tpa;   /* target's protocol address, network byte order */
};

/* Parses the packet at `p` (behind the Ethernet header); padding after it is ignored. Returns 0; -EBADMSG when it is
 * truncated; -EPROTONOSUPPORT when it is not about IPv4 over Ethernet. */
int xt_arp_parse(const uint8_t *p, size_t len, struct xt_arp *arp);

/* Writes the packet to `p` (at least XT_ARP_LEN bytes). Returns XT_ARP_LEN. */
size_t xt_arp_emit(uint8_t *p, const struct xt_arp *arp);

#endif
