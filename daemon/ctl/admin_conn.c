/* SPDX-License-Identifier: Apache-2.0
 * Requests about one connection ("show", "close") and "flush-time-wait". */
#include <errno.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/base/time.h"
#include "daemon/ctl/internal.h"
#include "proto/xt_cc.h"

struct one {
    struct xt_job job;
    uint32_t id;
    bool found;
    struct xt_conn conn; /* a copy */
    struct xt_tcp_info info;
    struct xt_owner owner;
    const char *timer;
    uint64_t left_us;
    unsigned flushed;
};

/* The record of that ID (xt_app_conn_id()), if it is in use. */
static struct xt_conn *find(const struct one *o)
{
    struct xt_stack *s = xt_job_stack(&o->job);
    uint32_t i = o->id / xt_app_shards(o->job.ctl->cfg.app);
    struct xt_conn *c = i < xt_stack_cfg(s)->max_conns ? xt_stack_conn(s, i) : NULL;
    return c && c->flags & XT_CONN_USED ? c : NULL;
}

static bool read_id(struct xt_request *r, uint32_t *id)
{
    uint64_t v;
    if (xt_msg_get_uint(r->msg, "id", &v) < 0 || v > UINT32_MAX) {
        xt_client_error(r->client, -EINVAL, "an \"id\" is wanted: 'xtcpctl list' shows them");
        return false;
    }
    *id = (uint32_t)v;
    return true;
}

static bool answered_missing(const struct one *o, struct xt_client *cl)
{
    if (!o->found)
        xt_client_error(cl, -ENOENT, "there is no connection %u: 'xtcpctl list' shows those there are", o->id);
    return !o->found;
}

static void start_one(struct xt_request *r, void (*work)(struct xt_job *),
                      void (*reply)(struct xt_job *, struct xt_client *))
{
    uint32_t id;
    if (!read_id(r, &id))
        return;
    struct one *o = xt_job_new(r->client->ctl, r->client, sizeof *o, work, reply);
    if (!o)
        return;
    o->id = id;
    o->job.shard = id % xt_app_shards(o->job.ctl->cfg.app);
    o->job.one = true;
    xt_job_start(&o->job);
}

/* ---- show ---- */

static void show_work(struct xt_job *j)
{
    struct one *o = (struct one *)j;
    const struct xt_conn *c = find(o);
    if (!c)
        return;
    struct xt_tcp_stats unused = {0};
    uint64_t now_us = xt_time_us();
    struct xt_tcp_ctx ctx = {XT_TCP_AT(now_us), .cfg = &xt_stack_cfg(xt_job_stack(j))->tcp, .stats = &unused};
    uint64_t deadline = xt_tcp_deadline(c, now_us);
    o->found = true;
    o->conn = *c;
    o->conn.rx_tail = xt_app_rx_tail(xt_job_app(j), c);
    xt_tcp_info(c, &ctx, &o->info);
    xt_app_owner(xt_job_app(j), c, &o->owner);
    o->timer = deadline == UINT64_MAX ? "none" : xt_tcp_deadline_name(c, ctx.now_us);
    o->left_us = deadline == UINT64_MAX || deadline < ctx.now_us ? 0 : deadline - ctx.now_us;
}

/* One line of `show`: a value with its meaning. */
static void item(struct xt_msg_out *o, const char *name, uint64_t value, const char *unit, const char *text)
{
    xt_msg_map(o, NULL);
    xt_msg_str(o, "name", name);
    xt_msg_uint(o, "value", value);
    if (*unit)
        xt_msg_str(o, "unit", unit);
    xt_msg_str(o, "text", text);
    xt_msg_close(o);
}

static void word(struct xt_msg_out *o, const char *name, const char *value, const char *text)
{
    xt_msg_map(o, NULL);
    xt_msg_str(o, "name", name);
    xt_msg_str(o, "value", value);
    xt_msg_str(o, "text", text);
    xt_msg_close(o);
}

