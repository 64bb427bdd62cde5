/* SPDX-License-Identifier: Apache-2.0
 * xtcpctl rules: which sockets of programs xtcp takes, decided here as the library in a program does. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/xt_rules.h"
#include "tools/ctl/ctl.h"

#define COMM_MAX 15 /* of a program's name, as the kernel keeps it */

static const char *const origins[2] = {"XTCP_RULES", "xtcpd"};

/* ---- all ---- */

static void each_rule(const char *const texts[2], void (*fn)(void *arg, const char *origin, const char *rule),
                      void *arg)
{
    for (int i = 0; i < 2; i++) {
        char why[128], rule[XT_RULES_MAX];
        const char *p = texts[i];
        struct xt_rule r;
        while (xt_rule_next(texts[i], &p, &r, why, sizeof why) > 0) {
            snprintf(rule, sizeof rule, "%.*s", (int)r.len, r.text);
            fn(arg, origins[i], rule);
        }
    }
}

static void add_row(void *table, const char *origin, const char *rule)
{
    const char *cells[] = {origin, rule};
    ctl_table_row(table, cells);
}

static void add_object(void *array, const char *origin, const char *rule)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "from", json_object_new_string(origin));
    json_object_object_add(o, "rule", json_object_new_string(rule));
    json_object_array_add(array, o);
}

static void print_table(const char *const texts[2])
{
    static const char *const head[] = {"FROM", "RULE"};
    struct ctl_table t = {.cols = 2, .right = "ll"};
    ctl_table_row(&t, head);
    each_rule(texts, add_row, &t);
    add_row(&t, "default", "both listen 0.0.0.0");
    add_row(&t, "default", "xtcp");
    ctl_table_print(&t);
    ctl_table_free(&t);
    puts("The first that fits decides. Loopback and this host's own addresses stay with the kernel, whatever the "
         "rules.");
}

static void print_all(const struct ctl_options *opt, const char *const texts[2])
{
    if (!opt->json) {
        print_table(texts);
        return;
    }
    json_object *out = json_object_new_object(), *rules = json_object_new_array();
    each_rule(texts, add_object, rules);
    json_object_object_add(out, "rules", rules);
    ctl_print_json(out);
    json_object_put(out);
}

/* ---- one case ---- */

/* The kernel routes what is for itself with that address as the source. */
static bool is_host(uint32_t addr)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(addr)}, from = {0};
    socklen_t len = sizeof from;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool own = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
               getsockname(fd, (struct sockaddr *)&from, &len) == 0 && from.sin_addr.s_addr == to.sin_addr.s_addr;
    if (fd >= 0)
        close(fd);
    return own;
}

/* "A.B.C.D:PORT", "*:PORT" or ":PORT". */
static bool parse_address(const char *text, struct xt_rule_case *c)
{
    char host[INET_ADDRSTRLEN] = "0.0.0.0", *end;
    struct in_addr a;
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : sizeof host;
    if (n >= sizeof host)
        return false;
    if (n && !(n == 1 && *text == '*'))
        snprintf(host, sizeof host, "%.*s", (int)n, text);
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (inet_pton(AF_INET, host, &a) != 1 || end == colon + 1 || *end || colon[1] == '-' || port > UINT16_MAX)
        return false;
    c->addr = ntohl(a.s_addr);
    c->port = (uint16_t)port;
    return true;
}

static int parse_case(int argc, char **argv, struct xt_rule_case *c)
{
    bool listening = argc == 4 && (strcmp(argv[2], "bind") == 0 || strcmp(argv[2], "listen") == 0);
    if (argc != 4 || strcmp(argv[0], "test") != 0 || !(listening || strcmp(argv[2], "connect") == 0))
        return ctl_fail(CTL_USAGE, "rules takes nothing, or: rules test PROGRAM listen|connect ADDRESS:PORT");
    if (!parse_address(argv[3], c))
        return ctl_fail(CTL_USAGE, "'%s' is not an IPv4 address with a port, such as 10.0.0.1:80 or *:80", argv[3]);
    c->listen = listening;
    c->is_host = is_host;
    return CTL_OK;
}

static void decide(const struct ctl_options *opt, const struct xt_rule_case *c)
{
    char why[XT_RULES_MAX + 64];
    const char *place = xt_place_name(xt_rules_decide(c, why, sizeof why));
    if (!opt->json) {
        printf("%s: %s\n", place, why);
        return;
    }
    json_object *out = json_object_new_object();
    json_object_object_add(out, "place", json_object_new_string(place));
    json_object_object_add(out, "why", json_object_new_string(why));
    ctl_print_json(out);
    json_object_put(out);
}

/* The name it is started by and the one that ps shows. */
static void test(const struct ctl_options *opt, struct xt_rule_case *c, const char *program)
{
    char comm[COMM_MAX + 1];
    const char *slash = strrchr(program, '/');
    c->program[0] = slash ? slash + 1 : program;
    snprintf(comm, sizeof comm, "%s", c->program[0]);
    c->program[1] = comm;
    decide(opt, c);
}

int ctl_cmd_rules(const struct ctl_options *opt, int argc, char **argv)
{
    const char *own = getenv("XTCP_RULES");
    char request[64], why[160];
    struct xt_rule_case c = {.texts = {own ? own : "", ""}, .from = {origins[0], origins[1]}};
    struct xt_msg_out o;
    json_object *reply;
    struct in_addr a = {0};
    int rc = argc ? parse_case(argc, argv, &c) : CTL_OK;
    if (rc != CTL_OK)
        return rc;
    if (own && xt_rules_check(own, why, sizeof why) < 0)
        return ctl_fail(CTL_USAGE, "XTCP_RULES, %s", why);
    xt_msg_begin(&o, request, sizeof request);
    xt_msg_str(&o, "op", "rules");
    rc = ctl_ask_once(opt, &o, &reply);
    if (rc != CTL_OK)
        return rc;
    c.texts[1] = ctl_str(reply, "rules");
    if (inet_pton(AF_INET, ctl_str(reply, "address"), &a) == 1)
        c.own = ntohl(a.s_addr);
    if (argc)
        test(opt, &c, argv[1]);
    else
        print_all(opt, c.texts);
    json_object_put(reply);
    return CTL_OK;
}
