/* SPDX-License-Identifier: Apache-2.0
 * The event loop of a run: the next packet, timer or application call, in order of virtual time. */
#include "tests/sim/net.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_LIMIT (4ull * 3600 * 1000000) /* of virtual time, microseconds */
#define STEP_LIMIT 2000000
#define STUCK_LIMIT 20000 /* steps without time passing */

void net_fail(struct net *n, const char *fmt, ...)
{
    if (*n->failure)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(n->failure, sizeof n->failure, fmt, ap);
    va_end(ap);
    if (n->trace)
        printf("%12.6f FAILURE %s\n", (double)n->now / 1e6, n->failure);
}

void net_log(struct net *n, unsigned host, const char *fmt, ...)
{
    if (!n->trace)
        return;
    va_list ap;
    va_start(ap, fmt);
    printf("%12.6f %*s%u ", (double)n->now / 1e6, host ? 4 : 0, "", host);
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
}

/* Sequence numbers are shown relative to the initial ones of the connection, where there is one. */
static void log_seg(struct net *n, unsigned host, const char *dir, const struct xt_seg *s, bool sent)
{
    if (!n->trace)
        return;
    const struct xt_conn *c = &n->host[host].conn.ep.conn;
    uint32_t seq0 = sent ? c->iss : c->irs, ack0 = sent ? c->irs : c->iss;
    char sack[120] = "";
    for (int i = 0; i < s->opt.nsack; i++)
        snprintf(sack + strlen(sack), sizeof sack - strlen(sack), " sack %u-%u", s->opt.sack[i].left - ack0,
                 s->opt.sack[i].right - ack0);
    char ts[60] = "";
    if (s->opt.present & XT_OPT_TS)
        snprintf(ts, sizeof ts, " ts %u/%u", s->opt.tsval, s->opt.tsecr);
    net_log(n, host, "%s %s seq %u ack %u len %u%s wnd %u%s%s [%s]", dir, flags_name(s->flags), s->seq - seq0,
            s->flags & XT_TH_ACK ? s->ack - ack0 : 0, s->len, s->gso_size ? " (super)" : "", s->wnd, sack, ts,
            xt_state_name(c->state));
}

static void emit(struct ep *e, const struct xt_seg *s)
{
    struct sim_conn *c = e->arg;
    log_seg(c->net, c->host, "->", s, true);
    watch_sent(c, s);
    wire_send(c->net, c->host, e, s);
}

static void on_state(struct ep *e, enum xt_state from, enum xt_state to)
{
    struct sim_conn *c = e->arg;
    net_log(c->net, c->host, "%s -> %s", xt_state_name(from), xt_state_name(to));
}

static void conn_begin(struct net *n, unsigned host)
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
    ep_init(&c->ep, &h->cfg.tcp, &h->addr, &n->host[!host].addr, h->cfg.rx_size, h->cfg.tx_size);
    watch_begin(c);
}

/* What must be true of a connection that ended, when no application meant to lose data. */
static void check_end(struct net *n, const struct sim_conn *c)
{
    const struct app *a = &n->host[c->host].app;
    if (!c->app || c->round != n->round || app_lossy(n))
        return;
    if (c->ep.conn.err)
        net_fail(n, "host %u ends with error %d (%s)", c->host, c->ep.conn.err, strerror(c->ep.conn.err));
    else if (a->read_total != n->p.host[!c->host].app.to_send)
        net_fail(n, "host %u read %u of %u bytes", c->host, a->read_total, n->p.host[!c->host].app.to_send);
    else if (c->ep.conn.tx_una != a->cfg.to_send)
        net_fail(n, "host %u ends with %llu of %u bytes acknowledged", c->host, (unsigned long long)c->ep.conn.tx_una,
                 a->cfg.to_send);
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
    watch_end(c);
    ep_free(&c->ep);
    c->used = false;
}

