/* SPDX-License-Identifier: Apache-2.0
 * More comes than can be worked off: which frames are taken, and how many. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/stack/internal.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/icmp.h"
#include "daemon/wire/ipv4.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull
#define HOLD (S / 10)
#define AT_ONCE 6144u /* packets of strangers */
#define RESERVE 2048u /* besides, of those who are likely to be there */
#define MANY 10000u
#define PER_MS 50u
#define FORGED 20u /* addresses from here on are nobody's */

static struct net n;
static struct host *a = &n.h[0], *b = &n.h[1]; /* a connects, b listens */
static const struct xt_stack_stats *st;
static uint8_t f[2048];

static void setup(void)
{
    net_init(&n);
    n.now = 5 * S;
    cr_assert(host_listen(b, 80, true, n.now));
    b->cfg.overload_rate = 1000 * PER_MS;
    b->cfg.tcp.syn_cookies = XT_COOKIES_ALWAYS; /* no records of forged SYNs: all answers are alike */
    cr_assert_eq(xt_stack_reconfigure(b->s, &b->cfg), 0);
    st = xt_stack_stats(b->s);
}

static void teardown(void)
{
    net_fini(&n);
}

TestSuite(overload, .init = setup, .fini = teardown);

/* Hands the frame in `f` over and returns whether it was answered. */
static bool answered(size_t len)
{
    host_drain(b);
    inject(b, f, len, n.now);
    bool any = b->count > 0;
    host_drain(b);
    return any;
}

static bool segment(unsigned from, uint16_t port, uint8_t flags, uint32_t seq)
{
    struct xt_seg seg = {.sport = port, .dport = 80, .seq = seq, .ack = 1, .wnd = 1024, .flags = flags};
    return answered(make_tcp(f, b, from, &seg, NULL));
}

/* How many of `count` different ones are answered. */
static unsigned flood(unsigned count, uint8_t flags)
{
    static uint32_t seq;
    unsigned k = 0;
    for (unsigned i = 0; i < count; i++)
        k += segment(FORGED + i % 200, (uint16_t)(1024 + i / 200), flags, seq += 2654435761u);
    return k;
}

/* A connection from `a`, which is known since. */
static struct xt_conn *meet(void)
{
    struct xt_conn *c = host_connect(a, 2, 80, n.now, NULL);
    net_pump(&n);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    return c;
}

Test(overload, without_it_all_are_answered)
{
    cr_assert_eq(flood(MANY, XT_TH_SYN), MANY);
    cr_assert_eq(flood(MANY, XT_TH_ACK), MANY);
    cr_assert_eq(st->overloads, 0);
}

Test(overload, answers_to_strangers_are_limited_and_counted)
{
    xt_stack_overloaded(b->s, n.now);
    cr_assert_eq(flood(MANY, XT_TH_SYN), AT_ONCE);
    cr_assert_eq(st->overloads, 1);
    cr_assert_eq(st->shed_syn, MANY - AT_ONCE);
    cr_assert_eq(flood(100, XT_TH_ACK), 0);
    cr_assert_eq(flood(100, XT_TH_ACK | XT_TH_PSH), 0);
    cr_assert_eq(flood(100, XT_TH_RST), 0);
    cr_assert_eq(st->shed_stray, 300);
    n.now += 1000;
    cr_assert_eq(flood(100, XT_TH_ACK), PER_MS);
    for (unsigned ms = 0; ms < 50; ms++) {
        n.now += 1000;
        cr_assert_eq(flood(100, XT_TH_SYN), PER_MS);
    }
}

Test(overload, ends_when_none_is_told_of)
{
    xt_stack_overloaded(b->s, n.now);
    n.now += HOLD / 2;
    xt_stack_overloaded(b->s, n.now);
    cr_assert_eq(st->overloads, 1, "it goes on");
    flood(AT_ONCE, XT_TH_SYN);
    n.now += HOLD - 1;
    cr_assert_lt(flood(MANY, XT_TH_SYN), MANY);
    n.now++;
    cr_assert_eq(flood(MANY, XT_TH_SYN), MANY);
}

Test(overload, gives_nothing_for_a_time_in_which_too_much_was_waiting)
{
    xt_stack_overloaded(b->s, n.now);
    flood(MANY, XT_TH_SYN);
    for (unsigned i = 0; i < 5; i++) {
        n.now += i * 200000; /* the last ones are overloads of their own */
        xt_stack_overloaded(b->s, n.now);
        cr_assert_eq(flood(1000, XT_TH_SYN), 0);
    }
    cr_assert_eq(st->overloads, 5);
    n.now += 1000;
    cr_assert_eq(flood(1000, XT_TH_SYN), PER_MS);
    n.now += 2 * S;
    xt_stack_overloaded(b->s, n.now);
    cr_assert_eq(flood(MANY, XT_TH_SYN), AT_ONCE);
}

