/* SPDX-License-Identifier: Apache-2.0
 * Clients that lie. Whatever one writes into its region, the daemon stays sane, others are served as before, and nothing of the
 * liar is left when it has gone. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "libclient/internal.h"
#include "tests/unit/libclient/pair.h"

/* A second client with a connection to the first one's listener: liar <-> honest. */
struct scene {
    struct pair p;
    struct xtcp *liar;
    int s;
};

static void scene_start(struct scene *sc)
{
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    pair_start(&sc->p, NULL);
    pair_connect(&sc->p);
    cr_assert_eq(xtcp_attach(&sc->liar, sc->p.d.path), 0);
    cr_assert_geq(sc->s = xtcp_socket(sc->liar), 0);
    cr_assert_eq(xtcp_connect(sc->liar, sc->s, (struct sockaddr *)&at, sizeof at), 0);
}

static bool dropped(void *arg)
{
    struct scene *sc = arg;
    return atomic_load(&sc->p.d.ended) == 1;
}

static bool both_ended(void *arg)
{
    struct scene *sc = arg;
    return atomic_load(&sc->p.d.ended) == 2;
}

/* The honest client is served still. */
static void check_honest(struct scene *sc)
{
    char buf[8];
    cr_assert_eq(xtcp_send(sc->p.x, sc->p.a, "still ok", 8, 0), 8);
    cr_assert_eq(xtcp_recv(sc->p.x, sc->p.b, buf, 8, MSG_WAITALL), 8);
    cr_assert_arr_eq(buf, "still ok", 8);
}

/* The liar was dropped: its peer was reset, its calls fail, it was counted. */
static void scene_end(struct scene *sc)
{
    char c;
    cr_assert(daemon_until(dropped, sc), "the liar was not dropped");
    cr_assert_eq(daemon_stats(&sc->p.d).liars, 1);
    int peer = xtcp_accept(sc->p.x, sc->p.l, NULL, NULL, 0);
    cr_assert_geq(peer, 0);
    ssize_t n;
    while ((n = xtcp_recv(sc->p.x, peer, &c, 1, 0)) > 0)
        ;
    cr_assert_eq(n, -ECONNRESET);
    cr_assert_eq(xtcp_recv(sc->liar, sc->s, &c, 1, 0), -ECONNABORTED);
    cr_assert_not(xtcp_alive(sc->liar));
    xtcp_detach(sc->liar);
    check_honest(sc);
    xtcp_close(sc->p.x, peer);
    xtcp_detach(sc->p.x);
    cr_assert(daemon_until(both_ended, sc), "the honest client's session was not given back");
    cr_assert_eq(daemon_stats(&sc->p.d).bytes_mapped, 0);
    daemon_stop(&sc->p.d);
    daemon_free(&sc->p.d);
}

Test(liar, tx_head_beyond_the_ring, .timeout = 250)
{
    struct scene sc;
    scene_start(&sc);
    atomic_store(&sc.liar->slots[sc.s].tx_head, 65537);
    xtcp_mark(sc.liar, sc.s);
    scene_end(&sc);
}

Test(liar, tx_head_backwards, .timeout = 250)
{
    struct scene sc;
    scene_start(&sc);
    cr_assert_eq(xtcp_send(sc.liar, sc.s, "some", 4, 0), 4);
    while (xtcp_outq(sc.liar, sc.s) > 0)
        poll(NULL, 0, 1);
    atomic_store(&sc.liar->slots[sc.s].tx_head, 3);
    xtcp_mark(sc.liar, sc.s);
    scene_end(&sc);
}

Test(liar, rx_tail_ahead, .timeout = 250)
{
    struct scene sc;
    scene_start(&sc);
    atomic_store(&sc.liar->slots[sc.s].rx_tail, 1);
    xtcp_mark(sc.liar, sc.s);
    scene_end(&sc);
}

Test(liar, urgent_mark_ahead, .timeout = 250)
{
    struct scene sc;
    scene_start(&sc);
    atomic_store(&sc.liar->slots[sc.s].tx_urg, 1);
    xtcp_mark(sc.liar, sc.s);
    scene_end(&sc);
}

Test(liar, accepted_what_never_came, .timeout = 250)
{
    struct scene sc;
    scene_start(&sc);
    int l = xtcp_socket(sc.liar);
    cr_assert_eq(xtcp_listen(sc.liar, l, 5), 0);
    atomic_store(&sc.liar->slots[l].acc_tail, 7);
    xtcp_mark(sc.liar, l);
    scene_end(&sc);
}

