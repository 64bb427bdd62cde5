/* SPDX-License-Identifier: Apache-2.0
 * What all congestion controls share, and NewReno's windows. */
#include <criterion/criterion.h>

#include "daemon/tcp/cc.h"
#include "daemon/tcp/seldom.h"
#include "tests/unit/tcp/pair.h"

static struct xt_tcp_cfg cfg;
static struct xt_tcp_stats stats;
static struct xt_tcp_ctx ctx;
static struct xt_conn c;
static struct xt_seldom seldom;

static void prepare(void)
{
    struct xt_endpoint e = {.port = 1};
    xt_tcp_cfg_default(&cfg);
    cfg.cc = XT_CC_RENO;
    ctx = (struct xt_tcp_ctx){XT_TCP_AT(1000000), .cfg = &cfg, .stats = &stats};
    xt_tcp_init(&c, &e, &e, &cfg);
    xt_seldom_attach(&c, &seldom);
    c.mss_eff = 1000;
}

/* Req RFC5681-3.1 */
Test(cc, slow_start_doubles_then_adds_a_segment, .init = prepare)
{
    xt_cc_start(&c, &ctx);
    const struct xt_cc *cc = xt_cc_of(&c);
    cr_assert_str_eq(cc->name, "reno");
    cr_assert_eq(c.cwnd, 10000);
    cc->acked(&c, &ctx, 10000);
    cr_assert_eq(c.cwnd, 20000);
    c.ssthresh = 24000;
    cc->acked(&c, &ctx, 4000);
    cr_assert_eq(c.cwnd, 24000);
    for (int i = 0; i < 24; i++)
        cc->acked(&c, &ctx, 1000);
    cr_assert_eq(c.cwnd, 25000);
    cr_assert_eq(cc->ssthresh(&c, 25000), 12500);
    cr_assert_eq(cc->ssthresh(&c, 1000), 2000);
}

/* Req RFC5681-3.1 RFC6928-2: one lost SYN may have been anything, two are congestion. */
Test(cc, initial_window_after_a_lost_syn, .init = prepare)
{
    c.cflags |= XT_CF_SYN_RXT;
    xt_seldom(&c)->retrans = 1;
    xt_cc_start(&c, &ctx);
    cr_assert_eq(c.cwnd, 10000);
    xt_seldom(&c)->retrans = 2;
    xt_cc_start(&c, &ctx);
    cr_assert_eq(c.cwnd, 1000);
}

/* Req RFC2861-3: RFC 2861: half for each time-out of silence, and no less than the restart window of RFC 5681 section 4.1. */
Test(cc, idle_decays_to_the_initial_window, .init = prepare)
{
    xt_cc_start(&c, &ctx);
    c.rto = 200000;
    c.cwnd = c.ssthresh = 400000;
    c.t_snd_ms = ctx.now_ms - 500;
    xt_cc_of(&c)->idle(&c, &ctx);
    cr_assert_eq(c.cwnd, 100000);
    cr_assert_eq(c.ssthresh, 400000);
    c.t_snd_ms = ctx.now_ms - 900;
    c.ssthresh = 20000;
    xt_cc_of(&c)->idle(&c, &ctx);
    cr_assert_eq(c.cwnd, 10000);
    cr_assert_eq(c.ssthresh, 75000);
    c.cwnd = 3000;
    xt_cc_of(&c)->idle(&c, &ctx);
    cr_assert_eq(c.cwnd, 3000);
}

Test(cc, cube_roots)
{
    static const uint32_t roots[] = {0, 1, 2, 3, 10, 99, 1000, 65535, 123456, 2642244, 2642245};
    for (unsigned i = 0; i < sizeof roots / sizeof *roots; i++) {
        uint64_t r = roots[i], cube = r * r * r;
        cr_assert_eq(xt_cc_cbrt(cube), r);
        if (r > 1)
            cr_assert_eq(xt_cc_cbrt(cube - 1), r - 1);
        if (r < 2642245)
            cr_assert_eq(xt_cc_cbrt(cube + 1), r + (r == 0));
    }
    cr_assert_eq(xt_cc_cbrt(UINT64_MAX), 2642245);
}

