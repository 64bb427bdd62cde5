/* SPDX-License-Identifier: Apache-2.0
 * xtcpctl: the commands that ask once and print. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/ctl.h"

static char request[8192];

static void begin(struct xt_msg_out *o, const char *op)
{
    xt_msg_begin(o, request, sizeof request);
    xt_msg_str(o, "op", op);
}

static int no_arguments(const char *command, int argc, char **argv)
{
    return argc ? ctl_fail(CTL_USAGE, "%s takes no '%s'", command, argv[0]) : CTL_OK;
}

/* Prints the rows of `list` as one object, {"group.name": value, ...}: what a program wants of them. */
static void print_json_rows(json_object *reply, const char *list)
{
    json_object *rows = NULL, *out = json_object_new_object(), *value;
    json_object_object_get_ex(reply, list, &rows);
    for (size_t i = 0; rows && i < json_object_array_length(rows); i++) {
        json_object *r = json_object_array_get_idx(rows, i);
        const char *group = ctl_str(r, "group");
        char name[96];
        snprintf(name, sizeof name, "%s%s%s", group, *group ? "." : "", ctl_str(r, "name"));
        if (json_object_object_get_ex(r, "value", &value))
            json_object_object_add(out, name, json_object_get(value));
    }
    ctl_print_json(out);
    json_object_put(out);
}

/* Asks and prints JSON, the rows of `list` if the reply has such; or hands the reply to `print`. */
static int ask_and_print(const struct ctl_options *opt, struct xt_msg_out *o, const char *list,
                         void (*print)(const struct ctl_options *, json_object *))
{
    json_object *reply;
    int rc = ctl_ask_once(opt, o, &reply);
    if (rc != CTL_OK)
        return rc;
    if (!opt->json)
        print(opt, reply);
    else if (list)
        print_json_rows(reply, list);
    else
        ctl_print_json(reply);
    json_object_put(reply);
    return CTL_OK;
}

/* ---- status ---- */

static void print_routes(json_object *reply)
{
    json_object *routes = NULL;
    json_object_object_get_ex(reply, "routes", &routes);
    for (size_t i = 0; routes && i < json_object_array_length(routes); i++) {
        json_object *r = json_object_array_get_idx(routes, i);
        const char *gw = ctl_str(r, "gateway");
        printf("%-14s%s %s%s\n", i ? "" : "routes", ctl_str(r, "to"), *gw ? "via " : "on link", gw);
    }
}

static void print_neighbours(json_object *reply)
{
    json_object *all = NULL;
    char age[24];
    json_object_object_get_ex(reply, "neighbours", &all);
    for (size_t i = 0; all && i < json_object_array_length(all); i++) {
        json_object *n = json_object_array_get_idx(all, i);
        ctl_duration(ctl_num(n, "age_ms") * 1000, age, sizeof age);
        bool known = strcmp(ctl_str(n, "mac"), "00:00:00:00:00:00") != 0;
        printf("%-14s%s%s%s, %s for %s\n", i ? "" : "neighbours", ctl_str(n, "address"), known ? " at " : "",
               known ? ctl_str(n, "mac") : "", ctl_str(n, "state"), age);
    }
}

static void print_states(json_object *reply)
{
    json_object *states = NULL;
    printf("%-14s%s of %s", "connections", ctl_str(reply, "connections"), ctl_str(reply, "max_connections"));
    if (json_object_object_get_ex(reply, "states", &states)) {
        const char *sep = ": ";
        json_object_object_foreach(states, name, count)
        {
            if (!json_object_get_uint64(count))
                continue;
            printf("%s%" PRIu64 " %s", sep, json_object_get_uint64(count), name);
            sep = ", ";
        }
    }
    putchar('\n');
}

