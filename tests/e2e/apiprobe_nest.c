/* SPDX-License-Identifier: Apache-2.0
 * epoll sets in epoll sets and in poll. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define PATIENCE_MS 20000

static int ctl(int ep, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    return epoll_ctl(ep, op, fd, &ev);
}

static int in_set(int fd, uint32_t events)
{
    int ep = epoll_create1(0);
    if (ctl(ep, EPOLL_CTL_ADD, fd, events) < 0)
        say_ret("  (ADD)", -1);
    return ep;
}

/* What a set has, at most four events, and of how many descriptors. */
static void say_wait(const char *name, int ep, int timeout)
{
    struct epoll_event evs[4] = {0};
    int r = epoll_wait(ep, evs, 4, timeout);
    if (r < 0)
        say("  %s: %s", name, strerrorname_np(errno));
    else
        say("  %s: %d, %#x%s", name, r, evs[0].events, r > 1 && evs[0].data.fd == evs[1].data.fd ? ", one twice" : "");
}

static void say_poll(const char *name, int fd, int timeout)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
    struct timeval tv = {0};
    fd_set set[3];
    for (int i = 0; i < 3; i++) {
        FD_ZERO(&set[i]);
        FD_SET(fd, &set[i]);
    }
    int r = poll(&p, 1, timeout), s = select(fd + 1, &set[0], &set[1], &set[2], &tv);
    say("  %s: poll %d, %#x, select %d, %d%d%d", name, r, (unsigned short)p.revents, s, FD_ISSET(fd, &set[0]) != 0,
        FD_ISSET(fd, &set[1]) != 0, FD_ISSET(fd, &set[2]) != 0);
}

static void take_all(int fd)
{
    char buf[256];
    while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
        ;
}

/* What each way of asking an outer set says, from idle to data to none. */
static void nested(const char *name, bool filled_first, uint32_t flags)
{
    int n, fd = dial(&n), inner = epoll_create1(0), outer = epoll_create1(0), top = epoll_create1(0);
    say("a set in a set, %s", name);
    if (filled_first)
        ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP);
    say_ret("  ADD", ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN | flags));
    say_ret("  ADD again", ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN | flags));
    say_ret("  ADD to a third", ctl(top, EPOLL_CTL_ADD, outer, EPOLLIN));
    say_ret("  a loop", ctl(inner, EPOLL_CTL_ADD, top, EPOLLIN));
    if (!filled_first)
        ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP);
    say_wait("idle, outer", outer, 0);
    say_poll("idle, inner", inner, 0);
    say_poll("idle, outer", outer, 0);
    peer("send %d 4", n);
    say_poll("data, inner", inner, PATIENCE_MS);
    say_poll("data, outer", outer, PATIENCE_MS);
    say_poll("data, top", top, PATIENCE_MS);
    say_wait("data, top", top, PATIENCE_MS);
    say_wait("data, outer", outer, PATIENCE_MS);
    say_wait("data, outer again", outer, 0);
    say_wait("data, inner", inner, PATIENCE_MS);
    take_all(fd);
    say_wait("read, outer", outer, 0);
    say_wait("read, inner", inner, 0);
    say_poll("read, inner", inner, 0);
    say_poll("read, outer", outer, 0);
    ctl(outer, EPOLL_CTL_MOD, inner, EPOLLIN | flags);
    peer("send %d 4", n);
    say_wait("more data, outer", outer, PATIENCE_MS);
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    say_wait("FIN, outer", outer, flags & EPOLLONESHOT ? 0 : PATIENCE_MS);
    close(fd);
    say_wait("closed, outer", outer, 0);
    say_poll("closed, inner", inner, 0);
    say_ret("  DEL", ctl(outer, EPOLL_CTL_DEL, inner, 0));
    say_ret("  DEL again", ctl(outer, EPOLL_CTL_DEL, inner, 0));
    close(inner);
    close(outer);
    close(top);
}

