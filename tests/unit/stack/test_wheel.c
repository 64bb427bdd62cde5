/* SPDX-License-Identifier: Apache-2.0
 * The timing wheel against a plain array of deadlines. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/base/macros.h"
#include "daemon/base/wheel.h"

#define N 200
#define TICK (1u << XT_WHEEL_TICK_SHIFT)

Test(wheel, empty_has_no_deadline)
{
    struct xt_wheel w;
    cr_assert_eq(xt_wheel_init(&w, 4, 12345), 0);
    cr_assert_eq(xt_wheel_next(&w), UINT64_MAX);
    cr_assert_eq(xt_wheel_pop(&w, 1000000000), XT_WHEEL_NONE);
    xt_wheel_fini(&w);
}

Test(wheel, fires_in_order_of_ticks_and_not_early)
{
    struct xt_wheel w;
    xt_wheel_init(&w, 3, 0);
    xt_wheel_set(&w, 0, 90 * 1000000ull);
    xt_wheel_set(&w, 1, 1000);
    xt_wheel_set(&w, 2, 40000);
    cr_assert_eq(xt_wheel_pop(&w, 999), XT_WHEEL_NONE);
    cr_assert_eq(xt_wheel_pop(&w, 100 * 1000000ull), 1);
    cr_assert_eq(xt_wheel_pop(&w, 100 * 1000000ull), 2);
    cr_assert_eq(xt_wheel_pop(&w, 100 * 1000000ull), 0);
    cr_assert_eq(xt_wheel_pop(&w, 100 * 1000000ull), XT_WHEEL_NONE);
    xt_wheel_fini(&w);
}

Test(wheel, the_past_is_due_at_once)
{
    struct xt_wheel w;
    xt_wheel_init(&w, 1, 5000000);
    xt_wheel_set(&w, 0, 1);
    cr_assert_eq(xt_wheel_next(&w), 0);
    cr_assert_eq(xt_wheel_pop(&w, 5000000), 0);
    cr_assert_eq(xt_wheel_deadline(&w, 0), UINT64_MAX);
    xt_wheel_fini(&w);
}

Test(wheel, farthest_deadline_is_kept)
{
    struct xt_wheel w;
    xt_wheel_init(&w, 2, 77);
    xt_wheel_set(&w, 0, UINT64_MAX - 1);
    xt_wheel_set(&w, 1, 1ull << 53);
    cr_assert_eq(xt_wheel_pop(&w, (1ull << 53) - TICK), XT_WHEEL_NONE);
    cr_assert_eq(xt_wheel_pop(&w, 1ull << 53), 1);
    cr_assert_eq(xt_wheel_deadline(&w, 0), XT_WHEEL_LAST);
    xt_wheel_cancel(&w, 0);
    cr_assert_eq(xt_wheel_next(&w), UINT64_MAX);
    xt_wheel_fini(&w);
}

/* Deadlines of every magnitude, so that all levels are used. */
static uint64_t far(unsigned *seed, uint64_t now)
{
    unsigned bits = (unsigned)rand_r(seed) % 40;
    return now + ((((uint64_t)(unsigned)rand_r(seed)) << 20 | (unsigned)rand_r(seed)) & ((1ull << bits) - 1));
}

static uint64_t earliest(const uint64_t *model)
{
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < N; i++)
        best = XT_MIN(best, model[i]);
    return best;
}

/* All that popped must be due, and nothing older than a tick may be left. */
static void pop_all(struct xt_wheel *w, uint64_t *model, uint64_t now)
{
    for (uint32_t i; (i = xt_wheel_pop(w, now)) != XT_WHEEL_NONE;) {
        cr_assert_leq(model[i], now, "timer %u fired early", i);
        model[i] = UINT64_MAX;
    }
    cr_assert_gt(earliest(model), now - now % TICK - TICK, "a timer was left");
}

Test(wheel, agrees_with_a_plain_array)
{
    unsigned first = 1, seed = first;
    struct xt_wheel w;
    uint64_t model[N], now = (uint64_t)(unsigned)rand_r(&seed) << 10;
    cr_log_info("seed %u", first);
    printf("wheel seed %u\n", first);
    xt_wheel_init(&w, N, now);
    for (unsigned i = 0; i < N; i++)
        model[i] = UINT64_MAX;
    for (unsigned step = 0; step < 100000; step++) {
        uint32_t i = (uint32_t)rand_r(&seed) % N;
        switch (rand_r(&seed) % 4) {
        case 0:
        case 1:
            model[i] = far(&seed, now);
            xt_wheel_set(&w, i, model[i]);
            break;
        case 2:
            model[i] = UINT64_MAX;
            xt_wheel_cancel(&w, i);
            break;
        default:
            if (rand_r(&seed) % 8)
                now = XT_MIN(far(&seed, now), now + 100000);
            else if (xt_wheel_next(&w) != UINT64_MAX)
                now = XT_MAX(now, xt_wheel_next(&w));
            pop_all(&w, model, now);
        }
        cr_assert_eq(xt_wheel_deadline(&w, i), model[i]);
        uint64_t want = earliest(model), next = xt_wheel_next(&w);
        cr_assert_eq(next == UINT64_MAX, want == UINT64_MAX);
        cr_assert(next == UINT64_MAX || next < want + TICK, "next is late");
        if (want == UINT64_MAX)
            now += (uint64_t)rand_r(&seed) % 1000;
    }
    xt_wheel_fini(&w);
}
