/* SPDX-License-Identifier: Apache-2.0
 * Requirements of RFC 9293 on the border of TCP and IP: addresses, ports, initial sequence numbers, ICMP, fields of the IP
 * header. Each is tagged with its number. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/icmp.h"
#include "daemon/wire/ipv4.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull

static struct host h;
static uint8_t f[4096], m_buf[2048];

static void start(uint64_t now)
{
    host_start(&h, now);
    inject(&h, f, make_arp(f, &h, XT_ARP_REPLY, 2, 2, 1), now);
    xt_stack_timers(h.s, now);
    host_drain(&h);
}

static void setup(void)
{
    host_cfg(&h, 1);
    start(S);
}

static void teardown(void)
{
    host_stop(&h);
}

TestSuite(req, .init = setup, .fini = teardown);

/* The next frame sent, which must hold a TCP segment; its IP header comes in `ip4`. */
static struct xt_seg take(struct xt_ipv4 *ip4)
{
    static struct packet p;
    struct xt_seg seg;
    free(p.data);
    p.data = NULL;
    cr_assert(host_take(&h, &p), "nothing was sent");
    cr_assert_eq(xt_ipv4_parse(p.data + XT_ETH_HDR_LEN, p.len - XT_ETH_HDR_LEN, ip4), 0);
    cr_assert_eq(ip4->proto, XT_IPPROTO_TCP);
    cr_assert_eq(xt_seg_parse(p.data + 34, ip4->total_len - 20u, &seg), 0);
    return seg;
}

static struct xt_seg connect_syn(uint64_t now, struct xt_ipv4 *ip4)
{
    host_connect(&h, 2, 80, now, NULL);
    xt_stack_output(h.s, now);
    return take(ip4);
}

/* Opens a connection to a peer of this test's making; returns it ESTABLISHED. */
static struct xt_conn *established(void)
{
    struct xt_ipv4 ip4;
    struct xt_conn *c = host_connect(&h, 2, 80, S, NULL);
    xt_stack_output(h.s, S);
    struct xt_seg syn = take(&ip4);
    struct xt_seg seg = {.sport = 80,
                         .dport = syn.sport,
                         .seq = 7000,
                         .ack = syn.seq + 1,
                         .flags = XT_TH_SYN | XT_TH_ACK,
                         .wnd = 65535,
                         .opt = {.present = XT_OPT_MSS, .mss = 1460}};
    inject(&h, f, make_tcp(f, &h, 2, &seg, NULL), S);
    xt_stack_output(h.s, S);
    host_drain(&h);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    return c;
}

/* Req MUST-8 RFC6528-3: for the same end points the ISS moves with a clock of 4 microseconds. */
Test(req, isn_follows_a_clock)
{
    struct xt_ipv4 ip4;
    struct xt_endpoint local = ep(1, 5000), remote = ep(2, 80);
    uint32_t iss[3];
    for (unsigned i = 0; i < 3; i++) {
        struct xt_conn *c;
        uint64_t now = S + i * 40000ull;
        cr_assert_eq(xt_stack_connect(h.s, &local, &remote, now, NULL, NULL, &c), 0);
        xt_stack_output(h.s, now);
        iss[i] = take(&ip4).seq;
        xt_stack_close(h.s, c, now);
    }
    cr_assert_eq(iss[1] - iss[0], 10000);
    cr_assert_eq(iss[2] - iss[1], 10000);
}

/* Req SHLD-1 RFC6528-3: and differs between end points by a keyed hash of them all. */
Test(req, isn_differs_by_end_points)
{
    struct xt_ipv4 ip4;
    uint32_t base = 0;
    for (uint16_t port = 5000; port < 5008; port++) {
        struct xt_endpoint local = ep(1, port), remote = ep(2, 80);
        struct xt_conn *c;
        cr_assert_eq(xt_stack_connect(h.s, &local, &remote, S, NULL, NULL, &c), 0);
        xt_stack_output(h.s, S);
        uint32_t iss = take(&ip4).seq;
        cr_assert(port == 5000 || (iss - base > 100000 && base - iss > 100000), "near to the first");
        base = port == 5000 ? iss : base;
    }
}

