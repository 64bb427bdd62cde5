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

/* Linux: all holders of a port must have said SO_REUSEADDR, and none may listen. A connection in TIME_WAIT is a holder. */
static bool may_bind(const struct xt_port *p, bool reuse)
{
    if (p->binds + p->conns == 0 && !p->listener)
        return true;
    return reuse && !p->listener && !p->conns_alone && !p->alone;
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

enum { PORT_FREE, PORT_RECYCLE, PORT_BUSY };

static int look(const struct xt_stack *s, uint16_t port, const struct xt_endpoint *local,
                const struct xt_endpoint *remote)
{
    const struct xt_port *p = &s->ports[port];
    if (!remote)
        return may_bind(p, false) ? PORT_FREE : PORT_BUSY;
    struct xt_endpoint from = {.addr = local->addr, .port = port};
    if (p->binds || p->listener || (port == remote->port && xt_addr_eq(&local->addr, &remote->addr)))
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

int xt_stack_bind(struct xt_stack *s, struct xt_endpoint *local, bool reuse)
{
    if (!is_own(s, &local->addr))
        return -EADDRNOTAVAIL;
    struct xt_endpoint at = {.addr = xt_addr_v4(s->cfg.addr), .port = local->port};
    if (at.port == 0 && xt_ports_pick(s, &at, NULL, &at.port) != 0)
        return -EADDRINUSE; /* what Linux says when the range is used up */
    struct xt_port *p = &s->ports[at.port];
    if (!may_bind(p, reuse))
        return -EADDRINUSE;
    p->binds++;
    p->alone = !reuse;
    *local = at;
    return 0;
}

void xt_stack_rebind(struct xt_stack *s, const struct xt_endpoint *local, bool reuse)
{
    s->ports[local->port].binds++;
    s->ports[local->port].alone = !reuse;
}

void xt_stack_unbind(struct xt_stack *s, const struct xt_endpoint *local)
{
    struct xt_port *p = &s->ports[local->port];
    if (p->binds && --p->binds == 0)
        p->alone = false;
}

void xt_ports_conn_add(struct xt_stack *s, const struct xt_conn *c)
{
    struct xt_port *p = &s->ports[c->local.port];
    p->conns++;
    p->conns_alone += !(c->flags & XT_CONN_REUSE);
}

void xt_ports_conn_remove(struct xt_stack *s, const struct xt_conn *c)
{
    struct xt_port *p = &s->ports[c->local.port];
    p->conns--;
    p->conns_alone -= !(c->flags & XT_CONN_REUSE);
}
