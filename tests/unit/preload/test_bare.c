/* SPDX-License-Identifier: Apache-2.0
 * Sockets without a kernel socket until one is needed. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/preload/preload.h"
#include "tests/unit/preload/lab.h"

TestSuite(preload_bare, .init = lab_up);

static bool is_bare(int fd)
{
    return xp_is_bare(xp_get(fd));
}

static bool is_kernels_tcp(int fd)
{
    int domain = 0;
    socklen_t len = sizeof domain;
    xp_rawcall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, (long)&domain, (long)&len, 0);
    return domain == AF_INET;
}

/* It has the number of a closed one; before, sockets as ever until it is time for one of these again. */
static int bare(int type)
{
    int p[2];
    for (int i = 0; i < 17; i++)
        close(socket(AF_INET, SOCK_STREAM, 0));
    lab_pair(p);
    close(p[0]);
    close(p[1]);
    int fd = socket(AF_INET, SOCK_STREAM | type, 0);
    cr_assert(is_bare(fd));
    cr_assert_not(is_kernels_tcp(fd));
    return fd;
}

static struct sockaddr_in address(const char *text, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, text, &a.sin_addr);
    return a;
}

static int dial(int fd, const char *text, int port)
{
    struct sockaddr_in a = address(text, port);
    return connect(fd, (struct sockaddr *)&a, sizeof a);
}

Test(preload_bare, flags_need_no_kernel_socket_and_are_kept_by_connect)
{
    for (int i = 0; i < 8; i++) {
        int port, l = lab_listen(&port);
        int fd = bare((i & 1 ? SOCK_CLOEXEC : 0) | (i & 2 ? SOCK_NONBLOCK : 0)), on = !(i & 2);
        cr_assert_eq(fcntl(fd, F_GETFD), i & 1 ? FD_CLOEXEC : 0);
        cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | (i & 2 ? O_NONBLOCK : 0));
        cr_assert_eq(fcntl(fd, F_SETFD, i & 1 ? 0 : FD_CLOEXEC), 0);
        cr_assert_eq(i & 4 ? ioctl(fd, FIONBIO, &on) : fcntl(fd, F_SETFL, on ? O_NONBLOCK : 0), 0);
        cr_assert(is_bare(fd));
        cr_assert(dial(fd, LAB_ADDR, port) == 0 || errno == EINPROGRESS);
        cr_assert_eq(xp_kind(xp_get(fd)), XP_XTCP);
        cr_assert_eq(fcntl(fd, F_GETFD), i & 1 ? 0 : FD_CLOEXEC);
        cr_assert_eq(xp_rawcall(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0), i & 1 ? 0 : FD_CLOEXEC);
        cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | (on ? O_NONBLOCK : 0));
        close(fd);
        cr_assert_eq(xp_kind(xp_get(fd)), XP_KEPT);
        close(l);
    }
}

Test(preload_bare, closed_at_once_it_is_kept_again)
{
    int fd = bare(0);
    cr_assert_eq(close(fd), 0);
    cr_assert_eq(xp_kind(xp_get(fd)), XP_KEPT);
    cr_assert_eq(close(fd), -1);
    cr_assert_eq(errno, EBADF);
}

Test(preload_bare, what_it_cannot_answer_makes_a_kernel_socket)
{
    struct pollfd p = {.events = POLLIN};
    struct epoll_event ev = {.events = EPOLLIN};
    struct sockaddr_in a;
    struct stat st;
    socklen_t len = sizeof a;
    int v = 1, ep = epoll_create1(0);
    char c;
#define MAKES(call)                                                                \
    do {                                                                           \
        int fd = bare(SOCK_NONBLOCK);                                              \
        (void)!(call);                                                             \
        cr_expect_not(is_bare(fd));                                                \
        cr_expect(is_kernels_tcp(fd));                                             \
        cr_expect_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);                 \
        cr_expect_not(is_bare(socket(AF_INET, SOCK_STREAM, 0)), "not again soon"); \
        close(fd);                                                                 \
    } while (0)
    MAKES(read(fd, &c, 1));
    MAKES(send(fd, "x", 1, MSG_NOSIGNAL));
    MAKES(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof v));
    MAKES(getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len));
    MAKES(getsockname(fd, (struct sockaddr *)&a, &len));
    MAKES(fcntl(fd, F_SETOWN, getpid()));
    MAKES(ioctl(fd, FIONREAD, &v));
    MAKES(fstat(fd, &st));
    MAKES(dup(fd));
    MAKES(dup2(fd, 300));
    MAKES(fcntl(fd, F_DUPFD, 0));
    MAKES(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    MAKES((p.fd = fd, poll(&p, 1, 0)));
    MAKES(shutdown(fd, SHUT_RD));
    MAKES(dial(fd, "127.0.0.1", 1));
    MAKES(syscall(SYS_getsockname, fd, &a, &len));
}

Test(preload_bare, a_child_shares_it)
{
    int fd = bare(0), status;
    struct sockaddr_in a = address(LAB_ADDR, 0);
    socklen_t len = sizeof a;
    pid_t pid = fork();
    if (pid == 0)
        _exit(xp_rawcall(SYS_bind, fd, (long)&a, sizeof a, 0, 0, 0) == 0 ? 7 : 8);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(WEXITSTATUS(status), 7);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    cr_assert_neq(a.sin_port, 0);
}

Test(preload_bare, an_executed_program_has_it)
{
    int fd = bare(0), gone = -1;
    xp_before_exec();
    cr_assert(is_kernels_tcp(fd));
    gone = bare(SOCK_CLOEXEC);
    xp_before_exec();
    cr_assert(is_bare(gone));
}
