/* SPDX-License-Identifier: Apache-2.0
 * What happens when nobody answers. */
#include <criterion/criterion.h>
#include <errno.h>

#include "daemon/base/macros.h"
#include "daemon/tcp/due.h"
#include "tests/unit/tcp/pair.h"

#define ALL (XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS)

/* Jumps to the next deadline and runs it. */
static uint32_t fire(struct pair *p)
{
    p->now = xt_tcp_deadline(&p->e[1].c, p->now);
    cr_assert_neq(p->now, UINT64_MAX);
    return pair_call(p, 1, xt_tcp_timer);
}

/* Req RFC6298-5.5 */
Test(timers, retransmission_backs_off_and_gives_up)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    p->e[1].c.recovery = XT_RECOVERY_SACK; /* no tail loss probe */
    script_establish(p, ALL);
    pair_write(p, 1, 100, false);
    cr_assert(script_out(p, &out));
    uint64_t last = p->now, step = 0;
    unsigned advised = 0;
    for (unsigned i = 0; i < p->e[1].cfg.retries; i++) {
        advised += (fire(p) & XT_EV_ADVISE) != 0;
        cr_assert(script_out(p, &out));
        cr_assert_eq(out.seq, 5001);
        cr_assert_eq(out.len, 100);
        uint64_t was = step;
        step = p->now - last;
        cr_assert(was == 0 || step - XT_MIN(2 * was, p->e[1].cfg.rto_max) + XT_DUE_UNIT < 2 * XT_DUE_UNIT);
        last = p->now;
    }
    cr_assert_eq(advised, 1);
    cr_assert(fire(p) & XT_EV_ERROR);
    cr_assert_eq(p->e[1].c.state, XT_CLOSED);
    cr_assert_eq(p->e[1].c.err, ETIMEDOUT);
    pair_free(p);
}

/* Req RFC5482-3.1 MUST-21 */
Test(timers, user_timeout_ends_it_sooner)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    p->e[1].c.opt.user_timeout = 5000;
    uint64_t start = p->now;
    pair_write(p, 1, 100, false);
    cr_assert(script_out(p, &out));
    while (p->e[1].c.state == XT_ESTABLISHED) {
        fire(p);
        while (script_out(p, &out))
            ;
    }
    cr_assert_eq(p->e[1].c.err, ETIMEDOUT);
    cr_assert_geq(p->now - start, 5000000);
    cr_assert_lt(p->now - start, 5002000, "not by the number of retransmissions");
    pair_free(p);
}

Test(timers, zero_window_is_probed_while_it_is_answered)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    p->e[1].c.recovery = XT_RECOVERY_SACK; /* no tail loss probe */
    script_establish(p, ALL);
    struct xt_seg closed = script_make(p, XT_TH_ACK, 0, 0, 0);
    closed.wnd = 0;
    script_seg(p, &closed);
    pair_write(p, 1, 5000, false);
    cr_assert_not(script_out(p, &out));
    for (int i = 0; i < 40; i++) {
        cr_assert_str_eq(xt_tcp_deadline_name(&p->e[1].c, p->now), "persist");
        fire(p);
        cr_assert(script_out(p, &out));
        cr_assert_eq(out.seq, 5000);
        cr_assert_eq(out.len, 0);
        closed = script_make(p, XT_TH_ACK, 0, 0, 0);
        closed.wnd = 0;
        script_seg(p, &closed);
        cr_assert_not(script_out(p, &out));
    }
    script_in(p, XT_TH_ACK, 0, 0, 0);
    uint32_t sent = 0;
    while (script_out(p, &out))
        sent += out.len;
    cr_assert_eq(sent, 5000);
    cr_assert_str_eq(xt_tcp_deadline_name(&p->e[1].c, p->now), "rto");
    pair_free(p);
}

Test(timers, zero_window_without_answers_gives_up)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    struct xt_seg closed = script_make(p, XT_TH_ACK, 0, 0, 0);
    closed.wnd = 0;
    script_seg(p, &closed);
    pair_write(p, 1, 10, false);
    cr_assert_not(script_out(p, &out));
    for (unsigned i = 0; i < p->e[1].cfg.retries; i++) {
        fire(p);
        cr_assert(script_out(p, &out));
    }
    fire(p);
    cr_assert_eq(p->e[1].c.err, ETIMEDOUT);
    pair_free(p);
}

/* The peer takes its window back with data in flight: that is probed, not timed out (SHLD-17), and sent again later. */
Test(timers, window_that_shrinks_to_zero)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    pair_write(p, 1, 4344, false);
    cr_assert(script_out(p, &out));
    struct xt_seg closed = script_make(p, XT_TH_ACK, 0, 1448, 0);
    closed.wnd = 0;
    script_seg(p, &closed);
    for (int i = 0; i < 30; i++) {
        fire(p);
        cr_assert(script_out(p, &out));
        cr_assert_eq(out.len, 1448);
        closed = script_make(p, XT_TH_ACK, 0, 1448, 0);
        closed.wnd = 0;
        script_seg(p, &closed);
        cr_assert_not(script_out(p, &out));
    }
    cr_assert_eq(p->e[1].c.state, XT_ESTABLISHED);
    script_in(p, XT_TH_ACK, 0, 1448, 0);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.seq, 5001 + 1448);
    script_in(p, XT_TH_ACK, 0, 2896, 0);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.seq, 5001 + 2896);
    script_in(p, XT_TH_ACK, 0, 4344, 0);
    cr_assert_not(script_out(p, &out));
    cr_assert_eq(xt_tcp_deadline(&p->e[1].c, p->now), UINT64_MAX);
    pair_free(p);
}

