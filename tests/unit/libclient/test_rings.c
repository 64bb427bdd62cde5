/* SPDX-License-Identifier: Apache-2.0
 * Rings that change under their readers and writers: they grow with use, keep what a program has asked for, and give their pages
 * back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/libclient/pair.h"

static const struct xt_app_cfg tiny = {
    .sndbuf = 4096, .rcvbuf = 4096, .sndbuf_max = 1u << 20, .rcvbuf_max = 1u << 20, .spin_us = 10, .arena = 1u << 30};

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 2654435761u >> 13);
}

struct flow {
    struct pair *p;
    uint64_t bytes;
    unsigned seed;
    bool zero_copy;
};

static bool right(const uint8_t *buf, size_t n, uint64_t at)
{
    for (size_t i = 0; i < n; i++)
        if (buf[i] != byte_at(at + i))
            return false;
    return true;
}

/* In place: what was peeked must stay valid, whatever happens to the ring, until it is given back. */
static const char *read_in_place(struct flow *f)
{
    struct iovec iov[2];
    for (uint64_t at = 0;;) {
        ssize_t n = xtcp_peek(f->p->x, f->p->b, iov);
        if (n == -ESHUTDOWN)
            return at == f->bytes ? NULL : "wrong length";
        struct pollfd in = {.fd = f->p->b, .events = POLLIN};
        if (n == 0 && !pair_poll(f->p, &in))
            return "poll";
        if (n < 0)
            return "peek";
        if (!right(iov[0].iov_base, iov[0].iov_len * (n > 0), at) ||
            !right(iov[1].iov_base, iov[1].iov_len * (n > 0), at + iov[0].iov_len))
            return "wrong byte";
        size_t take = n > 1 && rand_r(&f->seed) % 4 == 0 ? (size_t)n / 2 : (size_t)n;
        if (xtcp_consume(f->p->x, f->p->b, take) != 0)
            return "consume";
        at += take;
    }
}

static const char *read_plain(struct flow *f)
{
    static uint8_t buf[100000];
    uint64_t at = 0;
    for (;;) {
        size_t want = 1 + (size_t)rand_r(&f->seed) % sizeof buf;
        ssize_t seen = rand_r(&f->seed) % 8 ? 0 : xtcp_recv(f->p->x, f->p->b, buf, want, MSG_PEEK);
        if (seen < 0 || !right(buf, (size_t)seen, at))
            return "peek";
        ssize_t n = xtcp_recv(f->p->x, f->p->b, buf, want, 0);
        if (n <= 0)
            return n == 0 && at == f->bytes ? NULL : "wrong length";
        if (n < seen || !right(buf, (size_t)n, at))
            return "wrong byte";
        at += (uint64_t)n;
    }
}

static void *reader(void *arg)
{
    struct flow *f = arg;
    return (void *)(uintptr_t)(f->zero_copy ? read_in_place(f) : read_plain(f));
}

static void fill(uint8_t *buf, size_t n, uint64_t at)
{
    for (size_t i = 0; i < n; i++)
        buf[i] = byte_at(at + i);
}

static void write_plain(struct flow *f)
{
    static uint8_t buf[100000];
    for (uint64_t at = 0; at < f->bytes;) {
        size_t n = 1 + (size_t)rand_r(&f->seed) % sizeof buf;
        n = n < f->bytes - at ? n : (size_t)(f->bytes - at);
        fill(buf, n, at);
        cr_assert_eq(xtcp_send(f->p->x, f->p->a, buf, n, 0), (ssize_t)n);
        at += n;
    }
}

static void write_in_place(struct flow *f)
{
    struct iovec iov[2];
    for (uint64_t at = 0; at < f->bytes;) {
        ssize_t n = xtcp_reserve(f->p->x, f->p->a, iov);
        struct pollfd out = {.fd = f->p->a, .events = POLLOUT};
        cr_assert_geq(n, 0);
        if (n == 0) {
            cr_assert(pair_poll(f->p, &out));
            continue;
        }
        n = (uint64_t)n < f->bytes - at ? n : (ssize_t)(f->bytes - at);
        size_t first = iov[0].iov_len < (size_t)n ? iov[0].iov_len : (size_t)n;
        fill(iov[0].iov_base, first, at);
        fill(iov[1].iov_base, (size_t)n - first, at + first);
        cr_assert_eq(xtcp_commit(f->p->x, f->p->a, (size_t)n), 0);
        at += (uint64_t)n;
    }
}

static void run(struct pair *p, uint64_t bytes, bool zero_copy)
{
    pthread_t t;
    void *wrong;
    unsigned seed = (unsigned)getpid();
    struct flow r = {p, bytes, seed, zero_copy}, w = {p, bytes, seed + 1, zero_copy};
    pair_connect(p);
    pthread_create(&t, NULL, reader, &r);
    (zero_copy ? write_in_place : write_plain)(&w);
    cr_assert_eq(xtcp_shutdown(p->x, p->a, SHUT_WR), 0);
    pthread_join(t, &wrong);
    cr_assert_null(wrong, "%s, seed %u", (char *)wrong, seed);
}

