/* SPDX-License-Identifier: Apache-2.0
 * Deadlines of connections, whose low bits wrap. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/macros.h"
#include "daemon/tcp/due.h"
#include "tests/unit/tcp/pair.h"

#define S 1000000ull
#define HOUR (3600 * S)
#define WRAP ((uint64_t)XT_DUE_UNIT << 32)      /* when 32 bits of units are all zero again */
#define LONG_WRAP ((uint64_t)XT_DUE_UNIT << 48) /* likewise 48 */

/* What is set `wait` ahead is due then, not before, and still is `after` that. */
static void expect_due(enum xt_timer t, uint64_t now, uint64_t wait, uint64_t after)
{
    struct xt_conn c;
    memset(&c, 0, sizeof c);
    uint64_t when = now + wait, at;
    xt_timer_set(&c, t, when);
    cr_assert(xt_timer_on(&c, t));
    cr_assert_eq(xt_timer_first(&c, now, &at), t);
    cr_assert(at >= when && at < when + XT_DUE_UNIT, "%u: %lu at %lu", t, wait, now);
    cr_assert_eq(xt_tcp_deadline(&c, now), at);
    cr_assert_eq(xt_timer_is_due(&c, t, at - 1), false);
    cr_assert(xt_timer_is_due(&c, t, at));
    cr_assert(xt_timer_is_due(&c, t, at + after));
    cr_assert_eq(xt_tcp_deadline(&c, at + after), at);
    xt_timer_stop(&c, t);
    cr_assert_eq(xt_timer_is_due(&c, t, at + after), false);
    cr_assert_eq(xt_timer_first(&c, now, &at), XT_TIMERS);
    cr_assert_eq(at, UINT64_MAX);
}

Test(due, whatever_the_clock_says)
{
    static const uint64_t clocks[] = {1,        1000 * S,        WRAP - 3 * S,  WRAP - 5,     WRAP,
                                      WRAP + 1, 41 * WRAP - 100, LONG_WRAP - 7, 3 * LONG_WRAP};
    static const uint64_t waits[] = {0, 1, 7, 8, 9, 999, 40000, 200000, S, 4 * S, 600 * S};
    for (unsigned k = 0; k < XT_ARRAY_LEN(clocks); k++)
        for (unsigned t = 0; t < XT_TIMERS; t++) {
            for (unsigned w = 0; w < XT_ARRAY_LEN(waits); w++)
                expect_due(t, clocks[k], waits[w], 4 * HOUR);
            if (xt_timer_is_long(t))
                expect_due(t, clocks[k], UINT16_MAX * S, 10000 * HOUR);
        }
}

Test(due, the_first_of_several_comes_first)
{
    struct xt_conn c;
    uint64_t now = WRAP - 10 * S, at;
    memset(&c, 0, sizeof c);
    xt_timer_set(&c, XT_TIMER_KEEP, now + 2 * HOUR);
    xt_timer_set(&c, XT_TIMER_RTO, now + 12 * S); /* beyond the wrap */
    cr_assert_eq(xt_timer_first(&c, now, &at), XT_TIMER_RTO);
    xt_timer_set(&c, XT_TIMER_PTO, now + 9 * S);
    cr_assert_eq(xt_timer_first(&c, now, &at), XT_TIMER_PTO);
    xt_timer_set(&c, XT_TIMER_PTO, now + 13 * S);
    xt_timer_no_later(&c, XT_TIMER_PTO, XT_TIMER_RTO);
    cr_assert_eq(xt_timer_at(&c, XT_TIMER_PTO, now), now + 12 * S);
    xt_timer_set_due(&c, XT_TIMER_WAIT, now);
    cr_assert(xt_timer_is_due(&c, XT_TIMER_WAIT, now));
    cr_assert_eq(xt_timer_first(&c, now, &at), XT_TIMER_WAIT);
    xt_timer_stop_both(&c, XT_TIMER_WAIT, XT_TIMER_PTO);
    xt_timer_stop(&c, XT_TIMER_RTO);
    cr_assert_eq(xt_timer_first(&c, now, &at), XT_TIMER_KEEP);
    cr_assert_eq(at, now + 2 * HOUR);
}

/* Silent for a year, but for the probes of the keep-alive timer: these come when they should, and what is sent then is as on the first
 * day. */
Test(due, a_connection_idle_for_a_year)
{
    struct pair *p = pair_new();
    pair_open(p);
    struct xt_conn *c = &p->e[0].c;
    struct xt_tcp_ctx ctx = pair_ctx(p, 0);
    c->opt.keepalive = 1;
    xt_tcp_options_changed(c, &ctx);
    uint64_t began = p->now, day = 24 * HOUR;
    unsigned sent = p->e[0].sent;
    for (unsigned d = 1; d <= 365; d++) {
        pair_run(p, began + d * day + 10 * S);
        cr_assert_eq(p->e[0].sent - sent, 12, "day %u", d);
        sent = p->e[0].sent;
    }
    pair_write(p, 0, 1000, false);
    pair_run(p, p->now + S);
    cr_assert_eq(c->tx_una, 1000);
    cr_assert_eq(p->e[0].stats.retrans_segs, 0);
    cr_assert_eq(xt_tcp_deadline_name(c, p->now)[0], 'k');
    pair_free(p);
}

/* The same without a timer at all, and for times after which clocks of 32 bits show the same again. */
Test(due, a_write_after_a_long_silence_leaves_at_once)
{
    static const uint64_t silences[] = {WRAP / 2 + 7,        WRAP - S,     WRAP, WRAP + 10, 1ull << 32,
                                        (1ull << 32) - 1000, 1000ull << 32};
    for (unsigned i = 0; i < XT_ARRAY_LEN(silences); i++) {
        struct pair *p = pair_new();
        pair_open(p);
        pair_write(p, 0, 1000, false);
        pair_run(p, p->now + 2 * S);
        cr_assert_eq(p->e[0].c.tx_una, 1000);
        cr_assert_eq(xt_tcp_deadline(&p->e[0].c, p->now), UINT64_MAX);
        pair_run(p, p->now + silences[i]);
        pair_write(p, 0, 1000, false);
        pair_run(p, p->now + 2 * p->delay + 40000);
        cr_assert_eq(p->e[0].c.tx_una, 2000, "%u", i);
        pair_free(p);
    }
}
