/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/flood/frames.h"

#include <arpa/inet.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/icmp.h"
#include "daemon/wire/seg.h"

#define IP_AT XT_ETH_HDR_LEN
#define L4_AT (IP_AT + XT_IPV4_HDR_LEN)
#define TEXT 512 /* bytes of payload */

static uint32_t any_sender(struct flood *f)
{
    return htonl(f->from + (uint32_t)rng_in(&f->rng, 0, f->spread - 1));
}

static uint16_t any_port(struct flood *f)
{
    return (uint16_t)rng_in(&f->rng, 1024, 65535);
}

static void eth(const struct flood *f, uint8_t *frame, const uint8_t dst[6], uint16_t type)
{
    struct xt_eth e = {.type = type};
    memcpy(e.dst, dst, 6);
    memcpy(e.src, f->from_mac, 6);
    xt_eth_emit(frame, &e);
}

/* The headers in front of `len` bytes that are at frame + L4_AT. */
static size_t ip(struct flood *f, uint8_t *frame, uint32_t src, uint8_t proto, size_t len)
{
    struct xt_ipv4 h = {.ttl = 64,
                        .proto = proto,
                        .id = (uint16_t)f->n,
                        .total_len = (uint16_t)(XT_IPV4_HDR_LEN + len),
                        .src = src,
                        .dst = f->to};
    eth(f, frame, f->mac, XT_ETH_TYPE_IPV4);
    xt_ipv4_emit(frame + IP_AT, &h);
    return L4_AT + len;
}

/* With seg->len bytes of payload, which are zero. */
static size_t tcp(struct flood *f, uint8_t *frame, uint32_t src, const struct xt_seg *seg)
{
    uint8_t *p = frame + L4_AT;
    size_t hdr = xt_seg_emit(p, seg);
    memset(p + hdr, 0, seg->len);
    struct iovec iov = {p + hdr, seg->len};
    xt_be16_store(p + 16, xt_csum_tcp4(src, f->to, p, hdr, &iov, 1));
    return ip(f, frame, src, XT_IPPROTO_TCP, hdr + seg->len);
}

/* A segment of nobody. */
static size_t stray(struct flood *f, uint8_t *frame, uint8_t flags, uint32_t len)
{
    struct xt_seg seg = {.sport = any_port(f),
                         .dport = f->port ? f->port : any_port(f),
                         .seq = (uint32_t)rng_u64(&f->rng),
                         .ack = flags & XT_TH_ACK ? (uint32_t)rng_u64(&f->rng) : 0,
                         .wnd = 64240,
                         .flags = flags,
                         .len = len};
    if (flags & XT_TH_SYN)
        seg.opt = (struct xt_tcp_opts){.present = XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS | XT_OPT_WSCALE,
                                       .mss = 1460,
                                       .wscale = 7,
                                       .tsval = (uint32_t)rng_u64(&f->rng)};
    return tcp(f, frame, any_sender(f), &seg);
}

static size_t make_syn(struct flood *f, uint8_t *frame)
{
    return stray(f, frame, XT_TH_SYN, 0);
}

static size_t make_ack(struct flood *f, uint8_t *frame)
{
    return stray(f, frame, XT_TH_ACK, 0);
}

static size_t make_rst(struct flood *f, uint8_t *frame)
{
    return stray(f, frame, XT_TH_RST, 0);
}

static size_t make_data(struct flood *f, uint8_t *frame)
{
    return stray(f, frame, XT_TH_ACK | XT_TH_PSH, TEXT);
}

/* Pieces of datagrams that never become whole: many of one and far apart, overlapping ones, a few of many. */
static size_t make_frag(struct flood *f, uint8_t *frame)
{
    unsigned how = (unsigned)rng_in(&f->rng, 0, 3);
    uint16_t piece = (uint16_t)(how == 1 ? 256 : 64);
    struct xt_ipv4 h = {.ttl = 64,
                        .proto = XT_IPPROTO_TCP,
                        .id = (uint16_t)(how == 0 ? f->n : f->n / 512),
                        .total_len = (uint16_t)(XT_IPV4_HDR_LEN + piece),
                        .frag_off = (uint16_t)(rng_in(&f->rng, 0, 400) * (how == 1 ? 8 : 128)),
                        .mf = true,
                        .src = how == 0 ? any_sender(f) : htonl(f->from + how),
                        .dst = f->to};
    eth(f, frame, f->mac, XT_ETH_TYPE_IPV4);
    xt_ipv4_emit(frame + IP_AT, &h);
    memset(frame + L4_AT, 0, piece);
    return L4_AT + (size_t)piece;
}

