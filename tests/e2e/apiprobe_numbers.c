/* SPDX-License-Identifier: Apache-2.0
 * Numbers of descriptors: which one a new socket has, what a closed one is, and what is left of the socket that had it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define NEAR 200 /* a limit of descriptors */

/* Its number, *n: the peer's of the same connection. */
static int accepted(int l, int *n)
{
    *n = peer_dials();
    return accept(l, NULL, NULL);
}

static void closed(const char *name, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct epoll_event ev = {.events = EPOLLIN};
    struct stat st;
    struct timeval now = {0};
    fd_set set;
    char c;
    int v, low = epoll_create1(0), ep = fcntl(low, F_DUPFD_CLOEXEC, 300);
    socklen_t len = sizeof v;
    close(low);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    say(" %s", name);
    v = poll(&p, 1, 0);
    say("  poll: %d, 0x%x", v, (unsigned)p.revents);
    say_ret("  select", select(fd + 1, &set, NULL, NULL, &now));
    say_ret("  epoll_ctl", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    say_ret("  read", read(fd, &c, 1));
    say_ret("  send", send(fd, "x", 1, MSG_NOSIGNAL));
    say_ret("  fcntl", fcntl(fd, F_GETFD));
    say_ret("  fstat", fstat(fd, &st));
    say_ret("  ioctl", ioctl(fd, FIONREAD, &v));
    say_ret("  getsockopt", getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len));
    say_ret("  dup", dup(fd));
    say_ret("  dup2", dup2(fd, fd));
    say_ret("  close", close(fd));
    say_ret("  syscall close", syscall(SYS_close, fd));
    close(ep);
}

static void closed_each(int l)
{
    static const char *const first[] = {"close", "syscall", "read", "poll", "dup2", "fcntl"};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        int n, fd = accepted(l, &n), v = 0;
        struct pollfd p = {.fd = fd};
        close(fd);
        say("number of a closed socket, %s at first", first[i]);
        switch (i) {
        case 0:
            v = close(fd);
            break;
        case 1:
            v = (int)syscall(SYS_close, fd);
            break;
        case 2:
            v = (int)read(fd, &v, 1);
            break;
        case 3:
            v = poll(&p, 1, 0);
            break;
        case 4:
            v = dup2(fd, 100);
            break;
        default:
            v = fcntl(fd, F_DUPFD, 0);
            break;
        }
        say_ret("  it", v);
        peer("close %d", n);
        closed("then", fd);
    }
}

/* Each takes the number that the one before has left. */
static void lowest(int l)
{
    int n, first = accepted(l, &n), fd;
    struct sockaddr_in a = {.sin_family = AF_INET};
    peer("close %d", n);
    close(first);
    fd = accepted(l, &n);
    say("lowest number");
    say("  accept %d", fd == first);
    peer("close %d", n);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    say("  socket %d", fd == first);
    close(fd);
    fd = dial(&n);
    say("  connected %d", fd == first);
    peer("close %d", n);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    bind(fd, (struct sockaddr *)&a, sizeof a);
    say("  bound %d", fd == first);
    close(fd);
    fd = dup(l);
    say("  dup %d", fd == first);
    close(fd);
    fd = accepted(l, &n);
    say("  accept %d", fd == first);
    close(fd);
    peer("close %d", n);
    fd = fcntl(l, F_DUPFD, first);
    say("  F_DUPFD %d", fd == first);
    close(fd);
    fd = epoll_create1(0);
    say("  epoll_create1 %d", fd == first);
    close(fd);
    fd = accepted(l, &n);
    close(fd);
    peer("close %d", n);
    fd = open("/dev/null", O_RDONLY);
    say("  open %d", fd == first);
    close(fd);
}

