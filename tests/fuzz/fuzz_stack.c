/* SPDX-License-Identifier: Apache-2.0
 * Frames to a whole host with a listener, some neighbours and an application: ARP, ICMP, fragments, TCP in and out of
 * sequence, header by header as the input says, with checksums made right. A finding is a frame sent that a peer could not
 * parse or must never get, and a record that is left at the end. */
#include <arpa/inet.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/stack/stack.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/icmp.h"
#include "daemon/wire/ipv4.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define OURS 0x0a000001u /* 10.0.0.1/24; the neighbours are 10.0.0.2 to 10.0.0.5 */
#define PEERS 4u
#define PORT 80
#define MTU 1500
#define CONNS 16
#define RING 4096u
#define L4 (XT_ETH_HDR_LEN + XT_IPV4_HDR_LEN)

struct fuzz {
    struct input in;
    struct xt_stack *s;
    uint64_t now;
    struct xt_conn *conns[CONNS];      /* the application's, by index */
    uint32_t seq[PEERS], ack[PEERS];   /* what each neighbour would send next, by the last segment that it got */
    uint16_t port[PEERS];              /* and to which port */
    uint8_t last[XT_IPV4_HDR_LEN + 8]; /* beginning of the last TCP packet sent: what ICMP quotes */
    uint8_t rx[CONNS][RING], tx[CONNS][RING];
};

static void check_arp(const uint8_t *p, size_t len)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct xt_arp arp;
    FUZZ_CHECK(xt_arp_parse(p, len, &arp) == 0);
    FUZZ_CHECK(memcmp(arp.sha, mac, sizeof mac) == 0 && (arp.spa == htonl(OURS) || arp.spa == 0));
    FUZZ_CHECK(arp.op == XT_ARP_REQUEST || arp.op == XT_ARP_REPLY);
}

/* RFC 1122 section 3.2.2: no error about an error, and only to the one whose packet it is about. */
static void check_icmp(const struct xt_ipv4 *ip, const uint8_t *p, size_t len)
{
    struct xt_icmp m;
    struct xt_ipv4 about;
    FUZZ_CHECK(xt_icmp_parse(p, len, &m) == 0);
    FUZZ_CHECK(m.type == XT_ICMP_ECHO_REPLY || xt_icmp_is_error(m.type));
    if (!xt_icmp_is_error(m.type))
        return;
    FUZZ_CHECK(xt_ipv4_parse_quoted(m.data, m.data_len, &about) == 0);
    FUZZ_CHECK(about.src == ip->dst && about.dst == htonl(OURS));
    if (about.proto == XT_IPPROTO_ICMP && m.data_len > about.hdr_len)
        FUZZ_CHECK(!xt_icmp_is_error(m.data[about.hdr_len]));
}

