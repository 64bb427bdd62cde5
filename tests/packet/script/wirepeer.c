/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/packet/script/wirepeer.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/be.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/icmp.h"
#include "daemon/wire/seg.h"

#define FRAME_MAX 70000

uint64_t pkt_wire_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

bool pkt_wire_open(struct pkt_wire *w, const char *ifname)
{
    const int on = 1;
    memset(w, 0, sizeof *w);
    w->ifindex = (int)if_nametoindex(ifname);
    memcpy(w->mac, "\x02\x70\x6b\x74\x00\x02", 6);
    w->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = w->ifindex};
    return w->fd >= 0 && bind(w->fd, (struct sockaddr *)&at, sizeof at) == 0 &&
           setsockopt(w->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) == 0;
}

static void send_frame(struct pkt_wire *w, const uint8_t *dst, uint16_t type, uint8_t *frame, size_t len)
{
    struct xt_eth eth = {.type = type};
    memcpy(eth.dst, dst, 6);
    memcpy(eth.src, w->mac, 6);
    xt_eth_emit(frame, &eth);
    if (write(w->fd, frame, XT_ETH_HDR_LEN + len) < 0)
        w->bad = "a frame could not be sent";
}

static void send_arp(struct pkt_wire *w, uint16_t op, const uint8_t *dst)
{
    uint8_t frame[XT_ETH_HDR_LEN + XT_ARP_LEN];
    struct xt_arp arp = {.op = op, .spa = htonl(PKT_PEER_ADDR), .tpa = htonl(PKT_STACK_ADDR)};
    memcpy(arp.sha, w->mac, 6);
    if (op == XT_ARP_REPLY)
        memcpy(arp.tha, dst, 6);
    xt_arp_emit(frame + XT_ETH_HDR_LEN, &arp);
    send_frame(w, dst, XT_ETH_TYPE_ARP, frame, XT_ARP_LEN);
}

/* `frame` has room for the headers before `len` bytes of payload. */
static void send_ip(struct pkt_wire *w, uint8_t proto, uint8_t ecn, uint8_t *frame, size_t len)
{
    struct xt_ipv4 ip = {.tos = ecn,
                         .ttl = 64,
                         .proto = proto,
                         .total_len = (uint16_t)(XT_IPV4_HDR_LEN + len),
                         .df = true,
                         .src = htonl(PKT_PEER_ADDR),
                         .dst = htonl(PKT_STACK_ADDR)};
    xt_ipv4_emit(frame + XT_ETH_HDR_LEN, &ip);
    send_frame(w, w->stack_mac, XT_ETH_TYPE_IPV4, frame, XT_IPV4_HDR_LEN + len);
}

void pkt_wire_send_tcp(struct pkt_wire *w, uint8_t *p, size_t len, uint8_t ecn)
{
    static uint8_t frame[FRAME_MAX];
    uint8_t *tcp = frame + XT_ETH_HDR_LEN + XT_IPV4_HDR_LEN;
    memcpy(tcp, p, len);
    xt_be16_store(tcp + 16, xt_csum_tcp4(htonl(PKT_PEER_ADDR), htonl(PKT_STACK_ADDR), tcp, len, NULL, 0));
    send_ip(w, XT_IPPROTO_TCP, ecn, frame, len);
}

void pkt_wire_send_error(struct pkt_wire *w, uint8_t type, uint8_t code, uint32_t mtu, uint16_t sport, uint16_t dport,
                         uint32_t seq)
{
    uint8_t frame[200], quoted[XT_IPV4_HDR_LEN + XT_TCP_HDR_MAX];
    struct xt_ipv4 ip = {.ttl = 60,
                         .proto = XT_IPPROTO_TCP,
                         .total_len = 1500, /* a full packet, of which the beginning is quoted */
                         .df = true,
                         .src = htonl(PKT_STACK_ADDR),
                         .dst = htonl(PKT_PEER_ADDR)};
    struct xt_seg seg = {.sport = sport, .dport = dport, .seq = seq, .flags = XT_TH_ACK};
    xt_ipv4_emit(quoted, &ip);
    xt_seg_emit(quoted + XT_IPV4_HDR_LEN, &seg);
    struct xt_icmp m = {
        .type = type, .code = code, .mtu = (uint16_t)mtu, .data = quoted, .data_len = XT_IPV4_HDR_LEN + 8};
    size_t n =
        xt_icmp_emit(frame + XT_ETH_HDR_LEN + XT_IPV4_HDR_LEN, sizeof frame - XT_ETH_HDR_LEN - XT_IPV4_HDR_LEN, &m);
    send_ip(w, XT_IPPROTO_ICMP, 0, frame, n);
}

