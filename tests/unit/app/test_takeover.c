/* SPDX-License-Identifier: Apache-2.0
 * What another process has left of a session, when some of it is missing or wrong: refused, and nothing leaks. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/app/internal.h"

#define SLOTS 64

static struct xt_app *app;
static struct xt_session *made;

static unsigned descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static struct xt_app *new_app(void)
{
    const struct xt_app_cfg cfg = {.max_slots = SLOTS, .arena = 8u << 20, .max_sessions = 8};
    struct xt_app *x;
    cr_assert_eq(xt_app_new(&x, &cfg), 0);
    return x;
}

static void setup(void)
{
    int fd;
    struct xt_app *before = new_app();
    cr_assert_eq(xt_session_new(before, 1, 2, "left", &made), 0);
    cr_assert_eq(xt_session_add_proc(made, 77), 0);
    cr_assert_eq(xt_session_add_waiter(made, 0, &fd), 0);
    cr_assert_eq(xt_session_add_waiter(made, 0, &fd), 1);
    app = new_app();
}

/* What is missing: a letter, and a number for those that have one. */
static char lacks;
static uint32_t lacks_n;
static unsigned readers; /* that were taken */

static int take(void *arg, uint32_t id, char what, uint32_t i)
{
    uint32_t proc;
    int r, w;
    cr_assert_eq(id, xt_session_id(made));
    if (what == lacks && i == lacks_n)
        return -1;
    if (what == XT_KEEP_REGION)
        return dup(arg ? *(int *)arg : xt_session_memfd(made));
    if (what == XT_KEEP_DOORBELL)
        return dup(xt_session_doorbell(made));
    cr_assert(xt_session_waiter(made, i, &proc, &r, &w));
    readers += what == XT_KEEP_READER;
    return dup(what == XT_KEEP_READER ? r : w);
}

/* Where it fails, the next process finds the ledger as it was. */
static int open_it(void *arg, struct xt_session **out)
{
    static struct xt_ledger before;
    before = *made->l;
    int rc = xt_session_open(app, dup(xt_session_ledger(made)), take, arg, out);
    if (rc < 0)
        cr_assert_eq(memcmp(&before, made->l, sizeof before), 0);
    return rc;
}

TestSuite(takeover, .init = setup);

Test(takeover, all_is_there)
{
    struct xt_session *s;
    cr_assert_eq(open_it(NULL, &s), 0);
    cr_assert_eq(xt_session_id(s), xt_session_id(made));
    cr_assert_eq(xt_session_uid(s), 2);
    cr_assert_eq(xt_session_next_proc(s, 0), 0);
    cr_assert_eq(xt_session_next_proc(s, 1), XT_MAX_PROCS);
    struct xt_session *again;
    unsigned before = descriptors();
    cr_assert_eq(open_it(NULL, &again), -ENOBUFS, "its place is taken");
    cr_assert_eq(descriptors(), before);
}

Test(takeover, without_region_or_doorbell_it_is_refused)
{
    struct xt_session *s;
    unsigned before = descriptors();
    for (const char *what = "mb"; *what; what++) {
        lacks = *what;
        cr_assert_eq(open_it(NULL, &s), -EPROTO, "without %c", *what);
        cr_assert_eq(descriptors(), before, "without %c", *what);
    }
    lacks = 0;
    cr_assert_eq(open_it(NULL, &s), 0, "the place was given back");
}

Test(takeover, a_region_that_is_none_is_refused)
{
    struct xt_session *s;
    unsigned before = descriptors();
    int small = memfd_create("small", MFD_CLOEXEC | MFD_ALLOW_SEALING),
        unsealed = memfd_create("unsealed", MFD_CLOEXEC);
    cr_assert_eq(ftruncate(unsealed, (off_t)made->size), 0);
    cr_assert_eq(open_it(&small, &s), -EPROTO);
    cr_assert_eq(open_it(&unsealed, &s), -EPROTO, "it could shrink under us");
    close(small);
    close(unsealed);
    cr_assert_eq(descriptors(), before);
}

