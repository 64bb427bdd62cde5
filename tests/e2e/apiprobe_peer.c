/* SPDX-License-Identifier: Apache-2.0
 * The prober's other side. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define MAX_CONNS 65536

static int conns[MAX_CONNS], nconns, listening;

static long add(int fd)
{
    if (fd < 0 || nconns == MAX_CONNS)
        return -1;
    conns[nconns] = fd;
    return nconns++;
}

static long dial_prober(const char *ip, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (inet_pton(AF_INET, ip, &a.sin_addr) != 1 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return -1;
    return add(fd);
}

static long send_bytes(int fd, long n)
{
    char buf[4096];
    memset(buf, 'x', sizeof buf);
    for (long left = n; left > 0;) {
        ssize_t r = write(fd, buf, (size_t)(left < (long)sizeof buf ? left : (long)sizeof buf));
        if (r < 0)
            return -1;
        left -= r;
    }
    return n;
}

/* `n` bytes, or all until end of file when n is -1. */
static long read_bytes(int fd, long n)
{
    char buf[65536];
    long done = 0;
    while (n < 0 || done < n) {
        size_t want = n < 0 || n - done > (long)sizeof buf ? sizeof buf : (size_t)(n - done);
        ssize_t r = read(fd, buf, want);
        if (r <= 0)
            return r < 0 && n >= 0 ? -1 : done;
        done += r;
    }
    return done;
}

static long end_of(int fd)
{
    char buf[4096];
    ssize_t r;
    do
        r = read(fd, buf, sizeof buf);
    while (r > 0);
    return r < 0 ? errno : 0;
}

static long reset(int fd)
{
    struct linger l = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    return close(fd);
}

static long run(const char *line)
{
    char ip[64];
    int port, i;
    long n = 0;
    if (strncmp(line, "accept", 6) == 0)
        return add(accept(listening, NULL, NULL));
    if (sscanf(line, "connect %63s %d", ip, &port) == 2)
        return dial_prober(ip, port);
    if (sscanf(line, "%63s %d %ld", ip, &i, &n) < 2 || i < 0 || i >= nconns) {
        errno = EINVAL;
        return -1;
    }
    if (strcmp(ip, "send") == 0)
        return send_bytes(conns[i], n);
    if (strcmp(ip, "oob") == 0)
        return send(conns[i], "u", 1, MSG_OOB);
    if (strcmp(ip, "fin") == 0)
        return shutdown(conns[i], SHUT_WR);
    if (strcmp(ip, "rst") == 0)
        return reset(conns[i]);
    if (strcmp(ip, "close") == 0)
        return close(conns[i]);
    if (strcmp(ip, "read") == 0)
        return read_bytes(conns[i], n);
    if (strcmp(ip, "eof") == 0)
        return read_bytes(conns[i], -1);
    if (strcmp(ip, "end") == 0)
        return end_of(conns[i]);
    errno = EINVAL;
    return -1;
}

int probe_peer(const char *addr, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char line[128];
    int one = 1;
    FILE *f;
    signal(SIGPIPE, SIG_IGN);
    listening = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, addr, &a.sin_addr) != 1 || bind(listening, (struct sockaddr *)&a, sizeof a) < 0 ||
        listen(listening, 64) < 0) {
        perror("apiprobe peer");
        return 2;
    }
    int control = accept(listening, NULL, NULL);
    f = fdopen(control, "r");
    while (f && fgets(line, sizeof line, f)) {
        long r = run(line);
        int len = r < 0 ? snprintf(line, sizeof line, "failed: %s\n", strerror(errno))
                        : snprintf(line, sizeof line, "ok %ld\n", r);
        if (write(control, line, (size_t)len) != len)
            break;
    }
    return 0;
}
