/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "libclient/preload/table.h"

Test(preload_table, word_keeps_its_parts)
{
    uint64_t w = xp_word(XP_XTCP, 3, XP_F_INET6 | XP_F_INSET, 0xfedcba98u);
    cr_assert_eq(xp_kind(w), XP_XTCP);
    cr_assert_eq(xp_ctxno(w), 3u);
    cr_assert_eq(xp_flags(w), (unsigned)(XP_F_INET6 | XP_F_INSET));
    cr_assert_eq(xp_value(w), 0xfedcba98u);
}

Test(preload_table, what_is_not_there_is_the_kernels)
{
    cr_assert_eq(xp_get(-1), 0u);
    cr_assert_eq(xp_get(XP_FDS), 0u);
    cr_assert_eq(xp_get(2000), 0u);
    xp_put((int)XP_FDS, xp_word(XP_XTCP, 0, 0, 1));
    xp_put(-1, xp_word(XP_XTCP, 0, 0, 1));
    cr_assert_eq(xp_get(XP_FDS), 0u);
    cr_assert_eq(xp_take(-1), 0u);
}

Test(preload_table, take_clears)
{
    uint64_t w = xp_word(XP_EPOLL, 0, 0, 7);
    xp_put(2000, w);
    cr_assert_eq(xp_take(2000), w);
    cr_assert_eq(xp_take(2000), 0u);
}

Test(preload_table, scan_finds_each_and_nothing_else)
{
    static const int at[] = {2000, 2001, 2063, 2064, 4096, 9999, 65536, XP_FDS - 1};
    int fd = 1999;
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
        xp_put(at[i], xp_word(XP_XTCP, 0, 0, 1));
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        fd = xp_next(fd + 1);
        cr_assert_eq(fd, at[i], "entry %zu: %d", i, fd);
    }
    cr_assert_eq(xp_next(fd + 1), -1);
}

Test(preload_table, last_reference_is_told)
{
    xp_ref(1, 5);
    xp_ref(1, 5);
    xp_ref(0, 5);
    cr_assert_not(xp_unref(1, 5));
    cr_assert(xp_unref(1, 5));
    cr_assert_eq(xp_refs(0, 5), 1u);
}