Test(rings, grow_under_reader_and_writer)
{
    struct pair p;
    pair_start(&p, &tiny);
    run(&p, 32u << 20, false);
    struct xt_app_stats st = daemon_stats(&p.d);
    cr_expect_gt(st.rx_grown, 2u);
    cr_expect_gt(st.tx_grown, 1u);
    pair_stop(&p);
}

Test(rings, grow_under_zero_copy)
{
    struct pair p;
    pair_start(&p, &tiny);
    run(&p, 32u << 20, true);
    struct xt_app_stats st = daemon_stats(&p.d);
    cr_expect_gt(st.rx_grown, 2u);
    cr_expect_gt(st.tx_grown, 1u);
    pair_stop(&p);
}

Test(rings, many_sockets_grow_at_once)
{
    enum { N = 40, BYTES = 200000 };
    struct pair p;
    int a[N], b[N];
    static uint8_t out[BYTES], in[BYTES];
    size_t sent[N] = {0}, got[N] = {0}, done = 0;
    pair_start(&p, &tiny);
    for (unsigned i = 0; i < N; i++) {
        pair_connect(&p);
        a[i] = p.a;
        b[i] = p.b;
    }
    while (done < N)
        for (unsigned i = 0; i < N; i++) {
            fill(out, BYTES, i);
            ssize_t n = sent[i] < BYTES ? xtcp_send(p.x, a[i], out + sent[i], BYTES - sent[i], MSG_DONTWAIT) : 0;
            cr_assert(n >= 0 || n == -EAGAIN);
            sent[i] += n > 0 ? (size_t)n : 0;
            n = got[i] < BYTES ? xtcp_recv(p.x, b[i], in, BYTES - got[i], MSG_DONTWAIT) : 0;
            cr_assert(n >= 0 || n == -EAGAIN);
            if (n <= 0)
                continue;
            cr_assert_arr_eq(in, out + got[i], (size_t)n);
            done += (got[i] += (size_t)n) == BYTES;
        }
    cr_expect_gt(daemon_stats(&p.d).tx_grown, (uint64_t)N - 1);
    pair_stop(&p);
}

static void *slow_reader(void *arg)
{
    struct flow *f = arg;
    static uint8_t buf[3000];
    ssize_t n;
    uint64_t at = 0;
    while ((n = xtcp_recv(f->p->x, f->p->b, buf, sizeof buf, 0)) > 0) {
        if (!right(buf, (size_t)n, at))
            return "wrong byte";
        at += (uint64_t)n;
    }
    return at == f->bytes ? NULL : "wrong length";
}

/* A writer that finds the ring full is always told of room, also when the ring grows in that moment: it would sleep for ever. */
Test(rings, writers_that_poll_are_told_while_rings_grow)
{
    enum { N = 60, BYTES = 300000 };
    static uint8_t out[BYTES];
    struct pair p;
    pthread_t t;
    void *wrong;
    pair_start(&p, &tiny);
    fill(out, BYTES, 0);
    for (unsigned i = 0; i < N; i++) {
        pair_connect(&p);
        struct flow r = {&p, BYTES, i, false};
        pthread_create(&t, NULL, slow_reader, &r);
        for (size_t sent = 0; sent < BYTES;) {
            struct pollfd pfd = {.fd = p.a, .events = POLLOUT};
            cr_assert(pair_poll(&p, &pfd));
            ssize_t n = xtcp_send(p.x, p.a, out + sent, BYTES - sent, MSG_DONTWAIT);
            cr_assert(n > 0 || n == -EAGAIN);
            sent += n > 0 ? (size_t)n : 0;
        }
        cr_assert_eq(xtcp_shutdown(p.x, p.a, SHUT_WR), 0);
        pthread_join(t, &wrong);
        cr_assert_null(wrong, "%s", (char *)wrong);
        xtcp_close(p.x, p.a);
        xtcp_close(p.x, p.b);
        p.a = p.b = -1;
    }
    cr_expect_gt(daemon_stats(&p.d).tx_grown, 0u); /* how often, depends on who is faster */
    pair_stop(&p);
}

static int get(struct pair *p, int s, int name)
{
    int v = 0;
    socklen_t len = sizeof v;
    cr_assert_eq(xtcp_getsockopt(p->x, s, SOL_SOCKET, name, &v, &len), 0);
    return v;
}

struct outq {
    struct pair *p;
    int s;
};

static bool is_acked(void *arg)
{
    struct outq *q = arg;
    return xtcp_outq(q->p->x, q->s) == 0;
}

