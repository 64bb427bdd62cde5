/* SPDX-License-Identifier: Apache-2.0
 * Which thread waits most, as the threads themselves say. */
#include <criterion/criterion.h>

#include "tests/unit/app/kept.h"

static void waits(struct kept *k, uint32_t w, uint32_t n, uint32_t cpu, uint32_t shared)
{
    struct xt_waiter *sw = &k->s->waiters[w];
    atomic_store(&sw->waits, atomic_load(&sw->waits) + n);
    atomic_store(&sw->shared, atomic_load(&sw->shared) + shared);
    atomic_store(&sw->cpu, cpu);
}

static struct xt_app_waits ask(struct kept *k)
{
    struct xt_app_waits out;
    xt_app_waits(k->app, &out);
    return out;
}

Test(waits, two_thirds_of_all_since_the_last_look)
{
    struct kept k;
    int fd;
    kept_start(&k);
    cr_expect_eq(ask(&k).cpu, -1, "nobody has waited");
    waits(&k, k.waiter, 5, 3, 2);
    cr_expect_eq(ask(&k).cpu, 2);
    cr_expect_eq(ask(&k).cpu, -1, "nobody has waited since");
    waits(&k, k.waiter, 1, 3, 2);
    cr_expect_eq(ask(&k).shared, 2);
    int other = xt_session_add_waiter(k.s, 0, &fd);
    cr_assert_geq(other, 0);
    waits(&k, k.waiter, 6, 3, 0);
    waits(&k, (uint32_t)other, 3, 1, 0);
    cr_expect_eq(ask(&k).cpu, 2);
    waits(&k, k.waiter, 5, 3, 0);
    waits(&k, (uint32_t)other, 3, 1, 0);
    cr_expect_eq(ask(&k).cpu, -1, "two wait about as much");
    waits(&k, (uint32_t)other, 3, 0, 0);
    cr_expect_eq(ask(&k).cpu, -1, "it does not say where");
    kept_end(&k);
}

Test(waits, what_cannot_be_is_nothing)
{
    struct kept k;
    kept_start(&k);
    waits(&k, k.waiter, UINT32_MAX, 1, UINT32_MAX / 2);
    cr_expect_eq(ask(&k).cpu, -1);
    waits(&k, k.waiter, 7, UINT32_MAX, 0);
    cr_expect_eq(ask(&k).cpu, -1);
    cr_expect_eq(ask(&k).shared, 0);
    waits(&k, k.waiter, 7, 2, 0);
    cr_expect_eq(ask(&k).cpu, 1);
    kept_end(&k);
}