static void put_identity(struct xt_msg_out *o, const struct one *one)
{
    const struct xt_conn *c = &one->conn;
    char local[XT_ENDPOINT_TEXT], remote[XT_ENDPOINT_TEXT];
    xt_text_endpoint(&c->local, local, sizeof local);
    xt_text_endpoint(&c->remote, remote, sizeof remote);
    word(o, "state", xt_state_name(c->state), "TCP state");
    word(o, "local", local, "own end point");
    word(o, "peer", remote, "the peer's end point");
    item(o, "id", one->id, "", "place in the connection table");
    item(o, "generation", c->gen, "", "how often that place was used");
    if (c->listener != XT_NO_CONN)
        item(o, "listener", c->listener * xt_app_shards(one->job.ctl->cfg.app) + one->job.shard, "",
             "ID of the listener it came by");
    if (one->owner.pid) {
        word(o, "program", one->owner.comm, "owner's name");
        item(o, "pid", (uint64_t)one->owner.pid, "", "owner's process");
        item(o, "uid", one->owner.uid, "", "owner's user");
    } else {
        word(o, "program", "none", "no program holds it");
    }
    item(o, "session", c->session, "", "owner's session");
    item(o, "slot", c->slot, "", "socket in the session");
    if (c->err)
        word(o, "error", strerror(c->err), "error for the program");
    if (c->soft_err)
        word(o, "soft_error", strerror(c->soft_err), "last error that ICMP told of");
    word(o, "timer", one->timer, "timer that runs out next");
    item(o, "timer_left", one->left_us, "us", "time until then");
}

static void put_streams(struct xt_msg_out *o, const struct xt_conn *c)
{
    item(o, "recv_q", c->rx_head - c->rx_tail, "bytes", "received, not yet read by the program");
    item(o, "send_q", c->tx_head - c->tx_una, "bytes", "written by the program, not yet acknowledged");
    item(o, "rx_ring", c->rx_size, "bytes", "size of the receive buffer");
    item(o, "tx_ring", c->tx_size, "bytes", "size of the send buffer");
    item(o, "rx_head", c->rx_head, "bytes", "received in order since the start");
    item(o, "rx_tail", c->rx_tail, "bytes", "read by the program since the start");
    item(o, "tx_head", c->tx_head, "bytes", "written by the program since the start");
    item(o, "tx_una", c->tx_una, "bytes", "acknowledged by the peer since the start");
    item(o, "nodelay", c->opt.nodelay, "", "TCP_NODELAY: small segments leave at once");
    item(o, "cork", c->opt.cork, "", "TCP_CORK: only full segments leave");
    item(o, "keepalive", c->opt.keepalive, "", "SO_KEEPALIVE");
    item(o, "user_timeout", c->opt.user_timeout, "ms", "TCP_USER_TIMEOUT; 0: as configured");
}

static void put_sequence(struct xt_msg_out *o, const struct xt_conn *c)
{
    item(o, "iss", c->iss, "", "initial send sequence number");
    item(o, "irs", c->irs, "", "initial receive sequence number");
    item(o, "snd_una", c->snd_una, "", "oldest unacknowledged sequence number");
    item(o, "snd_nxt", c->snd_nxt, "", "next sequence number to send");
    item(o, "rcv_nxt", c->rcv_nxt, "", "next sequence number expected");
    item(o, "rcv_adv", c->rcv_adv, "", "end of the window offered");
}

static void put_info(struct xt_msg_out *o, const struct xt_tcp_info *i)
{
    static const char *const ca[] = {"open", "disorder", "cwr", "recovery", "loss"};
    word(o, "congestion", i->ca_state < 5 ? ca[i->ca_state] : "?", "state of congestion control");
    word(o, "cc", xt_cc_name(i->cc), "congestion control");
    item(o, "srtt", i->srtt, "us", "smoothed round-trip time");
    item(o, "rttvar", i->rttvar, "us", "its variation");
    item(o, "min_rtt", i->min_rtt, "us", "least round-trip time seen");
    item(o, "rto", i->rto, "us", "retransmission time-out");
    item(o, "ato", i->ato, "us", "delayed-acknowledgement time-out");
    item(o, "backoff", i->backoff, "", "times that the retransmission time-out was doubled");
    item(o, "probes", i->probes, "", "probes sent without an answer");
    item(o, "cwnd", i->cwnd, "bytes", "congestion window");
    item(o, "ssthresh", i->ssthresh, "bytes", "slow-start threshold");
    item(o, "snd_wnd", i->snd_wnd, "bytes", "the peer's receive window");
    item(o, "rcv_wnd", i->rcv_wnd, "bytes", "own receive window");
    item(o, "snd_wscale", i->snd_wscale, "", "the peer's window scale");
    item(o, "rcv_wscale", i->rcv_wscale, "", "own window scale");
    item(o, "snd_mss", i->snd_mss, "bytes", "largest segment sent");
    item(o, "rcv_mss", i->rcv_mss, "bytes", "largest segment expected");
    item(o, "options", i->options, "", "bits of the TCP options in use");
    item(o, "unacked", i->unacked, "bytes", "sent, not yet acknowledged");
    item(o, "sacked", i->sacked, "bytes", "selectively acknowledged");
    item(o, "lost", i->lost, "bytes", "held to be lost");
    item(o, "retrans", i->retrans, "segments", "sent again since the start");
    item(o, "last_data_sent", i->last_data_sent_ms, "ms", "since data was last sent");
    item(o, "last_data_received", i->last_data_recv_ms, "ms", "since data last came");
    item(o, "last_ack_received", i->last_ack_recv_ms, "ms", "since an acknowledgement last came");
    item(o, "bytes_sent", i->bytes_sent, "bytes", "payload sent, repetitions included");
    item(o, "bytes_retrans", i->bytes_retrans, "bytes", "payload sent again");
    item(o, "bytes_acked", i->bytes_acked, "bytes", "payload acknowledged");
    item(o, "bytes_received", i->bytes_received, "bytes", "payload received");
    item(o, "segs_out", i->segs_out, "segments", "sent");
    item(o, "segs_in", i->segs_in, "segments", "received");
}

