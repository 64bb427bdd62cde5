/* SPDX-License-Identifier: Apache-2.0
 * Payload in any order against a naive model, and what SACK reports of it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tcp/range.h"
#include "tests/unit/tcp/pair.h"

#define ALL (XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS)
#define STREAM 20000u

Test(reass, any_order_gives_the_stream)
{
    unsigned seed = 11;
    const char *env = getenv("XT_TEST_SEED");
    if (env)
        seed = (unsigned)strtoul(env, NULL, 0);
    printf("reass: seed %u\n", seed);
    static bool have[STREAM];
    for (unsigned round = 0; round < 30; round++) {
        struct pair *p = pair_new();
        script_establish(p, ALL);
        struct xt_conn *c = &p->e[1].c;
        memset(have, 0, sizeof have);
        uint32_t next = 0;
        while (next < STREAM) {
            uint32_t at = next + (uint32_t)rand_r(&seed) % 4000, len = 1 + (uint32_t)rand_r(&seed) % 1460;
            at = at > 500 ? at - (uint32_t)rand_r(&seed) % 500 : 0;
            if (at >= STREAM)
                continue;
            len = at + len > STREAM ? STREAM - at : len;
            uint8_t ranges = c->n_ooo;
            uint64_t full = p->e[1].stats.drop_ooo_full;
            script_in(p, XT_TH_ACK, at, 0, len);
            if (p->e[1].stats.drop_ooo_full == full)
                memset(have + at, 1, len);
            else
                cr_assert_eq(ranges, XT_OOO_BOARD);
            while (next < STREAM && have[next])
                next++;
            cr_assert_eq(c->rx_head, next);
            cr_assert_eq(c->rcv_nxt, 1001 + next);
            uint32_t kept = 0;
            for (uint32_t i = next; i < STREAM; i++)
                kept += have[i];
            cr_assert_eq(xt_range_bytes(xt_ooo_list(c), c->n_ooo, 1001 + next, 1001 + STREAM), kept);
            struct xt_seg out;
            while (script_out(p, &out))
                cr_assert_eq(out.ack, c->rcv_nxt);
        }
        cr_assert_eq(pair_read(p, 1), STREAM);
        pair_free(p);
    }
}

static void expect_blocks(const struct xt_seg *s, unsigned n, const uint32_t (*b)[2])
{
    cr_assert_eq(s->opt.nsack, n);
    for (unsigned i = 0; i < n; i++) {
        cr_assert_eq(s->opt.sack[i].left, 1001 + b[i][0], "block %u", i);
        cr_assert_eq(s->opt.sack[i].right, 1001 + b[i][1], "block %u", i);
    }
}
#define EXPECT_BLOCKS(s, n, ...) expect_blocks(s, n, (const uint32_t[][2]){__VA_ARGS__})

/* Req RFC2018-4 */
Test(reass, sack_names_the_latest_first)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    cr_assert(script_in(p, XT_TH_ACK, 100, 0, 100) & XT_EV_ACK_NOW);
    cr_assert(script_out(p, &out));
    EXPECT_BLOCKS(&out, 1, {100, 200});
    script_in(p, XT_TH_ACK, 500, 0, 100);
    cr_assert(script_out(p, &out));
    EXPECT_BLOCKS(&out, 2, {500, 600}, {100, 200});
    script_in(p, XT_TH_ACK, 300, 0, 100);
    cr_assert(script_out(p, &out));
    EXPECT_BLOCKS(&out, 3, {300, 400}, {500, 600}, {100, 200});
    script_in(p, XT_TH_ACK, 200, 0, 50);
    cr_assert(script_out(p, &out));
    EXPECT_BLOCKS(&out, 3, {100, 250}, {300, 400}, {500, 600});
    script_in(p, XT_TH_ACK, 0, 0, 100);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.ack, 1001 + 250);
    EXPECT_BLOCKS(&out, 2, {300, 400}, {500, 600});
    pair_free(p);
}

