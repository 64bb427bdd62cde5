/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "libclient/preload/epoll_set.h"
#include "libclient/preload/preload.h"
#include "tests/unit/preload/lab.h"

static struct xp_set set;
static int fds[2];

static void set_up(void)
{
    struct xtcp_waiter *w;
    lab_up();
    lab_pair(fds);
    xp_set_init(&set);
    cr_assert_eq(xtcp_waiter_new(xp_ctxs[0], &w), 0);
    xp_set_use_waiter(&set, w, 0);
}

TestSuite(preload_epoll_set, .init = set_up);

static int add(int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    return xp_set_add(&set, fd, xp_get(fd), &ev);
}

static int collect(struct epoll_event *evs, int max)
{
    xp_set_news(&set);
    return xp_set_collect(&set, evs, max);
}

/* The events of the only item that is ready; 0: none is. */
static uint32_t one(void)
{
    struct epoll_event evs[4];
    int n = collect(evs, 4);
    cr_assert_leq(n, 1);
    return n ? evs[0].events : 0;
}

static void arrive(void)
{
    struct pollfd p = {.fd = fds[0], .events = POLLIN};
    cr_assert_eq(write(fds[1], "data", 4), 4);
    cr_assert_eq(poll(&p, 1, -1), 1);
}

Test(preload_epoll_set, add_find_del)
{
    struct epoll_event ev = {.events = EPOLLIN};
    cr_assert_eq(add(fds[0], EPOLLIN), 0);
    cr_assert_eq(add(fds[0], EPOLLIN), -EEXIST);
    cr_assert_eq(xp_set_mod(&set, fds[1], &ev), -ENOENT);
    cr_assert_eq(xp_set_del(&set, fds[1]), -ENOENT);
    cr_assert_eq(set.l->nxtcp, 1u);
    cr_assert_eq(xp_set_del(&set, fds[0]), 0);
    cr_assert_null(xp_set_find(&set, fds[0]));
    cr_assert_eq(set.l->nxtcp, 0u);
}

Test(preload_epoll_set, level_stays_while_true)
{
    char buf[8];
    add(fds[0], EPOLLIN);
    cr_assert_eq(one(), 0u);
    arrive();
    cr_assert_eq(one(), (uint32_t)EPOLLIN);
    cr_assert_eq(one(), (uint32_t)EPOLLIN);
    cr_assert_eq(read(fds[0], buf, 8), 4);
    cr_assert_eq(one(), 0u);
}

Test(preload_epoll_set, edge_comes_once_for_each_arrival)
{
    add(fds[0], EPOLLIN | EPOLLET);
    arrive();
    cr_assert_eq(one(), (uint32_t)EPOLLIN);
    cr_assert_eq(one(), 0u);
    arrive();
    cr_assert_eq(one(), (uint32_t)EPOLLIN, "also while data is unread");
    cr_assert_eq(one(), 0u);
}

Test(preload_epoll_set, oneshot_waits_for_mod)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT};
    add(fds[0], EPOLLIN | EPOLLONESHOT);
    arrive();
    cr_assert_eq(one(), (uint32_t)EPOLLIN);
    arrive();
    cr_assert_eq(one(), 0u);
    cr_assert_eq(xp_set_mod(&set, fds[0], &ev), 0);
    cr_assert_eq(one(), (uint32_t)EPOLLIN);
}

Test(preload_epoll_set, all_get_their_turn)
{
    struct epoll_event ev[2];
    add(fds[0], EPOLLOUT);
    add(fds[1], EPOLLOUT);
    for (int round = 0; round < 4; round++) {
        cr_assert_eq(collect(&ev[round % 2], 1), 1);
        if (round % 2)
            cr_assert_neq(ev[0].data.fd, ev[1].data.fd);
    }
    cr_assert_eq(collect(ev, 2), 2);
    cr_assert_neq(ev[0].data.fd, ev[1].data.fd, "each only once");
}

Test(preload_epoll_set, two_descriptors_of_one_socket)
{
    struct epoll_event evs[4];
    int copy = dup(fds[0]);
    add(fds[0], EPOLLIN | EPOLLET);
    add(copy, EPOLLIN | EPOLLET);
    arrive();
    cr_assert_eq(collect(evs, 4), 2);
    cr_assert_eq(xp_set_del(&set, fds[0]), 0);
    arrive();
    cr_assert_eq(collect(evs, 4), 1);
    cr_assert_eq(evs[0].data.fd, copy);
}

Test(preload_epoll_set, undecided_is_silent_until_it_moves)
{
    struct epoll_event ev = {.events = EPOLLOUT, .data.u64 = 77}, got;
    uint64_t w = xp_get(fds[0]);
    cr_assert_eq(xp_set_add(&set, fds[0], xp_word(XP_UNDECIDED, 0, 0, 0), &ev), 0);
    cr_assert_eq(one(), 0u);
    cr_assert_eq(xp_set_move(&set, fds[0], w), 0);
    cr_assert_eq(xp_set_move(&set, fds[0], w), -ENOENT);
    cr_assert_eq(collect(&got, 1), 1);
    cr_assert_eq(got.data.u64, 77u);
}

Test(preload_epoll_set, clear_forgets_all)
{
    add(fds[0], EPOLLOUT);
    add(fds[1], EPOLLOUT);
    xp_set_clear(&set);
    cr_assert_eq(one(), 0u);
    cr_assert_eq(add(fds[0], EPOLLOUT), 0);
    cr_assert_eq(one(), (uint32_t)EPOLLOUT);
}
