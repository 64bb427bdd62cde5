/* SPDX-License-Identifier: Apache-2.0
 * Payload to its place: in order or not, it goes once from the packet into the receive ring. Ranges beyond RCV.NXT are
 * remembered and reported (RFC 2018, RFC 2883). */
#include "daemon/base/ring.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/range.h"
#include "daemon/tcp/sack.h"
#include "daemon/tcp/step.h"

uint8_t *xt_tcp_place(const struct xt_conn *c, uint8_t *rx, const struct xt_seg *seg)
{
    uint32_t at = (uint32_t)c->rx_head & (c->rx_size - 1);
    if (!rx || c->state != XT_ESTABLISHED || c->n_ooo || seg->seq != c->rcv_nxt ||
        (seg->flags & (XT_TH_SYN | XT_TH_FIN | XT_TH_RST | XT_TH_URG | XT_TH_ACK)) != XT_TH_ACK ||
        seg->len > xt_rcv_space(c) || seg->len > c->rx_size - at)
        return NULL;
    return rx + at;
}

void xt_tcp_move_rx(struct xt_conn *c, const uint8_t *from, uint8_t *to, uint32_t size)
{
    for (unsigned i = 0; i < c->n_ooo; i++) {
        const struct xt_range *r = &xt_ooo_list(c)[i];
        xt_ring_copy(to, size, from, c->rx_size, c->rx_head + (r->left - c->rcv_nxt), r->right - r->left);
    }
    c->rx_size = size;
}

/* Copies to stream offset `off`, unless it is there already (xt_tcp_place); the caller has checked the room. */
static void put_piece(const struct xt_conn *c, uint8_t *rx, uint64_t off, const uint8_t *from, uint32_t len)
{
    uint32_t size = c->rx_size, at = (uint32_t)off & (size - 1);
    uint32_t first = xt_u32_min(len, size - at);
    if (from == rx + at)
        return;
    memcpy(rx + at, from, first);
    if (first < len)
        memcpy(rx, from + first, len - first);
}

void xt_text_put(const struct xt_conn *c, uint8_t *rx, const struct xt_seg *seg, uint32_t skip, uint64_t off,
                 uint32_t len)
{
    uint32_t part = seg->part ? seg->part : seg->len, first = 0;
    if (skip < part) {
        first = xt_u32_min(len, part - skip);
        put_piece(c, rx, off, seg->payload + skip, first);
    }
    if (first < len)
        put_piece(c, rx, off + first, seg->more + (skip + first - part), len - first);
}

/* Bytes of ring from RCV.NXT on that may be written. */
static uint32_t room(const struct xt_in *in)
{
    return in->ctx->rx && in->c->rx_size ? xt_rcv_space(in->c) : 0;
}

/* RCV.NXT reached the first ranges: they are in order now. */
static void join(struct xt_conn *c)
{
    uint32_t nxt = c->rcv_nxt;
    for (unsigned i = 0; i < c->n_ooo && xt_seq_le(xt_ooo_list(c)[i].left, nxt); i++)
        nxt = xt_seq_max(nxt, xt_ooo_list(c)[i].right);
    xt_range_trim(xt_ooo_list(c), &c->n_ooo, nxt);
    c->rx_head += nxt - c->rcv_nxt;
    c->rcv_nxt = nxt;
}

/* The first part of [left, right) that came before, out of order, is reported (RFC 2883 section 4.2). */
static void report_overlap(struct xt_conn *c, uint32_t left, uint32_t right)
{
    if (xt_range_overlap(xt_ooo_list(c), c->n_ooo, &left, &right))
        xt_sack_duplicate(c, left, right);
}

/* The sender has just lost, and perhaps has a window of a few segments only: for a while each ACK goes at once, so that it
 * grows again without waiting for ours, and an ACK that is lost in its turn is not missed. */
static void gap_closed(struct xt_in *in)
{
    if (in->c->quick < in->ctx->cfg->quickack)
        in->c->quick = in->ctx->cfg->quickack;
}

static void take_text(struct xt_in *in, uint32_t n)
{
    struct xt_conn *c = in->c;
    xt_text_put(c, in->ctx->rx, in->seg, in->skip, c->rx_head, n);
    c->rx_head += n;
    c->rcv_nxt += n;
    c->ooo_acks = 0;
    in->ev |= XT_EV_READABLE;
}

