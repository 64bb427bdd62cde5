/* SPDX-License-Identifier: Apache-2.0
 * Requests by name, and who may make them. */
#include <errno.h>
#include <string.h>

#include "daemon/ctl/export.h"
#include "daemon/ctl/internal.h"

static const struct {
    const char *op;
    bool admin;
    void (*handle)(struct xt_request *r);
} requests[] = {
    {"attach", false, xt_attach_attach},       {"waiter", false, xt_attach_waiter},
    {"fork", false, xt_attach_fork},           {"beside", false, xt_attach_beside},
    {"hello", false, xt_attach_hello},         {"settle", false, xt_attach_settle},
    {"export", false, xt_export_export},       {"claim", false, xt_export_claim},
    {"join", false, xt_export_join},           {"rules", false, xt_admin_rules},
    {"status", true, xt_admin_status},         {"list", true, xt_admin_list},
    {"users", true, xt_admin_users},           {"show", true, xt_admin_show},
    {"close", true, xt_admin_close},           {"flush-time-wait", true, xt_admin_flush_time_wait},
    {"stats", true, xt_admin_stats},           {"config", true, xt_admin_config},
    {"config-set", true, xt_admin_config_set}, {"upgrade", true, xt_admin_upgrade},
    {"capture", true, xt_admin_capture},
};

static void dispatch(struct xt_request *r)
{
    for (unsigned i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        if (!xt_msg_is(r->msg, "op", requests[i].op))
            continue;
        if (requests[i].admin && !xt_privilege_admin(r->client))
            xt_client_error(r->client, -EPERM,
                            "only root and members of the administrators' group may do this "
                            "(xtcpd's setting admin-group)");
        else
            requests[i].handle(r);
        return;
    }
    xt_client_error(r->client, -EOPNOTSUPP, "this xtcpd (" XT_VERSION ") does not know this request");
}

void xt_request_handle(struct xt_client *cl, const void *buf, size_t len, struct xt_msg_anc *anc)
{
    struct xt_msg_in msg;
    struct xt_request r = {.client = cl, .msg = &msg, .anc = anc};
    if (xt_msg_parse(&msg, buf, len) < 0 || !xt_msg_find(&msg, "op")) {
        xt_client_error(cl, -EBADMSG, "not a request: a flat map with \"op\" is wanted");
        xt_client_drop(cl, "a malformed message");
        return;
    }
    cl->numbered = xt_msg_get_uint(&msg, "n", &cl->number) == 0;
    if (anc->cut)
        xt_client_error(cl, -ENFILE, "xtcpd has no room for the descriptor: %s", strerror(ENFILE));
    else
        dispatch(&r);
}
