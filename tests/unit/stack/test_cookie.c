/* SPDX-License-Identifier: Apache-2.0
 * SYN cookies: connections from no record at all, and what a flood of SYNs leaves behind. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/wire/arp.h"
#include "daemon/wire/eth.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull
#define BACKLOG 64u

static struct net n;
static struct host *a = &n.h[0], *b = &n.h[1]; /* a connects, b listens */
static uint8_t f[2048];

static void setup(void)
{
    net_init(&n);
    cr_assert(host_listen(b, 80, true, n.now));
}

static void teardown(void)
{
    net_fini(&n);
}

TestSuite(cookie, .init = setup, .fini = teardown);

static void reconfigure(struct host *h)
{
    cr_assert_eq(xt_stack_reconfigure(h->s, &h->cfg), 0);
}

static void count(void *arg, struct xt_conn *c)
{
    ++*(unsigned *)arg;
}

static unsigned records(struct host *h)
{
    unsigned k = 0;
    uint32_t cursor = 0;
    xt_stack_each(h->s, &cursor, UINT32_MAX, count, &k);
    return k;
}

/* `len` bytes from one end to the other and back. */
static void echo(struct xt_conn *ca, struct xt_conn *cb, uint32_t len)
{
    static uint8_t out[RING], in[RING];
    memset(out, 0x5a, sizeof out);
    cr_assert_eq(host_write(a, ca, out, len, n.now), len);
    net_run(&n, S / 10);
    cr_assert_eq(host_read(b, cb, in, len, n.now), len);
    cr_assert_eq(host_write(b, cb, in, len, n.now), len);
    net_run(&n, S / 10);
    cr_assert_eq(host_read(a, ca, in, len, n.now), len);
    cr_assert_arr_eq(in, out, len);
}

static struct xt_conn *open_by_cookie(void)
{
    b->admit = false;
    struct xt_conn *ca = host_connect(a, 2, 80, n.now, NULL);
    net_pump(&n);
    cr_assert_eq(ca->state, XT_ESTABLISHED);
    cr_assert_eq(b->naccepted, 1);
    cr_assert_eq(b->accepted->state, XT_ESTABLISHED);
    cr_assert_eq(xt_stack_stats(b->s)->cookies_sent, 1);
    cr_assert_eq(xt_stack_stats(b->s)->cookies_ok, 1);
    return ca;
}

/* Req RFC4987-3.6 */
Test(cookie, carries_options_in_the_time_stamp)
{
    struct xt_conn *ca = open_by_cookie(), *cb = b->accepted;
    cr_assert_eq(cb->opts, XT_OPT_MSS | XT_OPT_TS | XT_OPT_SACK_OK | XT_OPT_WSCALE);
    cr_assert_eq(ca->opts, cb->opts);
    cr_assert_eq(cb->snd_wscale, ca->rcv_wscale);
    cr_assert_eq(cb->rcv_wscale, ca->snd_wscale);
    cr_assert_eq(cb->mss_eff, 1448);
    cr_assert_eq(cb->srtt, 0, "the time stamp of a cookie measures nothing");
    echo(ca, cb, 50000);
    cr_assert_eq(xt_stack_tcp_stats(a->s)->retrans_segs, 0);
    cr_assert_eq(xt_stack_tcp_stats(b->s)->retrans_segs, 0);
}

/* Req RFC4987-3.6 */
Test(cookie, carries_ecn)
{
    a->cfg.tcp.ecn = XT_ECN_ON;
    reconfigure(a);
    struct xt_conn *ca = open_by_cookie();
    cr_assert(ca->ecn & XT_CE_OK);
    cr_assert(b->accepted->ecn & XT_CE_OK);
}

/* Req RFC4987-3.6 */
Test(cookie, without_time_stamps_only_the_mss_is_agreed)
{
    a->cfg.tcp.timestamps = 0;
    reconfigure(a);
    struct xt_conn *ca = open_by_cookie(), *cb = b->accepted;
    cr_assert_eq(cb->opts, XT_OPT_MSS);
    cr_assert_eq(ca->opts, XT_OPT_MSS);
    cr_assert_eq(cb->snd_wscale, 0);
    cr_assert_eq(cb->mss_eff, 1460);
    echo(ca, cb, 50000);
}

