/* SPDX-License-Identifier: Apache-2.0
 * Sockets of one context talk to each other through the daemon: the usual calls in their usual order. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/libclient/pair.h"

Test(echo, both_ways_and_end)
{
    struct pair p;
    char buf[64];
    pair_start(&p, NULL);
    pair_connect(&p);
    cr_assert_eq(xtcp_send(p.x, p.a, "hello", 5, 0), 5);
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, 0), 5);
    cr_assert_arr_eq(buf, "hello", 5);
    cr_assert_eq(xtcp_send(p.x, p.b, "world!", 6, 0), 6);
    cr_assert_eq(xtcp_recv(p.x, p.a, buf, 6, MSG_WAITALL | MSG_PEEK), 6);
    cr_assert_eq(xtcp_recv(p.x, p.a, buf, 6, MSG_WAITALL), 6);
    cr_assert_arr_eq(buf, "world!", 6);
    cr_assert_eq(xtcp_shutdown(p.x, p.a, SHUT_WR), 0);
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, 0), 0, "end of file");
    cr_assert_eq(xtcp_send(p.x, p.a, "x", 1, 0), -EPIPE);
    cr_assert_eq(xtcp_send(p.x, p.b, "last", 4, 0), 4, "half closed only");
    cr_assert_eq(xtcp_recv(p.x, p.a, buf, sizeof buf, 0), 4);
    pair_stop(&p);
}

Test(echo, nonblocking)
{
    struct pair p;
    char buf[16];
    pair_start(&p, NULL);
    pair_connect(&p);
    xtcp_set_nonblock(p.x, p.a, true);
    cr_assert(xtcp_get_nonblock(p.x, p.a));
    cr_assert_eq(xtcp_recv(p.x, p.a, buf, sizeof buf, 0), -EAGAIN);
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, MSG_DONTWAIT), -EAGAIN);
    xtcp_set_nonblock(p.x, p.l, true);
    cr_assert_eq(xtcp_accept(p.x, p.l, NULL, NULL, 0), -EAGAIN);
    pair_stop(&p);
}

Test(echo, open_connects_a_new_socket)
{
    struct pair p;
    char buf[16];
    struct sockaddr_in at = daemon_addr(PAIR_PORT), nobody = daemon_addr(PAIR_PORT + 1), no = {.sin_family = AF_UNIX};
    int s = -1;
    pair_start(&p, NULL);
    cr_assert_eq(xtcp_open(p.x, (struct sockaddr *)&at, sizeof at, &p.a), -EINPROGRESS);
    cr_assert_geq(p.b = xtcp_accept(p.x, p.l, NULL, NULL, 0), 0);
    struct pollfd w = {.fd = p.a, .events = POLLOUT};
    cr_assert(pair_poll(&p, &w));
    cr_assert_eq(w.revents, POLLOUT | POLLWRNORM);
    cr_assert_eq(xtcp_connect(p.x, p.a, (struct sockaddr *)&at, sizeof at), 0, "how the one under way has ended");
    cr_assert_eq(xtcp_connect(p.x, p.a, (struct sockaddr *)&at, sizeof at), -EISCONN);
    cr_assert(xtcp_get_nonblock(p.x, p.a));
    cr_assert_eq(xtcp_send(p.x, p.a, "hello", 5, 0), 5);
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, 0), 5);
    cr_assert_eq(xtcp_open(p.x, (struct sockaddr *)&no, sizeof no, &s), -EAFNOSUPPORT);
    cr_assert_eq(s, -1);
    nobody.sin_port = 0;
    cr_assert_eq(xtcp_open(p.x, (struct sockaddr *)&nobody, sizeof nobody, &s), -ECONNREFUSED);
    cr_assert_geq(s, 0, "a socket all the same");
    cr_assert_eq(xtcp_connect(p.x, s, (struct sockaddr *)&at, sizeof at), -EINPROGRESS);
    pair_stop(&p);
}

/* To where one has reached, others do not ask: the sockets come in advance, and the mark is all that the daemon is told. */
Test(echo, open_again_does_not_wait_for_the_daemon)
{
    struct pair p;
    struct sockaddr_in at = daemon_addr(PAIR_PORT), name;
    socklen_t len = sizeof name;
    int s[40];
    pair_start(&p, NULL);
    cr_assert_eq(xtcp_open(p.x, (struct sockaddr *)&at, sizeof at, &s[0]), -EINPROGRESS);
    uint64_t asked = daemon_stats(&p.d).commands;
    for (unsigned n = 1; n < 35; n++) {
        cr_assert_eq(xtcp_open(p.x, (struct sockaddr *)&at, sizeof at, &s[n]), -EINPROGRESS);
        cr_assert_eq(xtcp_setsockopt(p.x, s[n], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    }
    cr_expect_leq(daemon_stats(&p.d).commands - asked, 2, "seventeen at a time");
    cr_assert_eq(xtcp_open(p.x, (struct sockaddr *)&at, sizeof at, &s[35]), -EINPROGRESS);
    cr_assert_eq(xtcp_getsockname(p.x, s[35], (struct sockaddr *)&name, &len), 0);
    cr_expect_neq(name.sin_port, 0, "it has its port by now");
    for (unsigned n = 0; n < 36; n++) {
        int b = xtcp_accept(p.x, p.l, NULL, NULL, 0);
        struct pollfd w = {.fd = s[n], .events = POLLOUT};
        cr_assert_geq(b, 0);
        cr_assert(pair_poll(&p, &w));
        cr_assert_eq(w.revents, POLLOUT | POLLWRNORM);
        cr_assert_eq(xtcp_connect(p.x, s[n], (struct sockaddr *)&at, sizeof at), 0);
        xtcp_close(p.x, b);
        xtcp_close(p.x, s[n]);
    }
    pair_stop(&p);
}

/* What was found out too late for connect() to say is the error of a connect that failed. */
Test(echo, open_again_where_nobody_listens_any_more)
{
    struct pair p;
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    int s, err = 0;
    socklen_t len = sizeof err;
    pair_start(&p, NULL);
    pair_connect(&p);
    cr_assert_eq(xtcp_open(p.x, (struct sockaddr *)&at, sizeof at, &s), -EINPROGRESS);
    xtcp_close(p.x, s);
    xtcp_close(p.x, p.l);
    p.l = -1;
    cr_assert_eq(xtcp_open(p.x, (struct sockaddr *)&at, sizeof at, &s), -EINPROGRESS);
    struct pollfd w = {.fd = s, .events = POLLOUT};
    cr_assert(pair_poll(&p, &w));
    cr_expect_eq(w.revents & (POLLERR | POLLHUP), POLLERR | POLLHUP);
    cr_assert_eq(xtcp_getsockopt(p.x, s, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    cr_expect_eq(err, ECONNREFUSED);
    xtcp_close(p.x, s);
    pair_stop(&p);
}

/* A port that is nobody's can be tried, and is remembered; when connects cannot begin any more, connect() says so itself again. */
Test(echo, open_again_asks_first_after_one_that_could_not_begin)
{
    struct pair p;
    const struct xt_app_cfg few = {.sndbuf = 4096, .rcvbuf = 4096, .spin_us = 10, .arena = 4u << 20};
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    int s, rc = 0;
    pair_start(&p, &few);
    for (unsigned n = 0; n < 2000 && (rc = xtcp_open(p.x, (struct sockaddr *)&at, sizeof at, &s)) == -EINPROGRESS; n++)
        xtcp_getsockname(p.x, s, &(struct sockaddr){0}, &(socklen_t){sizeof(struct sockaddr)});
    cr_expect_eq(rc, -ENOBUFS, "no room for rings");
    pair_stop(&p);
}

/* The ring is 64 KiB: a full one says so, and room comes back in thirds. */
Test(echo, full_ring)
{
    struct pair p;
    static char block[32768];
    pair_start(&p, NULL);
    pair_connect(&p);
    xtcp_set_nonblock(p.x, p.a, true);
    ssize_t n, sent = 0, got = 0;
    for (unsigned idle = 0; idle < 50; idle++) /* until both rings are full and stay so */
        while ((n = xtcp_send(p.x, p.a, block, sizeof block, 0)) > 0) {
            sent += n;
            idle = 0;
        }
    cr_assert_eq(n, -EAGAIN);
    cr_assert_geq(sent, 65536);
    cr_assert_eq(xtcp_mask(p.x, p.a) & POLLOUT, 0);
    while (got < sent) {
        n = xtcp_recv(p.x, p.b, block, sizeof block, 0);
        cr_assert_gt(n, 0);
        got += n;
    }
    struct pollfd out = {.fd = p.a, .events = POLLOUT};
    cr_assert(pair_poll(&p, &out), "room must be announced");
    pair_stop(&p);
}

static unsigned char byte_at(uint64_t i)
{
    return (unsigned char)(i * 2654435761u >> 13);
}

struct flow {
    struct pair *p;
    uint64_t bytes;
    unsigned seed;
};

static void *reader(void *arg)
{
    struct flow *f = arg;
    static unsigned char buf[100000];
    uint64_t at = 0;
    ssize_t n;
    while ((n = xtcp_recv(f->p->x, f->p->b, buf, 1 + (size_t)rand_r(&f->seed) % sizeof buf, 0)) > 0)
        for (ssize_t i = 0; i < n; i++, at++)
            if (buf[i] != byte_at(at))
                return "wrong byte";
    return n < 0 ? "read failed" : at == f->bytes ? NULL : "wrong length";
}

/* 64 MiB in pieces of random sizes, blocking at both ends. */
Test(echo, bulk)
{
    struct pair p;
    pthread_t t;
    static unsigned char buf[100000];
    void *wrong;
    pair_start(&p, NULL);
    pair_connect(&p);
    struct flow f = {&p, 64u << 20, (unsigned)getpid()};
    unsigned seed = f.seed + 1;
    pthread_create(&t, NULL, reader, &f);
    for (uint64_t at = 0; at < f.bytes;) {
        size_t n = 1 + (size_t)rand_r(&seed) % sizeof buf;
        n = n < f.bytes - at ? n : (size_t)(f.bytes - at);
        for (size_t i = 0; i < n; i++)
            buf[i] = byte_at(at + i);
        cr_assert_eq(xtcp_send(p.x, p.a, buf, n, 0), (ssize_t)n, "seed %u", seed);
        at += n;
    }
    xtcp_close(p.x, p.a);
    pthread_join(t, &wrong);
    cr_assert_null(wrong, "%s, seed %u", (char *)wrong, seed);
    pair_stop(&p);
}

/* reserve and commit, peek and consume: across the end of the ring, where there are two pieces. */
Test(echo, zero_copy)
{
    struct pair p;
    struct iovec iov[2];
    uint64_t wrote = 0, read = 0;
    unsigned two = 0;
    pair_start(&p, NULL);
    pair_connect(&p);
    cr_assert_eq(xtcp_peek(p.x, p.b, iov), 0);
    while (read < 1000000 || two == 0) { /* the rings may grow meanwhile, and come to their end later */
        ssize_t room = xtcp_reserve(p.x, p.a, iov);
        cr_assert_geq(room, 0);
        size_t n =
            room < 10000 ? (size_t)room / 2 : 5000; /* never full to the end of the ring: a piece must cross it */
        two += n > iov[0].iov_len;
        for (size_t i = 0; i < n; i++) {
            unsigned char *at = i < iov[0].iov_len ? (unsigned char *)iov[0].iov_base + i
                                                   : (unsigned char *)iov[1].iov_base + (i - iov[0].iov_len);
            *at = byte_at(wrote + i);
        }
        cr_assert_eq(xtcp_commit(p.x, p.a, n), 0);
        wrote += n;
        ssize_t there = xtcp_peek(p.x, p.b, iov);
        cr_assert_geq(there, 0);
        for (ssize_t i = 0; i < there; i++) {
            unsigned char *at = (size_t)i < iov[0].iov_len
                                    ? (unsigned char *)iov[0].iov_base + i
                                    : (unsigned char *)iov[1].iov_base + ((size_t)i - iov[0].iov_len);
            cr_assert_eq(*at, byte_at(read + (uint64_t)i));
        }
        cr_assert_eq(xtcp_consume(p.x, p.b, (size_t)there), 0);
        read += (uint64_t)there;
    }
    cr_assert_gt(two, 0);
    cr_assert_eq(xtcp_commit(p.x, p.a, 1u << 20), -EINVAL);
    cr_assert_eq(xtcp_consume(p.x, p.b, 1u << 20), -EINVAL);
    pair_stop(&p);
}

/* Req MUST-30 MUST-32 MUST-33: one byte out of band: not in the stream, asked for by MSG_OOB, announced by POLLPRI; with SO_OOBINLINE in its place. */
Test(echo, urgent)
{
    struct pair p;
    char buf[16];
    int on = 1;
    pair_start(&p, NULL);
    pair_connect(&p);
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, 1, MSG_OOB), -EINVAL);
    cr_assert_eq(xtcp_send(p.x, p.a, "ab!", 3, MSG_OOB), 3);
    cr_assert_eq(xtcp_send(p.x, p.a, "cd", 2, 0), 2);
    struct pollfd pri = {.fd = p.b, .events = POLLPRI};
    cr_assert(pair_poll(&p, &pri));
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, 0), 2, "stops at the mark");
    cr_assert(xtcp_at_mark(p.x, p.b));
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, MSG_OOB), 1);
    cr_assert_eq(buf[0], '!');
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, MSG_OOB), -EINVAL, "once");
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, 2, MSG_WAITALL), 2);
    cr_assert_arr_eq(buf, "cd", 2);
    cr_assert_eq(xtcp_setsockopt(p.x, p.b, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on), 0);
    cr_assert_eq(xtcp_send(p.x, p.a, "x", 1, MSG_OOB), 1);
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, 0), 1);
    cr_assert_eq(buf[0], 'x');
    pair_stop(&p);
}

