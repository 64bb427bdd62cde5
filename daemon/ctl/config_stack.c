/* SPDX-License-Identifier: Apache-2.0
 * From the configuration to the stack's and the quotas. */
#include <string.h>
#include <unistd.h>

#include "daemon/app/app.h"
#include "daemon/ctl/config.h"

/* Only fields that have a key: the others keep the core's own defaults. */
static void copy_tcp(const struct xt_config *c, struct xt_tcp_cfg *out)
{
    size_t n, first = offsetof(struct xt_config, tcp), last = first + sizeof c->tcp;
    const struct xt_setting *k = xt_config_keys(&n);
    for (; n--; k++)
        if (k->offset >= first && k->offset < last)
            memcpy((char *)out + (k->offset - first), (const char *)c + k->offset, k->width);
}

static uint32_t share(const struct xt_config *c, uint32_t n)
{
    return (n + c->shards - 1) / c->shards;
}

void xt_config_stack(const struct xt_config *c, struct xt_stack_cfg *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->mac, c->mac, sizeof out->mac);
    out->addr = c->address.addr;
    out->prefix = c->address.prefix;
    out->mtu = c->mtu;
    out->max_conns = share(c, c->max_connections);
    out->max_orphans = share(c, c->max_orphans);
    out->overload_rate = share(c, c->overload_rate);
    memcpy(out->routes, c->routes, c->nroutes * sizeof c->routes[0]);
    out->nroutes = c->nroutes;
    if (c->gateway)
        out->routes[out->nroutes++] = (struct xt_route){.gateway = c->gateway};
    out->port_min = c->ports.min;
    out->port_max = c->ports.max;
    out->ttl = c->ttl;
    out->source_route = c->source_route != 0;
    xt_tcp_cfg_default(&out->tcp);
    copy_tcp(c, &out->tcp);
    out->tcp.rcv_max = c->rcvbuf_max;
    out->tcp.mss = (uint16_t)(c->mtu - 40); /* IPv4 and TCP headers without options */
}

static uint32_t half(uint32_t n)
{
    return n > 1 ? n / 2 : 1;
}

/* Half of what all share; buffers as large as the memory, of which most is never touched. */
void xt_config_quota(const struct xt_config *c, struct xt_quota *out)
{
    *out = (struct xt_quota){
        .clients = c->user_clients ? c->user_clients : half(c->max_clients),
        .sockets = c->user_sockets ? c->user_sockets : half(c->max_connections),
        .connects = c->user_connects,
        .memory = c->user_memory ? c->user_memory : (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
    };
}