Test(overload, connections_do_not_notice)
{
    static uint8_t out[RING], in[RING];
    struct xt_conn *c = meet();
    memset(out, 0x5a, sizeof out);
    for (unsigned round = 0; round < 20; round++) {
        xt_stack_overloaded(b->s, n.now);
        flood(MANY / 2, XT_TH_SYN);
        flood(MANY / 2, XT_TH_ACK);
        cr_assert_eq(host_write(a, c, out, 3000, n.now), 3000);
        net_run(&n, HOLD / 2);
        cr_assert_eq(host_read(b, b->accepted, in, sizeof in, n.now), 3000);
        cr_assert_arr_eq(in, out, 3000);
    }
    cr_assert_eq(xt_stack_tcp_stats(a->s)->retrans_segs, 0);
    cr_assert_eq(st->overloads, 1);
}

Test(overload, who_has_connected_before_comes_first)
{
    meet();
    xt_stack_overloaded(b->s, n.now);
    flood(MANY, XT_TH_SYN);
    struct xt_conn *c = host_connect(a, 2, 80, n.now, NULL);
    net_pump(&n);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(xt_stack_tcp_stats(a->s)->retrans_segs, 0);
    /* Whoever forges that address gets no more than the others. */
    unsigned k = 0;
    for (unsigned i = 0; i < MANY; i++)
        k += segment(1, (uint16_t)(1024 + i), XT_TH_SYN, i);
    cr_assert_eq(k, RESERVE - 1);
}

Test(overload, an_address_is_forgotten)
{
    meet();
    n.now += 601 * S;
    xt_stack_overloaded(b->s, n.now);
    flood(MANY, XT_TH_SYN);
    cr_assert_not(segment(1, 5000, XT_TH_SYN, 1));
}

Test(overload, peers_of_an_earlier_stack_are_known)
{
    meet();
    xt_stack_free(b->s);
    host_start(b, n.now);
    xt_stack_overloaded(b->s, n.now);
    flood(MANY, XT_TH_SYN);
    cr_assert(segment(1, 5000, XT_TH_SYN, 1));
}

Test(overload, a_syn_sent_again_comes_before_new_ones)
{
    xt_stack_overloaded(b->s, n.now);
    flood(MANY, XT_TH_SYN);
    cr_assert_not(segment(9, 5000, XT_TH_SYN, 1));
    cr_assert_not(segment(9, 5000, XT_TH_SYN, 2), "another one");
    cr_assert(segment(9, 5000, XT_TH_SYN, 2));
    cr_assert_eq(st->syns_again, 1);
}

Test(overload, the_ack_of_a_cookie_is_always_taken)
{
    struct xt_seg syn = {.sport = 5000, .dport = 80, .seq = 77, .wnd = 1024, .flags = XT_TH_SYN}, reply;
    struct packet p;
    inject(b, f, make_tcp(f, b, 9, &syn, NULL), n.now);
    cr_assert(host_take(b, &p));
    cr_assert_eq(xt_seg_parse(p.data + 34, p.len - 34, &reply), 0);
    free(p.data);
    xt_stack_overloaded(b->s, n.now);
    flood(MANY, XT_TH_SYN);
    struct xt_seg ack = {.sport = 5000, .dport = 80, .seq = 78, .wnd = 1024, .flags = XT_TH_ACK};
    ack.ack = reply.seq + 2;
    inject(b, f, make_tcp(f, b, 9, &ack, NULL), n.now);
    cr_assert_eq(b->naccepted, 0);
    ack.ack = reply.seq + 1;
    inject(b, f, make_tcp(f, b, 9, &ack, NULL), n.now);
    cr_assert_eq(b->naccepted, 1);
    cr_assert_eq(st->shed_stray, 1);
}

Test(overload, neighbours_in_use_are_answered_before_others)
{
    unsigned k = 0;
    host_write(a, meet(), "hello", 5, n.now);
    net_run(&n, S); /* and it was acknowledged */
    xt_stack_overloaded(b->s, n.now);
    for (unsigned i = 0; i < MANY; i++)
        k += answered(make_arp(f, b, XT_ARP_REQUEST, FORGED + i % 200, FORGED + i % 200, 2));
    cr_assert_eq(k, AT_ONCE);
    cr_assert_eq(st->shed_arp, MANY - AT_ONCE);
    cr_assert(answered(make_arp(f, b, XT_ARP_REQUEST, 1, 1, 2)));
}

