/* SPDX-License-Identifier: Apache-2.0
 * Descriptors (dup, fork, stdio) and options. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static void duplicates(void)
{
    char c;
    struct stat st;
    int n, fd = dial(&n), copy = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    fcntl(copy, F_SETFL, O_NONBLOCK);
    say("dup shares O_NONBLOCK: %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    say("access mode O_RDWR: %d", (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR);
    say("F_DUPFD_CLOEXEC: %d %d", high >= 100, fcntl(high, F_GETFD));
    say("S_ISSOCK: %d", fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode));
    say_ret("isatty", isatty(fd) ? 1 : -1);
    close(fd);
    say_ret("write to the copy", write(copy, "ab", 2));
    say("peer reads: %d", peer("read %d 2", n));
    dup2(high, copy);
    close(high);
    say_ret("write to the last", write(copy, "c", 1));
    close(copy);
    say("peer reads to the end: %d", peer("eof %d", n));
    say_ret("read closed", read(copy, &c, 1));
}

static void forked(void)
{
    char buf[16];
    int n, status, got, fd = dial(&n), lis = listener();
    pid_t pid = fork();
    if (pid == 0) {
        close(fd);
        got = accept(lis, NULL, NULL);
        _exit(got >= 0 && write(got, "child", 5) == 5 ? 0 : 1);
    }
    int m = peer_dials();
    say("child accepts: %d", peer("read %d 5", m));
    waitpid(pid, &status, 0);
    say("child exit: %d, peer sees the end: %d", WEXITSTATUS(status), peer("eof %d", m));
    say_ret("parent writes after the child closed", write(fd, "abc", 3));
    say("peer reads: %d", peer("read %d 3", n));
    pid = fork();
    if (pid == 0)
        _exit(write(fd, "from child", 10) == 10 ? 0 : 1);
    waitpid(pid, &status, 0);
    say("child writes: %d, peer reads: %d", WEXITSTATUS(status), peer("read %d 10", n));
    peer("send %d 4", n);
    say_ret("parent reads", read(fd, buf, sizeof buf));
    close(fd);
    close(lis);
    say("peer reads to the end: %d", peer("eof %d", n));
}

static void stream(void)
{
    char line[16] = "";
    int n, fd = dial(&n);
    FILE *f = fdopen(fd, "r+");
    say("fileno: %d", f && fileno(f) == fd);
    fprintf(f, "hello %d", 42);
    fflush(f);
    say("peer reads: %d", peer("read %d 8", n));
    peer("send %d 4", n);
    say_ret("fread", (long)fread(line, 1, 4, f));
    fputs("bye", f);
    say_ret("fclose", fclose(f));
    say("peer reads to the end: %d", peer("eof %d", n));
}

static void option(int fd, const char *name, int level, int opt, int value)
{
    int got = -1, rc = setsockopt(fd, level, opt, &value, sizeof value);
    socklen_t len = sizeof got;
    if (rc < 0)
        say("%s set: %s", name, strerrorname_np(errno));
    rc = getsockopt(fd, level, opt, &got, &len);
    if (rc < 0)
        say("%s get: %s", name, strerrorname_np(errno));
    else
        say("%s: %d", name, got);
}

static void options_of(int fd, const char *when)
{
    say("options, %s", when);
    option(fd, "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1);
    option(fd, "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1);
    option(fd, "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1);
    option(fd, "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 65536);
    option(fd, "SO_TYPE", SOL_SOCKET, SO_TYPE, 1);
    option(fd, "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN, 1);
    option(fd, "SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL, 1);
    option(fd, "SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN, 1);
    option(fd, "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1);
    option(fd, "TCP_CORK", IPPROTO_TCP, TCP_CORK, 0);
    option(fd, "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 77);
    option(fd, "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 11);
    option(fd, "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 5);
    option(fd, "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 9000);
    option(fd, "TCP_KEEPIDLE 0", IPPROTO_TCP, TCP_KEEPIDLE, 0);
    option(fd, "IP_TOS", IPPROTO_IP, IP_TOS, 16);
    option(fd, "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, 1);
    option(fd, "unknown", IPPROTO_TCP, 9999, 1);
}

static void buffer(int fd, const char *what, int name, int v)
{
    int got = -1;
    socklen_t len = sizeof got;
    say_ret(what, setsockopt(fd, SOL_SOCKET, name, &v, sizeof v));
    getsockopt(fd, SOL_SOCKET, name, &got, &len);
    say("%s %d: %d", what, v, got);
}

/* A limit is the host's own, and so is where a buffer begins: how much more it is than a common size, is not compared. */
static void beyond_limit(int fd, const char *what, int name)
{
    int most = INT_MAX, below = -1, got[2] = {0};
    socklen_t len = sizeof most;
    say_ret(what, setsockopt(fd, SOL_SOCKET, name, &most, sizeof most));
    getsockopt(fd, SOL_SOCKET, name, &got[0], &len);
    say_ret(what, setsockopt(fd, SOL_SOCKET, name, &below, sizeof below));
    getsockopt(fd, SOL_SOCKET, name, &got[1], &len);
    say("%s without limit: %s, a negative size is %s", what, got[0] >= 262144 && got[0] < INT_MAX ? "has one" : "wrong",
        got[0] == got[1] ? "the same" : "another");
}

