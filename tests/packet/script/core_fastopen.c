/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/packet/script/core_fastopen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tcp/fastopen.h"

void core_fo_accept(struct core_sock *s, const struct xt_seg *syn)
{
    uint8_t cookies[XT_FO_KEYS][XT_FO_COOKIE_LEN];
    struct xt_tcp_ctx ctx = ep_ctx(&s->conn);
    for (unsigned i = 0; i < XT_FO_KEYS; i++)
        memset(cookies[i], s->fo.key[i], XT_FO_COOKIE_LEN);
    unsigned v = xt_tcp_fastopen_syn(&s->listener.conn, &ctx, syn, (const uint8_t(*)[XT_FO_COOKIE_LEN])cookies,
                                     s->fo.key[1] ? 2 : 1);
    if (v & XT_FO_GRANT)
        xt_tcp_fastopen_grant(&s->conn.conn, cookies[0]);
    if (v & XT_FO_OPEN)
        s->conn.events |= xt_tcp_fastopen_accept(&s->conn.conn, &s->listener.conn, &ctx, syn);
}

bool core_fo_prepare(struct core_sock *s)
{
    if (s->fo.connect || s->fo.sending)
        xt_tcp_fastopen(&s->conn.conn, &s->fo.known, s->fo.no_cookie);
    return s->conn.conn.fo & XT_FO_DEFER;
}

void core_fo_seen(struct core_sock *s, const struct xt_seg *seg, int was)
{
    struct xt_conn *c = &s->conn.conn;
    struct xt_tcp_ctx ctx = ep_ctx(&s->conn);
    if (was == XT_SYN_SENT && (seg->opt.present & XT_OPT_FO) && seg->opt.ncookie && (c->fo & XT_FO_OPTION)) {
        s->fo.known.len = seg->opt.ncookie;
        s->fo.known.mss = c->mss_peer;
        memcpy(s->fo.known.b, seg->opt.cookie, seg->opt.ncookie);
    }
    if ((c->fo & XT_FO_PENDING) && c->state != XT_SYN_RECV) {
        c->fo &= (uint8_t)~XT_FO_PENDING;
        if (s->listening)
            xt_tcp_fastopen_done(&s->listener.conn, &ctx, c->state == XT_CLOSED && c->err == ECONNRESET);
    }
}

static uint8_t own_byte(const void *arg, uint64_t off)
{
    (void)arg;
    return pkt_own_byte(off);
}

long core_fo_write(struct pkt_run *r, struct core_sock *s, uint32_t n)
{
    uint32_t room = xt_tcp_fastopen_room(&s->conn.conn);
    struct xt_tcp_ctx ctx = ep_ctx(&s->conn);
    n = ep_write(&s->conn, n < room ? n : room, own_byte, NULL, false);
    xt_tcp_fastopen_go(&s->conn.conn, &ctx);
    ep_output(&s->conn);
    return n ? (long)n : -EINPROGRESS;
}

long core_fo_sendto(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    uint32_t n = (uint32_t)atoi(e->args[1]);
    if (s->alive && !(s->conn.conn.fo & XT_FO_DEFER))
        return s->conn.conn.state == XT_SYN_SENT ? -EALREADY : -EISCONN;
    if (!(s->cfg.fast_open & XT_FO_CLIENT))
        return -EOPNOTSUPP;
    if (!s->alive) {
        s->fo.sending = true;
        long rc = core_sock_connect(s);
        s->fo.sending = false;
        if (rc != 0)
            return rc;
    }
    return core_fo_write(r, s, n);
}

bool core_fo_setopt(struct core_sock *s, const char *name, uint32_t v, long *rc)
{
    *rc = 0;
    if (strcmp(name, "fastopen") == 0) {
        s->listener.conn.fo_listen.limit = v;
    } else if (strcmp(name, "fastopen_key") == 0) {
        s->fo.key[1] = s->fo.key[0];
        s->fo.key[0] = (uint8_t)v;
    } else if (strcmp(name, "fastopen_connect") == 0) {
        *rc = !(s->cfg.fast_open & XT_FO_CLIENT) ? -EOPNOTSUPP : s->alive ? -EINVAL : 0;
        s->fo.connect = *rc == 0 && v;
    } else if (strcmp(name, "fastopen_no_cookie") == 0) {
        s->fo.no_cookie = v;
        if (s->listening)
            s->listener.conn.fo_listen.no_cookie = v != 0;
    } else {
        return false;
    }
    return true;
}
