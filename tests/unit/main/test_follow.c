/* SPDX-License-Identifier: Apache-2.0
 * When the shard goes to another processor. */
#include <criterion/criterion.h>

#include "daemon/main/follow.h"

#define MS 1000u

static int look(struct xt_follow *f, uint64_t now, int here, int there)
{
    return xt_follow_choose(f, now, here, there, true);
}

Test(follow, only_to_one_that_waits_and_only_where_processors_are_short)
{
    struct xt_follow f;
    xt_follow_init(&f, true);
    cr_expect_eq(look(&f, MS, 0, -1), -1, "nobody waits most");
    cr_expect_eq(look(&f, MS, 1, 1), -1, "it is there");
    cr_expect_eq(xt_follow_choose(&f, MS, 0, 1, false), -1, "both have a processor to themselves");
    cr_expect_eq(look(&f, MS, 0, 1), 1);
}

/* The scheduler takes it away again at once. */
Test(follow, moves_that_do_not_last_come_later_and_later)
{
    struct xt_follow f;
    unsigned moves = 0;
    xt_follow_init(&f, true);
    for (uint64_t now = MS; now <= 20000 * MS; now += MS)
        moves += look(&f, now, 0, 1) == 1;
    cr_expect_lt(moves, 32u, "%u moves in 20 s", moves);
    cr_expect_gt(moves, 15u, "%u: it has given up", moves);
}

Test(follow, one_that_lasts_makes_the_next_come_soon)
{
    struct xt_follow f;
    uint64_t now = MS;
    xt_follow_init(&f, true);
    for (; now <= 5000 * MS; now += MS)
        look(&f, now, 0, 1);
    now = f.not_before;
    cr_assert_eq(look(&f, now, 0, 1), 1);
    for (unsigned n = 0; n < XT_FOLLOW_SETTLED - 1; n++)
        look(&f, now += MS, 1, 1);
    cr_expect_gt(f.pause_us, XT_FOLLOW_PAUSE_US);
    look(&f, now += MS, 1, 1);
    now = f.not_before;
    cr_expect_eq(look(&f, now, 0, 1), 1);
    cr_expect_eq(look(&f, now + XT_FOLLOW_PAUSE_US, 0, 1), 1, "a pause as at first");
}

Test(follow, not_where_somebody_does_not_give_way)
{
    struct xt_follow f;
    xt_follow_init(&f, true);
    xt_hog_yielded(&f.hog, MS, MS + XT_HOG_US, 0);
    xt_hog_yielded(&f.hog, MS + XT_HOG_US, MS + 2 * XT_HOG_US, 0);
    cr_expect_eq(look(&f, f.hog.until - 1, 0, 1), -1);
    cr_expect_eq(look(&f, f.hog.until, 0, 1), 1, "it is over");
}

/* Of yields. No look is due, so that nobody is asked for the programs. */
Test(follow, it_sees_by_its_yields_who_else_runs)
{
    struct xt_follow f;
    uint64_t now = MS;
    xt_follow_init(&f, true);
    f.look_at = UINT64_MAX;
    for (unsigned n = 0; n < 100; n++) {
        xt_follow_yield(&f, now);
        xt_follow(&f, NULL, now += XT_FOLLOW_AWAY_US - 1);
    }
    cr_expect_not(f.shared, "nobody else has run");
    xt_follow(&f, NULL, now += XT_HOG_US);
    cr_expect_not(f.shared || xt_hog_near(&f.hog, now), "it has not yielded: it was at work, or slept");
    xt_follow_yield(&f, now);
    xt_follow(&f, NULL, now += XT_FOLLOW_AWAY_US);
    cr_expect(f.shared);
    cr_expect_not(xt_hog_near(&f.hog, now), "who gives way again does not compute");
    for (unsigned n = 0; n < 2; n++) {
        xt_follow_yield(&f, now);
        xt_follow(&f, NULL, now += XT_HOG_US);
    }
    cr_expect(xt_hog_near(&f.hog, now));
}
