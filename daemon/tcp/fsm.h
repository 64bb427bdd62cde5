/* SPDX-License-Identifier: Apache-2.0
 * The state machine of RFC 9293 section 3.3.2: one table, one setter. Every change of state is an event posted here. */
#ifndef XT_TCP_FSM_H
#define XT_TCP_FSM_H

#include <stdint.h>

#include "daemon/tcp/tcp.h"

/* X(NAME, text): what moves a connection. */
#define XT_FSM_EVENTS(X)                               \
    X(PASSIVE_OPEN, "passive open")                    \
    X(ACTIVE_OPEN, "active open / send SYN")           \
    X(RCV_SYN, "receive SYN / send SYN+ACK")           \
    X(RCV_SYN_ACK, "receive SYN+ACK / send ACK")       \
    X(SYN_ACKED, "receive ACK of SYN")                 \
    X(CLOSE, "close / send FIN")                       \
    X(RCV_FIN, "receive FIN / send ACK")               \
    X(FIN_ACKED, "receive ACK of FIN")                 \
    X(RCV_RST, "receive RST")                          \
    X(ABORT, "abort / send RST where a peer is there") \
    X(TIMEOUT, "time-out")                             \
    X(REUSE, "new SYN in TIME_WAIT (RFC 6191)")

enum xt_fsm_event {
#define X(name, text) XT_FSM_##name,
    XT_FSM_EVENTS(X)
#undef X
        XT_FSM_NEVENTS
};

/* Text of an event, as STATES.md shows it. */
const char *xt_fsm_event_text(unsigned event);

/* The state that `event` leads to from `from`; -1 when the table has no such transition. */
int xt_fsm_next(unsigned from, unsigned event);

/* Posts `event`: moves the state by the table. Returns XT_EV_* bits of the new state; 0 (and counts bad_events) when the
 * table has no such transition. */
uint32_t xt_fsm_post(struct xt_conn *c, const struct xt_tcp_ctx *ctx, enum xt_fsm_event event);

/* The one writer of c->state: tells ctx->on_state, counts, and stops what a state has no use for. Returns XT_EV_* bits. */
uint32_t xt_tcp_set_state(struct xt_conn *c, const struct xt_tcp_ctx *ctx, enum xt_state to);

#endif
