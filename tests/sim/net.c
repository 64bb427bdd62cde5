/* SPDX-License-Identifier: Apache-2.0
 * The event loop of a run: the next packet, timer or application call, in order of virtual time. */
#include "tests/sim/net.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_LIMIT (4ull * 3600 * 1000000) /* of virtual time, microseconds: in it every connection ends */
#define STEP_LIMIT 2000000
#define STUCK_LIMIT 20000 /* steps without time passing */

static void log_line(struct net *n, unsigned host, const char *fmt, va_list ap)
{
    char text[TRACE_WIDTH];
    vsnprintf(text, sizeof text, fmt, ap);
    trace_add(n->trace, "%12.6f %*s%u.%u %s", (double)n->now / 1e6, host ? 2 : 0, "", n->id, host, text);
}

void net_fail(struct net *n, const char *fmt, ...)
{
    if (*n->failure)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(n->failure, sizeof n->failure, fmt, ap);
    va_end(ap);
    net_log(n, 0, "FAILURE %s", n->failure);
}

void net_log(struct net *n, unsigned host, const char *fmt, ...)
{
    if (!n->trace)
        return;
    va_list ap;
    va_start(ap, fmt);
    log_line(n, host, fmt, ap);
    va_end(ap);
}

static uint64_t timer_next(const struct net *n, unsigned host)
{
    const struct sim_conn *c = &n->host[host].conn;
    return c->used ? xt_tcp_deadline(&c->ep.conn, n->now) : NEVER;
}

static uint64_t min2(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_time(const struct net *n)
{
    uint64_t t = n->crash;
    for (unsigned h = 0; h < 2; h++) {
        t = min2(t, n->start[h]);
        t = min2(t, link_next(&n->link[h]));
        t = min2(t, timer_next(n, h));
        t = min2(t, app_next(n, h));
        t = min2(t, n->host[h].n_icmp ? n->host[h].icmp[0].at : NEVER);
    }
    return t;
}

static void start_connection(struct net *n, unsigned host)
{
    n->start[host] = NEVER;
    host_conn_begin(n, host);
    app_attach(n, &n->host[host].conn);
    sim_fo_prepare(n, &n->host[host].conn);
    ep_connect(&n->host[host].conn.ep, host_new_isn(n, host));
    sim_fo_start(n, &n->host[host].conn);
    host_after(n, &n->host[host].conn);
}

static void run_timer(struct net *n, unsigned host)
{
    struct sim_conn *c = &n->host[host].conn;
    /* A call that comes early must change nothing that shows. */
    bool early = timer_next(n, host) > n->now && rng_ppm(&n->rng, 5000);
    if (!c->used || (timer_next(n, host) > n->now && !early))
        return;
    if (!early)
        net_log(n, host, "timer %s", xt_tcp_deadline_name(&c->ep.conn, n->now));
    ep_timer(&c->ep);
    host_after(n, c);
}

/* A packet of the last connection that outlives it may end the TIME_WAIT that guards against it (RFC 1337) and then
 * be taken for one of the next connection: that hazard is TCP's own, so the next one begins when they are gone. Time
 * stamps are a guard (RFC 7323 section 5): with them nobody need wait. */
static bool quiet(const struct net *n)
{
    if (n->p.echoes)
        return true;
    return !n->link[0].head && !n->link[1].head;
}

static void next_round(struct net *n, uint64_t start)
{
    n->round++;
    n->host[0].app = n->host[1].app = (struct app){.next_read = NEVER, .next_write = NEVER};
    n->start[0] = start;
    net_log(n, 0, "round %u", n->round);
}

/* The next connection between the same ports: the server may still be in TIME_WAIT (RFC 6191). */
static void maybe_next_round(struct net *n)
{
    if (n->round + 1 >= n->p.rounds || n->host[0].conn.used || !n->host[0].app.closed || !n->host[1].app.closed ||
        !quiet(n))
        return;
    n->crash = NEVER;
    uint64_t up = n->host[1].down_until > n->now ? n->host[1].down_until : n->now;
    next_round(n, up + rng_log(&n->rng, 1, 3000000));
}

/* A host forgets all and comes back. When it is the client that did, the server finds out by its next SYN that it
 * has but half a connection (RFC 9293 section 3.5.1). */
static void maybe_crash(struct net *n)
{
    if (n->crash > n->now)
        return;
    n->crash = NEVER;
    host_crash(n, n->p.crash_host);
    if (n->p.crash_host == 0)
        next_round(n, n->host[0].down_until + rng_log(&n->rng, 1, 3000000));
}

static void step(struct net *n)
{
    for (unsigned h = 0; h < 2; h++) {
        struct sim_conn *c = &n->host[h].conn;
        c->ep.now = n->now;
        if (n->start[h] <= n->now)
            start_connection(n, h);
        host_icmp(n, h);
        if (link_next(&n->link[!h]) <= n->now)
            host_deliver(n, h);
        run_timer(n, h);
        if (app_next(n, h) <= n->now) {
            app_run(n, h);
            host_after(n, c);
        }
    }
    maybe_crash(n);
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
        host_after(n, c);
    }
    return ended;
}

