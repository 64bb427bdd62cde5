/* SPDX-License-Identifier: Apache-2.0
 * A host: its one connection, its listener, and what packets mean to them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/net.h"

static void log_seg(struct net *n, unsigned host, const char *dir, const struct xt_seg *s, bool sent)
{
    char text[200];
    if (!n->trace)
        return;
    const struct xt_conn *c = &n->host[host].conn.ep.conn;
    trace_seg(text, sizeof text, c, s, sent);
    net_log(n, host, "%s %s {%s}", dir, text, xt_state_name(c->state));
}

static void emit(struct ep *e, const struct xt_seg *s)
{
    struct sim_conn *c = e->arg;
    log_seg(c->net, c->host, "->", s, true);
    watch_sent(c, s);
    c->net->link[c->host].tag = c->round;
    wire_send(c->net, c->host, e, s);
}

static void on_state(struct ep *e, enum xt_state from, enum xt_state to)
{
    struct sim_conn *c = e->arg;
    net_log(c->net, c->host, "%s -> %s", xt_state_name(from), xt_state_name(to));
}

void host_conn_begin(struct net *n, unsigned host)
{
    struct host *h = &n->host[host];
    struct sim_conn *c = &h->conn;
    memset(c, 0, sizeof *c);
    c->net = n;
    c->host = host;
    c->round = n->round;
    c->used = true;
    c->ep.now = n->now;
    c->ep.emit = emit;
    c->ep.on_state = on_state;
    c->ep.arg = c;
    c->ep.no_board = h->cfg.no_board;
    ep_init(&c->ep, &h->cfg.tcp, &h->addr, &n->host[!host].addr, h->cfg.rx_size, h->cfg.tx_size);
    watch_begin(c);
}

/* What must be true of a connection that ended, when no application meant to lose data. */
static void check_end(struct net *n, const struct sim_conn *c)
{
    const struct app *a = &n->host[c->host].app;
    if (!c->app || c->round != n->round)
        return;
    if (c->ep.conn.err && c->ep.conn.err != ECONNRESET && c->ep.conn.err != ETIMEDOUT &&
        c->ep.conn.err != ECONNREFUSED && c->ep.conn.err != EPIPE && c->ep.conn.err != ECONNABORTED)
        net_fail(n, "host %u ends with the odd error %d", c->host, c->ep.conn.err);
    if (app_lossy(n))
        return;
    if (c->ep.conn.err)
        net_fail(n, "host %u ends with error %d (%s)", c->host, c->ep.conn.err, strerror(c->ep.conn.err));
    else if (a->read_total != n->p.host[!c->host].app.to_send)
        net_fail(n, "host %u read %u of %u bytes", c->host, a->read_total, n->p.host[!c->host].app.to_send);
    else if (c->ep.conn.tx_una != a->cfg.to_send)
        net_fail(n, "host %u ends with %llu of %u bytes acknowledged", c->host, (unsigned long long)c->ep.conn.tx_una,
                 a->cfg.to_send);
    /* Before it was seen that the path reorders, three duplicates mean a loss; from then on RACK waits (RFC 8985
     * section 6.2 step 4). */
    if (n->p.reorders && c->ep.stats.fast_recoveries > 2)
        net_fail(n, "host %u recovers %llu times from mere reordering", c->host,
                 (unsigned long long)c->ep.stats.fast_recoveries);
    /* The octet of a zero-window probe goes again with each probe, and once more when the window opens. */
    if (n->p.clean && !n->syn_may_repeat && c->ep.stats.retrans_segs > 2 * c->ep.stats.probes_sent)
        net_fail(n, "host %u counts %llu retransmissions on a clean link", c->host,
                 (unsigned long long)c->ep.stats.retrans_segs);
}

static void add_stats(struct xt_tcp_stats *sum, const struct xt_tcp_stats *one)
{
#define X(name, text) sum->name += one->name;
    XT_TCP_STATS(X)
#undef X
}

