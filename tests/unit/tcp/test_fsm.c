/* SPDX-License-Identifier: Apache-2.0
 * The table of transitions, and calls that find no connection behind the record. */
#include <criterion/criterion.h>
#include <errno.h>

#include "daemon/tcp/fsm.h"
#include "tests/unit/tcp/pair.h"

Test(fsm, what_the_table_does_not_name_changes_nothing_and_is_counted)
{
    struct pair *p = pair_new();
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    cr_assert_eq(xt_fsm_next(XT_CLOSED, XT_FSM_FIN_ACKED), -1);
    cr_assert_eq(xt_fsm_post(&p->e[1].c, &ctx, XT_FSM_FIN_ACKED), 0);
    cr_assert_eq(p->e[1].c.state, XT_CLOSED);
    cr_assert_eq(p->e[1].npath, 0, "nobody is told of a change");
    cr_assert_eq(p->e[1].stats.bad_events, 1);
    p->e[1].stats.bad_events = 0;
    pair_free(p);
}

Test(fsm, nothing_leads_from_no_state_or_by_no_event)
{
    cr_assert_eq(xt_fsm_next(XT_NSTATES, XT_FSM_ABORT), -1);
    cr_assert_eq(xt_fsm_next(XT_ESTABLISHED, XT_FSM_NEVENTS), -1);
    cr_assert_str_eq(xt_fsm_event_text(XT_FSM_NEVENTS), "?");
}

/* Every state but CLOSED is left by an abort, and by nothing else in every case. */
Test(fsm, abort_ends_every_state)
{
    for (unsigned s = XT_CLOSED + 1; s < XT_NSTATES; s++)
        cr_assert_eq(xt_fsm_next(s, XT_FSM_ABORT), XT_CLOSED, "%s", xt_state_name((enum xt_state)s));
}

Test(fsm, a_closed_record_takes_nothing)
{
    struct pair *p = pair_new();
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    struct xt_seg seg = {.flags = XT_TH_SYN, .sport = 1111, .dport = 2222}, reply;
    int n = 1;
    cr_assert_eq(xt_tcp_input(&p->e[1].c, &ctx, &seg, &reply, &n), 0);
    cr_assert_eq(n, 0, "the reset for it is the caller's, who knows that there is no connection");
    cr_assert_eq(p->e[1].stats.drop_closed, 1);
    cr_assert_eq(xt_tcp_abort(&p->e[1].c, &ctx, &reply, &n), 0);
    cr_assert_eq(n, 0);
    cr_assert_eq(xt_tcp_close(&p->e[1].c, &ctx), 0);
    cr_assert_eq(xt_tcp_shutdown(&p->e[1].c, &ctx), 0);
    cr_assert_eq(xt_tcp_icmp(&p->e[1].c, &ctx, 0, ECONNREFUSED, 0), 0);
    cr_assert_eq(xt_tcp_output(&p->e[1].c, &ctx, &seg, 0), 0);
    cr_assert_eq(xt_tcp_deadline(&p->e[1].c, p->now), UINT64_MAX);
    cr_assert_str_eq(xt_tcp_deadline_name(&p->e[1].c, p->now), "");
    cr_assert_eq(p->e[1].c.state, XT_CLOSED);
    cr_assert_eq(p->e[1].c.err, 0);
    pair_free(p);
}

Test(fsm, a_listener_has_nothing_to_shut_down)
{
    struct pair *p = pair_new();
    pair_call(p, 1, xt_tcp_listen);
    cr_assert_eq(pair_call(p, 1, xt_tcp_shutdown), 0);
    cr_assert_eq(p->e[1].c.state, XT_LISTEN);
    pair_free(p);
}
