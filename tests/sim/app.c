/* SPDX-License-Identifier: Apache-2.0
 * The application of a host: writes, reads and closes at random moments. It acts on events alone, so that an event
 * which the core forgets shows as a deadlock. */
#include <string.h>

#include "tests/sim/net.h"

#define GROW_MAX (1u << 20) /* what the window scale of the core allows for by itself */

uint8_t app_byte(const struct net *n, unsigned from, uint64_t off)
{
    uint64_t x = (off >> 3) + 1 + ((uint64_t)from << 40) + ((uint64_t)n->round << 41) + (n->p.seed << 44);
    x *= 0x9e3779b97f4a7c15ull;
    return (uint8_t)(x >> (8 * (off & 7)));
}

struct fill {
    const struct net *n;
    unsigned from;
};

static uint8_t fill_byte(const void *arg, uint64_t off)
{
    const struct fill *f = arg;
    return app_byte(f->n, f->from, off);
}

/* True when this connection may end with bytes lost: by the way an application ends it, by a crash, by a time limit. */
bool app_lossy(const struct net *n)
{
    if (n->p.may_break || (n->p.crashes && n->round == 0))
        return true;
    return n->p.host[0].app.ending >= END_ABORT || n->p.host[1].app.ending >= END_ABORT;
}

struct sim_conn *app_conn(struct net *n, unsigned host)
{
    struct sim_conn *c = &n->host[host].conn;
    return c->used && c->app && c->round == n->round ? c : NULL;
}

static uint64_t soon(struct net *n, const struct app *a)
{
    return n->now + rng_in(&n->rng, 0, a->cfg.think);
}

void app_attach(struct net *n, struct sim_conn *c)
{
    struct app *a = &n->host[c->host].app;
    *a = (struct app){.cfg = n->p.host[c->host].app, .attached = true, .next_read = NEVER, .next_write = NEVER};
    a->pauses_left = a->cfg.pauses;
    a->silences_left = a->cfg.silences;
    c->app = true;
    c->ep.conn.opt = a->cfg.opt;
    struct xt_tcp_ctx ctx = ep_ctx(&c->ep);
    c->ep.events |= xt_tcp_options_changed(&c->ep.conn, &ctx);
}

static void log_events(struct net *n, const struct sim_conn *c, uint32_t ev)
{
    if (ev && n->trace)
        net_log(n, c->host, "events 0x%03x, state %s, err %d", ev, xt_state_name(c->ep.conn.state), c->ep.conn.err);
}

void app_events(struct net *n, struct sim_conn *c, uint32_t ev)
{
    struct app *a = &n->host[c->host].app;
    log_events(n, c, ev);
    if (!c->app || c->round != n->round)
        return;
    if (ev & (XT_EV_CONNECTED | XT_EV_FASTOPEN))
        a->connected = true;
    if (ev & XT_EV_PEER_FIN)
        a->eof = true;
    if (ev & XT_EV_ERROR)
        a->closed = true;
    if (a->closed)
        return;
    if ((ev & (XT_EV_READABLE | XT_EV_PEER_FIN)) && a->next_read == NEVER)
        a->next_read = soon(n, a);
    if ((ev & (XT_EV_WRITABLE | XT_EV_CONNECTED | XT_EV_FASTOPEN)) && a->next_write == NEVER)
        a->next_write = soon(n, a);
}

static void close_conn(struct net *n, struct sim_conn *c, bool abort)
{
    struct app *a = &n->host[c->host].app;
    net_log(n, c->host, "application %s", abort ? "aborts" : "closes");
    a->closed = true;
    a->next_read = a->next_write = NEVER;
    if (abort)
        ep_abort(&c->ep);
    else
        ep_close(&c->ep);
}

static void half_close(struct net *n, struct sim_conn *c)
{
    net_log(n, c->host, "application shuts down its side");
    n->host[c->host].app.shut = true;
    ep_shutdown(&c->ep);
}

/* Ends the connection as the application's kind says, when it is time. */
static void maybe_end(struct net *n, struct sim_conn *c)
{
    struct app *a = &n->host[c->host].app;
    bool written = c->ep.conn.tx_head >= a->cfg.to_send;
    bool got_all = a->read_total >= n->p.host[!c->host].app.to_send;
    bool eof = a->eof && !ep_readable(&c->ep);
    switch (a->cfg.ending) {
    case END_SHUTDOWN:
        if (written && !a->shut)
            half_close(n, c);
        if (written && eof)
            close_conn(n, c, false);
        break;
    case END_AFTER_EOF:
        if (written && eof)
            close_conn(n, c, false);
        break;
    case END_CLOSE:
        if (written && got_all)
            close_conn(n, c, false);
        break;
    default:
        if (a->read_total + c->ep.conn.tx_head >= a->cfg.quit_after || (written && eof)) {
            a->quit = true;
            close_conn(n, c, a->cfg.ending == END_ABORT);
        }
        break;
    }
}