/* Nothing of the one before is left. */
static void as_new(int l)
{
    for (int i = 0; i < 4; i++) {
        int n, m, fd = accepted(l, &n), last = fd, v = 0;
        fcntl(fd, F_SETFL, O_NONBLOCK);
        fcntl(fd, F_SETFD, i & 1 ? FD_CLOEXEC : 0);
        fcntl(fd, F_SETOWN, getpid());
        close(fd);
        m = peer_dials();
        fd = accept4(l, NULL, NULL, i & 2 ? SOCK_CLOEXEC : 0);
        say("used again");
        say("  %d, FD %d, FL %d, owner %d", fd == last, fcntl(fd, F_GETFD), fcntl(fd, F_GETFL) & O_NONBLOCK,
            fcntl(fd, F_GETOWN));
        peer("send %d 3", m);
        until(fd, POLLIN);
        say_ret("  FIONREAD", ioctl(fd, FIONREAD, &v) < 0 ? -1 : v);
        close(fd);
        peer("close %d", n);
        peer("close %d", m);
    }
}

static void over(int l)
{
    int n, m, pipe_[2], status;
    char c = 0;
    if (pipe(pipe_) < 0)
        return;
    int fd = accepted(l, &n), number = fd;
    close(fd);
    peer("close %d", n);
    say("dup2 onto the number of a closed socket");
    say("  dup2: %d", dup2(pipe_[1], number) == number);
    say_ret("  write", write(number, "x", 1));
    say_ret("  read", read(pipe_[0], &c, 1));
    fd = accepted(l, &m);
    say("  accept has another: %d", fd >= 0 && fd != number);
    say_ret("  close", close(number));
    say_ret("  close again", close(number));
    close(fd);
    peer("close %d", m);
    pid_t pid = fork();
    if (pid == 0)
        _exit(close(fd) == 0 ? 1 : errno == EBADF ? 2 : 3);
    waitpid(pid, &status, 0);
    say("  in a child: %d", WEXITSTATUS(status));
    fd = accepted(l, &n);
    close(fd);
    peer("close %d", n);
    say_ret("  close_range", close_range((unsigned)fd, (unsigned)fd, 0));
    say_ret("  close", close(fd));
    close(pipe_[0]);
    close(pipe_[1]);
}

/* Until there is none; closing one makes room for one. */
static void until_none(int l)
{
    struct rlimit lim, low;
    int held[NEAR], n = 0, a, b, fd, m;
    getrlimit(RLIMIT_NOFILE, &lim);
    for (int i = 0; i < 8; i++) {
        fd = accepted(l, &m);
        held[n++] = fd;
        peer("close %d", m);
    }
    while (n > 0)
        close(held[--n]);
    low = lim;
    low.rlim_cur = NEAR;
    setrlimit(RLIMIT_NOFILE, &low);
    while (n < NEAR && (fd = dup(1)) >= 0)
        held[n++] = fd;
    say("want of descriptors");
    say("  dup: %s", strerrorname_np(errno));
    a = peer_dials();
    say_ret("  accept", accept(l, NULL, NULL));
    say_ret("  socket", socket(AF_INET, SOCK_STREAM, 0));
    close(held[--n]);
    fd = accept(l, NULL, NULL);
    say("  accept with one free: %d", fd == held[n]);
    say_ret("  and once more", accept(l, NULL, NULL));
    close(fd);
    peer("close %d", a);
    b = peer_dials();
    say_ret("  open", open("/dev/null", O_RDONLY) == held[n] ? 0 : -1);
    close(held[n]);
    fd = accept(l, NULL, NULL);
    say("  accept: %d", fd == held[n]);
    close(fd);
    peer("close %d", b);
    while (n > 0)
        close(held[--n]);
    setrlimit(RLIMIT_NOFILE, &lim);
}

/* A new one with the number of one that was closed just now; some others were made before. */
static int fresh(int l, int type)
{
    int n, fd;
    for (int i = 0; i < 17; i++)
        close(socket(AF_INET, SOCK_STREAM, 0));
    fd = accepted(l, &n);
    close(fd);
    peer("close %d", n);
    return socket(AF_INET, SOCK_STREAM | type, 0);
}