static void no_event(void *arg, struct xt_conn *c, uint32_t events)
{
    (void)arg, (void)c, (void)events;
}

/* Req MUST-9: the hash hangs on a secret: another key, another ISS for the same connection at the same time. */
Test(req, isn_hangs_on_a_secret)
{
    struct xt_endpoint local = ep(1, 5000), remote = ep(2, 80);
    uint32_t iss[2];
    for (unsigned i = 0; i < 2; i++) {
        struct xt_stack *s;
        struct xt_conn *c;
        uint8_t key[32];
        struct xt_stack_ops ops = {.event = no_event};
        void *state = calloc(1, xt_stack_state_size(h.cfg.max_conns));
        memcpy(key, test_key, sizeof key);
        key[0] ^= (uint8_t)i;
        cr_assert_eq(xt_stack_new(&s, &h.cfg, &ops, state, key, S), 0);
        cr_assert_eq(xt_stack_connect(s, &local, &remote, S, NULL, NULL, &c), 0);
        iss[i] = c->iss;
        xt_stack_free(s);
        free(state);
    }
    cr_assert_neq(iss[0], iss[1]);
}

/* Req MUST-42: a port may be listened on while connections from it are being opened. */
Test(req, listen_beside_an_open)
{
    struct xt_ipv4 ip4;
    struct xt_endpoint local = ep(1, 5000), remote = ep(2, 80);
    struct xt_conn *c;
    cr_assert_eq(xt_stack_bind(h.s, &local, true), 0);
    cr_assert_eq(xt_stack_connect(h.s, &local, &remote, S, NULL, NULL, &c), 0);
    xt_stack_output(h.s, S);
    take(&ip4);
    cr_assert_eq(c->state, XT_SYN_SENT);
    struct xt_conn *l = host_listen(&h, 5000, true, S);
    cr_assert_eq(l->state, XT_LISTEN);
    struct xt_seg syn = {.sport = 4000, .dport = 5000, .seq = 100, .flags = XT_TH_SYN, .wnd = 1000};
    inject(&h, f, make_tcp(f, &h, 2, &syn, NULL), S);
    xt_stack_output(h.s, S);
    cr_assert_eq(take(&ip4).flags, XT_TH_SYN | XT_TH_ACK);
}

/* Req MUST-41: a second passive open of the same port fails and leaves the first and its connections alone. */
Test(req, passive_open_leaves_others_alone)
{
    struct xt_ipv4 ip4;
    struct xt_conn *l = host_listen(&h, 80, false, S), *second;
    struct xt_seg syn = {.sport = 4000, .dport = 80, .seq = 100, .flags = XT_TH_SYN, .wnd = 1000};
    inject(&h, f, make_tcp(f, &h, 2, &syn, NULL), S);
    xt_stack_output(h.s, S);
    uint32_t iss = take(&ip4).seq;
    struct xt_endpoint at = ep(1, 80);
    cr_assert_eq(xt_stack_listen(h.s, &at, false, S, &second), -EADDRINUSE);
    cr_assert_eq(l->state, XT_LISTEN);
    struct xt_seg ack = {.sport = 4000, .dport = 80, .seq = 101, .ack = iss + 1, .flags = XT_TH_ACK, .wnd = 1000};
    inject(&h, f, make_tcp(f, &h, 2, &ack, NULL), S);
    cr_assert_eq(h.naccepted, 1);
    cr_assert_eq(h.accepted->state, XT_ESTABLISHED);
}

/* Req MUST-43 MUST-44: the local address is asked of the IP layer when the application gives none, */
Test(req, local_address_is_chosen)
{
    struct xt_ipv4 ip4;
    struct xt_endpoint local = {.addr = xt_addr_v4(0)}, remote = ep(2, 80);
    struct xt_conn *c;
    cr_assert_eq(xt_stack_connect(h.s, &local, &remote, S, NULL, NULL, &c), 0);
    xt_stack_output(h.s, S);
    take(&ip4);
    cr_assert_eq(ip4.src, ip(1));
    struct xt_endpoint own = ep(1, 0), foreign = ep(9, 0);
    cr_assert_eq(xt_stack_bind(h.s, &own, false), 0);
    cr_assert_eq(xt_stack_bind(h.s, &foreign, false), -EADDRNOTAVAIL);
}

