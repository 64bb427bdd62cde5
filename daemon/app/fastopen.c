/* SPDX-License-Identifier: Apache-2.0
 * TCP Fast Open's socket options (RFC 7413), with the rules of Linux: when they may be set, and what they say. */
#include <errno.h>
#include <string.h>

#include "daemon/app/internal.h"

/* A listener hears of it at once, another socket when it listens. */
static void apply(struct xt_session *s, struct xt_pslot *p)
{
    struct xt_conn *l = xt_app_conn(s, p);
    if (p->kind == XT_SLOT_LISTEN && l)
        xt_stack_fastopen_listen(s->app->stack, l, &p->fo);
}

int xt_app_fo_option(struct xt_session *s, uint32_t i, uint64_t name, uint64_t v)
{
    struct xt_pslot *p = &s->ps[i];
    bool unused = p->kind == XT_SLOT_FRESH || p->kind == XT_SLOT_DEAD;
    if (name == XT_SO_FASTOPEN_CONNECT) {
        if (!(xt_stack_cfg(s->app->stack)->tcp.fast_open & XT_FO_CLIENT))
            return -EOPNOTSUPP;
        return unused ? 0 : -EINVAL;
    }
    if (!unused && p->kind != XT_SLOT_LISTEN)
        return -EINVAL;
    if (name == XT_SO_FASTOPEN)
        p->fo.limit = v < s->app->cfg.somaxconn ? (uint32_t)v : s->app->cfg.somaxconn;
    else
        p->fo.no_cookie = v != 0;
    apply(s, p);
    return 0;
}

int xt_app_cmd_fo_keys(struct xt_session *s, uint32_t i, uint64_t set, struct xt_waiter *box)
{
    struct xt_pslot *p = &s->ps[i];
    const volatile uint8_t *in = box->data; /* the client's: each byte is loaded once */
    if (set > XT_FO_KEYS)
        return -EINVAL;
    if (set == 0) {
        memcpy(box->data, p->fo.keys, sizeof p->fo.keys);
        return p->fo.nkeys;
    }
    for (size_t k = 0; k < set * sizeof p->fo.keys[0]; k++)
        p->fo.keys[k / 16][k % 16] = in[k];
    p->fo.nkeys = (uint8_t)set;
    apply(s, p);
    return 0;
}
