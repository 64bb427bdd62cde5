/* SPDX-License-Identifier: Apache-2.0
 * Numbers that are kept for the next sockets: closed for the program, and used again without a call of the kernel's. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/preload/preload.h"
#include "tests/unit/preload/lab.h"

TestSuite(preload_kept, .init = lab_up);

/* What the kernel has at that number. */
static bool is_open(int fd)
{
    return xp_rawcall(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0) >= 0;
}

static bool is_kept(int fd)
{
    return xp_kind(xp_get(fd)) == XP_KEPT && is_open(fd);
}

static int kept(void)
{
    int n = 0;
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1))
        n += xp_kind(xp_get(fd)) == XP_KEPT;
    return n;
}

static void expect_echo(int from, int to)
{
    char c = 0;
    cr_assert_eq(write(from, "e", 1), 1);
    cr_assert_eq(read(to, &c, 1), 1);
    cr_assert_eq(c, 'e');
}

/* The only number that is kept, and none below is free: of an accepted socket whose peer is *peer. */
static int keep_one(int *peer)
{
    int p[2], hole;
    lab_pair(p);
    *peer = p[0];
    xp_kept_drop(); /* the listener */
    cr_assert_eq(close(p[1]), 0);
    cr_assert(is_kept(p[1]));
    do
        hole = (int)xp_rawcall(SYS_dup, p[0], 0, 0, 0, 0, 0);
    while (hole < p[1]);
    xp_rawcall(SYS_close, hole, 0, 0, 0, 0, 0);
    return p[1];
}

Test(preload_kept, the_lowest_is_taken)
{
    int port, l = lab_listen(&port), c[6], a[6];
    for (int i = 0; i < 6; i++)
        c[i] = lab_connect(port);
    for (int i = 0; i < 4; i++)
        a[i] = accept(l, NULL, NULL);
    cr_assert_lt(a[0], a[3]);
    close(a[3]);
    close(a[0]);
    cr_assert(is_kept(a[0]) && is_kept(a[3]));
    a[4] = accept(l, NULL, NULL);
    a[5] = accept(l, NULL, NULL);
    cr_assert_eq(a[4], a[0]);
    cr_assert_eq(a[5], a[3]);
    cr_assert_eq(kept(), 0);
    expect_echo(c[4], a[4]);
    expect_echo(c[5], a[5]);
    close(a[1]);
    int un = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(un, a[1], "what is made by a call that the library sees has the lowest number, too");
}

static int select_one(int fd)
{
    struct timeval now = {0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &now);
}

Test(preload_kept, is_closed_for_the_program)
{
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    struct pollfd p = {.events = POLLIN};
    struct epoll_event ev = {.events = EPOLLIN};
    struct stat st;
    int peer, v, ep = epoll_create1(0), file = open("/proc/self/exe", O_RDONLY);
    char c;
#define CLOSED(call)                  \
    do {                              \
        int fd = keep_one(&peer);     \
        errno = 0;                    \
        cr_expect_eq((call), -1);     \
        cr_expect_eq(errno, EBADF);   \
        cr_expect_not(is_open(fd));   \
        cr_expect_eq(xp_get(fd), 0u); \
        close(peer);                  \
    } while (0)
    CLOSED(close(fd));
    CLOSED(syscall(SYS_close, fd));
    CLOSED(syscall(SYS_fsync, fd));
    CLOSED(read(fd, &c, 1));
    CLOSED(write(fd, "x", 1));
    CLOSED(recv(fd, &c, 1, 0));
    CLOSED(send(fd, "x", 1, MSG_NOSIGNAL));
    CLOSED(fcntl(fd, F_GETFD));
    CLOSED(fcntl(fd, F_GETFL));
    CLOSED(fcntl(fd, F_DUPFD, 0));
    CLOSED(ioctl(fd, FIONREAD, &v));
    CLOSED(dup(fd));
    CLOSED(dup2(fd, fd));
    CLOSED(dup2(fd, 200));
    CLOSED(fstat(fd, &st));
    CLOSED(getsockname(fd, (struct sockaddr *)&in, &len));
    CLOSED(getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len));
    CLOSED(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof v));
    CLOSED(shutdown(fd, SHUT_RDWR));
    CLOSED(listen(fd, 1));
    CLOSED(accept(fd, NULL, NULL));
    CLOSED(connect(fd, (struct sockaddr *)&in, sizeof in));
    CLOSED(sendfile(fd, file, NULL, 1));
    CLOSED(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    CLOSED(epoll_ctl(fd, EPOLL_CTL_ADD, file, &ev));
    CLOSED(epoll_wait(fd, &ev, 1, 0));
    CLOSED(select_one(fd));
    p.fd = keep_one(&peer);
    cr_assert_eq(poll(&p, 1, 0), 1);
    cr_assert_eq(p.revents, POLLNVAL);
}

