/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "libclient/preload/rules.h"

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

Test(preload_rules, port_lists)
{
    struct xp_ports p = {{0}};
    cr_assert(xp_ports_parse(&p, "22,8000-8100,65535"));
    cr_assert(xp_ports_has(&p, 22) && xp_ports_has(&p, 8000) && xp_ports_has(&p, 8100) && xp_ports_has(&p, 65535));
    cr_assert_not(xp_ports_has(&p, 23) || xp_ports_has(&p, 7999) || xp_ports_has(&p, 8101));
    cr_assert(xp_ports_parse(&p, ""));
}

Test(preload_rules, bad_port_lists)
{
    static const char *const bad[] = {"x", "22;23", "9-8", "70000", "1-", "-5", "22,,23"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct xp_ports p = {{0}};
        cr_assert_not(xp_ports_parse(&p, bad[i]), "%s", bad[i]);
    }
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

static bool binds(const struct xp_ports *p, const char *ip, int port)
{
    struct sockaddr_in a = v4(ip, port), own = v4("10.0.0.1", 0);
    return xp_rule_bind(p, &a, own.sin_addr);
}

static bool connects(const struct xp_ports *p, const char *ip, int port)
{
    struct sockaddr_in a = v4(ip, port);
    return xp_rule_connect(p, &a);
}

Test(preload_rules, who_takes_what)
{
    struct xp_ports p = {{0}};
    xp_ports_parse(&p, "22");
    cr_assert(binds(&p, "0.0.0.0", 80));
    cr_assert(binds(&p, "10.0.0.1", 80));
    cr_assert_not(binds(&p, "10.0.0.2", 80));
    cr_assert_not(binds(&p, "127.0.0.1", 80));
    cr_assert_not(binds(&p, "0.0.0.0", 22));
    cr_assert(connects(&p, "10.0.0.2", 80));
    cr_assert(connects(&p, "10.0.0.1", 80));
    cr_assert_not(connects(&p, "10.0.0.2", 22));
    cr_assert_not(connects(&p, "127.9.9.9", 80));
    cr_assert_not(connects(&p, "0.0.0.0", 80));
    cr_assert_not(connects(&p, "224.0.0.1", 80));
}
