/* SPDX-License-Identifier: Apache-2.0
 * The kept state: found again by the next stack process, refused in words when it is of another layout. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/main/kept.h"

static char err[256];

Test(kept, lives_on)
{
    struct xt_kept a, b;
    cr_assert_eq(xt_kept_new(&a, 8192), 0);
    cr_expect_eq(a.page->epoch, 1u);
    memset(a.stack, 0x5a, 8192);
    uint8_t key[32];
    memcpy(key, a.page->key, sizeof key);
    cr_assert_eq(xt_kept_open(&b, dup(a.fd), 8192, err, sizeof err), 0);
    cr_expect_eq(b.page->epoch, 2u);
    cr_expect_arr_eq(b.page->key, key, sizeof key);
    cr_expect_eq(((uint8_t *)b.stack)[8191], 0x5a);
    xt_kept_close(&b);
    xt_kept_close(&a);
}

Test(kept, keys_differ)
{
    struct xt_kept a, b;
    cr_assert_eq(xt_kept_new(&a, 4096), 0);
    cr_assert_eq(xt_kept_new(&b, 4096), 0);
    cr_expect_neq(memcmp(a.page->key, b.page->key, sizeof a.page->key), 0);
    xt_kept_close(&a);
    xt_kept_close(&b);
}

Test(kept, other_layouts_are_refused_in_words)
{
    struct xt_kept a, b;
    cr_assert_eq(xt_kept_new(&a, 8192), 0);
    cr_expect_eq(xt_kept_open(&b, dup(a.fd), 4096, err, sizeof err), -EPROTO);
    cr_expect(strstr(err, "max-connections"), "%s", err);
    a.page->version = 99;
    cr_expect_eq(xt_kept_open(&b, dup(a.fd), 8192, err, sizeof err), -EPROTO);
    cr_expect(strstr(err, "layout 99"), "%s", err);
    a.page->magic = 0;
    cr_expect_eq(xt_kept_open(&b, dup(a.fd), 8192, err, sizeof err), -EPROTO);
    cr_expect(strstr(err, "not one of xtcpd's"), "%s", err);
    xt_kept_close(&a);
    cr_expect_eq(xt_kept_open(&b, memfd_create("empty", MFD_CLOEXEC), 8192, err, sizeof err), -EPROTO);
}