static void conn_end(struct net *n, struct sim_conn *c)
{
    check_end(n, c);
    add_stats(&n->stats, &c->ep.stats);
    n->lent += c->ep.lent;
    n->overfull += c->ep.overfull;
    watch_end(c);
    ep_free(&c->ep);
    c->used = false;
}

/* After each call on a connection: its events go to the application, its invariants are looked at. */
void host_after(struct net *n, struct sim_conn *c)
{
    if (!c->used)
        return;
    uint32_t ev = c->ep.events;
    c->ep.events = 0;
    /* A SYN with data that the network brought twice may open a second connection (RFC 7413 section 2.1), which comes to
     * nothing; so may one that is sent again when the server has given up the first before the client heard of it. */
    bool replay = n->host[c->host].app.attached && ((ev & XT_EV_FASTOPEN) || (sim_fo_on(n) && app_lossy(n)));
    if (replay && (ev & XT_EV_CONNECTED) && !c->app && c->round == n->round)
        ep_abort(&c->ep); /* an application that is done accepts it no more */
    if ((ev & (XT_EV_CONNECTED | XT_EV_FASTOPEN)) && !c->app && c->round == n->round && !replay) {
        if (n->host[c->host].app.attached)
            net_fail(n, "host %u: a second connection was established", c->host);
        app_attach(n, c);
    }
    app_events(n, c, ev);
    if (ep_check(&c->ep))
        net_fail(n, "host %u: %s", c->host, c->ep.bad);
    const struct app *a = &n->host[c->host].app;
    bool unread = c->app && c->round == n->round && !a->closed &&
                  !c->ep.conn.err; /* TIME_WAIT may end before a slow reader does */
    if (c->ep.conn.state == XT_CLOSED && !unread)
        conn_end(n, c);
}

uint32_t host_new_isn(const struct net *n, unsigned host)
{
    if (n->p.echoes)
        return n->host[host].cfg.isn_secret + n->round * 5000;
    return n->host[host].cfg.isn_secret + (uint32_t)(n->now / 4);
}

static void listener_input(struct net *n, unsigned host, const struct xt_seg *s, uint32_t isn)
{
    struct host *h = &n->host[host];
    h->listener.now = n->now;
    struct xt_tcp_ctx ctx = ep_ctx(&h->listener);
    struct xt_seg reply = {0};
    int r = xt_tcp_listen_input(&h->listener.conn, &ctx, s, &reply);
    if (r < 0) {
        log_seg(n, host, "-> (listener)", &reply, true);
        wire_send(n, host, &h->listener, &reply);
    }
    if (r <= 0 || h->conn.used)
        return;
    host_conn_begin(n, host);
    bool batch = h->conn.ep.batch;
    h->conn.ep.batch = true;
    ep_accept(&h->conn.ep, &h->listener, s, isn);
    sim_fo_accept(n, &h->conn, &h->listener, s);
    watch_delivered(&h->conn, s);
    h->conn.ep.batch = batch;
    if (!batch)
        ep_output(&h->conn.ep);
    host_after(n, &h->conn);
}

/* `tag`: the round in which it was sent. */
static void host_input(struct net *n, unsigned host, const struct xt_seg *s, unsigned tag)
{
    struct host *h = &n->host[host];
    struct xt_seg reply = {0};
    log_seg(n, host, "<-", s, false);
    if (h->conn.used && h->conn.ep.conn.state != XT_CLOSED) {
        h->conn.ep.now = n->now;
        if (tag == h->conn.round)
            watch_delivered(&h->conn, s);
        uint32_t ev = ep_input(&h->conn.ep, s);
        uint32_t floor = h->conn.ep.conn.isn_floor, isn = host_new_isn(n, host);
        host_after(n, &h->conn);
        if ((ev & XT_EV_TIME_WAIT) && (ev & XT_EV_CLOSED))
            listener_input(n, host, s, (int32_t)(isn - floor) < 0 ? floor : isn);
    } else if (h->listener.conn.state == XT_LISTEN) {
        listener_input(n, host, s, host_new_isn(n, host));
    } else if (xt_tcp_reset_for(s, &reply)) {
        log_seg(n, host, "-> (no connection)", &reply, true);
        wire_send(n, host, &h->listener, &reply);
    }
}

