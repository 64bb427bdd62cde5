/* SPDX-License-Identifier: Apache-2.0
 * The interposed calls themselves, in this process, over the fake xtcp. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/preload/epoll_nest.h"
#include "libclient/preload/epoll_share.h"
#include "libclient/preload/preload.h"
#include "tests/unit/preload/lab.h"

TestSuite(preload_calls, .init = lab_up);

static void expect_echo(int from, int to)
{
    char c = 0;
    cr_assert_eq(write(from, "e", 1), 1);
    cr_assert_eq(read(to, &c, 1), 1);
    cr_assert_eq(c, 'e');
}

static void expect_end(int fd)
{
    char c;
    cr_assert_eq(read(fd, &c, 1), 0);
}

Test(preload_calls, udp_and_unix_are_the_kernels)
{
    int udp = socket(AF_INET, SOCK_DGRAM, 0), un = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(xp_get(udp), 0u);
    cr_assert_eq(xp_get(un), 0u);
}

Test(preload_calls, loopback_is_the_kernels)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(xp_kind(xp_get(fd)), XP_UNDECIDED);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(xp_get(fd), 0u);
}

Test(preload_calls, last_close_counts)
{
    int p[2], copy, high;
    lab_pair(p);
    copy = dup(p[0]);
    high = fcntl(p[0], F_DUPFD_CLOEXEC, 300);
    cr_assert_geq(high, 300);
    close(p[0]);
    expect_echo(copy, p[1]);
    cr_assert_eq(dup2(high, copy), copy);
    cr_assert_eq(syscall(SYS_close, high), 0);
    expect_echo(copy, p[1]);
    cr_assert_eq(syscall(SYS_close, copy), 0);
    expect_end(p[1]);
}

Test(preload_calls, a_copy_of_an_undecided_socket_follows_it)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0), copy = dup(fd);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(xp_kind(xp_get(copy)), XP_XTCP);
    cr_assert_eq(getsockname(copy, (struct sockaddr *)&a, &len), 0);
    cr_assert_neq(a.sin_port, 0);
}

Test(preload_calls, options_and_flags_are_carried_over)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), v = 33;
    socklen_t len = sizeof v;
    cr_assert_eq(setsockopt(fd, IPPROTO_TCP, 4 /* TCP_KEEPIDLE */, &v, sizeof v), 0);
    v = 40000;
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof v), 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(xp_kind(xp_get(fd)), XP_XTCP);
    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, 4, &v, &len), 0);
    cr_assert_eq(v, 33);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, &len), 0);
    cr_assert_eq(v, 80000);
    cr_assert_eq(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_RDWR);
    cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

/* Not an end of file, which would be a lie. */
Test(preload_calls, a_hidden_write_or_read_fails)
{
    int p[2];
    char c;
    lab_pair(p);
    cr_assert_eq(xp_rawcall(SYS_write, p[0], (long)"x", 1, 0, 0, 0), -ENOTCONN);
    cr_assert_eq(xp_rawcall(SYS_read, p[0], (long)&c, 1, 0, 0, 0), -EINVAL);
}

Test(preload_calls, closing_everything_spares_the_librarys_own)
{
    int p[2], ep, l, port;
    struct epoll_event ev = {.events = EPOLLIN};
    lab_pair(p);
    ep = epoll_create1(0);
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev);
    cr_assert_eq(close_range((unsigned)p[0], ~0u, 0), 0);
    for (int fd = p[0]; fd < 2000; fd++)
        close(fd);
    cr_assert_eq(xp_kind(xp_get(p[0])), XP_KERNEL);
    l = lab_listen(&port);
    cr_assert_geq(l, 0);
    lab_pair(p);
    expect_echo(p[0], p[1]);
}

