/* SPDX-License-Identifier: Apache-2.0
 * IP_OPTIONS: options of the IPv4 header of a socket's segments. */
#include "daemon/wire/ipopt.h"

#include <errno.h>
#include <string.h>

#include "daemon/app/internal.h"

int xt_app_set_ip_options(struct xt_session *s, uint32_t i, const volatile uint8_t *raw, uint64_t len)
{
    const struct xt_pslot *p = &s->ps[i];
    uint8_t in[XT_IPOPT_MAX];
    struct xt_ipopt o;
    struct xt_conn *conn = xt_app_conn(s, p);
    if (len > sizeof in)
        return -EINVAL;
    for (uint64_t k = 0; k < len; k++)
        in[k] = raw[k];
    int rc = xt_ipopt_read(&o, in, (size_t)len, s->uid == 0);
    if (rc != 0)
        return rc;
    xt_app_rare_own(s, i)->ipopt = o;
    if (conn && p->kind == XT_SLOT_CONN)
        xt_stack_set_ip_options(s->app->stack, conn, &o);
    return 0;
}

int xt_app_get_ip_options(const struct xt_session *s, uint32_t i, uint8_t *out)
{
    const struct xt_pslot *p = &s->ps[i];
    const struct xt_conn *conn = xt_app_conn(s, p);
    const struct xt_ipopt *o =
        conn && p->kind == XT_SLOT_CONN ? xt_stack_ip_options(s->app->stack, conn) : &xt_app_rare(s, i)->ipopt;
    if (!o)
        return 0;
    memcpy(out, o->data, o->len);
    return o->len;
}
