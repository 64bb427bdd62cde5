/* SPDX-License-Identifier: Apache-2.0
 * Ring space: extents never overlap, freed ones serve again, and what is not kept warm goes back to the kernel. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/app/arena.h"

#define SIZE (64u << 20)

static struct xt_arena a;
static uint64_t used;
static uint8_t *map;

static void start(void)
{
    int fd = memfd_create("arena", MFD_CLOEXEC);
    cr_assert_eq(ftruncate(fd, SIZE), 0);
    map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(map, MAP_FAILED);
    used = 0;
    xt_arena_init(&a, fd, 0, SIZE, &used);
}

static uint64_t populated(void)
{
    struct stat st;
    cr_assert_eq(fstat(a.fd, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

Test(arena, memory_goes_back, .init = start)
{
    struct xt_extent e[32];
    for (unsigned i = 0; i < 32; i++) {
        cr_assert(xt_arena_alloc(&a, 65536, &e[i]));
        memset(map + xt_extent_off(&e[i]), 1, e[i].size);
    }
    cr_assert_eq(used, 32u * 65536);
    cr_assert_eq(populated(), 32u * 65536);
    for (unsigned i = 0; i < 32; i++)
        xt_arena_release(&a, &e[i]);
    cr_assert_eq(used, 0);
    cr_assert_eq(populated(), 32u * 65536, "for the next sockets");
    xt_arena_settle(&a);
    for (unsigned i = 0; i < 8; i++) /* as long as these come, theirs stay */
        cr_assert(xt_arena_alloc(&a, 65536, &e[i]));
    for (unsigned i = 0; i < 8; i++)
        xt_arena_release(&a, &e[i]);
    for (unsigned n = 0; n < 3; n++) {
        xt_arena_settle(&a);
        cr_assert_leq(populated(), (32u - n * 4) * 65536);
        cr_assert_geq(populated(), 8u * 65536);
    }
    for (unsigned n = 0; n < 32; n++)
        xt_arena_settle(&a);
    cr_assert_eq(populated(), 0);
    xt_arena_fini(&a);
}

static void fill(struct xt_extent *e, unsigned n, uint32_t size)
{
    for (unsigned i = 0; i < n; i++) {
        cr_assert(xt_arena_alloc(&a, size, &e[i]));
        memset(map + xt_extent_off(&e[i]), 1, e[i].size);
    }
    for (unsigned i = 0; i < n; i++)
        xt_arena_release(&a, &e[i]);
}

Test(arena, what_is_kept_has_bounds, .init = start)
{
    static struct xt_extent e[300];
    fill(e, 20, 1u << 20);
    cr_assert_eq(populated(), XT_ARENA_WARM);
    xt_arena_cool(&a);
    cr_assert_eq(populated(), 0);
    xt_arena_fini(&a);
    start();
    fill(e, 300, 4096);
    cr_assert_eq(populated(), XT_ARENA_WARM_MAX * 4096);
    xt_arena_fini(&a);
}

/* When fresh space is used up, larger extents are split. */
Test(arena, splits, .init = start)
{
    struct xt_extent e[9], small;
    for (unsigned i = 0; i < 8; i++)
        cr_assert(xt_arena_alloc(&a, 8u << 20, &e[i]));
    cr_assert_not(xt_arena_alloc(&a, 4096, &small));
    xt_arena_release(&a, &e[3]);
    for (unsigned i = 0; i < 2048; i++)
        cr_assert(xt_arena_alloc(&a, 4096, &small), "piece %u", i);
    cr_assert_not(xt_arena_alloc(&a, 4096, &small));
    xt_arena_fini(&a);
}

/* Random takes and gives: each byte belongs to at most one extent. */
Test(arena, never_overlap, .init = start)
{
    static struct xt_extent e[200];
    static uint8_t owner[SIZE / 4096];
    unsigned seed = (unsigned)time(NULL);
    printf("seed %u\n", seed);
    for (unsigned n = 0; n < 20000; n++) {
        struct xt_extent *x = &e[rand_r(&seed) % 200];
        if (x->size) {
            memset(owner + xt_extent_off(x) / 4096, 0, x->size / 4096);
            xt_arena_release(&a, x);
        } else if (xt_arena_alloc(&a, 4096u << rand_r(&seed) % 7, x)) {
            cr_assert_leq(xt_extent_off(x) + x->size, SIZE);
            for (uint64_t p = xt_extent_off(x) / 4096; p < (xt_extent_off(x) + x->size) / 4096; p++) {
                cr_assert_eq(owner[p], 0, "page %u is given twice", (unsigned)p);
                owner[p] = 1;
            }
        }
    }
    xt_arena_fini(&a);
}
