/* SPDX-License-Identifier: Apache-2.0
 * What the application layer calls: open connections and listeners, and the core's calls on them. */
#include <errno.h>

#include "daemon/base/ring.h"
#include "daemon/stack/internal.h"

struct xt_conn *xt_stack_conn(struct xt_stack *s, uint32_t index)
{
    return index < s->hdr->high_water && (s->conns[index].flags & XT_CONN_USED) ? &s->conns[index] : NULL;
}

const struct xt_conn *xt_stack_record(const struct xt_stack *s, uint32_t index)
{
    return index < s->hdr->high_water ? &s->conns[index] : NULL;
}

void xt_stack_set_bufs(struct xt_stack *s, struct xt_conn *c, uint8_t *rx, uint32_t rx_size, uint8_t *tx,
                       uint32_t tx_size)
{
    s->side[c->index].rx = rx;
    s->side[c->index].tx = tx;
    if (rx_size && tx_size)
        xt_tcp_set_rings(c, rx_size, tx_size);
}

void xt_stack_move_rx(struct xt_stack *s, struct xt_conn *c, uint8_t *rx, uint32_t rx_size)
{
    xt_conn_begin(s, c);
    xt_tcp_move_rx(c, s->side[c->index].rx, rx, rx_size);
    s->side[c->index].rx = rx;
    xt_conn_end(s);
}

void xt_stack_move_tx(struct xt_stack *s, struct xt_conn *c, uint8_t *tx, uint32_t tx_size)
{
    xt_conn_begin(s, c);
    xt_ring_copy(tx, tx_size, s->side[c->index].tx, c->tx_size, c->tx_una, c->tx_head - c->tx_una);
    s->side[c->index].tx = tx;
    c->tx_size = tx_size;
    xt_conn_end(s);
}

struct xt_bufs xt_stack_bufs(const struct xt_stack *s, const struct xt_conn *c)
{
    return (struct xt_bufs){.rx = s->side[c->index].rx, .tx = s->side[c->index].tx};
}

int xt_stack_listen(struct xt_stack *s, const struct xt_endpoint *local, uint64_t claim, uint64_t now_us,
                    struct xt_conn **out)
{
    struct xt_endpoint at = {.addr = xt_addr_v4(s->cfg.addr), .port = local->port}, any = {.addr = xt_addr_v4(0)};
    uint32_t flags = (claim & XT_CLAIM_REUSE ? XT_CONN_REUSE : 0u) | (claim & XT_CLAIM_SHARE ? XT_CONN_SHARE : 0u);
    xt_stack_at(s, now_us);
    xt_crew_lock_ports(s);
    bool may = xt_ports_may_listen(s, at.port, claim);
    struct xt_conn *c = may ? xt_conn_new(s, &at, &any, flags) : NULL;
    if (c) {
        xt_ports_listener_add(s, c);
        xt_ports_listens(s, at.port, claim);
    }
    xt_crew_unlock_ports(s);
    if (!c)
        return may ? -ENOBUFS : -EADDRINUSE;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    *out = c;
    xt_conn_after(s, c, xt_tcp_listen(c, &ctx));
    return 0;
}

void xt_stack_retire(struct xt_stack *s, struct xt_conn *l)
{
    if (l->flags & XT_CONN_RETIRED)
        return;
    xt_crew_lock_ports(s);
    xt_ports_listener_remove(s, l);
    l->flags |= XT_CONN_RETIRED;
    xt_crew_unlock_ports(s);
}

/* The remote end point that is meant: 0.0.0.0 is the own address, as on Linux. */
static int check_remote(const struct xt_stack *s, struct xt_endpoint *remote, const struct xt_ipopt *o)
{
    uint32_t hop;
    if (xt_addr_is_any(&remote->addr))
        remote->addr = xt_addr_v4(s->cfg.addr);
    if (!xt_addr_is_v4(&remote->addr))
        return -ENETUNREACH;
    uint32_t addr = xt_addr_to_v4(&remote->addr);
    if (addr != s->cfg.addr && (!xt_ip_is_host(s, addr) || xt_ipopts_hop(s, o, addr, &hop) != 0))
        return -ENETUNREACH;
    return remote->port ? 0 : -EADDRNOTAVAIL;
}

/* The ISS for `flow`, whose end points may still be in TIME_WAIT. Returns 0 or -EADDRINUSE. */
static int take_flow(struct xt_stack *s, const struct xt_flow *flow, uint32_t *iss)
{
    uint32_t old = xt_flowmap_find(&s->flows, flow), floor;
    *iss = xt_isn(s, flow);
    if (old == XT_FLOW_NONE)
        return 0;
    if (!xt_conn_may_recycle(s, old))
        return -EADDRINUSE;
    floor = xt_conn_recycle(s, old);
    if ((int32_t)(*iss - floor) < 0)
        *iss = floor;
    return 0;
}

/* A record between the end points; the port is picked when `from` has none. Returns 0, -EADDRNOTAVAIL, -EADDRINUSE or -ENOBUFS. */
static int begin_flow(struct xt_stack *s, struct xt_endpoint *from, const struct xt_endpoint *to, uint32_t *iss,
                      struct xt_conn **out)
{
    int r = from->port == 0 ? xt_ports_pick(s, from, to, &from->port) : 0;
    if (r != 0)
        return r;
    struct xt_flow flow = xt_flow_of(from, to);
    if ((r = take_flow(s, &flow, iss)) != 0)
        return r;
    uint32_t local = xt_addr_eq(&to->addr, &from->addr) ? XT_CONN_LOCAL : 0;
    *out = xt_conn_new(s, from, to, xt_ports_claimed(s, from->port) | local);
    return *out ? 0 : -ENOBUFS;
}

