/* SPDX-License-Identifier: Apache-2.0
 * Source routes (RFC 9293 section 3.9.2.1): given by the application, taken from what arrives, and which goes before which. */
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
#define LOOSE 131
#define STRICT 137
#define HOP(n) 10, 0, 0, (n)
#define MAC_OF(p) ((p).data[5]) /* last octet of the Ethernet destination: that of the neighbour's address */

static struct host h;
static struct packet got; /* the last frame taken */
static struct xt_ipv4 ip4;
static uint8_t f[4096];

static void start(bool source_route)
{
    host_cfg(&h, 1);
    h.cfg.source_route = source_route;
    host_start(&h, S);
    for (unsigned n = 2; n <= 5; n++)
        inject(&h, f, make_arp(f, &h, XT_ARP_REPLY, n, n, 1), S);
    xt_stack_timers(h.s, S);
    host_drain(&h);
}

static void setup(void)
{
    start(true);
}

static void teardown(void)
{
    free(got.data);
    got.data = NULL;
    host_stop(&h);
}

TestSuite(srcroute, .init = setup, .fini = teardown);

static bool sent_one(void)
{
    free(got.data);
    got.data = NULL;
    return host_take(&h, &got);
}

/* The next segment sent; its checksum, pseudo-header included, is that for `dst` as last destination. */
static struct xt_seg take_to(unsigned dst)
{
    struct xt_seg seg;
    cr_assert(sent_one(), "nothing was sent");
    cr_assert_eq(xt_ipv4_parse(got.data + 14, got.len - 14, &ip4), 0);
    const uint8_t *tcp = got.data + 14 + ip4.hdr_len;
    uint16_t len = (uint16_t)(ip4.total_len - ip4.hdr_len);
    cr_assert_eq(xt_seg_parse(tcp, len, &seg), 0);
    cr_assert_eq(got.vnet.csum_start, 14 + ip4.hdr_len);
    cr_assert_eq(xt_be16_load(tcp + 16), xt_csum_pseudo4(ip(1), ip(dst), XT_IPPROTO_TCP, len));
    return seg;
}

