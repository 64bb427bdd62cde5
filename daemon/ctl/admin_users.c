/* SPDX-License-Identifier: Apache-2.0
 * "users": what each user has of what the quotas count. */
#include "daemon/ctl/internal.h"

#define MOST 512 /* that fit one reply */

static void put_limits(struct xt_msg_out *o, const struct xt_config *c)
{
    struct xt_quota q;
    xt_config_quota(c, &q);
    xt_msg_map(o, "limits");
    xt_msg_uint(o, "clients", q.clients);
    xt_msg_uint(o, "sockets", q.sockets);
    xt_msg_uint(o, "memory", q.memory);
    xt_msg_uint(o, "connects", q.connects);
    xt_msg_close(o);
}

void xt_admin_users(struct xt_request *r)
{
    const struct xt_ctl_cfg *cfg = &r->client->ctl->cfg;
    struct xt_user_info u[MOST];
    struct xt_msg_out o;
    unsigned n = xt_app_users(cfg->app, u, MOST);
    xt_client_begin(r->client, &o);
    xt_msg_uint(&o, "total", n);
    put_limits(&o, &cfg->config);
    xt_msg_array(&o, "users");
    for (unsigned i = 0; i < n && i < MOST; i++) {
        xt_msg_map(&o, NULL);
        xt_msg_uint(&o, "uid", u[i].uid);
        xt_msg_uint(&o, "clients", u[i].clients);
        xt_msg_uint(&o, "sockets", u[i].sockets);
        xt_msg_uint(&o, "memory", u[i].memory);
        xt_msg_uint(&o, "refused", u[i].refused);
        xt_msg_close(&o);
    }
    xt_client_send(r->client, &o, NULL, 0);
}