int xt_stack_connect(struct xt_stack *s, const struct xt_endpoint *local, const struct xt_endpoint *remote,
                     uint64_t now_us, void (*prep)(void *arg, struct xt_conn *c), void *arg, struct xt_conn **out)
{
    return xt_stack_connect_options(s, local, remote, NULL, now_us, prep, arg, out);
}

int xt_stack_connect_options(struct xt_stack *s, const struct xt_endpoint *local, const struct xt_endpoint *remote,
                             const struct xt_ipopt *o, uint64_t now_us, void (*prep)(void *arg, struct xt_conn *c),
                             void *arg, struct xt_conn **out)
{
    struct xt_endpoint to = *remote, from = {.addr = xt_addr_v4(s->cfg.addr), .port = local->port};
    xt_stack_at(s, now_us);
    uint32_t iss;
    struct xt_conn *c;
    int r = check_remote(s, &to, o);
    if (r != 0)
        return r;
    xt_crew_lock_ports(s);
    r = begin_flow(s, &from, &to, &iss, &c);
    xt_crew_unlock_ports(s);
    if (r != 0)
        return r;
    if (o && o->len)
        xt_ipopts_set(s, c, o, true);
    if (prep)
        prep(arg, c);
    if (c->fo)
        xt_fastopen_connect(s, c);
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    *out = c;
    uint32_t ev = xt_tcp_connect(c, &ctx, iss);
    xt_pmtu_apply(s, c);
    xt_conn_after(s, c, ev);
    return 0;
}

void xt_stack_wrote(struct xt_stack *s, struct xt_conn *c, uint64_t tx_head, bool urgent, uint64_t now_us)
{
    xt_stack_at(s, now_us);
    if (c->state == XT_CLOSED)
        return;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    xt_conn_after(s, c, xt_tcp_wrote(c, &ctx, tx_head, urgent));
}

void xt_stack_more(struct xt_stack *s, struct xt_conn *c, bool more)
{
    if (!(c->cflags & XT_CF_MORE) == !more)
        return;
    xt_conn_begin(s, c);
    xt_tcp_more(c, more);
    xt_conn_end(s);
}

void xt_stack_push(struct xt_stack *s, struct xt_conn *c, uint64_t now_us)
{
    xt_stack_at(s, now_us);
    if (c->state == XT_CLOSED)
        return;
    xt_conn_begin(s, c);
    xt_tcp_push(c);
    xt_conn_after(s, c, 0);
}

void xt_stack_consumed(struct xt_stack *s, struct xt_conn *c, uint64_t rx_tail, uint64_t now_us)
{
    xt_stack_at(s, now_us);
    if (c->state == XT_CLOSED)
        return;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    xt_conn_after(s, c, xt_tcp_consumed(c, &ctx, rx_tail));
}

void xt_stack_shutdown(struct xt_stack *s, struct xt_conn *c, uint64_t now_us)
{
    xt_stack_at(s, now_us);
    if (c->state == XT_CLOSED)
        return;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    xt_conn_after(s, c, xt_tcp_shutdown(c, &ctx));
}

void xt_stack_close(struct xt_stack *s, struct xt_conn *c, uint64_t now_us)
{
    xt_stack_at(s, now_us);
    if (c->state == XT_CLOSED)
        return;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    if (!xt_conn_after(s, c, xt_tcp_close(c, &ctx)) || !s->side[c->index].orphan)
        return;
    if (s->cfg.max_orphans && s->norphans > s->cfg.max_orphans) { /* as Linux (net.ipv4.tcp_max_orphans) */
        s->stats.orphans_dropped++;
        xt_stack_abort(s, c, now_us);
    }
}

void xt_stack_abort(struct xt_stack *s, struct xt_conn *c, uint64_t now_us)
{
    struct xt_seg reply;
    int has_reply = 0;
    xt_stack_at(s, now_us);
    if (c->state == XT_CLOSED)
        return;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    uint32_t ev = xt_tcp_abort(c, &ctx, &reply, &has_reply);
    if (has_reply)
        xt_out_reply(s, xt_addr_to_v4(&c->local.addr), xt_addr_to_v4(&c->remote.addr), &reply, NULL, &c->opt,
                     xt_ipopts_of(s, c));
    xt_conn_after(s, c, ev);
}

void xt_stack_options_changed(struct xt_stack *s, struct xt_conn *c, uint64_t now_us)
{
    xt_stack_at(s, now_us);
    if (c->state == XT_CLOSED)
        return;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    xt_conn_after(s, c, xt_tcp_options_changed(c, &ctx));
}

bool xt_stack_each(struct xt_stack *s, uint32_t *cursor, unsigned max, void (*fn)(void *arg, struct xt_conn *c),
                   void *arg)
{
    for (unsigned n = 0; n < max; (*cursor)++) {
        if (*cursor >= s->hdr->high_water)
            return false;
        if (s->conns[*cursor].flags & XT_CONN_USED) {
            fn(arg, &s->conns[*cursor]);
            n++;
        }
    }
    return true;
}

unsigned xt_stack_flush_time_wait(struct xt_stack *s, uint64_t now_us)
{
    unsigned n = 0;
    xt_stack_at(s, now_us);
    for (uint32_t i = 0; i < s->hdr->high_water; i++) {
        struct xt_conn *c = &s->conns[i];
        if (!(c->flags & XT_CONN_USED) || c->state != XT_TIME_WAIT)
            continue;
        xt_conn_end_time_wait(s, c);
        n++;
    }
    return n;
}