Test(overload, fragments_and_icmp_are_limited_too)
{
    uint8_t echo[64];
    struct xt_icmp m = {.type = XT_ICMP_ECHO, .id = 1};
    size_t len = xt_icmp_emit(echo, sizeof echo, &m);
    unsigned k = 0;
    meet();
    xt_stack_overloaded(b->s, n.now);
    for (unsigned i = 0; i < MANY; i++)
        answered(make_ip(f, b, FORGED + i % 200, XT_IPPROTO_TCP, (uint16_t)i, 64, true, echo, 64));
    cr_assert_eq(st->frags_in, AT_ONCE);
    cr_assert_eq(st->shed_ip, MANY - AT_ONCE);
    for (unsigned i = 0; i < MANY; i++)
        k += answered(make_ip(f, b, FORGED + i % 200, XT_IPPROTO_ICMP, (uint16_t)i, 0, false, echo, len));
    cr_assert_eq(k, 0);
    cr_assert(answered(make_ip(f, b, 1, XT_IPPROTO_ICMP, 1, 0, false, echo, len)), "of a host that is known");
}

/* ---- what is left to the device ---- */

static struct xt_sieve sieve, before; /* as the device has it, and had it when the `waiting` next frames came */
static unsigned waiting;
static unsigned told;
static int answer; /* how many frames wait, or why it does not */

static int take_sieve(void *arg, const struct xt_sieve *v)
{
    (void)arg;
    told++;
    if (answer < 0)
        return answer;
    before = sieve;
    sieve = *v;
    waiting = (unsigned)answer;
    return answer;
}

/* `per_ms` SYNs from each of some addresses for `ms`, through the sieve. Returns how many came through. */
static unsigned sieved(unsigned ms, unsigned per_ms, unsigned from, unsigned count)
{
    static uint64_t part[XT_SIEVE_CLASSES];
    unsigned in = 0;
    for (unsigned i = 0; i < ms * per_ms; i++) {
        struct xt_seg seg = {.sport = (uint16_t)i, .dport = 80, .seq = i, .wnd = 1024, .flags = XT_TH_SYN};
        size_t len = make_tcp(f, b, from + i % count, &seg, NULL);
        const struct xt_sieve *v = waiting ? &before : &sieve;
        enum xt_sieve_class k = xt_sieve_class(v, xt_be32_load(f + 14 + 12));
        part[k] += v->pass[k] + 1ull;
        if (part[k] >> 32) {
            part[k] -= 1ull << 32;
            in++;
            waiting -= waiting > 0;
            inject(b, f, len, n.now);
            host_drain(b);
        }
        if (i % per_ms)
            continue;
        n.now += 1000;
        xt_stack_timers(b->s, n.now);
    }
    return in;
}

static void sieve_begin(void)
{
    sieve = (struct xt_sieve){.pass = {XT_SIEVE_ALL, XT_SIEVE_ALL}, .factor = 1};
    b->s->ops.sieve = take_sieve;
    xt_stack_overloaded(b->s, n.now);
}

Test(overload, syns_that_are_too_many_to_be_looked_at_are_left_to_the_device)
{
    sieve_begin();
    unsigned in = sieved(300, 20 * PER_MS, FORGED, 200);
    cr_expect_float_eq((double)(in + st->sieved_syn), 300.0 * 20 * PER_MS, 3000.0 * PER_MS * .1);
    in = sieved(300, 20 * PER_MS, FORGED, 200);
    cr_expect(in > 300 * PER_MS * 3 / 2 && in < 300 * PER_MS * 5 / 2, "%u SYNs", in);
    in = sieved(300, 60 * PER_MS, FORGED, 200);
    cr_expect(in < 300 * PER_MS * 4, "%u SYNs of three times as many", in);
    cr_expect_eq(st->overloads, 1, "one all the while");
    /* It ends, and nothing of it is left. */
    sieved(250, 1, FORGED, 200);
    cr_expect(xt_sieve_open(&sieve));
    cr_expect_eq(xt_wheel_deadline(&b->s->misc, XT_TIMER_SIEVE), UINT64_MAX);
    uint64_t sieved_syn = st->sieved_syn;
    cr_expect_eq(sieved(100, 20 * PER_MS, FORGED, 200), 100 * 20 * PER_MS, "nobody has said that it is too much");
    cr_expect_eq(st->sieved_syn, sieved_syn);
}