/* Requests of machines that do not exist, and now and then an answer that nobody has asked for. */
static size_t make_arp(struct flood *f, uint8_t *frame)
{
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    bool request = f->n % 8 != 0;
    struct xt_arp arp = {.op = request ? XT_ARP_REQUEST : XT_ARP_REPLY, .spa = any_sender(f), .tpa = f->to};
    memcpy(arp.sha, f->from_mac, 6);
    xt_be16_store(arp.sha + 4, (uint16_t)rng_u64(&f->rng));
    if (!request)
        memcpy(arp.tha, f->mac, 6);
    eth(f, frame, request ? all : f->mac, XT_ETH_TYPE_ARP);
    return XT_ETH_HDR_LEN + xt_arp_emit(frame + XT_ETH_HDR_LEN, &arp);
}

/* An error about a packet that `to:sport` is said to have sent to `peer:dport`. */
static size_t icmp_about(struct flood *f, uint8_t *frame, uint8_t type, uint8_t code, uint32_t peer, uint16_t sport,
                         uint16_t dport, uint32_t seq)
{
    uint8_t quote[XT_IPV4_HDR_LEN + 8];
    struct xt_ipv4 q = {.ttl = 60, .proto = XT_IPPROTO_TCP, .total_len = 1500, .src = f->to, .dst = peer};
    struct xt_icmp m = {.type = type, .code = code, .mtu = 68, .data = quote, .data_len = sizeof quote};
    xt_ipv4_emit(quote, &q);
    xt_be16_store(quote + XT_IPV4_HDR_LEN, sport);
    xt_be16_store(quote + XT_IPV4_HDR_LEN + 2, dport);
    xt_be32_store(quote + XT_IPV4_HDR_LEN + 4, seq);
    size_t len = xt_icmp_emit(frame + L4_AT, FRAME_MAX - L4_AT, &m);
    return ip(f, frame, any_sender(f), XT_IPPROTO_ICMP, len);
}

#define SOURCE_QUENCH 4

static const uint8_t errors[][2] = {
    {XT_ICMP_UNREACHABLE, XT_ICMP_PROTO_UNREACH},
    {XT_ICMP_UNREACHABLE, XT_ICMP_PORT_UNREACH},
    {XT_ICMP_UNREACHABLE, XT_ICMP_FRAG_NEEDED},
    {XT_ICMP_UNREACHABLE, XT_ICMP_HOST_UNREACH},
    {XT_ICMP_TIME_EXCEEDED, 0},
    {SOURCE_QUENCH, 0},
};
#define ERRORS (sizeof errors / sizeof *errors)

/* Errors about connections that may exist (of one port to one peer), and pings. */
static size_t make_icmp(struct flood *f, uint8_t *frame)
{
    unsigned k = (unsigned)rng_in(&f->rng, 0, ERRORS);
    if (k < ERRORS)
        return icmp_about(f, frame, errors[k][0], errors[k][1], f->peer ? f->peer : any_sender(f), f->port, any_port(f),
                          (uint32_t)rng_u64(&f->rng));
    struct xt_icmp m = {.type = XT_ICMP_ECHO, .id = 1, .seq = (uint16_t)f->n};
    size_t len = xt_icmp_emit(frame + L4_AT, FRAME_MAX - L4_AT, &m);
    return ip(f, frame, any_sender(f), XT_IPPROTO_ICMP, len);
}

/* The four-tuple is known, the sequence numbers are not: each round tries all kinds at one place, then goes a step on. */
static size_t make_blind(struct flood *f, uint8_t *frame)
{
    static const uint8_t flags[] = {XT_TH_RST, XT_TH_RST | XT_TH_ACK, XT_TH_SYN, XT_TH_ACK | XT_TH_PSH};
    unsigned k = (unsigned)(f->n % (sizeof flags + ERRORS));
    if (k == 0) {
        f->seq += f->step;
        f->ack = (uint32_t)rng_u64(&f->rng);
    }
    if (k >= sizeof flags)
        return icmp_about(f, frame, errors[k - sizeof flags][0], errors[k - sizeof flags][1], f->peer, f->port,
                          f->peer_port, f->seq);
    struct xt_seg seg = {.sport = f->peer_port,
                         .dport = f->port,
                         .seq = f->seq,
                         .ack = f->ack,
                         .wnd = 64240,
                         .flags = flags[k],
                         .len = flags[k] & XT_TH_PSH ? TEXT : 0};
    return tcp(f, frame, f->peer, &seg);
}

const struct flood_kind flood_kinds[] = {
    {"syn", "SYNs from forged addresses", make_syn},
    {"ack", "ACKs of no connection", make_ack},
    {"rst", "resets of no connection", make_rst},
    {"data", "512 bytes of no connection", make_data},
    {"frag", "fragments of datagrams that never become whole", make_frag},
    {"arp", "ARP requests of machines that do not exist, answers that nobody asked for", make_arp},
    {"icmp", "errors about connections of the port, source quench, pings", make_icmp},
    {"blind", "resets, SYNs, data and ICMP errors for one connection, all over the sequence space", make_blind},
    {0},
};
