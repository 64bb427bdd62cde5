/* SPDX-License-Identifier: Apache-2.0
 * For how long nobody spins where somebody computes. */
#include <criterion/criterion.h>

#include "proto/xt_hog.h"

#define SECOND 1000000u

/* The share of ten seconds that one who spins whenever he may gives to another one, who takes `turn` us of each yield. */
static double given_away(struct xt_hog *h, uint64_t *now, uint64_t turn)
{
    uint64_t given = 0, end = *now + 10 * SECOND;
    while (*now < end) {
        if (xt_hog_near(h, *now)) {
            *now = h->until;
            continue;
        }
        xt_hog_yielded(h, *now, *now + turn, 0);
        *now += turn;
        given += turn;
    }
    return (double)given / (10 * SECOND);
}

Test(hog, nobody_spins_for_long_beside_one_that_computes)
{
    struct xt_hog h = {0};
    uint64_t now = 5 * SECOND;
    cr_expect_not(xt_hog_near(&h, now));
    cr_expect_lt(given_away(&h, &now, 4000), 0.02);
}

Test(hog, who_gives_way_soon_is_none)
{
    struct xt_hog h = {0};
    uint64_t now = 0;
    cr_expect_gt(given_away(&h, &now, XT_HOG_US - 1), 0.99);
    cr_expect_eq(h.pause_us, 0u);
}

Test(hog, who_is_busy_with_sockets_is_none)
{
    struct xt_hog h = {0};
    xt_hog_yielded(&h, 0, 4000, 4000 / XT_HOG_SOCKET);
    cr_expect_not(xt_hog_near(&h, 4000));
    xt_hog_yielded(&h, 4000, 8000, 4000 / XT_HOG_SOCKET - 1);
    xt_hog_yielded(&h, 8000, 12000, 4000 / XT_HOG_SOCKET - 1);
    cr_expect(xt_hog_near(&h, 12000));
}

Test(hog, once_is_no_habit)
{
    struct xt_hog h = {0};
    for (uint64_t now = SECOND; now < 10 * SECOND; now += XT_HOG_US + XT_HOG_HABIT_US) {
        xt_hog_yielded(&h, now, now + XT_HOG_US, 0);
        cr_assert_not(xt_hog_near(&h, now + XT_HOG_US));
    }
}

Test(hog, the_first_pause_is_short_and_so_is_the_first_one_after_a_time_without)
{
    struct xt_hog h = {0};
    uint64_t now = SECOND;
    xt_hog_yielded(&h, now - XT_HOG_US, now, 0);
    xt_hog_yielded(&h, now, now + XT_HOG_US, 0);
    cr_expect_eq(h.until, now + XT_HOG_US + XT_HOG_PAUSE_US);
    given_away(&h, &now, XT_HOG_US);
    cr_expect_eq(h.pause_us, (uint32_t)XT_HOG_PAUSE_MAX_US, "%u", h.pause_us);
    now = h.until + XT_HOG_PAUSE_MAX_US + 1;
    cr_expect_not(xt_hog_near(&h, now));
    xt_hog_yielded(&h, now, now + XT_HOG_US, 0);
    cr_expect_not(xt_hog_near(&h, now + XT_HOG_US));
    now += XT_HOG_US;
    xt_hog_yielded(&h, now, now + XT_HOG_US, 0);
    cr_expect_eq(h.pause_us, (uint32_t)XT_HOG_PAUSE_US);
}