/* What the kinds of attack have met with: only counters that are not 0. */
static void print_defences(json_object *reply)
{
    json_object *kinds = NULL;
    const char *label = "defences";
    if (!json_object_object_get_ex(reply, "defences", &kinds))
        return;
    json_object_object_foreach(kinds, kind, counters)
    {
        const char *sep = ": ";
        json_object_object_foreach(counters, name, count)
        {
            if (!json_object_get_uint64(count))
                continue;
            if (*sep == ':')
                printf("%-14s%s", label, kind);
            label = "";
            printf("%s%s %" PRIu64, sep, name, json_object_get_uint64(count));
            sep = ", ";
        }
        if (*sep == ',')
            putchar('\n');
    }
}

static void print_shards(json_object *reply)
{
    json_object *all = NULL;
    json_object_object_get_ex(reply, "shards", &all);
    for (size_t i = 0; all && i < json_object_array_length(all); i++) {
        json_object *s = json_object_array_get_idx(all, i);
        printf("%-14s%zu: %s connections, %s programs, %s frames in, %s out, %s passed on to others, %s by them\n",
               i ? "" : "shards", i, ctl_str(s, "connections"), ctl_str(s, "sessions"), ctl_str(s, "frames_in"),
               ctl_str(s, "frames_out"), ctl_str(s, "passed_out"), ctl_str(s, "passed_in"));
    }
}

static void print_status(const struct ctl_options *opt, json_object *r)
{
    char up[24];
    ctl_duration(ctl_num(r, "uptime_ms") * 1000, up, sizeof up);
    printf("%-14sxtcpd %s, pid %s, up %s\n", "daemon", ctl_str(r, "version"), ctl_str(r, "pid"), up);
    printf("%-14s%s by its keeper, %s of them after a crash; epoch %s; %s connections quarantined\n", "restarts",
           ctl_str(r, "restarts"), ctl_str(r, "crashes"), ctl_str(r, "epoch"), ctl_str(r, "quarantined"));
    printf("%-14s%s\n", "socket", ctl_str(r, "socket"));
    printf("%-14s%s (%s), address %s, mac %s, mtu %s\n", "interface", ctl_str(r, "interface"), ctl_str(r, "link"),
           ctl_str(r, "address"), ctl_str(r, "mac"), ctl_str(r, "mtu"));
    print_routes(r);
    print_neighbours(r);
    printf("%-14s%s; %s disconnected for lies\n", "programs", ctl_str(r, "sessions"), ctl_str(r, "liars"));
    printf("%-14s%" PRIu64 " KiB allocated by the stack process\n", "memory", ctl_num(r, "heap_bytes") / 1024);
    print_states(r);
    print_shards(r);
    print_defences(r);
}

int ctl_cmd_status(const struct ctl_options *opt, int argc, char **argv)
{
    struct xt_msg_out o;
    int rc = no_arguments("status", argc, argv);
    begin(&o, "status");
    return rc != CTL_OK ? rc : ask_and_print(opt, &o, NULL, print_status);
}

/* ---- show, close ---- */

static int put_id(struct xt_msg_out *o, const char *command, int argc, char **argv)
{
    char *end = NULL;
    errno = 0;
    unsigned long id = argc == 1 && argv[0][0] >= '0' && argv[0][0] <= '9' ? strtoul(argv[0], &end, 10) : 0;
    if (!end || *end || errno || id > UINT32_MAX)
        return ctl_fail(CTL_USAGE, "%s wants the ID of a connection: 'xtcpctl list -a' shows them", command);
    xt_msg_uint(o, "id", id);
    return CTL_OK;
}

static void print_fields(const struct ctl_options *opt, json_object *reply)
{
    json_object *fields = NULL;
    struct ctl_table t = {.cols = 3, .right = "lll"};
    json_object_object_get_ex(reply, "fields", &fields);
    for (size_t i = 0; fields && i < json_object_array_length(fields); i++) {
        json_object *f = json_object_array_get_idx(fields, i);
        char value[128];
        if (strcmp(ctl_str(f, "unit"), "us") == 0)
            ctl_duration(ctl_num(f, "value"), value, sizeof value);
        else
            snprintf(value, sizeof value, "%s%s%s", ctl_str(f, "value"), *ctl_str(f, "unit") ? " " : "",
                     ctl_str(f, "unit"));
        const char *cells[] = {ctl_str(f, "name"), value, ctl_str(f, "text")};
        ctl_table_row(&t, cells);
    }
    ctl_table_print(&t);
    ctl_table_free(&t);
}

