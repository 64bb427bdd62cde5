/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tcp/pair.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define PEER_ISS 1000u
#define OUR_ISS 5000u

uint8_t pattern(uint64_t off, int end)
{
    return (uint8_t)(off * 31 + (off >> 8) * 7 + (unsigned)end * 101);
}

static void on_state(void *arg, const struct xt_conn *c, enum xt_state from, enum xt_state to)
{
    struct end *e = arg;
    cr_assert_eq(c, &e->c);
    cr_assert_neq(from, XT_NSTATES);
    if (e->npath < 16)
        e->path[e->npath++] = to;
}

struct xt_tcp_ctx pair_ctx(struct pair *p, int end)
{
    struct end *e = &p->e[end];
    return (struct xt_tcp_ctx){XT_TCP_AT(p->now), .cfg = &e->cfg,       .stats = &e->stats,
                               .rx = e->rx,       .on_state = on_state, .on_state_arg = e};
}

struct pair *pair_new(void)
{
    struct pair *p = calloc(1, sizeof *p);
    cr_assert_not_null(p);
    p->now = 1000000;
    p->delay = 1000;
    struct xt_endpoint ep[2] = {{xt_addr_v4(0x0100000a), 1111}, {xt_addr_v4(0x0200000a), 2222}};
    for (int i = 0; i < 2; i++) {
        struct end *e = &p->e[i];
        xt_tcp_cfg_default(&e->cfg);
        xt_tcp_init(&e->c, &ep[i], &ep[!i], &e->cfg);
        xt_seldom_attach(&e->c, &e->seldom);
        xt_board_lend(&e->c, &e->board);
        xt_tcp_set_rings(&e->c, RING, RING);
    }
    return p;
}

void pair_free(struct pair *p)
{
    for (unsigned i = 0; i < p->nwire; i++)
        free(p->wire[i].data);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(p->e[i].stats.bad_events, 0);
    free(p);
}

static void put_wire(struct pair *p, int from, const struct xt_seg *seg)
{
    struct end *e = &p->e[from];
    e->sent++;
    e->last = *seg;
    if (p->drop && p->drop(p, from, seg))
        return;
    cr_assert_lt(p->nwire, WIRE_MAX);
    struct packet *k = &p->wire[p->nwire++];
    *k = (struct packet){p->now + p->delay, !from, *seg, malloc(seg->len + 1)};
    for (uint32_t i = 0; i < seg->len; i++)
        k->data[i] = e->tx[(seg->tx_off + i) & (RING - 1)];
    k->seg.payload = k->data;
}

void pair_flush(struct pair *p, int end)
{
    struct xt_tcp_ctx ctx = pair_ctx(p, end);
    struct xt_seg seg;
    while (xt_tcp_output(&p->e[end].c, &ctx, &seg, 0))
        put_wire(p, end, &seg);
}

static void deliver(struct pair *p, struct packet *k)
{
    struct end *e = &p->e[k->to];
    struct xt_tcp_ctx ctx = pair_ctx(p, k->to);
    struct xt_seg reply;
    int n = 0;
    if (e->c.state == XT_CLOSED && (k->seg.flags & (XT_TH_SYN | XT_TH_ACK)) == XT_TH_SYN && e->npath == 0) {
        struct xt_conn listener = {.mss_local = 0};
        e->ev |= xt_tcp_accept_syn(&e->c, &listener, &ctx, &k->seg, OUR_ISS);
    } else if (e->c.state == XT_CLOSED) {
        n = xt_tcp_reset_for(&k->seg, &reply);
    } else {
        e->ev |= xt_tcp_input(&e->c, &ctx, &k->seg, &reply, &n);
    }
    free(k->data);
    if (n)
        put_wire(p, k->to, &reply);
    pair_flush(p, k->to);
}

static uint64_t next_due(const struct pair *p)
{
    uint64_t due = UINT64_MAX;
    for (unsigned i = 0; i < p->nwire; i++)
        due = p->wire[i].due < due ? p->wire[i].due : due;
    return due;
}

static void step_wire(struct pair *p)
{
    uint64_t due = next_due(p);
    p->now = due > p->now ? due : p->now;
    for (unsigned i = 0; i < p->nwire; i++)
        if (p->wire[i].due == due) {
            struct packet k = p->wire[i];
            memmove(&p->wire[i], &p->wire[i + 1], (--p->nwire - i) * sizeof k);
            deliver(p, &k);
            return;
        }
}

void pair_settle(struct pair *p)
{
    pair_flush(p, 0);
    pair_flush(p, 1);
    while (p->nwire > 0)
        step_wire(p);
}

