/* SPDX-License-Identifier: Apache-2.0
 * Threads that are cancelled while they sleep in a call, or anywhere in it: the call is a cancellation point, and the socket goes on
 * working for the others. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define PATIENCE 20
#define ROUNDS 150 /* of cancels at any place */

static int sock, many_sock, lsock;
static char data[1 << 16];
static _Atomic pid_t tid;
static _Atomic long moved;

static void begin(void)
{
    tid = gettid();
}

/* ---- calls to be cancelled in ---- */

static void *in_recv(void *unused)
{
    begin();
    return (void *)recv(sock, data, sizeof data, 0);
}

static void *in_read(void *unused)
{
    begin();
    return (void *)read(sock, data, sizeof data);
}

static void *in_recvmsg(void *unused)
{
    struct iovec iov = {data, sizeof data};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    begin();
    return (void *)recvmsg(sock, &mh, MSG_WAITALL);
}

static void *in_send(void *unused)
{
    begin();
    for (;;)
        if (send(many_sock, data, sizeof data, 0) < 0)
            return NULL;
}

static void *in_accept(void *unused)
{
    begin();
    return (void *)(long)accept(lsock, NULL, NULL);
}

static void *in_poll(void *unused)
{
    struct pollfd p[2] = {{.fd = sock, .events = POLLIN}, {.fd = lsock, .events = POLLIN}};
    begin();
    return (void *)(long)poll(p, 2, -1);
}

static void *in_poll_many(void *unused)
{
    struct pollfd p[300];
    for (int i = 0; i < 300; i++)
        p[i] = (struct pollfd){.fd = i % 2 ? sock : lsock, .events = POLLIN};
    begin();
    return (void *)(long)poll(p, 300, -1);
}

static void *in_select(void *unused)
{
    fd_set in;
    FD_ZERO(&in);
    FD_SET(sock, &in);
    begin();
    return (void *)(long)select(sock + 1, &in, NULL, NULL, NULL);
}

static int set_with(int fd)
{
    struct epoll_event ev = {.events = EPOLLIN};
    int ep = epoll_create1(0);
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    return ep;
}

static int ep;

static void *in_epoll_wait(void *unused)
{
    struct epoll_event ev;
    begin();
    return (void *)(long)epoll_wait(ep, &ev, 1, -1);
}

static void *in_connect(void *unused)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
    inet_pton(AF_INET, peer_addr, &a.sin_addr);
    a.sin_addr.s_addr = (a.sin_addr.s_addr & htonl(0xffffff00)) | htonl(250); /* nobody is there */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    moved = fd;
    begin();
    return (void *)(long)connect(fd, (struct sockaddr *)&a, sizeof a);
}

/* ---- how ---- */

/* "cancelled", what it returned, or that it does not end. */
static const char *end_of(pthread_t t)
{
    static char text[64];
    struct timespec until;
    void *ret;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE;
    pthread_cancel(t);
    if (pthread_timedjoin_np(t, &ret, &until) != 0)
        return "does not end";
    if (ret == PTHREAD_CANCELED)
        return "cancelled";
    snprintf(text, sizeof text, "returned %ld", (long)ret);
    return text;
}

static void cancel_in(const char *name, void *(*call)(void *))
{
    pthread_t t;
    tid = 0;
    pthread_create(&t, NULL, call, NULL);
    until_asleep(&tid);
    say(" %s: %s", name, end_of(t));
}

static int descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void say_read(const char *name, int fd)
{
    until(fd, POLLIN);
    say_ret(name, recv(fd, data, sizeof data, MSG_DONTWAIT));
}

static void probe_calls_cancelled(int n)
{
    cancel_in("recv", in_recv);
    cancel_in("read", in_read);
    cancel_in("recvmsg", in_recvmsg);
    cancel_in("poll", in_poll);
    cancel_in("poll of many", in_poll_many);
    cancel_in("select", in_select);
    ep = set_with(sock);
    cancel_in("epoll_wait", in_epoll_wait);
    cancel_in("epoll_wait again", in_epoll_wait);
    peer("send %d 5", n);
    struct epoll_event ev = {0};
    say(" the set: %d", epoll_wait(ep, &ev, 1, PATIENCE * 1000));
    close(ep);
    say_read(" the socket", sock);
}

