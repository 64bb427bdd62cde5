/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/fsm.h"

#include "daemon/tcp/due.h"

/* Entries are shifted by one so that what is not named is "no transition". */
#define TO(state) ((state) + 1)

static const uint8_t table[XT_NSTATES][XT_FSM_NEVENTS] = {
    [XT_CLOSED] =
        {
            [XT_FSM_PASSIVE_OPEN] = TO(XT_LISTEN),
            [XT_FSM_ACTIVE_OPEN] = TO(XT_SYN_SENT),
        },
    [XT_LISTEN] =
        {
            [XT_FSM_ACTIVE_OPEN] = TO(XT_SYN_SENT),
            [XT_FSM_RCV_SYN] = TO(XT_SYN_RECV),
            [XT_FSM_CLOSE] = TO(XT_CLOSED),
            [XT_FSM_ABORT] = TO(XT_CLOSED),
        },
    [XT_SYN_SENT] =
        {
            [XT_FSM_RCV_SYN] = TO(XT_SYN_RECV),
            [XT_FSM_RCV_SYN_ACK] = TO(XT_ESTABLISHED),
            [XT_FSM_CLOSE] = TO(XT_CLOSED),
            [XT_FSM_RCV_RST] = TO(XT_CLOSED),
            [XT_FSM_ABORT] = TO(XT_CLOSED),
            [XT_FSM_TIMEOUT] = TO(XT_CLOSED),
        },
    [XT_SYN_RECV] =
        {
            [XT_FSM_SYN_ACKED] = TO(XT_ESTABLISHED),
            [XT_FSM_CLOSE] = TO(XT_FIN_WAIT1),
            [XT_FSM_RCV_RST] = TO(XT_CLOSED),
            [XT_FSM_ABORT] = TO(XT_CLOSED),
            [XT_FSM_TIMEOUT] = TO(XT_CLOSED),
        },
    [XT_ESTABLISHED] =
        {
            [XT_FSM_CLOSE] = TO(XT_FIN_WAIT1),
            [XT_FSM_RCV_FIN] = TO(XT_CLOSE_WAIT),
            [XT_FSM_RCV_RST] = TO(XT_CLOSED),
            [XT_FSM_ABORT] = TO(XT_CLOSED),
            [XT_FSM_TIMEOUT] = TO(XT_CLOSED),
        },
    [XT_CLOSE_WAIT] =
        {
            [XT_FSM_CLOSE] = TO(XT_LAST_ACK),
            [XT_FSM_RCV_RST] = TO(XT_CLOSED),
            [XT_FSM_ABORT] = TO(XT_CLOSED),
            [XT_FSM_TIMEOUT] = TO(XT_CLOSED),
        },
    [XT_FIN_WAIT1] =
        {
            [XT_FSM_RCV_FIN] = TO(XT_CLOSING),
            [XT_FSM_FIN_ACKED] = TO(XT_FIN_WAIT2),
            [XT_FSM_RCV_RST] = TO(XT_CLOSED),
            [XT_FSM_ABORT] = TO(XT_CLOSED),
            [XT_FSM_TIMEOUT] = TO(XT_CLOSED),
        },
    [XT_CLOSING] =
        {
            [XT_FSM_FIN_ACKED] = TO(XT_TIME_WAIT),
            [XT_FSM_RCV_RST] = TO(XT_CLOSED),
            [XT_FSM_ABORT] = TO(XT_CLOSED),
            [XT_FSM_TIMEOUT] = TO(XT_CLOSED),
        },
    [XT_LAST_ACK] =
        {
            [XT_FSM_FIN_ACKED] = TO(XT_CLOSED),
            [XT_FSM_RCV_RST] = TO(XT_CLOSED),
            [XT_FSM_ABORT] = TO(XT_CLOSED),
            [XT_FSM_TIMEOUT] = TO(XT_CLOSED),
        },
    [XT_FIN_WAIT2] =
        {
            [XT_FSM_RCV_FIN] = TO(XT_TIME_WAIT),
            [XT_FSM_RCV_RST] = TO(XT_CLOSED),
            [XT_FSM_ABORT] = TO(XT_CLOSED),
            [XT_FSM_TIMEOUT] = TO(XT_CLOSED),
        },
    [XT_TIME_WAIT] =
        {
            [XT_FSM_RCV_RST] = TO(XT_CLOSED),
            [XT_FSM_ABORT] = TO(XT_CLOSED),
            [XT_FSM_TIMEOUT] = TO(XT_CLOSED),
            [XT_FSM_REUSE] = TO(XT_CLOSED),
        },
};

const char *xt_fsm_event_text(unsigned event)
{
    static const char *const texts[XT_FSM_NEVENTS] = {
#define X(name, text) [XT_FSM_##name] = text,
        XT_FSM_EVENTS(X)
#undef X
    };
    return event < XT_FSM_NEVENTS ? texts[event] : "?";
}

int xt_fsm_next(unsigned from, unsigned event)
{
    return from < XT_NSTATES && event < XT_FSM_NEVENTS ? (int)table[from][event] - 1 : -1;
}

uint32_t xt_fsm_post(struct xt_conn *c, const struct xt_tcp_ctx *ctx, enum xt_fsm_event event)
{
    int to = xt_fsm_next(c->state, event);
    if (to < 0) {
        ctx->stats->bad_events++;
        return 0;
    }
    return xt_tcp_set_state(c, ctx, (enum xt_state)to);
}

static void stop_all(struct xt_conn *c)
{
    xt_timer_stop_all(c);
    c->pending = 0;
}

uint32_t xt_tcp_set_state(struct xt_conn *c, const struct xt_tcp_ctx *ctx, enum xt_state to)
{
    enum xt_state from = (enum xt_state)c->state;
    c->state = (uint8_t)to;
    ctx->stats->state_changes++;
    if (ctx->on_state)
        ctx->on_state(ctx->on_state_arg, c, from, to);
    switch (to) {
    case XT_ESTABLISHED:
        return XT_EV_CONNECTED;
    case XT_CLOSED:
        stop_all(c);
        return XT_EV_CLOSED;
    case XT_TIME_WAIT:
        xt_timer_stop_all(c);
        xt_timer_set(c, XT_TIMER_WAIT, ctx->now_us + 2 * ctx->cfg->msl);
        return XT_EV_TIME_WAIT;
    default:
        return XT_EV_STATE;
    }
}
