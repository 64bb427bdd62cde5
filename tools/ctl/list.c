/* SPDX-License-Identifier: Apache-2.0
 * xtcpctl list: connections, batch by batch. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/xt_state.h"
#include "tools/ctl/ctl.h"

#define BIT(state) (1u << (state))

/* "ESTABLISHED,CLOSE_WAIT" as bits; any case. 0: a name is not known. */
static uint32_t parse_states(const char *text)
{
    uint32_t bits = 0;
    for (const char *p = text; *p; p += strcspn(p, ","), p += *p == ',') {
        size_t n = strcspn(p, ",");
        uint32_t found = 0;
        for (unsigned s = 0; s < XT_NSTATES; s++)
            if (strlen(xt_state_name(s)) == n && strncasecmp(p, xt_state_name(s), n) == 0)
                found = BIT(s);
        if (!found)
            return 0;
        bits |= found;
    }
    return bits;
}

/* Without options: what lives, as ss does; 0 bits stand for every state. */
static int wanted(const struct ctl_options *opt, uint32_t *bits)
{
    *bits = BIT(XT_NSTATES) - 1;
    if (opt->state) {
        *bits = parse_states(opt->state);
        if (!*bits)
            return ctl_fail(
                CTL_USAGE,
                "'%s' is not a state: LISTEN, SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT1, CLOSE_WAIT, FIN_WAIT2, "
                "LAST_ACK, TIME_WAIT, CLOSING, CLOSED",
                opt->state);
    } else if (opt->listening) {
        *bits = BIT(XT_LISTEN);
    } else if (!opt->all) {
        *bits &= ~(BIT(XT_LISTEN) | BIT(XT_TIME_WAIT) | BIT(XT_CLOSED));
    }
    return CTL_OK;
}

static int ask_batch(int fd, uint64_t cursor, uint32_t states, json_object **reply)
{
    char buf[256];
    struct xt_msg_out o;
    xt_msg_begin(&o, buf, sizeof buf);
    xt_msg_str(&o, "op", "list");
    xt_msg_uint(&o, "cursor", cursor);
    xt_msg_uint(&o, "states", states);
    return ctl_ask(fd, &o, reply);
}

/* All batches in one array. */
static int collect(int fd, uint32_t states, json_object *all)
{
    uint64_t cursor = 0;
    bool more = true;
    while (more) {
        json_object *reply, *rows = NULL;
        int rc = ask_batch(fd, cursor, states, &reply);
        if (rc != CTL_OK)
            return rc;
        if (json_object_object_get_ex(reply, "connections", &rows))
            for (size_t i = 0; i < json_object_array_length(rows); i++)
                json_object_array_add(all, json_object_get(json_object_array_get_idx(rows, i)));
        cursor = ctl_num(reply, "cursor");
        more = ctl_num(reply, "more");
        json_object_put(reply);
    }
    return CTL_OK;
}

/* The text of a number of the connection; "-" where it has none. */
static void number(json_object *c, const char *key, char *out, size_t size)
{
    if (json_object_object_get_ex(c, key, NULL))
        snprintf(out, size, "%" PRIu64, ctl_num(c, key));
    else
        snprintf(out, size, "-");
}

static void timer_text(json_object *c, char *out, size_t size)
{
    char left[24];
    ctl_duration(ctl_num(c, "timer_left_us"), left, sizeof left);
    snprintf(out, size, *ctl_str(c, "timer") ? "%s %s" : "-", ctl_str(c, "timer"), left);
}

static void add_row(struct ctl_table *t, json_object *c)
{
    char id[16], recvq[24], sendq[24], program[64], timer[48], rtt[24] = "-", cwnd[24];
    number(c, "id", id, sizeof id);
    number(c, "recv_q", recvq, sizeof recvq);
    number(c, "send_q", sendq, sizeof sendq);
    number(c, "cwnd", cwnd, sizeof cwnd);
    snprintf(program, sizeof program, *ctl_str(c, "pid") ? "%s/%s" : "-", ctl_str(c, "program"), ctl_str(c, "pid"));
    timer_text(c, timer, sizeof timer);
    if (ctl_num(c, "rtt_us"))
        ctl_duration(ctl_num(c, "rtt_us"), rtt, sizeof rtt);
    const char *cells[] = {
        id, ctl_str(c, "state"), recvq, sendq, ctl_str(c, "local"), ctl_str(c, "peer"), program, timer, rtt, cwnd};
    ctl_table_row(t, cells);
}

static void print_table(json_object *all)
{
    static const char *const head[] = {"ID",   "STATE",       "RECV-Q", "SEND-Q", "LOCAL",
                                       "PEER", "PROGRAM/PID", "TIMER",  "RTT",    "CWND"};
    struct ctl_table t = {.cols = 10, .right = "rlrrlllllr"};
    ctl_table_row(&t, head);
    for (size_t i = 0; i < json_object_array_length(all); i++)
        add_row(&t, json_object_array_get_idx(all, i));
    ctl_table_print(&t);
    ctl_table_free(&t);
}

int ctl_cmd_list(const struct ctl_options *opt, int argc, char **argv)
{
    uint32_t states;
    if (argc)
        return ctl_fail(CTL_USAGE, "list takes options only: '%s' is too much", argv[0]);
    if (opt->uids)
        return ctl_list_users(opt);
    int rc = wanted(opt, &states);
    if (rc != CTL_OK)
        return rc;
    int fd = ctl_connect(opt);
    if (fd < 0)
        return CTL_NO_DAEMON;
    json_object *all = json_object_new_array();
    rc = collect(fd, states, all);
    close(fd);
    if (rc == CTL_OK && opt->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "connections", json_object_get(all));
        ctl_print_json(o);
        json_object_put(o);
    } else if (rc == CTL_OK) {
        print_table(all);
    }
    json_object_put(all);
    return rc;
}
