/* SPDX-License-Identifier: Apache-2.0
 * Many threads on one context: no wake-up may be lost, whoever sleeps on what. A lost one shows as a test that never ends. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "libclient/internal.h"
#include "tests/unit/libclient/pair.h"

#define PAIRS 4
#define TURNS 25000 /* of each pair, there and back: 200,000 wake-ups in all */

struct player {
    struct xtcp *x;
    int s;
    unsigned turns;
};

/* Sends a byte and waits for the answer, over and over: each side sleeps, or is about to, whenever the other speaks. */
static void *ping(void *arg)
{
    struct player *pl = arg;
    char c = 0;
    for (unsigned n = 0; n < pl->turns; n++)
        if (xtcp_send(pl->x, pl->s, &c, 1, 0) != 1 || xtcp_recv(pl->x, pl->s, &c, 1, 0) != 1)
            return "ping";
    return NULL;
}

static void *pong(void *arg)
{
    struct player *pl = arg;
    char c;
    for (unsigned n = 0; n < pl->turns; n++)
        if (xtcp_recv(pl->x, pl->s, &c, 1, 0) != 1 || xtcp_send(pl->x, pl->s, &c, 1, 0) != 1)
            return "pong";
    return NULL;
}

static void play(uint32_t spin_us, unsigned turns)
{
    const struct xt_app_cfg cfg = {.sndbuf = 65536, .rcvbuf = 65536, .spin_us = spin_us, .arena = 1u << 30};
    struct pair p;
    struct player pl[2 * PAIRS];
    pthread_t t[2 * PAIRS];
    pair_start(&p, &cfg);
    for (unsigned i = 0; i < PAIRS; i++) {
        pair_connect(&p);
        pl[2 * i] = (struct player){p.x, p.a, turns};
        pl[2 * i + 1] = (struct player){p.x, p.b, turns};
    }
    for (unsigned i = 0; i < 2 * PAIRS; i++)
        pthread_create(&t[i], NULL, i % 2 ? pong : ping, &pl[i]);
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        void *wrong;
        pthread_join(t[i], &wrong);
        cr_assert_null(wrong, "%s failed", (char *)wrong);
    }
    pair_stop(&p);
}

Test(threads, ping_pong_sleeping)
{
    play(0, TURNS);
}

Test(threads, ping_pong_spinning)
{
    play(20, TURNS);
}

#define ITEMS 300000u

static void *produce(void *arg)
{
    struct player *pl = arg;
    for (uint32_t i = 0; i < ITEMS; i++)
        if (xtcp_send(pl->x, pl->s, &i, sizeof i, 0) != sizeof i)
            return "send";
    return NULL;
}

/* 300,000 items through a small ring, the reader sleeping on a waiter of its own as an event loop does. */
Test(threads, items)
{
    const struct xt_app_cfg cfg = {.sndbuf = 16384, .rcvbuf = 16384, .arena = 1u << 28};
    struct pair p;
    pthread_t t;
    void *wrong;
    uint32_t item;
    pair_start(&p, &cfg);
    pair_connect(&p);
    struct player pl = {.x = p.x, .s = p.a};
    pthread_create(&t, NULL, produce, &pl);
    for (uint32_t i = 0; i < ITEMS; i++) {
        ssize_t n = xtcp_recv(p.x, p.b, &item, sizeof item, MSG_DONTWAIT);
        if (n == -EAGAIN) {
            struct pollfd in = {.fd = p.b, .events = POLLIN};
            cr_assert(pair_poll(&p, &in));
            n = xtcp_recv(p.x, p.b, &item, sizeof item, MSG_WAITALL);
        } else if (n > 0 && n < 4) {
            n += xtcp_recv(p.x, p.b, (char *)&item + n, sizeof item - (size_t)n, MSG_WAITALL);
        }
        cr_assert_eq(n, 4);
        cr_assert_eq(item, i);
    }
    pthread_join(t, &wrong);
    cr_assert_null(wrong);
    pair_stop(&p);
}

#define ACCEPTORS 4
#define VISITS 400

struct door {
    struct pair *p;
    _Atomic unsigned taken;
};