void pair_run(struct pair *p, uint64_t until)
{
    pair_flush(p, 0);
    pair_flush(p, 1);
    for (;;) {
        uint64_t due = next_due(p), t0 = xt_tcp_deadline(&p->e[0].c, p->now), t1 = xt_tcp_deadline(&p->e[1].c, p->now);
        uint64_t t = t0 < t1 ? t0 : t1;
        if ((due < t ? due : t) > until)
            break;
        if (due <= t) {
            step_wire(p);
            continue;
        }
        int end = t0 <= t1 ? 0 : 1;
        p->now = t > p->now ? t : p->now;
        struct xt_tcp_ctx ctx = pair_ctx(p, end);
        p->e[end].ev |= xt_tcp_timer(&p->e[end].c, &ctx);
        pair_flush(p, end);
    }
    p->now = until;
}

void pair_open(struct pair *p)
{
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    p->e[0].ev |= xt_tcp_connect(&p->e[0].c, &ctx, PEER_ISS);
    pair_settle(p);
    cr_assert_eq(p->e[0].c.state, XT_ESTABLISHED);
    cr_assert_eq(p->e[1].c.state, XT_ESTABLISHED);
}

void pair_write(struct pair *p, int end, uint32_t n, bool urgent)
{
    struct end *e = &p->e[end];
    struct xt_tcp_ctx ctx = pair_ctx(p, end);
    cr_assert_leq(e->c.tx_head + n - e->c.tx_una, RING);
    for (uint32_t i = 0; i < n; i++)
        e->tx[(e->c.tx_head + i) & (RING - 1)] = pattern(e->c.tx_head + i, end);
    e->ev |= xt_tcp_wrote(&e->c, &ctx, e->c.tx_head + n, urgent);
}

uint32_t pair_read(struct pair *p, int end)
{
    struct end *e = &p->e[end];
    struct xt_tcp_ctx ctx = pair_ctx(p, end);
    uint32_t n = (uint32_t)(e->c.rx_head - e->c.rx_tail);
    for (uint64_t off = e->c.rx_tail; off < e->c.rx_head; off++)
        cr_assert_eq(e->rx[off & (RING - 1)], pattern(off, !end), "byte %llu", (unsigned long long)off);
    e->ev |= xt_tcp_consumed(&e->c, &ctx, e->c.rx_head);
    return n;
}

uint32_t pair_call(struct pair *p, int end, uint32_t (*fn)(struct xt_conn *, const struct xt_tcp_ctx *))
{
    struct xt_tcp_ctx ctx = pair_ctx(p, end);
    uint32_t ev = fn(&p->e[end].c, &ctx);
    p->e[end].ev |= ev;
    return ev;
}

struct xt_seg script_make(struct pair *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    static uint8_t payload[RING];
    for (uint32_t i = 0; i < len; i++)
        payload[i] = pattern((uint64_t)seq + i, 0);
    struct xt_seg seg = {
        .sport = 1111,
        .dport = 2222,
        .seq = PEER_ISS + 1 + seq,
        .ack = flags & XT_TH_ACK ? OUR_ISS + 1 + ack : 0,
        .wnd = 65535,
        .flags = flags,
        .payload = payload,
        .len = len,
    };
    if (p->e[1].c.opts & XT_OPT_TS) {
        seg.opt.present = XT_OPT_TS;
        seg.opt.tsval = (uint32_t)(p->now / 1000);
        seg.opt.tsecr = (uint32_t)(p->now / 1000);
    }
    return seg;
}

uint32_t script_seg(struct pair *p, struct xt_seg *seg)
{
    struct end *e = &p->e[1];
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    struct xt_seg reply;
    int n;
    uint32_t ev = xt_tcp_input(&e->c, &ctx, seg, &reply, &n);
    e->ev |= ev;
    if (n) {
        e->last = reply;
        e->sent++;
    }
    return ev;
}

uint32_t script_in(struct pair *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    struct xt_seg seg = script_make(p, flags, seq, ack, len);
    return script_seg(p, &seg);
}

bool script_out(struct pair *p, struct xt_seg *seg)
{
    struct end *e = &p->e[1];
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    if (!xt_tcp_output(&e->c, &ctx, seg, 0))
        return false;
    e->last = *seg;
    e->sent++;
    return true;
}

void script_establish(struct pair *p, uint8_t opts)
{
    struct end *e = &p->e[1];
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    struct xt_conn listener = {.mss_local = 0};
    struct xt_seg seg = script_make(p, XT_TH_SYN, UINT32_MAX, 0, 0), out;
    seg.opt = (struct xt_tcp_opts){.present = opts, .mss = 1460, .wscale = 0, .tsval = (uint32_t)(p->now / 1000) - 1};
    xt_tcp_accept_syn(&e->c, &listener, &ctx, &seg, OUR_ISS);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.flags, XT_TH_SYN | XT_TH_ACK);
    script_in(p, XT_TH_ACK, 0, 0, 0);
    cr_assert_eq(e->c.state, XT_ESTABLISHED);
    cr_assert_not(script_out(p, &out));
    e->ev = 0;
    e->sent = 0;
}
