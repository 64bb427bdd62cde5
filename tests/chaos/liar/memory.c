/* SPDX-License-Identifier: Apache-2.0
 * Lies in shared memory. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libclient/internal.h"
#include "tests/chaos/liar/liar.h"

#define CONNS 3
#define SOCKETS (CONNS * 2 + 2)

struct scene {
    struct xtcp *x;
    const struct liar_cfg *c;
    uint64_t rng;
    int s[SOCKETS]; /* listener, connections to the peer, and to itself with their other ends; -1: none */
};

static struct sockaddr_in own(const struct scene *sc, uint16_t port)
{
    struct sockaddr_in a;
    xtcp_own_addr(sc->x, &a);
    a.sin_port = htons(port);
    return a;
}

/* All that a client can have: bound and listening sockets, connections to others and to itself. */
static void set_up(struct scene *sc, const struct liar_cfg *c, uint64_t seed)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    unsigned n = 0;
    sc->c = c;
    sc->rng = seed;
    memset(sc->s, -1, sizeof sc->s);
    if (xtcp_attach(&sc->x, c->path) < 0)
        _exit(0);
    at = own(sc, 0);
    int l = sc->s[n++] = xtcp_socket(sc->x);
    xtcp_bind(sc->x, l, (struct sockaddr *)&at, sizeof at);
    xtcp_listen(sc->x, l, 8);
    xtcp_getsockname(sc->x, l, (struct sockaddr *)&at, &len);
    at = own(sc, ntohs(at.sin_port));
    for (int i = 0; i < CONNS; i++) {
        int s = sc->s[n++] = xtcp_socket(sc->x);
        bool away = i == 0;
        if (xtcp_connect(sc->x, s, away ? (const void *)&c->peer : (const void *)&at, sizeof at) == 0 && !away)
            sc->s[n++] = xtcp_accept(sc->x, l, NULL, NULL, 0);
    }
}

/* ---- what is written to, and how ---- */

struct place {
    uint8_t *at;
    size_t len;
};

static struct place slot_place(const struct scene *sc, uint32_t i)
{
    return (struct place){(uint8_t *)&sc->x->slots[i], sizeof(struct xt_slot)};
}

/* A stretch of the region; those that are in use more often than others. */
static struct place somewhere(struct scene *sc)
{
    struct xtcp *x = sc->x;
    const struct xt_region *r = x->region;
    uint8_t *b = x->base;
    uint64_t *g = &sc->rng;
    switch (liar_below(g, 17)) {
    case 0:
        return (struct place){b + r->procs_off, 8 * sizeof(struct xt_proc)};
    case 1:
        return (struct place){b + r->waiters_off, 4 * sizeof(struct xt_waiter)};
    case 2:
        return (struct place){b + r->cmd_off, 66 * 8};
    case 3:
        return (struct place){b + r->dirty_off, 80 * 8};
    case 4:
        return (struct place){b + r->hold_off + liar_below(g, 3) * r->hold_stride, 64};
    case 5:
        return (struct place){b + r->ready_off + liar_below(g, 3) * r->ready_stride, 70 * 8};
    case 6:
        return (struct place){b + r->arena_off, 1 << 20};
    case 7:
        return slot_place(sc, liar_below(g, x->max_slots));
    case 8:
        return (struct place){b + r->rares_off, (SOCKETS + 2) * sizeof(struct xt_rare)};
    default:
        return slot_place(sc, liar_below(g, SOCKETS + 2));
    }
}

static void scribble_word(struct scene *sc)
{
    struct place p = somewhere(sc);
    size_t at = liar_below(&sc->rng, (uint32_t)(p.len / 8)) * 8;
    if (liar_below(&sc->rng, 2)) {
        _Atomic uint64_t *w = (void *)(p.at + at);
        atomic_store(w, liar_value(&sc->rng, atomic_load(w)));
    } else {
        _Atomic uint32_t *w = (void *)(p.at + at + 4 * liar_below(&sc->rng, 2));
        atomic_store(w, (uint32_t)liar_value(&sc->rng, atomic_load(w)));
    }
}

/* The word that matters is another one at each look: `n` times away from what it should be, and back. */
static void race(struct scene *sc, unsigned n)
{
    struct xt_slot *sl = &sc->x->slots[liar_below(&sc->rng, SOCKETS)];
    _Atomic uint64_t *pages = (void *)&sl->rx_page; /* and tx_page */
    _Atomic uint64_t *words[] = {&sl->tx_head, &sl->rx_tail, &sl->tx_urg, pages, &sl->rx_switch, &sl->rx_old};
    _Atomic uint64_t *w = words[liar_below(&sc->rng, sizeof words / sizeof words[0])];
    while (n--) {
        uint64_t was = atomic_load(w);
        atomic_store(w, liar_value(&sc->rng, was));
        xt_bitmap_set(sc->x->dirty, liar_below(&sc->rng, SOCKETS));
        atomic_store(w, was);
    }
}

