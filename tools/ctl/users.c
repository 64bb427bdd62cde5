/* SPDX-License-Identifier: Apache-2.0
 * xtcpctl list --uids: what users have, and may have. */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>

#include "tools/ctl/ctl.h"

static void amount(uint64_t bytes, char *out, size_t size)
{
    static const char units[] = "KMGT";
    double n = (double)bytes / 1024;
    unsigned u = 0;
    while (n >= 1024 && units[u + 1]) {
        n /= 1024;
        u++;
    }
    snprintf(out, size, "%.*f%c", n < 10 && u ? 1 : 0, n, units[u]);
}

static void add_row(struct ctl_table *t, const char *user, json_object *o, const char *refused)
{
    char clients[24], sockets[24], memory[24];
    snprintf(clients, sizeof clients, "%" PRIu64, ctl_num(o, "clients"));
    snprintf(sockets, sizeof sockets, "%" PRIu64, ctl_num(o, "sockets"));
    amount(ctl_num(o, "memory"), memory, sizeof memory);
    const char *cells[] = {user, clients, sockets, memory, refused};
    ctl_table_row(t, cells);
}

static void print_users(json_object *reply)
{
    static const char *const head[] = {"USER", "PROGRAMS", "SOCKETS", "MEMORY", "REFUSED"};
    struct ctl_table t = {.cols = 5, .right = "lrrrr"};
    json_object *all = NULL, *limits = NULL;
    ctl_table_row(&t, head);
    json_object_object_get_ex(reply, "users", &all);
    for (size_t i = 0; all && i < json_object_array_length(all); i++) {
        json_object *u = json_object_array_get_idx(all, i);
        const struct passwd *p = getpwuid((uid_t)ctl_num(u, "uid"));
        char user[64], refused[24];
        snprintf(user, sizeof user, "%" PRIu64 "%s%s", ctl_num(u, "uid"), p ? "/" : "", p ? p->pw_name : "");
        snprintf(refused, sizeof refused, "%" PRIu64, ctl_num(u, "refused"));
        add_row(&t, user, u, refused);
    }
    if (json_object_object_get_ex(reply, "limits", &limits))
        add_row(&t, "limit", limits, "-");
    ctl_table_print(&t);
    ctl_table_free(&t);
}

int ctl_list_users(const struct ctl_options *opt)
{
    char buf[64];
    struct xt_msg_out o;
    json_object *reply;
    xt_msg_begin(&o, buf, sizeof buf);
    xt_msg_str(&o, "op", "users");
    int rc = ctl_ask_once(opt, &o, &reply);
    if (rc != CTL_OK)
        return rc;
    if (opt->json)
        ctl_print_json(reply);
    else
        print_users(reply);
    json_object_put(reply);
    return CTL_OK;
}
