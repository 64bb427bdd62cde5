/* SPDX-License-Identifier: Apache-2.0
 * The doorbell is rung once for each sleep of the daemon, whoever has news for it meanwhile. */
#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libclient/internal.h"

static uint64_t rings(struct xtcp *x)
{
    uint64_t n;
    return read(x->doorbell, &n, sizeof n) < 0 ? 0 : n;
}

static void kick(struct xtcp *x, unsigned times)
{
    while (times--)
        xtcp_kick(x);
}

Test(kick, once_for_each_sleep)
{
    struct xt_global g = {.sleeping = 7};
    struct xtcp x = {.global = &g, .doorbell = eventfd(0, EFD_NONBLOCK)};
    cr_assert_geq(x.doorbell, 0);
    kick(&x, 3);
    cr_expect_eq(rings(&x), 1u);
    g.sleeping = 0;
    kick(&x, 3);
    cr_expect_eq(rings(&x), 0u, "it is awake");
    g.sleeping = 8;
    kick(&x, 3);
    cr_expect_eq(rings(&x), 1u);
    close(x.doorbell);
}

Test(kick, again_when_it_could_not_be_rung)
{
    struct xt_global g = {.sleeping = 7};
    struct xtcp x = {.global = &g, .doorbell = eventfd(0, EFD_NONBLOCK)};
    uint64_t full = UINT64_MAX - 1;
    cr_assert_eq(write(x.doorbell, &full, sizeof full), (ssize_t)sizeof full);
    kick(&x, 1);
    cr_expect_eq(rings(&x), full);
    kick(&x, 1);
    cr_expect_eq(rings(&x), 1u);
    close(x.doorbell);
}