/* Req MAY-18 */
Test(cc, the_default_the_configured_and_the_chosen, .init = prepare)
{
    struct xt_tcp_cfg plain;
    xt_tcp_cfg_default(&plain);
    cr_assert_eq(plain.cc, XT_CC_CUBIC);
    cr_assert_eq(xt_cc_chosen(&c, &cfg), XT_CC_RENO);
    c.opt.cc = XT_CC_BBR + 1;
    cr_assert_eq(xt_cc_chosen(&c, &cfg), XT_CC_BBR);
    c.opt.cc = 200;
    cr_assert_eq(xt_cc_chosen(&c, &cfg), XT_CC_CUBIC);
    for (uint32_t i = 0; i < XT_CC_MAX; i++) {
        c.cc = (uint8_t)i;
        cr_assert_str_eq(xt_cc_of(&c)->name, xt_cc_name(i));
        cr_assert_eq(xt_cc_by_name(xt_cc_name(i)), (int)i);
    }
    cr_assert_eq(xt_cc_by_name("vegas"), -1);
}

Test(cc, a_switch_keeps_the_windows)
{
    struct pair *p = pair_new();
    pair_open(p);
    struct xt_conn *s = &p->e[0].c;
    struct xt_tcp_ctx now = pair_ctx(p, 0);
    cr_assert_eq(s->cc, XT_CC_CUBIC);
    s->cwnd = 77777;
    s->opt.cc = XT_CC_BBR + 1;
    xt_tcp_options_changed(s, &now);
    cr_assert_eq(s->cc, XT_CC_BBR);
    cr_assert_eq(s->cwnd, 77777);
    cr_assert_gt(xt_cc_pacing_rate(s), 0);
    s->opt.cc = XT_CC_RENO + 1;
    xt_tcp_options_changed(s, &now);
    cr_assert_eq(xt_cc_pacing_rate(s), 0);
    pair_free(p);
}

/* Req RFC2861-3: The window of a sender that does not use it stays. */
Test(cc, an_unused_window_does_not_grow)
{
    struct pair *p = pair_new();
    pair_open(p);
    struct xt_conn *s = &p->e[0].c;
    uint32_t cwnd = s->cwnd;
    for (int i = 0; i < 100; i++) {
        pair_write(p, 0, 1000, false);
        pair_settle(p);
        pair_read(p, 1);
    }
    cr_assert_eq(s->cwnd, cwnd);
    pair_write(p, 0, 60000, false);
    pair_settle(p);
    pair_read(p, 1);
    cr_assert_gt(s->cwnd, cwnd);
    cwnd = s->cwnd;
    for (int i = 0; i < 100; i++) { /* nor one that was in use before */
        pair_write(p, 0, 1000, false);
        pair_settle(p);
        pair_read(p, 1);
    }
    cr_assert_eq(s->cwnd, cwnd);
    pair_free(p);
}

/* The pacing timer comes every 5 ms and not every 2 or 3, as on a busy machine: the rate is kept all the same. */
Test(cc, a_late_pacing_timer_is_made_up_for)
{
    struct pair *p = pair_new();
    pair_open(p);
    struct xt_conn *s = &p->e[0].c;
    struct xt_tcp_ctx now = pair_ctx(p, 0);
    s->opt.cc = XT_CC_BBR + 1;
    xt_tcp_options_changed(s, &now);
    s->cwnd = 1 << 20;
    s->srtt = 20000;
    xt_seldom(s)->ccs.bbr.pacing_rate = 1000000;
    uint32_t start = s->snd_nxt;
    pair_write(p, 0, 60000, false);
    cr_assert_leq(s->snd_nxt - start, 2 * 1448, "%u bytes at once", s->snd_nxt - start);
    for (int i = 0; i < 8; i++) {
        p->now += 5000;
        pair_flush(p, 0);
    }
    uint32_t sent = s->snd_nxt - start;
    cr_assert_geq(sent, 36000, "%u bytes in 40 ms", sent);
    cr_assert_leq(sent, 40000 + 2 * 1448, "%u bytes in 40 ms", sent);
    pair_free(p);
}

