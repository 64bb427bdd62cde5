/* SPDX-License-Identifier: Apache-2.0
 * epoll: level and edge triggering, ONESHOT, MOD, mixed and double sets. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define PATIENCE_MS 20000

static int ctl(int ep, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u64 = 0x1234567800000000ULL | (unsigned)fd};
    return epoll_ctl(ep, op, fd, &ev);
}

/* Waits for at most one event; tells it when it is of `fd`. */
static void say_wait(const char *name, int ep, int fd, int timeout)
{
    struct epoll_event ev;
    int r = epoll_wait(ep, &ev, 1, timeout);
    if (r == 1)
        say("%s: %s%s", name, events_text(ev.events),
            ev.data.u64 == (0x1234567800000000ULL | (unsigned)fd) ? "" : " (other data)");
    else
        say("%s: %s", name, r == 0 ? "nothing" : strerrorname_np(errno));
}

static void control_errors(void)
{
    int n, fd = dial(&n), ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev;
    say_ret("epoll MOD absent", ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN));
    say_ret("epoll DEL absent", ctl(ep, EPOLL_CTL_DEL, fd, 0));
    say_ret("epoll ADD", ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN));
    say_ret("epoll ADD twice", ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN));
    say_ret("epoll DEL", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    say_ret("epoll ctl on a socket", ctl(fd, EPOLL_CTL_ADD, ep, EPOLLIN));
    say_ret("epoll_wait on a socket", epoll_wait(fd, &ev, 1, 0));
    say_ret("epoll_wait for none", epoll_wait(ep, &ev, 0, 0));
    close(ep);
    close(fd);
}

static void level(void)
{
    char buf[64];
    int n, fd = dial(&n), ep = epoll_create1(0);
    ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP);
    say_wait("LT idle", ep, fd, 0);
    ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
    say_wait("LT MOD to OUT", ep, fd, 0);
    say_wait("LT again", ep, fd, 0);
    ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLRDHUP);
    peer("send %d 10", n);
    say_wait("LT data", ep, fd, PATIENCE_MS);
    if (read(fd, buf, 4) == 4)
        say_wait("LT part read", ep, fd, 0);
    if (read(fd, buf, 6) == 6)
        say_wait("LT all read", ep, fd, 0);
    peer("fin %d", n);
    say_wait("LT peer FIN", ep, fd, PATIENCE_MS);
    say_wait("LT peer FIN again", ep, fd, 0);
    close(fd);
    say_wait("LT closed without DEL", ep, fd, 0);
    close(ep);
}

static void edge(void)
{
    char buf[64];
    int n, fd = dial(&n), ep = epoll_create1(0);
    uint32_t all = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    ctl(ep, EPOLL_CTL_ADD, fd, all);
    say_wait("ET idle", ep, fd, 0);
    say_wait("ET idle again", ep, fd, 0);
    peer("send %d 10", n);
    say_wait("ET data", ep, fd, PATIENCE_MS);
    say_wait("ET data again", ep, fd, 0);
    if (read(fd, buf, 4) == 4)
        say_wait("ET part read", ep, fd, 0);
    peer("send %d 10", n);
    say_wait("ET more data while unread", ep, fd, PATIENCE_MS);
    ctl(ep, EPOLL_CTL_MOD, fd, all);
    say_wait("ET MOD tells again", ep, fd, 0);
    say_wait("ET after MOD", ep, fd, 0);
    peer("rst %d", n);
    say_wait("ET reset", ep, fd, PATIENCE_MS);
    say_wait("ET reset again", ep, fd, 0);
    close(fd);
    close(ep);
}

static void oneshot(void)
{
    int n, fd = dial(&n), ep = epoll_create1(0);
    ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT);
    peer("send %d 1", n);
    say_wait("ONESHOT data", ep, fd, PATIENCE_MS);
    say_wait("ONESHOT disarmed", ep, fd, 0);
    ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT);
    say_wait("ONESHOT armed again", ep, fd, 0);
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    say_wait("ONESHOT disarmed, peer FIN", ep, fd, 0);
    close(fd);
    close(ep);
}

static void mixed(void)
{
    uint64_t one = 1;
    int n, fd = dial(&n), ep = epoll_create1(0), ep2 = epoll_create1(0), ev = eventfd(0, 0), p[2];
    if (pipe(p) < 0)
        return;
    ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN);
    ctl(ep, EPOLL_CTL_ADD, ev, EPOLLIN);
    ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN);
    ctl(ep2, EPOLL_CTL_ADD, fd, EPOLLIN);
    say_wait("mixed idle", ep, fd, 0);
    if (write(ev, &one, sizeof one) > 0)
        say_wait("mixed eventfd", ep, ev, PATIENCE_MS);
    if (read(ev, &one, sizeof one) > 0 && write(p[1], "x", 1) == 1)
        say_wait("mixed pipe", ep, p[0], PATIENCE_MS);
    if (read(p[0], &one, 1) == 1)
        peer("send %d 1", n);
    say_wait("mixed socket", ep, fd, PATIENCE_MS);
    say_wait("second set", ep2, fd, PATIENCE_MS);
    one = 1;
    if (write(ev, &one, sizeof one) > 0) {
        struct epoll_event evs[8];
        int r = 0;
        for (int i = 0; i < 100 && r < 2; i++)
            r = epoll_wait(ep, evs, 8, 0);
        say("mixed, both ready: %d", r);
    }
    close(p[0]);
    close(p[1]);
    close(ev);
    close(ep);
    close(ep2);
    close(fd);
}

/* Sockets put into a set before anybody knows what becomes of them. */
static void early(void)
{
    int ep = epoll_create1(0), fd = socket(AF_INET, SOCK_STREAM, 0);
    ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT);
    say_wait("fresh in a set", ep, fd, 0);
    close(fd);
    fd = listener();
    ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET);
    say_wait("ET listener idle", ep, fd, 0);
    peer_dials();
    say_wait("ET listener, one pending", ep, fd, PATIENCE_MS);
    say_wait("ET listener again", ep, fd, 0);
    peer_dials();
    say_wait("ET listener, second pending", ep, fd, PATIENCE_MS);
    close(accept(fd, NULL, NULL));
    say_wait("ET listener, one taken", ep, fd, 0);
    close(accept(fd, NULL, NULL));
    close(fd);
    close(ep);
}

void probe_epoll(void)
{
    control_errors();
    level();
    edge();
    oneshot();
    mixed();
    early();
}
