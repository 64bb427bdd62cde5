/* SPDX-License-Identifier: Apache-2.0
 * TCP Fast Open in one of five seeds: the client has a cookie, which may be out of date, and sends its first bytes with the
 * SYN. Not where segments of earlier connections come back, or where a host forgets: a SYN would open a connection twice
 * (RFC 7413 section 2.1). */
#include "daemon/tcp/fastopen.h"

#include <string.h>

#include "tests/sim/net.h"

static const uint8_t good[1][XT_FO_COOKIE_LEN] = {"goodone"};

bool sim_fo_on(const struct net *n)
{
    return n->p.seed % 5 == 2 && !n->p.simultaneous && !n->p.echoes && !n->p.crashes;
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

void sim_fo_prepare(struct net *n, struct sim_conn *c)
{
    struct xt_fo_cookie cookie = {.len = XT_FO_COOKIE_LEN, .mss = wire_mss(n, c->host)};
    if (!sim_fo_on(n))
        return;
    memcpy(cookie.b, good[0], sizeof good[0]);
    cookie.b[0] ^= n->p.seed % 4 == 1;
    xt_tcp_fastopen(&c->ep.conn, &cookie, false);
}

void sim_fo_start(struct net *n, struct sim_conn *c)
{
    const struct app_cfg *a = &n->p.host[c->host].app;
    uint32_t room = xt_tcp_fastopen_room(&c->ep.conn);
    struct fill f = {n, c->host};
    struct xt_tcp_ctx ctx = ep_ctx(&c->ep);
    if (!sim_fo_on(n))
        return;
    if (a->to_send)
        ep_write(&c->ep, room < a->to_send ? room : a->to_send, fill_byte, &f, false);
    xt_tcp_fastopen_go(&c->ep.conn, &ctx);
    ep_output(&c->ep);
}

void sim_fo_accept(struct net *n, struct sim_conn *c, struct ep *listener, const struct xt_seg *syn)
{
    struct xt_tcp_ctx ctx = ep_ctx(&c->ep);
    if (!sim_fo_on(n))
        return;
    listener->conn.fo_listen.limit = UINT32_MAX; /* nobody counts here when one is over */
    unsigned verdict = xt_tcp_fastopen_syn(&listener->conn, &ctx, syn, good, 1);
    if (verdict & XT_FO_GRANT)
        xt_tcp_fastopen_grant(&c->ep.conn, good[0]);
    if (verdict & XT_FO_OPEN)
        c->ep.events |= xt_tcp_fastopen_accept(&c->ep.conn, &listener->conn, &ctx, syn);
}
