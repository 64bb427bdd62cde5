/* SPDX-License-Identifier: Apache-2.0
 * Memory that a burst has touched goes back to the system: of an array, and of a stack's boards and what its connections seldom need. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/sparse.h"
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"
#include "tests/unit/stack/net.h"

#define PAGE 4096u
#define COUNT 2000u

static int fd;

static uint8_t *shared(size_t size)
{
    fd = memfd_create("sparse", MFD_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, (off_t)size), 0);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(p, MAP_FAILED);
    return p;
}

static size_t taken(void)
{
    struct stat st;
    cr_assert_eq(fstat(fd, &st), 0);
    return (size_t)st.st_blocks * 512;
}

static bool used[COUNT];

static bool is_used(void *arg, uint32_t i)
{
    return used[i];
}

/* Returns whether another turn is wanted. */
static bool turn(struct xt_sparse *sp)
{
    bool again;
    while (xt_sparse_turn(sp, is_used, NULL, &again))
        ;
    return again;
}

static void check(const uint8_t *base, uint32_t size)
{
    for (uint32_t i = 0; i < COUNT; i++)
        for (uint32_t k = 0; used[i] && k < size; k++)
            cr_assert_eq(base[(size_t)i * size + k], 1 + i % 255, "entry %u", i);
}

static void gives_back(uint32_t size, uint32_t off)
{
    size_t all = (size_t)COUNT * size + off;
    uint8_t *map = shared(all + PAGE), *base = map + off;
    struct xt_sparse sp;
    memset(map, 7, all + PAGE);
    size_t full = taken();
    cr_assert_eq(xt_sparse_init(&sp, base, size, COUNT), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        memset(base + (size_t)i * size, (int)(1 + i % 255), size);
        used[i] = i % 500 == 0 || i < 3;
        if (!used[i])
            xt_sparse_left(&sp, i);
    }
    cr_assert(turn(&sp));
    cr_assert_eq(taken(), full, "not before a turn has passed");
    cr_assert_not(turn(&sp));
    cr_assert_lt(taken(), 30 * (size + 2 * PAGE) + PAGE);
    check(base, size);
    for (uint32_t k = 0; k < off; k++)
        cr_assert_eq(map[k], 7, "what lies before it");
    cr_assert_eq(base[(size_t)COUNT * size], 7, "and behind it");
    cr_assert_not(turn(&sp));
    /* What comes out of use all the time stays. */
    used[700] = true;
    memset(base + (size_t)700 * size, 1 + 700 % 255, size);
    size_t with = taken();
    used[700] = false;
    for (int n = 0; n < 5; n++) {
        xt_sparse_left(&sp, 700);
        cr_assert(turn(&sp));
        cr_assert_eq(taken(), with);
    }
    cr_assert_not(turn(&sp));
    cr_assert_lt(taken(), with);
    xt_sparse_fini(&sp);
    munmap(map, all + PAGE);
    close(fd);
}

Test(sparse, pages_without_an_entry_in_use_go_back)
{
    gives_back(256, 64);
    gives_back(3184, 0);
    gives_back(216, 2000);
    gives_back(PAGE, 0);
    gives_back(3 * PAGE + 16, 4080);
}

Test(sparse, of_a_size_of_nothing_there_is_nothing_to_give)
{
    struct xt_sparse sp;
    uint8_t byte;
    bool again;
    cr_assert_eq(xt_sparse_init(&sp, &byte, 0, 10), 0);
    xt_sparse_left(&sp, 5);
    cr_assert_not(xt_sparse_turn(&sp, is_used, NULL, &again));
    cr_assert_not(again);
    xt_sparse_fini(&sp);
}

static struct host h;
static struct xt_conn *c[MAX_CONNS];

static void pass(uint64_t *now, unsigned seconds)
{
    while (seconds--)
        xt_stack_timers(h.s, *now += XT_US_PER_S);
}

/* Connections that lose something need a board and what is seldom needed. When they need the boards no more these go back, and when
 * they are over the rest does: a while later the state takes what it took before. */
Test(sparse, a_stack_that_had_a_burst)
{
    const struct xt_endpoint local = {.addr = xt_addr_v4(ip(1)), .port = 80};
    uint64_t now = 1000 * XT_US_PER_S;
    const uint32_t n = MAX_CONNS - 10;
    host_cfg(&h, 1);
    h.state = shared(xt_stack_state_size(h.cfg.max_conns));
    host_start(&h, now);
    for (uint32_t i = 0; i < n; i++) {
        const struct xt_endpoint remote = {.addr = xt_addr_v4(ip(2)), .port = (uint16_t)(1000 + i)};
        c[i] = xt_conn_new(h.s, &local, &remote, 0);
        cr_assert(c[i]);
    }
    size_t before = taken();
    for (uint32_t i = 0; i < n; i++) {
        xt_seldom(c[i])->bytes_retrans = 1;
        xt_board_give(h.s, c[i]);
        cr_assert_neq(c[i]->board, 0);
        memset(xt_board_of(c[i]), 1, sizeof(struct xt_board));
    }
    cr_assert_geq(taken() - before, n * sizeof(struct xt_board));
    for (uint32_t i = 1; i < n; i++)
        xt_board_end(h.s, c[i]);
    pass(&now, 60);
    cr_assert_lt(taken(), before + n * sizeof(struct xt_seldom) + 6 * PAGE);
    cr_assert_eq(((const uint8_t *)xt_board_of(c[0]))[100], 1, "the one that is lent");
    cr_assert_eq(xt_seldom_of(c[n - 1])->bytes_retrans, 1);
    c[0]->n_sent = 0;
    xt_board_end(h.s, c[0]);
    for (uint32_t i = 0; i < n; i++)
        xt_conn_after(h.s, c[i], XT_EV_CLOSED);
    pass(&now, 60);
    cr_assert_leq(taken(), before + 2 * PAGE);
    munmap(h.state, xt_stack_state_size(h.cfg.max_conns));
    h.state = NULL;
    host_stop(&h);
}
