/* SPDX-License-Identifier: Apache-2.0
 * TCP Fast Open (RFC 7413), as far as it is about hosts: the cookies that we give (a keyed hash of the two addresses), those that
 * we were given, by address, and the paths that swallow such SYNs. */
#include <errno.h>
#include <string.h>

#include "daemon/base/time.h"
#include "daemon/stack/internal.h"

#define LOSS_PAUSE (60 * XT_US_PER_S)

/* ---- server ---- */

static void make_cookie(const struct xt_key *key, const struct xt_flow *flow, uint8_t out[XT_FO_COOKIE_LEN])
{
    struct {
        struct xt_addr remote, local;
    } ends = {flow->remote, flow->local};
    _Static_assert(sizeof ends == 32, "no padding: all of it is hashed");
    uint64_t hash = xt_siphash(key, &ends, sizeof ends);
    memcpy(out, &hash, XT_FO_COOKIE_LEN);
}

/* What the peer of `flow` gets from listener `l`, the newest key's first; returns how many. */
static unsigned cookies_for(const struct xt_stack *s, const struct xt_conn *l, const struct xt_flow *flow,
                            uint8_t out[XT_FO_KEYS][XT_FO_COOKIE_LEN])
{
    const struct xt_fo_listen *f = &l->fo_listen;
    unsigned n = f->nkeys < XT_FO_KEYS ? f->nkeys : XT_FO_KEYS;
    struct xt_key key;
    for (unsigned i = 0; i < n; i++) {
        memcpy(key.b, f->keys[i], sizeof key.b);
        make_cookie(&key, flow, out[i]);
    }
    if (n > 0)
        return n;
    make_cookie(&s->fo_key, flow, out[0]);
    return 1;
}

uint32_t xt_fastopen_syn(struct xt_stack *s, struct xt_conn *l, struct xt_conn *child, const struct xt_flow *flow,
                         const struct xt_seg *syn)
{
    uint8_t cookies[XT_FO_KEYS][XT_FO_COOKIE_LEN];
    struct xt_tcp_ctx ctx = xt_conn_ctx(s, child);
    if (!l->fo_listen.limit && !(syn->opt.present & XT_OPT_FO))
        return 0;
    unsigned n = cookies_for(s, l, flow, cookies);
    unsigned verdict = xt_tcp_fastopen_syn(l, &ctx, syn, (const uint8_t(*)[XT_FO_COOKIE_LEN])cookies, n);
    if (verdict & XT_FO_GRANT)
        xt_tcp_fastopen_grant(child, cookies[0]);
    if (!(verdict & XT_FO_OPEN))
        return 0;
    if (!s->side[child->index].rx && !s->ops.need_bufs(s->ops.arg, child)) {
        s->stats.drop_no_bufs++;
        return 0;
    }
    ctx = xt_conn_ctx(s, child);
    return xt_tcp_fastopen_accept(child, l, &ctx, syn);
}

/* The listener that counts `child` as pending, or NULL. */
static struct xt_conn *counts(struct xt_stack *s, const struct xt_conn *child)
{
    struct xt_conn *l = child->listener < s->hdr->high_water ? &s->conns[child->listener] : NULL;
    return l && l->state == XT_LISTEN && l->local.port == child->local.port ? l : NULL;
}

void xt_fastopen_left(struct xt_stack *s, struct xt_conn *child)
{
    struct xt_conn *l = counts(s, child);
    struct xt_tcp_ctx ctx = xt_conn_ctx(s, child);
    child->fo &= (uint8_t)~XT_FO_PENDING;
    if (l)
        xt_tcp_fastopen_done(l, &ctx, child->state == XT_CLOSED && child->err == ECONNRESET);
}

void xt_stack_fastopen_listen(struct xt_stack *s, struct xt_conn *l, const struct xt_fo_listen *set)
{
    struct xt_fo_listen *f = &l->fo_listen;
    xt_conn_begin(s, l);
    f->limit = set->limit;
    f->no_cookie = set->no_cookie;
    f->nkeys = set->nkeys;
    memcpy(f->keys, set->keys, sizeof f->keys);
    xt_conn_end(s);
}

void xt_fastopen_rebuild(struct xt_stack *s)
{
    struct xt_conn *l;
    for (uint32_t i = 0; i < s->hdr->high_water; i++)
        if (s->conns[i].state == XT_LISTEN)
            s->conns[i].fo_listen.pending = 0;
    for (uint32_t i = 0; i < s->hdr->high_water; i++) {
        const struct xt_conn *c = &s->conns[i];
        if ((c->flags & XT_CONN_USED) && (c->fo & XT_FO_PENDING) && (l = counts(s, c)))
            l->fo_listen.pending++;
    }
}

