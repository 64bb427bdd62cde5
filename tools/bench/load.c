/* SPDX-License-Identifier: Apache-2.0
 * Load over plain sockets, where no common program makes it; and the servers that bench-native talks to.
 *   bench-load rpc HOST PORT CLIENTS REQUESTS TEXT LEN   sends TEXT (with \r\n behind it), waits for LEN bytes, and so on, on CLIENTS
 *                                                        connections in one thread; prints requests a second
 *   bench-load bulk HOST PORT SECONDS                    sends; prints Gbit/s as taken by the socket
 *   bench-load pong HOST PORT SECONDS                    64 bytes there and back, one after the other; prints round trips a second
 *   bench-load echo PORT PORTS                           gives back what it gets on any number of connections
 *   bench-load sink PORT PORTS                           only reads it */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/bench/common.h"

enum { BLOCK = 256 * 1024, PING = 64, EVENTS = 256 };
static char block[BLOCK];

static int open_to(const char *host, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || inet_pton(AF_INET, host, &to.sin_addr) != 1)
        die(host);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_all(int fd, const char *buf, size_t len)
{
    for (ssize_t n; len; buf += n, len -= (size_t)n)
        if ((n = send(fd, buf, len, MSG_NOSIGNAL)) < 0)
            die("send");
}

static void receive_all(int fd, size_t len)
{
    for (ssize_t n; len; len -= (size_t)n)
        if ((n = recv(fd, block, len < BLOCK ? len : BLOCK, 0)) <= 0)
            die("recv");
}

static void rpc(const char *host, int port, int clients, long requests, const char *text, size_t len)
{
    int ep = epoll_create1(0);
    size_t tlen = strlen(text) + 2, *left = calloc((size_t)clients, sizeof *left);
    int *fds = calloc((size_t)clients, sizeof *fds);
    char *request = malloc(tlen + 1);
    long sent = 0, done = 0;
    double t0;
    if (ep < 0 || !left || !fds || !request || !len)
        die("rpc");
    snprintf(request, tlen + 1, "%s\r\n", text);
    for (int i = 0; i < clients; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        fds[i] = open_to(host, port);
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e) < 0)
            die("epoll_ctl");
    }
    t0 = now();
    for (int i = 0; i < clients && sent < requests; i++, sent++) {
        left[i] = len;
        send_all(fds[i], request, tlen);
    }
    while (done < requests) {
        struct epoll_event ev[EVENTS];
        int n = epoll_wait(ep, ev, EVENTS, 10000);
        if (n <= 0)
            die("no answer");
        for (int k = 0; k < n; k++) {
            uint32_t i = ev[k].data.u32;
            ssize_t got = recv(fds[i], block, left[i], 0);
            if (got <= 0)
                die("recv");
            left[i] -= (size_t)got;
            if (left[i])
                continue;
            done++;
            if (sent < requests) {
                sent++;
                left[i] = len;
                send_all(fds[i], request, tlen);
            }
        }
    }
    printf("%.1f\n", (double)requests / (now() - t0));
    free(left);
    free(fds);
    free(request);
}

static void bulk(const char *host, int port, double seconds)
{
    int fd = open_to(host, port);
    double t0 = now(), bytes = 0;
    while (now() < t0 + seconds) {
        send_all(fd, block, BLOCK);
        bytes += BLOCK;
    }
    printf("%.3f\n", bytes * 8 / (now() - t0) / 1e9);
}

static void pong(const char *host, int port, double seconds)
{
    int fd = open_to(host, port);
    double t0 = now();
    long n = 0;
    for (; now() < t0 + seconds; n++) {
        send_all(fd, block, PING);
        receive_all(fd, PING);
    }
    printf("%.1f\n", (double)n / (now() - t0));
}

static int listener(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (l < 0 || bind(l, (struct sockaddr *)&at, sizeof at) < 0 || listen(l, 4096) < 0)
        die("listen");
    return l;
}

static void watch(int ep, int fd, uint64_t tag)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = tag | (uint32_t)fd};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

static void take(int ep, int l)
{
    int one = 1;
    for (int fd; (fd = accept(l, NULL, NULL)) >= 0; watch(ep, fd, 0))
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* All connections to `ports` ports from `port` on. */
static void serve(int port, int ports, bool echo)
{
    const uint64_t is_listener = 1ULL << 32;
    int ep = epoll_create1(0);
    for (int i = 0; i < ports; i++)
        watch(ep, listener(port + i), is_listener);
    for (;;) {
        struct epoll_event ev[EVENTS];
        int n = epoll_wait(ep, ev, EVENTS, -1);
        for (int k = 0; k < n; k++) {
            int fd = (int)(uint32_t)ev[k].data.u64;
            ssize_t got;
            if (ev[k].data.u64 & is_listener) {
                take(ep, fd);
                continue;
            }
            got = recv(fd, block, BLOCK, 0);
            if (got <= 0)
                close(fd);
            else if (echo)
                send_all(fd, block, (size_t)got);
        }
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (argc == 8 && !strcmp(what, "rpc"))
        rpc(argv[2], atoi(argv[3]), atoi(argv[4]), atol(argv[5]), argv[6], (size_t)atol(argv[7]));
    else if (argc == 5 && !strcmp(what, "bulk"))
        bulk(argv[2], atoi(argv[3]), atof(argv[4]));
    else if (argc == 5 && !strcmp(what, "pong"))
        pong(argv[2], atoi(argv[3]), atof(argv[4]));
    else if (argc == 4 && (!strcmp(what, "echo") || !strcmp(what, "sink")))
        serve(atoi(argv[2]), atoi(argv[3]), what[0] == 'e');
    else {
        fprintf(stderr, "usage: bench-load rpc|bulk|pong|echo|sink ... (see the head of its source)\n");
        return 2;
    }
    return 0;
}
