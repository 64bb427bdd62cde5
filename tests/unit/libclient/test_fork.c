/* SPDX-License-Identifier: Apache-2.0
 * Forks: a socket ends when the last process that holds it has closed it or died, however it died. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/libclient/pair.h"

static pid_t fork_with(struct xtcp *x)
{
    cr_assert_eq(xtcp_fork_prepare(x), 0);
    pid_t pid = fork();
    if (pid == 0)
        xtcp_fork_child(x);
    else
        xtcp_fork_parent(x);
    return pid;
}

static int exit_of(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void ignore(void *arg, uint32_t s)
{
}

/* The child speaks on what it inherited; the parent's close does not end it; the child's exit does. */
Test(fork, child_keeps_the_socket)
{
    struct pair p;
    char buf[8];
    pair_start(&p, NULL);
    pair_connect(&p);
    pid_t pid = fork_with(p.x);
    if (pid == 0) {
        if (xtcp_recv(p.x, p.b, buf, 1, 0) != 1 || buf[0] != '1')
            _exit(1);
        if (xtcp_send(p.x, p.b, "child", 5, 0) != 5)
            _exit(2);
        _exit(xtcp_recv(p.x, p.b, buf, 1, 0) == 1 && buf[0] == '2' ? 0 : 3);
    }
    xtcp_close(p.x, p.b);
    xtcp_send(p.x, p.a, "1", 1, 0);
    cr_assert_eq(xtcp_recv(p.x, p.a, buf, 5, MSG_WAITALL), 5);
    cr_assert_arr_eq(buf, "child", 5);
    xtcp_send(p.x, p.a, "2", 1, 0);
    cr_assert_eq(exit_of(pid), 0);
    cr_assert_eq(xtcp_recv(p.x, p.a, buf, 1, 0), 0, "the child was the last holder");
    pair_stop(&p);
}

/* Sockets that the library has in advance are the parent's alone. */
Test(fork, both_open_connections_again)
{
    struct pair p;
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    int s, mine;
    pair_start(&p, NULL);
    for (unsigned n = 0; n < 2; n++)
        cr_assert_eq(xtcp_open(p.x, (struct sockaddr *)&at, sizeof at, &s), -EINPROGRESS);
    pid_t pid = fork_with(p.x);
    if (pid == 0)
        _exit(xtcp_open(p.x, (struct sockaddr *)&at, sizeof at, &s) == -EINPROGRESS ? s : 255);
    cr_assert_eq(xtcp_open(p.x, (struct sockaddr *)&at, sizeof at, &mine), -EINPROGRESS);
    int theirs = exit_of(pid);
    cr_expect_neq(theirs, 255);
    cr_expect_neq(theirs, mine);
    pair_stop(&p);
}

/* The parent ends at once; the child serves on. */
Test(fork, parent_leaves)
{
    struct pair p;
    char buf[8];
    pair_start(&p, NULL);
    pid_t pid = fork_with(p.x);
    if (pid == 0) {
        int s = xtcp_accept(p.x, p.l, NULL, NULL, 0);
        _exit(s >= 0 && xtcp_recv(p.x, s, buf, 2, MSG_WAITALL) == 2 && xtcp_send(p.x, s, buf, 2, 0) == 2 ? 0 : 1);
    }
    xtcp_detach(p.x);
    struct xtcp *other;
    cr_assert_eq(xtcp_attach(&other, p.d.path), 0);
    p.x = other;
    int s = pair_connect_new(&p);
    cr_assert_eq(xtcp_send(p.x, s, "hi", 2, 0), 2);
    cr_assert_eq(xtcp_recv(p.x, s, buf, 2, MSG_WAITALL), 2);
    cr_assert_eq(exit_of(pid), 0);
    pair_stop(&p);
}

struct memory {
    struct pair *p;
    uint64_t bytes;
};

static bool memory_is(void *arg)
{
    struct memory *m = arg;
    return daemon_stats(&m->p->d).bytes_mapped == m->bytes;
}

/* kill -9: what only the child had is closed and its memory comes back; what was shared stays. */
Test(fork, child_killed)
{
    struct pair p;
    char buf[8];
    int sync[2];
    pair_start(&p, NULL);
    pair_connect(&p);
    struct memory m = {&p, daemon_stats(&p.d).bytes_mapped};
    cr_assert_eq(pipe(sync), 0);
    pid_t pid = fork_with(p.x);
    if (pid == 0) {
        for (unsigned i = 0; i < 20; i++) {
            pair_connect(&p);
            xtcp_send(p.x, p.a, "x", 1, 0);
        }
        (void)!write(sync[1], "", 1);
        pause();
    }
    cr_assert_eq(read(sync[0], buf, 1), 1);
    cr_assert_gt(daemon_stats(&p.d).bytes_mapped, m.bytes);
    kill(pid, SIGKILL);
    cr_assert_eq(exit_of(pid), 100 + SIGKILL);
    cr_assert(daemon_until(memory_is, &m), "the child's rings were not given back");
    cr_assert_eq(xtcp_send(p.x, p.a, "alive", 5, 0), 5);
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, 5, MSG_WAITALL), 5);
    pair_stop(&p);
}

