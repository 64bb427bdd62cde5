/* SPDX-License-Identifier: Apache-2.0
 * The application's calls: SEND, RECEIVE, CLOSE, options (RFC 9293 sections 3.10.2 to 3.10.4). */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"

uint32_t xt_tcp_wrote(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint64_t tx_head, bool urgent)
{
    (void)ctx;
    if (c->cflags & XT_CF_SHUT)
        return 0; /* the FIN's sequence number is fixed */
    c->tx_head = tx_head;
    if (urgent)
        xt_set_tx_urg(c, tx_head);
    return 0;
}

void xt_tcp_more(struct xt_conn *c, bool more)
{
    if (more)
        c->cflags |= XT_CF_MORE;
    else if (c->cflags & XT_CF_MORE)
        xt_more_over(c);
}

void xt_tcp_push(struct xt_conn *c)
{
    if (xt_data_end(c) != c->snd_nxt && c->state >= XT_SYN_RECV)
        c->cflags |= XT_CF_CORK_DUE;
}

uint32_t xt_tcp_consumed(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint64_t rx_tail)
{
    (void)ctx;
    c->rx_tail = rx_tail;
    if ((c->state == XT_ESTABLISHED || c->state == XT_FIN_WAIT1 || c->state == XT_FIN_WAIT2) && xt_window_update_due(c))
        c->pending |= XT_PEND_ACK;
    return 0;
}

uint32_t xt_tcp_shutdown(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if ((c->cflags & XT_CF_SHUT) || c->state < XT_SYN_SENT)
        return 0;
    c->cflags |= XT_CF_SHUT;
    xt_timer_stop(c, XT_TIMER_CORK);
    if (c->state == XT_SYN_RECV && (c->tx_head == 0 || xt_fo_early(c))) {
        if (!xt_fo_early(c))
            xt_open_ready(c, ctx);
        return xt_fsm_post(c, ctx, XT_FSM_CLOSE);
    }
    /* In SYN_SENT, and with data queued, it waits for ESTABLISHED. */
    if (c->state == XT_ESTABLISHED || c->state == XT_CLOSE_WAIT)
        return xt_fsm_post(c, ctx, XT_FSM_CLOSE);
    return 0;
}

void xt_tcp_shutdown_rd(struct xt_conn *c)
{
    c->cflags |= XT_CF_NO_READER;
}

uint32_t xt_tcp_close(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (c->state == XT_CLOSED)
        return 0;
    c->cflags |= XT_CF_ORPHAN;
    if (c->state == XT_LISTEN || c->state == XT_SYN_SENT)
        return xt_fsm_post(c, ctx, XT_FSM_CLOSE);
    if (c->rx_tail != c->rx_head && c->state != XT_TIME_WAIT) {
        /* The reset leaves by xt_tcp_output(), and the next xt_tcp_timer() reports CLOSED. */
        c->pending = XT_PEND_RST;
        return 0;
    }
    uint32_t ev = xt_tcp_shutdown(c, ctx);
    if (c->state == XT_FIN_WAIT2 && c->opt.linger2 == XT_LINGER2_NONE)
        c->pending = XT_PEND_RST;
    else if (c->state == XT_FIN_WAIT2)
        xt_timer_finwait2_arm(c, ctx);
    return ev;
}

uint32_t xt_tcp_options_changed(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (!c->opt.cork && !(c->cflags & XT_CF_MORE)) {
        xt_timer_stop(c, XT_TIMER_CORK);
        c->cflags &= ~(uint32_t)XT_CF_CORK_DUE;
    }
    if (c->opt.quickack == XT_QUICKACK_OFF)
        c->cflags |= XT_CF_DIALOGUE;
    else if (c->opt.quickack)
        c->cflags &= ~(uint32_t)XT_CF_DIALOGUE;
    if (c->opt.quickack == XT_QUICKACK_ON && xt_timer_on(c, XT_TIMER_DELACK))
        c->pending |= XT_PEND_ACK;
    if (!c->opt.keepalive || !xt_timer_on(c, XT_TIMER_KEEP) || c->keep_probes == 0)
        xt_timer_keep_arm(c, ctx);
    xt_cc_switch(c, ctx);
    return 0;
}
