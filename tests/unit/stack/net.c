/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/stack/net.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/base/macros.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/ipv4.h"

const uint8_t test_key[32] = "a key that no one would ever use";

uint32_t ip(unsigned last_octet)
{
    return htonl(0x0a000000 + last_octet);
}

struct xt_endpoint ep(unsigned last_octet, uint16_t port)
{
    return (struct xt_endpoint){.addr = xt_addr_v4(last_octet ? ip(last_octet) : 0), .port = port};
}

static int tx(void *arg, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen, const struct iovec *iov,
              unsigned niov)
{
    struct host *h = arg;
    cr_assert_leq(hdrlen, 256);
    if (h->count == QUEUE_MAX || h->room == 0)
        return -1;
    if (h->room != UINT32_MAX)
        h->room--;
    struct packet *p = &h->queue[h->count++];
    p->vnet = *vnet;
    p->data = malloc(hdrlen + 65536);
    memcpy(p->data, hdr, hdrlen);
    p->len = hdrlen;
    for (unsigned i = 0; i < niov; p->len += iov[i].iov_len, i++)
        memcpy(p->data + p->len, iov[i].iov_base, iov[i].iov_len);
    return 0;
}

static unsigned tx_room(void *arg)
{
    struct host *h = arg;
    return XT_MIN(h->room, QUEUE_MAX - h->count);
}

static void give_rings(struct host *h, struct xt_conn *c)
{
    uint32_t i = c->index;
    if (!h->rx[i]) {
        h->rx[i] = malloc(RING);
        h->tx[i] = malloc(RING);
    }
    xt_stack_set_bufs(h->s, c, h->rx[i], RING, h->tx[i], RING);
}

static void event(void *arg, struct xt_conn *c, uint32_t events)
{
    struct host *h = arg;
    h->events[c->index] |= events;
    if (events & XT_EV_ERROR)
        h->err[c->index] = c->err;
    if ((events & XT_EV_CONNECTED) && c->listener != XT_NO_CONN) {
        h->accepted = c;
        h->naccepted++;
    }
    h->closed += (events & XT_EV_CLOSED) != 0;
}

static void count_half_open(void *arg, struct xt_conn *c)
{
    *(unsigned *)arg += c->state == XT_SYN_RECV;
}

static bool admit(void *arg, const struct xt_conn *listener)
{
    struct host *h = arg;
    unsigned half_open = 0;
    uint32_t cursor = 0;
    if (h->backlog)
        xt_stack_each(h->s, &cursor, UINT32_MAX, count_half_open, &half_open);
    return h->admit && (!h->backlog || half_open < h->backlog);
}

static bool admit_open(void *arg, const struct xt_conn *listener)
{
    struct host *h = arg;
    return !h->full;
}

static bool need_bufs(void *arg, struct xt_conn *c)
{
    struct host *h = arg;
    if (h->no_bufs)
        return false;
    give_rings(arg, c);
    return true;
}

void host_cfg(struct host *h, unsigned last_octet)
{
    *h = (struct host){.room = UINT32_MAX, .admit = true};
    h->cfg = (struct xt_stack_cfg){.mac = {2, 0, 0, 0, 0, (uint8_t)last_octet},
                                   .addr = ip(last_octet),
                                   .prefix = 24,
                                   .mtu = 1500,
                                   .max_conns = MAX_CONNS,
                                   .port_min = 32768,
                                   .port_max = 60999,
                                   .ttl = 64};
    xt_tcp_cfg_default(&h->cfg.tcp);
}

void host_start(struct host *h, uint64_t now)
{
    struct xt_stack_ops ops = {.tx = tx,
                               .event = event,
                               .admit = admit,
                               .admit_open = admit_open,
                               .need_bufs = need_bufs,
                               .tx_room = tx_room,
                               .arg = h,
                               .crew = h->crew,
                               .shard = h->shard};
    if (!h->state)
        h->state = calloc(1, xt_stack_state_size(h->cfg.max_conns));
    cr_assert_eq(xt_stack_new(&h->s, &h->cfg, &ops, h->state, test_key, now), 0);
}