Test(preload_kept, is_as_a_new_one)
{
    int port, l = lab_listen(&port), fd = -1;
    for (int i = 0; i < 16; i++) {
        int before = fd, c = lab_connect(port);
        fd = accept4(l, NULL, NULL, (i & 1 ? SOCK_CLOEXEC : 0) | (i & 2 ? SOCK_NONBLOCK : 0));
        cr_assert(i < 1 || fd == before);
        cr_assert_eq(fcntl(fd, F_GETFD), i & 1 ? FD_CLOEXEC : 0);
        cr_assert_eq(xp_rawcall(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0), i & 1 ? FD_CLOEXEC : 0);
        cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | (i & 2 ? O_NONBLOCK : 0));
        cr_assert_eq(fcntl(fd, F_GETOWN), 0);
        expect_echo(c, fd);
        if (i & 4)
            fcntl(fd, F_SETFD, i & 8 ? FD_CLOEXEC : 0);
        else
            ioctl(fd, i & 8 ? FIOCLEX : FIONCLEX);
        if (i == 7)
            close_range((unsigned)fd, (unsigned)fd, CLOSE_RANGE_CLOEXEC);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        close(c);
        close(fd);
    }
}

Test(preload_kept, other_descriptors_have_its_number)
{
    int peer, fd = keep_one(&peer);
    cr_assert_eq(dup2(peer, fd), fd);
    cr_assert_eq(kept(), 0);
    close(fd);
    cr_assert_eq(kept(), 0, "a copy, whose FD_CLOEXEC is not known");
    fd = keep_one(&peer);
    int high = fcntl(peer, F_DUPFD, fd);
    cr_assert_eq(high, fd);
    close(high);
    fd = keep_one(&peer);
    cr_assert_eq(dup(peer), fd);
    close(fd);
    fd = keep_one(&peer);
    cr_assert_eq(epoll_create1(0), fd);
    close(fd);
    fd = keep_one(&peer);
    cr_assert_eq(close_range((unsigned)fd, (unsigned)fd, 0), 0);
    cr_assert_not(is_open(fd));
    cr_assert_eq(kept(), 0);
}

/* Each on its own, a process may come to use the number again. */
Test(preload_kept, a_child_has_its_own)
{
    int port, l = lab_listen(&port), c = lab_connect(port), fd = accept(l, NULL, NULL), status;
    close(c);
    close(fd);
    int before = kept();
    pid_t pid = fork();
    if (pid == 0) {
        c = lab_connect(port);
        _exit(close(fd) == -1 && errno == EBADF && !is_open(fd) ? 7 : 8);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(WEXITSTATUS(status), 7);
    cr_assert_eq(kept(), before);
    cr_assert(is_kept(fd));
    pid = vfork();
    if (pid == 0)
        _exit(dup2(l, fd) == fd && close(fd) == 0 && !is_open(fd) ? 7 : 8);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(WEXITSTATUS(status), 7);
    cr_assert(is_kept(fd));
}

static void fill(int *fds, int n)
{
    int port, l = lab_listen(&port);
    for (int i = 0; i < n; i += 2) {
        fds[i] = lab_connect(port);
        fds[i + 1] = accept(l, NULL, NULL);
        cr_assert_geq(fds[i + 1], 0);
    }
    close(l);
}

static void drain(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        cr_assert_eq(close(fds[i]), 0);
}

static void limit_to(rlim_t n)
{
    struct rlimit lim;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &lim), 0);
    lim.rlim_cur = n;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
}

