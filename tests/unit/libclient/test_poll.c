/* SPDX-License-Identifier: Apache-2.0
 * Poll masks as Linux reports them for TCP sockets, errors that are told once, and life's ends. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/libclient/pair.h"

#define PLAIN (POLLIN | POLLOUT | POLLPRI | POLLERR | POLLHUP | POLLRDHUP)

static unsigned mask(struct pair *p, int s)
{
    return xtcp_mask(p->x, s) & PLAIN;
}

struct awaited {
    struct pair *p;
    int s;
    unsigned mask;
};

static bool mask_is(void *arg)
{
    struct awaited *a = arg;
    return mask(a->p, a->s) == a->mask;
}

static void expect(struct pair *p, int s, unsigned m, const char *what)
{
    struct awaited a = {p, s, m};
    cr_assert(daemon_until(mask_is, &a), "%s: mask %#x, expected %#x", what, mask(p, s), m);
}

Test(poll, states)
{
    struct pair p;
    char buf[8];
    pair_start(&p, NULL);
    int fresh = xtcp_socket(p.x);
    expect(&p, fresh, POLLOUT | POLLHUP, "fresh");
    expect(&p, p.l, 0, "listening, nobody there");
    p.a = pair_connect_new(&p);
    expect(&p, p.l, POLLIN, "one waits");
    p.b = xtcp_accept(p.x, p.l, NULL, NULL, 0);
    expect(&p, p.l, 0, "taken");
    expect(&p, p.b, POLLOUT, "established");
    xtcp_send(p.x, p.a, "x", 1, 0);
    expect(&p, p.b, POLLIN | POLLOUT, "data");
    xtcp_recv(p.x, p.b, buf, 1, 0);
    expect(&p, p.b, POLLOUT, "read");
    xtcp_send(p.x, p.a, "!", 1, MSG_OOB);
    expect(&p, p.b, POLLOUT | POLLPRI, "urgent byte");
    xtcp_recv(p.x, p.b, buf, 1, MSG_OOB);
    xtcp_shutdown(p.x, p.a, SHUT_WR);
    expect(&p, p.a, POLLOUT, "own shutdown first");
    expect(&p, p.b, POLLIN | POLLOUT | POLLRDHUP, "peer's FIN");
    xtcp_shutdown(p.x, p.b, SHUT_WR);
    expect(&p, p.b, POLLIN | POLLOUT | POLLHUP | POLLRDHUP, "both shut");
    expect(&p, p.a, POLLIN | POLLOUT | POLLHUP | POLLRDHUP, "both shut, other side");
    pair_stop(&p);
}

Test(poll, own_shutdown_of_reading)
{
    struct pair p;
    char c;
    pair_start(&p, NULL);
    pair_connect(&p);
    xtcp_shutdown(p.x, p.a, SHUT_RD);
    expect(&p, p.a, POLLIN | POLLOUT | POLLRDHUP, "SHUT_RD");
    cr_assert_eq(xtcp_recv(p.x, p.a, &c, 1, 0), 0);
    cr_assert_eq(xtcp_send(p.x, p.a, "x", 1, 0), 1);
    pair_stop(&p);
}

/* Req MUST-47 MUST-12: linger 0 makes the close a reset; the peer gets what it had, then the error once, then end of file. */
Test(poll, reset)
{
    struct pair p;
    char buf[8];
    const struct linger hard = {1, 0};
    int err = 0;
    socklen_t len = sizeof err;
    pair_start(&p, NULL);
    pair_connect(&p);
    cr_assert_eq(xtcp_setsockopt(p.x, p.a, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    xtcp_send(p.x, p.a, "data", 4, 0);
    expect(&p, p.b, POLLIN | POLLOUT, "data");
    xtcp_close(p.x, p.a);
    expect(&p, p.b, POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP, "reset");
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, 0), 4);
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, 0), -ECONNRESET);
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, 0), 0);
    cr_assert_eq(xtcp_send(p.x, p.b, "x", 1, 0), -EPIPE);
    cr_assert_eq(xtcp_getsockopt(p.x, p.b, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    cr_assert_eq(err, 0);
    expect(&p, p.b, POLLIN | POLLOUT | POLLHUP | POLLRDHUP, "error taken");
    pair_stop(&p);
}

/* Req MUST-47 */
Test(poll, refused)
{
    struct pair p;
    struct sockaddr_in at = daemon_addr(9);
    int err = 0;
    socklen_t len = sizeof err;
    pair_start(&p, NULL);
    int s = xtcp_socket(p.x);
    cr_assert_eq(xtcp_connect(p.x, s, (struct sockaddr *)&at, sizeof at), -ECONNREFUSED);
    int n = xtcp_socket(p.x);
    xtcp_set_nonblock(p.x, n, true);
    int rc = xtcp_connect(p.x, n, (struct sockaddr *)&at, sizeof at);
    cr_assert(rc == -EINPROGRESS || rc == -ECONNREFUSED);
    if (rc == -EINPROGRESS) {
        expect(&p, n, POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP, "refused");
        cr_assert_eq(xtcp_getsockopt(p.x, n, SOL_SOCKET, SO_ERROR, &err, &len), 0);
        cr_assert_eq(err, ECONNREFUSED);
    }
    /* A socket may try again, elsewhere. */
    at = daemon_addr(PAIR_PORT);
    xtcp_set_nonblock(p.x, s, false);
    cr_assert_eq(xtcp_connect(p.x, s, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(xtcp_connect(p.x, s, (struct sockaddr *)&at, sizeof at), -EISCONN);
    pair_stop(&p);
}

/* A server that was told each time would ask again and again: once is enough, then it is a listener that nobody connects to. */
Test(poll, listener_outlives_daemon)
{
    struct pair p;
    const struct timeval patience = {.tv_usec = 1000};
    pair_start(&p, NULL);
    cr_assert_eq(xtcp_setsockopt(p.x, p.l, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    int fresh = xtcp_socket(p.x);
    daemon_stop(&p.d);
    cr_assert_not(xtcp_check(p.x));
    cr_assert(mask(&p, p.l) & POLLIN);
    cr_assert_eq(xtcp_accept(p.x, p.l, NULL, NULL, 0), -ECONNABORTED);
    cr_assert_eq(mask(&p, p.l), 0);
    cr_assert_eq(xtcp_accept(p.x, p.l, NULL, NULL, MSG_DONTWAIT), -EAGAIN);
    cr_assert_eq(xtcp_accept(p.x, p.l, NULL, NULL, 0), -EAGAIN, "its time-out");
    cr_assert_eq(xtcp_accept(p.x, fresh, NULL, NULL, 0), -ECONNABORTED);
    cr_assert_eq(xtcp_accept(p.x, fresh, NULL, NULL, 0), -ECONNABORTED, "no listener");
    cr_assert(mask(&p, fresh) & POLLHUP);
    xtcp_detach(p.x);
    daemon_free(&p.d);
}

/* Closing a listener resets who was not accepted, and its port is free at once. */
Test(poll, listener_closes)
{
    struct pair p;
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    char c;
    pair_start(&p, NULL);
    p.a = pair_connect_new(&p);
    struct pollfd in = {.fd = p.l, .events = POLLIN};
    cr_assert(pair_poll(&p, &in));
    for (unsigned n = 0; n < 50; n++) {
        xtcp_close(p.x, p.l);
        cr_assert_geq(p.l = xtcp_socket(p.x), 0);
        int rc = xtcp_bind(p.x, p.l, (struct sockaddr *)&at, sizeof at);
        cr_assert_eq(rc, 0, "bind after close: %d in round %u", rc, n);
        cr_assert_eq(xtcp_listen(p.x, p.l, 5), 0);
    }
    cr_assert_eq(xtcp_recv(p.x, p.a, &c, 1, 0), -ECONNRESET);
    pair_stop(&p);
}

Test(poll, names_and_misuse)
{
    struct pair p;
    struct sockaddr_in at = daemon_addr(80), got;
    socklen_t len = sizeof got;
    char c;
    pair_start(&p, NULL);
    cr_assert_eq(xtcp_recv(p.x, 60000, &c, 1, 0), -EBADF);
    int s = xtcp_socket(p.x);
    cr_assert_eq(xtcp_recv(p.x, s, &c, 1, 0), -ENOTCONN);
    cr_assert_eq(xtcp_send(p.x, s, &c, 1, 0), -EPIPE);
    cr_assert_eq(xtcp_shutdown(p.x, s, SHUT_WR), -ENOTCONN);
    cr_assert_eq(xtcp_accept(p.x, s, NULL, NULL, 0), -EINVAL);
    cr_assert_eq(xtcp_getpeername(p.x, s, (struct sockaddr *)&got, &len), -ENOTCONN);
    at = daemon_addr(PAIR_PORT);
    cr_assert_eq(xtcp_bind(p.x, s, (struct sockaddr *)&at, sizeof at), -EADDRINUSE);
    at.sin_addr.s_addr = htonl(0x01020304);
    cr_assert_eq(xtcp_bind(p.x, s, (struct sockaddr *)&at, sizeof at), -EADDRNOTAVAIL);
    at.sin_family = AF_UNIX;
    cr_assert_eq(xtcp_bind(p.x, s, (struct sockaddr *)&at, sizeof at), -EAFNOSUPPORT);
    cr_assert_eq(xtcp_listen(p.x, s, 1), 0, "without bind");
    cr_assert_eq(xtcp_getsockname(p.x, s, (struct sockaddr *)&got, &len), 0);
    cr_assert_neq(got.sin_port, 0);
    pair_connect(&p);
    struct sockaddr_in a, b;
    len = sizeof a;
    cr_assert_eq(xtcp_getsockname(p.x, p.a, (struct sockaddr *)&a, &len), 0);
    cr_assert_eq(xtcp_getpeername(p.x, p.b, (struct sockaddr *)&b, &len), 0);
    cr_assert_eq(a.sin_port, b.sin_port);
    cr_assert_eq(a.sin_addr.s_addr, b.sin_addr.s_addr);
    pair_stop(&p);
}

/* A receive time-out ends a blocking read, and no more than that. */
Test(poll, timeouts)
{
    struct pair p;
    const struct timeval tv = {0, 20000};
    char c;
    pair_start(&p, NULL);
    pair_connect(&p);
    cr_assert_eq(xtcp_setsockopt(p.x, p.b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
    cr_assert_eq(xtcp_recv(p.x, p.b, &c, 1, 0), -EAGAIN);
    cr_assert_eq(xtcp_setsockopt(p.x, p.l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
    cr_assert_eq(xtcp_accept(p.x, p.l, NULL, NULL, 0), -EAGAIN);
    pair_stop(&p);
}
