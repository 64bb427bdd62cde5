/* SPDX-License-Identifier: Apache-2.0
 * Load through libxtcp's zero-copy calls: what a program gains that is written for xtcp. Prints what bench-load prints.
 *   bench-native bulk|pong HOST PORT SECONDS
 *   bench-native echo PORT PORTS   gives back what it gets on any number of connections: as bench-load's, but that no descriptor is
 *                                  needed for each */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/xtcp.h"
#include "tools/bench/common.h"

enum { PING = 64 };

static struct xtcp *x;
static struct xtcp_waiter *w;
static int s;

static void check(ssize_t rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror((int)-rc));
    exit(1);
}

/* Takes every connection that waits at the listener `l`. */
static void take_connections(int l)
{
    for (int c; (c = xtcp_accept(x, l, NULL, NULL, MSG_DONTWAIT)) >= 0;)
        xtcp_waiter_sub(w, c);
}

static void give_back(int c)
{
    char buf[4096];
    ssize_t n;
    while ((n = xtcp_recv(x, c, buf, sizeof buf, MSG_DONTWAIT)) > 0)
        check(xtcp_send(x, c, buf, (size_t)n, 0), "send");
    if (n != -EAGAIN)
        xtcp_close(x, c);
}

static void on_news(void *arg, uint32_t c)
{
    const int *listeners = arg; /* made first: theirs are the lowest numbers */
    if ((int)c <= listeners[0])
        take_connections((int)c);
    else
        give_back((int)c);
}

static void serve(int port, int ports)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct pollfd p = {.fd = xtcp_waiter_fd(w), .events = POLLIN};
    int one = 1;
    for (int i = 0; i < ports; i++) {
        s = xtcp_socket(x);
        check(s, "socket");
        check(xtcp_setsockopt(x, s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
        at.sin_port = htons((uint16_t)(port + i));
        check(xtcp_bind(x, s, (struct sockaddr *)&at, sizeof at), "bind");
        check(xtcp_listen(x, s, 4096), "listen");
        xtcp_waiter_sub(w, s);
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (!xtcp_waiter_spin(w) && !xtcp_waiter_prepare(w))
            poll(&p, 1, -1);
        xtcp_waiter_done(w);
        xtcp_waiter_take(w, on_news, &s);
    }
}

static void ignore(void *arg, uint32_t sock)
{
}

/* Until the socket has one of the events `mask`. */
static void wait_for(unsigned mask)
{
    struct pollfd p = {.fd = xtcp_waiter_fd(w), .events = POLLIN};
    while (!(xtcp_mask(x, s) & (mask | POLLERR | POLLHUP))) {
        if (!xtcp_waiter_spin(w) && !xtcp_waiter_prepare(w))
            poll(&p, 1, 10000);
        xtcp_waiter_done(w);
        xtcp_waiter_take(w, ignore, NULL);
    }
}

/* What a program would fill in is left as it is: the other side's counterpart does not look at it either. */
static size_t put(size_t want)
{
    struct iovec iov[2];
    ssize_t n = xtcp_reserve(x, s, iov);
    check(n, "reserve");
    if ((size_t)n > want)
        n = (ssize_t)want;
    check(xtcp_commit(x, s, (size_t)n), "commit");
    return (size_t)n;
}

static double bulk(double seconds)
{
    double t0 = now(), bytes = 0;
    while (now() < t0 + seconds) {
        size_t n = put(SIZE_MAX / 2);
        if (n == 0)
            wait_for(POLLOUT);
        bytes += (double)n;
    }
    return bytes * 8 / (now() - t0) / 1e9;
}

static double pong(double seconds)
{
    double t0 = now();
    long rounds = 0;
    for (; now() < t0 + seconds; rounds++) {
        for (size_t left = PING; left; left -= put(left))
            ;
        for (ssize_t left = PING; left > 0;) {
            struct iovec iov[2];
            ssize_t n = xtcp_peek(x, s, iov);
            check(n, "peek");
            if (n == 0) {
                wait_for(POLLIN);
                continue;
            }
            check(xtcp_consume(x, s, (size_t)n), "consume");
            left -= n;
        }
    }
    return (double)rounds / (now() - t0);
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    int one = 1;
    bool server = argc == 4 && strcmp(argv[1], "echo") == 0;
    if (!server && (argc != 5 || (strcmp(argv[1], "bulk") != 0 && strcmp(argv[1], "pong") != 0) ||
                    inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)) {
        fprintf(stderr, "usage: bench-native bulk|pong HOST PORT SECONDS\n       bench-native echo PORT PORTS\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)atoi(argv[3]));
    if (xtcp_attach(&x, NULL) < 0) {
        fprintf(stderr, "%s\n", xtcp_strerror_attach());
        return 1;
    }
    check(xtcp_waiter_new(x, &w), "waiter");
    if (server)
        serve(atoi(argv[2]), atoi(argv[3]));
    s = xtcp_socket(x);
    check(s, "socket");
    check(xtcp_connect(x, s, (struct sockaddr *)&to, sizeof to), "connect");
    check(xtcp_setsockopt(x, s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
    xtcp_waiter_sub(w, s);
    printf("%.3f\n", argv[1][0] == 'b' ? bulk(atof(argv[4])) : pong(atof(argv[4])));
    xtcp_detach(x);
    return 0;
}