static void *acceptor(void *arg)
{
    struct door *d = arg;
    for (;;) {
        char c;
        int s = xtcp_accept(d->p->x, d->p->l, NULL, NULL, 0);
        if (s == -EINVAL)
            return NULL; /* the listener was shut down */
        if (s < 0 || xtcp_recv(d->p->x, s, &c, 1, 0) != 1 || xtcp_send(d->p->x, s, &c, 1, 0) != 1)
            return "acceptor";
        xtcp_close(d->p->x, s);
        atomic_fetch_add(&d->taken, 1);
    }
}

/* Several threads accept on one listener; each visitor is served once; shutting the listener down wakes them all. */
Test(threads, accept_from_many)
{
    struct pair p;
    struct door d = {.p = &p};
    pthread_t t[ACCEPTORS];
    pair_start(&p, NULL);
    for (unsigned i = 0; i < ACCEPTORS; i++)
        pthread_create(&t[i], NULL, acceptor, &d);
    for (unsigned i = 0; i < VISITS; i++) {
        char c = (char)i, back;
        int s = pair_connect_new(&p);
        cr_assert_eq(xtcp_send(p.x, s, &c, 1, 0), 1);
        cr_assert_eq(xtcp_recv(p.x, s, &back, 1, 0), 1);
        cr_assert_eq(back, c);
        cr_assert_eq(xtcp_close(p.x, s), 0);
    }
    cr_assert_eq(xtcp_shutdown(p.x, p.l, SHUT_RD), 0);
    for (unsigned i = 0; i < ACCEPTORS; i++) {
        void *wrong;
        pthread_join(t[i], &wrong);
        cr_assert_null(wrong);
    }
    cr_assert_eq(atomic_load(&d.taken), VISITS);
    pair_stop(&p);
}

struct watch {
    struct pair *p;
    _Atomic uint32_t seen; /* connections that could be accepted */
    _Atomic bool failed;
};

/* Looks at the accept queue all the time, and so at what the daemon has stored between one store and the next. */
static void *watcher(void *arg)
{
    struct watch *w = arg;
    struct xtcp *x = w->p->x;
    struct xt_slot *l = &x->slots[w->p->l];
    for (uint32_t seen = 0; seen < VISITS * 10;) {
        uint32_t head = atomic_load_explicit(&l->acc_head, memory_order_acquire);
        const uint32_t *ring = (const uint32_t *)(const void *)(x->base + xt_page_off(l->tx_page));
        for (; seen != head; seen++)
            if (!(atomic_load(&x->slots[ring[seen & (l->tx_size - 1)]].cond) & XT_COND_CONNECTED))
                atomic_store(&w->failed, true);
        atomic_store(&w->seen, seen);
    }
    return NULL;
}

Test(threads, what_can_be_accepted_is_connected)
{
    struct pair p;
    struct watch w = {.p = &p};
    pthread_t t;
    pair_start(&p, NULL);
    pthread_create(&t, NULL, watcher, &w);
    for (uint32_t i = 1; i <= VISITS * 10; i++) {
        int a = pair_connect_new(&p);
        while (atomic_load(&w.seen) < i)
            sched_yield();
        int b = xtcp_accept(p.x, p.l, NULL, NULL, 0);
        cr_assert_geq(b, 0);
        xtcp_close(p.x, b);
        xtcp_close(p.x, a);
    }
    pthread_join(t, NULL);
    cr_assert_not(atomic_load(&w.failed));
    pair_stop(&p);
}

/* More waiters than bits of xt_slot.subs: those that share a bit must not take each other's news. */
Test(threads, more_waiters_than_bits)
{
    struct pair p;
    static struct xtcp_waiter *w[200];
    char c;
    pair_start(&p, NULL);
    pair_connect(&p);
    for (unsigned i = 0; i < 200; i++) {
        cr_assert_eq(xtcp_waiter_new(p.x, &w[i]), 0, "waiter %u", i);
        xtcp_waiter_sub(w[i], p.b);
    }
    for (unsigned i = 0; i < 100; i++)
        xtcp_waiter_unsub(w[i], p.b);
    xtcp_send(p.x, p.a, "x", 1, 0);
    cr_assert_eq(xtcp_recv(p.x, p.b, &c, 1, 0), 1);
    /* The bytes are published before the waiters are told. One that is never told runs into the test's time-out. */
    for (unsigned i = 100; i < 200; i++)
        while (!xtcp_waiter_pending(w[i]))
            sched_yield();
    for (unsigned i = 0; i < 200; i++)
        xtcp_waiter_free(w[i]);
    pair_stop(&p);
}

