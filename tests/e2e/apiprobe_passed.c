/* SPDX-License-Identifier: Apache-2.0
 * epoll sets that reach a program by exec, or a process by SCM_RIGHTS: what is in them is there too. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/apiprobe_shared.h"

struct scene {
    int ep, fd, lfd; /* a set with a connection and, unless it is -1, a listener */
    int pair[2];
};

/* ---- in the process that has got them ---- */

/* xtcpd's keeper has the connection's file open, too, until it has heard that nobody needs that; on a busy machine it may hear late. */
static void say_gone(const char *name, int ep)
{
    struct epoll_event ev;
    for (int ms = 0; ms < PATIENCE_MS && epoll_wait(ep, &ev, 1, 0) > 0; ms++)
        poll(NULL, 0, 1);
    say_wait(name, ep, 0);
}

static void use(const struct scene *s, int to[2])
{
    say_wait("  idle", s->ep, 0);
    done(to);
    say_wait("  data", s->ep, PATIENCE_MS);
    take_all(s->fd);
    say_wait("  read", s->ep, 0);
    say_ret("  ADD again", ctl(s->ep, EPOLL_CTL_ADD, s->fd, EPOLLIN, 2));
    say_ret("  MOD", ctl(s->ep, EPOLL_CTL_MOD, s->fd, EPOLLIN | EPOLLOUT | EPOLLET, 3));
    say_wait("  an edge", s->ep, PATIENCE_MS);
    say_wait("  taken", s->ep, 0);
    done(to);
    say_wait("  data, an edge", s->ep, PATIENCE_MS);
    say_wait("  taken", s->ep, 0);
    if (s->lfd >= 0) {
        done(to);
        say_wait("  a connection waits", s->ep, PATIENCE_MS);
        int fd = accept(s->lfd, NULL, NULL);
        say("  accepted: %d", fd >= 0);
        close(fd);
        say_wait("  accepted", s->ep, 0);
    }
    say_ret("  DEL", ctl(s->ep, EPOLL_CTL_DEL, s->fd, 0, 0));
    say_wait("  deleted", s->ep, 0);
    say_ret("  ADD", ctl(s->ep, EPOLL_CTL_ADD, s->fd, EPOLLIN | EPOLLRDHUP, 4));
    take_all(s->fd);
    done(to);
    until(s->fd, POLLRDHUP); /* then the kernel's order of members is certain */
    say_wait("  the peer's end", s->ep, PATIENCE_MS);
    close(s->fd);
    say_gone("  closed", s->ep);
    done(to);
}

void probe_passed_on(char **number)
{
    struct scene s = {.ep = atoi(number[0]), .fd = atoi(number[1]), .lfd = atoi(number[2])};
    use(&s, (int[]){atoi(number[3]), atoi(number[4])});
}

static void execs(void *arg, int to[2])
{
    const struct scene *s = arg;
    const int n[] = {s->ep, s->fd, s->lfd, to[0], to[1]};
    char text[5][16], *argv[8] = {"apiprobe", "passed"};
    for (int i = 0; i < 5; i++) {
        snprintf(text[i], sizeof text[i], "%d", n[i]);
        argv[i + 2] = text[i];
    }
    execv("/proc/self/exe", argv);
}

static void receives(void *arg, int to[2])
{
    struct scene *s = arg;
    char x, control[CMSG_SPACE(2 * sizeof(int))];
    struct iovec iov = {&x, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(s->pair[0], &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
        return;
    memcpy(&s->ep, CMSG_DATA(CMSG_FIRSTHDR(&msg)), 2 * sizeof(int));
    use(s, to);
}

/* ---- in the one that had them ---- */

static void fill(struct scene *s, int *n, bool listens)
{
    s->ep = epoll_create1(0);
    s->fd = dial(n);
    ctl(s->ep, EPOLL_CTL_ADD, s->fd, EPOLLIN, 1);
    s->lfd = listens ? listener() : -1;
    if (listens)
        ctl(s->ep, EPOLL_CTL_ADD, s->lfd, EPOLLIN, 5);
}

static void tell(const struct scene *s, const struct child *c, int n)
{
    int m = -1;
    close(s->ep);
    close(s->fd);
    step(c);
    peer("send %d 1", n);
    step(c);
    peer("send %d 1", n);
    step(c);
    if (s->lfd >= 0) {
        close(s->lfd);
        m = peer_dials();
        step(c);
    }
    peer("close %d", n);
    step(c);
    end(c, false);
    if (m >= 0)
        peer("close %d", m);
}

static void by_exec(bool listens)
{
    struct scene s;
    int n;
    say("a set over exec%s", listens ? ", with a listener" : "");
    fill(&s, &n, listens);
    struct child c = begin(execs, &s);
    tell(&s, &c, n);
}

static void by_message(void)
{
    struct scene s = {.lfd = -1};
    char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec iov = {"", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int n;
    say("a set in a message");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s.pair) < 0)
        return;
    struct child c = begin(receives, &s);
    fill(&s, &n, false);
    *CMSG_FIRSTHDR(&msg) = (struct cmsghdr){CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &s.ep, 2 * sizeof(int));
    say_ret("  sendmsg", sendmsg(s.pair[1], &msg, 0));
    tell(&s, &c, n);
    close(s.pair[0]);
    close(s.pair[1]);
}

void probe_passed(void)
{
    by_exec(false);
    by_exec(true);
    by_message();
}
