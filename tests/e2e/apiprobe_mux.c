/* SPDX-License-Identifier: Apache-2.0
 * A socket together with each kind of kernel descriptor, in poll, select and epoll: neither hides or delays the other. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define PATIENCE_MS 20000

/* One kind: the descriptor that is waited for, and what else belongs to it. */
struct thing {
    int fd, other;
    char dir[32];
};

static void put_out(int fd, const void *what, size_t len)
{
    if (write(fd, what, len) != (ssize_t)len)
        say_ret("(write)", -1);
}

static void take_in(int fd)
{
    char buf[512];
    if (read(fd, buf, sizeof buf) < 0)
        say_ret("(read)", -1);
}

static void make_pipe(struct thing *t)
{
    int p[2];
    if (pipe(p) == 0)
        *t = (struct thing){.fd = p[0], .other = p[1]};
}

static void make_eventfd(struct thing *t)
{
    *t = (struct thing){.fd = eventfd(0, EFD_NONBLOCK), .other = -1};
}

static void make_timerfd(struct thing *t)
{
    *t = (struct thing){.fd = timerfd_create(CLOCK_MONOTONIC, 0), .other = -1};
}

static void make_signalfd(struct thing *t)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    *t = (struct thing){.fd = signalfd(-1, &set, SFD_NONBLOCK), .other = -1};
}

static void make_inotify(struct thing *t)
{
    *t = (struct thing){.fd = inotify_init1(IN_NONBLOCK), .other = -1};
    strcpy(t->dir, "/tmp/apiprobe.XXXXXX");
    if (mkdtemp(t->dir))
        inotify_add_watch(t->fd, t->dir, IN_CREATE);
}

static void make_unix(struct thing *t)
{
    int p[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0)
        *t = (struct thing){.fd = p[0], .other = p[1]};
}

static void make_unix_dgram(struct thing *t)
{
    int p[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, p) == 0)
        *t = (struct thing){.fd = p[0], .other = p[1]};
}

static void make_udp(struct thing *t)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    *t = (struct thing){.fd = socket(AF_INET, SOCK_DGRAM, 0), .other = socket(AF_INET, SOCK_DGRAM, 0)};
    if (bind(t->fd, (struct sockaddr *)&a, sizeof a) < 0 || getsockname(t->fd, (struct sockaddr *)&a, &len) < 0 ||
        connect(t->other, (struct sockaddr *)&a, len) < 0)
        say_ret("(UDP)", -1);
}

static void make_loopback(struct thing *t)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    *t = (struct thing){.other = socket(AF_INET, SOCK_STREAM, 0)};
    if (bind(l, (struct sockaddr *)&a, sizeof a) < 0 || listen(l, 1) < 0 ||
        getsockname(l, (struct sockaddr *)&a, &len) < 0 || connect(t->other, (struct sockaddr *)&a, len) < 0)
        say_ret("(loopback)", -1);
    t->fd = accept(l, NULL, NULL);
    close(l);
}

static void ready_byte(struct thing *t)
{
    put_out(t->other, "x", 1);
}

static void ready_hup(struct thing *t)
{
    close(t->other);
    t->other = -1;
}

static void ready_eventfd(struct thing *t)
{
    uint64_t one = 1;
    put_out(t->fd, &one, sizeof one);
}

static void ready_timerfd(struct thing *t)
{
    struct itimerspec in = {.it_value.tv_nsec = 1000000};
    timerfd_settime(t->fd, 0, &in, NULL);
}

static void ready_signalfd(struct thing *t)
{
    raise(SIGUSR2);
}

