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
static bool has_lone_listener(const struct xt_stack *s, const struct xt_port *p, bool shares)
{
    return p->listener && !(shares && s->conns[p->listener - 1].flags & XT_CONN_SHARE);
}

/* Linux: with each holder of the port, the new one must have SO_REUSEPORT in common, and the user, or SO_REUSEADDR, and that one must
 * not listen. A connection, also one in TIME_WAIT, is a holder; its user is not known any more, but there is nobody left to take from. */
static bool may_bind(const struct xt_stack *s, const struct xt_port *p, uint64_t claim)
{
    bool all_share = (p->binds[XT_CLAIM_SHARE] || p->binds[XT_CLAIM_SHARE | XT_CLAIM_REUSE]);
    bool shares = (claim & XT_CLAIM_SHARE) && (!all_share || p->uid == xt_claim_uid(claim));
    for (uint32_t k = 0; k < 4; k++)
        if (p->binds[k] + p->conns[k] && !(shares && (k & XT_CLAIM_SHARE)) && !(claim & k & XT_CLAIM_REUSE))
            return false;
    return !has_lone_listener(s, p, shares);
}

bool xt_ports_may_listen(const struct xt_stack *s, uint16_t port, uint32_t flags)
{
    return !has_lone_listener(s, &s->ports[port], flags & XT_CONN_SHARE);
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

static bool is_bound(const struct xt_port *p)
{
    return p->binds[0] || p->binds[1] || p->binds[2] || p->binds[3];
}

enum { PORT_FREE, PORT_RECYCLE, PORT_BUSY };

static int look(const struct xt_stack *s, uint16_t port, const struct xt_endpoint *local,
                const struct xt_endpoint *remote)
{
    const struct xt_port *p = &s->ports[port];
    if (!remote)
        return may_bind(s, p, 0) ? PORT_FREE : PORT_BUSY;
    struct xt_endpoint from = {.addr = local->addr, .port = port};
    if (is_bound(p) || p->listener || (port == remote->port && xt_addr_eq(&local->addr, &remote->addr)))
        return PORT_BUSY;
    struct xt_flow flow = xt_flow_of(&from, remote);
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
    p->binds[claim & XT_CLAIM_ALL]++;
    if (claim & XT_CLAIM_SHARE)
        p->uid = xt_claim_uid(claim);
}

int xt_stack_bind(struct xt_stack *s, struct xt_endpoint *local, uint64_t claim)
{
    if (!is_own(s, &local->addr))
        return -EADDRNOTAVAIL;
    struct xt_endpoint at = {.addr = xt_addr_v4(s->cfg.addr), .port = local->port};
    if (at.port == 0 && xt_ports_pick(s, &at, NULL, &at.port) != 0)
        return -EADDRINUSE; /* what Linux says when the range is used up */
    if (!may_bind(s, &s->ports[at.port], claim))
        return -EADDRINUSE;
    reserve(s, at.port, claim);
    *local = at;
    return 0;
}

void xt_stack_rebind(struct xt_stack *s, const struct xt_endpoint *local, uint64_t claim)
{
    reserve(s, local->port, claim);
}

void xt_stack_unbind(struct xt_stack *s, const struct xt_endpoint *local, uint64_t claim)
{
    uint32_t *binds = &s->ports[local->port].binds[claim & XT_CLAIM_ALL];
    *binds -= *binds != 0;
}

uint32_t xt_ports_claimed(const struct xt_stack *s, uint16_t port)
{
    const uint32_t *binds = s->ports[port].binds;
    bool all_reuse = !binds[0] && !binds[XT_CLAIM_SHARE], all_share = !binds[0] && !binds[XT_CLAIM_REUSE];
    if (!is_bound(&s->ports[port]))
        return 0;
    return (all_reuse ? XT_CONN_REUSE : 0u) | (all_share ? XT_CONN_SHARE : 0u);
}

void xt_ports_conn_add(struct xt_stack *s, const struct xt_conn *c)
{
    s->ports[c->local.port].conns[claimed_by(c)]++;
}

void xt_ports_conn_remove(struct xt_stack *s, const struct xt_conn *c)
{
    s->ports[c->local.port].conns[claimed_by(c)]--;
}

/* ---- listeners ---- */

void xt_ports_listener_add(struct xt_stack *s, const struct xt_conn *l)
{
    struct xt_port *p = &s->ports[l->local.port];
    s->side[l->index].sib_prev = 0;
    s->side[l->index].sib_next = p->listener;
    if (p->listener)
        s->side[p->listener - 1].sib_prev = l->index + 1;
    p->listener = l->index + 1;
    p->listeners++;
}

void xt_ports_listener_remove(struct xt_stack *s, const struct xt_conn *l)
{
    struct xt_port *p = &s->ports[l->local.port];
    struct xt_side *d = &s->side[l->index];
    if (d->sib_next)
        s->side[d->sib_next - 1].sib_prev = d->sib_prev;
    if (d->sib_prev)
        s->side[d->sib_prev - 1].sib_next = d->sib_next;
    else
        p->listener = d->sib_next;
    d->sib_prev = d->sib_next = 0;
    p->listeners--;
}

struct xt_conn *xt_ports_listener(struct xt_stack *s, const struct xt_flow *flow)
{
    const struct xt_port *p = &s->ports[flow->lport];
    uint32_t at = p->listener;
    if (p->listeners > 1)
        for (uint64_t n = xt_siphash(&s->port_key, flow, sizeof *flow) % p->listeners; n > 0; n--)
            at = s->side[at - 1].sib_next;
    return at ? &s->conns[at - 1] : NULL;
}