/* Req MUST-45: and every later segment has the address of the connection. */
Test(req, local_address_stays)
{
    struct xt_ipv4 ip4;
    struct xt_conn *c = established();
    host_write(&h, c, "abc", 3, S);
    xt_stack_output(h.s, S);
    take(&ip4);
    cr_assert_eq(ip4.src, ip(1));
    cr_assert_eq(ip4.dst, ip(2));
}

/* Req MUST-46: no connection to a broadcast or multicast address, or to what no host can have. */
Test(req, open_to_an_impossible_address)
{
    static const uint32_t to[] = {0x0a0000ff, 0x0a000000, 0xe0000001, 0xffffffff, 0xf0000001, 0x7f000001, 0x00000005};
    for (unsigned i = 0; i < sizeof to / sizeof *to; i++) {
        struct xt_endpoint local = ep(1, 0), remote = {.addr = xt_addr_v4(htonl(to[i])), .port = 80};
        struct xt_conn *c;
        cr_assert_eq(xt_stack_connect(h.s, &local, &remote, S, NULL, NULL, &c), -ENETUNREACH, "%08x", to[i]);
    }
    xt_stack_output(h.s, S);
    cr_assert_eq(h.count, 0);
}

/* Req MUST-57: a SYN to a broadcast or multicast address is dropped in silence, by whatever frame it comes. */
Test(req, syn_to_many)
{
    static const uint32_t to[] = {0x0a0000ff, 0xe0000001, 0xffffffff};
    struct xt_seg syn = {.sport = 4000, .dport = 80, .seq = 100, .flags = XT_TH_SYN, .wnd = 1000};
    host_listen(&h, 80, false, S);
    for (unsigned i = 0; i < 6; i++) {
        size_t n = make_tcp(f, &h, 2, &syn, NULL);
        struct xt_ipv4 ip4;
        cr_assert_eq(xt_ipv4_parse(f + XT_ETH_HDR_LEN, n - XT_ETH_HDR_LEN, &ip4), 0);
        ip4.dst = htonl(to[i / 2]);
        xt_ipv4_emit(f + XT_ETH_HDR_LEN, &ip4);
        if (i % 2)
            memset(f, 0xff, 6);
        inject(&h, f, n, S);
    }
    xt_stack_output(h.s, S);
    cr_assert_eq(h.count, 0);
}

/* Req MUST-63: a SYN from an address that no host has is dropped in silence. */
Test(req, syn_from_an_impossible_address)
{
    static const uint32_t from[] = {0x0a0000ff, 0x0a000000, 0xe0000001, 0xffffffff, 0x7f000001, 0x0a000001};
    struct xt_seg syn = {.sport = 4000, .dport = 80, .seq = 100, .flags = XT_TH_SYN, .wnd = 1000};
    host_listen(&h, 80, false, S);
    for (unsigned i = 0; i < sizeof from / sizeof *from; i++) {
        size_t n = make_tcp(f, &h, 2, &syn, NULL);
        struct xt_ipv4 ip4;
        cr_assert_eq(xt_ipv4_parse(f + XT_ETH_HDR_LEN, n - XT_ETH_HDR_LEN, &ip4), 0);
        ip4.src = htonl(from[i]);
        xt_ipv4_emit(f + XT_ETH_HDR_LEN, &ip4);
        xt_be16_store(f + 50, 0);
        uint16_t sum = xt_csum_pseudo4(ip4.src, ip4.dst, XT_IPPROTO_TCP, (uint16_t)(n - 34));
        struct virtio_net_hdr partial = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
        xt_be16_store(f + 50, sum);
        xt_stack_input(h.s, f, n, &partial, S);
    }
    xt_stack_output(h.s, S);
    cr_assert_eq(h.count, 0);
    cr_assert_eq(xt_stack_stats(h.s)->drop_martian, sizeof from / sizeof *from);
}

/* Req MUST-67 SHLD-5: what is announced fits a packet that the link can carry. */
Test(req, mss_from_the_mtu)
{
    struct xt_ipv4 ip4;
    host_stop(&h);
    host_cfg(&h, 1);
    h.cfg.mtu = 1400;
    h.cfg.tcp.mss = 9000;
    start(S);
    struct xt_seg syn = connect_syn(S, &ip4);
    cr_assert(syn.opt.present & XT_OPT_MSS);
    cr_assert_eq(syn.opt.mss, 1360);
}

