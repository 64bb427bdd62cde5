/* SPDX-License-Identifier: Apache-2.0
 * Segments become bytes with a checksum and back; super-segments are cut as a device with TSO does it. */
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/checksum.h"
#include "tests/sim/net.h"

#define CSUM_OFFSET 16

static void send_one(struct net *n, unsigned from, const struct xt_seg *s, const uint8_t *payload)
{
    uint8_t buf[XT_TCP_HDR_MAX + 65536];
    size_t hlen = xt_seg_emit(buf, s);
    uint16_t peer_mss = n->p.host[!from].tcp.mss;
    if (hlen + s->len > XT_TCP_HDR_MIN + (size_t)peer_mss)
        net_fail(n, "host %u sends %u bytes and %zu of header, over the peer's MSS of %u", from, s->len, hlen,
                 peer_mss);
    if (s->len)
        memcpy(buf + hlen, payload, s->len);
    uint32_t src = xt_addr_to_v4(&n->host[from].addr.addr), dst = xt_addr_to_v4(&n->host[!from].addr.addr);
    struct iovec iov = {buf + hlen, s->len};
    xt_be16_store(buf + CSUM_OFFSET, xt_csum_tcp4(src, dst, buf, hlen, &iov, 1));
    n->segs_sent++;
    link_send(&n->link[from], n->now, buf, hlen + s->len);
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
        one.seq += off;
        if (!last)
            one.flags &= (uint8_t) ~(XT_TH_FIN | XT_TH_PSH);
        if (off)
            one.flags &= (uint8_t)~XT_TH_CWR;
        send_one(n, from, &one, payload + off);
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
    return true;
}
