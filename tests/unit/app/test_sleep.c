/* SPDX-License-Identifier: Apache-2.0
 * What the daemon tells its clients of its sleep, and of who runs where. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "tests/unit/app/kept.h"

static uint32_t sleeps(struct xt_app *a)
{
    xt_app_prepare_sleep(a);
    uint32_t n = atomic_load(&xt_app_global(a)->sleeping);
    xt_app_awake(a);
    cr_expect_eq(atomic_load(&xt_app_global(a)->sleeping), 0u);
    return n;
}

/* Who has rung for a sleep does not ring for it again: the next one must not look the same, a successor's least of all. */
Test(sleep, each_has_another_number)
{
    struct xt_app *first, *next;
    struct xt_app_cfg cfg = {.max_slots = 16, .sndbuf = 4096, .rcvbuf = 4096, .arena = 1u << 20};
    cr_assert_eq(xt_app_new(&first, &cfg), 0);
    uint32_t a = sleeps(first), b = sleeps(first);
    cr_expect(a && b && a != b, "%u %u", a, b);
    xt_app_prepare_sleep(first);
    uint32_t c = atomic_load(&xt_app_global(first)->sleeping);
    cfg.global_fd = dup(xt_app_global_fd(first));
    cr_assert_eq(xt_app_new(&next, &cfg), 0);
    uint32_t d = sleeps(next);
    cr_expect(d && d != a && d != b && d != c, "%u after %u %u %u", d, a, b, c);
    xt_app_global(next)->sleeps = UINT32_MAX;
    cr_expect_neq(sleeps(next), 0u);
    xt_app_free(next);
    xt_app_free(first);
}

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

Test(sleep, sockets_are_counted_by_processor)
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
