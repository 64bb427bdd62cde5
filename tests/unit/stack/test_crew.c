/* SPDX-License-Identifier: Apache-2.0
 * Three stacks for the address 10.0.0.1 and a peer, 10.0.0.2. Frames come to any of the three, in turns. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/base/fanout.h"
#include "daemon/base/macros.h"
#include "daemon/stack/internal.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/eth.h"
#include "tests/unit/stack/net.h"

#define N 3u
#define S 1000000ull
#define BYTES 200000u

static struct host sh[N], peer;
static struct xt_crew *crew;
static uint64_t now;
static unsigned turn;
static bool fanned; /* the network brings each frame to where its connection belongs */

static void setup(void)
{
    now = S;
    turn = 0;
    fanned = false;
    cr_assert_eq(xt_crew_new(&crew, N), 0);
    for (uint32_t k = 0; k < N; k++) {
        host_cfg(&sh[k], 1);
        sh[k].crew = crew;
        sh[k].shard = k;
        host_start(&sh[k], now);
    }
    host_cfg(&peer, 2);
    host_start(&peer, now);
}

static void teardown(void)
{
    for (uint32_t k = 0; k < N; k++)
        host_stop(&sh[k]);
    host_stop(&peer);
    xt_crew_free(crew);
}

TestSuite(crew, .init = setup, .fini = teardown);

/* As the filter of the packet sockets has it. */
static struct host *fan_out(const struct packet *p)
{
    const uint8_t *ip = p->data + XT_ETH_HDR_LEN, *tcp = ip + (ip[0] & 15) * 4;
    if (p->data[13] != 0 || ip[9] != XT_IPPROTO_TCP)
        return &sh[0];
    return &sh[xt_fanout(N, xt_be32_load(ip + 12), xt_be16_load(tcp), xt_be16_load(tcp + 2))];
}

static bool give(struct host *from, struct host *to)
{
    struct packet p;
    if (!host_take(from, &p))
        return false;
    if (from == &peer && fanned)
        to = fan_out(&p);
    xt_stack_input(to->s, p.data, p.len, &p.vnet, now);
    free(p.data);
    return true;
}

static void pump(void)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t k = 0; k < N; k++) {
            moved |= xt_stack_passed(sh[k].s, now);
            moved |= xt_stack_output(sh[k].s, now);
            while (give(&sh[k], &peer))
                moved = true;
        }
        xt_stack_output(peer.s, now);
        while (give(&peer, &sh[turn++ % N]))
            moved = true;
    }
}

static void run(uint64_t us)
{
    for (uint64_t end = now + us; now < end; now += 10000) {
        pump();
        for (uint32_t k = 0; k < N; k++)
            xt_stack_timers(sh[k].s, now);
        xt_stack_timers(peer.s, now);
    }
    pump();
}

static uint8_t byte_at(uint32_t i)
{
    return (uint8_t)(i * 31 + (i >> 8));
}

/* All of it arrives as it was sent. */
static void transfer(struct host *from, struct xt_conn *c, struct host *to, struct xt_conn *d)
{
    static uint8_t in[BYTES], out[BYTES];
    uint32_t sent = 0, got = 0;
    for (uint32_t i = 0; i < BYTES; i++)
        out[i] = byte_at(i);
    for (unsigned turns = 0; got < BYTES && turns < 10000; turns++) {
        sent += host_write(from, c, out + sent, BYTES - sent, now);
        run(10000);
        got += host_read(to, d, in + got, BYTES - got, now);
    }
    cr_expect_eq(got, BYTES);
    cr_expect_eq(memcmp(in, out, BYTES), 0);
}

static uint64_t sum(size_t offset)
{
    uint64_t n = 0;
    for (uint32_t k = 0; k < N; k++)
        n += *(const uint64_t *)(const void *)((const char *)xt_stack_stats(sh[k].s) + offset);
    return n;
}
#define SUM(counter) sum(offsetof(struct xt_stack_stats, counter))

Test(crew, any_may_get_the_frames_of_any)
{
    for (uint32_t k = 0; k < N; k++) {
        cr_assert(host_listen(&sh[k], (uint16_t)(80 + k), false, now));
        struct xt_conn *c = host_connect(&peer, 1, (uint16_t)(80 + k), now, NULL);
        run(10000);
        cr_assert_eq(c->state, XT_ESTABLISHED);
        cr_assert_eq(sh[k].naccepted, 1);
        transfer(&peer, c, &sh[k], sh[k].accepted);
        transfer(&sh[k], sh[k].accepted, &peer, c);
    }
    cr_expect(SUM(crew_in) > 0);
    cr_expect_eq(SUM(crew_in), SUM(crew_out));
    cr_expect_eq(SUM(drop_closed_port), 0);
}

