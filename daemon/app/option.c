/* SPDX-License-Identifier: Apache-2.0
 * XT_OP_SETOPT: options of the core, and who else has the others. */
#include <errno.h>
#include <netinet/in.h>

#include "daemon/app/internal.h"
#include "proto/xt_cc.h"

void xt_app_opts_apply(const struct xt_session *s, uint32_t i, struct xt_conn *c)
{
    uint16_t maxseg = xt_app_rare(s, i)->maxseg;
    c->opt = s->ps[i].opt;
    if (maxseg)
        c->mss_local = maxseg;
}

void xt_app_take_nodelay(struct xt_session *s, uint32_t i, struct xt_conn *c)
{
    struct xt_pslot *p = &s->ps[i];
    p->opt.nodelay = (atomic_load_explicit(&s->slots[i].want, memory_order_relaxed) & XT_WANT_NODELAY) != 0;
    if (c)
        c->opt.nodelay = p->opt.nodelay;
}

/* Linux's limits: no client makes a timer longer than the core counts on, or an orphan that stays. */
static uint32_t largest(uint64_t name)
{
    switch (name) {
    case XT_SO_KEEPCNT:
    case XT_SO_SYNCNT:
        return 127;
    case XT_SO_LINGER2:
        return 120;
    case XT_SO_DEFER_ACCEPT:
        return 255;
    case XT_SO_WINDOW_CLAMP:
    case XT_SO_USER_TIMEOUT:
        return INT32_MAX;
    default:
        return 32767;
    }
}

/* Options of the core. False: not one of them. */
static bool set_core_option(struct xt_tcp_sockopt *o, uint64_t name, uint64_t v)
{
    uint8_t on = v != 0;
    uint32_t most = largest(name), n = v > most ? most : (uint32_t)v;
    if (o->quickack == XT_QUICKACK_OFF) /* that was for once */
        o->quickack = XT_QUICKACK_UNSET;
    switch (name) {
    case XT_SO_NODELAY:
        o->nodelay = on;
        return true;
    case XT_SO_CORK:
        o->cork = on;
        return true;
    case XT_SO_KEEPALIVE:
        o->keepalive = on;
        return true;
    case XT_SO_KEEPIDLE:
        o->keep_idle = (uint16_t)n;
        return true;
    case XT_SO_KEEPINTVL:
        o->keep_intvl = (uint16_t)n;
        return true;
    case XT_SO_KEEPCNT:
        o->keep_cnt = n > UINT8_MAX ? UINT8_MAX : (uint8_t)n;
        return true;
    case XT_SO_QUICKACK:
        o->quickack = on ? XT_QUICKACK_ON : XT_QUICKACK_OFF;
        return true;
    case XT_SO_CONGESTION:
        o->cc = v < XT_CC_MAX ? (uint8_t)(v + 1) : o->cc;
        return true;
    case XT_SO_USER_TIMEOUT:
        o->user_timeout = n;
        return true;
    case XT_SO_RECVERR:
        o->recverr = on;
        return true;
    case XT_SO_TOS:
        o->tos = (uint8_t)n;
        return true;
    case XT_SO_TTL:
        o->ttl = (uint8_t)n;
        return true;
    case XT_SO_LINGER2:
        o->linger2 = (int64_t)v < 0 ? XT_LINGER2_NONE : (uint16_t)n;
        return true;
    case XT_SO_SYNCNT:
        o->syn_retries = (uint8_t)n;
        return true;
    case XT_SO_WINDOW_CLAMP:
        o->window_clamp = n;
        return true;
    case XT_SO_MTU_DISCOVER:
        o->fragment = v == IP_PMTUDISC_DONT || v == IP_PMTUDISC_OMIT;
        return true;
    case XT_SO_DEFER_ACCEPT:
        o->defer = (uint8_t)n;
        return true;
    case XT_SO_MIN_TTL:
        o->min_ttl = (uint8_t)n;
        return true;
    case XT_SO_PACING_MAX:
        o->pacing_max = v;
        return true;
    default:
        return false;
    }
}

int xt_app_set_option(struct xt_session *s, uint32_t i, uint64_t name, uint64_t v, const volatile uint8_t *data)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_conn *conn = xt_app_conn(s, p);
    if (set_core_option(&p->opt, name, v)) {
        if (conn) {
            conn->opt = p->opt;
            xt_stack_options_changed(s->app->stack, conn, s->app->now_us);
            if (name == XT_SO_NODELAY && v && (conn = xt_app_conn(s, p)))
                xt_stack_push(s->app->stack, conn, s->app->now_us); /* tcp(7): overrides even TCP_CORK, this once */
        }
        return 0;
    }
    if (name >= XT_SO_FASTOPEN && name <= XT_SO_FASTOPEN_NO_COOKIE)
        return xt_app_fo_option(s, i, name, v);
    switch (name) {
    case XT_SO_IP_OPTIONS:
        return xt_app_set_ip_options(s, i, data, v);
    case XT_SO_MAXSEG:
        if (v && (v < 88 || v > 32767))
            return -EINVAL;
        xt_app_rare_own(s, i)->maxseg = (uint16_t)v;
        return 0;
    case XT_SO_SNDBUF:
        return xt_app_set_sndbuf(s, i, v);
    case XT_SO_RCVBUF:
        return xt_app_set_rcvbuf(s, i, v);
    case XT_SO_RCVLOWAT:
        return xt_app_set_rcvlowat(s, i, v);
    case XT_SO_LINGER:
        p->linger = (int32_t)(int64_t)v;
        return 0;
    case XT_SO_NOTSENT_LOWAT:
        if (conn)
            conn->flags |= XT_CONN_TELL_SENT;
        xt_app_tell(s, i); /* the library has stored it, and who set it may ask at once what is ready */
        return 0;
    default: /* kept by the library */
        return name < XT_SO_MAX ? 0 : -ENOPROTOOPT;
    }
}