/* Req SHLD-6: when the MTU changes, what is announced changes. */
Test(req, mss_follows_the_mtu)
{
    struct xt_ipv4 ip4;
    struct xt_stack_cfg cfg = *xt_stack_cfg(h.s);
    cr_assert_eq(connect_syn(S, &ip4).opt.mss, 1460);
    cfg.mtu = 1000;
    cfg.tcp.mss = 0;
    cr_assert_eq(xt_stack_reconfigure(h.s, &cfg), 0);
    cr_assert_eq(connect_syn(S, &ip4).opt.mss, 960);
}

/* Req MUST-49: the TTL is configurable. */
Test(req, ttl)
{
    struct xt_ipv4 ip4;
    connect_syn(S, &ip4);
    cr_assert_eq(ip4.ttl, 64);
    host_stop(&h);
    host_cfg(&h, 1);
    h.cfg.ttl = 17;
    start(S);
    connect_syn(S, &ip4);
    cr_assert_eq(ip4.ttl, 17);
}

static void set_tos(void *arg, struct xt_conn *c)
{
    c->opt.tos = *(const uint8_t *)arg;
}

/* Req MUST-48 SHLD-22 SHLD-21: the Diffserv field is the application's, goes unchanged into each segment's IP header, and may
 * change; the two bits of ECN beside it are not its. */
Test(req, diffserv)
{
    struct xt_ipv4 ip4;
    struct xt_endpoint local = ep(1, 0), remote = ep(2, 80);
    uint8_t tos = 0xb8;
    struct xt_conn *c;
    cr_assert_eq(xt_stack_connect(h.s, &local, &remote, S, set_tos, &tos, &c), 0);
    xt_stack_output(h.s, S);
    take(&ip4);
    cr_assert_eq(ip4.tos, 0xb8);
    c = established();
    c->opt.tos = 0x4b;
    host_write(&h, c, "abc", 3, S);
    xt_stack_output(h.s, S);
    take(&ip4);
    cr_assert_eq(ip4.tos, 0x48);
    xt_stack_abort(h.s, c, S);
    take(&ip4);
    cr_assert_eq(ip4.tos, 0x48);
}

/* Req MUST-50: an IP option that nobody knows is skipped; the SYN behind it counts. */
Test(req, ip_options_are_ignored)
{
    struct xt_ipv4 ip4;
    static const uint8_t option[4] = {0x9e, 4, 1, 2};
    struct xt_seg syn = {.sport = 4000, .dport = 80, .seq = 100, .flags = XT_TH_SYN, .wnd = 1000};
    host_listen(&h, 80, false, S);
    size_t n = make_tcp(f, &h, 2, &syn, NULL);
    memmove(f + 38, f + 34, n - 34);
    memcpy(f + 34, option, 4);
    f[14] = 0x46;
    xt_be16_store(f + 16, (uint16_t)(n - 14 + 4));
    xt_be16_store(f + 24, 0);
    xt_be16_store(f + 24, xt_csum(f + 14, 24));
    inject(&h, f, n + 4, S);
    xt_stack_output(h.s, S);
    cr_assert_eq(take(&ip4).flags, XT_TH_SYN | XT_TH_ACK);
}

/* An ICMP message of `type` about the last segment in flight of `c`. */
static void icmp_about(struct xt_conn *c, uint8_t type, uint8_t code)
{
    uint8_t quote[28] = {0x45, 0, 0, 40, 0, 0, 0, 0, 64, XT_IPPROTO_TCP};
    memcpy(quote + 12, &(uint32_t){ip(1)}, 4);
    memcpy(quote + 16, &(uint32_t){ip(2)}, 4);
    xt_be16_store(quote + 20, c->local.port);
    xt_be16_store(quote + 22, c->remote.port);
    xt_be32_store(quote + 24, c->snd_una);
    struct xt_icmp m = {.type = type, .code = code, .data = quote, .data_len = sizeof quote};
    size_t len = xt_icmp_emit(m_buf, sizeof m_buf, &m);
    if (len == 0) { /* a type that is never sent */
        memset(m_buf, 0, 8);
        m_buf[0] = type;
        m_buf[1] = code;
        memcpy(m_buf + 8, quote, sizeof quote);
        len = 8 + sizeof quote;
        xt_be16_store(m_buf + 2, xt_csum(m_buf, len));
    }
    inject(&h, f, make_ip(f, &h, 2, XT_IPPROTO_ICMP, 9, 0, false, m_buf, len), S);
}

