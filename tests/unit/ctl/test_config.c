/* SPDX-License-Identifier: Apache-2.0
 * Configuration: every type of value, the words for wrong ones, file and flags. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ctl/config.h"

static struct xt_config c;
static char err[512];

static void defaults(void)
{
    xt_config_default(&c);
}

static int set(const char *name, const char *value)
{
    err[0] = 0;
    return xt_config_set(&c, name, value, err, sizeof err);
}

static const char *get(const char *name)
{
    static char text[XT_CONFIG_TEXT_MAX];
    xt_config_get(&c, xt_config_key(name), text, sizeof text);
    return text;
}

#define EXPECT_WRONG(name, value, words)                                                          \
    do {                                                                                          \
        cr_expect_eq(set(name, value), -EINVAL, "%s = %s is taken", name, value);                 \
        cr_expect(strstr(err, words) && strstr(err, name), "%s = %s says: %s", name, value, err); \
    } while (0)

/* A default is written as xt_config_get() writes it, so --print-config and --help agree. */
Test(config, defaults_are_canonical, .init = defaults)
{
    size_t n;
    const struct xt_setting *k = xt_config_keys(&n);
    cr_assert_gt(n, 30u);
    for (; n--; k++)
        if (k->def)
            cr_expect_str_eq(get(k->name), k->def, "%s", k->name);
}