struct look {
    struct daemon *d;
    unsigned marked;
};

static void count_marked(void *arg, struct xt_conn *c)
{
    struct look *l = arg;
    l->marked += c->opt.tos == 0xb8 && c->opt.ttl == 7;
}

static void look(void *arg)
{
    struct look *l = arg;
    uint32_t cursor = 0;
    xt_stack_each(l->d->stack, &cursor, UINT32_MAX, count_marked, l);
}

/* Req MUST-48 SHLD-21: the application says what goes into the IP header, before it connects and after. */
Test(echo, diffserv)
{
    struct pair p;
    int tos = 0xb8, ttl = 7, got = 0;
    socklen_t len = sizeof got;
    pair_start(&p, NULL);
    pair_connect(&p);
    struct look l = {.d = &p.d};
    cr_assert_eq(xtcp_setsockopt(p.x, p.a, IPPROTO_IP, IP_TOS, &tos, sizeof tos), 0);
    cr_assert_eq(xtcp_setsockopt(p.x, p.a, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl), 0);
    cr_assert_eq(xtcp_getsockopt(p.x, p.a, IPPROTO_IP, IP_TOS, &got, &len), 0);
    cr_assert_eq(got, tos);
    daemon_call(&p.d, look, &l);
    cr_assert_eq(l.marked, 1);
    pair_stop(&p);
}
