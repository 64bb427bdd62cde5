/* SPDX-License-Identifier: Apache-2.0
 * "stats": every counter with its meaning. */
#include <string.h>

#include "daemon/ctl/internal.h"

#define HOST_COUNTERS 64

void xt_ctl_add(void *sum, const void *more, size_t size)
{
    uint64_t *to = sum;
    const uint64_t *from = more;
    for (size_t i = 0; i < size / sizeof *to; i++)
        to[i] += from[i];
}

struct counter {
    const char *group, *name, *text;
    uint64_t value;
};

struct stats {
    struct xt_job job;
    struct xt_tcp_stats tcp;
    struct xt_stack_stats stack;
    struct xt_app_stats app;
    struct counter host[HOST_COUNTERS];
    unsigned nhost;
};

static void put_host(void *arg, const char *group, const char *name, uint64_t value, const char *text)
{
    struct stats *st = arg;
    for (unsigned i = 0; i < st->nhost; i++)
        if (strcmp(st->host[i].group, group) == 0 && strcmp(st->host[i].name, name) == 0) {
            st->host[i].value += value;
            return;
        }
    if (st->nhost < HOST_COUNTERS)
        st->host[st->nhost++] = (struct counter){group, name, text, value};
}

static void work(struct xt_job *j)
{
    struct stats *st = (struct stats *)j;
    const struct xt_ctl_cfg *cfg = &j->ctl->cfg;
    struct xt_stack *s = xt_job_stack(j);
    xt_ctl_add(&st->tcp, xt_stack_tcp_stats(s), sizeof st->tcp);
    xt_ctl_add(&st->stack, xt_stack_stats(s), sizeof st->stack);
    xt_ctl_add(&st->app, xt_app_stats(xt_job_app(j)), sizeof st->app);
    if (cfg->host.counters)
        cfg->host.counters(cfg->host.arg, j->shard, put_host, st);
}

static void put(struct xt_msg_out *o, const char *group, const char *name, uint64_t value, const char *text)
{
    xt_msg_map(o, NULL);
    xt_msg_str(o, "group", group);
    xt_msg_str(o, "name", name);
    xt_msg_uint(o, "value", value);
    xt_msg_str(o, "text", text);
    xt_msg_close(o);
}

static void put_app(struct xt_msg_out *o, const struct xt_app_stats *a)
{
    put(o, "app", "sessions", a->sessions, "sessions now");
    put(o, "app", "sessions_ended", a->sessions_ended, "sessions ended");
    put(o, "app", "liars", a->liars, "sessions ended because the program's shared memory was wrong");
    put(o, "app", "commands", a->commands, "commands of programs");
    put(o, "app", "wakeups", a->wakeups, "programs woken");
    put(o, "app", "doorbells", a->doorbells, "times that programs woke the data plane");
    put(o, "app", "accepts", a->accepts, "connections handed to listeners");
    put(o, "app", "backlog_drops", a->backlog_drops, "connections reset: no accept queue, slot or memory for them");
    put(o, "app", "bytes_mapped", a->bytes_mapped, "bytes of buffers handed out now");
    put(o, "app", "rx_grown", a->rx_grown, "receive buffers made larger");
    put(o, "app", "tx_grown", a->tx_grown, "send buffers made larger");
    put(o, "app", "rings_trimmed", a->rings_trimmed, "idle connections whose buffers gave their memory back");
    put(o, "app", "quota_clients", a->quota_clients, "programs not attached: their user had user-clients already");
    put(o, "app", "quota_sockets", a->quota_sockets, "sockets refused: their user had user-sockets already");
    put(o, "app", "quota_memory", a->quota_memory, "sockets refused: their user had user-memory of buffers already");
    put(o, "app", "quota_connects", a->quota_connects, "connects refused: more than user-connects in a second");
}

static void reply(struct xt_job *j, struct xt_client *cl)
{
    const struct stats *st = (struct stats *)j;
    struct xt_msg_out o;
    xt_client_begin(cl, &o);
    xt_msg_array(&o, "counters");
#define X(name, text) put(&o, "tcp", #name, st->tcp.name, text);
    XT_TCP_STATS(X)
#undef X
#define X(name, text) put(&o, "stack", #name, st->stack.name, text);
    XT_STACK_STATS(X)
#undef X
    put_app(&o, &st->app);
    for (unsigned i = 0; i < st->nhost; i++)
        put(&o, st->host[i].group, st->host[i].name, st->host[i].value, st->host[i].text);
    xt_client_send(cl, &o, NULL, 0);
}

void xt_admin_stats(struct xt_request *r)
{
    struct stats *st = xt_job_new(r->client->ctl, r->client, sizeof *st, work, reply);
    if (st)
        xt_job_start(&st->job);
}