static void ready_inotify(struct thing *t)
{
    char path[64];
    snprintf(path, sizeof path, "%s/x", t->dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    unlink(path);
}

static const struct kind {
    const char *name;
    void (*make)(struct thing *t);
    void (*ready)(struct thing *t);
    bool stays; /* for ever */
} kinds[] = {
    {"pipe", make_pipe, ready_byte, false},
    {"pipe without writer", make_pipe, ready_hup, true},
    {"eventfd", make_eventfd, ready_eventfd, false},
    {"timerfd", make_timerfd, ready_timerfd, false},
    {"signalfd", make_signalfd, ready_signalfd, false},
    {"inotify", make_inotify, ready_inotify, false},
    {"UNIX stream", make_unix, ready_byte, false},
    {"UNIX stream, closed", make_unix, ready_hup, true},
    {"UNIX datagrams", make_unix_dgram, ready_byte, false},
    {"UDP", make_udp, ready_byte, false},
    {"TCP over loopback", make_loopback, ready_byte, false},
};

/* ---- asking ---- */

static void say_poll(const char *name, int a, int b, int timeout)
{
    struct pollfd p[3] = {
        {.fd = a, .events = POLLIN}, {.fd = -1, .events = POLLIN, .revents = 1}, {.fd = b, .events = POLLIN}};
    int r = poll(p, 3, timeout);
    say("  %s: poll %d, %#x %#x %#x", name, r, (unsigned short)p[0].revents, (unsigned short)p[1].revents,
        (unsigned short)p[2].revents);
}

static void say_select(const char *name, int a, int b, int seconds)
{
    struct timeval tv = {.tv_sec = seconds};
    fd_set in;
    FD_ZERO(&in);
    FD_SET(a, &in);
    FD_SET(b, &in);
    int r = select((a > b ? a : b) + 1, &in, NULL, NULL, &tv);
    say("  %s: select %d, %d %d", name, r, FD_ISSET(a, &in) != 0, FD_ISSET(b, &in) != 0);
}

/* Events come in an order of their own: what is told is which. */
static void say_epoll(const char *name, int ep, int a, int b, int timeout)
{
    struct epoll_event evs[4];
    unsigned ea = 0, eb = 0;
    int r = epoll_wait(ep, evs, 4, timeout);
    for (int i = 0; i < r; i++)
        *(evs[i].data.fd == a ? &ea : &eb) |= evs[i].events;
    say("  %s: epoll %d, %#x %#x", name, r, ea, eb);
}

/* Both are ready, and stay so: one at a time they come in turn. */
static void say_turns(int ep, int a, int b)
{
    int na = 0, nb = 0;
    for (int i = 0; i < 64; i++) {
        struct epoll_event ev;
        if (epoll_wait(ep, &ev, 1, PATIENCE_MS) == 1)
            *(ev.data.fd == a ? &na : &nb) += 1;
    }
    say("  in turn: %s", na > 0 && nb > 0 ? "both" : "one only");
}

static int set_of(int a, int b, uint32_t flags)
{
    int ep = epoll_create1(0);
    struct epoll_event ea = {.events = EPOLLIN | flags, .data.fd = a}, eb = {.events = EPOLLIN | flags, .data.fd = b};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, a, &ea) < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, b, &eb) < 0)
        say_ret("  (ADD)", -1);
    return ep;
}

static void mix(const struct kind *k)
{
    struct thing t;
    int n, fd = dial(&n);
    k->make(&t);
    int level = set_of(t.fd, fd, 0), edge = set_of(t.fd, fd, EPOLLET), once = set_of(t.fd, fd, EPOLLONESHOT);
    say("a socket and a %s:", k->name);
    say_poll("idle", t.fd, fd, 0);
    say_select("idle", t.fd, fd, 0);
    say_epoll("idle", level, t.fd, fd, 0);
    k->ready(&t);
    say_poll("the other", t.fd, fd, PATIENCE_MS);
    say_select("the other", t.fd, fd, PATIENCE_MS);
    say_epoll("the other, level", level, t.fd, fd, PATIENCE_MS);
    say_epoll("the other, edge", edge, t.fd, fd, PATIENCE_MS);
    say_epoll("the other, edge again", edge, t.fd, fd, 0);
    say_epoll("the other, once", once, t.fd, fd, PATIENCE_MS);
    say_epoll("the other, once again", once, t.fd, fd, 0);
    peer("send %d 1", n);
    until(fd, POLLIN);
    say_poll("both", t.fd, fd, PATIENCE_MS);
    say_select("both", t.fd, fd, PATIENCE_MS);
    say_turns(level, t.fd, fd);
    say_epoll("both, edge", edge, t.fd, fd, PATIENCE_MS);
    say_epoll("both, once", once, t.fd, fd, PATIENCE_MS);
    if (!k->stays) {
        take_in(t.fd);
        say_poll("the socket", t.fd, fd, PATIENCE_MS);
        say_epoll("the socket", level, t.fd, fd, PATIENCE_MS);
    }
    take_in(fd);
    say_epoll("none or the other", level, t.fd, fd, 0);
    peer("send %d 1", n);
    if (!k->stays)
        say_epoll("new data, edge", edge, t.fd, fd, PATIENCE_MS);
    close(t.fd);
    if (t.other >= 0)
        close(t.other);
    close(fd);
    say_epoll("closed", level, t.fd, fd, 0);
    if (t.dir[0])
        rmdir(t.dir);
    close(level);
    close(edge);
    close(once);
}

void probe_mux(void)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        mix(&kinds[i]);
}