/* Why it is no faster. */
static void put_limits(struct xt_msg_out *o, const struct xt_tcp_info *i)
{
    item(o, "notsent", i->notsent, "bytes", "written by the program, not yet sent");
    item(o, "busy", i->busy_ms, "ms", "there was something to send or to be acknowledged");
    item(o, "rwnd_limited", i->rwnd_ms, "ms", "of that, the peer's receive window was full");
    item(o, "sndbuf_limited", i->sndbuf_ms, "ms", "of that, all that fits the send buffer was in flight");
    item(o, "delivery_rate", i->delivery_rate, "bytes/s", "at which the peer took what was sent last");
    item(o, "app_limited", i->rate_limited, "", "1: no faster since the program wrote no more");
    item(o, "pacing_rate", i->pacing_rate, "bytes/s", "at which segments are spaced, or cwnd would allow");
    item(o, "rto_timeouts", i->rtos, "", "retransmission time-outs since the start");
    item(o, "dsacks", i->dsacks, "", "times the peer said that it had a segment already");
    item(o, "reordering", i->reordering, "segments", "by which the path is known to reorder");
    item(o, "ooo_segs", i->ooo_segs, "segments", "received out of order");
    item(o, "pmtu", i->pmtu, "bytes", "largest packet that the path is believed to take");
}

static void show_reply(struct xt_job *j, struct xt_client *cl)
{
    const struct one *one = (struct one *)j;
    struct xt_msg_out o;
    if (answered_missing(one, cl))
        return;
    xt_client_begin(cl, &o);
    xt_msg_array(&o, "fields");
    put_identity(&o, one);
    if (one->conn.state != XT_LISTEN) {
        put_streams(&o, &one->conn);
        put_sequence(&o, &one->conn);
        put_info(&o, &one->info);
        put_limits(&o, &one->info);
    }
    xt_client_send(cl, &o, NULL, 0);
}

void xt_admin_show(struct xt_request *r)
{
    start_one(r, show_work, show_reply);
}

/* ---- close ---- */

static void close_work(struct xt_job *j)
{
    struct one *o = (struct one *)j;
    struct xt_conn *c = find(o);
    if (!c)
        return;
    o->found = true;
    o->conn = *c;
    xt_stack_abort(xt_job_stack(j), c, xt_time_us());
}

static void close_reply(struct xt_job *j, struct xt_client *cl)
{
    const struct one *o = (struct one *)j;
    char remote[XT_ENDPOINT_TEXT];
    if (answered_missing(o, cl))
        return;
    xt_text_endpoint(&o->conn.remote, remote, sizeof remote);
    xt_log_info("control: uid %u closed connection %u with %s (%s)", cl->uid, o->id, remote,
                xt_state_name(o->conn.state));
    xt_client_ok(cl);
}

void xt_admin_close(struct xt_request *r)
{
    start_one(r, close_work, close_reply);
}

/* ---- flush-time-wait ---- */

static void flush_work(struct xt_job *j)
{
    ((struct one *)j)->flushed += xt_stack_flush_time_wait(xt_job_stack(j), xt_time_us());
}

static void flush_reply(struct xt_job *j, struct xt_client *cl)
{
    struct xt_msg_out o;
    xt_client_begin(cl, &o);
    xt_msg_uint(&o, "flushed", ((struct one *)j)->flushed);
    xt_client_send(cl, &o, NULL, 0);
}

void xt_admin_flush_time_wait(struct xt_request *r)
{
    struct one *o = xt_job_new(r->client->ctl, r->client, sizeof *o, flush_work, flush_reply);
    if (o)
        xt_job_start(&o->job);
}