/* The options of the last segment taken are these. */
static bool carries(const uint8_t *opt, size_t n)
{
    return ip4.hdr_len == 20 + n && memcmp(got.data + 34, opt, n) == 0;
}
#define CARRIES(...) carries((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* A segment from host `from` with IP options, by a frame of host `via`. */
static void arrives(unsigned from, unsigned via, const struct xt_seg *seg, const uint8_t *opt, size_t n)
{
    size_t len = make_tcp(f, &h, from, seg, "0123456789");
    memmove(f + 34 + n, f + 34, len - 34);
    if (n)
        memcpy(f + 34, opt, n);
    struct xt_ipv4 head;
    cr_assert_eq(xt_ipv4_parse_quoted(f + 14, len - 14, &head), 0);
    head.total_len = (uint16_t)(head.total_len + n);
    xt_ipv4_emit_options(f + 14, &head, n);
    f[11] = (uint8_t)via;
    inject(&h, f, len + n, S);
    xt_stack_output(h.s, S);
}
#define ARRIVES(from, via, seg, ...) \
    arrives(from, via, seg, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static struct xt_ipopt options(const uint8_t *p, size_t n)
{
    struct xt_ipopt o;
    cr_assert_eq(xt_ipopt_read(&o, p, n, false), 0);
    return o;
}
#define OPTIONS(...) options((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void rings(void *arg, struct xt_conn *c)
{
    h.rx[c->index] = malloc(RING);
    h.tx[c->index] = malloc(RING);
    xt_stack_set_bufs(h.s, c, h.rx[c->index], RING, h.tx[c->index], RING);
}

static struct xt_conn *connect_by(const struct xt_ipopt *o, int *err)
{
    struct xt_endpoint local = ep(0, 0), remote = ep(2, 80);
    struct xt_conn *c = NULL;
    *err = xt_stack_connect_options(h.s, &local, &remote, o, S, rings, NULL, &c);
    xt_stack_output(h.s, S);
    return c;
}

static struct xt_seg syn_of(uint16_t sport)
{
    return (struct xt_seg){.sport = sport,
                           .dport = 80,
                           .seq = 100,
                           .flags = XT_TH_SYN,
                           .wnd = 65535,
                           .opt = {.present = XT_OPT_MSS, .mss = 1460}};
}

/* Opens by a source route of ours and answers the SYN from host 2 with `opt`. */
static struct xt_conn *open_by(const struct xt_ipopt *o, const uint8_t *opt, size_t n)
{
    int err;
    struct xt_conn *c = connect_by(o, &err);
    cr_assert_eq(err, 0);
    struct xt_seg syn = take_to(2);
    struct xt_seg answer = syn_of(80);
    answer.dport = syn.sport;
    answer.ack = syn.seq + 1;
    answer.flags |= XT_TH_ACK;
    arrives(2, 3, &answer, opt, n);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    return c;
}

/* Req MUST-51: the application's source route is on every segment of the connection, from the SYN to the reset; the frame and
 * the destination field go to the first hop, and the checksum counts the last destination. */
Test(srcroute, given_by_the_application)
{
    struct xt_ipopt o = OPTIONS(LOOSE, 11, 4, HOP(3), HOP(4));
    int err;
    struct xt_conn *c = connect_by(&o, &err);
    cr_assert_eq(err, 0);
    struct xt_seg syn = take_to(2);
    cr_assert_eq(syn.flags, XT_TH_SYN);
    cr_assert_eq(syn.opt.mss, 1460, "the MSS option knows nothing of IP options (RFC 6691)");
    cr_assert_eq(ip4.dst, ip(3));
    cr_assert_eq(MAC_OF(got), 3);
    cr_assert(CARRIES(LOOSE, 11, 4, HOP(4), HOP(2), 0));
    struct xt_seg answer = syn_of(80);
    answer.dport = syn.sport;
    answer.ack = syn.seq + 1;
    answer.flags |= XT_TH_ACK;
    arrives(2, 2, &answer, NULL, 0);
    host_write(&h, c, "abc", 3, S);
    xt_stack_output(h.s, S);
    for (unsigned i = 0; i < 2; i++) { /* the ACK of the handshake, and data */
        take_to(2);
        cr_assert_eq(ip4.dst, ip(3));
        cr_assert(CARRIES(LOOSE, 11, 4, HOP(4), HOP(2), 0));
    }
    xt_stack_abort(h.s, c, S);
    cr_assert(take_to(2).flags & XT_TH_RST);
    cr_assert_eq(ip4.dst, ip(3));
    cr_assert_eq(MAC_OF(got), 3);
}

/* Req MUST-16 MUST-51: what the options take, the payload has not; and no device cuts segments whose pseudo-header it cannot know. */
Test(srcroute, leaves_less_room)
{
    static uint8_t text[8000];
    struct xt_ipopt o = OPTIONS(LOOSE, 7, 4, HOP(3));
    struct xt_conn *c = open_by(&o, NULL, 0);
    host_drain(&h);
    cr_assert_eq(c->mss_eff, 1460 - 8);
    host_write(&h, c, text, sizeof text, S);
    xt_stack_output(h.s, S);
    cr_assert_eq(take_to(2).len, 1460 - 8);
    cr_assert_eq(ip4.total_len, 1500);
    cr_assert_eq(got.vnet.gso_type, VIRTIO_NET_HDR_GSO_NONE);
}

/* Options that route nothing go with super-segments too. */
Test(srcroute, other_options_go_with_super_segments)
{
    static uint8_t text[8000];
    struct xt_ipopt o = OPTIONS(1, 1, 1, 1);
    struct xt_conn *c = open_by(&o, NULL, 0);
    host_drain(&h);
    host_write(&h, c, text, sizeof text, S);
    xt_stack_output(h.s, S);
    cr_assert_gt(take_to(2).len, 1460);
    cr_assert_eq(got.vnet.gso_size, 1456);
    cr_assert_eq(got.vnet.csum_start, 38);
    cr_assert(CARRIES(1, 1, 1, 1));
}

/* The first hop must be one that we have a route to; of a strict route, a neighbour. */
Test(srcroute, first_hop_is_reachable)
{
    struct xt_ipopt far = OPTIONS(LOOSE, 7, 4, 192, 0, 2, 1), strict = OPTIONS(STRICT, 7, 4, 192, 0, 2, 1);
    struct xt_ipopt near = OPTIONS(STRICT, 7, 4, HOP(3));
    int err;
    connect_by(&far, &err);
    cr_assert_eq(err, -ENETUNREACH);
    struct xt_stack_cfg cfg = h.cfg;
    cfg.routes[cfg.nroutes++] = (struct xt_route){.gateway = ip(5)};
    cr_assert_eq(xt_stack_reconfigure(h.s, &cfg), 0);
    connect_by(&far, &err);
    cr_assert_eq(err, 0);
    take_to(2);
    cr_assert_eq(MAC_OF(got), 5);
    connect_by(&strict, &err);
    cr_assert_eq(err, -ENETUNREACH);
    connect_by(&near, &err);
    cr_assert_eq(err, 0);
}

/* Req MUST-53: the way back of a source-routed SYN is that of the whole connection: SYN+ACK, ACK, data, reset. */
Test(srcroute, return_route_of_a_passive_open)
{
    struct xt_seg syn = syn_of(4000);
    host_listen(&h, 80, false, S);
    ARRIVES(2, 4, &syn, 1, LOOSE, 11, 12, HOP(3), HOP(4));
    struct xt_seg answer = take_to(2);
    cr_assert_eq(answer.flags, XT_TH_SYN | XT_TH_ACK);
    cr_assert_eq(ip4.dst, ip(4));
    cr_assert_eq(MAC_OF(got), 4);
    cr_assert(CARRIES(LOOSE, 11, 4, HOP(3), HOP(2), 0));
    struct xt_seg ack = {
        .sport = 4000, .dport = 80, .seq = 101, .ack = answer.seq + 1, .flags = XT_TH_ACK, .wnd = 65535, .len = 10};
    arrives(2, 2, &ack, NULL, 0);
    cr_assert_eq(h.naccepted, 1);
    take_to(2);
    cr_assert_eq(ip4.dst, ip(4), "the ACK");
    host_write(&h, h.accepted, "abc", 3, S);
    xt_stack_output(h.s, S);
    cr_assert_eq(take_to(2).len, 3);
    cr_assert(CARRIES(LOOSE, 11, 4, HOP(3), HOP(2), 0));
    cr_assert_eq(xt_stack_ip_options(h.s, h.accepted)->len, 12);
    xt_stack_abort(h.s, h.accepted, S);
    cr_assert(take_to(2).flags & XT_TH_RST);
    cr_assert(CARRIES(LOOSE, 11, 4, HOP(3), HOP(2), 0));
    cr_assert_eq(xt_stack_stats(h.s)->routes_learned, 1);
}

/* A SYN that came by a source route is refused by the same way back, and answered with a cookie by it. */
Test(srcroute, answers_without_a_connection)
{
    struct xt_seg syn = syn_of(4000);
    ARRIVES(2, 3, &syn, LOOSE, 7, 8, HOP(3), 0);
    cr_assert(take_to(2).flags & XT_TH_RST);
    cr_assert_eq(ip4.dst, ip(3));
    host_listen(&h, 80, false, S);
    h.admit = false;
    ARRIVES(2, 3, &syn, LOOSE, 7, 8, HOP(3), 0);
    struct xt_seg cookie = take_to(2);
    cr_assert_eq(cookie.flags, XT_TH_SYN | XT_TH_ACK);
    cr_assert_eq(ip4.dst, ip(3));
    struct xt_seg ack = {
        .sport = 4000, .dport = 80, .seq = 101, .ack = cookie.seq + 1, .flags = XT_TH_ACK, .wnd = 65535};
    ARRIVES(2, 3, &ack, LOOSE, 7, 8, HOP(3), 0);
    cr_assert_eq(h.naccepted, 1);
    cr_assert_eq(xt_stack_ip_options(h.s, h.accepted)->len, 8);
}

static struct xt_conn *accepted_by_route(void)
{
    struct xt_seg syn = syn_of(4000);
    host_listen(&h, 80, false, S);
    ARRIVES(2, 3, &syn, LOOSE, 7, 8, HOP(3), 0);
    struct xt_seg answer = take_to(2);
    struct xt_seg ack = {
        .sport = 4000, .dport = 80, .seq = 101, .ack = answer.seq + 1, .flags = XT_TH_ACK, .wnd = 65535};
    ARRIVES(2, 3, &ack, LOOSE, 7, 8, HOP(3), 0);
    cr_assert_eq(h.naccepted, 1);
    host_drain(&h);
    return h.accepted;
}

static struct xt_seg next_data(const struct xt_conn *c)
{
    return (struct xt_seg){
        .sport = 4000, .dport = 80, .seq = c->rcv_nxt, .ack = c->snd_nxt, .flags = XT_TH_ACK, .wnd = 65535, .len = 10};
}

/* Req SHLD-24: a different route on a later segment takes the place of the earlier one; a segment without changes nothing. */
Test(srcroute, later_route_overrides)
{
    struct xt_conn *c = accepted_by_route();
    struct xt_seg seg = next_data(c);
    ARRIVES(2, 4, &seg, STRICT, 11, 12, HOP(5), HOP(4), 0);
    take_to(2);
    cr_assert_eq(ip4.dst, ip(4));
    cr_assert(CARRIES(STRICT, 11, 4, HOP(5), HOP(2), 0));
    cr_assert_eq(c->mss_eff, 1460 - 12);
    seg = next_data(c);
    arrives(2, 2, &seg, NULL, 0);
    take_to(2);
    cr_assert_eq(ip4.dst, ip(4));
}

/* But not when it only knows the end points: the sequence number is not the next, or the ACK is of nothing sent. */
Test(srcroute, blind_segments_redirect_nothing)
{
    struct xt_conn *c = accepted_by_route();
    struct xt_seg seg = next_data(c);
    seg.seq += 1;
    ARRIVES(2, 4, &seg, LOOSE, 7, 8, HOP(4), 0);
    cr_assert_eq(xt_ipopt_first_hop(xt_stack_ip_options(h.s, c), 0), ip(3));
    seg = next_data(c);
    seg.ack += 1;
    ARRIVES(2, 4, &seg, LOOSE, 7, 8, HOP(4), 0);
    cr_assert_eq(xt_ipopt_first_hop(xt_stack_ip_options(h.s, c), 0), ip(3));
}

/* Req MUST-52: the application's route goes before one in a datagram: in the answer to its SYN, in later segments, and on a
 * connection that was accepted by another. */
Test(srcroute, application_goes_before_datagram)
{
    static const uint8_t other[] = {LOOSE, 7, 8, HOP(4), 0};
    struct xt_ipopt o = OPTIONS(LOOSE, 7, 4, HOP(5));
    struct xt_conn *c = open_by(&o, other, sizeof other);
    take_to(2);
    cr_assert_eq(ip4.dst, ip(5));
    c = accepted_by_route();
    xt_stack_set_ip_options(h.s, c, &o);
    struct xt_seg seg = next_data(c);
    arrives(2, 4, &seg, other, sizeof other);
    take_to(2);
    cr_assert_eq(ip4.dst, ip(5));
    cr_assert(CARRIES(LOOSE, 7, 4, HOP(2), 0));
}

/* An active open follows the routes of its application only, and none when that has none. */
Test(srcroute, active_open_takes_none)
{
    static const uint8_t other[] = {LOOSE, 7, 8, HOP(4), 0};
    struct xt_ipopt none = {0};
    struct xt_conn *c = open_by(&none, other, sizeof other);
    take_to(2);
    cr_assert_eq(ip4.dst, ip(2));
    cr_assert_null(xt_stack_ip_options(h.s, c));
}

/* A packet whose route goes on from here is not ours; where source routes are not wanted, none is. */
Test(srcroute, dropped)
{
    struct xt_seg syn = syn_of(4000);
    host_listen(&h, 80, false, S);
    ARRIVES(2, 3, &syn, LOOSE, 11, 8, HOP(3), HOP(4), 0);
    cr_assert_not(sent_one());
    cr_assert_eq(xt_stack_stats(h.s)->drop_source_route, 1);
    host_stop(&h);
    start(false);
    host_listen(&h, 80, false, S);
    ARRIVES(2, 3, &syn, LOOSE, 7, 8, HOP(3), 0);
    cr_assert_not(sent_one());
    cr_assert_eq(xt_stack_stats(h.s)->drop_source_route, 1);
    ARRIVES(2, 3, &syn, 1, 1, 1, 0);
    cr_assert_eq(take_to(2).flags, XT_TH_SYN | XT_TH_ACK);
    cr_assert_eq(ip4.hdr_len, 20);
}

/* A router on the way quotes a packet whose destination field is a hop: the error is about the connection all the same. */
Test(srcroute, icmp_finds_the_connection)
{
    uint8_t quote[60], msg[128];
    struct xt_ipopt o = OPTIONS(LOOSE, 7, 4, HOP(3));
    int err;
    struct xt_conn *c = connect_by(&o, &err);
    take_to(2);
    memcpy(quote, got.data + 14, 36);
    struct xt_icmp m = {
        .type = XT_ICMP_UNREACHABLE, .code = XT_ICMP_HOST_UNREACH, .data = quote, .data_len = ip4.hdr_len + 8u};
    size_t len = xt_icmp_emit(msg, sizeof msg, &m);
    inject(&h, f, make_ip(f, &h, 3, XT_IPPROTO_ICMP, 9, 0, false, msg, len), S);
    cr_assert_eq(c->soft_err, EHOSTUNREACH);
}
