/* SPDX-License-Identifier: Apache-2.0
 * "status": what runs, where, and how much of it. */
#include <arpa/inet.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/time.h"
#include "daemon/ctl/internal.h"

#define WALK 256 /* records looked at in one turn of the data plane */
#define NEIGHBOURS 128

struct status {
    struct xt_job job;
    uint32_t asked; /* shards so far */
    uint32_t cursor;
    uint32_t states[XT_NSTATES];
    struct xt_stack_cfg cfg;
    struct xt_app_stats app;
    struct xt_neigh_info neigh[NEIGHBOURS];
    unsigned nneigh;
    struct xt_stack_stats stack;
    struct xt_tcp_stats tcp;
    struct {
        uint32_t connections;
        uint64_t sessions, frames_in, frames_out, passed_in, passed_out;
    } shard[XT_CREW_MAX];
};

static void count_state(void *arg, struct xt_conn *c)
{
    struct status *st = arg;
    if (c->state < XT_NSTATES)
        st->states[c->state]++;
    st->shard[st->job.shard].connections++;
}

static void look_at(struct status *st, const struct xt_stack *s, const struct xt_app_stats *app)
{
    const struct xt_stack_stats *stack = xt_stack_stats(s);
    uint32_t k = st->job.shard, before = st->cfg.max_conns;
    st->cfg = *xt_stack_cfg(s);
    st->cfg.max_conns += before;
    xt_ctl_add(&st->app, app, sizeof st->app);
    xt_ctl_add(&st->stack, stack, sizeof st->stack);
    xt_ctl_add(&st->tcp, xt_stack_tcp_stats(s), sizeof st->tcp);
    if (k == 0) /* what one of them knows the others know */
        st->nneigh = xt_stack_neighbours(s, st->neigh, NEIGHBOURS, xt_time_us());
    st->shard[k].sessions = app->sessions;
    st->shard[k].frames_in = stack->frames_in;
    st->shard[k].frames_out = stack->frames_out;
    st->shard[k].passed_in = stack->crew_in;
    st->shard[k].passed_out = stack->crew_out;
}

static void work(struct xt_job *j)
{
    struct status *st = (struct status *)j;
    struct xt_stack *s = xt_job_stack(j);
    if (st->asked == j->shard) {
        st->asked++;
        st->cursor = 0;
        look_at(st, s, xt_app_stats(xt_job_app(j)));
    }
    j->more = xt_stack_each(s, &st->cursor, WALK, count_state, st);
}

static void put_ip(struct xt_msg_out *o, const char *key, uint32_t addr)
{
    char text[INET_ADDRSTRLEN];
    xt_msg_str(o, key, inet_ntop(AF_INET, &addr, text, sizeof text));
}

static void put_routes(struct xt_msg_out *o, const struct xt_stack_cfg *cfg)
{
    xt_msg_array(o, "routes");
    for (uint32_t i = 0; i < cfg->nroutes; i++) {
        char dst[INET_ADDRSTRLEN], text[INET_ADDRSTRLEN + 4];
        inet_ntop(AF_INET, &cfg->routes[i].dst, dst, sizeof dst);
        snprintf(text, sizeof text, "%s/%d", dst, __builtin_popcount(cfg->routes[i].mask));
        xt_msg_map(o, NULL);
        xt_msg_str(o, "to", text);
        if (cfg->routes[i].gateway)
            put_ip(o, "gateway", cfg->routes[i].gateway);
        xt_msg_close(o);
    }
    xt_msg_close(o);
}

static void put_neighbours(struct xt_msg_out *o, const struct status *st)
{
    static const char *const names[] = {"free", "incomplete", "reachable", "stale", "failed"};
    xt_msg_array(o, "neighbours");
    for (unsigned i = 0; i < st->nneigh; i++) {
        const struct xt_neigh_info *n = &st->neigh[i];
        char mac[18];
        xt_text_mac(n->mac, mac, sizeof mac);
        xt_msg_map(o, NULL);
        put_ip(o, "address", n->addr);
        xt_msg_str(o, "mac", mac);
        xt_msg_str(o, "state", n->state < sizeof names / sizeof names[0] ? names[n->state] : "?");
        xt_msg_uint(o, "age_ms", n->age_us / 1000);
        xt_msg_close(o);
    }
    xt_msg_close(o);
}