/* Req MUST-56 SHLD-25 MUST-54: soft errors reach the connection that they are about, and do not end it. */
Test(req, soft_icmp_errors)
{
    static const struct {
        uint8_t type, code;
        int err;
    } soft[] = {{XT_ICMP_UNREACHABLE, 0, ENETUNREACH},    {XT_ICMP_UNREACHABLE, 1, EHOSTUNREACH},
                {XT_ICMP_UNREACHABLE, 5, EOPNOTSUPP},     {XT_ICMP_TIME_EXCEEDED, 0, EHOSTUNREACH},
                {XT_ICMP_TIME_EXCEEDED, 1, EHOSTUNREACH}, {XT_ICMP_PARAM_PROBLEM, 0, EPROTO}};
    struct xt_conn *open = established(), *other = host_connect(&h, 2, 81, S, NULL);
    struct xt_conn *opening = host_connect(&h, 2, 82, S, NULL);
    host_write(&h, open, "abc", 3, S);
    xt_stack_output(h.s, S);
    host_drain(&h);
    for (unsigned i = 0; i < sizeof soft / sizeof *soft; i++) {
        icmp_about(open, soft[i].type, soft[i].code);
        icmp_about(opening, soft[i].type, soft[i].code);
        cr_assert_eq(open->state, XT_ESTABLISHED);
        cr_assert_eq(opening->state, XT_SYN_SENT);
        cr_assert_eq(open->soft_err, soft[i].err);
        cr_assert_eq(opening->soft_err, soft[i].err);
    }
    cr_assert_eq(other->soft_err, 0);
    cr_assert_eq(h.closed, 0);
}

/* Req MUST-54 SHLD-26: a hard error ends the open that it is about. */
Test(req, hard_icmp_errors)
{
    for (uint8_t code = 2; code <= 3; code++) {
        struct xt_conn *c = host_connect(&h, 2, 80, S, NULL);
        uint32_t i = c->index;
        xt_stack_output(h.s, S);
        host_drain(&h);
        icmp_about(c, XT_ICMP_UNREACHABLE, code);
        cr_assert_eq(h.err[i], code == 2 ? ENOPROTOOPT : ECONNREFUSED);
        h.err[i] = 0;
    }
    cr_assert_eq(h.closed, 2);
}

/* Req RFC6633-3 MUST-55: a source quench changes nothing. */
Test(req, source_quench)
{
    struct xt_conn *c = established();
    host_write(&h, c, "abc", 3, S);
    xt_stack_output(h.s, S);
    host_drain(&h);
    uint32_t cwnd = c->cwnd;
    icmp_about(c, 4, 0);
    xt_stack_output(h.s, S);
    cr_assert_eq(h.count, 0);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(c->cwnd, cwnd);
    cr_assert_eq(c->soft_err, 0);
    cr_assert_eq(xt_stack_stats(h.s)->drop_icmp_type, 1);
}

/* Req RFC6056-3.3: ports for connections to one destination follow no line that another destination could tell. */
Test(req, ports_differ_by_destination)
{
    struct xt_ipv4 ip4;
    struct xt_endpoint local = ep(1, 0);
    unsigned near = 0;
    uint16_t last = 0;
    for (uint16_t k = 0; k < 32; k++) {
        struct xt_endpoint remote = ep(2, (uint16_t)(80 + k));
        struct xt_conn *c;
        cr_assert_eq(xt_stack_connect(h.s, &local, &remote, S, NULL, NULL, &c), 0);
        xt_stack_output(h.s, S);
        uint16_t port = take(&ip4).sport;
        cr_assert(port >= h.cfg.port_min && port <= h.cfg.port_max);
        near += (uint16_t)(port - last) < 16;
        last = port;
    }
    cr_assert_lt(near, 3);
}
