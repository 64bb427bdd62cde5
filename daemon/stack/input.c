/* SPDX-License-Identifier: Apache-2.0
 * A frame on its way up: Ethernet, ARP or IPv4, fragments, then ICMP or TCP. Frames larger than the MTU are taken: the sender
 * or the device has put segments together. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "daemon/stack/internal.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/eth.h"

/* Can `addr` be a peer's? Not 0/8, 127/8, class D and E, or the broadcast address of our link (RFC 1122 section 3.2.1.3). */
bool xt_ip_is_host(const struct xt_stack *s, uint32_t addr)
{
    uint32_t a = ntohl(addr), own = ntohl(s->cfg.addr);
    uint32_t host = s->cfg.prefix < 31 ? ~0u >> s->cfg.prefix : 0;
    if (a >> 24 == 0 || a >> 24 == 127 || a >> 28 >= 14)
        return false;
    return !host || (a | host) != (own | host) || ((a & host) != host && (a & host) != 0);
}

static void tcp_input(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *p, size_t len,
                      const struct xt_rx *rx)
{
    if (rx->group)
        s->stats.drop_group++; /* RFC 9293 MUST-57 */
    else if (!rx->trusted && !xt_csum_tcp4_verify(ip->src, ip->dst, p, len))
        s->stats.drop_checksum_tcp++;
    else
        xt_demux_input(s, ip, p, len, rx);
}

/* Our address in the header's destination field is not the last of a source route, or source routes are not wanted: then the
 * packet is dropped. We forward nothing. */
static bool route_ok(struct xt_stack *s, const uint8_t *pkt, const struct xt_ipv4 *ip, struct xt_rx *rx,
                     struct xt_ipopt *back)
{
    enum xt_route_state route = xt_ipopt_route_back(back, pkt, ip->hdr_len);
    if (route == XT_ROUTE_PASSING || (route == XT_ROUTE_DONE && !s->cfg.source_route)) {
        s->stats.drop_source_route++;
        return false;
    }
    if (route == XT_ROUTE_DONE)
        rx->back = back;
    return true;
}

static void deliver_plain(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *pkt, const struct xt_rx *rx)
{
    const uint8_t *p = pkt + ip->hdr_len;
    size_t len = ip->total_len - (size_t)ip->hdr_len;
    if (ip->proto == XT_IPPROTO_TCP) {
        tcp_input(s, ip, p, len, rx);
    } else if (ip->proto == XT_IPPROTO_ICMP) {
        xt_icmp_input(s, ip, p, len, rx);
    } else {
        bool ports = ip->proto == XT_IPPROTO_UDP; /* RFC 1122 section 3.2.2.1: no demultiplexing, or no such protocol */
        s->stats.drop_protocol++;
        xt_icmp_error(s, XT_ICMP_UNREACHABLE, ports ? XT_ICMP_PORT_UNREACH : XT_ICMP_PROTO_UNREACH, pkt, ip->total_len,
                      rx);
    }
}

/* A whole packet to our address. */
static void deliver(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *pkt, const struct xt_rx *rx)
{
    struct xt_ipopt back;
    struct xt_rx with;
    if (ip->hdr_len == XT_IPV4_HDR_LEN) {
        deliver_plain(s, ip, pkt, rx);
        return;
    }
    with = *rx;
    if (route_ok(s, pkt, ip, &with, &back))
        deliver_plain(s, ip, pkt, &with);
}

static void reassemble(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *p, const struct xt_rx *rx)
{
    struct xt_rx whole = {.mac = rx->mac, .group = rx->group}; /* no device has seen the whole: verify */
    struct xt_ipv4 all;
    size_t len;
    const uint8_t *pkt = xt_reass_input(s, ip, p, rx, &len);
    if (pkt && xt_ipv4_parse(pkt, len, &all) == 0)
        deliver(s, &all, pkt, &whole);
}

void xt_ip_input(struct xt_stack *s, const uint8_t *p, size_t len, const struct xt_rx *rx)
{
    struct xt_ipv4 ip;
    int r = xt_ipv4_parse(p, len, &ip);
    if (r == -EILSEQ) {
        s->stats.drop_checksum_ip++;
    } else if (r != 0) {
        if (len < XT_IPV4_HDR_LEN || len < (size_t)p[2] * 256 + p[3])
            s->stats.drop_short++;
        else
            s->stats.drop_bad_ip++;
    } else if (ip.dst != s->cfg.addr) {
        s->stats.drop_not_ours++;
    } else if (rx->mac && (ip.src == s->cfg.addr || !xt_ip_is_host(s, ip.src))) {
        s->stats.drop_martian++;
    } else if (xt_ipv4_is_fragment(&ip)) {
        reassemble(s, &ip, p, rx);
    } else {
        deliver(s, &ip, p, rx);
    }
}

void xt_stack_input(struct xt_stack *s, const uint8_t *frame, size_t len, const struct virtio_net_hdr *vnet,
                    uint64_t now_us)
{
    struct xt_eth eth;
    xt_stack_at(s, now_us);
    s->stats.frames_in++;
    if (s->capture)
        xt_capture_put(s, frame, len, NULL, 0, 0);
    if (xt_eth_parse(frame, len, &eth) != 0) {
        s->stats.drop_short++;
        return;
    }
    const uint8_t *p = frame + XT_ETH_HDR_LEN;
    len -= XT_ETH_HDR_LEN;
    if (now_us < s->overload.until && !xt_overload_admit(s, eth.type, p, len))
        return;
    if (eth.type == XT_ETH_TYPE_ARP) {
        xt_arp_input(s, p, len);
    } else if (eth.type == XT_ETH_TYPE_IPV4) {
        struct xt_rx rx = {.mac = eth.src, .group = xt_eth_is_group(eth.dst)};
        if (vnet) {
            rx.trusted = vnet->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID);
            rx.gso_size = vnet->gso_type != VIRTIO_NET_HDR_GSO_NONE ? vnet->gso_size : 0;
        }
        s->stats.super_in += len > s->cfg.mtu;
        xt_ip_input(s, p, len, &rx);
    } else {
        s->stats.drop_ethertype++;
    }
}
