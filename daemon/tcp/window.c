/* SPDX-License-Identifier: Apache-2.0
 * The receiving side's decisions: what window to offer (silly-window avoidance, RFC 9293 section 3.8.6.2.2) and when to
 * acknowledge (section 3.8.6.3, RFC 5961 section 7). */
#include "daemon/tcp/window.h"

uint16_t xt_window_offer_syn(struct xt_conn *c)
{
    uint32_t wnd = xt_u32_min(xt_window_offerable(c, xt_rcv_size(c)), 65535); /* never scaled (RFC 7323 section 2.2) */
    c->rcv_adv = xt_seq_max(c->rcv_adv, c->rcv_nxt + wnd);
    return (uint16_t)wnd;
}

/* The reader made room: is a window update of its own worth a segment? When the window has at least doubled since it was
 * last offered, by at least a segment and a sixteenth of the most that can be offered, so that a sender with super-segments can
 * use them; ACKs of data and answers to probes carry smaller steps. */
bool xt_window_update_due(const struct xt_conn *c)
{
    uint32_t most = 65535u << c->rcv_wscale;
    uint32_t size = xt_rcv_size(c), cur = xt_rcv_wnd(c), space = xt_u32_min(xt_window_offerable(c, size), most);
    return space >= 2 * cur && space >= cur + xt_u32_max(xt_window_worth(c, size), xt_u32_min(c->rx_size, most) / 16);
}

uint32_t xt_window_challenge(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t now = xt_now_ms(ctx);
    if (c->challenged && now - xt_seldom_of(c)->challenge_ms < XT_CHALLENGE_MS) {
        ctx->stats->challenge_limited++;
        return 0;
    }
    c->challenged = 1;
    xt_seldom(c)->challenge_ms = now;
    ctx->stats->challenge_acks++;
    c->pending |= XT_PEND_DUP;
    return XT_EV_ACK_NOW;
}