static void probe_accept_cancelled(void)
{
    lsock = listener();
    cancel_in("accept", in_accept);
    int p = peer_dials();
    int fd = accept(lsock, NULL, NULL);
    say(" accepts: %s", fd >= 0 ? "yes" : "no");
    close(fd);
    peer("close %d", p);
}

static void probe_send_cancelled(void)
{
    int n;
    many_sock = dial(&n);
    cancel_in("send", in_send);
    shutdown(many_sock, SHUT_WR);
    say(" the peer reads to the end: %s", peer("eof %d", n) > 0 ? "yes" : "no");
    close(many_sock);
    peer("close %d", n);
}

static void probe_connect_cancelled(void)
{
    cancel_in("connect", in_connect);
    say(" close: %d", close((int)moved));
}

/* ---- anywhere ---- */

static void *eat(void *unused)
{
    begin();
    for (;;)
        recv(sock, data, 1000, 0);
    return NULL;
}

static void *wait_and_eat(void *unused)
{
    struct epoll_event ev;
    begin();
    for (;;) {
        struct pollfd p[2] = {{.fd = sock, .events = POLLIN}, {.fd = ep, .events = POLLIN}};
        epoll_wait(ep, &ev, 1, -1);
        poll(p, 2, -1);
        recv(sock, data, 1000, 0);
    }
    return NULL;
}

/* What the peer does meanwhile. */
static void *command(void *text)
{
    peer("%s", (const char *)text);
    return NULL;
}

/* One thread after the other is cancelled in the midst of `call`. */
static void anywhere(const char *name, void *(*call)(void *), const char *fmt, int n)
{
    char text[64];
    int bad = 0;
    pthread_t t, beside;
    snprintf(text, sizeof text, fmt, n);
    pthread_create(&beside, NULL, command, text);
    for (int i = 0; i < ROUNDS; i++) {
        tid = 0;
        pthread_create(&t, NULL, call, NULL);
        while (!tid)
            sched_yield();
        for (int k = 0; k < i % 8; k++)
            sched_yield();
        if (strcmp(end_of(t), "cancelled") != 0)
            bad++;
    }
    say(" %s, %d threads: %d that do not end", name, ROUNDS, bad);
    if (call == in_send)
        shutdown(many_sock, SHUT_WR);
    while (pthread_tryjoin_np(beside, NULL) != 0)
        recv(sock, data, sizeof data, MSG_DONTWAIT);
}

static void probe_anywhere(int n)
{
    int m;
    anywhere("recv", eat, "send %d 3000000", n);
    ep = set_with(sock);
    anywhere("epoll_wait, poll and recv", wait_and_eat, "send %d 3000000", n);
    close(ep);
    many_sock = dial(&m);
    anywhere("send", in_send, "eof %d", m);
    close(many_sock);
    peer("close %d", m);
    while (recv(sock, data, sizeof data, MSG_DONTWAIT) > 0)
        continue;
    settle();
    while (recv(sock, data, sizeof data, MSG_DONTWAIT) > 0)
        continue;
    peer("send %d 7", n);
    say_read(" the socket", sock);
}

void probe_cancel(void)
{
    int n, before;
    sock = dial(&n);
    say("threads cancelled in their sleep");
    probe_accept_cancelled();
    probe_calls_cancelled(n); /* what the library keeps for threads is there from now on */
    before = descriptors();
    probe_calls_cancelled(n);
    probe_send_cancelled();
    probe_connect_cancelled();
    say(" descriptors: %+d", descriptors() - before);
    say("threads cancelled anywhere");
    probe_anywhere(n);
    close(sock);
    close(lsock);
    peer("close %d", n);
}