static void check_tcp(struct fuzz *f, const struct virtio_net_hdr *vnet, const struct xt_ipv4 *ip, uint8_t *p,
                      size_t len)
{
    struct xt_seg seg;
    uint32_t peer = ntohl(ip->dst) - OURS - 1;
    FUZZ_CHECK(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
    FUZZ_CHECK(vnet->csum_start == L4 && vnet->csum_offset == 16);
    memcpy(f->last, p - ip->hdr_len, sizeof f->last);
    xt_be16_store(p + 16, xt_csum(p, len)); /* as the device does */
    FUZZ_CHECK(xt_csum_tcp4_verify(ip->src, ip->dst, p, len));
    FUZZ_CHECK(xt_seg_parse(p, len, &seg) == 0 && seg.sport && seg.dport);
    FUZZ_CHECK(ip->ttl > 0 && (ip->total_len <= MTU || vnet->gso_type != VIRTIO_NET_HDR_GSO_NONE));
    if (peer >= PEERS)
        return;
    f->ack[peer] = seg.seq + xt_seg_seqlen(&seg);
    f->port[peer] = seg.sport;
    if (seg.flags & XT_TH_ACK)
        f->seq[peer] = seg.ack;
}

static int tx(void *arg, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen, const struct iovec *iov,
              unsigned niov)
{
    static uint8_t frame[256 + 65536];
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct xt_eth eth;
    struct xt_ipv4 ip;
    size_t len = hdrlen;
    FUZZ_CHECK(hdrlen <= 256);
    memcpy(frame, hdr, hdrlen);
    for (unsigned i = 0; i < niov; len += iov[i++].iov_len) {
        FUZZ_CHECK(len + iov[i].iov_len <= sizeof frame);
        memcpy(frame + len, iov[i].iov_base, iov[i].iov_len);
    }
    FUZZ_CHECK(xt_eth_parse(frame, len, &eth) == 0 && memcmp(eth.src, mac, sizeof mac) == 0);
    if (eth.type == XT_ETH_TYPE_ARP) {
        check_arp(frame + XT_ETH_HDR_LEN, len - XT_ETH_HDR_LEN);
        return 0;
    }
    uint8_t *p = frame + XT_ETH_HDR_LEN;
    FUZZ_CHECK(eth.type == XT_ETH_TYPE_IPV4 && !xt_eth_is_group(eth.dst));
    FUZZ_CHECK(xt_ipv4_parse(p, len - XT_ETH_HDR_LEN, &ip) == 0 && ip.total_len == len - XT_ETH_HDR_LEN);
    FUZZ_CHECK(ip.src == htonl(OURS) && (ntohl(ip.dst) & 0xff) != 255 && ntohl(ip.dst) >> 28 < 14 && ip.dst);
    if (ip.proto == XT_IPPROTO_TCP)
        check_tcp(arg, vnet, &ip, p + ip.hdr_len, ip.total_len - ip.hdr_len);
    else
        check_icmp(&ip, p + ip.hdr_len, ip.total_len - ip.hdr_len);
    return 0;
}

static bool need_bufs(void *arg, struct xt_conn *c)
{
    struct fuzz *f = arg;
    FUZZ_CHECK(c->index < CONNS);
    xt_stack_set_bufs(f->s, c, f->rx[c->index], RING, f->tx[c->index], RING);
    return true;
}

static void event(void *arg, struct xt_conn *c, uint32_t events)
{
    struct fuzz *f = arg;
    if (events & XT_EV_CONNECTED)
        f->conns[c->index] = c;
    if (events & XT_EV_CLOSED)
        f->conns[c->index] = NULL;
}

static bool admit(void *arg, const struct xt_conn *listener)
{
    return true;
}

static void begin(struct fuzz *f, void *state)
{
    static const uint8_t key[32];
    struct xt_endpoint at = {.port = PORT};
    struct xt_conn *listener;
    struct xt_stack_ops ops = {.tx = tx, .event = event, .admit = admit, .need_bufs = need_bufs, .arg = f};
    struct xt_stack_cfg cfg = {.mac = {2, 0, 0, 0, 0, 1}, .addr = htonl(OURS), .prefix = 24, .mtu = MTU};
    cfg.max_conns = CONNS;
    cfg.port_min = 40000;
    cfg.port_max = 40100;
    cfg.ttl = 64;
    xt_tcp_cfg_default(&cfg.tcp);
    cfg.tcp.syn_cookies = in_u8(&f->in) % 3;
    f->now = 1000000;
    FUZZ_CHECK(xt_stack_new(&f->s, &cfg, &ops, state, key, f->now) == 0);
    FUZZ_CHECK(xt_stack_bind(f->s, &at, true) == 0 && xt_stack_listen(f->s, &at, true, f->now, &listener) == 0);
    xt_stack_set_bufs(f->s, listener, NULL, RING, NULL, RING);
}

/* Ethernet header of a frame from neighbour `peer`; sometimes to all. */
static void put_eth(uint8_t *frame, unsigned peer, uint16_t type, bool to_all)
{
    struct xt_eth eth = {.dst = {2, 0, 0, 0, 0, 1}, .src = {2, 0, 0, 0, 0, (uint8_t)(2 + peer)}, .type = type};
    if (to_all)
        memset(eth.dst, 0xff, sizeof eth.dst);
    xt_eth_emit(frame, &eth);
}

/* An IPv4 packet around the `len` bytes at frame + L4: whole and to us, unless the input wants otherwise. */
static void send_ip(struct fuzz *f, uint8_t *frame, unsigned peer, uint8_t proto, size_t len)
{
    uint8_t shape = in_u8(&f->in);
    struct xt_ipv4 ip = {.ttl = 64, .proto = proto, .src = htonl(OURS + 1 + peer), .dst = htonl(OURS)};
    ip.total_len = (uint16_t)(XT_IPV4_HDR_LEN + len);
    if (shape & 1)
        ip.tos = in_u8(&f->in);
    if (shape & 2) {
        ip.id = in_u8(&f->in) & 3;
        ip.frag_off = (uint16_t)(in_u8(&f->in) * 8);
        ip.mf = ip.frag_off & 8 || shape & 128;
    }
    if (shape & 4)
        ip.src = htonl(shape & 64 ? in_u32(&f->in) : OURS + in_u8(&f->in));
    if (shape & 8)
        ip.dst = htonl(OURS + in_u8(&f->in));
    xt_ipv4_emit(frame + XT_ETH_HDR_LEN, &ip);
    put_eth(frame, peer, XT_ETH_TYPE_IPV4, shape & 16);
    xt_stack_input(f->s, frame, L4 + len - (shape & 32 && len ? 1 : 0), NULL, f->now);
}

static size_t take_bytes(struct fuzz *f, uint8_t *p, size_t max)
{
    size_t n = in_u8(&f->in) % (max + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = in_u8(&f->in);
    return n;
}

static void arp(struct fuzz *f, uint8_t *frame)
{
    unsigned peer = in_u8(&f->in) % PEERS;
    uint8_t shape = in_u8(&f->in);
    struct xt_arp a = {.op = shape & 3, .sha = {2, 0, 0, 0, 0, (uint8_t)(2 + peer)}};
    a.spa = htonl(shape & 4 ? OURS + in_u8(&f->in) : OURS + 1 + peer);
    a.tpa = htonl(shape & 8 ? OURS + in_u8(&f->in) : OURS);
    if (shape & 16)
        a.sha[0] = in_u8(&f->in);
    put_eth(frame, peer, XT_ETH_TYPE_ARP, shape & 32);
    xt_arp_emit(frame + XT_ETH_HDR_LEN, &a);
    xt_stack_input(f->s, frame, XT_ETH_HDR_LEN + XT_ARP_LEN - (shape & 64 ? 1 : 0), NULL, f->now);
}

static void icmp(struct fuzz *f, uint8_t *frame)
{
    static const uint8_t types[] = {XT_ICMP_ECHO, XT_ICMP_UNREACHABLE, XT_ICMP_TIME_EXCEEDED, XT_ICMP_PARAM_PROBLEM};
    uint8_t data[64], shape = in_u8(&f->in);
    unsigned peer = in_u8(&f->in) % PEERS;
    struct xt_icmp m = {.type = shape & 16 ? in_u8(&f->in) : types[shape & 3], .code = in_u8(&f->in), .data = data};
    if (shape & 4) {
        memcpy(data, f->last, sizeof f->last);
        m.data_len = sizeof f->last;
    } else {
        m.data_len = take_bytes(f, data, sizeof data);
    }
    m.mtu = shape & 8 ? in_u16(&f->in) : 0;
    size_t len = xt_icmp_emit(frame + L4, 256, &m);
    send_ip(f, frame, peer, XT_IPPROTO_ICMP, len);
}

static void tcp(struct fuzz *f, uint8_t *frame)
{
    unsigned peer = in_u8(&f->in) % PEERS;
    uint8_t shape = in_u8(&f->in);
    struct xt_seg s = {.sport = (uint16_t)(5000 + peer), .dport = PORT, .wnd = 60000, .flags = in_u8(&f->in)};
    if (shape & 1 && f->port[peer])
        s.dport = f->port[peer];
    s.seq = f->seq[peer] + (shape & 2 ? in_delta(&f->in) : 0);
    s.ack = f->ack[peer] + (shape & 4 ? in_delta(&f->in) : 0);
    if (shape & 8) {
        s.opt = (struct xt_tcp_opts){.present = in_u8(&f->in) & 15, .mss = in_u8(&f->in) * 8, .wscale = 2};
        s.opt.tsval = s.opt.tsecr = (uint32_t)(f->now / 1000);
    }
    size_t thl = xt_seg_emit(frame + L4, &s), len = shape & 16 ? take_bytes(f, frame + L4 + thl, 200) : 0;
    struct iovec iov = {frame + L4 + thl, len};
    uint16_t sum = xt_csum_tcp4(htonl(OURS + 1 + peer), htonl(OURS), frame + L4, thl, &iov, 1);
    xt_be16_store(frame + L4 + 16, sum);
    send_ip(f, frame, peer, XT_IPPROTO_TCP, thl + len);
}

static void raw(struct fuzz *f, uint8_t *frame)
{
    put_eth(frame, 0, XT_ETH_TYPE_IPV4, false);
    size_t n = take_bytes(f, frame + XT_ETH_HDR_LEN, 80);
    xt_stack_input(f->s, frame, n > 2 ? XT_ETH_HDR_LEN + n : n, NULL, f->now);
}

static void prep(void *arg, struct xt_conn *c)
{
    need_bufs(arg, c);
}

static void connect_out(struct fuzz *f)
{
    struct xt_endpoint local = {.port = 0};
    unsigned peer = in_u8(&f->in) % PEERS;
    struct xt_endpoint remote = {xt_addr_v4(htonl(OURS + 1 + peer)), (uint16_t)(5000 + peer)};
    struct xt_conn *c = NULL;
    if (xt_stack_connect(f->s, &local, &remote, f->now, prep, f, &c) == 0)
        f->conns[c->index] = c;
}

static void user(struct fuzz *f)
{
    uint8_t op = in_u8(&f->in);
    struct xt_conn *c = f->conns[op >> 3 & (CONNS - 1)];
    if ((op & 7) == 0)
        connect_out(f);
    else if (!c)
        return;
    else if ((op & 7) <= 2)
        xt_stack_wrote(f->s, c, c->tx_head + (c->tx_size - (c->tx_head - c->tx_una)) / 2, false, f->now);
    else if ((op & 7) <= 4)
        xt_stack_consumed(f->s, c, c->rx_head, f->now);
    else if ((op & 7) == 5)
        xt_stack_shutdown(f->s, c, f->now);
    else if ((op & 7) == 6)
        xt_stack_close(f->s, c, f->now);
    else
        xt_stack_abort(f->s, c, f->now);
}

static void wait(struct fuzz *f)
{
    uint8_t kind = in_u8(&f->in);
    uint64_t t = xt_stack_deadline(f->s);
    if (kind & 1 && t != UINT64_MAX && t > f->now)
        f->now = t;
    else
        f->now += 1ull << (kind >> 3);
    xt_stack_timers(f->s, f->now);
}

static void step(struct fuzz *f)
{
    uint8_t frame[L4 + 512] = {0};
    switch (in_u8(&f->in) % 12) {
    case 0:
        raw(f, frame);
        break;
    case 1:
    case 2:
        arp(f, frame);
        break;
    case 3:
        icmp(f, frame);
        break;
    case 4:
    case 5:
        user(f);
        break;
    case 6:
        wait(f);
        break;
    default:
        tcp(f, frame);
        break;
    }
    xt_stack_output(f->s, f->now);
}

static void count(void *arg, struct xt_conn *c)
{
    *(unsigned *)arg += c->state != XT_LISTEN;
}

static unsigned alive(struct fuzz *f)
{
    unsigned n = 0;
    uint32_t cursor = 0;
    xt_stack_each(f->s, &cursor, UINT32_MAX, count, &n);
    return n;
}

/* Every connection ends when nobody answers, and so do those of which the application knows nothing. */
static void end(struct fuzz *f)
{
    for (unsigned i = 0; i < CONNS; i++)
        if (f->conns[i])
            xt_stack_abort(f->s, f->conns[i], f->now);
    for (int i = 0; alive(f); i++) {
        uint64_t t = xt_stack_deadline(f->s);
        FUZZ_CHECK(i < 10000 && t != UINT64_MAX);
        f->now = t > f->now ? t : f->now + 1;
        xt_stack_timers(f->s, f->now);
        xt_stack_output(f->s, f->now);
    }
    xt_stack_free(f->s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz f;
    void *state = calloc(1, xt_stack_state_size(CONNS));
    FUZZ_CHECK(state != NULL);
    memset(&f, 0, sizeof f);
    f.in = (struct input){data, size};
    begin(&f, state);
    for (int i = 0; i < 200 && f.in.left; i++)
        step(&f);
    end(&f);
    free(state);
    return 0;
}
