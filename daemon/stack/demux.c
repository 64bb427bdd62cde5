/* SPDX-License-Identifier: Apache-2.0
 * From a segment to its connection or listener (RFC 9293 section 3.10.7). */
#include "daemon/stack/internal.h"
#include "daemon/wire/checksum.h"

/* The answer to a segment of connection `c`, or of none (NULL). Who brought the segment takes the answer, unless a source
 * route says where it goes. */
static void reset(struct xt_stack *s, const struct xt_flow *flow, const struct xt_seg *reply, const struct xt_rx *rx,
                  const struct xt_conn *c)
{
    const struct xt_ipopt *o = c ? xt_ipopts_of(s, c) : rx->back;
    xt_out_reply(s, xt_addr_to_v4(&flow->local), xt_addr_to_v4(&flow->remote), reply,
                 c && o && o->route ? NULL : rx->mac, c ? &c->opt : NULL, o);
}

static bool admit_open(const struct xt_stack *s, const struct xt_conn *l)
{
    return s->ops.admit_open ? s->ops.admit_open(s->ops.arg, l) : s->ops.admit(s->ops.arg, l);
}

/* A record for a child of `l`, or NULL. */
static struct xt_conn *make_child(struct xt_stack *s, const struct xt_conn *l, const struct xt_flow *flow,
                                  const struct xt_rx *rx)
{
    struct xt_endpoint local = {flow->local, flow->lport}, remote = {flow->remote, flow->rport};
    uint32_t flags = (l->flags & (XT_CONN_REUSE | XT_CONN_SHARE)) | (rx->mac ? 0u : (uint32_t)XT_CONN_LOCAL);
    struct xt_conn *c = xt_conn_new(s, &local, &remote, flags);
    if (!c)
        return NULL;
    if (rx->back && rx->back->len) {
        xt_ipopts_set(s, c, rx->back, false); /* MUST-53 */
        s->stats.routes_learned++;
    }
    if (l->rx_size)
        xt_tcp_set_rings(c, l->rx_size, l->tx_size);
    c->session = l->session;
    return c;
}

/* No record for this SYN: `counter` counts it as dropped, unless a cookie can answer. When the accept queue is full too, a
 * cookie would only make the peer believe in a connection that comes to nothing. */
static void no_record(struct xt_stack *s, const struct xt_conn *l, const struct xt_flow *flow, const struct xt_seg *seg,
                      const struct xt_rx *rx, uint64_t *counter)
{
    if (s->cfg.tcp.syn_cookies == XT_COOKIES_NEVER || !admit_open(s, l))
        ++*counter;
    else
        xt_cookie_send(s, l, flow, seg, rx);
}

/* A SYN that the listener takes becomes a connection in SYN_RECV. `floor`: lowest ISS allowed, with `reuse`. */
static void accept_syn(struct xt_stack *s, struct xt_conn *l, const struct xt_flow *flow, const struct xt_seg *seg,
                       const struct xt_rx *rx, bool reuse, uint32_t floor)
{
    if (s->cfg.tcp.syn_cookies == XT_COOKIES_ALWAYS || !s->ops.admit(s->ops.arg, l)) {
        no_record(s, l, flow, seg, rx, &s->stats.drop_backlog);
        return;
    }
    struct xt_conn *c = make_child(s, l, flow, rx);
    if (!c) {
        no_record(s, l, flow, seg, rx, &s->stats.drop_no_conns);
        return;
    }
    uint32_t iss = xt_isn(s, flow);
    if (reuse && (int32_t)(iss - floor) < 0)
        iss = floor;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    uint32_t ev = xt_tcp_accept_syn(c, l, &ctx, seg, iss);
    xt_pmtu_apply(s, c);
    xt_conn_adopt_child(s, c, l->index);
    ev |= xt_fastopen_syn(s, l, c, flow, seg);
    xt_conn_after(s, c, ev);
}

/* The ACK of a cookie becomes the connection that no record was kept for. False: it is none. */
static bool accept_cookie(struct xt_stack *s, struct xt_conn *l, const struct xt_flow *flow, const struct xt_seg *seg,
                          const struct xt_rx *rx)
{
    uint16_t mss = xt_cookie_check(s, flow, seg);
    if (mss == 0)
        return false;
    struct xt_conn *c = admit_open(s, l) ? make_child(s, l, flow, rx) : NULL;
    if (!c) {
        s->stats.cookies_full++; /* what the peer sends next may find room */
        return true;
    }
    struct xt_seg ack = *seg;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    s->stats.cookies_ok++;
    uint32_t ev = xt_tcp_accept_cookie(c, l, &ctx, &ack, mss);
    xt_pmtu_apply(s, c);
    xt_conn_adopt_child(s, c, l->index);
    if (xt_conn_after(s, c, ev))
        xt_demux_conn(s, c->index, flow, &ack, rx);
    return true;
}

/* TIME_WAIT is no application's any more. */
bool xt_demux_too_far(struct xt_stack *s, const struct xt_conn *c, uint8_t ttl)
{
    if (ttl >= c->opt.min_ttl || c->state == XT_TIME_WAIT)
        return false;
    s->stats.drop_min_ttl++;
    return true;
}

