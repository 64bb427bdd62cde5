/* SPDX-License-Identifier: Apache-2.0
 * Each state of a TCP socket, asked for in every way there is: poll, select, and epoll level-triggered, edge-triggered and
 * once, by sets that had the socket before it came to the state and by sets that get it then. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define EVERY \
    (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLRDNORM | EPOLLRDBAND | EPOLLWRNORM | EPOLLWRBAND | EPOLLMSG)

static int n; /* the connection's number at the peer */

/* ---- the ways ---- */

static int put(int ep, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    return epoll_ctl(ep, op, fd, &ev);
}

static void say_epoll(const char *name, int ep)
{
    struct epoll_event evs[4] = {0};
    int r = epoll_wait(ep, evs, 4, 0);
    say("  %s: %d, %#x", name, r, r > 0 ? evs[0].events : 0);
}

static void say_polls(int fd)
{
    static const struct {
        const char *name;
        unsigned events;
    } masks[] = {{"all", EVERY},
                 {"none", 0},
                 {"IN", POLLIN},
                 {"OUT", POLLOUT},
                 {"PRI", POLLPRI},
                 {"RDHUP", POLLRDHUP},
                 {"RDNORM|WRNORM", POLLRDNORM | POLLWRNORM},
                 {"RDBAND|WRBAND", POLLRDBAND | POLLWRBAND}};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        struct pollfd p = {.fd = fd, .events = (short)masks[i].events, .revents = 0x7fff};
        int r = poll(&p, 1, 0);
        say("  poll %s: %d, %#x", masks[i].name, r, (unsigned short)p.revents);
    }
}

static void say_selects(int fd)
{
    struct timeval tv = {0};
    struct timespec ts = {0};
    fd_set set[3];
    for (int i = 0; i < 3; i++) {
        FD_ZERO(&set[i]);
        FD_SET(fd, &set[i]);
    }
    int r = select(fd + 1, &set[0], &set[1], &set[2], &tv);
    say("  select: %d, %d%d%d", r, FD_ISSET(fd, &set[0]) != 0, FD_ISSET(fd, &set[1]) != 0, FD_ISSET(fd, &set[2]) != 0);
    FD_SET(fd, &set[0]);
    r = pselect(fd + 1, &set[0], NULL, NULL, &ts, NULL);
    say("  pselect for reading: %d", r);
}

/* Sets that have the socket already; and, made when it is in its state, sets that get it then. */
struct sets {
    int level, edge, once, in, hup;
};

static struct sets sets_with(int fd)
{
    struct sets s = {epoll_create1(0), epoll_create1(0), epoll_create1(0), epoll_create1(0), epoll_create1(0)};
    put(s.level, EPOLL_CTL_ADD, fd, EVERY);
    put(s.edge, EPOLL_CTL_ADD, fd, EVERY | EPOLLET);
    put(s.once, EPOLL_CTL_ADD, fd, EVERY | EPOLLONESHOT);
    put(s.in, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET);
    put(s.hup, EPOLL_CTL_ADD, fd, EPOLLET);
    return s;
}

/* Tells what is true already, so that what comes later is a new edge; ONESHOT is armed again. */
static void say_sets(const char *when, struct sets s, int fd)
{
    say(" %s", when);
    say_epoll("level", s.level);
    say_epoll("level again", s.level);
    say_epoll("edge", s.edge);
    say_epoll("edge again", s.edge);
    say_epoll("edge of IN", s.in);
    say_epoll("edge of nothing", s.hup);
    say_epoll("once", s.once);
    say_epoll("once again", s.once);
    put(s.once, EPOLL_CTL_MOD, fd, EVERY | EPOLLONESHOT);
    put(s.in, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET);
    say_epoll("edge of IN, set again", s.in);
}

static void sets_close(struct sets s)
{
    close(s.level);
    close(s.edge);
    close(s.once);
    close(s.in);
    close(s.hup);
}

/* ---- the states: each from a fresh descriptor, in steps; what is told is told after each step ---- */

static struct sockaddr_in at(const char *ip, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}

