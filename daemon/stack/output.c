/* SPDX-License-Identifier: Apache-2.0
 * A segment on its way down: one buffer for the headers of all layers, payload straight from the send ring. The device
 * finishes the checksum and cuts super-segments (virtio_net_hdr). */
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/base/crash.h"
#include "daemon/base/macros.h"
#include "daemon/stack/internal.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/eth.h"

#define L4_OFF (XT_ETH_HDR_LEN + XT_IPV4_HDR_LEN)
#define HDR_INLINE 256 /* what `tx` copies */
#define PASSES 64      /* local turns of one xt_stack_output() */
/* As max_len: no super-segments. Devices that cut them compute the pseudo-header from the IP header's destination, which with
 * a source route is only the next hop. */
#define PLAIN 1
#define DATAGRAM_MAX 65000u  /* payload that an IPv4 packet has room for, whatever its headers */
#define LOCAL_MAX (1u << 30) /* likewise, to ourselves: only the window is a limit */

struct frame {
    struct virtio_net_hdr vnet;
    uint8_t hdr[HDR_INLINE];
    size_t len; /* of hdr */
};

void xt_out_frame(struct xt_stack *s, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen,
                  const struct iovec *iov, unsigned niov)
{
    if (s->ops.tx(s->ops.arg, vnet, hdr, hdrlen, iov, niov) != 0) {
        s->stats.drop_tx_full++;
        return;
    }
    s->stats.frames_out++;
    if (s->capture)
        xt_capture_put(s, hdr, hdrlen, iov, niov, 0);
}

static void put_eth(const struct xt_stack *s, uint8_t *p, const uint8_t *mac)
{
    struct xt_eth eth = {.type = XT_ETH_TYPE_IPV4};
    memcpy(eth.dst, mac, 6);
    memcpy(eth.src, s->cfg.mac, 6);
    xt_eth_emit(p, &eth);
}

/* Headers of a TCP segment, without the Ethernet addresses; the checksum is that of the pseudo-header, which has the last
 * destination whatever the next hop of a source route is (RFC 9293 section 3.9.2.1). `opt`: of the connection, NULL without
 * one; `o`: IP options or NULL. */
static void build(struct xt_stack *s, struct frame *f, uint32_t src, uint32_t dst, const struct xt_seg *seg,
                  const struct xt_tcp_sockopt *opt, const struct xt_ipopt *o)
{
    size_t optlen = o ? o->len : 0, l4 = L4_OFF + optlen, thl = xt_seg_emit(f->hdr + l4, seg);
    uint16_t tcp_len = (uint16_t)(thl + seg->len);
    bool super = seg->gso_size && seg->len > seg->gso_size;
    struct xt_ipv4 ip = {.tos = (uint8_t)((opt ? opt->tos & ~3u : 0) | (seg->ecn & 3)),
                         .ttl = opt && opt->ttl ? opt->ttl : s->cfg.ttl,
                         .proto = XT_IPPROTO_TCP,
                         .id = s->ip_id,
                         .total_len = (uint16_t)(XT_IPV4_HDR_LEN + optlen + tcp_len),
                         .df = !seg->may_fragment,
                         .src = src,
                         .dst = xt_ipopt_first_hop(o, dst)};
    s->ip_id += super ? (uint16_t)((seg->len + seg->gso_size - 1u) / seg->gso_size) : 1;
    if (optlen)
        xt_ipopt_emit(f->hdr + L4_OFF, o, src, dst, s->now_ms);
    xt_ipv4_emit_options(f->hdr + XT_ETH_HDR_LEN, &ip, optlen);
    xt_be16_store(f->hdr + l4 + 16, xt_csum_pseudo4(src, dst, XT_IPPROTO_TCP, tcp_len));
    f->len = l4 + thl;
    f->vnet = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                      .csum_start = (uint16_t)l4,
                                      .csum_offset = 16,
                                      .hdr_len = (uint16_t)f->len};
    if (super) {
        /* CWR belongs to the first of the segments only. */
        f->vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | (seg->flags & XT_TH_CWR ? VIRTIO_NET_HDR_GSO_ECN : 0);
        f->vnet.gso_size = seg->gso_size;
        s->stats.super_out++;
    }
}