/* What one stack sheds in a flood is not what another one has the connection of. */
Test(crew, a_flood_does_not_cut_off_the_connections_of_others)
{
    struct xt_seg stray = {.sport = 9, .dport = 80, .flags = XT_TH_ACK, .seq = 1, .ack = 1};
    uint8_t f[128];
    cr_assert(host_listen(&sh[0], 80, false, now));
    struct xt_conn *c = host_connect(&peer, 1, 80, now, NULL);
    run(10000);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    for (uint32_t k = 0; k < N; k++) {
        struct xt_stack_cfg cfg = *xt_stack_cfg(sh[k].s);
        cfg.overload_rate = 1;
        cr_assert_eq(xt_stack_reconfigure(sh[k].s, &cfg), 0);
        xt_stack_overloaded(sh[k].s, now + 100 * S);
        sh[k].s->overload.credit = 0;
    }
    transfer(&peer, c, &sh[0], sh[0].accepted);
    stray.dport = 81;
    inject(&sh[1], f, make_tcp(f, &sh[1], 3, &stray, NULL), now);
    cr_expect_eq(xt_stack_stats(sh[1].s)->shed_stray, 1);
}

Test(crew, connects_from_ports_of_its_own)
{
    cr_assert(host_listen(&peer, 80, false, now));
    for (uint32_t k = 0; k < N; k++)
        for (unsigned n = 0; n < 5; n++) {
            struct xt_conn *c = host_connect(&sh[k], 2, 80, now, NULL);
            cr_assert(c);
            run(10000);
            cr_expect_eq(c->state, XT_ESTABLISHED);
            cr_expect_eq(xt_fanout(N, 0x0a000002, 80, c->local.port), k);
        }
}

/* What the network brings of them needs no other stack, and each may have the same port for itself. */
Test(crew, connects_with_nothing_passed_on)
{
    fanned = true;
    cr_assert(host_listen(&peer, 80, false, now));
    for (uint32_t k = 0; k < N; k++) {
        struct xt_stack_cfg cfg = *xt_stack_cfg(sh[k].s);
        cfg.port_min = 40000;
        cfg.port_max = 40029;
        cr_assert_eq(xt_stack_reconfigure(sh[k].s, &cfg), 0);
    }
    uint64_t before = 0;
    for (unsigned n = 0; n < 4; n++)
        for (uint32_t k = 0; k < N; k++) {
            struct xt_conn *c = host_connect(&sh[k], 2, 80, now, NULL);
            cr_assert(c);
            run(10000);
            cr_expect_eq(c->state, XT_ESTABLISHED);
            if (n == 0)
                before = SUM(crew_out); /* ARP goes to all */
        }
    cr_expect_eq(SUM(crew_out), before);
}

Test(crew, two_of_them_talk_to_each_other)
{
    struct xt_conn *l = host_listen(&sh[2], 80, false, now), *c = host_connect(&sh[1], 1, 80, now, NULL);
    cr_assert(l);
    run(10000);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(sh[2].naccepted, 1);
    transfer(&sh[1], c, &sh[2], sh[2].accepted);
    transfer(&sh[2], sh[2].accepted, &sh[1], c);
    xt_stack_close(sh[1].s, c, now);
    run(10000);
    cr_expect_eq(sh[2].accepted->state, XT_CLOSE_WAIT);
    cr_expect_eq(peer.s->stats.drop_not_ours, 0, "it went over the wire");
}

Test(crew, nobody_listens)
{
    int err = 0;
    uint32_t i = host_connect(&peer, 1, 80, now, &err)->index;
    run(10000);
    cr_expect_eq(peer.err[i], ECONNREFUSED);
    i = host_connect(&sh[1], 1, 80, now, &err)->index;
    run(10000);
    cr_expect_eq(sh[1].err[i], ECONNREFUSED);
}

