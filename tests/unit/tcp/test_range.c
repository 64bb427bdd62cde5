/* SPDX-License-Identifier: Apache-2.0
 * The range set against a plain array of booleans. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tcp/range.h"

#define SPACE 200u
#define MAX 16u

struct model {
    uint32_t base;
    bool in[SPACE];
};

static unsigned runs(const struct model *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SPACE; i++)
        n += m->in[i] && (i == 0 || !m->in[i - 1]);
    return n;
}

static void expect_equal(const struct model *m, const struct xt_range *r, unsigned n)
{
    cr_assert_eq(n, runs(m));
    for (unsigned i = 0; i < SPACE; i++)
        cr_assert_eq(xt_range_find(r, n, m->base + i) >= 0, m->in[i], "at %u", i);
    for (unsigned i = 1; i < n; i++)
        cr_assert_lt((int32_t)(r[i - 1].right - r[i].left), 0);
}

static void check_bytes(const struct model *m, const struct xt_range *r, unsigned n, unsigned a, unsigned b)
{
    uint32_t sum = 0;
    for (unsigned i = a; i < b; i++)
        sum += m->in[i];
    cr_assert_eq(xt_range_bytes(r, n, m->base + a, m->base + b), sum);
    if (a < b)
        cr_assert_eq(xt_range_covers(r, n, m->base + a, m->base + b), sum == b - a);
}

static void add(struct model *m, struct xt_range *r, uint8_t *n, unsigned a, unsigned b)
{
    struct model after = *m;
    int64_t fresh = 0;
    for (unsigned i = a; i < b; i++) {
        fresh += !after.in[i];
        after.in[i] = true;
    }
    int64_t got = xt_range_add(r, n, MAX, m->base + a, m->base + b);
    if (runs(&after) > MAX) {
        cr_assert_eq(got, -1);
        return;
    }
    cr_assert_eq(got, fresh);
    *m = after;
}

Test(range, agrees_with_the_model)
{
    unsigned seed = 7;
    const char *env = getenv("XT_TEST_SEED");
    if (env)
        seed = (unsigned)strtoul(env, NULL, 0);
    printf("range: seed %u\n", seed);
    for (unsigned round = 0; round < 200; round++) {
        struct model m = {.base = round % 2 ? UINT32_MAX - SPACE / 2 : 12345};
        struct xt_range r[MAX];
        uint8_t n = 0;
        for (unsigned step = 0; step < 100; step++) {
            unsigned a = (unsigned)rand_r(&seed) % (SPACE - 1);
            unsigned b = a + 1 + (unsigned)rand_r(&seed) % (rand_r(&seed) % 10 ? 4 : 60);
            b = b > SPACE ? SPACE : b;
            if (rand_r(&seed) % 12) {
                add(&m, r, &n, a, b);
            } else {
                xt_range_trim(r, &n, m.base + a);
                memset(m.in, 0, a);
            }
            expect_equal(&m, r, n);
            check_bytes(&m, r, n, a, b);
        }
    }
}

Test(range, a_full_set_still_joins)
{
    struct xt_range r[2];
    uint8_t n = 0;
    cr_assert_eq(xt_range_add(r, &n, 2, 10, 20), 10);
    cr_assert_eq(xt_range_add(r, &n, 2, 30, 40), 10);
    cr_assert_eq(xt_range_add(r, &n, 2, 50, 60), -1);
    cr_assert_eq(n, 2);
    cr_assert_eq(xt_range_add(r, &n, 2, 20, 30), 10);
    cr_assert_eq(n, 1);
    cr_assert_eq(r[0].left, 10);
    cr_assert_eq(r[0].right, 40);
}