static void put_states(struct xt_msg_out *o, const struct status *st)
{
    uint64_t total = 0;
    xt_msg_map(o, "states");
    for (unsigned i = 0; i < XT_NSTATES; i++) {
        xt_msg_uint(o, xt_state_name(i), st->states[i]);
        total += st->states[i];
    }
    xt_msg_close(o);
    xt_msg_uint(o, "connections", total);
    xt_msg_uint(o, "max_connections", st->cfg.max_conns);
}

static void put_shards(struct xt_msg_out *o, const struct status *st)
{
    xt_msg_array(o, "shards");
    for (uint32_t k = 0; k < st->asked; k++) {
        xt_msg_map(o, NULL);
        xt_msg_uint(o, "connections", st->shard[k].connections);
        xt_msg_uint(o, "sessions", st->shard[k].sessions);
        xt_msg_uint(o, "frames_in", st->shard[k].frames_in);
        xt_msg_uint(o, "frames_out", st->shard[k].frames_out);
        xt_msg_uint(o, "passed_in", st->shard[k].passed_in);
        xt_msg_uint(o, "passed_out", st->shard[k].passed_out);
        xt_msg_close(o);
    }
    xt_msg_close(o);
}

/* What is allocated; more is resident, for what is free again stays with the process. */
static uint64_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void reply(struct xt_job *j, struct xt_client *cl)
{
    const struct status *st = (struct status *)j;
    const struct xt_ctl *c = j->ctl;
    struct xt_msg_out o;
    char text[64], host[INET_ADDRSTRLEN];
    xt_client_begin(cl, &o);
    xt_msg_str(&o, "version", XT_VERSION);
    xt_msg_uint(&o, "pid", (uint64_t)getpid());
    xt_msg_uint(&o, "uptime_ms", (xt_time_us() - c->started_us) / 1000);
    xt_msg_uint(&o, "epoch", c->cfg.epoch);
    xt_msg_uint(&o, "restarts", c->cfg.restarts);
    xt_msg_uint(&o, "crashes", c->cfg.crashes);
    xt_msg_uint(&o, "quarantined", st->stack.quarantined);
    xt_msg_uint(&o, "liars", st->app.liars + c->dropped);
    xt_msg_str(&o, "socket", c->cfg.config.socket);
    xt_msg_str(&o, "interface", c->cfg.config.interface);
    xt_msg_str(&o, "link", xt_link_state(c));
    snprintf(text, sizeof text, "%s/%u", inet_ntop(AF_INET, &st->cfg.addr, host, sizeof host), st->cfg.prefix);
    xt_msg_str(&o, "address", text);
    xt_text_mac(st->cfg.mac, text, sizeof text);
    xt_msg_str(&o, "mac", text);
    xt_msg_uint(&o, "mtu", st->cfg.mtu);
    put_routes(&o, &st->cfg);
    put_neighbours(&o, st);
    xt_msg_uint(&o, "sessions", st->app.sessions);
    xt_msg_uint(&o, "control_connections", c->nclients);
    xt_msg_uint(&o, "heap_bytes", heap_bytes());
    put_states(&o, st);
    if (st->asked > 1)
        put_shards(&o, st);
    xt_admin_put_defences(&o, &st->stack, &st->tcp);
    xt_client_send(cl, &o, NULL, 0);
}

void xt_admin_status(struct xt_request *r)
{
    struct status *st = xt_job_new(r->client->ctl, r->client, sizeof *st, work, reply);
    if (st)
        xt_job_start(&st->job);
}