Test(cookie, an_option_that_is_switched_off_stays_off)
{
    a->cfg.tcp.wscale = 0;
    b->cfg.tcp.sack = 0;
    reconfigure(a);
    reconfigure(b);
    struct xt_conn *ca = open_by_cookie();
    cr_assert_eq(b->accepted->opts, XT_OPT_MSS | XT_OPT_TS);
    echo(ca, b->accepted, 50000);
}

/* Req RFC4987-3.6 */
Test(cookie, rounds_the_mss_down_to_one_of_its_table)
{
    const uint16_t mss[][2] = {{100, 88}, {536, 536}, {1300, 1220}, {1380, 1360}, {1459, 1452}};
    b->admit = false;
    for (unsigned i = 0; i < sizeof mss / sizeof *mss; i++) {
        a->cfg.tcp.mss = mss[i][0];
        reconfigure(a);
        struct xt_conn *ca = host_connect(a, 2, 80, n.now, NULL);
        net_pump(&n);
        cr_assert_eq(b->naccepted, i + 1);
        cr_assert_eq(b->accepted->mss_peer, mss[i][1]);
        echo(ca, b->accepted, 20000);
    }
}

Test(cookie, always_needs_no_full_backlog_and_never_helps_none)
{
    b->cfg.tcp.syn_cookies = XT_COOKIES_ALWAYS;
    reconfigure(b);
    struct xt_conn *ca = host_connect(a, 2, 80, n.now, NULL);
    net_pump(&n);
    cr_assert_eq(ca->state, XT_ESTABLISHED);
    cr_assert_eq(xt_stack_stats(b->s)->cookies_ok, 1);
    b->cfg.tcp.syn_cookies = XT_COOKIES_NEVER;
    reconfigure(b);
    b->admit = false;
    ca = host_connect(a, 2, 80, n.now, NULL);
    net_pump(&n);
    cr_assert_eq(ca->state, XT_SYN_SENT);
    cr_assert_eq(xt_stack_stats(b->s)->cookies_sent, 1);
    cr_assert_eq(xt_stack_stats(b->s)->drop_backlog, 1);
}

/* A connection whose SYN+ACK is a cookie, and whose ACK is the caller's to make: `*ack` is what the peer would send. */
static void half_open(uint16_t port, struct xt_seg *ack)
{
    struct xt_seg syn = {.sport = port, .dport = 80, .seq = 77, .wnd = 65535, .flags = XT_TH_SYN}, reply;
    struct packet p;
    host_drain(b);
    b->admit = false;
    inject(b, f, make_tcp(f, b, 9, &syn, NULL), n.now);
    cr_assert(host_take(b, &p));
    cr_assert_eq(xt_seg_parse(p.data + 34, p.len - 34, &reply), 0);
    free(p.data);
    cr_assert_eq(reply.flags, XT_TH_SYN | XT_TH_ACK);
    cr_assert_eq(reply.ack, 78);
    *ack =
        (struct xt_seg){.sport = 4000, .dport = 80, .seq = 78, .ack = reply.seq + 1, .wnd = 65535, .flags = XT_TH_ACK};
}

/* Does `b` take the segment for the ACK of a cookie? */
static bool opens(const struct xt_seg *ack, unsigned from)
{
    unsigned before = b->naccepted;
    inject(b, f, make_tcp(f, b, from, ack, NULL), n.now);
    return b->naccepted > before;
}

static void expect_reset(void)
{
    struct packet p;
    struct xt_seg seg;
    cr_assert(host_take(b, &p), "no reset");
    cr_assert_eq(xt_seg_parse(p.data + 34, p.len - 34, &seg), 0);
    cr_assert_eq(seg.flags, XT_TH_RST);
    free(p.data);
}

