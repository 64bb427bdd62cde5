/* SPDX-License-Identifier: Apache-2.0
 * SO_TIMESTAMP and its kin: what receives tell of when the bytes came. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static bool is_nano(int type)
{
    return type == SO_TIMESTAMPNS_OLD || type == SO_TIMESTAMPNS_NEW;
}

/* Receives, and says what control messages come with it. A time is said to lie after `since`, or not. */
static void receive(const char *name, int fd, size_t len, int flags, int64_t since)
{
    char buf[64], control[256];
    struct iovec v = {buf, len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t r = recvmsg(fd, &m, flags);
    int64_t now = now_us();
    say_ret(name, r);
    if (r < 0)
        return;
    say("  flags %#x, control %zu", (unsigned)m.msg_flags, m.msg_controllen);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        int64_t t[2] = {0};
        memcpy(t, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0) < sizeof t ? c->cmsg_len - CMSG_LEN(0) : sizeof t);
        int64_t us = t[0] * 1000000 + (is_nano(c->cmsg_type) ? t[1] / 1000 : t[1]);
        say("  cmsg %d/%d of %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
        if (c->cmsg_level == SOL_SOCKET)
            say("  a time %s", us < since ? "before it was sent" : us > now ? "to come" : "in between");
    }
}

static void set(int fd, int level, int name, int on)
{
    if (setsockopt(fd, level, name, &on, sizeof on) < 0)
        say_ret("  setsockopt", -1);
}

/* All four together: what one sets the others show. */
static void readback(int fd)
{
    static const int names[] = {SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW};
    for (int i = 0; i < 8; i++) {
        int got[4];
        set(fd, SOL_SOCKET, names[i % 4], i < 4);
        for (int k = 0; k < 4; k++) {
            socklen_t len = sizeof got[k];
            getsockopt(fd, SOL_SOCKET, names[k], &got[k], &len);
        }
        say(" %d %s: %d %d %d %d", names[i % 4], i < 4 ? "set" : "unset", got[0], got[1], got[2], got[3]);
        if (i >= 4)
            set(fd, SOL_SOCKET, names[(i + 1) % 4], 1);
    }
    set(fd, SOL_SOCKET, SO_TIMESTAMP_OLD, 0);
}

static void each_kind(int fd, int n)
{
    static const int names[] = {SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW};
    for (int i = 0; i < 4; i++) {
        set(fd, SOL_SOCKET, names[i], 1);
        say(" with %d", names[i]);
        int64_t since = now_us();
        peer("send %d 20", n);
        settle();
        receive(" peek", fd, 20, MSG_PEEK, since);
        receive(" a part", fd, 5, 0, since);
        receive(" the rest", fd, 64, 0, since);
        receive(" nothing", fd, 5, MSG_DONTWAIT, since);
        set(fd, SOL_SOCKET, names[i], 0);
        peer("send %d 5", n);
        settle();
        receive(" without", fd, 5, 0, since);
    }
}

static void with_inq(int fd, int n)
{
    int64_t since = now_us();
    set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
    set(fd, IPPROTO_TCP, TCP_INQ, 1);
    peer("send %d 20", n);
    settle();
    receive(" with TCP_INQ", fd, 5, 0, since);
    receive(" with TCP_INQ", fd, 15, 0, since);
    peer("fin %d", n);
    until(fd, 0x2000 /* POLLRDHUP */);
    receive(" end of file", fd, 5, 0, since);
}

/* Set before the socket connects, and by who listens. */
static void inherited(void)
{
    int on = 1, got = -1, lfd = listener();
    socklen_t len = sizeof got;
    setsockopt(lfd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    int n = peer_dials(), fd = accept(lfd, NULL, NULL);
    getsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &got, &len);
    say(" inherited: %d", got);
    int64_t since = now_us();
    peer("send %d 5", n);
    settle();
    receive(" accepted", fd, 5, 0, since);
    close(fd);
    close(lfd);
    peer("close %d", n);
}

/* A socket for whose sake the kernel goes on stamping: it begins a while after the first has asked for that. */
static int stamped(int *n)
{
    int fd = dial(n);
    char byte, control[64];
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control};
    set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
    for (int i = 0; i < 2000 && m.msg_controllen == 0; i++) {
        peer("send %d 1", *n);
        m.msg_controllen = sizeof control;
        recvmsg(fd, &m, 0);
    }
    return fd;
}

void probe_stamp(void)
{
    int m, other = stamped(&m), n, fd = dial(&n);
    say("time stamps");
    readback(fd);
    each_kind(fd, n);
    with_inq(fd, n);
    close(fd);
    peer("close %d", n);
    inherited();
    close(other);
    peer("close %d", m);
}