/* Req RFC2883-4 */
Test(reass, duplicates_are_reported)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    script_in(p, XT_TH_ACK, 0, 0, 100);
    while (script_out(p, &out))
        ;
    cr_assert(script_in(p, XT_TH_ACK, 0, 0, 100) & XT_EV_ACK_NOW);
    cr_assert(script_out(p, &out));
    EXPECT_BLOCKS(&out, 1, {0, 100});
    cr_assert_eq(out.ack, 1101);
    script_in(p, XT_TH_ACK, 200, 0, 100);
    cr_assert(script_out(p, &out));
    script_in(p, XT_TH_ACK, 220, 0, 30);
    cr_assert(script_out(p, &out));
    EXPECT_BLOCKS(&out, 2, {220, 250}, {200, 300});
    cr_assert_not(script_out(p, &out));
    pair_free(p);
}

Test(reass, without_a_ring_nothing_is_taken)
{
    struct pair *p = pair_new();
    script_establish(p, ALL);
    struct end *e = &p->e[1];
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    struct xt_seg seg = script_make(p, XT_TH_ACK, 0, 0, 500), reply;
    int n;
    ctx.rx = NULL;
    cr_assert_not(xt_tcp_input(&e->c, &ctx, &seg, &reply, &n) & XT_EV_READABLE);
    cr_assert_eq(e->c.rx_head, 0);
    cr_assert_eq(e->stats.drop_no_room, 1);
    ctx.rx = e->rx;
    cr_assert(xt_tcp_input(&e->c, &ctx, &seg, &reply, &n) & XT_EV_READABLE);
    cr_assert_eq(pair_read(p, 1), 500);
    pair_free(p);
}

/* A larger ring takes along what came out of order, wherever it lay. */
Test(reass, ring_grows_around_holes)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    struct end *e = &p->e[1];
    e->c.rcv_wscale = 4; /* as if agreed */
    uint32_t at = 0, size = e->c.rx_size;
    for (; at + 1400 < size; at += 1400) { /* so that what comes next wraps */
        script_in(p, XT_TH_ACK, at, 0, 1400);
        cr_assert_eq(pair_read(p, 1), 1400);
        while (script_out(p, &out))
            ;
    }
    script_in(p, XT_TH_ACK, at + 1000, 0, 1000);
    script_in(p, XT_TH_ACK, at + 3000, 0, 500);
    cr_assert_eq(e->c.n_ooo, 2);
    uint8_t *new = calloc(1, 4 * (size_t)size);
    xt_tcp_move_rx(&e->c, e->rx, new, 4 * size);
    memset(e->rx, 0xee, size);
    cr_assert_eq(e->c.rx_size, 4 * size);
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    ctx.rx = new;
    for (uint32_t gap = 0; gap <= 2000; gap += 2000) {
        struct xt_seg seg = script_make(p, XT_TH_ACK, at + gap, 0, 1000), reply;
        int n;
        xt_tcp_input(&e->c, &ctx, &seg, &reply, &n);
    }
    cr_assert_eq(e->c.n_ooo, 0);
    cr_assert_eq(e->c.rx_head, at + 3500u);
    for (uint64_t off = at; off < e->c.rx_head; off++)
        cr_assert_eq(new[off & (4 * size - 1)], pattern(off, 0), "byte %llu", (unsigned long long)off);
    xt_tcp_consumed(&e->c, &ctx, e->c.rx_head);
    cr_assert(script_out(p, &out));
    cr_assert_gt(e->c.rcv_adv - e->c.rcv_nxt, 2 * size, "the window follows: %u, scale %u", e->c.rcv_adv - e->c.rcv_nxt,
                 e->c.rcv_wscale);
    free(new);
    pair_free(p);
}

Test(reass, fin_out_of_order_waits_for_the_hole)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    cr_assert_not(script_in(p, XT_TH_ACK | XT_TH_FIN, 100, 0, 100) & XT_EV_PEER_FIN);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.ack, 1001);
    cr_assert(script_in(p, XT_TH_ACK, 0, 0, 100) & XT_EV_PEER_FIN);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.ack, 1001 + 201);
    cr_assert_eq(p->e[1].c.state, XT_CLOSE_WAIT);
    cr_assert_eq(pair_read(p, 1), 200);
    pair_free(p);
}
