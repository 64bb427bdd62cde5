/* SPDX-License-Identifier: Apache-2.0
 * Resets (RFC 9293 section 3.5.2) and the ABORT call. */
#include <errno.h>

#include "daemon/tcp/internal.h"

bool xt_tcp_reset_for(const struct xt_seg *seg, struct xt_seg *reply)
{
    if (seg->flags & XT_TH_RST)
        return false;
    *reply = (struct xt_seg){.sport = seg->dport, .dport = seg->sport, .flags = XT_TH_RST};
    if (seg->flags & XT_TH_ACK) {
        reply->seq = seg->ack;
    } else {
        reply->ack = seg->seq + xt_seg_seqlen(seg);
        reply->flags |= XT_TH_ACK;
    }
    return true;
}

/* RFC 9293 asks for <SEQ=SND.NXT><CTL=RST>; the ACK besides is what every stack sends and middleboxes expect. */
void xt_reset_make(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *reply)
{
    *reply = (struct xt_seg){
        .sport = c->local.port,
        .dport = c->remote.port,
        .seq = xt_snd_acceptable(c),
        .ack = c->rcv_nxt,
        .flags = XT_TH_RST | XT_TH_ACK,
    };
    ctx->stats->resets_sent++;
}

/* Our FIN waits behind data: to the peer this still is CLOSE_WAIT, or FIN_WAIT1. */
static bool fin_waits(const struct xt_conn *c)
{
    return (c->state == XT_CLOSING || c->state == XT_LAST_ACK) && c->snd_nxt != xt_send_end(c);
}

uint32_t xt_tcp_abort(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *reply, int *reply_len)
{
    *reply_len = 0;
    switch (c->state) {
    case XT_CLOSED:
        return 0;
    case XT_SYN_RECV:
    case XT_ESTABLISHED:
    case XT_FIN_WAIT1:
    case XT_FIN_WAIT2:
    case XT_CLOSE_WAIT:
        xt_reset_make(c, ctx, reply);
        *reply_len = 1;
        break;
    case XT_SYN_SENT:
        break;
    default: /* LISTEN has no peer; CLOSING, LAST_ACK and TIME_WAIT have both FINs (3.10.5) */
        if (fin_waits(c)) {
            xt_reset_make(c, ctx, reply);
            *reply_len = 1;
            break;
        }
        return xt_fsm_post(c, ctx, XT_FSM_ABORT);
    }
    /* Not the end of file that a reader would take it for. */
    c->err = ECONNABORTED;
    return XT_EV_ERROR | xt_fsm_post(c, ctx, XT_FSM_ABORT);
}