Test(preload_calls, a_vfork_child_changes_nothing_here)
{
    int p[2], status;
    lab_pair(p);
    pid_t pid = vfork();
    if (pid == 0) {
        dup2(p[0], 0);
        close(p[0]);
        close(p[1]);
        _exit(xp_rawcall(SYS_fcntl, p[0], F_GETFD, 0, 0, 0, 0) == -EBADF ? 7 : 8);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(WEXITSTATUS(status), 7);
    expect_echo(p[0], p[1]);
}

static void *wait_one(void *arg)
{
    struct epoll_event ev;
    int n = epoll_wait(*(int *)arg, &ev, 1, -1);
    return (void *)(intptr_t)(n == 1 ? ev.data.fd : -1);
}

/* Lets another thread get into its sleep: not needed for the outcome, only to make the interesting order likely. */
static void let_run(void)
{
    for (int i = 0; i < 1000; i++)
        sched_yield();
}

Test(preload_calls, a_sleeper_in_an_empty_set_sees_the_first_socket)
{
    struct epoll_event ev = {.events = EPOLLOUT};
    int p[2], ep = epoll_create1(0);
    pthread_t t;
    void *got;
    lab_pair(p);
    pthread_create(&t, NULL, wait_one, &ep);
    let_run();
    ev.data.fd = p[0];
    cr_assert_eq(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev), 0);
    pthread_join(t, &got);
    cr_assert_eq((intptr_t)got, p[0]);
}

/* Which the next look at the kernel's set adds first, and wakes all who sleep. */
static struct {
    int fd;
    int (*wait)(int ep, struct epoll_event *evs, int max, int ms);
} late;

static int add_and_wait(int ep, struct epoll_event *evs, int max, int ms)
{
    struct epoll_event ev = {.events = EPOLLOUT, .data.fd = late.fd};
    xp_real_table.epoll_wait = late.wait;
    cr_assert_eq(epoll_ctl(ep, EPOLL_CTL_ADD, late.fd, &ev), 0);
    xp_set_kick(xp_set_of(xp_get(ep)));
    return late.wait(ep, evs, max, ms);
}

Test(preload_calls, the_first_socket_comes_while_somebody_looks)
{
    struct epoll_event ev = {0};
    int p[2], ep = epoll_create1(0);
    lab_pair(p);
    late.fd = p[0];
    late.wait = xp_real.epoll_wait;
    xp_real_table.epoll_wait = add_and_wait;
    cr_assert_eq(epoll_wait(ep, &ev, 1, 0), 1);
    cr_assert_eq(ev.data.fd, p[0], "an event of the program's, not of the library's");
}

static ssize_t (*real_write)(int fd, const void *buf, size_t len);
static int kicked;

static ssize_t lose_kicks(int fd, const void *buf, size_t len)
{
    return fd == xp_set_of(xp_get(kicked))->l->kick ? (ssize_t)len : real_write(fd, buf, len);
}

static bool has_sleeper(int ep)
{
    struct xp_set *s = xp_set_of(xp_get(ep));
    bool has = false;
    if (s) {
        xp_set_lock(s);
        has = s->l->sleepers > 0;
        xp_set_unlock(s);
    }
    return has;
}

/* Another thread's look at the kernel's set has taken the kick that was for the sleeper. */
Test(preload_calls, a_sleeper_in_an_empty_set_needs_no_kick, .timeout = 60)
{
    struct epoll_event ev = {.events = EPOLLIN};
    int p[2], ep = epoll_create1(0);
    pthread_t t;
    void *got;
    lab_pair(p);
    pthread_create(&t, NULL, wait_one, &ep);
    while (!has_sleeper(ep))
        sched_yield();
    real_write = xp_real.write;
    kicked = ep;
    xp_real_table.write = lose_kicks;
    ev.data.fd = p[0];
    cr_assert_eq(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev), 0);
    xp_real_table.write = real_write;
    cr_assert_eq(write(p[1], "x", 1), 1);
    pthread_join(t, &got);
    cr_assert_eq((intptr_t)got, p[0]);
}

Test(preload_calls, two_sleepers_two_events)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT};
    int p[2], q[2], ep = epoll_create1(0);
    pthread_t t[2];
    void *got[2];
    lab_pair(p);
    lab_pair(q);
    ev.data.fd = p[0];
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev);
    ev.data.fd = q[0];
    epoll_ctl(ep, EPOLL_CTL_ADD, q[0], &ev);
    pthread_create(&t[0], NULL, wait_one, &ep);
    pthread_create(&t[1], NULL, wait_one, &ep);
    let_run();
    cr_assert_eq(write(p[1], "x", 1), 1);
    cr_assert_eq(write(q[1], "x", 1), 1);
    pthread_join(t[0], &got[0]);
    pthread_join(t[1], &got[1]);
    cr_assert_eq((intptr_t)got[0] + (intptr_t)got[1], p[0] + q[0]);
}

