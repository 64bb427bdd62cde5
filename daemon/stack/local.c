/* SPDX-License-Identifier: Apache-2.0
 * Segments from our own address to itself: two programs of one daemon. No packet is made of them: what the sender's core has
 * made is what the receiver's core gets, and the payload stays in the send ring until that one copies it to its place. Each is
 * otherwise as if it had come from the network, and one that finds no receiver, or whose ring is gone, is a lost segment. */
#include <string.h>

#include "daemon/stack/internal.h"

bool xt_local_room(const struct xt_stack *s)
{
    return s->local_count < XT_LOCAL_QUEUE;
}

/* Members that are not on a wire are 0, as xt_seg_parse() leaves them. */
static void as_received(struct xt_local *l)
{
    struct xt_tcp_opts *o = &l->seg.opt;
    if (!(o->present & XT_OPT_TS))
        o->tsval = o->tsecr = 0;
    if (!(l->seg.flags & XT_TH_SYN)) {
        o->present &= XT_OPT_TS;
        o->mss = 0;
        o->wscale = 0;
    }
    if (o->present & XT_OPT_FO) {
        memcpy(l->cookie, o->cookie, o->ncookie);
        o->cookie = l->cookie;
    } else {
        o->cookie = NULL;
        o->ncookie = 0;
    }
}

void xt_local_put(struct xt_stack *s, const struct xt_seg *seg, const struct xt_conn *from)
{
    if (s->local_count == 0)
        s->local_head = 0; /* the same few places, while few are needed */
    struct xt_local *l = &s->local[(s->local_head + s->local_count++) % XT_LOCAL_QUEUE];
    l->seg = *seg;
    l->from = from ? from->index : XT_NO_CONN;
    l->gen = from ? from->gen : 0;
    as_received(l);
    s->stats.local_segs++;
}

/* NULL: nobody's, or of a connection that is gone. */
static const struct xt_conn *sender(const struct xt_stack *s, const struct xt_local *l)
{
    const struct xt_conn *c = l->from != XT_NO_CONN ? &s->conns[l->from] : NULL;
    return c && c->gen == l->gen && (c->flags & XT_CONN_USED) ? c : NULL;
}

/* Where the payload is now: the ring may have been moved, or be gone with its connection. */
static bool find_payload(const struct xt_stack *s, struct xt_local *l)
{
    struct xt_seg *seg = &l->seg;
    if (seg->len == 0)
        return true;
    const struct xt_conn *c = sender(s, l);
    const uint8_t *tx = s->side[l->from].tx;
    if (!c || !tx || seg->len > c->tx_size)
        return false;
    uint32_t at = (uint32_t)seg->tx_off & (c->tx_size - 1), first = c->tx_size - at;
    seg->payload = tx + at;
    if (first < seg->len) {
        seg->part = first;
        seg->more = tx;
    }
    return true;
}

/* The receiver; remembered beside the sender's record. */
static uint32_t receiver(struct xt_stack *s, const struct xt_local *l, const struct xt_flow *flow)
{
    bool has = l->from != XT_NO_CONN && s->conns[l->from].state != XT_LISTEN;
    struct xt_side *d = has ? &s->side[l->from] : NULL;
    if (d && d->peer) {
        const struct xt_conn *c = &s->conns[d->peer - 1];
        const uint32_t flags = XT_CONN_USED | XT_CONN_LOCAL;
        if ((c->flags & flags) == flags && c->local.port == flow->lport && c->remote.port == flow->rport)
            return d->peer - 1;
    }
    uint32_t i = xt_flowmap_find(&s->flows, flow);
    if (d && i != XT_FLOW_NONE)
        d->peer = i + 1;
    return i;
}

static void hand_over(struct xt_stack *s, struct xt_local *l)
{
    static const struct xt_rx rx = {.trusted = true};
    struct xt_addr own = xt_addr_v4(s->cfg.addr);
    struct xt_flow flow = {.local = own, .remote = own, .lport = l->seg.dport, .rport = l->seg.sport};
    struct xt_visit v = {0};
    uint32_t to;
    if (!find_payload(s, l)) {
        s->stats.drop_no_ring++;
        return;
    }
    uint32_t i = receiver(s, l, &flow);
    if (xt_demux_is_foreign(s, &flow, i, &v, &to))
        xt_out_pass(s, to, &v, sender(s, l), &l->seg);
    else
        xt_demux_seg(s, i, &flow, &l->seg, &rx);
}

/* A segment stays in its place while it is handled: what it provokes is put behind it. */
bool xt_local_run(struct xt_stack *s)
{
    uint32_t n = s->local_count;
    for (uint32_t i = 0; i < n; i++) {
        hand_over(s, &s->local[s->local_head]);
        s->local_head = (s->local_head + 1) % XT_LOCAL_QUEUE;
        s->local_count--;
    }
    return n > 0;
}
