/* SPDX-License-Identifier: Apache-2.0
 * The interface and address that the configuration names. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ctl/netif.h"

static struct xt_config c;
static char err[512];

static void use(const char *interface)
{
    xt_config_default(&c);
    cr_assert_eq(xt_config_set(&c, "interface", interface, err, sizeof err), 0);
    cr_assert_eq(xt_config_set(&c, "address", "10.77.0.2/24", err, sizeof err), 0);
    err[0] = 0;
}

Test(netif, derived_mac_is_local_and_stable)
{
    static const uint8_t ifmac[6] = {0x52, 0x54, 0, 1, 2, 3};
    uint8_t a[6], b[6];
    xt_netif_derive_mac(ifmac, inet_addr("10.77.0.2"), a);
    xt_netif_derive_mac(ifmac, inet_addr("10.77.0.2"), b);
    cr_expect_arr_eq(a, b, 6);
    cr_expect_eq(a[0], 2);
    xt_netif_derive_mac(ifmac, inet_addr("10.77.0.3"), b);
    cr_expect_neq(memcmp(a, b, 6), 0);
}

Test(netif, wrong_interfaces_are_told_in_words)
{
    use("xtnosuch0");
    cr_expect_eq(xt_netif_check(&c, err, sizeof err), -ENODEV);
    cr_expect(strstr(err, "no interface 'xtnosuch0'"), "%s", err);
    use("lo");
    cr_expect_eq(xt_netif_check(&c, err, sizeof err), -EINVAL);
    cr_expect(strstr(err, "loopback"), "%s", err);
}

/* An interface that no other run of this test names at the same time. */
static void use_own(void)
{
    char name[16];
    snprintf(name, sizeof name, "u%d", (int)getpid());
    use(name);
}

Test(netif, an_address_has_one_daemon)
{
    use_own();
    int first = xt_netif_claim(&c, err, sizeof err);
    cr_assert_geq(first, 0, "%s", err);
    cr_expect_eq(xt_netif_claim(&c, err, sizeof err), -EADDRINUSE);
    cr_expect(strstr(err, "another xtcpd serves 10.77.0.2 on interface"), "%s", err);
    cr_assert_eq(xt_config_set(&c, "address", "10.77.0.3/24", err, sizeof err), 0);
    int other = xt_netif_claim(&c, err, sizeof err);
    cr_expect_geq(other, 0, "%s", err);
    use_own();
    close(first);
    first = xt_netif_claim(&c, err, sizeof err);
    cr_expect_geq(first, 0, "%s", err);
    close(first);
    close(other);
}

Test(netif, a_stranger_keeps_no_daemon_from_its_address)
{
    if (geteuid() != 0) {
        cr_log_warn("SKIP: root is needed to be somebody else");
        return;
    }
    use_own();
    cr_assert_eq(seteuid(65534), 0);
    int stranger = xt_netif_claim(&c, err, sizeof err);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_geq(stranger, 0, "%s", err);
    int fd = xt_netif_claim(&c, err, sizeof err);
    cr_expect_geq(fd, 0, "%s", err);
    close(fd);
    close(stranger);
}
