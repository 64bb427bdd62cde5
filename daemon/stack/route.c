/* SPDX-License-Identifier: Apache-2.0
 * Routes: the on-link prefix and the configured ones, longest prefix first. */
#include <arpa/inet.h>
#include <errno.h>

#include "daemon/stack/internal.h"

static uint32_t mask_of(unsigned prefix)
{
    return htonl(prefix ? ~0u << (32 - prefix) : 0);
}

static bool mask_ok(uint32_t mask)
{
    uint32_t inv = ~ntohl(mask);
    return (inv & (inv + 1)) == 0;
}

/* Keeps `hops` sorted; a route added later goes behind those of the same length. */
static void insert(struct xt_stack *s, uint32_t dst, uint32_t mask, uint32_t gateway)
{
    uint32_t at = s->nhops++;
    for (; at > 0 && ntohl(s->hops[at - 1].mask) < ntohl(mask); at--)
        s->hops[at] = s->hops[at - 1];
    s->hops[at] = (struct xt_hop){.dst = dst & mask, .mask = mask, .gateway = gateway};
}

int xt_route_setup(struct xt_stack *s)
{
    for (uint32_t i = 0; i < s->cfg.nroutes; i++)
        if (!mask_ok(s->cfg.routes[i].mask) || s->cfg.routes[i].gateway == s->cfg.addr)
            return -EINVAL;
    s->nhops = 0;
    s->route_gen++;
    insert(s, s->cfg.addr, mask_of(s->cfg.prefix), 0);
    for (uint32_t i = 0; i < s->cfg.nroutes; i++)
        insert(s, s->cfg.routes[i].dst, s->cfg.routes[i].mask, s->cfg.routes[i].gateway);
    return 0;
}

int xt_route_lookup(const struct xt_stack *s, uint32_t dst, uint32_t *nexthop)
{
    for (uint32_t i = 0; i < s->nhops; i++)
        if ((dst & s->hops[i].mask) == s->hops[i].dst) {
            *nexthop = s->hops[i].gateway ? s->hops[i].gateway : dst;
            return 0;
        }
    return -ENETUNREACH;
}

bool xt_route_on_link(const struct xt_stack *s, uint32_t addr)
{
    uint32_t hop;
    return xt_route_lookup(s, addr, &hop) == 0 && hop == addr;
}
