/* SPDX-License-Identifier: Apache-2.0
 * The parsers of daemon/wire: the first byte of an input chooses one, the others are its packet. Beside memory errors, a
 * finding is a length that leaves the packet, or a message that does not survive being emitted and parsed again. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/icmp.h"
#include "daemon/wire/ipopt.h"
#include "daemon/wire/ipv4.h"
#include "daemon/wire/seg.h"
#include "tests/fuzz/fuzz.h"

static void fuzz_arp(const uint8_t *p, size_t len)
{
    uint8_t out[XT_ARP_LEN];
    struct xt_arp arp;

    if (xt_arp_parse(p, len, &arp) != 0)
        return;
    FUZZ_CHECK(xt_arp_emit(out, &arp) == XT_ARP_LEN);
    FUZZ_CHECK(memcmp(out, p, XT_ARP_LEN) == 0);
}

static bool same_options(const struct xt_tcp_opts *in, const struct xt_tcp_opts *out)
{
    return in->present == out->present && in->mss == out->mss && in->wscale == out->wscale && in->tsval == out->tsval &&
           in->tsecr == out->tsecr && out->nsack <= in->nsack &&
           memcmp(in->sack, out->sack, out->nsack * sizeof in->sack[0]) == 0;
}

static void fuzz_seg(const uint8_t *p, size_t len)
{
    uint8_t out[XT_TCP_HDR_MAX];
    struct xt_seg in, back;
    size_t n;

    if (xt_seg_parse(p, len, &in) != 0)
        return;
    FUZZ_CHECK(in.payload >= p + XT_TCP_HDR_MIN && in.payload + in.len == p + len);
    FUZZ_CHECK(in.opt.nsack <= XT_SACK_MAX);
    n = xt_seg_emit(out, &in);
    FUZZ_CHECK(n >= XT_TCP_HDR_MIN && n <= XT_TCP_HDR_MAX && n % 4 == 0);
    FUZZ_CHECK(xt_seg_parse(out, n, &back) == 0);
    FUZZ_CHECK(back.sport == in.sport && back.dport == in.dport && back.seq == in.seq && back.ack == in.ack);
    FUZZ_CHECK(back.flags == in.flags && back.wnd == in.wnd && back.urp == in.urp && back.len == 0);
    FUZZ_CHECK(same_options(&in.opt, &back.opt));
}

static void fuzz_icmp_message(const uint8_t *p, size_t len)
{
    struct xt_icmp m, back;
    struct xt_icmp_quote q;
    uint8_t *out;

    if (xt_icmp_parse(p, len, &m) != 0)
        return;
    FUZZ_CHECK(m.data == p + XT_ICMP_HDR_LEN && m.data + m.data_len == p + len);
    if (xt_icmp_quote(&m, &q) == 0)
        FUZZ_CHECK(q.ip.hdr_len + 8U <= m.data_len && q.ip.frag_off == 0);
    out = malloc(len);
    FUZZ_CHECK(out != NULL);
    FUZZ_CHECK(xt_icmp_emit(out, len - 1, &m) == 0);
    FUZZ_CHECK(xt_icmp_emit(out, len, &m) == len);
    FUZZ_CHECK(xt_icmp_parse(out, len, &back) == 0);
    FUZZ_CHECK(back.type == m.type && back.code == m.code && back.id == m.id && back.seq == m.seq);
    FUZZ_CHECK(back.mtu == m.mtu && back.pointer == m.pointer && back.data_len == m.data_len);
    FUZZ_CHECK(memcmp(back.data, m.data, m.data_len) == 0);
    free(out);
}

/* A copy with the checksum at `field` made right over the first `covered` bytes, since no fuzzer guesses checksums. */
static uint8_t *sealed_copy(const uint8_t *p, size_t len, size_t field, size_t covered)
{
    uint8_t *copy = malloc(len);

    FUZZ_CHECK(copy != NULL);
    memcpy(copy, p, len);
    xt_be16_store(copy + field, 0);
    xt_be16_store(copy + field, xt_csum(copy, covered));
    return copy;
}

static void fuzz_icmp(const uint8_t *p, size_t len)
{
    uint8_t *copy;

    fuzz_icmp_message(p, len);
    if (len < XT_ICMP_HDR_LEN)
        return;
    copy = sealed_copy(p, len, 2, len);
    fuzz_icmp_message(copy, len);
    free(copy);
}

/* What may be sent leaves as a route that is not done, towards `dst`. */
static void fuzz_ipopt_emit(const struct xt_ipopt *o, uint32_t src, uint32_t dst)
{
    struct xt_ipopt back;
    uint8_t hdr[XT_IPV4_HDR_LEN_MAX] = {0};
    struct xt_ipv4 ip = {.total_len = (uint16_t)(XT_IPV4_HDR_LEN + o->len), .src = src};
    ip.dst = xt_ipopt_first_hop(o, dst);
    xt_ipopt_emit(hdr + XT_IPV4_HDR_LEN, o, src, dst, 1);
    FUZZ_CHECK(xt_ipv4_emit_options(hdr, &ip, o->len) == (size_t)XT_IPV4_HDR_LEN + o->len);
    FUZZ_CHECK(xt_csum(hdr, XT_IPV4_HDR_LEN + (size_t)o->len) == 0);
    FUZZ_CHECK(xt_ipopt_route_back(&back, hdr, XT_IPV4_HDR_LEN + (size_t)o->len) ==
               (o->route ? XT_ROUTE_PASSING : XT_ROUTE_NONE));
    FUZZ_CHECK(xt_ipopt_final_dst(hdr, XT_IPV4_HDR_LEN + (size_t)o->len) == dst);
}