/* With descriptors of the kernel in the inner set and beside it. */
static void nested_mixed(void)
{
    uint64_t one = 1;
    int n, fd = dial(&n), ev = eventfd(0, EFD_NONBLOCK), inner = in_set(fd, EPOLLIN), outer = in_set(inner, EPOLLIN);
    ctl(inner, EPOLL_CTL_ADD, ev, EPOLLIN | EPOLLET);
    say("a set with an eventfd and a socket, in a set");
    say_wait("idle", outer, 0);
    if (write(ev, &one, sizeof one) < 0)
        return;
    say_poll("eventfd, inner", inner, PATIENCE_MS);
    say_wait("eventfd, outer", outer, PATIENCE_MS);
    say_poll("eventfd, inner once more", inner, PATIENCE_MS);
    say_wait("eventfd, inner", inner, PATIENCE_MS);
    say_wait("eventfd, inner again", inner, 0);
    say_wait("eventfd, outer again", outer, 0);
    peer("send %d 1", n);
    say_wait("socket, outer", outer, PATIENCE_MS);
    if (write(ev, &one, sizeof one) < 0)
        return;
    say_wait("both, outer", outer, PATIENCE_MS);
    say_poll("both, inner", inner, PATIENCE_MS);
    take_all(fd);
    say_wait("eventfd, inner", inner, PATIENCE_MS);
    say_wait("none, outer", outer, 0);
    close(fd);
    close(ev);
    close(inner);
    close(outer);
}

/* The inner set is closed while it is in the outer one. */
static void nested_closed(void)
{
    int n, fd = dial(&n), inner = in_set(fd, EPOLLIN), outer = in_set(inner, EPOLLIN), copy = dup(inner);
    peer("send %d 1", n);
    say("an inner set that is closed");
    say_wait("data, outer", outer, PATIENCE_MS);
    close(inner);
    say_wait("closed, a copy left, outer", outer, 0);
    close(copy);
    say_wait("all closed, outer", outer, 0);
    close(fd);
    close(outer);
}

struct waiting {
    int fd;
    _Atomic pid_t tid;
    bool polls;
    int result;
    unsigned events;
};

static void *wait_for_one(void *arg)
{
    struct waiting *w = arg;
    struct epoll_event ev = {0};
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    w->tid = gettid();
    if (w->polls) {
        w->result = poll(&p, 1, PATIENCE_MS);
        w->events = (unsigned short)p.revents;
    } else {
        w->result = epoll_wait(w->fd, &ev, 1, PATIENCE_MS);
        w->events = ev.events;
    }
    return NULL;
}

/* A socket becomes ready, or comes into the set, while threads wait: some on the set, on one around it, in poll on both. */
static void waiting(const char *name, bool add_later)
{
    int n, fd = dial(&n), inner = epoll_create1(0), outer = epoll_create1(0);
    struct waiting w[8] = {{.fd = inner}, {.fd = outer}, {.fd = inner, .polls = true}, {.fd = outer, .polls = true}};
    pthread_t t[8];
    memcpy(&w[4], w, 4 * sizeof *w);
    ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN);
    if (!add_later)
        ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN);
    for (int i = 0; i < 8; i++)
        pthread_create(&t[i], NULL, wait_for_one, &w[i]);
    for (int i = 0; i < 8; i++)
        until_asleep(&w[i].tid);
    if (add_later)
        ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN);
    peer("send %d 1", n);
    say("threads that wait, %s", name);
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
        say("  thread %d: %d, %#x", i, w[i].result, w[i].events);
    }
    close(fd);
    close(inner);
    close(outer);
}

void probe_nest(void)
{
    nested("level", true, 0);
    nested("level, filled later", false, 0);
    nested("edge", true, EPOLLET);
    nested("edge, filled later", false, EPOLLET);
    nested("once", true, EPOLLONESHOT);
    nested_mixed();
    nested_closed();
    waiting("data", false);
    waiting("a socket, then data", true);
}