void host_begin(struct host *h, uint64_t now)
{
    host_cfg(h, 1);
    host_start(h, now);
}

void host_settle(struct host *h, uint64_t now)
{
    while (xt_stack_output(h->s, now))
        ;
}

void host_stop(struct host *h)
{
    host_drain(h);
    xt_stack_free(h->s);
    free(h->state);
    for (unsigned i = 0; i < MAX_CONNS; i++) {
        free(h->rx[i]);
        free(h->tx[i]);
    }
}

void net_init(struct net *n)
{
    n->now = 1000000;
    n->drop = n->bad = n->mark = false;
    for (unsigned i = 0; i < 2; i++) {
        host_cfg(&n->h[i], i + 1);
        host_start(&n->h[i], n->now);
    }
}

void net_fini(struct net *n)
{
    host_stop(&n->h[0]);
    host_stop(&n->h[1]);
}

bool host_take(struct host *h, struct packet *p)
{
    if (!h->count)
        return false;
    *p = h->queue[0];
    memmove(h->queue, h->queue + 1, --h->count * sizeof *p);
    return true;
}

void host_drain(struct host *h)
{
    struct packet p;
    while (host_take(h, &p))
        free(p.data);
}

unsigned host_output(struct host *h, uint64_t now)
{
    xt_stack_output(h->s, now);
    unsigned n = h->count;
    host_drain(h);
    return n;
}

/* A router's congestion mark, the IPv4 header's checksum included. */
static void mark(uint8_t *frame)
{
    struct xt_ipv4 head;
    uint8_t *p = frame + XT_ETH_HDR_LEN;
    if (xt_be16_load(frame + 12) != XT_ETH_TYPE_IPV4 || (p[1] & 3) == 0)
        return;
    cr_assert_eq(xt_ipv4_parse(p, SIZE_MAX, &head), 0);
    head.tos |= 3;
    xt_ipv4_emit(p, &head);
}

static void hand_over(struct net *n, struct host *to, const struct packet *p)
{
    if (n->mark)
        mark(p->data);
    if (!n->drop)
        xt_stack_input(to->s, p->data, p->len, &p->vnet, n->now);
}

/* What happens to a frame of host `i`: an ordinary link hands it over. */
static void carry(struct net *n, unsigned i, const struct packet *p)
{
    struct host *from = &n->h[i], *to = &n->h[1 - i];
    unsigned luck = n->bad && p->data[13] == 0 ? (unsigned)rand_r(&n->seed) % 10 : 9;
    if (luck == 0)
        return;
    if (luck == 1)
        hand_over(n, to, p);
    if (luck == 2 && from->count) {
        struct packet next;
        host_take(from, &next);
        hand_over(n, to, &next);
        free(next.data);
    }
    hand_over(n, to, p);
}

void net_pump(struct net *n)
{
    struct packet p;
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned i = 0; i < 2; i++) {
            xt_stack_output(n->h[i].s, n->now);
            while (host_take(&n->h[i], &p)) {
                carry(n, i, &p);
                free(p.data);
                moved = true;
            }
        }
    }
}

void net_run(struct net *n, uint64_t us)
{
    uint64_t end = n->now + us;
    for (;;) {
        net_pump(n);
        uint64_t next = XT_MIN(xt_stack_deadline(n->h[0].s), xt_stack_deadline(n->h[1].s));
        if (next > end)
            break;
        n->now = XT_MAX(n->now, next);
        xt_stack_timers(n->h[0].s, n->now);
        xt_stack_timers(n->h[1].s, n->now);
    }
    n->now = end;
}

struct xt_conn *host_listen(struct host *h, uint16_t port, bool reuse, uint64_t now)
{
    struct xt_endpoint at = ep(0, port);
    struct xt_conn *c = NULL;
    if (xt_stack_bind(h->s, &at, reuse) != 0 || xt_stack_listen(h->s, &at, reuse, now, &c) != 0)
        return NULL;
    xt_stack_set_bufs(h->s, c, NULL, RING, NULL, RING);
    return c;
}

