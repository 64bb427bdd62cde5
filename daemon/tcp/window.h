/* SPDX-License-Identifier: Apache-2.0
 * The window that is offered to the peer: silly-window avoidance (RFC 9293 section 3.8.6.2.2). Inline: nearly every segment
 * carries one. */
#ifndef XT_TCP_WINDOW_H
#define XT_TCP_WINDOW_H

#include "daemon/base/macros.h"
#include "daemon/tcp/internal.h"

/* The least growth of the right edge worth telling (MUST-39). */
static inline uint32_t xt_window_worth(const struct xt_conn *c, uint32_t size)
{
    return xt_u32_min(size / 2, c->mss_local);
}

/* What may be offered of a ring of `size` bytes: the room, but not more than the application wants. */
static inline uint32_t xt_window_offerable(const struct xt_conn *c, uint32_t size)
{
    uint64_t used = c->rx_head - c->rx_tail;
    if (XT_UNLIKELY(used >= size))
        return 0;
    uint32_t space = size - (uint32_t)used;
    if (space > c->opt.window_clamp - 1) /* 0 is none */
        space = c->opt.window_clamp;
    return space;
}

/* The value of the window field of a segment without SYN; moves rcv_adv, which never goes back (SHLD-14). */
static inline uint16_t xt_window_offer(struct xt_conn *c)
{
    uint32_t size = xt_rcv_size(c), cur = xt_rcv_wnd(c), space = xt_window_offerable(c, size), wnd = cur;
    if (space >= cur + xt_window_worth(c, size))
        wnd = space;
    uint32_t field = wnd >> c->rcv_wscale;
    /* Rounding down would take back what was offered before: round up when the ring has room for that. */
    if ((field << c->rcv_wscale) < cur && ((field + 1) << c->rcv_wscale) <= space)
        field++;
    if (XT_UNLIKELY(field > 65535))
        field = 65535;
    wnd = field << c->rcv_wscale;
    if (wnd > cur)
        c->rcv_adv = c->rcv_nxt + wnd;
    return (uint16_t)field;
}

#endif