Test(preload_calls, a_set_that_a_child_inherits_works_in_both)
{
    struct epoll_event ev = {.events = EPOLLIN}, got[4];
    int p[2], ep = epoll_create1(0), efd = eventfd(0, 0), status;
    uint64_t one = 1;
    lab_pair(p);
    ev.data.fd = p[0];
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev);
    ev.data.fd = efd;
    epoll_ctl(ep, EPOLL_CTL_ADD, efd, &ev);
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = epoll_wait(ep, got, 4, -1) >= 1 && got[0].data.fd == p[0];
        ok = ok && write(efd, &one, sizeof one) > 0 && read(p[0], &one, 1) == 1;
        ok = ok && epoll_wait(ep, got, 4, -1) == 1 && got[0].data.fd == efd;
        _exit(ok ? 0 : 1);
    }
    cr_assert_eq(write(p[1], "x", 1), 1);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(WEXITSTATUS(status), 0);
    cr_assert_eq(epoll_wait(ep, got, 4, -1), 1);
    cr_assert_eq(got[0].data.fd, efd, "the child has read the socket");
    cr_assert_eq(read(efd, &one, sizeof one), 8);
    cr_assert_eq(write(p[1], "y", 1), 1);
    cr_assert_eq(epoll_wait(ep, got, 4, -1), 1);
    cr_assert_eq(got[0].data.fd, p[0]);
}

Test(preload_calls, splice_both_ways)
{
    char buf[8] = "";
    int p[2], pi[2];
    lab_pair(p);
    cr_assert_eq(pipe(pi), 0);
    cr_assert_eq(write(pi[1], "abc", 3), 3);
    cr_assert_eq(splice(pi[0], NULL, p[0], NULL, 100, 0), 3);
    cr_assert_eq(splice(p[1], NULL, pi[1], NULL, 100, 0), 3);
    cr_assert_eq(read(pi[0], buf, 8), 3);
    cr_assert_str_eq(buf, "abc");
    close(p[0]);
    cr_assert_eq(splice(p[1], NULL, pi[1], NULL, 100, 0), 0);
}

Test(preload_calls, a_stream_is_ours)
{
    char buf[8] = "";
    int p[2];
    lab_pair(p);
    FILE *f = fdopen(p[0], "r+");
    cr_assert_eq(fileno(f), p[0]);
    fputs("line\n", f);
    fflush(f);
    cr_assert_eq(read(p[1], buf, 8), 5);
    cr_assert_eq(write(p[1], "hi\n", 3), 3);
    cr_assert_not_null(fgets(buf, 8, f));
    cr_assert_str_eq(buf, "hi\n");
    cr_assert_eq(fclose(f), 0);
    expect_end(p[1]);
}

Test(preload_calls, without_a_daemon_the_call_fails, .init = NULL)
{
    setenv("FAKE_NO_DAEMON", "1", 1);
    cr_assert_eq(socket(AF_INET, SOCK_STREAM, 0), -1);
    cr_assert_eq(errno, ENETDOWN);
}

Test(preload_calls, without_a_daemon_the_kernel_serves_if_so_configured, .init = NULL)
{
    setenv("FAKE_NO_DAEMON", "1", 1);
    setenv("XTCP_FALLBACK", "kernel", 1);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(xp_get(fd), 0u);
}

Test(preload_calls, a_fork_that_the_daemon_refuses_has_no_sockets)
{
    int p[2], status;
    lab_pair(p);
    setenv("FAKE_NO_FORK", "1", 1);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        bool fails = read(p[0], &c, 1) == -1 && errno == EINVAL && write(p[0], "x", 1) == -1 && errno == ENOTCONN;
        _exit(fails && close(p[0]) == 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(WEXITSTATUS(status), 0);
    expect_echo(p[0], p[1]);
}