Test(overload, what_can_be_looked_at_is_let_in)
{
    sieve_begin();
    cr_expect_eq(sieved(100, PER_MS, FORGED, 200), 100 * PER_MS);
    cr_expect_eq(told, 0);
    cr_expect(xt_sieve_open(&sieve));
}

/* As long as too much waits, less is let in, but not less and less for ever. */
Test(overload, fewer_syns_while_too_much_waits)
{
    unsigned in = 0;
    sieve_begin();
    for (unsigned i = 0; i < 20; i++) {
        xt_stack_overloaded(b->s, n.now);
        in = sieved(25, PER_MS, FORGED, 200);
    }
    cr_expect(in > 25 * PER_MS / 8 && in < 25 * PER_MS / 2, "%u SYNs", in);
}

Test(overload, the_device_lets_in_who_has_connected_before)
{
    meet();
    sieve_begin();
    sieved(300, 20 * PER_MS, FORGED, 200);
    cr_expect_lt(sieve.pass[XT_SIEVE_STRANGER], XT_SIEVE_ALL);
    cr_expect_eq(sieve.pass[XT_SIEVE_KNOWN], XT_SIEVE_ALL);
    cr_expect_eq(sieved(25, PER_MS, 1, 1), 25 * PER_MS);
    /* Who forges that address takes nothing of the others' part. */
    unsigned in = sieved(500, 20 * PER_MS, 1, 1);
    cr_expect_lt(in, 500 * PER_MS * 5);
    cr_expect_eq(sieve.pass[XT_SIEVE_STRANGER], XT_SIEVE_ALL);
    cr_expect_lt(sieve.pass[XT_SIEVE_KNOWN], XT_SIEVE_ALL / 5);
}

Test(overload, what_the_device_does_not_do_is_not_reckoned_with)
{
    answer = -ENOMEM;
    sieve_begin();
    for (unsigned i = 0; i < 10; i++) {
        xt_stack_overloaded(b->s, n.now);
        sieved(25, 20 * PER_MS, FORGED, 200);
    }
    cr_expect_gt(told, 5, "it is asked again");
    cr_expect_eq(st->sieved_syn, 0);
    answer = 0;
    sieved(50, 20 * PER_MS, FORGED, 200);
    cr_expect_gt(st->sieved_syn, 0);
}

Test(overload, what_still_waits_has_come_through_the_sieve_before)
{
    unsigned in = 0, sent = 0;
    sieve_begin();
    for (unsigned i = 0; i < 10; i++) {
        xt_stack_overloaded(b->s, n.now);
        answer = 3000;
        in += sieved(50, 60 * PER_MS, FORGED, 200);
        answer = 0;
        in += sieved(200, 1, FORGED, 200);
        sent += 50 * 60 * PER_MS + 200;
        cr_assert(xt_sieve_open(&sieve));
    }
    cr_expect_float_eq((double)(in + st->sieved_syn), sent, sent * .1);
}

Test(overload, without_a_rate_nothing_is_left_to_the_device)
{
    sieve_begin();
    sieved(100, 20 * PER_MS, FORGED, 200);
    cr_expect_not(xt_sieve_open(&sieve));
    b->cfg.overload_rate = 0;
    cr_assert_eq(xt_stack_reconfigure(b->s, &b->cfg), 0);
    sieved(50, 20 * PER_MS, FORGED, 200);
    cr_expect(xt_sieve_open(&sieve));
}

/* Whatever bytes there are where a header should be. */
Test(overload, what_is_too_short_is_limited)
{
    xt_stack_overloaded(b->s, n.now);
    flood(MANY, XT_TH_ACK);
    uint64_t stray = st->shed_stray;
    for (size_t len = 15; len < 14 + 20 + 60; len++) {
        size_t whole = make_tcp(f, b, FORGED, &(struct xt_seg){.sport = 1, .dport = 80, .flags = XT_TH_ACK}, NULL);
        uint8_t *exact = malloc(len); /* so that a sanitizer sees what is read beyond */
        memcpy(exact, f, len < whole ? len : whole);
        if (len > whole)
            memset(exact + whole, 0, len - whole);
        exact[14] = (uint8_t)len; /* header lengths of all kinds */
        inject(b, exact, len, n.now);
        free(exact);
    }
    cr_assert_gt(st->shed_ip + st->shed_stray - stray, 60);
}