static int begin_fresh(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static int begin_listener(void)
{
    return listener();
}

static int begin_idle(void)
{
    int fd = dial(&n);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int begin_inline(void)
{
    int fd = begin_idle(), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one);
    return fd;
}

static int begin_lowat(void)
{
    int fd = begin_idle(), ten = 10;
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &ten, sizeof ten);
    return fd;
}

static void do_bind(int fd)
{
    struct sockaddr_in a = at(own_addr, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
        say_ret("bind", -1);
}

static void do_connect_nobody(int fd)
{
    struct sockaddr_in a = at(peer_addr, peer_port);
    a.sin_addr.s_addr = htonl((ntohl(a.sin_addr.s_addr) & ~0xffu) | 0xee);
    connect(fd, (struct sockaddr *)&a, sizeof a);
}

static void do_connect_refused(int fd)
{
    struct sockaddr_in a = at(peer_addr, peer_port + 1);
    connect(fd, (struct sockaddr *)&a, sizeof a);
    until(fd, POLLHUP | POLLERR);
}

static void do_connect(int fd)
{
    struct sockaddr_in a = at(peer_addr, peer_port);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno == ECONNABORTED) /* tells of the attempt before */
        connect(fd, (struct sockaddr *)&a, sizeof a);
    n = peer("accept");
    until(fd, POLLOUT);
}

static void do_take_error(int fd)
{
    int e = 0;
    socklen_t len = sizeof e;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
    say("  SO_ERROR %d", e);
}

static void do_peer_dials(int fd)
{
    peer_dials();
    until(fd, POLLIN);
    settle();
}

static void do_accept(int fd)
{
    close(accept(fd, NULL, NULL));
}

static void do_data(int fd)
{
    peer("send %d 8", n);
    until(fd, POLLIN);
    settle();
}

/* Data that may be less than SO_RCVLOWAT. */
static void do_some_data(int fd)
{
    peer("send %d 8", n);
    settle();
}

static void do_read_part(int fd)
{
    char buf[4];
    say_ret("  read", read(fd, buf, sizeof buf));
}

static void do_read_all(int fd)
{
    char buf[256];
    while (read(fd, buf, sizeof buf) > 0)
        ;
}

static void do_urgent(int fd)
{
    peer("oob %d", n);
    until(fd, POLLPRI);
    settle();
}

static void do_read_urgent(int fd)
{
    char c;
    say_ret("  recv OOB", recv(fd, &c, 1, MSG_OOB));
}

static void do_peer_fin(int fd)
{
    peer("fin %d", n);
    until(fd, POLLRDHUP);
}

static void do_peer_rst(int fd)
{
    peer("rst %d", n);
    until(fd, POLLHUP);
}

static void do_shut_wr(int fd)
{
    shutdown(fd, SHUT_WR);
    say("  the peer reads %d", peer("eof %d", n));
    settle();
}

static void do_shut_rd(int fd)
{
    shutdown(fd, SHUT_RD);
}

static void do_shut_both(int fd)
{
    shutdown(fd, SHUT_RDWR);
    until(fd, POLLHUP);
}

static void do_write_rst(int fd)
{
    say_ret("  write", write(fd, "x", 1));
}

static bool all_acknowledged(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_unacked == 0;
}

/* The bytes that are under way may make the peer's window larger: full is what stays so. A buffer of the program's own size, or
 * Linux's grows with an acknowledgment that comes later. */
static void do_fill(int fd)
{
    static const char block[65536];
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){32768}, sizeof(int));
    for (int calm = 0, i = 0; calm < 20 && i < 1000; i++) {
        calm = all_acknowledged(fd) ? calm + 1 : 0;
        while (write(fd, block, sizeof block) > 0)
            calm = 0;
        settle();
    }
}

/* What the peer sends may say that it has more room: then that is filled, too. */
static void do_data_full(int fd)
{
    do_data(fd);
    do_fill(fd);
}

static void do_peer_fin_full(int fd)
{
    do_peer_fin(fd);
    do_fill(fd);
}

