/* SPDX-License-Identifier: Apache-2.0
 * TCP Fast Open's socket options (RFC 7413), with the rules of Linux: when they may be set, and what they say. */
#include <errno.h>
#include <string.h>

#include "daemon/app/internal.h"

/* A listener hears of it at once, another socket when it listens. */
static void apply(struct xt_session *s, uint32_t i)
{
    struct xt_conn *l = xt_app_conn(s, &s->ps[i]);
    if (s->ps[i].kind == XT_SLOT_LISTEN && l)
        xt_stack_fastopen_listen(s->app->stack, l, &xt_app_rare(s, i)->fo);
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
    struct xt_fo_listen *fo = &xt_app_rare_own(s, i)->fo;
    if (name == XT_SO_FASTOPEN)
        fo->limit = v < s->app->cfg.somaxconn ? (uint32_t)v : s->app->cfg.somaxconn;
    else
        fo->no_cookie = v != 0;
    apply(s, i);
    return 0;
}

int xt_app_cmd_fo_keys(struct xt_session *s, uint32_t i, uint64_t set, struct xt_waiter *box)
{
    const volatile uint8_t *in = box->data; /* the client's: each byte is loaded once */
    if (set > XT_FO_KEYS)
        return -EINVAL;
    if (set == 0) {
        const struct xt_fo_listen *has = &xt_app_rare(s, i)->fo;
        memcpy(box->data, has->keys, sizeof has->keys);
        return has->nkeys;
    }
    struct xt_fo_listen *fo = &xt_app_rare_own(s, i)->fo;
    for (size_t k = 0; k < set * sizeof fo->keys[0]; k++)
        fo->keys[k / 16][k % 16] = in[k];
    fo->nkeys = (uint8_t)set;
    apply(s, i);
    return 0;
}