/* A program that sets a size has it, doubled as Linux shows it, and no other. */
Test(rings, sizes_asked_for_stay)
{
    struct pair p;
    const int want = 16384;
    pair_start(&p, &tiny);
    cr_assert_eq(xtcp_setsockopt(p.x, p.l, SOL_SOCKET, SO_RCVBUF, &want, sizeof want), 0);
    cr_assert_eq(xtcp_setsockopt(p.x, p.l, SOL_SOCKET, SO_SNDBUF, &want, sizeof want), 0);
    p.a = xtcp_socket(p.x);
    cr_assert_eq(get(&p, p.a, SO_RCVBUF), 2 * 4096, "where it begins");
    cr_assert_eq(xtcp_setsockopt(p.x, p.a, SOL_SOCKET, SO_RCVBUF, &want, sizeof want), 0);
    cr_assert_eq(xtcp_setsockopt(p.x, p.a, SOL_SOCKET, SO_SNDBUF, &want, sizeof want), 0);
    xtcp_close(p.x, p.a);
    run(&p, 0, false);
    xtcp_close(p.x, p.a);
    int a = p.a = xtcp_socket(p.x);
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    cr_assert_eq(xtcp_setsockopt(p.x, a, SOL_SOCKET, SO_SNDBUF, &want, sizeof want), 0);
    cr_assert_eq(xtcp_connect(p.x, a, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_geq(p.b = xtcp_accept(p.x, p.l, NULL, NULL, 0), 0);
    cr_expect_eq(get(&p, p.b, SO_RCVBUF), 2 * want, "from the listener");
    cr_expect_eq(get(&p, a, SO_SNDBUF), 2 * want);
    static uint8_t block[65536];
    ssize_t n, all = xtcp_send(p.x, a, block, 4, 0);
    struct outq q = {&p, a};
    cr_assert(daemon_until(is_acked, &q));
    /* Both rings. What the receiver has left is no multiple of 16 bytes, its window's unit, from now on: less than one stays. */
    while (all < 2 * want - 15) {
        n = xtcp_send(p.x, a, block, sizeof block, MSG_DONTWAIT);
        cr_assert(n > 0 || n == -EAGAIN);
        all += n > 0 ? n : 0;
        daemon_stats(&p.d); /* it has done a round */
    }
    n = xtcp_send(p.x, a, block, sizeof block, MSG_DONTWAIT);
    all += n > 0 ? n : 0;
    cr_expect_leq(all, 2 * want, "more than both rings hold: %zd", all);
    cr_expect_eq(daemon_stats(&p.d).rx_grown, 0u);
    cr_expect_eq(daemon_stats(&p.d).tx_grown, 0u);
    pair_stop(&p);
}

/* Asked for on an open connection: more is had at once, or when it is needed. */
Test(rings, sizes_change_on_an_open_connection)
{
    struct pair p;
    const int want = 256 << 10;
    static uint8_t out[600000], in[600000];
    pair_start(&p, &tiny);
    pair_connect(&p);
    fill(out, sizeof out, 0);
    cr_assert_eq(xtcp_send(p.x, p.a, out, 3000, 0), 3000); /* unread while the ring changes */
    cr_assert_eq(xtcp_recv(p.x, p.b, in, 1000, MSG_WAITALL | MSG_PEEK), 1000);
    cr_assert_eq(xtcp_setsockopt(p.x, p.b, SOL_SOCKET, SO_RCVBUF, &want, sizeof want), 0);
    cr_assert_eq(xtcp_setsockopt(p.x, p.a, SOL_SOCKET, SO_SNDBUF, &want, sizeof want), 0);
    cr_expect_eq(daemon_stats(&p.d).rx_grown, 1u);
    size_t sent = 3000, got = 0, all = 3000 + (size_t)want + 100000; /* more than the reader's ring, less than both */
    ssize_t n;
    while (sent < all) {
        struct pollfd pfd = {.fd = p.a, .events = POLLOUT};
        cr_assert(pair_poll(&p, &pfd));
        n = xtcp_send(p.x, p.a, out + sent, all - sent < 20000 ? all - sent : 20000, MSG_DONTWAIT);
        cr_assert(n > 0 || n == -EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        if (sent >= 3000 + (size_t)want) {
            n = xtcp_recv(p.x, p.b, in + got, 3000, 0); /* across the change at first */
            cr_assert_gt(n, 0);
            got += (size_t)n;
        }
    }
    while (got < sent) {
        n = xtcp_recv(p.x, p.b, in + got, sent - got, 0);
        cr_assert_gt(n, 0);
        got += (size_t)n;
    }
    cr_assert_arr_eq(in, out, sent);
    cr_expect_eq(daemon_stats(&p.d).rx_grown, 1u);
    cr_expect_eq(daemon_stats(&p.d).tx_grown, 1u);
    pair_stop(&p);
}

/* Who waits for so much at once gets a ring that holds it, unless it has asked for a smaller one. */
Test(rings, low_water_mark_makes_room)
{
    struct pair p;
    const int mark = 100000, small = 16384;
    static uint8_t block[131072];
    pair_start(&p, &tiny);
    pair_connect(&p);
    cr_assert_eq(xtcp_setsockopt(p.x, p.b, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark), 0);
    cr_expect_eq(daemon_stats(&p.d).rx_grown, 1u);
    cr_expect_eq(get(&p, p.b, SO_RCVBUF), 2 * 262144);
    cr_assert_eq(xtcp_send(p.x, p.a, block, (size_t)mark, 0), mark);
    struct pollfd pfd = {.fd = p.b, .events = POLLIN};
    cr_assert(pair_poll(&p, &pfd));
    cr_expect_eq(xtcp_recv(p.x, p.b, block, sizeof block, MSG_DONTWAIT), mark, "not before all was there");
    cr_assert_eq(xtcp_setsockopt(p.x, p.a, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    cr_assert_eq(xtcp_setsockopt(p.x, p.a, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark), 0);
    cr_expect_eq(get(&p, p.a, SO_RCVLOWAT), small);
    cr_expect_eq(get(&p, p.a, SO_RCVBUF), 2 * small);
    pair_stop(&p);
}

/* ---- memory ---- */

struct memory {
    struct pair *p;
    uint64_t bytes, trimmed;
};

static void measure(void *arg)
{
    struct memory *m = arg;
    struct stat st;
    cr_assert_eq(fstat(xt_session_memfd(m->p->d.client[0].session), &st), 0);
    m->bytes = (uint64_t)st.st_blocks * 512;
}

static uint64_t memory(struct pair *p)
{
    struct memory m = {.p = p};
    daemon_call(&p->d, measure, &m);
    return m.bytes;
}

static bool trimmed(void *arg)
{
    struct memory *m = arg;
    return daemon_stats(&m->p->d).rings_trimmed >= m->trimmed;
}

static void exchange(struct pair *p, int a, int b)
{
    char buf[200];
    cr_assert_eq(xtcp_send(p->x, a, "to and fro", 10, 0), 10);
    cr_assert_eq(xtcp_recv(p->x, b, buf, sizeof buf, 0), 10);
    cr_assert_eq(xtcp_send(p->x, b, buf, 10, 0), 10);
    cr_assert_eq(xtcp_recv(p->x, a, buf, sizeof buf, 0), 10);
    cr_assert_arr_eq(buf, "to and fro", 10);
}

/* Nothing before the first byte, pages for what is used, nothing again when it is idle; and it goes on afterwards. */
Test(rings, idle_connections_hold_no_pages)
{
    enum { N = 200 };
    const struct xt_app_cfg cfg = {.spin_us = 10, .arena = 1u << 30, .buf_idle_us = 1000};
    struct pair p;
    int a[N], b[N];
    pair_start(&p, &cfg);
    for (unsigned i = 0; i < N; i++) {
        pair_connect(&p);
        a[i] = p.a;
        b[i] = p.b;
    }
    uint64_t before = memory(&p);
    cr_expect_lt(before / (2 * N), 1024u, "%lu bytes for each end", (unsigned long)before / (2 * N));
    for (unsigned i = 0; i < N; i++)
        exchange(&p, a[i], b[i]);
    struct memory m = {.p = &p, .trimmed = 2 * N};
    cr_assert(daemon_until(trimmed, &m), "%lu", (unsigned long)daemon_stats(&p.d).rings_trimmed);
    cr_expect_leq(memory(&p), before + 65536);
    for (unsigned i = 0; i < N; i++)
        exchange(&p, a[i], b[i]);
    pair_stop(&p);
}

/* Who writes into reserved space may take its time. */
Test(rings, reserved_space_is_left_alone)
{
    const struct xt_app_cfg cfg = {.spin_us = 10, .arena = 1u << 30, .buf_idle_us = 1000};
    struct pair p;
    struct iovec iov[2];
    char buf[16];
    pair_start(&p, &cfg);
    pair_connect(&p);
    exchange(&p, p.a, p.b);
    cr_assert_gt(xtcp_reserve(p.x, p.a, iov), 9);
    memcpy(iov[0].iov_base, "unhurried", 9);
    struct memory m = {.p = &p, .trimmed = 2};
    cr_assert(daemon_until(trimmed, &m));
    cr_assert_eq(xtcp_commit(p.x, p.a, 9), 0);
    cr_assert_eq(xtcp_recv(p.x, p.b, buf, sizeof buf, 0), 9);
    cr_assert_arr_eq(buf, "unhurried", 9);
    pair_stop(&p);
}
