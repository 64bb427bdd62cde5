/* SPDX-License-Identifier: Apache-2.0
 * xt_copy_far() is a memcpy(), whatever the length and the places. */
#include <criterion/criterion.h>

#include "proto/xt_copy.h"

#define ROOM (XT_COPY_FAR_MIN + 512)

static uint8_t from[ROOM + 64], to[ROOM + 192], want[ROOM + 192];

static void check(size_t at, size_t skip, size_t n)
{
    memset(to, 0xee, sizeof to);
    memset(want, 0xee, sizeof want);
    memcpy(want + at, from + skip, n);
    xt_copy_far(to + at, from + skip, n);
    cr_assert(memcmp(to, want, sizeof to) == 0, "%zu bytes from %zu to %zu", n, skip, at);
}

Test(copy, nothing_but_the_bytes)
{
    static const size_t lengths[] = {0,
                                     1,
                                     64,
                                     XT_COPY_FAR_MIN - 1,
                                     XT_COPY_FAR_MIN,
                                     XT_COPY_FAR_MIN + 1,
                                     XT_COPY_FAR_MIN + 63,
                                     XT_COPY_FAR_MIN + 64,
                                     ROOM};
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)(i * 167 + i / 251);
    for (unsigned l = 0; l < sizeof lengths / sizeof lengths[0]; l++)
        for (size_t at = 0; at <= 64; at++)
            for (size_t skip = 0; skip <= 16; skip += 5)
                check(at, skip, lengths[l]);
}
