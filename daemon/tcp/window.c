/* SPDX-License-Identifier: Apache-2.0
 * The receiving side's decisions: what window to offer (silly-window avoidance, RFC 9293 section 3.8.6.2.2) and when to
 * acknowledge (section 3.8.6.3, RFC 5961 section 7). */
#include "daemon/tcp/internal.h"

/* The least growth of the right edge worth telling (MUST-39). */
static uint32_t worth(const struct xt_conn *c)
{
    uint32_t half = (c->rx_size ? c->rx_size : XT_RING_DEFAULT) / 2;
    return xt_u32_min(half, c->mss_local);
}

/* What may be offered: the room, but not more than the application wants. */
static uint32_t offerable(const struct xt_conn *c)
{
    uint32_t space = xt_rcv_space(c);
    return c->opt.window_clamp ? xt_u32_min(space, c->opt.window_clamp) : space;
}

/* The value of the window field; moves rcv_adv, which never goes back (SHLD-14). */
uint16_t xt_window_offer(struct xt_conn *c, bool syn)
{
    uint32_t cur = xt_rcv_wnd(c), space = offerable(c), wnd = space;
    if (wnd < cur + worth(c))
        wnd = cur;
    if (syn) {
        wnd = xt_u32_min(space, 65535);
        c->rcv_adv = xt_seq_max(c->rcv_adv, c->rcv_nxt + wnd);
        return (uint16_t)wnd;
    }
    uint32_t field = wnd >> c->rcv_wscale;
    /* Rounding down would take back what was offered before: round up when the ring has room for that. */
    if ((field << c->rcv_wscale) < cur && ((field + 1) << c->rcv_wscale) <= space)
        field++;
    field = xt_u32_min(field, 65535);
    c->rcv_adv = xt_seq_max(c->rcv_adv, c->rcv_nxt + (field << c->rcv_wscale));
    return (uint16_t)field;
}

/* The reader made room: is a window update of its own worth a segment? When the window has at least doubled since it was
 * last offered, by at least a segment and a sixteenth of the most that can be offered, so that a sender with super-segments can
 * use them; ACKs of data and answers to probes carry smaller steps. */
bool xt_window_update_due(const struct xt_conn *c)
{
    uint32_t most = 65535u << c->rcv_wscale;
    uint32_t cur = xt_rcv_wnd(c), space = xt_u32_min(offerable(c), most);
    return space >= 2 * cur && space >= cur + xt_u32_max(worth(c), xt_u32_min(c->rx_size, most) / 16);
}

void xt_window_quick_acks(struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    c->quick = (uint8_t)xt_u32_max(c->quick, cfg->quickack);
}

uint32_t xt_window_challenge(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t now = xt_now_ms(ctx);
    if (c->challenged && now - c->challenge_ms < XT_CHALLENGE_MS) {
        ctx->stats->challenge_limited++;
        return 0;
    }
    c->challenged = 1;
    c->challenge_ms = now;
    ctx->stats->challenge_acks++;
    c->pending |= XT_PEND_DUP;
    return XT_EV_ACK_NOW;
}
