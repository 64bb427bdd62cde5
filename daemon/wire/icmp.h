/* SPDX-License-Identifier: Apache-2.0
 * ICMP for IPv4 (RFC 792, RFC 1191): echo, and errors with the packet they quote. */
#ifndef XT_WIRE_ICMP_H
#define XT_WIRE_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/ipv4.h"

#define XT_ICMP_HDR_LEN 8

/* Types. */
enum {
    XT_ICMP_ECHO_REPLY = 0,
    XT_ICMP_UNREACHABLE = 3,
    XT_ICMP_ECHO = 8,
    XT_ICMP_TIME_EXCEEDED = 11,
    XT_ICMP_PARAM_PROBLEM = 12,
};

/* Codes of XT_ICMP_UNREACHABLE. */
enum {
    XT_ICMP_NET_UNREACH = 0,
    XT_ICMP_HOST_UNREACH = 1,
    XT_ICMP_PROTO_UNREACH = 2,
    XT_ICMP_PORT_UNREACH = 3,
    XT_ICMP_FRAG_NEEDED = 4,
    XT_ICMP_SRC_ROUTE_FAILED = 5,
    XT_ICMP_NET_PROHIBITED = 9,
    XT_ICMP_HOST_PROHIBITED = 10,
    XT_ICMP_ADMIN_PROHIBITED = 13,
};

struct xt_icmp {
    uint8_t type, code;
    uint16_t id, seq;    /* of XT_ICMP_ECHO and XT_ICMP_ECHO_REPLY */
    uint16_t mtu;        /* of XT_ICMP_FRAG_NEEDED: next hop's, IP bytes; 0 from routers older than RFC 1191 */
    uint8_t pointer;     /* of XT_ICMP_PARAM_PROBLEM: the octet of the quoted packet that is wrong */
    const uint8_t *data; /* what follows the 8 bytes of header: the echo's payload or the quoted packet */
    size_t data_len;
};

/* The packet that an error quotes. */
struct xt_icmp_quote {
    struct xt_ipv4 ip;
    uint16_t sport, dport; /* host byte order, for TCP and UDP */
    uint32_t seq;          /* the TCP sequence number */
};

/* Parses the message at `p`, the whole payload of an IPv4 packet that is not a fragment. `m->data` points into `p`; members
 * that the type does not have are 0. Returns 0; -EBADMSG when it is truncated; -EILSEQ when the checksum is wrong;
 * -EPROTONOSUPPORT for types that are not listed above. */
int xt_icmp_parse(const uint8_t *p, size_t len, struct xt_icmp *m);

/* True when the type is that of an error, which quotes a packet and which no error may answer (RFC 1122 section 3.2.2). */
bool xt_icmp_is_error(uint8_t type);

/* Parses the packet that the error `m` quotes: IPv4 header and the first 8 bytes behind it (ports and, for TCP, sequence
 * number). Returns 0; -EBADMSG when less than that is quoted; -EPROTONOSUPPORT when it is neither TCP nor UDP, is not the
 * first fragment, or `m` is not an error. */
int xt_icmp_quote(const struct xt_icmp *m, struct xt_icmp_quote *q);

/* Writes the message with its checksum to `p` (`room` bytes, not overlapping m->data), the inverse of xt_icmp_parse().
 * Returns its length, XT_ICMP_HDR_LEN + m->data_len, or 0 when there is no room for it. */
size_t xt_icmp_emit(uint8_t *p, size_t room, const struct xt_icmp *m);

/* Writes the reply to the echo request `req`, all of its payload included. Returns as xt_icmp_emit(). */
size_t xt_icmp_emit_echo_reply(uint8_t *p, size_t room, const struct xt_icmp *req);

/* Writes a destination unreachable message of `code` (XT_ICMP_PORT_UNREACH, XT_ICMP_PROTO_UNREACH, ...) about the received
 * IPv4 packet at `pkt`, of which as much is quoted as keeps the IP packet within 576 bytes (RFC 1812 section 4.3.2.3).
 * `pkt` must have passed xt_ipv4_parse(), `len` being its total length. Returns as xt_icmp_emit(). */
size_t xt_icmp_emit_unreachable(uint8_t *p, size_t room, uint8_t code, const uint8_t *pkt, size_t len);

/* May an ICMP error answer the IPv4 packet at `pkt`, parsed as `ip`? Not when it is a later fragment, is from or to an
 * address that is not one host's, or is an ICMP error itself (RFC 1122 section 3.2.2). That it came in a unicast frame and
 * not to a subnet's broadcast address is the caller's to know. */
bool xt_icmp_may_answer(const uint8_t *pkt, const struct xt_ipv4 *ip);

#endif
