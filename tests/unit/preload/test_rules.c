/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "libclient/preload/addr.h"
#include "proto/xt_rules.h"

static struct sockaddr_in v4(const char *ip, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    cr_assert_eq(inet_pton(AF_INET, ip, &a.sin_addr), 1);
    return a;
}

static struct sockaddr_in6 v6(const char *ip, int port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    cr_assert_eq(inet_pton(AF_INET6, ip, &a.sin6_addr), 1);
    return a;
}

Test(preload_rules, ipv4_of_addresses)
{
    struct sockaddr_in a = v4("10.1.2.3", 80), out;
    struct sockaddr_in6 mapped = v6("::ffff:10.1.2.3", 80), any = v6("::", 80), other = v6("2001:db8::1", 80);
    cr_assert(xp_addr_v4((struct sockaddr *)&a, sizeof a, false, &out));
    cr_assert_eq(memcmp(&a, &out, sizeof a), 0);
    cr_assert_not(xp_addr_v4((struct sockaddr *)&a, sizeof a - 1, false, &out));
    cr_assert(xp_addr_v4((struct sockaddr *)&mapped, sizeof mapped, false, &out));
    cr_assert_eq(memcmp(&a, &out, sizeof a), 0);
    cr_assert_not(xp_addr_v4((struct sockaddr *)&any, sizeof any, false, &out));
    cr_assert(xp_addr_v4((struct sockaddr *)&any, sizeof any, true, &out));
    cr_assert_eq(out.sin_addr.s_addr, INADDR_ANY);
    cr_assert_not(xp_addr_v4((struct sockaddr *)&other, sizeof other, true, &out));
    cr_assert_not(xp_addr_v4(NULL, 0, true, &out));
}

Test(preload_rules, addresses_are_cut_to_the_callers_room)
{
    struct sockaddr_in a = v4("10.1.2.3", 80);
    struct sockaddr_in6 out = {0}, expect = v6("::ffff:10.1.2.3", 80);
    socklen_t len = sizeof out;
    xp_addr_out(&a, true, (struct sockaddr *)&out, &len);
    cr_assert_eq(len, sizeof out);
    cr_assert_eq(memcmp(&out, &expect, sizeof out), 0);
    memset(&out, 0, sizeof out);
    len = 4;
    xp_addr_out(&a, false, (struct sockaddr *)&out, &len);
    cr_assert_eq(len, sizeof a, "the full length is told");
    cr_assert_eq(memcmp(&out, &a, 4), 0);
    cr_assert_eq(((char *)&out)[4], 0, "nothing beyond the room is written");
    xp_addr_out(&a, false, NULL, NULL);
}

static bool is_host(uint32_t addr)
{
    return addr == 0x0a000003; /* 10.0.0.3 */
}

static char why[128];

/* Who gets a call of `program` with rules in the environment and of the daemon, whose address is 10.0.0.1. */
static enum xt_place place(const char *own, const char *daemons, bool listening, const char *ip, int port)
{
    struct xt_rule_case c = {.listen = listening,
                             .addr = ntohl(v4(ip, 0).sin_addr.s_addr),
                             .port = (uint16_t)port,
                             .own = 0x0a000001,
                             .program = {"redis-server", "main"},
                             .is_host = is_host,
                             .texts = {own, daemons},
                             .from = {"env", "xtcpd"}};
    return xt_rules_decide(&c, why, sizeof why);
}

static void listens(enum xt_place wanted, const char *rules, const char *ip, int port)
{
    cr_assert_eq(place(rules, NULL, true, ip, port), wanted, "'%s': listen at %s:%d: %s", rules, ip, port, why);
}

static void connects(enum xt_place wanted, const char *rules, const char *ip, int port)
{
    cr_assert_eq(place(rules, NULL, false, ip, port), wanted, "'%s': connect to %s:%d: %s", rules, ip, port, why);
}

Test(rules, without_any)
{
    listens(XT_PLACE_BOTH, "", "0.0.0.0", 80);
    listens(XT_PLACE_XTCP, "", "10.0.0.1", 80);
    listens(XT_PLACE_KERNEL, "", "10.0.0.2", 80);
    listens(XT_PLACE_KERNEL, "", "127.0.0.1", 80);
    connects(XT_PLACE_XTCP, "", "10.0.0.2", 80);
    connects(XT_PLACE_XTCP, "", "10.0.0.1", 80);
    connects(XT_PLACE_KERNEL, "", "10.0.0.3", 80);
    connects(XT_PLACE_KERNEL, "", "127.9.9.9", 80);
    connects(XT_PLACE_KERNEL, "", "0.0.0.0", 80);
    connects(XT_PLACE_KERNEL, "", "224.0.0.1", 80);
}