static const struct {
    const char *name;
    int (*begin)(void);
    void (*steps[5])(int fd);
} states[] = {
    {"bound", begin_fresh, {do_bind}},
    {"connect, data", begin_fresh, {do_connect, do_data}},
    {"connecting to nobody, shut down", begin_fresh, {do_connect_nobody, do_shut_both}},
    {"refused, error taken", begin_fresh, {do_connect_refused, do_take_error}},
    {"refused, written to", begin_fresh, {do_connect_refused, do_write_rst, do_read_part}},
    {"refused, then connected", begin_fresh, {do_connect_refused, do_take_error, do_connect, do_data}},
    {"listener, two pending", begin_listener, {do_peer_dials, do_peer_dials, do_accept, do_accept}},
    {"listener, shut down", begin_listener, {do_shut_rd}},
    {"data, more, part read, all read", begin_idle, {do_data, do_data, do_read_part, do_read_all, do_data}},
    {"data short of SO_RCVLOWAT", begin_lowat, {do_some_data, do_some_data, do_read_part, do_read_part, do_peer_fin}},
    {"urgent", begin_idle, {do_urgent, do_read_urgent, do_data, do_read_all}},
    {"urgent, read past", begin_idle, {do_data, do_urgent, do_read_all, do_read_part, do_data}},
    {"urgent inline", begin_inline, {do_data, do_urgent, do_read_all, do_data}},
    {"peer FIN, then own", begin_idle, {do_peer_fin, do_shut_wr}},
    {"data, peer FIN, read", begin_idle, {do_data, do_peer_fin, do_read_all, do_shut_both}},
    {"own FIN, data, peer FIN", begin_idle, {do_shut_wr, do_data, do_peer_fin, do_read_all}},
    {"own SHUT_RD, data", begin_idle, {do_shut_rd, do_data, do_read_all, do_shut_wr, do_peer_fin}},
    {"both shut at once, peer FIN", begin_idle, {do_shut_both, do_peer_fin}},
    {"reset, error taken", begin_idle, {do_peer_rst, do_take_error, do_write_rst}},
    {"reset, read", begin_idle, {do_peer_rst, do_read_part, do_read_part}},
    {"data, reset", begin_idle, {do_data, do_peer_rst, do_read_all}},
    {"peer FIN, reset", begin_idle, {do_peer_fin, do_peer_rst, do_write_rst}},
    {"own FIN, reset", begin_idle, {do_shut_wr, do_peer_rst, do_read_part}},
    {"full, drained", begin_idle, {do_fill}},
    {"full, reset", begin_idle, {do_fill, do_peer_rst}},
    {"full, data, peer FIN", begin_idle, {do_fill, do_data_full, do_peer_fin_full}},
};

static void say_all(int fd, struct sets before)
{
    struct sets now = sets_with(fd);
    say_polls(fd);
    say_selects(fd);
    say_sets("sets that had it", before, fd);
    say_sets("sets that get it now", now, fd);
    sets_close(now);
}

/* How much fits is not the same; that it is told when there is room again must be. */
static void drained(void)
{
    static const char block[65536];
    int fd = begin_idle();
    long sent = 0;
    ssize_t r;
    for (int i = 0; i < 3; i++) {
        while ((r = write(fd, block, sizeof block)) > 0)
            sent += r;
        settle();
    }
    struct sets s = sets_with(fd);
    say_sets("full", s, fd);
    peer("read %d %ld", n, sent);
    until(fd, POLLOUT);
    settle();
    say("drained");
    say_polls(fd);
    say_sets("drained", s, fd);
    sets_close(s);
    close(fd);
}

void probe_ready(void)
{
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        int fd = states[i].begin();
        struct sets before = sets_with(fd);
        say("%s:", states[i].name);
        say_all(fd, before);
        for (int k = 0; k < 5 && states[i].steps[k]; k++) {
            states[i].steps[k](fd);
            say("%s, step %d:", states[i].name, k + 1);
            say_all(fd, before);
        }
        close(fd);
        say_epoll("closed, level", before.level);
        say_epoll("closed, edge", before.edge);
        sets_close(before);
    }
    drained();
}
