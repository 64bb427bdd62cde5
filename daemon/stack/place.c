/* SPDX-License-Identifier: Apache-2.0
 * The short way for bulk data: the headers alone tell where the payload belongs, so that the packet device can copy it from the
 * kernel straight to there. Whatever is not plain takes the ordinary way (input.c). */
#include "daemon/stack/internal.h"
#include "daemon/wire/eth.h"

uint8_t *xt_stack_place(struct xt_stack *s, const uint8_t *frame, size_t have, size_t len,
                        const struct virtio_net_hdr *vnet, uint32_t *head)
{
    struct xt_placed *pl = &s->placed;
    struct xt_eth eth;
    struct xt_ipv4 ip;
    const uint8_t *p = frame + XT_ETH_HDR_LEN;
    if (!(vnet->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) ||
        have < XT_ETH_HDR_LEN + 60 + XT_TCP_HDR_MAX || xt_eth_parse(frame, len, &eth) != 0 ||
        eth.type != XT_ETH_TYPE_IPV4 || xt_eth_is_group(eth.dst) || xt_ipv4_parse(p, len - XT_ETH_HDR_LEN, &ip) != 0 ||
        ip.proto != XT_IPPROTO_TCP || ip.hdr_len != XT_IPV4_HDR_LEN || ip.dst != s->cfg.addr ||
        xt_ipv4_is_fragment(&ip) || xt_seg_parse(p + ip.hdr_len, ip.total_len - (size_t)ip.hdr_len, &pl->seg) != 0)
        return NULL;
    pl->flow = (struct xt_flow){
        .local = xt_addr_v4(ip.dst), .remote = xt_addr_v4(ip.src), .lport = pl->seg.dport, .rport = pl->seg.sport};
    pl->conn = xt_flowmap_find(&s->flows, &pl->flow);
    if (pl->conn == XT_FLOW_NONE)
        return NULL;
    pl->seg.ecn = ip.tos & 3;
    pl->seg.ttl = ip.ttl;
    pl->seg.gso_size = vnet->gso_type != VIRTIO_NET_HDR_GSO_NONE ? vnet->gso_size : 0;
    *head = (uint32_t)(pl->seg.payload - frame);
    if (len != *head + (size_t)pl->seg.len)
        return NULL; /* padded: the rest would go where it does not belong */
    memcpy(pl->mac, eth.src, sizeof pl->mac);
    uint8_t *dst = xt_tcp_place(&s->conns[pl->conn], s->side[pl->conn].rx, &pl->seg);
    pl->seg.payload = dst;
    if (dst && s->capture)
        xt_capture_put(s, frame, have, NULL, 0, len - have);
    return dst;
}

void xt_stack_input_placed(struct xt_stack *s, uint64_t now_us)
{
    struct xt_rx rx = {.mac = s->placed.mac, .trusted = true, .gso_size = s->placed.seg.gso_size};
    s->now = now_us;
    s->stats.frames_in++;
    s->stats.super_in++;
    s->stats.placed_in++;
    xt_demux_conn(s, s->placed.conn, &s->placed.flow, &s->placed.seg, &rx);
}
