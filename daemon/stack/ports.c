/* SPDX-License-Identifier: Apache-2.0
 * Ports of our address: who holds which, by the rules of Linux, and the choice of free ones (RFC 6056 section 3.3.3). */
#include <errno.h>
#include <string.h>

#include "daemon/stack/internal.h"

#define SEARCH 128 /* ports looked at before one in TIME_WAIT is good enough */

static bool is_own(const struct xt_stack *s, const struct xt_addr *a)
{
    return xt_addr_is_any(a) || (xt_addr_is_v4(a) && xt_addr_to_v4(a) == s->cfg.addr);
}

static uint32_t claimed_by(const struct xt_conn *c)
{
    return (c->flags & XT_CONN_REUSE ? XT_CLAIM_REUSE : 0) | (c->flags & XT_CONN_SHARE ? XT_CLAIM_SHARE : 0);
}

/* Is there a listener whose port only those may have that share it? */
static bool has_lone_listener(const struct xt_port *p, bool shares)
{
    return XT_PORT_GET(p->listeners) && (!shares || XT_PORT_GET(p->lone));
}

/* Linux: with each holder of the port, the new one must have SO_REUSEPORT in common, and the user, or SO_REUSEADDR, and that one must
 * not listen. A connection, also one in TIME_WAIT, is a holder; its user is not known any more, but there is nobody left to take from. */
static bool agrees(const struct xt_port *p, uint64_t claim)
{
    bool all_share = (XT_PORT_GET(p->binds[XT_CLAIM_SHARE]) || XT_PORT_GET(p->binds[XT_CLAIM_SHARE | XT_CLAIM_REUSE]));
    bool shares = (claim & XT_CLAIM_SHARE) && (!all_share || XT_PORT_GET(p->uid) == xt_claim_uid(claim));
    for (uint32_t k = 0; k < 4; k++)
        if (XT_PORT_GET(p->binds[k]) + XT_PORT_GET(p->conns[k]) && !(shares && (k & XT_CLAIM_SHARE)) &&
            !(claim & k & XT_CLAIM_REUSE))
            return false;
    return !has_lone_listener(p, shares);
}

/* Has a session of the same family the port, in another shard? */
static bool is_kin(const struct xt_stack *s, uint32_t shard, const struct xt_port *p, uint64_t claim)
{
    uint32_t family = xt_claim_family_of(claim);
    return shard != s->ops.shard && family && !(claim & XT_CLAIM_SHARE) && XT_PORT_GET(p->family) == family &&
           xt_ports_is_bound(p);
}

static bool may_bind(const struct xt_stack *s, uint16_t port, uint64_t claim)
{
    for (uint32_t k = 0; k < xt_crew_size(s); k++) {
        const struct xt_port *p = xt_crew_port(s, k, port);
        if (p && !is_kin(s, k, p, claim) && !agrees(p, claim))
            return false;
    }
    return true;
}

bool xt_ports_may_listen(const struct xt_stack *s, uint16_t port, uint64_t claim)
{
    for (uint32_t k = 0; k < xt_crew_size(s); k++) {
        const struct xt_port *p = xt_crew_port(s, k, port);
        if (p && !is_kin(s, k, p, claim) && has_lone_listener(p, claim & XT_CLAIM_SHARE))
            return false;
    }
    return true;
}

void xt_ports_listens(struct xt_stack *s, uint16_t port, uint64_t claim)
{
    atomic_store_explicit(&s->ports[port].family, claim & XT_CLAIM_SHARE ? 0 : xt_claim_family_of(claim),
                          memory_order_relaxed);
}

/* Where the search for a port begins: differs by destination and key, and goes on from the last choice. */
static uint32_t offset_for(struct xt_stack *s, const struct xt_endpoint *local, const struct xt_endpoint *remote)
{
    struct xt_flow flow = {.local = local->addr};
    if (remote) {
        flow.remote = remote->addr;
        flow.rport = remote->port;
    }
    return (uint32_t)xt_siphash(&s->port_key, &flow, sizeof flow);
}

bool xt_ports_is_bound(const struct xt_port *p)
{
    return XT_PORT_GET(p->binds[0]) || XT_PORT_GET(p->binds[1]) || XT_PORT_GET(p->binds[2]) || XT_PORT_GET(p->binds[3]);
}

enum { PORT_FREE, PORT_RECYCLE, PORT_BUSY };

static int look(const struct xt_stack *s, uint16_t port, const struct xt_endpoint *local,
                const struct xt_endpoint *remote)
{
    const struct xt_port *p = &s->ports[port];
    if (!remote)
        return may_bind(s, port, 0) ? PORT_FREE : PORT_BUSY;
    struct xt_endpoint from = {.addr = local->addr, .port = port};
    struct xt_flow flow = xt_flow_of(&from, remote);
    if (xt_crew_home(s, &flow) != s->ops.shard)
        return PORT_BUSY; /* its packets would come to another shard */
    if (xt_ports_is_bound(p) || p->listener || xt_crew_others_use(s, port) ||
        (port == remote->port && xt_addr_eq(&local->addr, &remote->addr)))
        return PORT_BUSY;
    uint32_t i = xt_flowmap_find(&s->flows, &flow);
    if (i == XT_FLOW_NONE)
        return PORT_FREE;
    return xt_conn_may_recycle(s, i) ? PORT_RECYCLE : PORT_BUSY;
}

