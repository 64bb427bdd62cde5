/* SPDX-License-Identifier: Apache-2.0
 * The flow table against a plain array. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/base/flowmap.h"
#include "daemon/base/rand.h"

#define N 64
#define MOST (1 << 20)

/* The records that the map looks at. */
static struct xt_flow kept[MOST];
static const struct xt_flow_keys keys = {.records = kept,
                                         .size = sizeof *kept,
                                         .local = offsetof(struct xt_flow, local),
                                         .remote = offsetof(struct xt_flow, remote),
                                         .lport = offsetof(struct xt_flow, lport),
                                         .rport = offsetof(struct xt_flow, rport)};

static int add(struct xt_flowmap *m, const struct xt_flow *flow, uint32_t i)
{
    int rc = xt_flowmap_add(m, flow, i);
    if (rc == 0)
        kept[i] = *flow;
    return rc;
}

static struct xt_flow flow(unsigned n)
{
    return (struct xt_flow){.local = xt_addr_v4(n % 3),
                            .remote = xt_addr_v4(n % 5),
                            .lport = (uint16_t)(n % 7),
                            .rport = (uint16_t)(n / 7)};
}

Test(flowmap, finds_what_was_added_and_nothing_else)
{
    struct xt_key key = {{1}};
    struct xt_flowmap m;
    struct xt_flow a = flow(1), b = flow(2);
    cr_assert_eq(xt_flowmap_init(&m, N, &key, &keys), 0);
    cr_assert_eq(add(&m, &a, 3), 0);
    cr_assert_eq(xt_flowmap_find(&m, &a), 3);
    cr_assert_eq(xt_flowmap_find(&m, &b), XT_FLOW_NONE);
    cr_assert_eq(add(&m, &a, 4), -EEXIST);
    cr_assert_eq(add(&m, &b, 3), -EEXIST);
    xt_flowmap_remove(&m, 3);
    xt_flowmap_remove(&m, 3);
    cr_assert_eq(xt_flowmap_find(&m, &a), XT_FLOW_NONE);
    cr_assert_eq(m.count, 0);
    xt_flowmap_fini(&m);
}

/* A flow found lately that has gone, come back elsewhere, or left its index to another. */
Test(flowmap, what_was_found_before_is_looked_at_again)
{
    struct xt_key key = {{1}};
    struct xt_flowmap m;
    struct xt_flow a = flow(1), b = flow(2);
    cr_assert_eq(xt_flowmap_init(&m, N, &key, &keys), 0);
    cr_assert_eq(add(&m, &a, 3), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(xt_flowmap_find(&m, &a), 3);
    xt_flowmap_remove(&m, 3);
    cr_assert_eq(add(&m, &b, 3), 0);
    cr_assert_eq(xt_flowmap_find(&m, &a), XT_FLOW_NONE);
    cr_assert_eq(add(&m, &a, 5), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(xt_flowmap_find(&m, &a), 5);
        cr_assert_eq(xt_flowmap_find(&m, &b), 3);
    }
    xt_flowmap_fini(&m);
}

/* Thousands share the few places of those found lately. */
Test(flowmap, tells_flows_of_one_place_apart)
{
    enum { MANY = 4 * XT_FLOW_RECENT };
    struct xt_key key = {{1}};
    struct xt_flowmap m;
    struct xt_flow f = flow(1);
    cr_assert_eq(xt_flowmap_init(&m, MANY, &key, &keys), 0);
    for (uint32_t i = 0; i < MANY; i++) {
        f.rport = (uint16_t)i;
        cr_assert_eq(add(&m, &f, i), 0);
    }
    for (uint32_t n = 0; n < 4 * MANY; n++) {
        f.rport = (uint16_t)(n * 7 % MANY);
        cr_assert_eq(xt_flowmap_find(&m, &f), f.rport);
        cr_assert_eq(xt_flowmap_find(&m, &f), f.rport);
    }
    xt_flowmap_fini(&m);
}

static uint32_t model_find(const int *model, int f)
{
    for (uint32_t i = 0; i < N; i++)
        if (model[i] == f)
            return i;
    return XT_FLOW_NONE;
}

Test(flowmap, agrees_with_a_plain_array)
{
    unsigned first = 1, seed = first;
    struct xt_key key;
    struct xt_flowmap m;
    int model[N];
    printf("flowmap seed %u\n", first);
    xt_random_bytes(&key, sizeof key);
    xt_flowmap_init(&m, N, &key, &keys);
    for (unsigned i = 0; i < N; i++)
        model[i] = -1;
    for (unsigned step = 0; step < 100000; step++) {
        int f = rand_r(&seed) % 150;
        uint32_t i = (uint32_t)rand_r(&seed) % N, at = model_find(model, f);
        struct xt_flow key_f = flow((unsigned)f);
        cr_assert_eq(xt_flowmap_find(&m, &key_f), at);
        if (rand_r(&seed) % 2) {
            bool taken = model[i] != -1 || at != XT_FLOW_NONE;
            cr_assert_eq(add(&m, &key_f, i), taken ? -EEXIST : 0);
            if (!taken)
                model[i] = f;
        } else {
            xt_flowmap_remove(&m, i);
            model[i] = -1;
        }
    }
    xt_flowmap_fini(&m);
}

static struct xt_flow one_of_many(uint32_t n)
{
    return (struct xt_flow){.local = xt_addr_v4(1), .remote = xt_addr_v4(n), .lport = 80, .rport = 1000};
}

/* A chain for each entry and no more, whatever the greatest index is; and all are found at each size. */
Test(flowmap, grows_with_its_entries)
{
    enum { MANY = 5000 };
    struct xt_key key = {{2}};
    struct xt_flowmap m;
    cr_assert_eq(xt_flowmap_init(&m, MOST, &key, &keys), 0);
    for (uint32_t n = 0; n < MANY; n++) {
        struct xt_flow f = one_of_many(n), other = one_of_many(n / 2), none = one_of_many(n + 1);
        cr_assert_eq(add(&m, &f, n), 0);
        cr_assert_eq(xt_flowmap_find(&m, &f), n);
        cr_assert_eq(xt_flowmap_find(&m, &other), n / 2);
        cr_assert_eq(xt_flowmap_find(&m, &none), XT_FLOW_NONE);
    }
    uint32_t chains = m.mask + 1 + m.split, longest = 0;
    cr_assert(chains <= MANY && chains >= MANY - 1, "%u chains", chains);
    for (uint32_t c = 0; c < chains; c++) {
        uint32_t length = 0;
        for (uint32_t at = m.heads[c]; at && at != XT_FLOW_LAST; at = m.entries[at - 1].next)
            length++;
        longest = length > longest ? length : longest;
    }
    cr_assert(longest < 16, "%u in a chain", longest);
    for (uint32_t n = 0; n < MANY; n++) {
        struct xt_flow f = one_of_many(n);
        xt_flowmap_remove(&m, n);
        cr_assert_eq(xt_flowmap_find(&m, &f), XT_FLOW_NONE);
    }
    cr_assert_eq(m.count, 0);
    xt_flowmap_fini(&m);
}
