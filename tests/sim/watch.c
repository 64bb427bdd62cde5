/* SPDX-License-Identifier: Apache-2.0
 * Checks on the traffic of one connection, from what was sent and delivered alone: a second opinion on the core's own
 * variables. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/net.h"

static bool seq_lt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

void watch_begin(struct sim_conn *c)
{
    memset(&c->w, 0, sizeof c->w);
    c->w.delivered = calloc(1, STREAM_MAX + 1);
    if (!c->w.delivered)
        abort();
}

void watch_end(struct sim_conn *c)
{
    free(c->w.delivered);
    c->w.delivered = NULL;
}

/* An ACK covers only what arrived without a gap and never goes back. */
static void check_ack(struct sim_conn *c, const struct xt_seg *s)
{
    struct watch *w = &c->w;
    uint32_t most = c->ep.conn.irs + 1 + w->in_order + (w->peer_fin && w->in_order == w->peer_fin_at);
    if (seq_lt(most, s->ack))
        net_fail(c->net, "host %u acknowledges bytes that never arrived", c->host);
    if (w->acked_any && seq_lt(s->ack, w->last_ack))
        net_fail(c->net, "host %u takes an acknowledgement back", c->host);
    w->last_ack = s->ack;
}

static void check_sack(struct sim_conn *c, const struct xt_seg *s)
{
    for (int i = 0; i < s->opt.nsack; i++) {
        uint32_t left = s->opt.sack[i].left - (c->ep.conn.irs + 1);
        uint32_t right = s->opt.sack[i].right - (c->ep.conn.irs + 1);
        if (left < right && (int32_t)left < 0 && !seq_lt(s->ack, s->opt.sack[i].right))
            continue; /* a duplicate of an earlier connection between these ports, reported by RFC 2883 */
        if (left >= right || right > STREAM_MAX) {
            net_fail(c->net, "host %u sends an empty or far SACK block [%u,%u)", c->host, left, right);
            return;
        }
        for (uint32_t off = left; off < right; off++)
            if (!c->w.delivered[off]) {
                net_fail(c->net, "host %u SACKs byte %u that never arrived", c->host, off);
                return;
            }
    }
}

/* SHLD-14: the right edge of the window does not move left, but for the rounding of a scaled window
 * (RFC 7323 section 2.4). */
static void check_window(struct sim_conn *c, const struct xt_seg *s)
{
    struct watch *w = &c->w;
    uint8_t shift = s->flags & XT_TH_SYN ? 0 : c->ep.conn.rcv_wscale;
    uint32_t edge = s->ack + ((uint32_t)s->wnd << shift);
    /* A SYN that is sent again has no scaled window to give. */
    if (w->acked_any && !(s->flags & XT_TH_SYN) && seq_lt(edge + (1u << shift) - 1, w->adv_edge))
        net_fail(c->net, "host %u shrinks the window by %u", c->host, w->adv_edge - edge);
    if (!w->acked_any || seq_lt(w->adv_edge, edge))
        w->adv_edge = edge;
}

/* Nothing is sent beyond the window, but one byte that probes a full one (RFC 9293 section 3.8.6.1) or a FIN. */
static void check_data(struct sim_conn *c, const struct xt_seg *s)
{
    struct watch *w = &c->w;
    uint32_t end = s->seq + xt_seg_seqlen(s);
    bool syn = s->flags & XT_TH_SYN;
    if (!syn && s->len && !w->edge_known)
        net_fail(c->net, "host %u sends data before it knows a window", c->host);
    if (!syn && s->len && seq_lt(w->peer_edge + 1, end))
        net_fail(c->net, "host %u sends %u bytes beyond the window", c->host, end - w->peer_edge);
    /* A scaled window is rounded, so that the edge may lie a little to the left of where it was. */
    bool probe = s->len == 1 && !seq_lt(s->seq + (1u << c->ep.conn.snd_wscale) - 1, w->peer_edge);
    if (probe || s->seq == end)
        return;
    if (w->sent_any && seq_lt(s->seq, w->max_sent)) {
        w->bytes_again += (seq_lt(end, w->max_sent) ? end : w->max_sent) - s->seq;
        /* A SYN that an old connection's TIME_WAIT answers goes again, then what it carried. */
        bool of_syn = syn || (c->ep.conn.fo_len && s->seq == c->ep.conn.iss + 1);
        if (c->net->p.clean && !(of_syn && c->net->syn_may_repeat))
            net_fail(c->net, "host %u sends again on a clean link", c->host);
    }
    if (!w->sent_any || seq_lt(w->max_sent, end))
        w->max_sent = end;
    w->sent_any = true;
}

void watch_sent(struct sim_conn *c, const struct xt_seg *s)
{
    if (s->flags & XT_TH_RST)
        return;
    if (s->flags & XT_TH_ACK) {
        check_window(c, s);
        check_ack(c, s);
        check_sack(c, s);
        c->w.acked_any = true;
    }
    check_data(c, s);
}

static void mark(struct watch *w, uint32_t off, uint32_t len)
{
    for (uint32_t i = 0; i < len && off + i < STREAM_MAX; i++)
        w->delivered[off + i] = 1;
    while (w->in_order < STREAM_MAX && w->delivered[w->in_order])
        w->in_order++;
}

void watch_delivered(struct sim_conn *c, const struct xt_seg *s)
{
    struct watch *w = &c->w;
    const struct xt_conn *k = &c->ep.conn;
    if (s->flags & XT_TH_RST || k->state < XT_SYN_SENT || (k->state == XT_SYN_SENT && !(s->flags & XT_TH_SYN)))
        return;
    /* Of an earlier connection between these ports. */
    if ((s->flags & XT_TH_ACK) && (int32_t)(s->ack - k->iss) < 0)
        return;
    uint32_t irs = k->state == XT_SYN_SENT ? s->seq : k->irs;
    uint32_t first = s->seq + (s->flags & XT_TH_SYN ? 1 : 0), off = first - (irs + 1);
    if (off < STREAM_MAX && s->len)
        mark(w, off, s->len);
    if (s->flags & XT_TH_FIN && off + s->len <= STREAM_MAX) {
        w->peer_fin = true;
        w->peer_fin_at = off + s->len;
    }
    if (!(s->flags & XT_TH_ACK) && !(s->flags & XT_TH_SYN))
        return;
    uint32_t base = s->flags & XT_TH_ACK ? s->ack : k->iss + 1;
    uint32_t edge = base + ((uint32_t)s->wnd << (s->flags & XT_TH_SYN ? 0 : k->snd_wscale));
    if (!w->edge_known || seq_lt(w->peer_edge, edge))
        w->peer_edge = edge;
    w->edge_known = true;
}
