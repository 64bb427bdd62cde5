/* SPDX-License-Identifier: Apache-2.0
 * TCP_NOTSENT_LOWAT: a socket with much that waits to be sent is not writable, however much room its buffer has. */
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define UNSENT 60000 /* at least so many */

static char data[1000];

static int unsent(int fd)
{
    int n = 0;
    ioctl(fd, SIOCOUTQNSD, &n);
    return n;
}

static void set(int fd, int lowat)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
}

static long sent; /* and not read by the peer */

static ssize_t put(int fd, size_t n, int flags)
{
    ssize_t r = send(fd, data, n, flags);
    sent += r > 0 ? r : 0;
    return r;
}

/* Sends to a peer that does not read until UNSENT bytes wait, though there is room for more. */
static void fill(int fd)
{
    int size = 200000;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    for (int i = 0; i < 200 && unsent(fd) <= UNSENT; i++) {
        while (unsent(fd) <= UNSENT && put(fd, sizeof data, MSG_DONTWAIT) > 0)
            continue;
        settle();
    }
    say(" enough waits: %s", unsent(fd) > UNSENT ? "yes" : "no");
}

static void say_writable(const char *name, int fd, int ep)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    struct epoll_event ev;
    int polled = poll(&p, 1, 0), told = epoll_wait(ep, &ev, 1, 0);
    say(" %s: poll %d, epoll %d", name, polled, told);
    if (polled)
        say_ret("  send", put(fd, 10, MSG_DONTWAIT));
}

/* What goes on being taken when too much waits: at most what Linux may put into a segment that it has begun. */
static void say_bound(int fd)
{
    long before = sent;
    while (sent - before < 4 * UNSENT && put(fd, sizeof data, MSG_DONTWAIT) > 0)
        continue;
    say(" then it takes no more than a segment: %s", sent - before <= 65536 ? "yes" : "no");
}

struct reading {
    int n;
    long bytes;
};

static void *peer_reads(void *arg)
{
    const struct reading *r = arg;
    peer("read %d %ld", r->n, r->bytes);
    return NULL;
}

static pthread_t read_all(struct reading *r)
{
    pthread_t t;
    r->bytes = sent;
    sent = 0;
    pthread_create(&t, NULL, peer_reads, r);
    return t;
}

void probe_notsent(void)
{
    pthread_t t;
    struct epoll_event ev = {.events = EPOLLOUT};
    struct reading r;
    int fd = dial(&r.n), ep = epoll_create1(0), lowat = -1;
    socklen_t len = sizeof lowat;
    say("TCP_NOTSENT_LOWAT, a peer that does not read");
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    fill(fd);
    getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, &len);
    say(" at first: %d", lowat);
    say_writable("without", fd, ep);
    set(fd, UNSENT / 2);
    say_writable("less than waits", fd, ep);
    set(fd, UNSENT * 4 / 3);
    say_writable("less than twice of what waits", fd, ep);
    set(fd, UNSENT * 10);
    say_writable("much more", fd, ep);
    set(fd, 0);
    say_writable("0", fd, ep);
    set(fd, -1);
    say_writable("-1", fd, ep);
    set(fd, 1);
    say_writable("1", fd, ep);
    say_bound(fd);
    t = read_all(&r);
    say(" the peer reads, epoll: %d", epoll_wait(ep, &ev, 1, 20000));
    pthread_join(t, NULL);
    until(fd, POLLOUT);
    say_writable("all sent", fd, ep);

    set(fd, 0);
    fill(fd);
    set(fd, 1);
    t = read_all(&r);
    say_ret(" send that waits", put(fd, sizeof data, 0));
    pthread_join(t, NULL);
    close(ep);
    close(fd);
    peer("close %d", r.n);
}