/* A port whose TIME_WAIT may be cut short is the second choice, after some search for one that is free. */
int xt_ports_pick(struct xt_stack *s, const struct xt_endpoint *local, const struct xt_endpoint *remote, uint16_t *port)
{
    uint32_t range = s->cfg.port_max - s->cfg.port_min + 1u, offset = offset_for(s, local, remote);
    uint16_t second = 0;
    for (uint32_t n = 0; n < range && !(second && n >= SEARCH); n++) {
        uint16_t p = (uint16_t)(s->cfg.port_min + (offset + s->next_port++) % range);
        int found = look(s, p, local, remote);
        if (found == PORT_FREE) {
            *port = p;
            return 0;
        }
        if (found == PORT_RECYCLE && !second)
            second = p;
    }
    *port = second;
    s->stats.ports_exhausted += !second;
    return second ? 0 : -EADDRNOTAVAIL;
}

static void reserve(struct xt_stack *s, uint16_t port, uint64_t claim)
{
    struct xt_port *p = &s->ports[port];
    XT_PORT_ADD(p->binds[claim & XT_CLAIM_ALL], 1);
    if (claim & XT_CLAIM_SHARE)
        atomic_store_explicit(&p->uid, xt_claim_uid(claim), memory_order_relaxed);
    xt_ports_listens(s, port, claim); /* or is about to */
}

int xt_stack_bind(struct xt_stack *s, struct xt_endpoint *local, uint64_t claim)
{
    if (!is_own(s, &local->addr))
        return -EADDRNOTAVAIL;
    struct xt_endpoint at = {.addr = xt_addr_v4(s->cfg.addr), .port = local->port};
    xt_crew_lock_ports(s);
    /* -EADDRINUSE is what Linux says, too, when the range is used up. */
    bool may = (at.port != 0 || xt_ports_pick(s, &at, NULL, &at.port) == 0) && may_bind(s, at.port, claim);
    if (may)
        reserve(s, at.port, claim);
    xt_crew_unlock_ports(s);
    if (!may)
        return -EADDRINUSE;
    *local = at;
    return 0;
}

void xt_stack_rebind(struct xt_stack *s, const struct xt_endpoint *local, uint64_t claim)
{
    reserve(s, local->port, claim);
}

void xt_stack_unbind(struct xt_stack *s, const struct xt_endpoint *local, uint64_t claim)
{
    _Atomic uint32_t *binds = &s->ports[local->port].binds[claim & XT_CLAIM_ALL];
    if (XT_PORT_GET(*binds))
        XT_PORT_ADD(*binds, -1);
}

uint32_t xt_ports_claimed(const struct xt_stack *s, uint16_t port)
{
    const struct xt_port *p = &s->ports[port];
    bool plain = XT_PORT_GET(p->binds[0]);
    bool all_reuse = !plain && !XT_PORT_GET(p->binds[XT_CLAIM_SHARE]);
    bool all_share = !plain && !XT_PORT_GET(p->binds[XT_CLAIM_REUSE]);
    if (!xt_ports_is_bound(p))
        return 0;
    return (all_reuse ? XT_CONN_REUSE : 0u) | (all_share ? XT_CONN_SHARE : 0u);
}

static bool is_astray(const struct xt_stack *s, const struct xt_conn *c)
{
    const struct xt_flow flow = xt_flow_of(&c->local, &c->remote);
    return s->ops.crew && xt_crew_home(s, &flow) != s->ops.shard;
}

void xt_ports_conn_add(struct xt_stack *s, const struct xt_conn *c)
{
    struct xt_port *p = &s->ports[c->local.port];
    XT_PORT_ADD(p->conns[claimed_by(c)], 1);
    if (is_astray(s, c))
        XT_PORT_ADD(p->astray, 1);
}

void xt_ports_conn_remove(struct xt_stack *s, const struct xt_conn *c)
{
    struct xt_port *p = &s->ports[c->local.port];
    XT_PORT_ADD(p->conns[claimed_by(c)], -1);
    if (is_astray(s, c))
        XT_PORT_ADD(p->astray, -1);
}

/* ---- listeners ---- */

void xt_ports_listener_add(struct xt_stack *s, const struct xt_conn *l)
{
    struct xt_port *p = &s->ports[l->local.port];
    if (l->flags & XT_CONN_RETIRED)
        return;
    s->side[l->index].sib_prev = 0;
    s->side[l->index].sib_next = p->listener;
    if (p->listener)
        s->side[p->listener - 1].sib_prev = l->index + 1;
    p->listener = l->index + 1;
    XT_PORT_ADD(p->listeners, 1);
    XT_PORT_ADD(p->lone, !(l->flags & XT_CONN_SHARE));
}

void xt_ports_listener_remove(struct xt_stack *s, const struct xt_conn *l)
{
    struct xt_port *p = &s->ports[l->local.port];
    struct xt_side *d = &s->side[l->index];
    if (l->flags & XT_CONN_RETIRED)
        return;
    if (d->sib_next)
        s->side[d->sib_next - 1].sib_prev = d->sib_prev;
    if (d->sib_prev)
        s->side[d->sib_prev - 1].sib_next = d->sib_next;
    else
        p->listener = d->sib_next;
    d->sib_prev = d->sib_next = 0;
    XT_PORT_ADD(p->listeners, -1);
    XT_PORT_ADD(p->lone, -!(l->flags & XT_CONN_SHARE));
}

struct xt_conn *xt_ports_listener(struct xt_stack *s, const struct xt_flow *flow)
{
    const struct xt_port *p = &s->ports[flow->lport];
    uint32_t at = p->listener, listeners = XT_PORT_GET(p->listeners);
    if (listeners > 1)
        for (uint64_t n = xt_siphash(&s->port_key, flow, sizeof *flow) % listeners; n > 0; n--)
            at = s->side[at - 1].sib_next;
    return at ? &s->conns[at - 1] : NULL;
}