struct blocked {
    struct pair *p;
    int what;
    ssize_t rc;
    _Atomic bool entered;
};

static void *block(void *arg)
{
    struct blocked *b = arg;
    static char big[1 << 20];
    char c;
    atomic_store(&b->entered, true);
    b->rc = b->what == 0   ? xtcp_recv(b->p->x, b->p->b, &c, 1, 0)
            : b->what == 1 ? xtcp_accept(b->p->x, b->p->l, NULL, NULL, 0)
                           : xtcp_send(b->p->x, b->p->a, big, sizeof big, MSG_NOSIGNAL);
    return NULL;
}

/* When the daemon dies, calls that sleep return, all sockets are dead, and nothing hangs. */
Test(threads, daemon_dies)
{
    struct pair p;
    struct blocked b[3];
    pthread_t t[3];
    char c;
    pair_start(&p, NULL);
    pair_connect(&p);
    for (int i = 0; i < 3; i++) {
        b[i] = (struct blocked){.p = &p, .what = i};
        pthread_create(&t[i], NULL, block, &b[i]);
        while (!atomic_load(&b[i].entered))
            ;
    }
    daemon_stop(&p.d);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    cr_assert(b[0].rc == -ECONNABORTED || b[0].rc == 1, "recv: %zd", b[0].rc);
    cr_assert_eq(b[1].rc, -ECONNABORTED);
    cr_assert(b[2].rc == -ECONNABORTED || (b[2].rc > 0 && b[2].rc < 1 << 20), "send: %zd", b[2].rc);
    cr_assert_not(xtcp_alive(p.x));
    cr_assert_eq(xtcp_send(p.x, p.a, &c, 1, 0), -ECONNABORTED);
    cr_assert_eq(xtcp_socket(p.x), -ECONNABORTED);
    cr_assert_eq(xtcp_mask(p.x, p.a) & (POLLERR | POLLHUP | POLLIN | POLLOUT), POLLERR | POLLHUP | POLLIN | POLLOUT);
    xtcp_detach(p.x);
    daemon_free(&p.d);
}

static bool is_swept(void *arg)
{
    struct pair *p = arg;
    return daemon_stats(&p->d).sessions == 0;
}

/* A client that the daemon has dropped, and forgotten, learns just that: its sockets are dead, not bad descriptors that never have news. */
Test(threads, daemon_drops_its_client)
{
    struct pair p;
    char c;
    struct sockaddr_in to = daemon_addr(PAIR_PORT);
    pair_start(&p, NULL);
    pair_connect(&p);
    int s = xtcp_socket(p.x), closed = xtcp_socket(p.x);
    cr_assert(s >= 0 && closed >= 0 && xtcp_close(p.x, closed) == 0);
    shutdown(p.d.client[0].fd, SHUT_RDWR);
    cr_assert(daemon_until(is_swept, &p));
    cr_expect_eq(xtcp_connect(p.x, s, (struct sockaddr *)&to, sizeof to), -ECONNABORTED);
    cr_expect_eq(xtcp_recv(p.x, p.b, &c, 1, 0), -ECONNABORTED);
    cr_expect_eq(xtcp_mask(p.x, p.a) & (POLLERR | POLLHUP | POLLIN | POLLOUT), POLLERR | POLLHUP | POLLIN | POLLOUT);
    cr_expect_eq(xtcp_close(p.x, s), 0);
    cr_expect_eq(xtcp_close(p.x, s), -EBADF);
    cr_expect_eq(xtcp_mask(p.x, closed), POLLNVAL);
    xtcp_detach(p.x);
    daemon_stop(&p.d);
    daemon_free(&p.d);
}
