/* SPDX-License-Identifier: Apache-2.0
 * Options of the IPv4 header (RFC 791 section 3.1): those an application sends with its segments, and the source route of a
 * received packet. */
#ifndef XT_WIRE_IPOPT_H
#define XT_WIRE_IPOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XT_IPOPT_MAX 40 /* bytes of options in a header */

/* Options to send, in the form that setsockopt(IP_OPTIONS) takes: a source route lists the hops, the first one first, without
 * the destination. Places are those in `data` plus one, 0: there is no such option. */
struct xt_ipopt {
    uint8_t len; /* bytes, a multiple of 4; 0: no options */
    uint8_t route, record, stamp;
    uint8_t data[XT_IPOPT_MAX];
};

/* What a received header says of its source route. */
enum xt_route_state {
    XT_ROUTE_NONE,
    XT_ROUTE_PASSING, /* hops are left: the destination is another */
    XT_ROUTE_DONE,    /* the packet is where it should be */
};

/* Takes options from an application, as Linux does: padded with zeros to a multiple of 4, and nothing but zeros after the end of the
 * list. No-operation, source routes, record route, time stamp and router alert are for everybody, all else only with `any`
 * (CAP_NET_RAW). Returns 0 or -EINVAL: longer than 40, malformed, two routes of a kind, or not for everybody. */
int xt_ipopt_read(struct xt_ipopt *o, const uint8_t *p, size_t len, bool any);

/* Where a packet to `dst` must go first: the first hop of the source route, else `dst`. Network byte order; `o` may be NULL. */
uint32_t xt_ipopt_first_hop(const struct xt_ipopt *o, uint32_t dst);

/* True for a strict source route: its first hop must be on the link. */
bool xt_ipopt_is_strict(const struct xt_ipopt *o);

/* Writes the options as they leave from `src` towards `dst`: o->len bytes at `p`, behind the IPv4 header. Routes are recorded
 * from here on; time stamps are `now_ms` of any clock, marked as such. */
void xt_ipopt_emit(uint8_t *p, const struct xt_ipopt *o, uint32_t src, uint32_t dst, uint32_t now_ms);

/* The source route of the IPv4 header at `hdr` (`len` bytes, checked by xt_ipv4_parse() or xt_ipv4_parse_quoted()). When it is done,
 * `back` is the way back (RFC 1122 section 3.2.1.8); back->len is 0 when that is the direct one. A malformed list of options ends
 * where it is malformed. */
enum xt_route_state xt_ipopt_route_back(struct xt_ipopt *back, const uint8_t *hdr, size_t len);

/* Where the packet is bound for in the end: the last hop of a route that is not done, else the header's destination. */
uint32_t xt_ipopt_final_dst(const uint8_t *hdr, size_t len);

#endif
