/* SPDX-License-Identifier: Apache-2.0
 * TCP_DEFER_ACCEPT: a connection opens with its first data, or when the listener has waited long enough. */
#include <criterion/criterion.h>

#include "tests/unit/tcp/pair.h"

#define S 1000000ull

/* End 1 in SYN_RECV, of a listener that waits `seconds` for data; its SYN+ACK has left. */
static struct pair *half_open(uint8_t seconds)
{
    struct pair *p = pair_new();
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    struct xt_conn listener = {.opt = {.defer = seconds}};
    struct xt_seg syn = script_make(p, XT_TH_SYN, UINT32_MAX, 0, 0), out;
    syn.opt = (struct xt_tcp_opts){.present = XT_OPT_MSS, .mss = 1460};
    xt_tcp_accept_syn(&p->e[1].c, &listener, &ctx, &syn, 5000);
    cr_assert(script_out(p, &out));
    p->now += 20000;
    return p;
}

/* The next deadline comes; the SYN+ACK goes out again. */
static void expect_syn_ack_at(struct pair *p, uint64_t when)
{
    struct xt_seg out;
    cr_assert_eq(xt_tcp_deadline(&p->e[1].c, p->now), when);
    p->now = when;
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    xt_tcp_timer(&p->e[1].c, &ctx);
    cr_assert(script_out(p, &out));
    cr_assert_eq(out.flags, XT_TH_SYN | XT_TH_ACK);
}

Test(defer, opens_with_the_first_data)
{
    struct pair *p = half_open(5);
    cr_assert_eq(script_in(p, XT_TH_ACK, 0, 0, 0), 0);
    cr_assert_eq(p->e[1].c.state, XT_SYN_RECV);
    cr_assert_eq(p->e[1].stats.deferred, 1);
    p->now += 2 * S;
    uint32_t ev = script_in(p, XT_TH_ACK, 0, 0, 10);
    cr_assert_eq(ev & (XT_EV_CONNECTED | XT_EV_READABLE), XT_EV_CONNECTED | XT_EV_READABLE);
    cr_assert_eq(p->e[1].c.srtt, 20000, "the wait is no round-trip time");
    pair_free(p);
}

Test(defer, opens_without_data_when_the_time_is_over)
{
    struct pair *p = half_open(5);
    uint64_t end = p->now - 20000 + 5 * S;
    script_in(p, XT_TH_ACK, 0, 0, 0);
    p->now += S;
    script_in(p, XT_TH_ACK, 0, 0, 0);
    cr_assert_eq(p->e[1].c.state, XT_SYN_RECV);
    expect_syn_ack_at(p, end);
    cr_assert(script_in(p, XT_TH_ACK, 0, 0, 0) & XT_EV_CONNECTED);
    pair_free(p);
}

Test(defer, opens_with_a_fin)
{
    struct pair *p = half_open(5);
    cr_assert(script_in(p, XT_TH_ACK | XT_TH_FIN, 0, 0, 0) & XT_EV_PEER_FIN);
    cr_assert_eq(p->e[1].c.state, XT_CLOSE_WAIT);
    pair_free(p);
}

Test(defer, is_off_by_default)
{
    struct pair *p = half_open(0);
    cr_assert(script_in(p, XT_TH_ACK, 0, 0, 0) & XT_EV_CONNECTED);
    cr_assert_eq(p->e[1].stats.deferred, 0);
    pair_free(p);
}

Test(defer, does_not_hold_up_an_active_open)
{
    struct pair *p = pair_new();
    p->e[0].c.opt.defer = 5;
    pair_open(p);
    pair_free(p);
}
