/* SPDX-License-Identifier: Apache-2.0
 * "list": connections, a batch for each request: {op, cursor, states (bits by enum xt_state; 0: all)} gives
 * {ok, connections: [...], cursor, more}. The asker sets the pace, and the data plane gives a bounded time to each batch. */
#include <errno.h>

#include "daemon/base/time.h"
#include "daemon/ctl/internal.h"
#include "proto/xt_cc.h"

#define BATCH 160      /* records looked at: their text must fit into one message */
#define SHARD_SHIFT 24 /* of a cursor: below is the place in the shard's table, which is smaller */

struct row {
    uint32_t id;
    uint8_t state, cc;
    struct xt_endpoint local, remote;
    uint64_t recvq, sendq;
    struct xt_owner owner;
    const char *timer;
    uint64_t left_us;
    uint32_t srtt, rto, cwnd, retrans;
    uint16_t mss;
};

struct list {
    struct xt_job job;
    uint32_t cursor;
    uint32_t states;
    bool more;
    struct xt_tcp_ctx ctx;
    unsigned n;
    struct row row[BATCH];
};

static void fill_timer(struct row *r, const struct xt_conn *c, uint64_t now)
{
    uint64_t deadline = xt_tcp_deadline(c, now);
    r->timer = "";
    if (deadline == UINT64_MAX)
        return;
    r->timer = xt_tcp_deadline_name(c, now); /* a constant string */
    r->left_us = deadline > now ? deadline - now : 0;
}

static void add_row(void *arg, struct xt_conn *c)
{
    struct list *l = arg;
    struct xt_tcp_info info;
    if (l->n == BATCH || (l->states && !(l->states >> c->state & 1)))
        return;
    struct row *r = &l->row[l->n++];
    r->id = xt_app_conn_id(xt_job_app(&l->job), c);
    r->state = c->state;
    r->local = c->local;
    r->remote = c->remote;
    if (c->state != XT_LISTEN) {
        r->recvq = c->rx_head - xt_app_rx_tail(xt_job_app(&l->job), c);
        r->sendq = c->tx_head - c->tx_una;
    }
    xt_app_owner(xt_job_app(&l->job), c, &r->owner);
    fill_timer(r, c, l->ctx.now_us);
    xt_tcp_info(c, &l->ctx, &info);
    r->srtt = info.srtt;
    r->rto = info.rto;
    r->cwnd = info.cwnd;
    r->cc = info.cc;
    r->retrans = info.retrans;
    r->mss = info.snd_mss;
}

static void work(struct xt_job *j)
{
    struct list *l = (struct list *)j;
    struct xt_stack *s = xt_job_stack(j);
    struct xt_tcp_stats unused = {0};
    uint64_t now_us = xt_time_us();
    l->ctx = (struct xt_tcp_ctx){XT_TCP_AT(now_us), .cfg = &xt_stack_cfg(s)->tcp, .stats = &unused};
    l->more = xt_stack_each(s, &l->cursor, BATCH, add_row, l);
    /* A filter may leave nothing of a batch: look on rather than answer in vain. */
    j->more = l->more && l->n == 0;
}

static void put_row(struct xt_msg_out *o, const struct row *r)
{
    char local[XT_ENDPOINT_TEXT], remote[XT_ENDPOINT_TEXT];
    xt_text_endpoint(&r->local, local, sizeof local);
    xt_text_endpoint(&r->remote, remote, sizeof remote);
    xt_msg_map(o, NULL);
    xt_msg_uint(o, "id", r->id);
    xt_msg_str(o, "state", xt_state_name(r->state));
    xt_msg_uint(o, "recv_q", r->recvq);
    xt_msg_uint(o, "send_q", r->sendq);
    xt_msg_str(o, "local", local);
    xt_msg_str(o, "peer", remote);
    if (r->owner.pid) {
        xt_msg_str(o, "program", r->owner.comm);
        xt_msg_uint(o, "pid", (uint64_t)r->owner.pid);
        xt_msg_uint(o, "uid", r->owner.uid);
    }
    if (*r->timer) {
        xt_msg_str(o, "timer", r->timer);
        xt_msg_uint(o, "timer_left_us", r->left_us);
    }
    if (r->state != XT_LISTEN) {
        xt_msg_uint(o, "rtt_us", r->srtt);
        xt_msg_uint(o, "rto_us", r->rto);
        xt_msg_str(o, "cc", xt_cc_name(r->cc));
        xt_msg_uint(o, "cwnd", r->cwnd);
        xt_msg_uint(o, "mss", r->mss);
        xt_msg_uint(o, "retrans", r->retrans);
    }
    xt_msg_close(o);
}

static void reply(struct xt_job *j, struct xt_client *cl)
{
    const struct list *l = (struct list *)j;
    struct xt_msg_out o;
    uint32_t shard = l->job.shard + !l->more, cursor = l->more ? l->cursor : 0;
    xt_client_begin(cl, &o);
    xt_msg_uint(&o, "cursor", shard << SHARD_SHIFT | cursor);
    xt_msg_bool(&o, "more", shard < xt_app_shards(j->ctl->cfg.app));
    xt_msg_array(&o, "connections");
    for (unsigned i = 0; i < l->n; i++)
        put_row(&o, &l->row[i]);
    xt_client_send(cl, &o, NULL, 0);
}

void xt_admin_list(struct xt_request *r)
{
    uint64_t cursor = 0, states = 0;
    int rc = xt_msg_get_uint(r->msg, "cursor", &cursor), rc2 = xt_msg_get_uint(r->msg, "states", &states);
    if (rc == -EBADMSG || rc2 == -EBADMSG || cursor >> SHARD_SHIFT >= xt_app_shards(r->client->ctl->cfg.app) ||
        states >= 1u << XT_NSTATES) {
        xt_client_error(r->client, -EINVAL, "list takes \"cursor\" and \"states\" (bits)");
        return;
    }
    struct list *l = xt_job_new(r->client->ctl, r->client, sizeof *l, work, reply);
    if (!l)
        return;
    l->cursor = (uint32_t)cursor & ((1u << SHARD_SHIFT) - 1);
    l->job.shard = (uint32_t)cursor >> SHARD_SHIFT;
    l->job.one = true;
    l->states = (uint32_t)states;
    xt_job_start(&l->job);
}