static void nonsense_command(struct scene *sc)
{
    uint32_t w = liar_below(&sc->rng, 3);
    struct xt_waiter *box = &sc->x->boxes[w];
    box->op = liar_below(&sc->rng, XT_OP_MAX + 1);
    box->slot = liar_below(&sc->rng, SOCKETS + 2);
    box->port = (uint16_t)liar_random(&sc->rng);
    box->arg[0] = liar_below(&sc->rng, 2) ? liar_below(&sc->rng, XT_SO_MAX + 1) : liar_random(&sc->rng);
    box->arg[1] = liar_value(&sc->rng, 0);
    for (unsigned i = 0; i < sizeof box->addr.b; i++)
        if (liar_below(&sc->rng, 8) == 0)
            box->addr.b[i] = (uint8_t)liar_random(&sc->rng);
    atomic_fetch_add(&box->cmd_seq, 1);
    xt_bitmap_set(sc->x->cmd, w);
}

/* ---- traffic ---- */

static void *use_sockets(void *arg)
{
    struct scene *sc = arg;
    static char buf[100000];
    uint64_t rng = sc->rng + 1;
    for (;;)
        for (unsigned i = 1; i < SOCKETS; i++) {
            if (sc->s[i] < 0)
                continue;
            xtcp_send(sc->x, sc->s[i], buf, 1 + liar_below(&rng, sizeof buf),
                      MSG_DONTWAIT | (liar_below(&rng, 64) ? 0 : MSG_OOB));
            xtcp_recv(sc->x, sc->s[i], buf, 1 + liar_below(&rng, sizeof buf), MSG_DONTWAIT);
        }
    return NULL;
}

/* Little by little: most of them are to live long enough to do more harm. */
void liar_scribble(const struct liar_cfg *c, uint64_t seed)
{
    struct scene sc;
    pthread_t user;
    set_up(&sc, c, seed);
    pthread_create(&user, NULL, use_sockets, &sc);
    uint32_t gentle = 1 + liar_below(&sc.rng, 200);
    for (;;) {
        if (liar_below(&sc.rng, gentle) == 0)
            scribble_word(&sc);
        if (liar_below(&sc.rng, 4) == 0)
            nonsense_command(&sc);
        if (liar_below(&sc.rng, 16 * gentle) == 0)
            race(&sc, 50);
        if (liar_below(&sc.rng, 2000) == 0)
            xtcp_export(sc.x, sc.s[liar_below(&sc.rng, SOCKETS)], liar_below(&sc.rng, 2), -1);
        xtcp_mark(sc.x, (int)liar_below(&sc.rng, SOCKETS));
        if (liar_below(&sc.rng, 64) == 0)
            usleep(liar_below(&sc.rng, 300));
    }
}

/* ---- lies that are found ---- */

static void tell_lie(struct scene *sc)
{
    struct xt_slot *conn = &sc->x->slots[sc->s[1]], *listener = &sc->x->slots[sc->s[0]];
    switch (liar_below(&sc->rng, 5)) {
    case 0:
        atomic_fetch_add(&conn->tx_head, 1u << 30);
        break;
    case 1:
        atomic_store(&conn->tx_head, 0);
        break;
    case 2:
        atomic_fetch_add(&conn->rx_tail, 1u << 30);
        break;
    case 3:
        atomic_store(&conn->tx_urg, UINT64_MAX);
        break;
    default:
        atomic_fetch_add(&listener->acc_tail, 100);
        xtcp_mark(sc->x, sc->s[0]);
    }
    xtcp_mark(sc->x, sc->s[1]);
}

void liar_caught(const struct liar_cfg *c, uint64_t seed)
{
    struct scene sc;
    char buf[64] = "";
    set_up(&sc, c, seed);
    if (sc.s[1] < 0 || xtcp_send(sc.x, sc.s[1], buf, sizeof buf, 0) != sizeof buf ||
        xtcp_recv(sc.x, sc.s[1], buf, sizeof buf, MSG_WAITALL) != sizeof buf)
        _exit(2); /* an honest client at this point: it must be served */
    tell_lie(&sc);
    while (xtcp_alive(sc.x)) /* until the time is over */
        usleep(1000);
}

/* ---- commands ---- */

/* Another thread lets go of the sockets that commands are about, and holds them again. */
static void *change_holds(void *arg)
{
    struct scene *sc = arg;
    uint64_t rng = ~sc->rng;
    for (;;) {
        uint64_t held = liar_random(&rng) | liar_random(&rng);
        atomic_store(&sc->x->hold[0], held);
        for (unsigned i = 0; i < 64; i++)
            if (!(held >> i & 1))
                xt_bitmap_set(sc->x->dirty, i);
        xtcp_kick(sc->x);
    }
    return NULL;
}

void liar_commands(const struct liar_cfg *c, uint64_t seed)
{
    struct scene sc;
    pthread_t other;
    set_up(&sc, c, seed);
    pthread_create(&other, NULL, change_holds, &sc);
    for (;;) {
        struct sockaddr_in at = own(&sc, (uint16_t)(2000 + liar_below(&sc.rng, 4))); /* in use, more often than not */
        int s = xtcp_socket(sc.x);
        if (s < 0)
            continue;
        xtcp_bind(sc.x, s, (struct sockaddr *)&at, sizeof at);
        xtcp_listen(sc.x, s, 4);
        if (liar_below(&sc.rng, 2))
            xtcp_connect(sc.x, s, (struct sockaddr *)&at, sizeof at);
        else
            xtcp_close(sc.x, s);
    }
}