Test(crew, a_port_is_held_against_all)
{
    struct xt_endpoint at = ep(0, 80);
    cr_assert_eq(xt_stack_bind(sh[0].s, &at, 0), 0);
    cr_expect_eq(xt_stack_bind(sh[1].s, &at, 0), -EADDRINUSE);
    cr_expect_eq(xt_stack_bind(sh[1].s, &at, XT_CLAIM_REUSE), -EADDRINUSE);
    xt_stack_unbind(sh[0].s, &at, 0);
    cr_expect_eq(xt_stack_bind(sh[1].s, &at, 0), 0);
    xt_stack_unbind(sh[1].s, &at, 0);
    cr_assert_eq(xt_stack_bind(sh[0].s, &at, XT_CLAIM_REUSE), 0);
    cr_assert_eq(xt_stack_bind(sh[1].s, &at, XT_CLAIM_REUSE), 0);
    struct xt_conn *l;
    cr_assert_eq(xt_stack_listen(sh[0].s, &at, XT_CLAIM_REUSE, now, &l), 0);
    cr_expect_eq(xt_stack_listen(sh[1].s, &at, XT_CLAIM_REUSE, now, &l), -EADDRINUSE);
}

/* Those of one family, in different shards, keep each other from no port, and all others as ever. */
Test(crew, a_family_has_a_port_in_each)
{
    const uint64_t ours = xt_claim_family(0x30002), theirs = xt_claim_family(0x40002);
    struct xt_endpoint at = ep(0, 80);
    struct xt_conn *l;
    cr_assert_eq(xt_stack_bind(sh[0].s, &at, ours), 0);
    cr_expect_eq(xt_stack_bind(sh[0].s, &at, ours), -EADDRINUSE, "twice in one shard");
    cr_expect_eq(xt_stack_bind(sh[1].s, &at, theirs), -EADDRINUSE);
    cr_assert_eq(xt_stack_bind(sh[1].s, &at, ours), 0);
    cr_assert_eq(xt_stack_listen(sh[0].s, &at, ours, now, &l), 0);
    cr_assert_eq(xt_stack_listen(sh[1].s, &at, ours, now, &l), 0);
    cr_expect_eq(xt_stack_bind(sh[2].s, &at, theirs | XT_CLAIM_REUSE), -EADDRINUSE);
    cr_expect_eq(xt_stack_bind(sh[2].s, &at, theirs | xt_claim_share(7)), -EADDRINUSE);
}

/* Who has bound a port that another one listens on, as SO_REUSEADDR allows, is not of its family for that. */
Test(crew, a_family_does_not_take_the_port_of_another_one)
{
    const uint64_t ours = xt_claim_family(0x30002) | XT_CLAIM_REUSE, theirs = xt_claim_family(0x40002) | XT_CLAIM_REUSE;
    struct xt_endpoint at = ep(0, 80);
    struct xt_conn *l;
    cr_assert_eq(xt_stack_bind(sh[0].s, &at, ours), 0);
    cr_assert_eq(xt_stack_bind(sh[0].s, &at, theirs), 0);
    cr_assert_eq(xt_stack_bind(sh[1].s, &at, theirs), 0);
    cr_assert_eq(xt_stack_listen(sh[0].s, &at, ours, now, &l), 0);
    cr_expect_eq(xt_stack_listen(sh[1].s, &at, theirs, now, &l), -EADDRINUSE);
    cr_expect_eq(xt_stack_bind(sh[2].s, &at, theirs), -EADDRINUSE);
    cr_assert_eq(xt_stack_bind(sh[2].s, &at, ours), 0);
    cr_expect_eq(xt_stack_listen(sh[2].s, &at, ours, now, &l), 0);
}

static struct xt_conn *listen_shared(uint32_t k)
{
    struct xt_endpoint at = ep(0, 80);
    struct xt_conn *l;
    cr_assert_eq(xt_stack_bind(sh[k].s, &at, xt_claim_share(7)), 0);
    cr_assert_eq(xt_stack_listen(sh[k].s, &at, xt_claim_share(7), now, &l), 0);
    xt_stack_set_bufs(sh[k].s, l, NULL, RING, NULL, RING);
    return l;
}

/* Their SYNs have come, and nobody has looked at those that are passed on. */
static void begin_many(struct xt_conn **c, unsigned many)
{
    for (unsigned n = 0; n < many; n++)
        c[n] = host_connect(&peer, 1, 80, now, NULL);
    xt_stack_output(peer.s, now);
    while (give(&peer, NULL))
        ;
}

static void connect_many(unsigned many)
{
    for (unsigned n = 0; n < many; n++) {
        struct xt_conn *c = host_connect(&peer, 1, 80, now, NULL);
        cr_assert(c);
        run(10000);
        cr_assert_eq(c->state, XT_ESTABLISHED);
    }
}

/* With a listener in each stack nothing has to be passed on. */
Test(crew, a_listener_in_each_takes_what_comes_there)
{
    fanned = true;
    for (uint32_t k = 0; k < N; k++)
        listen_shared(k);
    connect_many(1);
    uint64_t before = SUM(crew_out);
    connect_many(59);
    cr_expect_eq(SUM(crew_out), before);
    for (uint32_t k = 0; k < N; k++)
        cr_expect(sh[k].naccepted >= 5, "shard %u has %u of 60", k, sh[k].naccepted);
}