/* Rings grow while they are in use, whatever is in them. */
static void maybe_grow(struct net *n, struct sim_conn *c)
{
    const struct ep *e = &c->ep;
    if (!n->p.grow || !rng_ppm(&n->rng, n->p.grow))
        return;
    if (e->rx_size < GROW_MAX && rng_u64(&n->rng) % 2)
        ep_grow_rx(&c->ep);
    else if (e->tx_size < GROW_MAX)
        ep_grow_tx(&c->ep);
}

/* With nothing left to read half of what the window can say is on offer: probes of a window that seems closed must not be
 * what keeps a sender going (RFC 9293 section 3.8.6.2.2). */
static void check_window(struct net *n, const struct sim_conn *c)
{
    const struct xt_conn *k = &c->ep.conn;
    uint64_t most = 65535ull << k->rcv_wscale, want = (most < k->rx_size ? most : k->rx_size) / 2;
    bool open = k->state >= XT_ESTABLISHED && k->state <= XT_FIN_WAIT2 && !(k->cflags & XT_CF_FIN_SEEN);
    if (open && !ep_readable(&c->ep) && k->rcv_adv - k->rcv_nxt + (1u << k->rcv_wscale) <= want)
        net_fail(n, "host %u offers %u bytes though its ring is empty", c->host, k->rcv_adv - k->rcv_nxt);
}

static void read_some(struct net *n, struct sim_conn *c)
{
    struct app *a = &n->host[c->host].app;
    uint8_t buf[65536];
    maybe_grow(n, c);
    uint32_t got = ep_read(&c->ep, buf, (uint32_t)rng_log(&n->rng, 1, a->cfg.read_max));
    for (uint32_t i = 0; i < got; i++)
        if (buf[i] != app_byte(n, !c->host, a->read_total + i)) {
            net_fail(n, "host %u reads a wrong byte at %u", c->host, a->read_total + i);
            return;
        }
    a->read_total += got;
    if (got)
        check_window(n, c);
    n->bytes_moved += got;
    a->next_read = ep_readable(&c->ep) ? soon(n, a) : NEVER;
    if (a->next_read != NEVER && a->pauses_left && rng_ppm(&n->rng, 100000)) {
        a->pauses_left--;
        a->next_read += rng_log(&n->rng, 1000, a->cfg.pause);
        net_log(n, c->host, "reader pauses for %llu us", (unsigned long long)(a->next_read - n->now));
    }
}

static void write_some(struct net *n, struct sim_conn *c)
{
    struct app *a = &n->host[c->host].app;
    uint64_t left = a->cfg.to_send - c->ep.conn.tx_head;
    uint64_t want = rng_log(&n->rng, 1, a->cfg.write_max);
    struct fill f = {n, c->host};
    if (left)
        ep_write(&c->ep, (uint32_t)(want < left ? want : left), fill_byte, &f, rng_ppm(&n->rng, a->cfg.urgent));
    bool more = c->ep.conn.tx_head < a->cfg.to_send && ep_room(&c->ep);
    a->next_write = more ? soon(n, a) : NEVER;
    if (more && a->silences_left && rng_ppm(&n->rng, 100000)) {
        a->silences_left--;
        a->next_write += rng_log(&n->rng, 1000, a->cfg.pause);
        net_log(n, c->host, "writer is silent for %llu us", (unsigned long long)(a->next_write - n->now));
    }
}

void app_run(struct net *n, unsigned host)
{
    struct app *a = &n->host[host].app;
    struct sim_conn *c = app_conn(n, host);
    if (!c || a->closed)
        return;
    if (a->next_read <= n->now)
        read_some(n, c);
    if (c->ep.conn.state == XT_CLOSED) {
        a->next_write = NEVER;
        a->closed = a->eof && !ep_readable(&c->ep);
        return;
    }
    if (a->next_write <= n->now)
        write_some(n, c);
    if (a->connected)
        maybe_end(n, c);
}

uint64_t app_next(const struct net *n, unsigned host)
{
    const struct app *a = &n->host[host].app;
    if (!a->attached || a->closed)
        return NEVER;
    return a->next_read < a->next_write ? a->next_read : a->next_write;
}