/* A process that dies while it holds a socket's lock does not take the socket with it. */
Test(fork, killed_with_a_lock)
{
    struct pair p;
    int sync[2];
    static char block[1 << 16];
    pair_start(&p, NULL);
    pair_connect(&p);
    cr_assert_eq(pipe(sync), 0);
    for (unsigned n = 0; n < 20; n++) {
        pid_t pid = fork_with(p.x);
        if (pid == 0) {
            (void)!write(sync[1], "", 1);
            for (;;) /* locks are held most of the time */
                if (xtcp_send(p.x, p.a, block, 4096, MSG_DONTWAIT) < 0)
                    xtcp_recv(p.x, p.b, block, sizeof block, MSG_DONTWAIT);
        }
        cr_assert_eq(read(sync[0], block, 1), 1);
        kill(pid, SIGKILL);
        cr_assert_eq(exit_of(pid), 100 + SIGKILL);
        while (xtcp_recv(p.x, p.b, block, sizeof block, MSG_DONTWAIT) > 0)
            ;
        cr_assert_eq(xtcp_send(p.x, p.a, "x", 1, 0), 1);
    }
    pair_stop(&p);
}

/* Pre-fork servers have hundreds of children: each has the socket, each is woken by what comes, and the socket ends with the last
 * of them. */
Test(fork, many_children)
{
    enum { N = 300 };
    struct pair p;
    char c;
    pid_t pid[N];
    pair_start(&p, NULL);
    pair_connect(&p);
    for (unsigned n = 0; n < N; n++)
        if ((pid[n] = fork_with(p.x)) == 0)
            _exit(xtcp_recv(p.x, p.b, &c, 1, 0) == 1 && xtcp_send(p.x, p.b, &c, 1, 0) == 1 ? 0 : 1);
    xtcp_close(p.x, p.b);
    for (unsigned n = 0; n < N; n++)
        cr_assert_eq(xtcp_send(p.x, p.a, "x", 1, 0), 1);
    for (unsigned n = 0; n < N; n++)
        cr_assert_eq(xtcp_recv(p.x, p.a, &c, 1, 0), 1);
    for (unsigned n = 0; n < N; n++)
        cr_assert_eq(exit_of(pid[n]), 0);
    cr_assert_eq(xtcp_recv(p.x, p.a, &c, 1, 0), 0, "the last child was the last holder");
    pair_stop(&p);
}

/* Waiters belong to a process; those that a fork brings along get places of their own. */
Test(fork, waiters_are_made_again)
{
    struct pair p;
    struct xtcp_waiter *w;
    pair_start(&p, NULL);
    pair_connect(&p);
    cr_assert_eq(xtcp_waiter_new(p.x, &w), 0);
    xtcp_waiter_sub(w, p.b);
    pid_t pid = fork_with(p.x);
    if (pid == 0) {
        while (!(xtcp_mask(p.x, p.b) & POLLIN)) {
            if (!xtcp_waiter_prepare(w)) {
                struct pollfd f = {.fd = xtcp_waiter_fd(w), .events = POLLIN};
                poll(&f, 1, -1);
            }
            xtcp_waiter_done(w);
            xtcp_waiter_take(w, ignore, NULL);
        }
        _exit(0);
    }
    xtcp_send(p.x, p.a, "x", 1, 0);
    cr_assert_eq(exit_of(pid), 0);
    pair_stop(&p);
}

/* A fork that was prepared but did not happen leaves nothing behind. */
Test(fork, prepared_in_vain)
{
    struct pair p;
    char c;
    pair_start(&p, NULL);
    pair_connect(&p);
    for (unsigned n = 0; n < XT_MAX_PROCS + 100; n++) {
        int rc;
        while ((rc = xtcp_fork_prepare(p.x)) == -ENOBUFS)
            poll(NULL, 0, 1);
        cr_assert_eq(rc, 0);
        xtcp_fork_parent(p.x);
    }
    xtcp_close(p.x, p.a);
    cr_assert_eq(xtcp_recv(p.x, p.b, &c, 1, 0), 0);
    pair_stop(&p);
}

/* Without _prepare, the child has no sockets and does no harm. */
Test(fork, unprepared_child)
{
    struct pair p;
    char c;
    pair_start(&p, NULL);
    pair_connect(&p);
    pid_t pid = fork();
    if (pid == 0) {
        xtcp_fork_child(p.x);
        _exit(!xtcp_alive(p.x) && xtcp_recv(p.x, p.b, &c, 1, 0) == -ECONNABORTED ? 0 : 1);
    }
    cr_assert_eq(exit_of(pid), 0);
    xtcp_send(p.x, p.a, "x", 1, 0);
    cr_assert_eq(xtcp_recv(p.x, p.b, &c, 1, 0), 1);
    pair_stop(&p);
}