/* The options of a header, as received ones and as an application's. A way back is one that may be sent. */
static void fuzz_ipopt(const uint8_t *p, const struct xt_ipv4 *ip)
{
    struct xt_ipopt back, again;
    uint8_t *hdr = malloc(ip->hdr_len); /* of its own, so that reading beyond it is seen */
    FUZZ_CHECK(hdr != NULL);
    memcpy(hdr, p, ip->hdr_len);
    if (xt_ipopt_route_back(&back, hdr, ip->hdr_len) == XT_ROUTE_DONE && back.len) {
        FUZZ_CHECK(xt_ipopt_read(&again, back.data, back.len, false) == 0);
        FUZZ_CHECK(memcmp(&again, &back, sizeof back) == 0);
        fuzz_ipopt_emit(&back, ip->dst, ip->src);
    }
    if (xt_ipopt_read(&again, hdr + XT_IPV4_HDR_LEN, ip->hdr_len - (size_t)XT_IPV4_HDR_LEN, false) == 0)
        fuzz_ipopt_emit(&again, ip->src, ip->dst);
    free(hdr);
}

static void fuzz_ipv4_packet(const uint8_t *p, size_t len)
{
    uint8_t out[XT_IPV4_HDR_LEN];
    struct xt_ipv4 ip, back;

    if (xt_ipv4_parse_quoted(p, len, &ip) == 0)
        FUZZ_CHECK(ip.hdr_len <= len && ip.hdr_len <= ip.total_len);
    if (xt_ipv4_parse(p, len, &ip) != 0)
        return;
    FUZZ_CHECK(ip.hdr_len >= XT_IPV4_HDR_LEN && ip.hdr_len <= ip.total_len && ip.total_len <= len);
    FUZZ_CHECK(xt_ipv4_emit(out, &ip) == XT_IPV4_HDR_LEN);
    FUZZ_CHECK(xt_csum(out, sizeof out) == 0);
    FUZZ_CHECK(xt_ipv4_parse_quoted(out, sizeof out, &back) == 0);
    FUZZ_CHECK(back.tos == ip.tos && back.total_len == ip.total_len && back.id == ip.id && back.df == ip.df);
    FUZZ_CHECK(back.mf == ip.mf && back.frag_off == ip.frag_off && back.ttl == ip.ttl && back.proto == ip.proto);
    FUZZ_CHECK(back.src == ip.src && back.dst == ip.dst);
    fuzz_ipopt(p, &ip);
    if (xt_icmp_may_answer(p, &ip))
        FUZZ_CHECK(ip.frag_off == 0);
    if (ip.proto == XT_IPPROTO_ICMP)
        fuzz_icmp(p + ip.hdr_len, ip.total_len - ip.hdr_len);
    else if (ip.proto == XT_IPPROTO_TCP)
        fuzz_seg(p + ip.hdr_len, ip.total_len - ip.hdr_len);
}

static void fuzz_ipv4(const uint8_t *p, size_t len)
{
    size_t hdr_len = len > 0 ? (size_t)(p[0] & 0x0f) * 4 : 0;
    uint8_t *copy;

    fuzz_ipv4_packet(p, len);
    if (len < XT_IPV4_HDR_LEN || hdr_len < XT_IPV4_HDR_LEN || hdr_len > len)
        return;
    copy = sealed_copy(p, len, 10, hdr_len);
    fuzz_ipv4_packet(copy, len);
    free(copy);
}

static void fuzz_frame(const uint8_t *p, size_t len)
{
    uint8_t out[XT_ETH_HDR_LEN];
    struct xt_eth eth;

    if (xt_eth_parse(p, len, &eth) != 0)
        return;
    FUZZ_CHECK(xt_eth_emit(out, &eth) == XT_ETH_HDR_LEN && memcmp(out, p, sizeof out) == 0);
    if (eth.type == XT_ETH_TYPE_ARP)
        fuzz_arp(p + XT_ETH_HDR_LEN, len - XT_ETH_HDR_LEN);
    else if (eth.type == XT_ETH_TYPE_IPV4)
        fuzz_ipv4(p + XT_ETH_HDR_LEN, len - XT_ETH_HDR_LEN);
}

/* Cut anywhere, the pieces sum up to the whole. */
static void fuzz_checksum(const uint8_t *p, size_t len)
{
    size_t cut = len > 0 ? p[0] % (len + 1) : 0;
    struct xt_csum c = {0};

    xt_csum_add(&c, p, cut);
    xt_csum_add(&c, p + cut, len - cut);
    FUZZ_CHECK(xt_csum_fold(&c) + xt_csum(p, len) == UINT16_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *, size_t) = {fuzz_frame, fuzz_arp, fuzz_ipv4,
                                                               fuzz_icmp,  fuzz_seg, fuzz_checksum};

    if (size > 0)
        targets[data[0] % (sizeof targets / sizeof targets[0])](data + 1, size - 1);
    return 0;
}