Test(config, values_of_every_type, .init = defaults)
{
    static const char *const cases[][3] = {
        {"interface", "veth0", "veth0"},
        {"address", "10.77.0.2/24", "10.77.0.2/24"},
        {"gateway", "10.77.0.1", NULL},
        {"gateway", "none", NULL},
        {"mac", "02:00:5E:10:00:02", "02:00:5e:10:00:02"},
        {"mac", "auto", NULL},
        {"mtu", "1500", NULL},
        {"mtu", "auto", NULL},
        {"ports", "2000-2001", NULL},
        {"sndbuf", "256K", NULL},
        {"sndbuf", "65536", "64K"},
        {"sndbuf", "1m", "1M"},
        {"arena", "1G", NULL},
        {"msl", "500ms", NULL},
        {"msl", "2000ms", "2s"},
        {"spin", "0", NULL},
        {"spin", "0us", "0"},
        {"keepalive-time", "90s", NULL},
        {"keepalive-time", "120m", "2h"},
        {"sack", "off", NULL},
        {"sack", "yes", "on"},
        {"log-level", "debug", NULL},
        {"rx-mode", "multishot", NULL},
        {"quickack", "0", NULL},
        {"admin-group", "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *want = cases[i][2] ? cases[i][2] : cases[i][1];
        cr_expect_eq(set(cases[i][0], cases[i][1]), 0, "%s", err);
        cr_expect_str_eq(get(cases[i][0]), want, "%s", cases[i][0]);
    }
}

Test(config, values_reach_their_fields, .init = defaults)
{
    set("address", "10.77.0.2/24");
    set("delack", "40ms");
    set("quickack", "7");
    set("ports", "5000-6000");
    set("sndbuf", "256K");
    cr_expect_eq(c.address.addr, inet_addr("10.77.0.2"));
    cr_expect_eq(c.address.prefix, 24);
    cr_expect_eq(c.tcp.delack, 40000u);
    cr_expect_eq(c.tcp.quickack, 7);
    cr_expect_eq(c.tcp.init_cwnd, 10);
    cr_expect(c.ports.min == 5000 && c.ports.max == 6000);
    cr_expect_eq(c.sndbuf, 256u * 1024);
}

Test(config, routes_are_a_list, .init = defaults)
{
    cr_expect_eq(set("route", "10.1.0.0/16,10.77.0.9"), 0);
    cr_expect_eq(set("route", "10.2.0.0/16 192.168.7.0/24,10.77.0.8"), 0);
    cr_expect_eq(c.nroutes, 3u);
    cr_expect_str_eq(get("route"), "10.1.0.0/16,10.77.0.9 10.2.0.0/16 192.168.7.0/24,10.77.0.8");
    cr_expect_eq(set("route", ""), 0);
    cr_expect_eq(c.nroutes, 0u);
    for (int i = 0; i < XT_MAX_ROUTES - 1; i++)
        cr_expect_eq(set("route", "10.1.0.0/16"), 0);
    EXPECT_WRONG("route", "10.1.0.0/16", "too many");
}

Test(config, wrong_values_are_told_in_words, .init = defaults)
{
    EXPECT_WRONG("interface", "", "must not be empty");
    EXPECT_WRONG("interface", "a-name-that-is-too-long", "too long");
    EXPECT_WRONG("address", "10.77.0.2", "prefix length");
    EXPECT_WRONG("address", "10.77.0.2/33", "prefix length");
    EXPECT_WRONG("address", "10.77.0.2/", "prefix length");
    EXPECT_WRONG("address", "10.77.0/24", "prefix length");
    EXPECT_WRONG("address", "10.77.0.0/24", "network's own");
    EXPECT_WRONG("address", "10.77.0.255/24", "broadcast");
    EXPECT_WRONG("address", "127.0.0.1/8", "127.x");
    EXPECT_WRONG("address", "224.0.0.1/8", "multicast");
    EXPECT_WRONG("gateway", "10.77.0", "IPv4");
    EXPECT_WRONG("mac", "02:00:5e:10:00", "MAC");
    EXPECT_WRONG("mac", "02:00:5e:10:00:02:03", "MAC");
    EXPECT_WRONG("mac", "03:00:5e:10:00:02", "multicast");
    EXPECT_WRONG("mac", "00:00:00:00:00:00", "zero");
    EXPECT_WRONG("mtu", "100", "from 576 to 65535, or auto");
    EXPECT_WRONG("mtu", "1500b", "number");
    EXPECT_WRONG("mtu", "", "number");
    EXPECT_WRONG("mtu", "-1500", "number");
    EXPECT_WRONG("mtu", "99999999999999999999", "number");
    EXPECT_WRONG("ports", "60000", "LOW-HIGH");
    EXPECT_WRONG("ports", "60000-50000", "LOW-HIGH");
    EXPECT_WRONG("ports", "80-90", "LOW-HIGH");
    EXPECT_WRONG("sndbuf", "1000K", "power of two");
    EXPECT_WRONG("sndbuf", "1X", "size");
    EXPECT_WRONG("sndbuf", "2G", "from 4K to 1G");
    EXPECT_WRONG("sndbuf", "17179869185G", "from 4K to 1G");
    EXPECT_WRONG("msl", "30", "time such as");
    EXPECT_WRONG("msl", "1us", "from 1ms to 600s");
    EXPECT_WRONG("sack", "maybe", "on or off");
    EXPECT_WRONG("log-level", "loud", "error|warn|info|debug");
    EXPECT_WRONG("route", "10.1.0.0", "NET/LEN");
    EXPECT_WRONG("route", "10.1.0.1/16,10.77.0.9", "beyond the prefix");
    EXPECT_WRONG("route", "10.1.0.0/16,0.0.0.0", "NET/LEN");
}

Test(config, wrong_value_changes_nothing, .init = defaults)
{
    struct xt_config before = c;
    set("mtu", "100");
    set("ports", "9-1");
    set("mac", "zz");
    cr_expect_arr_eq(&c, &before, sizeof c);
}

Test(config, unknown_name_suggests_the_nearest, .init = defaults)
{
    cr_expect_eq(set("adress", "x"), -ENOENT);
    cr_expect(strstr(err, "did you mean 'address'"), "%s", err);
    cr_expect_eq(set("entirely-different", "x"), -ENOENT);
    cr_expect(strstr(err, "--help"), "%s", err);
    cr_expect_eq(set("foo", "x"), -ENOENT);
    cr_expect(strstr(err, "--help"), "%s", err);
}

/* ---- file ---- */

static int load(const char *text)
{
    char path[] = "/tmp/xtcpd-conf-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    err[0] = 0;
    int rc = xt_config_load(&c, path, err, sizeof err);
    unlink(path);
    return rc;
}

Test(config, file, .init = defaults)
{
    cr_expect_eq(
        load("# comment\n[xtcpd]\ninterface = veth7 ; inline\naddress=10.0.0.5/8\nroute = 10.1.0.0/16,10.0.0.1\n"
             "route = 10.2.0.0/16,10.0.0.1\n"),
        0, "%s", err);
    cr_expect_str_eq(c.interface, "veth7");
    cr_expect_eq(c.nroutes, 2u);
    cr_expect_eq(load("mtu = 1400\n"), 0, "%s", err);
    cr_expect_eq(c.mtu, 1400);
}

Test(config, file_errors_name_the_line, .init = defaults)
{
    cr_expect_eq(load("[xtcpd]\ninterface = veth7\nmtu = 5\n"), -EINVAL);
    cr_expect(strstr(err, ":3: mtu '5' must be"), "%s", err);
    cr_expect_eq(load("[xtcpd]\nmtuu = 1500\n"), -EINVAL);
    cr_expect(strstr(err, ":2: there is no setting 'mtuu': did you mean 'mtu'?"), "%s", err);
    cr_expect_eq(load("[daemon]\nmtu = 1500\n"), -EINVAL);
    cr_expect(strstr(err, "[daemon]"), "%s", err);
    cr_expect_eq(load("[xtcpd]\nno equals sign\n"), -EINVAL);
    cr_expect(strstr(err, ":2: not a line like"), "%s", err);
    cr_expect_eq(xt_config_load(&c, "/nonexistent/file", err, sizeof err), -ENOENT);
    cr_expect_eq(xt_config_load(&c, "/", err, sizeof err), -EISDIR);
    cr_expect_str_eq(err, "cannot read /: Is a directory");
}

/* What --print-config prints is a file that gives the same values. */
Test(config, print_and_load_round_trip, .init = defaults)
{
    char text[16384] = {0};
    set("interface", "veth0");
    set("address", "10.77.0.2/24");
    set("gateway", "10.77.0.1");
    set("route", "10.1.0.0/16,10.77.0.9 10.2.0.0/16");
    set("msl", "1500ms");
    set("sack", "off");
    set("rx-mode", "multishot");
    for (int i = 3; i < 32; i++) {
        char route[64];
        snprintf(route, sizeof route, "100.%d.200.128/%d,10.77.0.%d", 100 + i, 25 + i % 7, 100 + i);
        cr_assert_eq(set("route", route), 0, "%s", err);
    }
    cr_assert_eq(set("rules", "kernel listen  10.77.0.2:8000-8100 by some-program,xtcp connect 10.0.0.0/8\tby other-*"),
                 0);
    cr_assert_eq(set("rules", "kernel connect 192.168.100.0/24:1024-65535 by a-program-with-a-name-of-some-length"), 0);
    cr_assert_eq(set("rules", "both listen :80 , kernel by xt??,\n kernel :9,"), 0);
    cr_expect_str_eq(get("rules"),
                     "kernel listen 10.77.0.2:8000-8100 by some-program, xtcp connect 10.0.0.0/8 by other-*, "
                     "kernel connect 192.168.100.0/24:1024-65535 by a-program-with-a-name-of-some-length, "
                     "both listen :80, kernel by xt??, kernel :9");
    cr_assert_eq(set("socket", "/run/a ver; long=path#x/with/107/characters/"
                               "..............................................................x"),
                 0, "%s", err);
    FILE *f = fmemopen(text, sizeof text - 1, "w");
    xt_config_print(&c, f);
    fclose(f);
    struct xt_config before = c;
    defaults();
    cr_assert_eq(load(text), 0, "%s", err);
    cr_expect_arr_eq(&c, &before, sizeof c);
}

Test(config, what_a_file_cannot_say_is_refused, .init = defaults)
{
    EXPECT_WRONG("socket", "/run/a ;b", "must not");
    EXPECT_WRONG("admin-group", " wheel", "must not");
    EXPECT_WRONG("admin-group", "wheel ", "must not");
    EXPECT_WRONG("rules", "kernel by\n;b", "must not");
    cr_expect_str_eq(get("rules"), "");
}

/* inih would take what is beyond its limit for a line of its own. */
Test(config, lines_that_are_too_long, .init = defaults)
{
    char text[1024] = "[xtcpd]\n; ";
    memset(text + strlen(text), 'x', 300);
    strcat(text, "mtu = 1400\nmtu = 1300\nrules = kernel :1");
    cr_expect_eq(load(text), 0, "%s", err);
    cr_expect_eq(c.mtu, 1300);
    for (int i = 0; i < 16; i++)
        strcat(text, ", kernel :1024");
    strcat(text, "\nmtu = 1200\n");
    cr_expect_eq(load(text), -EINVAL);
    cr_expect(strstr(err, ":4: longer than 198 characters"), "%s", err);
    cr_expect_eq(c.mtu, 1300);
}

/* ---- command line ---- */

#define ARGS(...)                                     \
    char *argv[] = {"xtcpd", __VA_ARGS__, NULL};      \
    int argc = (int)(sizeof argv / sizeof *argv) - 1; \
    err[0] = 0

Test(config, flags, .init = defaults)
{
    struct xt_cmdline cl;
    ARGS("--interface", "veth0", "--address=10.77.0.2/24", "--no-keeper", "--config", "/etc/some.conf", "--foreground");
    cr_expect_eq(xt_config_scan(&cl, argc, argv, err, sizeof err), 0, "%s", err);
    cr_expect(cl.no_keeper && !cl.help);
    cr_expect_str_eq(cl.config, "/etc/some.conf");
    cr_expect_eq(xt_config_args(&c, argc, argv, err, sizeof err), 0, "%s", err);
    cr_expect_str_eq(c.interface, "veth0");
    cr_expect_eq(c.address.prefix, 24);
}

Test(config, wrong_flags_are_told_in_words, .init = defaults)
{
    static const struct {
        char *arg[2];
        const char *words;
    } cases[] = {
        {{"veth0", NULL}, "'veth0' is not a flag"},
        {{"--interfaces", "veth0"}, "did you mean 'interface'"},
        {{"--interface", NULL}, "--interface needs a value"},
        {{"--help=yes", NULL}, "--help takes no value"},
        {{"--", NULL}, "is not a flag"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct xt_cmdline cl;
        char *argv[] = {"xtcpd", cases[i].arg[0], cases[i].arg[1], NULL};
        cr_expect_eq(xt_config_scan(&cl, cases[i].arg[1] ? 3 : 2, argv, err, sizeof err), -EINVAL);
        cr_expect(strstr(err, cases[i].words), "%s", err);
    }
    ARGS("--mtu", "5");
    cr_expect_eq(xt_config_args(&c, argc, argv, err, sizeof err), -EINVAL);
    cr_expect(strstr(err, "--mtu '5' must be from 576"), "%s", err);
}

Test(config, flags_win_over_the_file, .init = defaults)
{
    char path[] = "/tmp/xtcpd-conf-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_gt(dprintf(fd, "mtu = 1400\nttl = 9\n"), 0);
    close(fd);
    struct xt_cmdline cl;
    ARGS("--config", path, "--mtu", "1300");
    cr_assert_eq(xt_config_scan(&cl, argc, argv, err, sizeof err), 0);
    cr_expect_eq(xt_config_build(&c, &cl, argc, argv, err, sizeof err), 0, "%s", err);
    cr_expect_eq(c.mtu, 1300);
    cr_expect_eq(c.ttl, 9);
    unlink(path);
    cr_expect_eq(xt_config_build(&c, &cl, argc, argv, err, sizeof err), -EINVAL);
    cr_expect(strstr(err, "cannot read"), "%s", err);
}

/* ---- what contradicts ---- */

static int check(void)
{
    err[0] = 0;
    return xt_config_check(&c, err, sizeof err);
}

Test(config, contradictions, .init = defaults)
{
    cr_expect_eq(check(), -EINVAL);
    cr_expect(strstr(err, "no interface"), "%s", err);
    set("interface", "veth0");
    cr_expect_eq(check(), -EINVAL);
    cr_expect(strstr(err, "no address"), "%s", err);
    set("address", "10.77.0.2/24");
    cr_expect_eq(check(), 0);
    set("gateway", "10.78.0.1");
    cr_expect_eq(check(), -EINVAL);
    set("gateway", "10.77.0.2");
    cr_expect_eq(check(), -EINVAL);
    set("gateway", "10.77.0.1");
    cr_expect_eq(check(), 0);
    set("route", "10.1.0.0/16,10.78.0.9");
    cr_expect_eq(check(), -EINVAL);
    set("route", "");
    set("sndbuf", "32M");
    cr_expect_eq(check(), -EINVAL);
    set("bufmax", "32M");
    cr_expect_eq(check(), -EINVAL);
    cr_expect(strstr(err, "sndbuf-max"), "%s", err);
    set("sndbuf-max", "32M");
    cr_expect_eq(check(), 0);
    set("rto-min", "3s");
    set("rto-max", "2s");
    cr_expect_eq(check(), -EINVAL);
}

Test(config, help_names_every_setting)
{
    static char text[32768];
    size_t n;
    const struct xt_setting *k = xt_config_keys(&n);
    FILE *f = fmemopen(text, sizeof text - 1, "w");
    xt_config_help(f);
    fclose(f);
    for (; n--; k++) {
        char flag[80];
        snprintf(flag, sizeof flag, "--%s ", k->name);
        cr_expect(strstr(text, flag), "%s", flag);
    }
}