/* ---- client ---- */

static struct xt_fo_peer *place(struct xt_stack *s, uint32_t addr)
{
    return &s->fo_peers[xt_siphash(&s->pmtu_key, &addr, sizeof addr) % XT_FO_PEERS];
}

static struct xt_fo_peer *find(struct xt_stack *s, const struct xt_conn *c)
{
    uint32_t addr = xt_addr_to_v4(&c->remote.addr);
    struct xt_fo_peer *p = place(s, addr);
    return p->addr == addr ? p : NULL;
}

/* SYNs with more than a SYN have been lost, to this peer or to several: a plain one then. */
static bool paused(const struct xt_stack *s, const struct xt_fo_peer *p)
{
    if (s->now < s->fo_off_until)
        return true;
    return p && p->lost > 1 && s->now < p->lost_at + (LOSS_PAUSE << p->lost);
}

void xt_fastopen_connect(struct xt_stack *s, struct xt_conn *c)
{
    static const struct xt_fo_cookie none;
    bool no_cookie = !(c->fo & XT_FO_OPTION);
    const struct xt_fo_peer *p = find(s, c);
    c->fo = 0;
    if (!paused(s, p))
        xt_tcp_fastopen(c, p ? &p->cookie : &none, no_cookie);
}

/* The SYN+ACK brought a cookie: for next time. */
static struct xt_fo_peer *remember(struct xt_stack *s, const struct xt_conn *c, const struct xt_seg *seg)
{
    uint32_t addr = xt_addr_to_v4(&c->remote.addr);
    struct xt_fo_peer *p = place(s, addr);
    if (p->addr != addr)
        *p = (struct xt_fo_peer){.addr = addr};
    if (seg->opt.ncookie) {
        p->cookie.len = seg->opt.ncookie;
        memcpy(p->cookie.b, seg->opt.cookie, seg->opt.ncookie);
        s->stats.fastopen_cookies++;
    }
    p->cookie.mss = c->mss_peer;
    return p;
}

void xt_fastopen_learn(struct xt_stack *s, const struct xt_conn *c, const struct xt_seg *seg)
{
    if (c->state < XT_ESTABLISHED || !(c->fo & (XT_FO_OPTION | XT_FO_DATA)))
        return;
    bool cookie = (c->fo & XT_FO_OPTION) && (seg->opt.present & XT_OPT_FO) && seg->opt.ncookie;
    struct xt_fo_peer *p = cookie ? remember(s, c, seg) : find(s, c);
    if (c->fo & XT_FO_ACKED) {
        s->fo_off_times = 0;
        if (p)
            p->lost = 0;
    } else if (p && c->fo_len && !cookie && (c->cflags & XT_CF_SYN_RXT)) {
        /* The peer seems to have seen the plain SYN only. */
        p->lost = p->lost < 6 ? (uint8_t)(p->lost + 1) : 6;
        p->lost_at = s->now;
    }
}

/* Three time-outs in a row with Fast Open, in the handshake or after it: something on the path may swallow all that follows
 * such a SYN. Fast Open pauses for all peers, longer each time, until it has worked once more. */
void xt_fastopen_timed_out(struct xt_stack *s, const struct xt_conn *c)
{
    if (!(c->fo & (XT_FO_OPTION | XT_FO_DATA)) || (c->cflags & XT_CF_PASSIVE) || !s->cfg.tcp.fo_blackhole)
        return;
    s->stats.fastopen_blackholes++;
    s->fo_off_until = s->now + (s->cfg.tcp.fo_blackhole << s->fo_off_times);
    if (s->fo_off_times < 6)
        s->fo_off_times++;
}

uint32_t xt_stack_fastopen_room(const struct xt_conn *c)
{
    return c->state == XT_SYN_SENT && (c->fo & XT_FO_DEFER) ? xt_tcp_fastopen_room(c) : 0;
}

void xt_stack_fastopen_go(struct xt_stack *s, struct xt_conn *c, uint64_t now_us)
{
    xt_stack_at(s, now_us);
    if (c->state != XT_SYN_SENT)
        return;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    xt_conn_after(s, c, xt_tcp_fastopen_go(c, &ctx));
}