/* SO_MAX_PACING_RATE: what does not pace by itself is held to it too. */
static void hold_to_rate(uint8_t cc)
{
    struct pair *p = pair_new();
    pair_open(p);
    struct xt_conn *s = &p->e[0].c;
    struct xt_tcp_ctx now = pair_ctx(p, 0);
    s->opt.cc = cc + 1;
    s->opt.pacing_max = 1000000;
    xt_tcp_options_changed(s, &now);
    s->cwnd = 1 << 20;
    s->srtt = 20000;
    if (cc == XT_CC_BBR)
        xt_seldom(s)->ccs.bbr.pacing_rate = 50000000;
    cr_assert_eq(xt_cc_pacing_rate(s), 1000000);
    uint32_t start = s->snd_nxt;
    pair_write(p, 0, 60000, false);
    cr_assert_leq(s->snd_nxt - start, 2 * 1448, "%u bytes at once", s->snd_nxt - start);
    for (int i = 0; i < 16; i++) {
        p->now += 2500;
        pair_flush(p, 0);
    }
    uint32_t sent = s->snd_nxt - start;
    cr_assert_geq(sent, 36000, "%u bytes in 40 ms", sent);
    cr_assert_leq(sent, 40000 + 2 * 1448, "%u bytes in 40 ms", sent);
    pair_free(p);
}

Test(cc, a_rate_that_the_program_sets_is_kept)
{
    hold_to_rate(XT_CC_CUBIC);
    hold_to_rate(XT_CC_RENO);
    hold_to_rate(XT_CC_BBR);
}

/* It is a limit and no goal: a lower rate is the window's in a round trip, or the algorithm's own. */
Test(cc, a_rate_limit_makes_nothing_faster)
{
    struct pair *p = pair_new();
    pair_open(p);
    struct xt_conn *s = &p->e[0].c;
    s->opt.pacing_max = 1ull << 40;
    s->srtt = 1000000;
    s->cwnd = s->ssthresh = 10000;
    cr_assert_eq(xt_cc_pacing_rate(s), 12000);
    s->ssthresh = 1 << 20;
    cr_assert_eq(xt_cc_pacing_rate(s), 20000);
    s->opt.pacing_max = 15000;
    cr_assert_eq(xt_cc_pacing_rate(s), 15000);
    s->srtt = 0;
    cr_assert_eq(xt_cc_pacing_rate(s), 15000);
    s->opt.pacing_max = 0;
    cr_assert_eq(xt_cc_pacing_rate(s), 0);
    pair_free(p);
}

/* Silence is not lateness: what was not sent then is not made up for. */
Test(cc, silence_earns_no_burst)
{
    struct pair *p = pair_new();
    pair_open(p);
    struct xt_conn *s = &p->e[0].c;
    struct xt_tcp_ctx now = pair_ctx(p, 0);
    s->opt.cc = XT_CC_BBR + 1;
    xt_tcp_options_changed(s, &now);
    pair_write(p, 0, 1000, false);
    pair_settle(p);
    pair_read(p, 1);
    s->cwnd = 1 << 20;
    s->srtt = 20000;
    xt_seldom(s)->ccs.bbr.pacing_rate = 1000000;
    p->now += 100000;
    uint32_t start = s->snd_nxt;
    pair_write(p, 0, 60000, false);
    cr_assert_leq(s->snd_nxt - start, 2 * 1448, "%u bytes at once", s->snd_nxt - start);
    pair_free(p);
}
