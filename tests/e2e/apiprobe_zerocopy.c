/* SPDX-License-Identifier: Apache-2.0
 * MSG_ZEROCOPY and its completions, on the error queue. How many of them are merged into one is the kernel's timing: they are read
 * until all that is expected has come. */
#include <time.h>

#include <linux/errqueue.h> /* for which <time.h> is first */
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static void set_zerocopy(int fd, int on)
{
    say_ret("  SO_ZEROCOPY", setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on));
}

static ssize_t put(int fd, size_t n)
{
    static const char data[10000];
    return send(fd, data, n, MSG_ZEROCOPY);
}

static void say_err(const struct cmsghdr *c)
{
    struct sock_extended_err e;
    memcpy(&e, CMSG_DATA(c), sizeof e);
    say("  cmsg %d/%d of %zu: errno %u, origin %u, type %u, code %u", c->cmsg_level, c->cmsg_type, c->cmsg_len,
        e.ee_errno, e.ee_origin, e.ee_type, e.ee_code);
}

/* One entry. The number of its last send, or -1; *first is that of its first. */
static long take(int fd, unsigned *first, int tell)
{
    char control[128], byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct sock_extended_err e;
    ssize_t r = recvmsg(fd, &m, MSG_ERRQUEUE);
    if (tell || r != 0)
        say_ret("  recvmsg", r);
    if (r != 0)
        return -1;
    if (tell) {
        say("  flags %#x, name %u, control %zu", (unsigned)m.msg_flags, m.msg_namelen, m.msg_controllen);
        say_err(CMSG_FIRSTHDR(&m));
    }
    memcpy(&e, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof e);
    *first = e.ee_info;
    return e.ee_data;
}

/* Takes entries until send number `last` is told of; they follow one after the other from `from` on. */
static void take_to(int fd, unsigned from, unsigned last)
{
    unsigned next = from;
    while (next <= last) {
        unsigned first = 0;
        until(fd, POLLERR);
        long end = take(fd, &first, next == from);
        if (end < 0 || first != next) {
            say("  %u to %ld comes after %u", first, end, next);
            return;
        }
        next = (unsigned)end + 1;
    }
    say("  %u to %u are over: %s", from, last, next == last + 1 ? "yes" : "more");
}

static void plain(void)
{
    int n, fd = dial(&n);
    unsigned first;
    char byte;
    say("MSG_ZEROCOPY");
    say_ret("  without the option", put(fd, 100));
    say_ret("  read by the peer", peer("read %d 100", n));
    say_mask("  mask", fd);
    take(fd, &first, 1);
    set_zerocopy(fd, 1);
    say_ret("  of nothing", put(fd, 0));
    take(fd, &first, 1);
    say_ret("  with it", put(fd, 100));
    say_ret("  read by the peer", peer("read %d 100", n));
    until(fd, POLLERR);
    say_mask("  mask", fd);
    take_to(fd, 0, 0);
    say_mask("  mask after", fd);
    take(fd, &first, 1);
    for (int i = 0; i < 3; i++)
        put(fd, 1000);
    peer("read %d 3000", n);
    take_to(fd, 1, 3);
    put(fd, 10);
    peer("read %d 10", n);
    until(fd, POLLERR);
    say_ret("  recv of an entry", recv(fd, &byte, 1, MSG_ERRQUEUE));
    say_ret("  and of none", recv(fd, &byte, 1, MSG_ERRQUEUE));
    close(fd);
    peer("close %d", n);
}

static void too_little_room(void)
{
    int n, fd = dial(&n);
    char control[24];
    struct msghdr m = {.msg_control = control, .msg_controllen = sizeof control};
    say("MSG_ZEROCOPY, little room");
    set_zerocopy(fd, 1);
    put(fd, 10);
    peer("read %d 10", n);
    until(fd, POLLERR);
    say_ret("  recvmsg", recvmsg(fd, &m, MSG_ERRQUEUE));
    say("  flags %#x, control %zu", (unsigned)m.msg_flags, m.msg_controllen);
    close(fd);
    peer("close %d", n);
}

static void edges(void)
{
    int n, fd = dial(&n), ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    say("MSG_ZEROCOPY, edges");
    set_zerocopy(fd, 1);
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    say("  before: %d", epoll_wait(ep, &ev, 1, 0));
    put(fd, 10);
    peer("read %d 10", n);
    say("  an edge: %d", epoll_wait(ep, &ev, 1, 5000));
    say("  of %s", ev.events & EPOLLERR ? "an error" : "something else");
    until(fd, POLLERR);
    take_to(fd, 0, 0);
    close(ep);
    close(fd);
    peer("close %d", n);
}

/* The numbers are the socket's, whoever sends. */
static void shared(void)
{
    int n, fd = dial(&n), copy = dup(fd), status;
    say("MSG_ZEROCOPY, shared");
    set_zerocopy(fd, 1);
    put(fd, 10);
    put(copy, 10);
    pid_t pid = fork();
    if (pid == 0)
        _exit(put(fd, 10) == 10 ? 0 : 1);
    waitpid(pid, &status, 0);
    say("  the child: %d", status);
    peer("read %d 30", n);
    take_to(copy, 0, 2);
    close(copy);
    close(fd);
    peer("close %d", n);
}

/* Who listens with the option has children with it, and each counts for itself. */
static void accepted(void)
{
    int lfd = listener();
    set_zerocopy(lfd, 1);
    say("MSG_ZEROCOPY, accepted");
    for (int i = 0; i < 2; i++) {
        int n = peer_dials(), fd = accept(lfd, NULL, NULL), on = -1;
        socklen_t len = sizeof on;
        getsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, &len);
        say("  inherited: %d", on);
        put(fd, 10);
        peer("read %d 10", n);
        take_to(fd, 0, 0);
        close(fd);
        peer("close %d", n);
    }
    close(lfd);
}

/* Nothing is on the error queue, on a standard descriptor neither, whatever else there is to read. */
static void nothing(void)
{
    int n, fd = dial(&n), kept = dup(STDIN_FILENO);
    char buf[8];
    struct iovec v = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    say("MSG_ERRQUEUE, nothing there");
    peer("send %d 5", n);
    until(fd, POLLIN);
    dup2(fd, STDIN_FILENO);
    say_ret("  recv", recv(STDIN_FILENO, buf, sizeof buf, MSG_ERRQUEUE));
    say_ret("  recvfrom", recvfrom(STDIN_FILENO, buf, sizeof buf, MSG_ERRQUEUE, NULL, NULL));
    say_ret("  recvmsg", recvmsg(STDIN_FILENO, &m, MSG_ERRQUEUE));
    dup2(kept, STDIN_FILENO);
    close(kept);
    close(fd);
    peer("close %d", n);
}

void probe_zerocopy(void)
{
    nothing();
    plain();
    too_little_room();
    edges();
    shared();
    accepted();
}