static void asked(int l)
{
    static const int names[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN, SO_KEEPALIVE};
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    struct stat st;
    char c;
    int fd = fresh(l, SOCK_NONBLOCK | SOCK_CLOEXEC), v = 0, ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    say("a fresh socket");
    say("  FD %d, FL %d", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    close(fd);
    fd = fresh(l, 0);
    say_ret("  F_SETFD", fcntl(fd, F_SETFD, FD_CLOEXEC));
    say_ret("  FIONBIO", ioctl(fd, FIONBIO, &(int){1}));
    say("  FD %d, FL %d", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    say_ret("  read", read(fd, &c, 1));
    say("  FD %d, FL %d", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    close(fd);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        fd = fresh(l, 0);
        len = sizeof v;
        say_ret("  getsockopt", getsockopt(fd, SOL_SOCKET, names[i], &v, &len));
        say("  is %d", v);
        close(fd);
    }
    fd = fresh(l, 0);
    say_mask("  poll", fd);
    close(fd);
    fd = fresh(l, 0);
    len = sizeof a;
    say_ret("  getsockname", getsockname(fd, (struct sockaddr *)&a, &len));
    say("  family %d, %d bytes", a.sin_family, (int)len);
    close(fd);
    fd = fresh(l, 0);
    say_ret("  send", send(fd, "x", 1, MSG_NOSIGNAL));
    close(fd);
    fd = fresh(l, 0);
    say_ret("  accept", accept(fd, NULL, NULL));
    close(fd);
    fd = fresh(l, 0);
    say_ret("  shutdown", shutdown(fd, SHUT_RDWR));
    close(fd);
    fd = fresh(l, 0);
    say_ret("  fstat", fstat(fd, &st));
    say("  S_ISSOCK %d", S_ISSOCK(st.st_mode));
    close(fd);
    fd = fresh(l, 0);
    say_ret("  epoll_ctl", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    v = epoll_wait(ep, &ev, 1, 0);
    say("  epoll_wait: %d, 0x%x", v, ev.events);
    close(fd);
    fd = fresh(l, 0);
    say_ret("  listen", listen(fd, 1));
    close(fd);
    fd = fresh(l, 0);
    say_ret("  F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
    say("  F_GETOWN %d", fcntl(fd, F_GETOWN) == getpid());
    close(fd);
    close(ep);
}

static int to_peer(int fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port)};
    inet_pton(AF_INET, peer_addr, &a.sin_addr);
    return connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno != EINPROGRESS ? -1 : peer("accept");
}

/* What follows the socket from before its connect. */
static void connected(int l)
{
    struct sockaddr_in nowhere = {
        .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = fresh(l, 0), v = 1, n, copy, status;
    socklen_t len = sizeof v;
    char c = 0;
    say("a fresh socket that connects");
    n = to_peer(fd);
    say("  FD %d, FL %d", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL) & O_NONBLOCK);
    peer("send %d 1", n);
    say_ret("  read", read(fd, &c, 1));
    close(fd);
    peer("close %d", n);
    fd = fresh(l, SOCK_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    n = to_peer(fd);
    until(fd, POLLOUT);
    say("  FD %d, FL %d", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL) & O_NONBLOCK);
    say_ret("  read", read(fd, &c, 1));
    close(fd);
    peer("close %d", n);
    fd = fresh(l, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof v);
    n = to_peer(fd);
    v = 0;
    getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len);
    say("  TCP_NODELAY %d", v != 0);
    close(fd);
    peer("close %d", n);
    fd = fresh(l, 0);
    copy = dup(fd);
    n = to_peer(fd);
    say_ret("  write to its copy", write(copy, "x", 1));
    say_ret("  close", close(fd));
    say_ret("  write to its copy", write(copy, "x", 1));
    close(copy);
    say("  the peer has read %d", peer("eof %d", n));
    peer("close %d", n);
    fd = fresh(l, 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(bind(fd, (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET}, sizeof nowhere) < 0);
    waitpid(pid, &status, 0);
    close(fd);
    say("  bound in a child: %d", WEXITSTATUS(status));
    fd = fresh(l, 0);
    say_ret("  connect to loopback", connect(fd, (struct sockaddr *)&nowhere, sizeof nowhere));
    close(fd);
    fd = fresh(l, 0);
    say_ret("  connect to nowhere", connect(fd, NULL, 0));
    say_ret("  close", close(fd));
    say_ret("  close", close(fd));
}

void probe_numbers(void)
{
    int l = listener();
    closed_each(l);
    lowest(l);
    as_new(l);
    over(l);
    asked(l);
    connected(l);
    until_none(l);
    close(l);
}
