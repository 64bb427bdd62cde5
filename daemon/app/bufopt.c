/* SPDX-License-Identifier: Apache-2.0
 * SO_SNDBUF, SO_RCVBUF and SO_RCVLOWAT: what a program says of its rings. As on Linux, a size that was asked for stays: the ring does
 * not tune itself any more. */
#include "daemon/app/internal.h"

#define FORCE_MAX ((1u << 30) - 1) /* doubled, it is an int */

/* What there is of the wanted size: bufmax at most, more for root that insists. */
static uint32_t allowed(const struct xt_session *s, uint64_t wanted)
{
    uint32_t max = wanted & XT_BUF_FORCE && s->uid == 0 ? FORCE_MAX : s->app->cfg.bufmax;
    wanted &= ~XT_BUF_FORCE;
    return wanted < max ? (uint32_t)wanted : max;
}

static uint32_t ring_size(uint32_t bytes)
{
    return xt_tune_round(4096, bytes, 1u << 30);
}

/* The ring of a connection becomes larger at once, and so does the window that a listener's children will offer. */
static void have_rx(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_conn *c = xt_app_conn(s, p);
    if (c && p->kind == XT_SLOT_CONN) {
        xt_app_rx_grow(s, i, c, p->rcvbuf);
        xt_stack_consumed(s->app->stack, c, c->rx_tail, s->app->now_us); /* offers the larger window */
    } else if (c && p->kind == XT_SLOT_LISTEN) {
        c->rx_size = p->rcvbuf;
    }
}

int xt_app_set_sndbuf(struct xt_session *s, uint32_t i, uint64_t wanted)
{
    struct xt_pslot *p = &s->ps[i];
    uint32_t bytes = allowed(s, wanted);
    p->sndbuf = ring_size(bytes);
    p->tx_fixed = true;
    xt_app_changed(s, i, false); /* tx_goal */
    return (int)bytes;
}

int xt_app_set_rcvbuf(struct xt_session *s, uint32_t i, uint64_t wanted)
{
    struct xt_pslot *p = &s->ps[i];
    uint32_t bytes = allowed(s, wanted);
    p->rcvbuf = ring_size(bytes);
    p->rx_fixed = true;
    have_rx(s, i);
    return (int)bytes;
}

/* A program that waits for so much is told when half of the ring is full, at the latest (xtcp_events). */
int xt_app_set_rcvlowat(struct xt_session *s, uint32_t i, uint64_t wanted)
{
    struct xt_pslot *p = &s->ps[i];
    uint32_t max = p->rx_fixed ? p->rcvbuf : s->app->cfg.rcvbuf_max;
    uint32_t bytes = wanted < max ? (uint32_t)wanted : max;
    uint32_t size = xt_tune_round(p->rcvbuf, 2 * (uint64_t)bytes, s->app->cfg.rcvbuf_max);
    if (!p->rx_fixed && size > p->rcvbuf) {
        p->rcvbuf = size;
        have_rx(s, i);
    }
    return (int)bytes;
}
