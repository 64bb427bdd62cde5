/* SPDX-License-Identifier: Apache-2.0
 * Waiters that look for news before they sleep, and who else has the processor when they yield. */
#include <criterion/criterion.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libclient/internal.h"
#include "tests/unit/libclient/pair.h"

static __thread unsigned yields, turn_us; /* another one has the processor for that long */

/* Instead of libc's, for the library, too. */
int sched_yield(void)
{
    uint64_t end = xtcp_now_ns() + turn_us * 1000u;
    yields++;
    while (xtcp_now_ns() < end)
        ;
    return (int)syscall(SYS_sched_yield);
}

static unsigned spin_in_vain(struct xtcp_waiter *w)
{
    yields = 0;
    w->spin_score = 15;
    cr_expect_not(xtcp_waiter_spin(w));
    return yields;
}

Test(spin, not_where_somebody_computes)
{
    const struct xt_app_cfg cfg = {.sndbuf = 65536, .rcvbuf = 65536, .spin_us = 1000, .arena = 1u << 30};
    struct pair p;
    struct xtcp_waiter *w;
    pair_start(&p, &cfg);
    cr_assert_eq(xtcp_waiter_new(p.x, &w), 0);
    turn_us = 10;
    for (unsigned tries = 0; tries < 100 && (spin_in_vain(w) < 2 || !w->sh->shared); tries++)
        w->hog.until = 0; /* one that really computes was there */
    cr_expect_gt(yields, 1u);
    cr_expect_gt(w->sh->shared, 0u, "who gives way again is one to take turns with");
    turn_us = XT_HOG_US;
    w->hog.until = 0;
    w->hog.last = 0;
    cr_expect_eq(spin_in_vain(w), 1u);
    cr_expect_eq(w->hog.until, 0u, "once is no habit");
    uint32_t shared = w->sh->shared;
    uint64_t begin = xtcp_now_ns() / 1000;
    w->hog.last = begin;
    cr_expect_eq(spin_in_vain(w), 1u);
    cr_expect_geq(w->hog.until, begin + XT_HOG_US + XT_HOG_PAUSE_US);
    cr_expect_eq(w->sh->shared, shared, "who computes is not");
    w->hog.until = UINT64_MAX;
    cr_expect_eq(spin_in_vain(w), 0u);
    xt_bitmap_set(w->ready, (uint32_t)p.l);
    cr_expect(xtcp_waiter_spin(w), "what is there needs no spinning");
    xtcp_waiter_free(w);
    pair_stop(&p);
}