/* Commands with nonsense in every field are refused one by one; that alone is no crime. */
Test(liar, nonsense_commands, .timeout = 250)
{
    struct scene sc;
    const char *given = getenv("XTCP_TEST_SEED");
    unsigned seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL);
    scene_start(&sc);
    printf("seed %u\n", seed);
    for (unsigned n = 0; n < 20000; n++) {
        struct xtcp_cmd c = {.op = (uint32_t)rand_r(&seed) % (XT_OP_MAX + 2), .slot = rand_r(&seed) % 8};
        if (rand_r(&seed) % 16 == 0)
            c.slot = rand_r(&seed);
        c.arg[0] = (uint64_t)rand_r(&seed) % 20;
        c.arg[1] = (uint64_t)rand_r(&seed) << (rand_r(&seed) % 40);
        c.port = (uint16_t)rand_r(&seed);
        for (unsigned k = 0; k < 16; k++)
            c.addr.b[k] = (uint8_t)rand_r(&seed);
        if (rand_r(&seed) % 2)
            c.addr = xt_addr_v4(rand_r(&seed) % 2 ? 0 : daemon_addr(0).sin_addr.s_addr);
        xtcp_call(sc.liar, &c);
    }
    check_honest(&sc);
    xtcp_detach(sc.liar);
    cr_assert(daemon_until(dropped, &sc), "its sockets were not given back");
    daemon_stop(&sc.p.d);
    xtcp_detach(sc.p.x);
    daemon_free(&sc.p.d);
}

static uint64_t rnd(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Writes over everything in front of the rings, and marks all dirty, until the daemon has enough of it. */
static void scribble(struct xtcp *x, uint64_t *seed, unsigned rounds)
{
    const struct xt_region *r = x->region;
    uint64_t arena = r->arena_off, slots = r->slots_off, dirty = r->dirty_off, waiters = r->waiters_off;
    uint64_t cmd = r->cmd_off;
    for (unsigned n = 0; n < rounds; n++) {
        uint64_t at = rnd(seed) % 8, v = rnd(seed) % 4 ? rnd(seed) : rnd(seed) % 70000;
        if (at < 3)
            at = slots + rnd(seed) % (16 * sizeof(struct xt_slot));
        else if (at < 5)
            at = waiters + rnd(seed) % (8 * sizeof(struct xt_waiter));
        else if (at < 6)
            at = rnd(seed) % 2 ? dirty + rnd(seed) % 8800 : cmd + rnd(seed) % 640;
        else
            at = rnd(seed) % (arena + 65536);
        memcpy(x->base + (at & ~7ULL), &v, sizeof v);
        if (n % 16 == 0) {
            xt_bitmap_set((xt_bitword *)(void *)(x->base + dirty), (uint32_t)rnd(seed) % 16);
            xt_bitmap_set((xt_bitword *)(void *)(x->base + cmd), (uint32_t)rnd(seed) % 8);
            xtcp_kick(x);
        }
    }
}

Test(liar, scribbles_everywhere, .timeout = 250)
{
    struct scene sc;
    uint64_t seed;
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    pair_start(&sc.p, NULL);
    pair_connect(&sc.p);
    xtcp_set_nonblock(sc.p.x, sc.p.l, true);
    cr_assert_eq(getrandom(&seed, sizeof seed, 0), sizeof seed);
    for (unsigned round = 0; round < 60; round++) {
        printf("round %u seed %llu\n", round, (unsigned long long)seed);
        uint64_t state = seed++;
        cr_assert_eq(xtcp_attach(&sc.liar, sc.p.d.path), 0);
        for (unsigned n = 0; n < 4; n++) {
            int s = xtcp_socket(sc.liar);
            xtcp_set_nonblock(sc.liar, s, true);
            xtcp_connect(sc.liar, s, (struct sockaddr *)&at, sizeof at);
        }
        int l = xtcp_socket(sc.liar);
        xtcp_listen(sc.liar, l, 16);
        scribble(sc.liar, &state, 20000);
        check_honest(&sc);
        xtcp_detach(sc.liar);
        int s;
        while ((s = xtcp_accept(sc.p.x, sc.p.l, NULL, NULL, 0)) >= 0)
            xtcp_close(sc.p.x, s);
    }
    check_honest(&sc);
    xtcp_detach(sc.p.x);
    for (unsigned n = 0; n < 20000 && atomic_load(&sc.p.d.ended) < 61; n++)
        poll(NULL, 0, 1);
    cr_assert_eq(atomic_load(&sc.p.d.ended), 61, "sessions were not given back");
    cr_assert_eq(daemon_stats(&sc.p.d).bytes_mapped, 0);
    daemon_stop(&sc.p.d);
    daemon_free(&sc.p.d);
}
