/* SPDX-License-Identifier: Apache-2.0
 * What the daemon tells its clients of who runs where. */
#include <criterion/criterion.h>

#include "tests/unit/app/kept.h"

static uint32_t ran(const struct kept *k, uint32_t cpu)
{
    return atomic_load(&xt_app_global(k->app)->ran[cpu]);
}

static void mark(struct kept *k, uint32_t said)
{
    atomic_store(&k->s->waiters[k->waiter].cpu, said);
    xt_bitmap_set(k->s->dirty, k->a);
    kept_run(k, 1);
}

Test(ran, sockets_are_counted_by_processor)
{
    struct kept k;
    kept_start(&k);
    mark(&k, 4);
    cr_expect_eq(ran(&k, 3), 0u, "it has no waiter");
    atomic_fetch_or(&k.s->slots[k.a].subs, 1ULL << (k.waiter % 64));
    mark(&k, 4);
    mark(&k, 4);
    cr_expect_eq(ran(&k, 3), 2u);
    mark(&k, 0);
    cr_expect_eq(ran(&k, 3), 2u, "its waiter does not say where it is");
    mark(&k, XT_RAN + 3);
    mark(&k, UINT32_MAX);
    cr_expect_eq(ran(&k, 2), 1u);
    cr_expect_eq(ran(&k, (UINT32_MAX - 1) % XT_RAN), 1u);
    kept_end(&k);
}