/* Req RFC4987-3.6 */
Test(cookie, only_the_very_cookie_is_good)
{
    struct xt_seg ack, bad;
    half_open(4000, &ack);
    for (unsigned bit = 0; bit < 32; bit++) {
        bad = ack;
        bad.ack ^= 1u << bit;
        cr_assert_not(opens(&bad, 9), "bit %u", bit);
        expect_reset();
    }
    bad = ack;
    bad.seq++;
    cr_assert_not(opens(&bad, 9));
    bad = ack;
    bad.sport++;
    cr_assert_not(opens(&bad, 9));
    cr_assert_not(opens(&ack, 10), "another address");
    cr_assert_eq(xt_stack_stats(b->s)->cookies_bad, 35);
    cr_assert(opens(&ack, 9));
}

/* Req RFC4987-3.6 */
Test(cookie, goes_stale)
{
    struct xt_seg ack;
    half_open(4000, &ack);
    n.now += 60 * S;
    cr_assert(opens(&ack, 9));
    half_open(4001, &ack);
    n.now += 130 * S;
    cr_assert_not(opens(&ack, 9));
}

Test(cookie, is_not_looked_for_when_none_was_sent)
{
    struct xt_seg ack = {.sport = 4000, .dport = 80, .seq = 78, .ack = 1, .wnd = 65535, .flags = XT_TH_ACK};
    cr_assert_not(opens(&ack, 9));
    cr_assert_eq(xt_stack_stats(b->s)->cookies_bad, 0);
    expect_reset();
}

Test(cookie, full_accept_queue_takes_it_later)
{
    struct xt_seg ack;
    half_open(4000, &ack);
    b->full = true;
    cr_assert_not(opens(&ack, 9));
    cr_assert_eq(b->count, 0, "neither a reset nor an answer");
    cr_assert_eq(xt_stack_stats(b->s)->cookies_full, 1);
    b->full = false;
    cr_assert(opens(&ack, 9));
    cr_assert_eq(records(b), 2);
}

Test(cookie, outlives_the_stack_that_made_it)
{
    struct xt_seg ack;
    half_open(4000, &ack);
    xt_stack_free(b->s);
    host_start(b, n.now);
    cr_assert(opens(&ack, 9));
}

Test(cookie, data_with_the_ack_is_taken)
{
    struct xt_seg ack;
    uint8_t in[8];
    half_open(4000, &ack);
    ack.len = 5;
    inject(b, f, make_tcp(f, b, 9, &ack, "hello"), n.now);
    cr_assert_eq(b->naccepted, 1);
    cr_assert_eq(host_read(b, b->accepted, in, sizeof in, n.now), 5);
    cr_assert_arr_eq(in, "hello", 5);
}

/* SYNs from many addresses and ports that nobody will ever answer for. */
static void flood(unsigned syns)
{
    for (unsigned i = 0; i < syns; i++) {
        struct xt_seg syn = {
            .sport = (uint16_t)(1024 + i / 200), .dport = 80, .seq = i * 2654435761u, .wnd = 1024, .flags = XT_TH_SYN};
        syn.opt = (struct xt_tcp_opts){.present = XT_OPT_MSS, .mss = 1460};
        inject(b, f, make_tcp(f, b, 20 + i % 200, &syn, NULL), n.now);
        if (b->count > QUEUE_MAX / 2)
            host_drain(b);
        n.now += 10;
    }
    host_drain(b);
}

/* Req RFC4987-3.6 */
Test(cookie, a_flood_leaves_no_records_and_a_client_connects)
{
    b->backlog = BACKLOG;
    flood(10000);
    const struct xt_stack_stats *st = xt_stack_stats(b->s);
    cr_assert_eq(records(b), 1 + BACKLOG);
    cr_assert_eq(st->cookies_sent, 10000 - BACKLOG);
    cr_assert_eq(st->drop_backlog, 0);
    struct xt_conn *ca = host_connect(a, 2, 80, n.now, NULL);
    net_run(&n, S / 10);
    cr_assert_eq(ca->state, XT_ESTABLISHED);
    cr_assert_eq(b->naccepted, 1);
    cr_assert_eq(records(b), 2 + BACKLOG);
    flood(1000);
    echo(ca, b->accepted, 50000);
    cr_assert_eq(st->cookies_ok, 1);
    /* The half-open ones give up in the end, the connection stays. */
    net_run(&n, 200 * S);
    cr_assert_eq(records(b), 2);
    cr_assert_eq(b->accepted->state, XT_ESTABLISHED);
}