static void advance(struct net *n, uint64_t t)
{
    n->stuck = t > n->now ? 0 : n->stuck + 1;
    if (n->stuck > STUCK_LIMIT)
        net_fail(n, "virtual livelock: time does not pass (timers %s, %s)",
                 xt_tcp_deadline_name(&n->host[0].conn.ep.conn, n->now),
                 xt_tcp_deadline_name(&n->host[1].conn.ep.conn, n->now));
    n->now = t > n->now ? t : n->now;
    if (n->now - n->began > TIME_LIMIT || ++n->steps > STEP_LIMIT)
        net_fail(n, "no end after %.0f s and %u steps", (double)n->now / 1e6, n->steps);
}

static void net_reset(struct net *n, const struct params *p, uint64_t now, struct trace *trace)
{
    memset(n, 0, sizeof *n);
    n->p = *p;
    n->rng.s = p->seed ^ 0x5851f42d4c957f2dull;
    n->trace = trace;
    n->now = n->began = now;
    n->crash = p->crashes ? now + p->crash_at : NEVER;
    for (unsigned h = 0; h < 2; h++) {
        struct host *x = &n->host[h];
        struct link_cfg cfg = p->link[h];
        for (unsigned i = 0; i < LINK_OUTAGES; i++) {
            cfg.outage[i].from += now;
            cfg.outage[i].until += now;
        }
        for (unsigned i = 0; i < LINK_MTUS; i++)
            cfg.mtu[i].at += now;
        x->cfg = n->p.host[h];
        x->addr = (struct xt_endpoint){xt_addr_v4(htonl(0x0a000001 + h)), h ? 80 : 40000};
        x->app = (struct app){.next_read = NEVER, .next_write = NEVER};
        link_init(&n->link[h], &cfg, &n->rng);
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

bool net_end(struct net *n)
{
    struct host *h = &n->host[1];
    if (!*n->failure && n->round + 1 < n->p.rounds && !n->p.may_break)
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
    return !*n->failure;
}

void net_begin(struct net *n, const struct params *p, uint64_t now, struct trace *trace)
{
    net_reset(n, p, now, trace);
    open_listener(n);
}

uint64_t net_next(struct net *n)
{
    while (!*n->failure) {
        uint64_t t = next_time(n);
        if (t != NEVER || settle(n))
            return t;
        maybe_next_round(n);
    }
    return NEVER;
}

void net_step(struct net *n, uint64_t now)
{
    advance(n, now);
    if (!*n->failure)
        step(n);
}

bool net_run(struct net *n, uint64_t seed, struct trace *trace)
{
    struct params p;
    params_from_seed(&p, seed);
    net_begin(n, &p, 1000000, trace);
    for (uint64_t t; (t = net_next(n)) != NEVER;)
        net_step(n, t);
    return net_end(n);
}
