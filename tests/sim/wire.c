/* SPDX-License-Identifier: Apache-2.0
 * Segments become bytes with a checksum and back; super-segments are cut as a device with TSO does it, then the
 * middlebox has its way with them and the link's MTU is looked at. */
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/checksum.h"
#include "tests/sim/net.h"

#define CSUM_OFFSET 16

static void tell_too_big(struct net *n, unsigned to, uint32_t seq, uint32_t len, uint32_t mtu)
{
    struct host *h = &n->host[to];
    if (h->n_icmp < ICMP_MAX)
        h->icmp[h->n_icmp++] = (struct icmp_event){n->now + n->p.link[to].delay, seq, len, mtu};
}

static void to_link(struct net *n, unsigned from, const struct xt_seg *s)
{
    uint8_t buf[XT_TCP_HDR_MAX + 65536];
    struct link *l = &n->link[from];
    size_t hlen = xt_seg_emit(buf, s);
    uint32_t mtu = link_mtu(l, n->now), len = (uint32_t)(hlen + s->len) + LINK_IP_HDR;
    if (len > mtu) {
        n->too_big++;
        net_log(n, from, "a packet of %u is too big for the path", len);
        if (l->cfg.icmp)
            tell_too_big(n, from, middlebox_undo_seq(&n->p.box, from, s->seq), len, mtu);
        return;
    }
    if (s->len)
        memcpy(buf + hlen, s->payload, s->len);
    uint32_t src = xt_addr_to_v4(&n->host[from].addr.addr), dst = xt_addr_to_v4(&n->host[!from].addr.addr);
    struct iovec iov = {buf + hlen, s->len};
    xt_be16_store(buf + CSUM_OFFSET, xt_csum_tcp4(src, dst, buf, hlen, &iov, 1));
    link_send(l, n->now, buf, hlen + s->len, s->ecn);
}

uint16_t wire_mss(const struct net *n, unsigned from)
{
    uint16_t mss = n->p.host[!from].tcp.mss;
    if (n->p.box.strip & XT_OPT_MSS)
        return 536; /* MUST-15 */
    return n->p.box.clamp_mss && n->p.box.clamp_mss < mss ? n->p.box.clamp_mss : mss;
}

static void check_size(struct net *n, unsigned from, const struct xt_seg *s)
{
    uint8_t buf[XT_TCP_HDR_MAX];
    size_t hlen = xt_seg_emit(buf, s);
    uint32_t mss = wire_mss(n, from);
    if (hlen + s->len > XT_TCP_HDR_MIN + (size_t)mss)
        net_fail(n, "host %u sends %u bytes and %zu of header, over the peer's MSS of %u", from, s->len, hlen, mss);
}

static void send_one(struct net *n, unsigned from, const struct xt_seg *s)
{
    struct xt_seg seg = *s, part;
    uint32_t off = 0;
    check_size(n, from, s);
    middlebox_rewrite(&n->p.box, from, &seg);
    for (bool more = true; more; off += part.len) {
        more = middlebox_part(&n->p.box, &seg, off, &part);
        n->segs_sent++;
        to_link(n, from, &part);
    }
}

void wire_send(struct net *n, unsigned from, const struct ep *e, const struct xt_seg *s)
{
    uint8_t payload[65536];
    uint32_t cut = s->gso_size ? s->gso_size : s->len;
    if (s->len > sizeof payload) {
        net_fail(n, "host %u sends a payload of %u", from, s->len);
        return;
    }
    if (s->len)
        ep_copy_payload(e, s, payload);
    uint32_t off = 0;
    do {
        struct xt_seg one = *s;
        bool last = s->len - off <= cut;
        one.len = last ? s->len - off : cut;
        one.payload = payload + off;
        one.seq += off;
        if (!last)
            one.flags &= (uint8_t) ~(XT_TH_FIN | XT_TH_PSH);
        if (off)
            one.flags &= (uint8_t)~XT_TH_CWR;
        send_one(n, from, &one);
        off += one.len;
    } while (off < s->len);
}

bool wire_parse(struct net *n, unsigned to, const struct packet *p, struct xt_seg *s)
{
    uint32_t src = xt_addr_to_v4(&n->host[!to].addr.addr), dst = xt_addr_to_v4(&n->host[to].addr.addr);
    memset(s, 0, sizeof *s);
    if (!xt_csum_tcp4_verify(src, dst, p->bytes, p->len)) {
        net_log(n, to, "drops a packet with a bad checksum");
        return false;
    }
    if (p->corrupted)
        return false; /* flips that cancel out in the sum: the link layer's own check finds them */
    if (xt_seg_parse(p->bytes, p->len, s) < 0) {
        net_fail(n, "a packet with a good checksum does not parse");
        return false;
    }
    s->ecn = p->ecn;
    return true;
}