static void to_listener(struct xt_stack *s, const struct xt_flow *flow, const struct xt_seg *seg,
                        const struct xt_rx *rx, bool reuse, uint32_t floor)
{
    struct xt_seg reply;
    struct xt_conn *l = xt_ports_listener(s, flow);
    if (!l) {
        s->stats.drop_closed_port++;
        if (xt_tcp_reset_for(seg, &reply))
            reset(s, flow, &reply, rx, NULL);
        return;
    }
    if (xt_demux_too_far(s, l, seg->ttl))
        return;
    struct xt_tcp_ctx ctx = xt_conn_ctx(s, l);
    if ((seg->flags & (XT_TH_SYN | XT_TH_ACK | XT_TH_RST)) == XT_TH_ACK && accept_cookie(s, l, flow, seg, rx))
        return;
    int r = xt_tcp_listen_input(l, &ctx, seg, &reply);
    if (r > 0) {
        accept_syn(s, l, flow, seg, rx, reuse, floor);
        return;
    }
    s->stats.drop_listener++;
    if (r < 0)
        reset(s, flow, &reply, rx, NULL);
}

/* Rings come late: with the first payload, or when a passive open is about to complete. */
static void provide_bufs(struct xt_stack *s, struct xt_conn *c, const struct xt_seg *seg)
{
    if (s->side[c->index].rx || c->state == XT_TIME_WAIT || (seg->flags & XT_TH_RST))
        return;
    if ((seg->len || c->state == XT_SYN_RECV) && !s->ops.need_bufs(s->ops.arg, c))
        s->stats.drop_no_bufs++;
}

/* Then the peer's next SYN finds the way there. */
static bool listens_elsewhere(struct xt_stack *s, const struct xt_flow *flow)
{
    struct xt_visit v = {.round = XT_VISIT_LISTENER};
    return s->ops.crew && xt_crew_whose(s, flow, XT_FLOW_NONE, &v) != s->ops.shard;
}

void xt_demux_conn(struct xt_stack *s, uint32_t i, const struct xt_flow *flow, const struct xt_seg *seg,
                   const struct xt_rx *rx)
{
    struct xt_seg reply;
    int has_reply = 0;
    struct xt_conn *c = &s->conns[i];
    if (xt_demux_too_far(s, c, seg->ttl))
        return;
    provide_bufs(s, c, seg);
    if (rx->back)
        xt_ipopts_received(s, c, seg, rx->back);
    bool waited = c->state == XT_TIME_WAIT, opening = c->state == XT_SYN_SENT && c->fo;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    if (xt_board_wanted_by(c, seg))
        xt_board_give(s, c);
    uint32_t ev = xt_tcp_input(c, &ctx, seg, &reply, &has_reply), floor = c->isn_floor;
    xt_board_check(s, c);
    if (has_reply)
        reset(s, flow, &reply, rx, c);
    if (opening)
        xt_fastopen_learn(s, c, seg);
    const uint32_t reuse = XT_EV_CLOSED | XT_EV_TIME_WAIT;
    xt_conn_after(s, c, ev);
    if (waited && (ev & reuse) == reuse && !listens_elsewhere(s, flow)) {
        s->stats.time_wait_reused++;
        to_listener(s, flow, seg, rx, true, floor);
    }
}

void xt_demux_seg(struct xt_stack *s, uint32_t i, const struct xt_flow *flow, const struct xt_seg *seg,
                  const struct xt_rx *rx)
{
    if (i == XT_FLOW_NONE)
        to_listener(s, flow, seg, rx, false, 0);
    else
        xt_demux_conn(s, i, flow, seg, rx);
}

bool xt_demux_is_foreign(struct xt_stack *s, const struct xt_flow *flow, uint32_t i, struct xt_visit *v, uint32_t *to)
{
    if (!s->ops.crew || (i != XT_FLOW_NONE && s->conns[i].state != XT_TIME_WAIT))
        return false;
    *to = xt_crew_whose(s, flow, i, v);
    return *to != s->ops.shard;
}

void xt_demux_input(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *p, size_t len, const struct xt_rx *rx)
{
    struct xt_seg seg;
    if (xt_seg_parse(p, len, &seg) != 0) {
        s->stats.drop_bad_tcp++;
        return;
    }
    seg.ecn = ip->tos & 3;
    seg.ttl = ip->ttl;
    seg.gso_size = rx->gso_size;
    struct xt_flow flow = {
        .local = xt_addr_v4(ip->dst), .remote = xt_addr_v4(ip->src), .lport = seg.dport, .rport = seg.sport};
    uint32_t i = xt_flowmap_find(&s->flows, &flow), to;
    struct xt_visit v = rx->visit;
    if (xt_demux_is_foreign(s, &flow, i, &v, &to))
        xt_crew_pass(s, to, &v, p - ip->hdr_len, ip->total_len, rx);
    else
        xt_demux_seg(s, i, &flow, &seg, rx);
}