Test(rules, by_call_and_port)
{
    listens(XT_PLACE_KERNEL, "kernel :22", "0.0.0.0", 22);
    listens(XT_PLACE_BOTH, "kernel :22", "0.0.0.0", 23);
    connects(XT_PLACE_KERNEL, "kernel :8000-8100", "10.0.0.2", 8100);
    connects(XT_PLACE_XTCP, "kernel :8000-8100", "10.0.0.2", 8101);
    connects(XT_PLACE_XTCP, "kernel listen", "10.0.0.2", 80);
    listens(XT_PLACE_KERNEL, "kernel listen", "10.0.0.1", 80);
    listens(XT_PLACE_XTCP, "xtcp listen", "0.0.0.0", 80);
    listens(XT_PLACE_BOTH, "both, kernel", "0.0.0.0", 80);
    listens(XT_PLACE_XTCP, "both, kernel", "10.0.0.1", 80);
    connects(XT_PLACE_KERNEL, "both, kernel", "10.0.0.2", 80);
}

Test(rules, by_address)
{
    connects(XT_PLACE_KERNEL, "kernel 10.1.0.0/16", "10.1.2.3", 80);
    connects(XT_PLACE_XTCP, "kernel 10.1.0.0/16", "10.2.2.3", 80);
    connects(XT_PLACE_KERNEL, "kernel connect 10.2.2.3:80", "10.2.2.3", 80);
    connects(XT_PLACE_XTCP, "kernel connect 10.2.2.3:80", "10.2.2.3", 81);
    connects(XT_PLACE_XTCP, "xtcp 10.1.2.0/24, kernel *:1-65535", "10.1.2.3", 80);
    connects(XT_PLACE_KERNEL, "xtcp 10.1.2.0/24, kernel *:1-65535", "10.1.3.3", 80);
    listens(XT_PLACE_BOTH, "kernel 10.0.0.0/8", "0.0.0.0", 80);
    listens(XT_PLACE_KERNEL, "kernel 0.0.0.0", "0.0.0.0", 80);
}

Test(rules, by_program)
{
    connects(XT_PLACE_KERNEL, "kernel by redis-*", "10.0.0.2", 80);
    connects(XT_PLACE_KERNEL, "kernel by main", "10.0.0.2", 80);
    connects(XT_PLACE_XTCP, "kernel by redis", "10.0.0.2", 80);
    listens(XT_PLACE_XTCP, "kernel listen :80 by nginx, xtcp :80 by redis-server", "0.0.0.0", 80);
}

Test(rules, what_none_can_change)
{
    listens(XT_PLACE_KERNEL, "xtcp", "127.0.0.1", 80);
    listens(XT_PLACE_KERNEL, "xtcp", "10.0.0.3", 80);
    connects(XT_PLACE_KERNEL, "xtcp", "127.0.0.1", 80);
    connects(XT_PLACE_KERNEL, "xtcp", "10.0.0.3", 80);
}

Test(rules, the_first_that_fits_decides_and_is_named)
{
    cr_assert_eq(place("kernel :80 , xtcp :80", "kernel", false, "10.0.0.2", 80), XT_PLACE_KERNEL);
    cr_assert_str_eq(why, "rule 'kernel :80' of env");
    cr_assert_eq(place("xtcp :80", "kernel", false, "10.0.0.2", 80), XT_PLACE_XTCP);
    cr_assert_str_eq(why, "rule 'xtcp :80' of env");
    cr_assert_eq(place("kernel :81", " kernel 10.0.0.0/24", false, "10.0.0.2", 80), XT_PLACE_KERNEL);
    cr_assert_str_eq(why, "rule 'kernel 10.0.0.0/24' of xtcpd");
    place("", NULL, false, "10.0.0.2", 80);
    cr_assert_str_eq(why, "default");
}

Test(rules, mistakes_and_their_places)
{
    static const struct {
        const char *text, *begins;
    } wrong[] = {
        {"kernal :22", "column 1: 'kernal' is not"},
        {"kernel :22, , xtcp", "column 13: '' is not"},
        {"kernel :22, xtcp :22-21", "column 18: ':22-21' is not"},
        {"kernel :70000", "column 8: ':70000' is not"},
        {"kernel 10.0.0.1/8", "column 8: '10.0.0.1/8' is not"},
        {"kernel 10.0.0", "column 8: '10.0.0' is not"},
        {"kernel 10.0.0.0/33", "column 8: '10.0.0.0/33' is not"},
        {"kernel 10.0.0.256", "column 8: '10.0.0.256' is not"},
        {"kernel ::1", "column 8: '::1' is not"},
        {"both connect :22", "column 6: 'connect' is to one place"},
        {"kernel by", "column 8: 'by' wants a program's name"},
        {"kernel by nginx :80", "column 17: ':80' is more than"},
    };
    char err[160];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_lt(xt_rules_check(wrong[i].text, err, sizeof err), 0, "%s", wrong[i].text);
        cr_assert_eq(strncmp(err, wrong[i].begins, strlen(wrong[i].begins)), 0, "'%s': %s", wrong[i].text, err);
    }
    cr_assert_eq(xt_rules_check("", err, sizeof err), 0);
    cr_assert_eq(xt_rules_check(" both listen *:80 by nginx,", err, sizeof err), 0, "a comma at the end is no rule: %s",
                 err);
}