static void in_order(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    uint32_t n = xt_u32_min(in->len, room(in));
    if (n < in->len) {
        in->ctx->stats->drop_no_room++;
        c->pending |= XT_PEND_ACK;
    }
    if (n == 0)
        return;
    report_overlap(c, c->rcv_nxt, c->rcv_nxt + n);
    take_text(in, n);
    if (c->n_ooo) {
        /* At once when a segment fills all or part of a hole (RFC 5681 section 4.2). */
        join(c);
        c->pending |= XT_PEND_ACK;
        if (!c->n_ooo)
            gap_closed(in);
    }
    xt_step_ack_data(c, in->ctx, n, in->seg->gso_size);
}

/* A segment out of order is to be acknowledged at once (RFC 5681 section 4.2), so that the sender can count. From the fourth
 * on a sender with SACK learns nothing from the count: when the segment only makes the range longer that was last
 * reported, one ACK at the end of the batch says the same as one for each, and spares the path back. */
static void ack_at_once(struct xt_in *in, bool longer)
{
    struct xt_conn *c = in->c;
    if (longer && c->ooo_acks >= 3) {
        in->ctx->stats->acks_coalesced += (c->pending & XT_PEND_ACK) != 0;
        c->pending |= XT_PEND_ACK;
        return;
    }
    if (c->ooo_acks < UINT8_MAX)
        c->ooo_acks++;
    c->pending |= XT_PEND_DUP;
    in->ev |= XT_EV_ACK_NOW;
}

static void out_of_order(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    uint32_t gap = in->seq - c->rcv_nxt, space = room(in);
    /* The last report ended where this segment begins. */
    int range = c->n_recent > 0 ? xt_range_find(xt_ooo_list(c), c->n_ooo, xt_recent_list(c)[0]) : -1;
    bool longer = xt_has_sack(c) && range >= 0 && xt_ooo_list(c)[range].right == in->seq && !(in->flags & XT_TH_FIN);
    ack_at_once(in, longer);
    if (gap >= space) {
        in->ctx->stats->drop_no_room++;
        return;
    }
    uint32_t n = xt_u32_min(in->len, space - gap);
    uint32_t right = in->seq + n;
    report_overlap(c, in->seq, right);
    if (!xt_range_covers(xt_ooo_list(c), c->n_ooo, in->seq, right)) {
        if (xt_range_add(xt_ooo_list(c), &c->n_ooo, xt_ooo_room(c), in->seq, right) < 0) {
            in->ctx->stats->drop_ooo_full++;
            return;
        }
        xt_text_put(c, in->ctx->rx, in->seg, in->skip, c->rx_head + gap, n);
        in->ctx->stats->ooo_segs++;
        xt_seldom(c)->tally.ooo_segs++;
    }
    xt_sack_touch(c, in->seq);
}

void xt_in_text(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    if (in->len == 0)
        return;
    if ((c->state != XT_ESTABLISHED && c->state != XT_FIN_WAIT1 && c->state != XT_FIN_WAIT2 && !xt_fo_early(c)) ||
        ((c->cflags & XT_CF_FIN_SEEN) && xt_seq_gt(in->seq + in->len, c->rcv_fin))) {
        in->ctx->stats->drop_after_fin++;
        return;
    }
    bool told = (c->cflags & XT_CF_NO_READER) && c->state != XT_ESTABLISHED;
    if ((c->cflags & XT_CF_ORPHAN) || told) {
        /* Nobody will read it: tell the peer (RFC 9293 section 3.6.1, RFC 2525 section 2.17). By its own ACK number, which is the
         * one that it is sure to believe (RFC 5961 section 3.2): what we sent since may be lost. */
        in->reset = xt_tcp_reset_for(in->seg, in->reply);
        in->ctx->stats->resets_sent += in->reset;
        if (told) {
            c->err = ECONNRESET;
            in->ev |= XT_EV_ERROR;
        }
        in->ev |= xt_fsm_post(c, in->ctx, XT_FSM_ABORT);
        return;
    }
    xt_step_arrival(c, in->ctx, in->seg->len, in->seg->gso_size, xt_now_ms(in->ctx));
    if (in->seq == c->rcv_nxt)
        in_order(in);
    else
        out_of_order(in);
}