static void send_built(struct xt_stack *s, struct frame *f, const uint8_t *mac, const struct iovec *iov, unsigned niov)
{
    put_eth(s, f->hdr, mac);
    xt_out_frame(s, &f->vnet, f->hdr, f->len, iov, niov);
}

/* The payload's place in the send ring, in one or two pieces. */
static unsigned payload(const struct xt_stack *s, const struct xt_conn *c, const struct xt_seg *seg,
                        struct iovec iov[2])
{
    if (!seg->len)
        return 0;
    uint8_t *tx = s->side[c->index].tx;
    uint32_t off = (uint32_t)(seg->tx_off & (c->tx_size - 1)), first = XT_MIN(seg->len, c->tx_size - off);
    iov[0] = (struct iovec){tx + off, first};
    iov[1] = (struct iovec){tx, seg->len - first};
    return first < seg->len ? 2 : 1;
}

/* Cut to what an IPv4 packet can say of its length; checksums are as of a frame that the device would finish. */
void xt_out_show(struct xt_stack *s, const struct xt_conn *c, const struct xt_seg *seg,
                 const struct xt_tcp_sockopt *opt)
{
    struct frame f;
    struct iovec iov[2];
    struct xt_seg part = *seg;
    uint32_t left = seg->len;
    part.gso_size = 0;
    do {
        part.len = XT_MIN(left, DATAGRAM_MAX);
        left -= part.len;
        part.flags = left ? seg->flags & (uint8_t) ~(XT_TH_FIN | XT_TH_PSH) : seg->flags;
        build(s, &f, s->cfg.addr, s->cfg.addr, &part, opt, NULL);
        put_eth(s, f.hdr, s->cfg.mac);
        xt_capture_put(s, f.hdr, f.len, iov, c ? payload(s, c, &part, iov) : 0, 0);
        part.seq += part.len;
        part.tx_off += part.len;
    } while (left && s->capture);
}

/* Up to `n` bytes of the payload from `at` on, in one or two pieces. */
static unsigned pieces(const struct xt_seg *seg, uint32_t at, uint32_t n, struct iovec iov[2])
{
    uint32_t first = seg->part ? seg->part : seg->len, here = at < first ? XT_MIN(n, first - at) : 0;
    unsigned k = 0;
    if (here)
        iov[k++] = (struct iovec){(void *)(uintptr_t)(seg->payload + at), here};
    if (here < n)
        iov[k++] = (struct iovec){(void *)(uintptr_t)(seg->more + (at + here - first)), n - here};
    return k;
}

void xt_out_pass(struct xt_stack *s, uint32_t to, const struct xt_visit *v, const struct xt_conn *c,
                 const struct xt_seg *seg)
{
    struct frame f;
    struct iovec iov[3];
    struct xt_seg part = *seg;
    uint32_t at = 0;
    part.gso_size = 0;
    do {
        part.len = XT_MIN(seg->len - at, DATAGRAM_MAX);
        part.seq = seg->seq + at;
        part.flags = at + part.len < seg->len ? seg->flags & (uint8_t) ~(XT_TH_FIN | XT_TH_PSH) : seg->flags;
        build(s, &f, s->cfg.addr, s->cfg.addr, &part, c ? &c->opt : NULL, NULL);
        iov[0] = (struct iovec){f.hdr + XT_ETH_HDR_LEN, f.len - XT_ETH_HDR_LEN};
        xt_crew_pass_pieces(s, to, v, iov, 1 + pieces(seg, at, part.len, iov + 1));
        at += part.len;
    } while (at < seg->len);
}

enum hop { HOP_OK, HOP_WAIT, HOP_NO_ROUTE, HOP_NO_NEIGHBOUR };

/* The neighbour that the connection's segments go to; remembered beside the record. */
static enum hop next_hop(struct xt_stack *s, const struct xt_conn *c, uint16_t *n)
{
    struct xt_side *d = &s->side[c->index];
    if (d->route_gen != s->route_gen) {
        if (xt_ipopts_hop(s, xt_ipopts_of(s, c), xt_addr_to_v4(&c->remote.addr), &d->nexthop) != 0)
            return HOP_NO_ROUTE;
        d->route_gen = s->route_gen;
    }
    if (s->neigh[d->neigh].addr != d->nexthop) {
        uint16_t found = xt_arp_resolve(s, d->nexthop, c->state == XT_SYN_RECV);
        if (found == XT_NEIGH_NONE)
            return HOP_NO_NEIGHBOUR;
        d->neigh = found;
    }
    *n = d->neigh;
    if (s->neigh[*n].state == XT_NEIGH_FAILED) {
        if (c->state != XT_SYN_SENT)
            return HOP_NO_NEIGHBOUR;
        xt_arp_retry(s, *n);
    }
    return s->neigh[*n].state == XT_NEIGH_INCOMPLETE ? HOP_WAIT : HOP_OK;
}