/* Each listener has its part, however many of them are in one stack. */
Test(crew, listeners_have_equal_parts)
{
    fanned = true;
    for (unsigned n = 0; n < 3; n++)
        listen_shared(1);
    listen_shared(2);
    connect_many(240);
    cr_expect_eq(sh[0].naccepted, 0);
    cr_expect(sh[1].naccepted > 150 && sh[1].naccepted < 210, "three of four have %u of 240", sh[1].naccepted);
    cr_expect_eq(sh[1].naccepted + sh[2].naccepted, 240);
}

/* What is half open with it goes on, what is new comes to others. */
Test(crew, a_retired_listener_gets_no_new_connections)
{
    struct xt_conn *l[N], *c[2 * N];
    fanned = true;
    for (uint32_t k = 0; k < N; k++)
        l[k] = listen_shared(k);
    connect_many(1);
    begin_many(c, 2 * N);
    for (uint32_t k = 1; k < N; k++) {
        xt_stack_retire(sh[k].s, l[k]);
        xt_stack_retire(sh[k].s, l[k]);
    }
    run(10000);
    for (unsigned n = 0; n < 2 * N; n++)
        cr_expect_eq(c[n]->state, XT_ESTABLISHED);
    unsigned before = sh[1].naccepted + sh[2].naccepted;
    connect_many(20);
    cr_expect_eq(sh[1].naccepted + sh[2].naccepted, before);
    xt_stack_close(sh[1].s, l[1], now);
    connect_many(5);
    cr_expect_eq(SUM(drop_closed_port), 0);
}

/* What is on its way to a listener when that one ends is for those that are left. */
Test(crew, a_listener_ends_before_it_gets_what_was_passed_on)
{
    struct xt_conn *l[N], *c[24];
    fanned = true;
    for (uint32_t k = 1; k < N; k++)
        l[k] = listen_shared(k);
    connect_many(1);
    uint64_t before = SUM(crew_in);
    begin_many(c, XT_ARRAY_LEN(c));
    cr_expect_eq(SUM(crew_in), before, "nobody has looked at them");
    xt_stack_retire(sh[1].s, l[1]);
    run(10000);
    for (unsigned n = 0; n < XT_ARRAY_LEN(c); n++)
        cr_expect_eq(c[n]->state, XT_ESTABLISHED, "connection %u", n);
    cr_expect(SUM(crew_in) >= before + 4);
    xt_stack_retire(sh[2].s, l[2]);
    int err = 0;
    uint32_t i = host_connect(&peer, 1, 80, now, &err)->index;
    run(10000);
    cr_expect_eq(peer.err[i], ECONNREFUSED, "nobody is left");
}

Test(crew, a_shared_port_is_spread)
{
    for (uint32_t k = 0; k < N; k++)
        listen_shared(k);
    connect_many(60);
    for (uint32_t k = 0; k < N; k++)
        cr_expect(sh[k].naccepted >= 5, "shard %u has %u of 60", k, sh[k].naccepted);
    cr_expect_eq(sh[0].naccepted + sh[1].naccepted + sh[2].naccepted, 60);
}

/* The old program's connections wait for their end in one shard, and the new program listens in another. */
Test(crew, a_new_listener_elsewhere_after_time_wait)
{
    struct xt_conn *l = host_listen(&sh[0], 80, true, now), *c = host_connect(&peer, 1, 80, now, NULL);
    run(10000);
    uint16_t port = c->local.port;
    xt_stack_close(sh[0].s, sh[0].accepted, now);
    run(10000);
    xt_stack_close(peer.s, c, now);
    run(10000);
    cr_assert_eq(sh[0].accepted->state, XT_TIME_WAIT);
    xt_stack_close(sh[0].s, l, now);
    struct xt_endpoint at = ep(1, 80), from = ep(2, port);
    xt_stack_unbind(sh[0].s, &at, XT_CLAIM_REUSE);
    cr_assert(host_listen(&sh[1], 80, true, now));
    run(2 * S);
    cr_assert_eq(xt_stack_connect(peer.s, &from, &at, now, NULL, NULL, &c), 0);
    run(3 * S);
    cr_expect_eq(c->state, XT_ESTABLISHED);
    cr_expect_eq(sh[1].naccepted, 1);
}

