/* SPDX-License-Identifier: Apache-2.0
 * What is due: connections by their wheel; neighbours, fragments, announcements, the sieve and what is not used by another. */
#include <errno.h>

#include "daemon/base/macros.h"
#include "daemon/stack/internal.h"

void xt_stack_timers(struct xt_stack *s, uint64_t now_us)
{
    uint32_t i;
    xt_stack_at(s, now_us);
    while ((i = xt_wheel_pop(&s->wheel, now_us)) != XT_WHEEL_NONE) {
        struct xt_conn *c = &s->conns[i];
        struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
        uint8_t timeouts = c->timeouts;
        uint32_t ev = xt_tcp_timer(c, &ctx);
        bool third = timeouts == 2 && c->timeouts == 3, last = c->timeouts < 3 && c->err == ETIMEDOUT;
        if (c->fo && (third || last))
            xt_fastopen_timed_out(s, c);
        xt_conn_after_timer(s, c, ev);
    }
    while ((i = xt_wheel_pop(&s->misc, now_us)) != XT_WHEEL_NONE) {
        if (i < XT_TIMER_REASS)
            xt_arp_timer(s, (uint16_t)i);
        else if (i < XT_TIMER_ANNOUNCE)
            xt_reass_timer(s, i - XT_TIMER_REASS);
        else if (i == XT_TIMER_ANNOUNCE)
            xt_arp_announce_timer(s);
        else if (i == XT_TIMER_SIEVE)
            xt_sieve_timer(s);
        else
            xt_sparse_timer(s);
    }
}

uint64_t xt_stack_deadline(const struct xt_stack *s)
{
    return XT_MIN(xt_wheel_next(&s->wheel), xt_wheel_next(&s->misc));
}
