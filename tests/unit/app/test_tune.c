/* SPDX-License-Identifier: Apache-2.0
 * What a ring's size should be. */
#include <criterion/criterion.h>

#include "daemon/app/tune.h"

Test(tune, window_is_twice_what_a_round_trip_took)
{
    struct xt_tune t = {0};
    cr_expect_eq(xt_tune_consumed(&t, 1000, 0, 0, 500), 0u, "the first round only begins");
    cr_expect_eq(xt_tune_consumed(&t, 1499, 40000, 40000, 500), 0u, "the round is not over");
    cr_expect_eq(xt_tune_consumed(&t, 1500, 60000, 60000, 500), 120000u);
    cr_expect_eq(xt_tune_consumed(&t, 2000, 60100, 60100, 500), 200u, "each round counts for itself");
}

/* A sender that fills the window in each round trip sees it double until it is no longer the limit. */
Test(tune, doubles_until_the_path_is_full)
{
    const uint64_t path = 3u << 20; /* bytes in a round trip */
    struct xt_tune t = {0};
    uint64_t now = 1, tail = 0;
    uint32_t size = 65536, rounds = 0;
    xt_tune_consumed(&t, now, tail, tail, 50000);
    for (; rounds < 20; rounds++) {
        tail += size < path ? size : path;
        uint32_t next = xt_tune_round(size, xt_tune_consumed(&t, now += 50000, tail, tail, 50000), 64u << 20);
        cr_assert(next == size || next == 2 * size);
        if (next == size)
            break;
        size = next;
    }
    cr_expect_eq(size, 8u << 20, "at least twice the path, not more than four times");
    cr_expect_eq(rounds, 7u);
}

/* A reader that comes back long after a round trip has not shown that the path holds what it finds. */
Test(tune, slow_readers_get_no_more_than_the_easy_size)
{
    struct xt_tune t = {0};
    xt_tune_consumed(&t, 1000, 0, 0, 50);
    cr_expect_eq(xt_tune_consumed(&t, 11000, 4u << 20, 4u << 20, 50), XT_TUNE_EASY);
    cr_expect_eq(xt_tune_consumed(&t, 11050, 8u << 20, 8u << 20, 50), 8u << 20, "within a round trip");
}

Test(tune, what_has_waited_shows_nothing)
{
    struct xt_tune t = {0};
    xt_tune_consumed(&t, 1000, 0, 3u << 20, 50);
    cr_expect_eq(xt_tune_consumed(&t, 1050, 3u << 20, (3u << 20) + 10000, 50), 20000u);
    cr_expect_eq(xt_tune_consumed(&t, 1100, (3u << 20) + 5000, 6u << 20, 50), 10000u);
}

Test(tune, unknown_round_trip)
{
    struct xt_tune t = {0};
    xt_tune_consumed(&t, 1, 0, 0, 0);
    cr_expect_eq(xt_tune_consumed(&t, 100000, 1000, 1000, 0), 0u);
    cr_expect_eq(xt_tune_consumed(&t, 100001, 1000, 1000, 0), 2000u);
}

Test(tune, send_ring_holds_two_windows_of_the_path)
{
    cr_expect_eq(xt_tune_send(4u << 20, 100000, 20000, 21000), 200000u);
    cr_expect_eq(xt_tune_send(4u << 20, 3u << 20, 20000, 39000), 6u << 20);
    cr_expect_eq(xt_tune_send(4u << 20, 4u << 20, 20000, 80000), 4u << 20, "half of the delay is a queue's");
    cr_expect_eq(xt_tune_send(65536, 9u << 20, 20000, 20000), 131072u, "one doubling at a time");
    cr_expect_eq(xt_tune_send(1u << 20, 9u << 20, 14, 200), XT_TUNE_EASY, "nearly all of it is waiting");
    cr_expect_eq(xt_tune_send(4u << 20, 4u << 20, 0, 0), 8u << 20, "nothing is known");
}

Test(tune, sizes_are_powers_of_two_within_the_limit)
{
    cr_expect_eq(xt_tune_round(65536, 0, 1u << 20), 65536u);
    cr_expect_eq(xt_tune_round(65536, 65537, 1u << 20), 131072u);
    cr_expect_eq(xt_tune_round(65536, UINT64_MAX, 1u << 20), 1u << 20);
    cr_expect_eq(xt_tune_round(65536, UINT64_MAX, 4096), 65536u, "never smaller");
}

/* A ring that the path cannot fill would only fall out of the caches. */
Test(tune, short_paths_need_no_more_than_the_easy_size)
{
    cr_expect_eq(xt_tune_most(12), XT_TUNE_EASY);
    cr_expect_eq(xt_tune_most(1000), 10000000u);
    cr_expect_eq(xt_tune_most(100000), 1000000000u);
    cr_expect_eq(xt_tune_most(0), UINT64_MAX);
}
