/* SPDX-License-Identifier: Apache-2.0
 * Kept settings: every one comes back, a half-written change counts for nothing, those of another release do no harm. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/ctl/settings.h"

#define SIDE_0 16 /* where the first text stands */
#define SIDE_1 (16 + 65536)

static struct xt_config c, got;
static int fd = -1;

static void set(const char *name, const char *value)
{
    char err[512];
    cr_assert_eq(xt_config_set(&c, name, value, err, sizeof err), 0, "%s", err);
}

static void setup(void)
{
    xt_log_set_level(XT_LOG_ERROR);
    xt_config_default(&c);
    set("interface", "veth0");
    set("address", "10.77.0.2/24");
    fd = xt_settings_new();
    cr_assert_geq(fd, 0);
}

static void teardown(void)
{
    close(fd);
}

TestSuite(settings, .init = setup, .fini = teardown);

static void expect_same(void)
{
    size_t n;
    const struct xt_setting *k = xt_config_keys(&n);
    char want[XT_CONFIG_TEXT_MAX], have[XT_CONFIG_TEXT_MAX];
    cr_assert_eq(xt_settings_read(fd, &got), 0);
    for (; n--; k++) {
        xt_config_get(&c, k, want, sizeof want);
        xt_config_get(&got, k, have, sizeof have);
        cr_expect_str_eq(have, want, "%s", k->name);
    }
}

Test(settings, all_come_back)
{
    char route[64];
    set("gateway", "10.77.0.1");
    for (int i = 0; i < XT_MAX_ROUTES - 1; i++) { /* as long as it can be */
        snprintf(route, sizeof route, "210.111.1%02d.128/25,10.77.0.%d", i, 100 + i);
        set("route", route);
    }
    set("rules", "kernel listen :22, xtcp by redis-server");
    set("mac", "02:00:5e:10:00:02");
    set("mtu", "1400");
    set("max-connections", "1234");
    set("delack", "25ms");
    set("congestion", "bbr");
    set("ports", "2000-3000");
    cr_assert_eq(xt_settings_write(fd, &c), 0);
    expect_same();
}

Test(settings, the_last_counts)
{
    for (int i = 1; i < 6; i++) {
        set("msl", (char[]){(char)('0' + i), 's', 0});
        cr_assert_eq(xt_settings_write(fd, &c), 0);
        expect_same();
    }
}

Test(settings, none_are_none)
{
    cr_expect_eq(xt_settings_read(fd, &got), -EPROTO);
    cr_assert_eq(pwrite(fd, "delack=25ms", 12, SIDE_0), 12); /* it died before the first were complete */
    cr_expect_eq(xt_settings_read(fd, &got), -EPROTO);
}

Test(settings, half_a_change_is_none)
{
    cr_assert_eq(xt_settings_write(fd, &c), 0);
    cr_assert_eq(pwrite(fd, "interface=", 11, SIDE_1), 11);
    expect_same();
}

Test(settings, those_of_another_release_are_left_out)
{
    static const char text[] = "interface=veth0\0no-such-setting=1\0delack=soon\0address=10.77.0.2/24\0msl=7s\0";
    cr_assert_eq(xt_settings_write(fd, &c), 0);
    cr_assert_eq(pwrite(fd, text, sizeof text, SIDE_0), (ssize_t)sizeof text);
    set("msl", "7s");
    expect_same();
}

Test(settings, noise_does_no_harm)
{
    char noise[65536];
    unsigned x = 1;
    cr_assert_eq(xt_settings_write(fd, &c), 0);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)((x = x * 1664525 + 1013904223) >> 24) | 1;
    cr_assert_eq(pwrite(fd, noise, sizeof noise, SIDE_0), (ssize_t)sizeof noise);
    xt_config_default(&c);
    expect_same();
}