/* True when a device would coalesce `b` into `a`: the next bytes of the same flow, all else equal (as GRO does it). */
static bool coalesces(const struct xt_seg *a, const struct xt_seg *b)
{
    return a->len && b->len && a->len + b->len <= 65000 && b->seq == a->seq + a->len && a->ack == b->ack &&
           a->ecn == b->ecn && a->wnd == b->wnd && a->flags == XT_TH_ACK &&
           (b->flags & ~XT_TH_PSH & ~XT_TH_FIN) == XT_TH_ACK && !memcmp(&a->opt, &b->opt, sizeof a->opt) &&
           (!a->gso_size || b->len <= a->gso_size);
}

static void coalesce(struct xt_seg *a, const struct xt_seg *b, uint8_t *buf)
{
    if (!a->gso_size) {
        a->gso_size = (uint16_t)a->len;
        memcpy(buf, a->payload, a->len);
        a->payload = buf;
    }
    memcpy(buf + a->len, b->payload, b->len);
    a->len += b->len;
    a->flags |= b->flags;
}

/* What was merged on its way does not say how. */
static void hand_over(struct net *n, unsigned to, struct xt_seg *s, unsigned tag)
{
    if (n->p.merge)
        s->gso_size = 0;
    host_input(n, to, s, tag);
}

/* Delivers all packets that have arrived, as one batch. */
void host_deliver(struct net *n, unsigned to)
{
    uint8_t buf[65536];
    struct host *h = &n->host[to];
    struct packet *p, *held = NULL; /* owns the payload of `s` */
    struct xt_seg s, t;
    bool have = false;
    h->conn.ep.batch = h->cfg.batch;
    while ((p = link_take(&n->link[!to], n->now))) {
        if (h->down_until > n->now || !wire_parse(n, to, p, &t)) {
            free(p);
        } else if (have && held->tag == p->tag && coalesces(&s, &t) && rng_ppm(&n->rng, h->cfg.gro)) {
            coalesce(&s, &t, buf);
            free(p);
        } else {
            if (have)
                hand_over(n, to, &s, held->tag);
            free(held);
            held = p;
            s = t;
            have = true;
        }
    }
    if (have)
        hand_over(n, to, &s, held->tag);
    free(held);
    h->conn.ep.batch = false;
    if (h->conn.used) {
        ep_output(&h->conn.ep);
        host_after(n, &h->conn);
    }
}

void host_icmp(struct net *n, unsigned host)
{
    struct host *h = &n->host[host];
    while (h->n_icmp > 0 && h->icmp[0].at <= n->now) {
        struct icmp_event i = h->icmp[0];
        memmove(h->icmp, h->icmp + 1, --h->n_icmp * sizeof i);
        if (!h->conn.used || i.mtu >= i.len || h->down_until > n->now)
            continue;
        net_log(n, host, "<- ICMP: too big, MTU %u, seq %u", i.mtu, i.seq - h->conn.ep.conn.iss);
        ep_icmp(&h->conn.ep, i.seq, EMSGSIZE, i.mtu);
        host_after(n, &h->conn);
    }
}

void host_crash(struct net *n, unsigned host)
{
    struct host *h = &n->host[host];
    net_log(n, host, "crashes");
    n->crashed++;
    if (h->conn.used) {
        watch_end(&h->conn);
        ep_free(&h->conn.ep);
        h->conn.used = false;
    }
    h->app.closed = true;
    h->down_until = n->now + n->p.reboot;
}
