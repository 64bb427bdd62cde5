/* SPDX-License-Identifier: Apache-2.0
 * The IPv4 header (RFC 791). Its options are the matter of ipopt.h. */
#ifndef XT_WIRE_IPV4_H
#define XT_WIRE_IPV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XT_IPV4_HDR_LEN 20     /* without options: what xt_ipv4_emit() writes */
#define XT_IPV4_HDR_LEN_MAX 60 /* with all options */

enum { XT_IPPROTO_ICMP = 1, XT_IPPROTO_TCP = 6, XT_IPPROTO_UDP = 17 };

struct xt_ipv4 {
    uint8_t hdr_len; /* input: bytes, options included, a multiple of 4 from 20 to 60; output: not used */
    uint8_t tos;     /* DSCP and, in the two low bits, ECN */
    uint8_t ttl;
    uint8_t proto; /* XT_IPPROTO_* */
    uint16_t id;
    uint16_t total_len; /* bytes, header included */
    uint16_t frag_off;  /* bytes, a multiple of 8; not 0: not the first fragment */
    bool df;            /* don't fragment */
    bool mf;            /* more fragments follow */
    uint32_t src, dst;  /* network byte order */
};

/* Parses the header of the packet at `p`; `len` bytes are there, perhaps with link-layer padding behind. The payload is at
 * p + ip->hdr_len, ip->total_len - ip->hdr_len bytes. Returns 0; -EBADMSG when the version or a length is wrong or the
 * packet is truncated; -EILSEQ when the header checksum is wrong. */
int xt_ipv4_parse(const uint8_t *p, size_t len, struct xt_ipv4 *ip);

/* As xt_ipv4_parse() for a packet quoted by an ICMP error: only the header must be there, its checksum is not verified
 * (routers change the header before they quote it) and total_len may exceed `len`. Returns 0 or -EBADMSG. */
int xt_ipv4_parse_quoted(const uint8_t *p, size_t len, struct xt_ipv4 *ip);

/* Writes the header with its checksum, without options, to `p` (at least XT_IPV4_HDR_LEN bytes). `ip->total_len` must count
 * a header of XT_IPV4_HDR_LEN. Returns XT_IPV4_HDR_LEN. */
size_t xt_ipv4_emit(uint8_t *p, const struct xt_ipv4 *ip);

/* As xt_ipv4_emit() with `optlen` bytes of options (a multiple of 4, at most 40), which are at p + XT_IPV4_HDR_LEN already;
 * `ip->total_len` counts them too. Returns the header's length. */
size_t xt_ipv4_emit_options(uint8_t *p, const struct xt_ipv4 *ip, size_t optlen);

/* True for a fragment, the first one included. */
static inline bool xt_ipv4_is_fragment(const struct xt_ipv4 *ip)
{
    return ip->mf || ip->frag_off != 0;
}

#endif