static void prep(void *arg, struct xt_conn *c)
{
    struct host *h = arg;
    h->events[c->index] = 0;
    h->err[c->index] = 0;
    c->fo = h->fo;
    give_rings(h, c);
}

struct xt_conn *host_connect(struct host *h, unsigned to, uint16_t port, uint64_t now, int *err)
{
    struct xt_endpoint local = ep(0, 0), remote = ep(to, port);
    struct xt_conn *c = NULL;
    int r = xt_stack_connect(h->s, &local, &remote, now, prep, h, &c);
    if (err)
        *err = r;
    return r == 0 ? c : NULL;
}

uint32_t host_write(struct host *h, struct xt_conn *c, const void *p, uint32_t len, uint64_t now)
{
    uint32_t n = XT_MIN(len, c->tx_size - (uint32_t)(c->tx_head - c->tx_una));
    for (uint32_t i = 0; i < n; i++)
        h->tx[c->index][(c->tx_head + i) & (c->tx_size - 1)] = ((const uint8_t *)p)[i];
    if (n)
        xt_stack_wrote(h->s, c, c->tx_head + n, false, now);
    return n;
}

uint32_t host_read(struct host *h, struct xt_conn *c, void *p, uint32_t len, uint64_t now)
{
    uint32_t n = XT_MIN(len, (uint32_t)(c->rx_head - c->rx_tail));
    for (uint32_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = h->rx[c->index][(c->rx_tail + i) & (c->rx_size - 1)];
    if (n)
        xt_stack_consumed(h->s, c, c->rx_tail + n, now);
    return n;
}

static uint8_t *put_eth(uint8_t *f, const struct host *h, unsigned from, uint16_t type)
{
    struct xt_eth eth = {.src = {2, 0, 0, 0, 0, (uint8_t)from}, .type = type};
    memcpy(eth.dst, h->cfg.mac, 6);
    return f + xt_eth_emit(f, &eth);
}

size_t make_ip(uint8_t *f, const struct host *h, unsigned from, uint8_t proto, uint16_t id, unsigned frag_off, bool mf,
               const void *p, size_t len)
{
    struct xt_ipv4 head = {.ttl = 64,
                           .proto = proto,
                           .id = id,
                           .total_len = (uint16_t)(XT_IPV4_HDR_LEN + len),
                           .frag_off = (uint16_t)frag_off,
                           .mf = mf,
                           .src = ip(from),
                           .dst = h->cfg.addr};
    uint8_t *at = put_eth(f, h, from, XT_ETH_TYPE_IPV4);
    at += xt_ipv4_emit(at, &head);
    memcpy(at, p, len);
    return (size_t)(at - f) + len;
}

size_t make_arp(uint8_t *f, const struct host *h, uint16_t op, unsigned from, unsigned spa, unsigned tpa)
{
    struct xt_arp arp = {.op = op, .sha = {2, 0, 0, 0, 0, (uint8_t)from}, .spa = ip(spa), .tpa = ip(tpa)};
    uint8_t *at = put_eth(f, h, from, XT_ETH_TYPE_ARP);
    return (size_t)(at - f) + xt_arp_emit(at, &arp);
}

size_t make_tcp(uint8_t *f, const struct host *h, unsigned from, const struct xt_seg *seg, const void *payload)
{
    uint8_t t[2048];
    size_t n = xt_seg_emit(t, seg);
    struct iovec iov = {(void *)(uintptr_t)payload, seg->len};
    xt_be16_store(t + 16, xt_csum_tcp4(ip(from), h->cfg.addr, t, n, &iov, seg->len ? 1 : 0));
    if (seg->len)
        memcpy(t + n, payload, seg->len);
    return make_ip(f, h, from, XT_IPPROTO_TCP, 1, 0, false, t, n + seg->len);
}

void inject(struct host *h, const uint8_t *f, size_t len, uint64_t now)
{
    static const struct virtio_net_hdr plain;
    xt_stack_input(h->s, f, len, &plain, now);
}