static bool tx_full(const struct xt_stack *s)
{
    return s->ops.tx_room && s->ops.tx_room(s->ops.arg) == 0;
}

/* A segment that goes nowhere is a lost packet to the core, whose timers then do what is right. */
static void count_lost(struct xt_stack *s, enum hop hop)
{
    if (hop == HOP_NO_ROUTE)
        s->stats.drop_no_route++;
    else if (hop == HOP_NO_NEIGHBOUR)
        s->stats.drop_no_neighbour++;
    else
        s->stats.drop_no_ring++;
}

/* Bound of a segment's payload, 0 for the usual one. A source route to ourselves is not travelled. */
static uint32_t max_len(bool local, const struct xt_ipopt *o)
{
    if (local)
        return LOCAL_MAX;
    return o && o->route ? PLAIN : 0;
}

/* All that could keep the segment here is asked before the core makes it: what it has made counts as sent. */
enum xt_sent xt_out_conn(struct xt_stack *s, struct xt_conn *c)
{
    struct xt_seg seg;
    struct frame f;
    struct iovec iov[2];
    enum hop hop = HOP_OK;
    uint16_t n = 0;
    bool local = c->flags & XT_CONN_LOCAL;

    if (local ? !xt_local_room(s) : tx_full(s))
        return local ? XT_SENT_LOCAL_FULL : XT_SENT_FULL;
    if (!local && (hop = next_hop(s, c, &n)) == HOP_WAIT) {
        xt_list_remove(s, c->index);
        xt_list_append(s, &s->neigh[n].waiters, (uint16_t)(XT_LIST_NEIGH + n), c->index);
        return XT_SENT_WAITS;
    }
    const struct xt_ipopt *o = xt_ipopts_of(s, c);
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    bool any = xt_tcp_output(c, &ctx, &seg, max_len(local, o));
    if (any)
        xt_board_check(s, c);
    XT_CRASH_POINT_OF(c->local.port);
    xt_conn_end(s); /* before the segment leaves: a peer never acknowledges what a successor does not know of */
    XT_CRASH_POINT();
    if (!any)
        return XT_SENT_NONE;
    if (hop != HOP_OK || (seg.len && !s->side[c->index].tx)) {
        count_lost(s, hop);
        return XT_SENT_ONE;
    }
    if (local) {
        if (s->capture)
            xt_out_show(s, c, &seg, &c->opt);
        xt_local_put(s, &seg, c);
    } else {
        xt_arp_use(s, n);
        build(s, &f, xt_addr_to_v4(&c->local.addr), xt_addr_to_v4(&c->remote.addr), &seg, &c->opt, o);
        send_built(s, &f, s->neigh[n].mac, iov, payload(s, c, &seg, iov));
    }
    if (seg.len && c->flags & XT_CONN_TELL_SENT)
        s->ops.event(s->ops.arg, c, XT_EV_WRITABLE);
    return XT_SENT_ONE;
}

/* Where a segment without a connection goes when no received frame tells: false and counted when that is not known now. */
static bool reply_hop(struct xt_stack *s, uint32_t dst, const struct xt_ipopt *o, const uint8_t **mac)
{
    uint32_t hop;
    if (xt_ipopts_hop(s, o, dst, &hop) != 0) {
        s->stats.drop_no_route++;
        return false;
    }
    uint16_t n = xt_arp_resolve(s, hop, true);
    if (n == XT_NEIGH_NONE || (s->neigh[n].state != XT_NEIGH_REACHABLE && s->neigh[n].state != XT_NEIGH_STALE)) {
        s->stats.drop_no_neighbour++;
        return false;
    }
    xt_arp_use(s, n);
    *mac = s->neigh[n].mac;
    return true;
}

