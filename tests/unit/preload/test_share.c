/* SPDX-License-Identifier: Apache-2.0
 * A set over fork: its shared list, and what is left of it by a process that is killed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/preload/epoll_nest.h"
#include "libclient/preload/epoll_share.h"
#include "libclient/preload/preload.h"
#include "tests/unit/preload/lab.h"

static int ep, fds[2];
static struct xp_set *set;

static int ctl(int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    return epoll_ctl(ep, op, fd, &ev) < 0 ? -errno : 0;
}

/* A set with one socket, shared with all children from now on. */
static void set_up(void)
{
    lab_up();
    lab_pair(fds);
    ep = epoll_create1(0);
    cr_assert_eq(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN), 0);
    set = xp_set_of(xp_get(ep));
    xp_set_lock(set);
    xp_set_share(set, ep);
    cr_assert_not_null(set->l->shared);
    xp_set_unlock(set);
}

TestSuite(preload_share, .init = set_up);

/* The events of the only one that is ready; 0: none is. */
static uint32_t one(int timeout)
{
    struct epoll_event evs[4];
    int n = epoll_wait(ep, evs, 4, timeout);
    cr_assert(n == 0 || n == 1, "%d events", n);
    return n ? evs[0].events : 0;
}

static void reap(pid_t pid, int sig)
{
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(sig ? WIFSIGNALED(status) && WTERMSIG(status) == sig : WIFEXITED(status) && WEXITSTATUS(status) == 0,
              "status %#x", (unsigned)status);
}

Test(preload_share, list_is_one)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN) == -EEXIST && ctl(EPOLL_CTL_DEL, fds[0], 0) == 0 &&
                      ctl(EPOLL_CTL_ADD, fds[1], EPOLLOUT | EPOLLONESHOT) == 0 && one(0) == EPOLLOUT && one(0) == 0
                  ? 0
                  : 1);
    reap(pid, 0);
    cr_assert_eq(ctl(EPOLL_CTL_DEL, fds[0], 0), -ENOENT);
    cr_assert_eq(one(0), 0u, "the child has taken it");
    cr_assert_eq(ctl(EPOLL_CTL_MOD, fds[1], EPOLLOUT), 0);
    cr_assert_eq(one(0), (uint32_t)EPOLLOUT);
}

Test(preload_share, one_number_two_sockets)
{
    int other[2];
    lab_pair(other);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(other[0], fds[0]);
        _exit(ctl(EPOLL_CTL_MOD, fds[0], EPOLLOUT) == -ENOENT && ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN) == 0 ? 0 : 1);
    }
    reap(pid, 0);
    cr_assert_eq(set->l->nxtcp, 2u);
    cr_assert_eq(ctl(EPOLL_CTL_MOD, fds[0], EPOLLOUT), 0, "the parent's is another");
    cr_assert_eq(one(0), (uint32_t)EPOLLOUT);
    cr_assert_eq(ctl(EPOLL_CTL_DEL, fds[0], 0), 0);
    cr_assert_eq(set->l->nxtcp, 1u);
}

/* Dies in the middle of a change, with everything but the items in disorder. */
Test(preload_share, lock_of_the_killed)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct xp_shared *sh = set->l->shared;
        xp_set_lock(set);
        sh->list.by_fd[fds[0]] = NULL;
        sh->list.by_sock[xp_value(xp_get(fds[0]))] = NULL;
        sh->list.ready = (void *)1;
        sh->list.ready_tail = NULL;
        sh->list.nxtcp = 99;
        kill(getpid(), SIGKILL);
    }
    reap(pid, SIGKILL);
    cr_assert_neq(set->l->shared->lock, 0u);
    cr_assert_eq(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN), -EEXIST);
    cr_assert_eq(set->l->nxtcp, 1u);
    cr_assert_eq(write(fds[1], "x", 1), 1);
    cr_assert_eq(one(-1), (uint32_t)EPOLLIN);
    cr_assert_eq(ctl(EPOLL_CTL_MOD, fds[0], EPOLLOUT), 0);
    cr_assert_eq(one(0), (uint32_t)EPOLLOUT);
}

/* At any moment: the member that nobody touches is always there, and the set goes on. */
Test(preload_share, killed_at_work, .timeout = 250)
{
    enum { ROUNDS = 150 };
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct epoll_event ev;
            for (;;) {
                ctl(EPOLL_CTL_ADD, fds[1], EPOLLOUT);
                ctl(EPOLL_CTL_MOD, fds[1], EPOLLIN | EPOLLOUT);
                epoll_wait(ep, &ev, 1, 0);
                ctl(EPOLL_CTL_DEL, fds[1], 0);
            }
        }
        for (int i = 0; i < 1 + round % 7 * 3; i++)
            ctl(EPOLL_CTL_MOD, fds[0], EPOLLIN);
        kill(pid, SIGKILL);
        reap(pid, SIGKILL);
        cr_assert_eq(ctl(EPOLL_CTL_ADD, fds[0], EPOLLOUT), -EEXIST);
        cr_assert_eq(ctl(EPOLL_CTL_MOD, fds[0], EPOLLOUT), 0);
        ctl(EPOLL_CTL_DEL, fds[1], 0);
        cr_assert_eq(one(0), (uint32_t)EPOLLOUT, "round %d", round);
        cr_assert_eq(ctl(EPOLL_CTL_MOD, fds[0], EPOLLIN), 0);
        cr_assert_eq(set->l->nxtcp, 1u);
    }
}

/* A process that cannot share any longer takes a copy with it. */
Test(preload_share, leave)
{
    pid_t pid = fork();
    if (pid == 0) {
        xp_set_lock(set);
        int rc = xp_set_leave(set, ep);
        xp_set_unlock(set);
        _exit(rc == 0 && !set->l->shared && ctl(EPOLL_CTL_MOD, fds[0], EPOLLOUT) == 0 && one(0) == EPOLLOUT &&
                      ctl(EPOLL_CTL_DEL, fds[0], 0) == 0 && one(0) == 0
                  ? 0
                  : 1);
    }
    reap(pid, 0);
    cr_assert_eq(set->l->shared->lock, 0u);
    cr_assert_eq(one(0), 0u);
    cr_assert_eq(ctl(EPOLL_CTL_MOD, fds[0], EPOLLOUT), 0);
    cr_assert_eq(one(0), (uint32_t)EPOLLOUT);
}