Test(crew, an_icmp_error_finds_its_connection)
{
    uint8_t f[256], m[64] = {XT_ICMP_UNREACHABLE, XT_ICMP_PORT_UNREACH};
    struct packet p;
    uint32_t i = host_connect(&sh[2], 2, 80, now, NULL)->index;
    for (bool syn = false; !syn;) { /* what leaves first asks for the peer's address */
        xt_stack_output(sh[2].s, now);
        cr_assert(host_take(&sh[2], &p));
        syn = p.data[13] == 0;
        if (syn)
            memcpy(m + 8, p.data + 14, 28);
        else
            xt_stack_input(peer.s, p.data, p.len, &p.vnet, now);
        free(p.data);
        if (!syn)
            give(&peer, &sh[2]);
    }
    struct xt_icmp icmp = {.type = XT_ICMP_UNREACHABLE, .code = XT_ICMP_PORT_UNREACH, .data = m + 8, .data_len = 28};
    uint8_t body[64];
    size_t n = xt_icmp_emit(body, sizeof body, &icmp);
    inject(&sh[0], f, make_ip(f, &sh[0], 2, XT_IPPROTO_ICMP, 1, 0, false, body, n), now);
    for (unsigned k = 0; k < 2 * N; k++)
        xt_stack_passed(sh[k % N].s, now);
    cr_expect_eq(sh[2].err[i], ECONNREFUSED);
}

Test(crew, one_answers_arp_and_all_learn)
{
    uint8_t f[64];
    struct xt_neigh_info info;
    host_drain(&sh[1]);
    inject(&sh[1], f, make_arp(f, &sh[1], XT_ARP_REQUEST, 2, 2, 1), now);
    for (uint32_t k = 0; k < N; k++) {
        xt_stack_passed(sh[k].s, now);
        cr_expect_eq(xt_stack_stats(sh[k].s)->arp_replies_out, k == 1);
        cr_expect_eq(xt_stack_neighbours(sh[k].s, &info, 1, now), 1);
    }
}

Test(crew, a_full_queue_drops)
{
    uint8_t f[64];
    size_t n = make_arp(f, &sh[0], XT_ARP_REQUEST, 2, 2, 1);
    for (unsigned i = 0; i < 2000; i++)
        inject(&sh[0], f, n, now);
    host_drain(&sh[0]);
    cr_expect(SUM(drop_crew_full) > 0);
    cr_expect_eq(xt_stack_kicks(sh[0].s), 6u);
    while (xt_stack_passed(sh[1].s, now))
        ;
    cr_expect_not(xt_stack_passed_any(sh[1].s));
    cr_expect(xt_stack_passed_any(sh[2].s));
    inject(&sh[0], f, n, now);
    cr_expect(xt_stack_passed(sh[1].s, now));
}

/* ---- each with a thread of its own ---- */

struct side {
    struct host *h;
    struct xt_conn *c; /* NULL: the one that it accepts */
    uint32_t done;
    _Atomic bool *stop;
};

static uint64_t tick(void)
{
    static _Atomic uint64_t us = 2 * S;
    return atomic_fetch_add(&us, 1);
}

static void *work(void *arg)
{
    struct side *w = arg;
    uint8_t buf[4096];
    while (!atomic_load(w->stop)) {
        uint64_t t = tick();
        if (!xt_stack_passed(w->h->s, t))
            sched_yield();
        xt_stack_timers(w->h->s, t);
        struct xt_conn *c = w->c ? w->c : w->h->accepted;
        if (c && c->state == XT_ESTABLISHED && w->done < BYTES) {
            uint32_t n = XT_MIN((uint32_t)sizeof buf, BYTES - w->done);
            for (uint32_t i = 0; i < n; i++)
                buf[i] = byte_at(w->done + i);
            if (w->c) {
                w->done += host_write(w->h, c, buf, n, t);
            } else {
                uint8_t in[sizeof buf];
                n = host_read(w->h, c, in, n, t);
                cr_assert_eq(memcmp(in, buf, n), 0);
                w->done += n;
                if (w->done == BYTES)
                    atomic_store(w->stop, true);
            }
        }
        xt_stack_output(w->h->s, t);
        host_drain(w->h);
    }
    return NULL;
}

Test(crew, threads_talk_to_each_other, .timeout = 250)
{
    _Atomic bool stop = false;
    cr_assert(host_listen(&sh[0], 80, false, now));
    struct side side[2] = {{.h = &sh[0], .stop = &stop},
                           {.h = &sh[1], .c = host_connect(&sh[1], 1, 80, now, NULL), .stop = &stop}};
    pthread_t t[2];
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, work, &side[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    cr_expect_eq(side[0].done, BYTES);
}