Test(timers, keep_alive_probes_then_gives_up)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    cr_assert_eq(xt_tcp_deadline(&p->e[1].c, p->now), UINT64_MAX); /* off by default (MUST-25) */
    struct xt_tcp_sockopt *o = &p->e[1].c.opt;
    o->keepalive = 1;
    o->keep_idle = 60;
    o->keep_intvl = 5;
    o->keep_cnt = 3;
    pair_call(p, 1, xt_tcp_options_changed);
    uint64_t start = p->now;
    fire(p);
    cr_assert_eq(p->now - start, 60000000);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.seq, 5000);
    cr_assert_eq(out.len, 0);
    script_in(p, XT_TH_ACK, 0, 0, 0); /* alive */
    start = p->now;
    for (int i = 0; i < 3; i++) {
        do
            fire(p);
        while (!script_out(p, &out));
        cr_assert_eq(out.seq, 5000);
    }
    cr_assert(fire(p) & XT_EV_ERROR);
    cr_assert_eq(p->e[1].c.err, ETIMEDOUT);
    cr_assert_eq(p->now - start, 75000000);
    pair_free(p);
}

Test(timers, an_orphan_does_not_wait_for_ever_in_fin_wait2)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    pair_call(p, 1, xt_tcp_close);
    cr_assert(script_out(p, &out));
    cr_assert(out.flags & XT_TH_FIN);
    script_in(p, XT_TH_ACK, 0, 1, 0);
    cr_assert_eq(p->e[1].c.state, XT_FIN_WAIT2);
    cr_assert_str_eq(xt_tcp_deadline_name(&p->e[1].c, p->now), "finwait2");
    uint64_t start = p->now;
    cr_assert(fire(p) & XT_EV_CLOSED);
    cr_assert_eq(p->now - start, 60000000);
    pair_free(p);
}

Test(timers, half_closed_waits_for_ever_in_fin_wait2)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    pair_call(p, 1, xt_tcp_shutdown);
    cr_assert(script_out(p, &out));
    script_in(p, XT_TH_ACK, 0, 1, 0);
    cr_assert_eq(xt_tcp_deadline(&p->e[1].c, p->now), UINT64_MAX);
    pair_free(p);
}

Test(timers, last_fin_again_restarts_time_wait)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    pair_call(p, 1, xt_tcp_close);
    cr_assert(script_out(p, &out));
    script_in(p, XT_TH_ACK | XT_TH_FIN, 0, 1, 0);
    cr_assert_eq(p->e[1].c.state, XT_TIME_WAIT);
    cr_assert(script_out(p, &out));
    p->now += 50000000;
    script_in(p, XT_TH_ACK | XT_TH_FIN, 0, 1, 0);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.ack, 1002);
    cr_assert_eq(xt_tcp_deadline(&p->e[1].c, p->now), p->now + 60000000);
    /* a new SYN takes its place (RFC 6191) */
    p->now += 1000000;
    struct xt_seg syn = script_make(p, XT_TH_SYN, 500000, 0, 0);
    cr_assert_eq(script_seg(p, &syn), XT_EV_CLOSED | XT_EV_TIME_WAIT);
    cr_assert_gt((int32_t)(p->e[1].c.isn_floor - p->e[1].c.snd_nxt), 65535);
    pair_free(p);
}

/* RFC 9293 section 3.8.3: it is the caller of an open who is told that it failed, also when the peer opened at once. */
Test(timers, half_of_a_simultaneous_open_gives_up_with_an_error)
{
    struct pair *p = pair_new();
    struct xt_seg out, syn = script_make(p, XT_TH_SYN, UINT32_MAX, 0, 0);
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    xt_tcp_connect(&p->e[1].c, &ctx, 5000);
    cr_assert(script_out(p, &out));
    script_seg(p, &syn);
    cr_assert_eq(p->e[1].c.state, XT_SYN_RECV);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.flags, XT_TH_SYN | XT_TH_ACK);
    unsigned again = 0;
    while (p->e[1].c.state == XT_SYN_RECV) {
        fire(p);
        while (script_out(p, &out)) {
            cr_assert_eq(out.flags, XT_TH_SYN | XT_TH_ACK);
            again++;
        }
    }
    cr_assert_eq(again, p->e[1].cfg.synack_retries);
    cr_assert_eq(p->e[1].c.state, XT_CLOSED);
    cr_assert_eq(p->e[1].c.err, ETIMEDOUT);
    cr_assert(p->e[1].ev & XT_EV_ERROR);
    pair_free(p);
}

/* Shortened below what has passed, the limit ends the connection at the next time-out, which then comes at once. */
Test(timers, user_timeout_that_is_spent_when_it_is_set)
{
    struct pair *p = pair_new();
    struct xt_seg out;
    script_establish(p, ALL);
    pair_write(p, 1, 100, false);
    cr_assert(script_out(p, &out));
    for (int i = 0; i < 6; i++) {
        fire(p);
        while (script_out(p, &out))
            ;
    }
    cr_assert_eq(p->e[1].c.state, XT_ESTABLISHED);
    p->e[1].c.opt.user_timeout = 10;
    uint64_t set = p->now;
    while (p->e[1].c.state == XT_ESTABLISHED) {
        fire(p);
        while (script_out(p, &out))
            ;
    }
    cr_assert_eq(p->e[1].c.err, ETIMEDOUT);
    cr_assert_leq(p->now - set, p->e[1].cfg.rto_max);
    cr_assert_eq(p->e[1].c.snd_una, 5001);
    pair_free(p);
}
