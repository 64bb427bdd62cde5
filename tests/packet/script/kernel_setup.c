/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/packet/script/kernel_setup.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/netpair.h"

#define PEER_MAC "02:70:6b:74:00:02" /* the scripted peer's: what it asks of the network is not part of a script */

enum how { NUMBER, SECONDS, MILLISECONDS, MICROSECONDS, ON_OFF, BUFFER, ECN, QUICKACK, ROUTE, CONGESTION, NOTHING };

static const struct {
    const char *name;
    enum how how;
    const char *sysctl;
} map[] = {
    {"congestion", CONGESTION, NULL},
    {"sack", ON_OFF, "tcp_sack"},
    {"wscale", ON_OFF, "tcp_window_scaling"},
    {"timestamps", ON_OFF, "tcp_timestamps"},
    {"syn-retries", NUMBER, "tcp_syn_retries"},
    {"synack-retries", NUMBER, "tcp_synack_retries"},
    {"retries", NUMBER, "tcp_retries2"},
    {"orphan-retries", NUMBER, "tcp_orphan_retries"},
    {"fin-timeout", SECONDS, "tcp_fin_timeout"},
    {"rto-min", MICROSECONDS, "tcp_rto_min_us"},
    {"rto-max", MILLISECONDS, "tcp_rto_max_ms"},
    {"rcvbuf", BUFFER, "tcp_rmem"},
    {"sndbuf", BUFFER, "tcp_wmem"},
    {"ecn", ECN, "tcp_ecn"},
    {"quickack", QUICKACK, NULL},
    {"mtu", ROUTE, NULL},
    {"init-cwnd", ROUTE, NULL},
    {"gso-max", NOTHING, NULL},
};

static int find(const char *name)
{
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (strcmp(map[i].name, name) == 0)
            return (int)i;
    return -1;
}

const char *kernel_setup_lacks(const struct pkt_script *s)
{
    for (int i = 0; i < s->nsettings; i++) {
        int m = find(s->settings[i][0]);
        if (m < 0 || (map[m].how == QUICKACK && atoi(s->settings[i][1]) != 0))
            return s->settings[i][0];
    }
    return NULL;
}

static bool write_sysctl(const char *name, const char *value)
{
    char path[80];
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* In microseconds: a number with us, ms, s or m. */
static double duration_us(const char *text)
{
    char *unit;
    double v = strtod(text, &unit);
    return v * (strcmp(unit, "us") == 0 ? 1 : strcmp(unit, "ms") == 0 ? 1e3 : strcmp(unit, "m") == 0 ? 60e6 : 1e6);
}

static bool apply(enum how how, const char *sysctl, const char *value)
{
    char text[100];
    const double unit = how == SECONDS ? 1e6 : how == MILLISECONDS ? 1e3 : 1;
    switch (how) {
    case SECONDS:
    case MILLISECONDS:
    case MICROSECONDS:
        snprintf(text, sizeof text, "%.0f", duration_us(value) / unit);
        break;
    case ON_OFF:
        snprintf(text, sizeof text, "%d", strcmp(value, "on") == 0);
        break;
    case ECN:
        snprintf(text, sizeof text, "%d", strcmp(value, "on") == 0 ? 1 : strcmp(value, "off") == 0 ? 0 : 2);
        break;
    case BUFFER: /* half of it is for overhead */
        snprintf(text, sizeof text, "%d %d %d", 2 * atoi(value), 2 * atoi(value), 2 * atoi(value));
        break;
    default:
        snprintf(text, sizeof text, "%s", value);
    }
    return write_sysctl(sysctl, text);
}

static bool add_route(const struct pkt_script *s)
{
    int mtu = 1500, cwnd = 10;
    char args[160];
    for (int i = 0; i < s->nsettings; i++) {
        if (strcmp(s->settings[i][0], "mtu") == 0)
            mtu = atoi(s->settings[i][1]);
        if (strcmp(s->settings[i][0], "init-cwnd") == 0)
            cwnd = atoi(s->settings[i][1]);
    }
    snprintf(args, sizeof args,
             "route add 10.99.0.0/24 dev " XT_NETPAIR_OWN " src 10.99.0.1 mtu %d advmss %d initcwnd %d", mtu, mtu - 40,
             cwnd);
    return xt_netpair_ip(args) == 0;
}

/* As xtcpd has them unless a script says otherwise. */
static const char *const base[][2] = {
    {"tcp_no_metrics_save", "1"},        {"tcp_syn_linear_timeouts", "0"},     {"tcp_syn_retries", "7"},

    {"tcp_rmem", "4096 131072 2097152"}, {"tcp_wmem", "4096 2097152 2097152"}, {"icmp_ratelimit", "0"}};

const char *kernel_setup_apply(struct kernel_setup *k, const struct pkt_script *s)
{
    *k = (struct kernel_setup){.congestion = "cubic"};
    if (xt_netpair_ip("addr add 10.99.0.1/24 dev " XT_NETPAIR_OWN " noprefixroute") != 0 || !add_route(s) ||
        xt_netpair_ip("neigh add 10.99.0.2 lladdr " PEER_MAC " dev " XT_NETPAIR_OWN " nud permanent") != 0)
        return "the kernel's address can't be set";
    for (size_t i = 0; i < sizeof base / sizeof *base; i++)
        if (!write_sysctl(base[i][0], base[i][1]))
            return base[i][0];
    for (int i = 0; i < s->nsettings; i++) {
        int m = find(s->settings[i][0]);
        if (m >= 0 && map[m].how == QUICKACK)
            k->no_quickack = atoi(s->settings[i][1]) == 0;
        if (m >= 0 && map[m].how == CONGESTION)
            snprintf(k->congestion, sizeof k->congestion, "%.*s", (int)sizeof k->congestion - 1, s->settings[i][1]);
        if (m >= 0 && map[m].sysctl && !apply(map[m].how, map[m].sysctl, s->settings[i][1]))
            return map[m].sysctl;
    }
    return NULL;
}