/* After each call on a connection: its events go to the application, its invariants are looked at. */
static void after(struct net *n, struct sim_conn *c)
{
    if (!c->used)
        return;
    uint32_t ev = c->ep.events;
    c->ep.events = 0;
    /* A SYN with data that the network brought twice may open a second connection (RFC 7413 section 2.1), which comes to nothing. */
    bool replay = (ev & XT_EV_FASTOPEN) && n->host[c->host].app.attached;
    if ((ev & (XT_EV_CONNECTED | XT_EV_FASTOPEN)) && !c->app && !replay) {
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

static uint32_t new_isn(const struct net *n, unsigned host)
{
    return n->host[host].cfg.isn_secret + (uint32_t)(n->now / 4);
}

static void listener_input(struct net *n, unsigned host, const struct xt_seg *s, uint32_t isn)
{
    struct host *h = &n->host[host];
    struct xt_tcp_ctx ctx = ep_ctx(&h->listener);
    struct xt_seg reply = {0};
    ctx.now_us = n->now;
    int r = xt_tcp_listen_input(&h->listener.conn, &ctx, s, &reply);
    if (r < 0) {
        log_seg(n, host, "-> (listener)", &reply, true);
        wire_send(n, host, &h->listener, &reply);
    }
    if (r <= 0 || h->conn.used)
        return;
    conn_begin(n, host);
    bool batch = h->conn.ep.batch;
    h->conn.ep.batch = true;
    ep_accept(&h->conn.ep, &h->listener, s, isn);
    sim_fo_accept(n, &h->conn, &h->listener, s);
    watch_delivered(&h->conn, s);
    h->conn.ep.batch = batch;
    if (!batch)
        ep_output(&h->conn.ep);
    after(n, &h->conn);
}

static void host_input(struct net *n, unsigned host, const struct xt_seg *s)
{
    struct host *h = &n->host[host];
    struct xt_seg reply = {0};
    log_seg(n, host, "<-", s, false);
    if (h->conn.used && h->conn.ep.conn.state != XT_CLOSED) {
        h->conn.ep.now = n->now;
        watch_delivered(&h->conn, s);
        uint32_t ev = ep_input(&h->conn.ep, s);
        uint32_t floor = h->conn.ep.conn.isn_floor, isn = new_isn(n, host);
        after(n, &h->conn);
        if ((ev & XT_EV_TIME_WAIT) && (ev & XT_EV_CLOSED))
            listener_input(n, host, s, (int32_t)(isn - floor) < 0 ? floor : isn);
    } else if (h->listener.conn.state == XT_LISTEN) {
        listener_input(n, host, s, new_isn(n, host));
    } else if (xt_tcp_reset_for(s, &reply)) {
        log_seg(n, host, "-> (no connection)", &reply, true);
        wire_send(n, host, &h->listener, &reply);
    }
}

/* True when a device would coalesce `b` into `a`: the next bytes of the same flow, all else equal (as GRO does it). */
static bool coalesces(const struct xt_seg *a, const struct xt_seg *b)
{
    return a->len && b->len && a->len + b->len <= 65000 && b->seq == a->seq + a->len && a->ack == b->ack &&
           a->wnd == b->wnd && a->flags == XT_TH_ACK && (b->flags & ~XT_TH_PSH & ~XT_TH_FIN) == XT_TH_ACK &&
           !memcmp(&a->opt, &b->opt, sizeof a->opt) && (!a->gso_size || b->len <= a->gso_size);
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

/* Delivers all packets that have arrived, as one batch. */
static void deliver(struct net *n, unsigned to)
{
    uint8_t buf[65536];
    struct host *h = &n->host[to];
    struct packet *p, *held = NULL; /* owns the payload of `s` */
    struct xt_seg s, t;
    bool have = false;
    h->conn.ep.batch = h->cfg.batch;
    while ((p = link_take(&n->link[!to], n->now))) {
        if (!wire_parse(n, to, p, &t)) {
            free(p);
        } else if (have && coalesces(&s, &t) && rng_ppm(&n->rng, h->cfg.gro)) {
            coalesce(&s, &t, buf);
            free(p);
        } else {
            if (have)
                host_input(n, to, &s);
            free(held);
            held = p;
            s = t;
            have = true;
        }
    }
    if (have)
        host_input(n, to, &s);
    free(held);
    h->conn.ep.batch = false;
    if (h->conn.used) {
        ep_output(&h->conn.ep);
        after(n, &h->conn);
    }
}

static uint64_t timer_next(const struct net *n, unsigned host)
{
    const struct sim_conn *c = &n->host[host].conn;
    return c->used ? xt_tcp_deadline(&c->ep.conn) : NEVER;
}

static uint64_t min2(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_time(const struct net *n)
{
    uint64_t t = NEVER;
    for (unsigned h = 0; h < 2; h++) {
        t = min2(t, n->start[h]);
        t = min2(t, link_next(&n->link[h]));
        t = min2(t, timer_next(n, h));
        t = min2(t, app_next(n, h));
    }
    return t;
}

static void start_connection(struct net *n, unsigned host)
{
    n->start[host] = NEVER;
    conn_begin(n, host);
    app_attach(n, &n->host[host].conn);
    sim_fo_prepare(n, &n->host[host].conn);
    ep_connect(&n->host[host].conn.ep, new_isn(n, host));
    sim_fo_start(n, &n->host[host].conn);
    after(n, &n->host[host].conn);
}

static void run_timer(struct net *n, unsigned host)
{
    struct sim_conn *c = &n->host[host].conn;
    /* A call that comes early must change nothing that shows. */
    bool early = timer_next(n, host) > n->now && rng_ppm(&n->rng, 5000);
    if (!c->used || (timer_next(n, host) > n->now && !early))
        return;
    if (!early)
        net_log(n, host, "timer %s", xt_tcp_deadline_name(&c->ep.conn));
    ep_timer(&c->ep);
    after(n, c);
}

/* A packet of the last connection that outlives it may end the TIME_WAIT that guards against it (RFC 1337) and then
 * be taken for one of the next connection: that hazard is TCP's own, so the next one begins when they are gone. */
static bool quiet(const struct net *n)
{
    return !n->link[0].head && !n->link[1].head;
}

/* The next connection between the same ports: the server may still be in TIME_WAIT (RFC 6191). */
static void maybe_next_round(struct net *n)
{
    if (n->round + 1 >= n->p.rounds || n->host[0].conn.used || !n->host[0].app.closed || !n->host[1].app.closed ||
        !quiet(n))
        return;
    n->round++;
    n->host[0].app = n->host[1].app = (struct app){.next_read = NEVER, .next_write = NEVER};
    n->start[0] = n->now + rng_log(&n->rng, 1, 3000000);
    net_log(n, 0, "round %u", n->round);
}

static void step(struct net *n)
{
    for (unsigned h = 0; h < 2; h++) {
        struct sim_conn *c = &n->host[h].conn;
        c->ep.now = n->now;
        if (n->start[h] <= n->now)
            start_connection(n, h);
        if (link_next(&n->link[!h]) <= n->now)
            deliver(n, h);
        run_timer(n, h);
        if (app_next(n, h) <= n->now) {
            app_run(n, h);
            after(n, c);
        }
    }
    maybe_next_round(n);
}

/* Nothing is due any more. A reset that was lost on purpose leaves the other side waiting for ever, as TCP does; any
 * other connection that is still there will never end. */
static bool settle(struct net *n)
{
    bool ended = true;
    for (unsigned h = 0; h < 2; h++) {
        struct sim_conn *c = &n->host[h].conn;
        if (!c->used)
            continue;
        if (n->p.clean || !app_lossy(n)) {
            net_fail(n, "virtual deadlock: host %u is in %s and nothing is due", h, xt_state_name(c->ep.conn.state));
            return true;
        }
        ended = false;
        n->host[h].app.closed = true;
        ep_abort(&c->ep);
        after(n, c);
    }
    return ended;
}

static void advance(struct net *n, uint64_t t)
{
    n->stuck = t > n->now ? 0 : n->stuck + 1;
    if (n->stuck > STUCK_LIMIT)
        net_fail(n, "virtual livelock: time does not pass (timers %s, %s)",
                 xt_tcp_deadline_name(&n->host[0].conn.ep.conn), xt_tcp_deadline_name(&n->host[1].conn.ep.conn));
    n->now = t > n->now ? t : n->now;
    if (n->now > TIME_LIMIT || ++n->steps > STEP_LIMIT)
        net_fail(n, "no end after %.0f s and %u steps", (double)n->now / 1e6, n->steps);
}

static void net_begin(struct net *n, uint64_t seed, bool trace)
{
    memset(n, 0, sizeof *n);
    params_from_seed(&n->p, seed);
    n->rng.s = seed ^ 0x5851f42d4c957f2dull;
    n->trace = trace;
    n->now = 1000000;
    for (unsigned h = 0; h < 2; h++) {
        struct host *x = &n->host[h];
        x->cfg = n->p.host[h];
        x->addr = (struct xt_endpoint){xt_addr_v4(htonl(0x0a000001 + h)), h ? 80 : 40000};
        x->app = (struct app){.next_read = NEVER, .next_write = NEVER};
        n->link[h].cfg = n->p.link[h];
        n->link[h].rng = &n->rng;
        n->start[h] = NEVER;
    }
    n->syn_may_repeat = n->p.simultaneous || n->p.rounds > 1;
    n->start[0] = n->now;
    if (n->p.simultaneous)
        n->start[1] = n->now + n->p.second_start;
}

static void open_listener(struct net *n)
{
    struct host *h = &n->host[1];
    struct xt_endpoint any = {.addr = xt_addr_v4(0)};
    h->listener.now = n->now;
    ep_init(&h->listener, &h->cfg.tcp, &h->addr, &any, 4096, 4096);
    if (!n->p.simultaneous)
        ep_listen(&h->listener);
}

static void net_end(struct net *n)
{
    struct host *h = &n->host[1];
    if (!*n->failure && n->round + 1 < n->p.rounds)
        net_fail(n, "only %u of %u rounds", n->round + 1, n->p.rounds);
    if (h->listener.conn.state == XT_LISTEN)
        ep_close(&h->listener);
    if (h->listener.conn.state != XT_CLOSED)
        net_fail(n, "the listener does not close");
    for (unsigned i = 0; i < 2; i++) {
        if (!*n->failure && !n->host[i].app.closed && !app_lossy(n))
            net_fail(n, "host %u: the application did not come to its end", i);
        if (n->host[i].conn.used) {
            watch_end(&n->host[i].conn);
            ep_free(&n->host[i].conn.ep);
        }
        link_clear(&n->link[i]);
    }
    ep_free(&h->listener);
}

bool net_run(struct net *n, uint64_t seed, bool trace)
{
    net_begin(n, seed, trace);
    open_listener(n);
    while (!*n->failure) {
        uint64_t t = next_time(n);
        if (t == NEVER) {
            if (settle(n))
                break;
            continue;
        }
        advance(n, t);
        if (!*n->failure)
            step(n);
    }
    net_end(n);
    return !*n->failure;
}