static void on_arp(struct pkt_wire *w, const uint8_t *p, size_t len)
{
    struct xt_arp arp;
    if (xt_arp_parse(p, len, &arp) != 0 || arp.spa != htonl(PKT_STACK_ADDR) || arp.tpa != htonl(PKT_PEER_ADDR))
        return;
    memcpy(w->stack_mac, arp.sha, 6);
    w->stack_known = true;
    if (arp.op == XT_ARP_REQUEST)
        send_arp(w, XT_ARP_REPLY, arp.sha);
}

static void on_ip(struct pkt_wire *w, const uint8_t *p, size_t len)
{
    struct xt_ipv4 ip;
    struct xt_icmp m;
    int rc = xt_ipv4_parse(p, len, &ip);
    if (rc != 0) {
        w->bad = "an IP header was wrong";
        return;
    }
    if (ip.dst != htonl(PKT_PEER_ADDR))
        return;
    p += ip.hdr_len;
    len = ip.total_len - (size_t)ip.hdr_len;
    if (ip.proto == XT_IPPROTO_ICMP && xt_icmp_parse(p, len, &m) == 0 && m.type == XT_ICMP_ECHO_REPLY)
        w->ponged = m.seq;
    if (ip.proto != XT_IPPROTO_TCP)
        return;
    if (!xt_csum_tcp4_verify(ip.src, ip.dst, p, len))
        w->bad = "a TCP checksum was wrong";
    w->tcp(w->arg, p, len, ip.tos & 3);
}

static bool receive(struct pkt_wire *w)
{
    static uint8_t frame[FRAME_MAX];
    struct xt_eth eth;
    ssize_t n = read(w->fd, frame, sizeof frame);
    if (n < 0)
        return false;
    if (xt_eth_parse(frame, (size_t)n, &eth) != 0)
        return true;
    if (eth.type == XT_ETH_TYPE_ARP)
        on_arp(w, frame + XT_ETH_HDR_LEN, (size_t)n - XT_ETH_HDR_LEN);
    else if (eth.type == XT_ETH_TYPE_IPV4 && memcmp(eth.dst, w->mac, 6) == 0)
        on_ip(w, frame + XT_ETH_HDR_LEN, (size_t)n - XT_ETH_HDR_LEN);
    return true;
}

void pkt_wire_pump(struct pkt_wire *w, uint64_t deadline, bool (*done)(void *arg), void *arg)
{
    struct pollfd pfd = {.fd = w->fd, .events = POLLIN};
    for (;;) {
        while (receive(w))
            if (done && done(arg))
                return;
        uint64_t now = pkt_wire_now();
        if (now >= deadline || (done && done(arg)))
            return;
        struct timespec rest = {.tv_sec = (time_t)((deadline - now) / 1000000),
                                .tv_nsec = (long)((deadline - now) % 1000000) * 1000};
        ppoll(&pfd, 1, &rest, NULL);
    }
}

static bool resolved(void *arg)
{
    const struct pkt_wire *w = arg;
    return w->stack_known;
}

bool pkt_wire_resolve(struct pkt_wire *w, uint64_t deadline)
{
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    w->stack_known = false;
    send_arp(w, XT_ARP_REQUEST, everybody);
    pkt_wire_pump(w, deadline, resolved, w);
    return w->stack_known;
}

static bool answered(void *arg)
{
    const struct pkt_wire *w = arg;
    return w->ponged == w->pinged;
}

bool pkt_wire_sync(struct pkt_wire *w, uint64_t deadline)
{
    uint8_t frame[XT_ETH_HDR_LEN + XT_IPV4_HDR_LEN + XT_ICMP_HDR_LEN];
    struct xt_icmp m = {.type = XT_ICMP_ECHO, .id = 1, .seq = ++w->pinged};
    xt_icmp_emit(frame + XT_ETH_HDR_LEN + XT_IPV4_HDR_LEN, XT_ICMP_HDR_LEN, &m);
    send_ip(w, XT_IPPROTO_ICMP, 0, frame, XT_ICMP_HDR_LEN);
    pkt_wire_pump(w, deadline, answered, w);
    return answered(w);
}
