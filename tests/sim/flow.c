/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flow_packet {
    uint64_t at, order;
    unsigned flow, to;
    struct xt_seg seg;
};

static uint8_t zeros[65536];

/* ---- packets by arrival ---- */

static bool before(const struct flow_packet *a, const struct flow_packet *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void push(struct flows *s, struct flow_packet *p)
{
    if (s->len == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 1024;
        s->heap = realloc(s->heap, s->cap * sizeof *s->heap);
        if (!s->heap)
            abort();
    }
    unsigned i = s->len++;
    for (; i > 0 && before(p, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = p;
}

static struct flow_packet *pop(struct flows *s)
{
    struct flow_packet *top = s->heap[0], *last = s->heap[--s->len];
    unsigned i = 0;
    for (unsigned child = 1; child < s->len; child = 2 * i + 1) {
        if (child + 1 < s->len && before(s->heap[child + 1], s->heap[child]))
            child++;
        if (!before(s->heap[child], last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return top;
}

static void send_at(struct flows *s, unsigned flow, unsigned to, const struct xt_seg *seg, uint64_t at)
{
    struct flow_packet *p = malloc(sizeof *p);
    if (!p)
        abort();
    *p = (struct flow_packet){at, s->order++, flow, to, *seg};
    push(s, p);
}

/* ---- the path ---- */

static void forward(struct flows *s, unsigned flow, const struct xt_seg *seg)
{
    uint64_t leaves;
    struct xt_seg out = *seg;
    s->sent++;
    s->neck.rate = s->path.rate;
    s->neck.depth = s->path.queue;
    s->neck.mark = s->path.mark;
    if (!bottleneck_pass(&s->neck, s->now, seg->len + FLOW_WIRE_OVERHEAD, &out.ecn, &leaves))
        return;
    if (seg->len && rng_ppm(&s->rng, s->path.loss)) {
        s->lost++;
        return;
    }
    uint64_t at = leaves + s->path.rtt / 2;
    if (seg->len && rng_ppm(&s->rng, s->path.reorder))
        at += rng_in(&s->rng, 1, s->path.late);
    send_at(s, flow, 1, &out, at);
}

static void forward_cut(struct flows *s, unsigned flow, const struct xt_seg *seg)
{
    uint32_t part = seg->gso_size ? seg->gso_size : seg->len;
    struct xt_seg cut = *seg;
    cut.gso_size = 0;
    cut.payload = zeros;
    uint32_t off = 0;
    do {
        uint32_t left = seg->len - off;
        cut.len = left < part ? left : part;
        cut.seq = seg->seq + off;
        cut.flags = off + cut.len < seg->len ? seg->flags & (uint8_t)~XT_TH_PSH : seg->flags;
        forward(s, flow, &cut);
        off += cut.len;
    } while (off < seg->len);
}

/* ---- the ends ---- */

static struct xt_tcp_ctx ctx_of(struct flows *s, struct flow *f, unsigned end)
{
    return (struct xt_tcp_ctx){XT_TCP_AT(s->now), .cfg = &f->cfg, .stats = &f->stats[end], .rx = end ? f->rx : zeros};
}

static void output(struct flows *s, unsigned i, unsigned end)
{
    struct flow *f = &s->f[i];
    struct xt_tcp_ctx ctx = ctx_of(s, f, end);
    struct xt_seg seg;
    memset(&seg, 0, sizeof seg);
    while (xt_tcp_output(&f->c[end], &ctx, &seg, 0)) {
        if (end == 0)
            forward_cut(s, i, &seg);
        else
            send_at(s, i, 0, &seg, s->now + s->path.rtt - s->path.rtt / 2);
        memset(&seg, 0, sizeof seg);
    }
}

static void write_more(struct flows *s, unsigned i)
{
    struct flow *f = &s->f[i];
    struct xt_conn *c = &f->c[0];
    struct xt_tcp_ctx ctx = ctx_of(s, f, 0);
    uint64_t head = c->tx_una + c->tx_size;
    if (f->write_rate) {
        uint64_t may = f->write_rate * (s->now - f->start) / 1000000;
        head = may < head ? may : head;
    }
    if (c->state >= XT_ESTABLISHED && head > c->tx_head)
        xt_tcp_wrote(c, &ctx, head, false);
}

static void receive(struct flows *s, struct flow_packet *p)
{
    struct flow *f = &s->f[p->flow];
    struct xt_conn *c = &f->c[p->to];
    struct xt_tcp_ctx ctx = ctx_of(s, f, p->to);
    struct xt_conn listener = {.mss_local = 0};
    struct xt_seg reply;
    int replies = 0;
    if (p->to == 1 && c->state == XT_CLOSED)
        xt_tcp_accept_syn(c, &listener, &ctx, &p->seg, (uint32_t)rng_u64(&s->rng));
    else
        xt_tcp_input(c, &ctx, &p->seg, &reply, &replies);
    if (p->to == 1 && c->rx_head > c->rx_tail)
        xt_tcp_consumed(c, &ctx, c->rx_head);
    if (p->to == 0) {
        write_more(s, p->flow);
        if (s->on_ack)
            s->on_ack(s, p->flow);
    }
    output(s, p->flow, p->to);
}

static uint64_t next_time(const struct flows *s)
{
    uint64_t t = s->len ? s->heap[0]->at : UINT64_MAX;
    for (unsigned i = 0; i < s->n; i++) {
        const struct flow *f = &s->f[i];
        if (f->c[0].state == XT_CLOSED && f->start < t)
            t = f->start;
        if (f->write_rate && f->wrote_at + 1000 < t)
            t = f->wrote_at + 1000;
        for (int end = 0; end < 2; end++)
            if (xt_tcp_deadline(&f->c[end], s->now) < t)
                t = xt_tcp_deadline(&f->c[end], s->now);
    }
    return t;
}

static void step_flow(struct flows *s, unsigned i)
{
    struct flow *f = &s->f[i];
    if (f->c[0].state == XT_CLOSED && f->start <= s->now) {
        struct xt_tcp_ctx ctx = ctx_of(s, f, 0);
        xt_tcp_connect(&f->c[0], &ctx, (uint32_t)rng_u64(&s->rng));
        output(s, i, 0);
    }
    if (f->write_rate && f->wrote_at + 1000 <= s->now) {
        f->wrote_at = s->now;
        write_more(s, i);
        output(s, i, 0);
    }
    for (unsigned end = 0; end < 2; end++) {
        if (xt_tcp_deadline(&f->c[end], s->now) > s->now)
            continue;
        struct xt_tcp_ctx ctx = ctx_of(s, f, end);
        xt_tcp_timer(&f->c[end], &ctx);
        output(s, i, end);
    }
}

void flows_run(struct flows *s, uint64_t until)
{
    for (;;) {
        uint64_t t = next_time(s);
        if (t > until)
            break;
        s->now = t > s->now ? t : s->now;
        while (s->len && s->heap[0]->at <= s->now) {
            struct flow_packet *p = pop(s);
            receive(s, p);
            free(p);
        }
        for (unsigned i = 0; i < s->n; i++)
            step_flow(s, i);
    }
    s->now = until;
}

void flows_init(struct flows *s, const struct path_cfg *path, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->path = *path;
    s->rng.s = seed;
    s->now = 1000000;
}

struct flow *flows_add(struct flows *s, uint8_t cc, uint64_t start)
{
    struct flow *f = &s->f[s->n];
    struct xt_endpoint a = {xt_addr_v4(0x0100000a), (uint16_t)(1000 + s->n)}, b = {xt_addr_v4(0x0200000a), 80};
    s->n++;
    memset(f, 0, sizeof *f);
    xt_tcp_cfg_default(&f->cfg);
    f->cfg.cc = cc;
    if (s->path.mark)
        f->cfg.ecn = XT_ECN_ON;
    f->start = f->wrote_at = s->now + start;
    f->rx = malloc(s->path.ring);
    if (!f->rx)
        abort();
    xt_tcp_init(&f->c[0], &a, &b, &f->cfg);
    xt_tcp_init(&f->c[1], &b, &a, &f->cfg);
    for (unsigned i = 0; i < 2; i++) {
        xt_seldom_attach(&f->c[i], &f->seldom[i]);
        xt_board_lend(&f->c[i], &f->board[i]);
    }
    xt_tcp_set_rings(&f->c[0], 65536, s->path.ring);
    xt_tcp_set_rings(&f->c[1], s->path.ring, 65536);
    return f;
}

uint64_t flow_received(const struct flow *f)
{
    return f->c[1].rx_head - f->mark;
}

void flows_mark(struct flows *s)
{
    for (unsigned i = 0; i < s->n; i++)
        s->f[i].mark = s->f[i].c[1].rx_head;
}

double flows_jain(const struct flows *s)
{
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < s->n; i++) {
        double x = (double)flow_received(&s->f[i]);
        sum += x;
        squares += x * x;
    }
    return squares > 0 ? sum * sum / (s->n * squares) : 0;
}

void flows_free(struct flows *s)
{
    while (s->len)
        free(pop(s));
    free(s->heap);
    for (unsigned i = 0; i < s->n; i++)
        free(s->f[i].rx);
}