void xt_out_reply(struct xt_stack *s, uint32_t src, uint32_t dst, const struct xt_seg *seg, const uint8_t *mac,
                  const struct xt_tcp_sockopt *opt, const struct xt_ipopt *ipopt)
{
    struct frame f;
    if (dst == s->cfg.addr) {
        if (!xt_local_room(s)) {
            s->stats.drop_local_full++;
            return;
        }
        if (s->capture)
            xt_out_show(s, NULL, seg, opt);
        xt_local_put(s, seg, NULL);
        return;
    }
    if (!mac && !reply_hop(s, dst, ipopt, &mac))
        return;
    build(s, &f, src, dst, seg, opt, ipopt);
    send_built(s, &f, mac, NULL, 0);
}

/* One fragment or whole packet; a payload that `tx` would not copy goes to a place that outlives this call. */
static void out_ip_one(struct xt_stack *s, const uint8_t *mac, const struct xt_ipv4 *ip, const uint8_t *p, size_t len)
{
    static const struct virtio_net_hdr plain;
    uint8_t hdr[HDR_INLINE];
    put_eth(s, hdr, mac);
    xt_ipv4_emit(hdr + XT_ETH_HDR_LEN, ip);
    if (L4_OFF + len <= sizeof hdr) {
        memcpy(hdr + L4_OFF, p, len);
        xt_out_frame(s, &plain, hdr, L4_OFF + len, NULL, 0);
        return;
    }
    struct iovec iov = {s->scratch + (size_t)(s->scratch_next++ % XT_SCRATCH_SLOTS) * s->scratch_size, len};
    memcpy(iov.iov_base, p, len);
    xt_out_frame(s, &plain, hdr, L4_OFF, &iov, 1);
}

void xt_out_ip(struct xt_stack *s, const uint8_t *mac, uint32_t dst, uint8_t proto, const uint8_t *p, size_t len)
{
    size_t room = s->cfg.mtu - XT_IPV4_HDR_LEN, piece = len <= room ? len : room / 8 * 8;
    uint16_t id = s->ip_id++;
    if (!mac || len > 65535 - XT_IPV4_HDR_LEN)
        return;
    for (size_t off = 0; off < len; off += piece) {
        size_t n = XT_MIN(piece, len - off);
        struct xt_ipv4 ip = {.ttl = s->cfg.ttl,
                             .proto = proto,
                             .id = id,
                             .total_len = (uint16_t)(XT_IPV4_HDR_LEN + n),
                             .frag_off = (uint16_t)off,
                             .mf = off + n < len,
                             .src = s->cfg.addr,
                             .dst = dst};
        out_ip_one(s, mac, &ip, p + off, n);
    }
}

/* One segment for each ready connection in turn. True when the device is full; `*local` when the local queue is. */
static bool rounds(struct xt_stack *s, bool *local)
{
    *local = false;
    while (s->ready.head && !*local) {
        uint32_t i = s->ready.head - 1;
        struct xt_conn *c = &s->conns[i];
        xt_list_remove(s, i);
        enum xt_sent r = xt_out_conn(s, c);
        if (r == XT_SENT_FULL) {
            xt_list_prepend(s, &s->ready, XT_LIST_READY, i);
            return true;
        }
        *local = r == XT_SENT_LOCAL_FULL;
        if (*local || (r == XT_SENT_ONE && xt_tcp_wants_output(c)))
            xt_conn_ready(s, c);
        xt_conn_rests(s, c);
        xt_wheel_set(&s->wheel, i, xt_tcp_deadline(c, s->now));
    }
    return false;
}

void xt_stack_send_now(struct xt_stack *s, struct xt_conn *c, uint64_t now_us)
{
    xt_stack_at(s, now_us);
    while (xt_tcp_wants_output(c) && xt_out_conn(s, c) == XT_SENT_ONE)
        xt_wheel_set(&s->wheel, c->index, xt_tcp_deadline(c, s->now));
    xt_local_run(s); /* while it has its ring */
}

bool xt_stack_output(struct xt_stack *s, uint64_t now_us)
{
    bool local_full;
    xt_stack_at(s, now_us);
    for (unsigned pass = 0; pass < PASSES; pass++) {
        bool full = rounds(s, &local_full);
        bool moved = xt_local_run(s);
        if (full)
            return true;
        if (!moved && !s->ready.head)
            return false;
    }
    return true;
}