/* What cannot be mapped for writing stands for what there is no memory to map. */
Test(takeover, for_want_of_memory_nothing_is_lost)
{
    struct xt_session *s;
    char path[64];
    uint32_t proc;
    int r, w;
    snprintf(path, sizeof path, "/proc/self/fd/%d", xt_session_memfd(made));
    int region = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(open_it(&region, &s), -ENOMEM);
    close(region);
    cr_assert_eq(open_it(NULL, &s), 0);
    cr_assert(xt_session_waiter(s, 0, &proc, &r, &w));
    cr_assert(xt_session_waiter(s, 1, &proc, &r, &w));
}

Test(takeover, a_waiter_without_its_pipe_is_gone)
{
    struct xt_session *s;
    uint32_t proc;
    int r, w;
    unsigned before = descriptors();
    lacks = XT_KEEP_WRITER;
    lacks_n = 1;
    cr_assert_eq(open_it(NULL, &s), 0);
    cr_assert(xt_session_waiter(s, 0, &proc, &r, &w));
    cr_assert_not(xt_session_waiter(s, 1, &proc, &r, &w));
    cr_assert_eq(descriptors(), before + 5, "ledger, region, doorbell, one pipe");
    cr_assert_eq(readers, 1u, "what is left of the other pipe is not taken: the keeper lets go of it");
}

Test(takeover, other_ledgers_are_refused)
{
    struct xt_ledger *l;
    struct xt_session *s;
    unsigned before = descriptors();
    int fd;
    cr_assert_eq(xt_session_open(app, memfd_create("empty", MFD_CLOEXEC), take, NULL, &s), -EPROTO);
    cr_assert_eq(xt_ledger_new(&l, &fd, SLOTS), 0);
    uint32_t *const words[] = {&l->magic, &l->version, &l->slot_size, &l->max_slots, &l->slots_high};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        struct xt_ledger *other;
        uint32_t was = *words[i];
        *words[i] = was + SLOTS + 1;
        cr_assert_eq(xt_ledger_open(&other, fd), -EPROTO, "word %u", i);
        *words[i] = was;
    }
    l->id = 0x10005; /* not the id of its index */
    l->arena = 8u << 20;
    lacks = XT_KEEP_REGION;
    xt_ledger_close(l);
    close(fd);
    cr_assert_eq(descriptors(), before);
}

Test(arena, takes_over_what_was_handed_out)
{
    uint64_t used = 0;
    int fd = memfd_create("arena", MFD_CLOEXEC);
    cr_assert_eq(ftruncate(fd, 1 << 20), 0);
    struct xt_arena a;
    struct xt_extent e[] = {{16, 65536}, {2, 4096}, {64, 262144}}, x;
    xt_arena_init(&a, fd, 4096, (1 << 20) - 4096, &used);
    cr_assert(xt_arena_adopt(&a, e, 3));
    cr_assert_eq(used, 65536u + 4096 + 262144);
    uint64_t total = used;
    for (unsigned i = 0; xt_arena_alloc(&a, 4096, &x); i++, total += 4096)
        for (unsigned k = 0; k < 3; k++)
            cr_assert(x.page + 1 <= e[k].page || x.page >= e[k].page + e[k].size / 4096, "extent %u overlaps", i);
    cr_assert_eq(total, (1u << 20) - 4096, "the gaps serve too");
    xt_arena_fini(&a);
    close(fd);
}

Test(arena, does_not_take_over_what_cannot_be)
{
    static const struct xt_extent wrong[][2] = {
        {{2, 8192}, {3, 4096}},                                    /* overlap */
        {{2, 4096}, {2, 4096}},                                    /* twice */
        {{0, 4096}, {2, 4096}},                                    /* in front of the arena */
        {{2, 5000}, {16, 4096}},                                   /* no power of two */
        {{2, 2048}, {16, 4096}},                                   /* too small */
        {{256, 4096}, {2, 4096}},                                  /* behind the end */
        {{2, 4096}, {UINT32_MAX, 4096}}, {{255, 8192}, {2, 4096}}, /* over the end */
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t used = 0;
        struct xt_arena a;
        struct xt_extent e[2] = {wrong[i][0], wrong[i][1]};
        xt_arena_init(&a, -1, 4096, (1 << 20) - 4096, &used);
        cr_assert_not(xt_arena_adopt(&a, e, 2), "pair %u", i);
        xt_arena_fini(&a);
    }
}