int ctl_cmd_show(const struct ctl_options *opt, int argc, char **argv)
{
    struct xt_msg_out o;
    begin(&o, "show");
    int rc = put_id(&o, "show", argc, argv);
    return rc != CTL_OK ? rc : ask_and_print(opt, &o, "fields", print_fields);
}

static void print_nothing(const struct ctl_options *opt, json_object *reply)
{
}

int ctl_cmd_close(const struct ctl_options *opt, int argc, char **argv)
{
    struct xt_msg_out o;
    begin(&o, "close");
    int rc = put_id(&o, "close", argc, argv);
    return rc != CTL_OK ? rc : ask_and_print(opt, &o, NULL, print_nothing);
}

static void print_flushed(const struct ctl_options *opt, json_object *reply)
{
    printf("%s connections in TIME_WAIT ended\n", ctl_str(reply, "flushed"));
}

int ctl_cmd_flush(const struct ctl_options *opt, int argc, char **argv)
{
    struct xt_msg_out o;
    int rc = no_arguments("flush-time-wait", argc, argv);
    begin(&o, "flush-time-wait");
    return rc != CTL_OK ? rc : ask_and_print(opt, &o, NULL, print_flushed);
}

/* ---- stats ---- */

static void print_counters(const struct ctl_options *opt, json_object *reply)
{
    json_object *all = NULL;
    struct ctl_table t = {.cols = 3, .right = "lrl"};
    json_object_object_get_ex(reply, "counters", &all);
    for (size_t i = 0; all && i < json_object_array_length(all); i++) {
        json_object *c = json_object_array_get_idx(all, i);
        char name[96];
        if (!opt->all && !ctl_num(c, "value"))
            continue;
        snprintf(name, sizeof name, "%s.%s", ctl_str(c, "group"), ctl_str(c, "name"));
        const char *cells[] = {name, ctl_str(c, "value"), ctl_str(c, "text")};
        ctl_table_row(&t, cells);
    }
    ctl_table_print(&t);
    ctl_table_free(&t);
}

int ctl_cmd_stats(const struct ctl_options *opt, int argc, char **argv)
{
    struct xt_msg_out o;
    int rc = no_arguments("stats", argc, argv);
    begin(&o, "stats");
    return rc != CTL_OK ? rc : ask_and_print(opt, &o, "counters", print_counters);
}

/* ---- config ---- */

static void print_settings(const struct ctl_options *opt, json_object *reply)
{
    json_object *all = NULL;
    struct ctl_table t = {.cols = 4, .right = "llll"};
    static const char *const head[] = {"SETTING", "VALUE", "CHANGES", "MEANING"};
    ctl_table_row(&t, head);
    json_object_object_get_ex(reply, "settings", &all);
    for (size_t i = 0; all && i < json_object_array_length(all); i++) {
        json_object *s = json_object_array_get_idx(all, i);
        const char *cells[] = {ctl_str(s, "name"), ctl_str(s, "value"), ctl_num(s, "runtime") ? "any time" : "at start",
                               ctl_str(s, "text")};
        ctl_table_row(&t, cells);
    }
    ctl_table_print(&t);
    ctl_table_free(&t);
}

int ctl_cmd_config(const struct ctl_options *opt, int argc, char **argv)
{
    struct xt_msg_out o;
    if (argc == 0) {
        begin(&o, "config");
        return ask_and_print(opt, &o, "settings", print_settings);
    }
    if (argc != 3 || strcmp(argv[0], "set") != 0)
        return ctl_fail(CTL_USAGE, "config takes nothing, or: config set SETTING VALUE");
    begin(&o, "config-set");
    xt_msg_str(&o, "name", argv[1]);
    xt_msg_str(&o, "value", argv[2]);
    return ask_and_print(opt, &o, NULL, print_nothing);
}
