/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/packet/script/live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_US 1000

const char *pkt_live_net(struct xt_netpair *np, struct pkt_wire *wire)
{
    static char err[160];
    if (xt_netpair_make(np, PKT_VETH_MTU, err, sizeof err) != 0)
        return err;
    /* Without offloads each end sees what a wire would carry. */
    if (system("ethtool -K " XT_NETPAIR_OWN " tx off tso off gso off gro off sg off >/dev/null 2>&1") != 0 ||
        xt_netpair_enter(np->peer) != 0 || !pkt_wire_open(wire, XT_NETPAIR_PEER) || xt_netpair_enter(np->own) != 0) {
        snprintf(err, sizeof err, "no bare veth pair: %s", strerror(errno));
        return err;
    }
    return NULL;
}

static void on_tcp(void *arg, const uint8_t *p, size_t len, uint8_t ecn)
{
    struct pkt_live *l = arg;
    memcpy(pkt_queue_add(&l->sent, pkt_wire_now() - l->t0, len, ecn), p, len);
}

bool pkt_live_begin(struct pkt_live *l, struct pkt_wire *wire)
{
    l->wire = wire;
    wire->tcp = on_tcp;
    wire->arg = l;
    wire->bad = NULL;
    bool ok = pkt_wire_resolve(wire, pkt_wire_now() + PKT_PATIENCE_US) &&
              pkt_wire_sync(wire, pkt_wire_now() + PKT_PATIENCE_US);
    pkt_queue_free(&l->sent); /* the last words of the stack before */
    l->t0 = pkt_wire_now();
    return ok;
}

void pkt_live_end(struct pkt_live *l)
{
    pkt_queue_free(&l->sent);
}

void pkt_live_advance(struct pkt_run *r, uint64_t at)
{
    struct pkt_live *l = r->impl;
    pkt_wire_pump(l->wire, l->t0 + at, NULL, NULL);
    /* When it is the runner that comes late, the script's clock waits for it. */
    uint64_t now = pkt_wire_now();
    if (now > l->t0 + at)
        l->t0 = now - at;
}

static bool something(void *arg)
{
    struct pkt_live *l = arg;
    return !pkt_queue_empty(&l->sent);
}

bool pkt_live_next(struct pkt_run *r, struct pkt_sent *out, uint64_t until)
{
    struct pkt_live *l = r->impl;
    if (pkt_queue_empty(&l->sent))
        pkt_wire_pump(l->wire, l->t0 + until, something, l);
    if (l->wire->bad)
        printf("%s: %s\n", r->s->path, l->wire->bad);
    /* One that came later was only picked up late by the runner; it stays. */
    if (pkt_queue_empty(&l->sent) || (until && pkt_queue_first(&l->sent) > until))
        return false;
    pkt_queue_take(&l->sent, out);
    if (l->wire->bad)
        out->bytes[13] = 0; /* fails whatever is expected */
    return true;
}

void pkt_live_settle(struct pkt_run *r)
{
    struct pkt_live *l = r->impl;
    pkt_wire_sync(l->wire, pkt_wire_now() + PKT_PATIENCE_US);
    l->unseen = false;
}

void pkt_live_inject(struct pkt_run *r, const uint8_t *p, size_t len, uint8_t ecn)
{
    struct pkt_live *l = r->impl;
    pkt_wire_send_tcp(l->wire, (uint8_t *)p, len, ecn);
    l->unseen = true;
}

void pkt_live_icmp(struct pkt_run *r, uint8_t type, uint8_t code, uint32_t mtu, uint32_t seq)
{
    struct pkt_live *l = r->impl;
    pkt_wire_send_error(l->wire, type, code, mtu, r->base.own_port, r->base.peer_port, seq);
    l->unseen = true;
}

static void pause_a_little(struct pkt_live *l)
{
    pkt_wire_pump(l->wire, pkt_wire_now() + RETRY_US, NULL, NULL);
}

long pkt_live_call(struct pkt_run *r, const struct pkt_event *e, const struct pkt_range *want)
{
    struct pkt_live *l = r->impl;
    struct pkt_sock *s = &l->sock;
    uint64_t deadline = pkt_wire_now() + PKT_PATIENCE_US / 4;
    if (l->unseen)
        pkt_live_settle(r);
    /* All that is to be read at once must be there first. */
    while (strcmp(e->args[0], "read") == 0 && (int32_t)want->lo > 0 && s->conn >= 0 && pkt_wire_now() < deadline &&
           s->ops->inq(s->x, s->conn) < (int)want->lo)
        pause_a_little(l);
    long v = pkt_sock_call(r, s, e);
    while (!pkt_result_ok(want, v) && pkt_sock_may_repeat(e, v) && pkt_wire_now() < deadline) {
        pause_a_little(l);
        v = pkt_sock_call(r, s, e);
    }
    return v;
}

const char *pkt_live_state(struct pkt_run *r, const char *want)
{
    const char *asked = want;
    /* TCP_INFO does not tell TIME_WAIT from CLOSED. */
    if (strcmp(want, "TIME_WAIT") == 0)
        want = "CLOSED";
    struct pkt_live *l = r->impl;
    uint64_t deadline = pkt_wire_now() + PKT_PATIENCE_US / 4;
    const char *s = pkt_sock_state(&l->sock);
    while (s && strcmp(s, want) != 0 && pkt_wire_now() < deadline) {
        pause_a_little(l);
        s = pkt_sock_state(&l->sock);
    }
    return s && strcmp(s, want) == 0 ? asked : s;
}