Test(preload_kept, few_at_a_time)
{
    int fds[200], peer;
    limit_to(4096);
    fill(fds, 200);
    drain(fds, 200);
    cr_assert_eq(kept(), 64);
    limit_to(1024);
    cr_assert_eq(kept(), 0);
    fill(fds, 200);
    drain(fds, 200);
    cr_assert_eq(kept(), 32);
    for (int i = 0; i < 200; i++)
        close(fds[i]);
    cr_assert_leq(kept(), 1); /* the listener */
    keep_one(&peer);
    cr_assert_eq(kept(), 1);
}

/* So that there is no want of descriptors because of them. */
Test(preload_kept, none_where_the_limit_is_near)
{
    int fds[40], peer, p[2], top;
    limit_to(1024);
    keep_one(&peer);
    while ((top = dup(0)) < 520)
        cr_assert_geq(top, 0);
    fill(fds, 2);
    cr_assert_eq(kept(), 0);
    drain(fds, 2);
    cr_assert_eq(kept(), 0);
    for (int fd = top; fd > 400; fd--)
        close(fd);
    lab_pair(p);
    close(p[0]);
    cr_assert(is_kept(p[0]));
}

Test(preload_kept, only_what_is_a_placeholder)
{
    int p[2], q[2], un[2], fd;
    struct iovec iov = {.iov_base = (char[]){'x'}, .iov_len = 1};
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } u = {0};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof u.buf};
    lab_pair(p);
    lab_pair(q);
    close(0);
    fd = fcntl(p[0], F_DUPFD, 0);
    cr_assert_eq(fd, 0);
    close(0);
    cr_assert_not(is_open(0));
    signal(SIGIO, SIG_IGN);
    cr_assert_eq(fcntl(p[0], F_SETFL, O_ASYNC), 0);
    close(p[0]);
    cr_assert_not(is_open(p[0]));
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, un), 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(c), &q[0], sizeof(int));
    sendmsg(un[0], &m, 0);
    bool passed = xp_flags(xp_get(q[0])) & XP_F_PAIR || xp_kind(xp_get(q[0])) == XP_RELAY;
    close(q[0]);
    cr_assert_eq(is_kept(q[0]), !passed);
}

Test(preload_kept, none_over_exec)
{
    int peer, fd = keep_one(&peer);
    xp_before_exec();
    cr_assert_not(is_open(fd));
    cr_assert_eq(kept(), 0);
}

Test(preload_kept, none_where_memory_and_descriptors_are_not_shared_alike)
{
    int peer, fd = keep_one(&peer), p[2];
    cr_assert_eq(unshare(CLONE_FILES), 0);
    cr_assert_not(is_open(fd));
    lab_pair(p);
    close(p[0]);
    cr_assert_not(is_open(p[0]));
}

/* ---- threads: no number is given twice, and none is lost ---- */

#define THREADS 4
#define TURNS 400

static _Atomic int holders[2000];

static void hold(int fd)
{
    cr_assert(fd >= 0 && fd < 2000, "%d", fd);
    cr_assert_eq(atomic_fetch_add(&holders[fd], 1), 0, "%d is somebody's already", fd);
}

static void let_go(int fd)
{
    atomic_fetch_sub(&holders[fd], 1);
    cr_assert_eq(close(fd), 0);
}

static void *come_and_go(void *arg)
{
    for (int i = 0; i < TURNS; i++) {
        int p[2], port, l = lab_listen(&port), d;
        hold(l);
        hold(p[0] = lab_connect(port));
        hold(p[1] = accept(l, NULL, NULL));
        let_go(l);
        expect_echo(p[0], p[1]);
        hold(d = i % 2 ? dup(p[0]) : open("/dev/null", O_RDONLY));
        let_go(p[1]);
        let_go(d);
        let_go(p[0]);
    }
    return arg;
}

Test(preload_kept, threads_share_them)
{
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, come_and_go, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    xp_kept_drop();
    for (int fd = 3; fd < 500; fd++)
        cr_assert(!is_open(fd) || xp_get(fd) || atomic_load(&holders[fd]) == 0);
    cr_assert_eq(kept(), 0);
}