static void buffers_of(int fd, const char *when)
{
    say("buffers, %s", when);
    buffer(fd, "SO_RCVLOWAT", SO_RCVLOWAT, 0);
    buffer(fd, "SO_RCVLOWAT", SO_RCVLOWAT, 5000);
    buffer(fd, "SO_RCVBUF", SO_RCVBUF, 0);
    buffer(fd, "SO_RCVBUF", SO_RCVBUF, 1);
    buffer(fd, "SO_RCVBUF", SO_RCVBUF, 30000);
    beyond_limit(fd, "SO_RCVBUF", SO_RCVBUF);
    buffer(fd, "SO_RCVBUF", SO_RCVBUF, 32768);
    buffer(fd, "SO_RCVLOWAT", SO_RCVLOWAT, 32768);
    buffer(fd, "SO_RCVLOWAT beyond the buffer", SO_RCVLOWAT, 32769);
    buffer(fd, "SO_RCVLOWAT below 0", SO_RCVLOWAT, -1);
    buffer(fd, "SO_RCVLOWAT", SO_RCVLOWAT, 1);
    buffer(fd, "SO_SNDBUF", SO_SNDBUF, 0);
    buffer(fd, "SO_SNDBUF", SO_SNDBUF, 30000);
    beyond_limit(fd, "SO_SNDBUF", SO_SNDBUF);
    buffer(fd, "SO_SNDBUF", SO_SNDBUF, 65536);
    buffer(fd, "SO_RCVBUFFORCE", SO_RCVBUFFORCE, -1);
    buffer(fd, "SO_RCVBUFFORCE", SO_RCVBUFFORCE, 40 << 20);
    buffer(fd, "SO_SNDBUFFORCE", SO_SNDBUFFORCE, 40 << 20);
    buffer(fd, "SO_SNDBUF", SO_SNDBUF, 65536);
    say_ret("SO_SNDLOWAT", setsockopt(fd, SOL_SOCKET, SO_SNDLOWAT, (int[]){5}, sizeof(int)));
    say_ret("SO_RCVBUF of 2 bytes", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, (int[]){5}, 2));
}

static void buffers(void)
{
    int n, fd = socket(AF_INET, SOCK_STREAM, 0);
    buffers_of(fd, "fresh");
    close(fd);
    fd = dial(&n);
    buffers_of(fd, "connected");
    close(fd);
}

static void options(void)
{
    struct linger l = {.l_onoff = 1, .l_linger = 7};
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t len = sizeof l;
    char name[16];
    int n, fd = socket(AF_INET, SOCK_STREAM, 0), q = -1;
    options_of(fd, "fresh");
    say_ret("bind to any port", bind(fd, (struct sockaddr *)&any, sizeof any));
    option(fd, "TCP_KEEPIDLE kept", IPPROTO_TCP, TCP_KEEPIDLE, 77);
    close(fd);
    fd = dial(&n);
    options_of(fd, "connected");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len);
    say("SO_LINGER: %d %d", l.l_onoff, l.l_linger);
    len = sizeof name;
    say_ret("TCP_CONGESTION get", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    say_ret("TCP_ULP tls", setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3));
    say_ret("FIONBIO", ioctl(fd, FIONBIO, (int[]){1}));
    say("FIONBIO sets O_NONBLOCK: %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    say_ret("TCGETS", ioctl(fd, TCGETS, (struct termios[1]){{0}}));
    say_ret("TIOCOUTQ", ioctl(fd, TIOCOUTQ, &q));
    say("unsent: %d", q);
    close(fd);
}

static void say_inq(const char *name, int fd, size_t room, int flags)
{
    char buf[4];
    union {
        char b[64];
        struct cmsghdr h;
    } c = {{0}};
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.b, .msg_controllen = room};
    long r = recvmsg(fd, &m, flags);
    int v = -1;
    memcpy(&v, CMSG_DATA(&c.h), sizeof v);
    say_ret(name, r);
    say("  flags %#x, %zu bytes of control: %zu %d %d, %d", m.msg_flags, m.msg_controllen, (size_t)c.h.cmsg_len,
        c.h.cmsg_level, c.h.cmsg_type, v);
}

static void unread_told(void)
{
    int n, one = 1, fd = dial(&n);
    say_inq("recvmsg without data", fd, 64, MSG_DONTWAIT);
    peer("send %d 40", n);
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &(int){40}, sizeof(int));
    until(fd, POLLIN);
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
    say_inq("recvmsg without TCP_INQ", fd, 64, 0);
    say_ret("TCP_INQ", setsockopt(fd, IPPROTO_TCP, TCP_INQ, &one, sizeof one));
    say_inq("with TCP_INQ", fd, 64, 0);
    say_inq("peek", fd, 64, MSG_PEEK);
    static const size_t rooms[] = {0, 15, 16, 18, 20, 23, 24};
    for (unsigned i = 0; i < sizeof rooms / sizeof *rooms; i++)
        say_inq("little room", fd, rooms[i], 0);
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    say_inq("before the end", fd, 64, 0);
    say_inq("at the end", fd, 64, 0);
    say_inq("once more", fd, 64, 0);
    close(fd);
}

void probe_misc(void)
{
    unread_told();
    duplicates();
    forked();
    stream();
    options();
    buffers();
}
