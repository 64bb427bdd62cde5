/* SPDX-License-Identifier: Apache-2.0
 * Loss recovery: by time (RACK, RFC 8985) or by count (RFC 6675) with SACK, NewReno (RFC 6582) without it; after a
 * time-out slow start.
 *
 * All four only mark stretches of what is in flight as lost (sent.h), each by its own rule. From there on they are the
 * same: what is lost is sent again as cwnd allows, where the pipe is what is neither delivered nor lost. */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"

#define DUPTHRESH 3 /* RFC 5681 section 3.2 */

static bool by_count(const struct xt_conn *c)
{
    return xt_has_sack(c) && !xt_has_rack(c);
}

/* DupThresh; where the path reorders it is more, but a flight that could not show so much shows half of itself. */
static uint32_t dupthresh(const struct xt_conn *c)
{
    if (c->dupthresh == DUPTHRESH)
        return DUPTHRESH;
    return xt_u32_min(c->dupthresh, xt_u32_max(DUPTHRESH, (c->snd_nxt - c->snd_una) / c->mss_eff / 2));
}

/* IsLost() of RFC 6675: DupThresh ranges, or more than (DupThresh - 1) segments, lie above. */
static uint32_t sack_edge(const struct xt_conn *c)
{
    uint32_t bytes = 0, ranges = 0, thresh = dupthresh(c);
    for (unsigned i = c->n_sent; i-- > 0;) {
        if (xt_sent_list(c)[i].state != XT_SENT_SACKED)
            continue;
        uint32_t left = xt_sent_left(c, i);
        bytes += xt_sent_list(c)[i].end - left;
        if (++ranges >= thresh || bytes > (thresh - 1) * c->mss_eff)
            return left;
    }
    return c->snd_una;
}

uint32_t xt_recovery_count_pipe(const struct xt_conn *c)
{
    uint32_t flight = c->snd_nxt - c->snd_una;
    uint32_t gone = xt_sent_bytes(c, XT_SENT_ALL_LOST | XT_SENT_BIT(XT_SENT_SACKED));
    /* Each duplicate ACK tells of a segment that left: the inflation of cwnd in RFC 6582, seen from the other side. */
    if (!xt_has_sack(c) && c->ca_state != XT_CA_LOSS)
        gone += (uint32_t)c->dupacks * c->mss_eff;
    return flight > gone ? flight - gone : 0;
}

bool xt_recovery_next(const struct xt_conn *c, uint32_t *left, uint32_t *right)
{
    if (c->cflags & XT_CF_FRTO)
        return false;
    return xt_sent_find(c, XT_SENT_ALL_LOST, c->snd_una, left, right);
}

bool xt_recovery_spare(struct xt_conn *c, uint32_t *left, uint32_t *right)
{
    uint32_t top = xt_sent_sack_top(c);
    if (!by_count(c) || c->ca_state != XT_CA_RECOVERY || top == c->snd_una)
        return false;
    if (xt_sent_find(c, XT_SENT_BIT(XT_SENT_FLIGHT), c->snd_una, left, right) && xt_seq_lt(*left, top))
        return true;
    if ((c->cflags & XT_CF_RESCUED) || top == c->snd_nxt)
        return false;
    c->cflags |= XT_CF_RESCUED;
    *right = c->snd_nxt;
    *left = xt_seq_max(top, c->snd_nxt - c->mss_eff);
    return true;
}

void xt_recovery_reduce(struct xt_conn *c, uint32_t acked)
{
    c->ssthresh = xt_cc_of(c)->ssthresh(c, xt_u32_min(c->snd_nxt - c->snd_una + acked, c->cwnd));
    c->cwnd = xt_u32_min(c->cwnd, c->ssthresh);
    c->cc_acked = 0;
}

/* `before`: bytes delivered by the ACK that shows the loss. */
static void enter_recovery(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t before)
{
    struct xt_seldom *r = xt_seldom(c);
    r->undo_cwnd = c->cwnd;
    r->undo_ssthresh = c->ssthresh;
    r->undo_rtx = 0;
    /* What limited transmit sent beyond cwnd does not count (RFC 5681 section 3.2 step 2). */
    c->ssthresh = xt_cc_of(c)->ssthresh(c, xt_u32_min(c->snd_nxt - c->snd_una, c->cwnd));
    c->cc_acked = 0;
    c->recover = c->snd_nxt;
    c->cflags &= ~(uint32_t)(XT_CF_RESCUED | XT_CF_TLP);
    c->ca_state = XT_CA_RECOVERY;
    xt_timer_stop(c, XT_TIMER_PTO);
    xt_prr_begin(c, before);
    ctx->stats->fast_recoveries++;
    if (!xt_has_sack(c)) {
        c->cwnd = c->ssthresh;
        c->pending |= XT_PEND_RTX;
    }
}

void xt_recovery_forgive(struct xt_conn *c)
{
    struct xt_seldom *r = xt_seldom(c);
    if (c->ca_state != XT_CA_RECOVERY || !r->undo_cwnd)
        return;
    c->cwnd = xt_u32_max(c->cwnd, r->undo_cwnd);
    c->ssthresh = c->cwnd; /* what recovery returns to, until it is over */
    r->undo_cwnd = 0;
    c->cflags |= XT_CF_FORGIVEN;
}

/* A forgiven recovery is over: slow start ends where it would have. */
static void end_forgiven(struct xt_conn *c)
{
    if (c->cflags & XT_CF_FORGIVEN)
        c->ssthresh = xt_seldom_of(c)->undo_ssthresh;
    c->cflags &= ~(uint32_t)XT_CF_FORGIVEN;
}

static void leave_recovery(struct xt_conn *c)
{
    end_forgiven(c);
    c->ca_state = XT_CA_OPEN;
    c->dupacks = 0;
    c->cflags &= ~(uint32_t)XT_CF_FRTO;
    xt_rack_recovered(c);
}

/* The reduction was needless: nothing had been lost. */
static void undo(struct xt_conn *c)
{
    struct xt_seldom *r = xt_seldom(c);
    c->cwnd = xt_u32_max(c->cwnd, r->undo_cwnd);
    c->ssthresh = xt_u32_max(c->ssthresh, r->undo_ssthresh);
    r->undo_cwnd = 0;
    c->cflags &= ~(uint32_t)XT_CF_CWND_LIM; /* not this window */
    xt_sent_unlose(c);
    if (c->ca_state >= XT_CA_RECOVERY)
        leave_recovery(c);
}

/* The peer got what we sent again twice. When that holds for all of it, nothing had been lost: the path reorders. Take the
 * reduction back and, counting, be more patient from now on (RFC 3708 section 2, RFC 4653's idea in small). */
static void duplicate_reported(struct xt_conn *c, struct xt_tcp_stats *stats, uint32_t bytes)
{
    uint32_t segs = (bytes + c->mss_eff - 1) / c->mss_eff;
    struct xt_seldom *r = xt_seldom(c);
    stats->dsacks_in++;
    r->tally.dsacks += segs;
    if (!r->undo_cwnd || c->ca_state == XT_CA_LOSS || r->undo_rtx == 0)
        return;
    r->undo_rtx = (uint16_t)(r->undo_rtx > segs ? r->undo_rtx - segs : 0);
    if (r->undo_rtx > 0)
        return;
    undo(c);
    c->cflags |= XT_CF_REORDERED;
    c->dupthresh = (uint8_t)xt_u32_min(2u * c->dupthresh, UINT8_MAX);
    stats->undone_recoveries++;
}

/* A block that tells of data received twice (RFC 2883 section 4). */
static bool is_dsack(const struct xt_seg *seg, unsigned i)
{
    const struct xt_sack_block *b = seg->opt.sack;
    if (i != 0)
        return false;
    if (xt_seq_le(b[0].right, seg->ack))
        return true;
    return seg->opt.nsack > 1 && xt_seq_ge(b[0].left, b[1].left) && xt_seq_le(b[0].right, b[1].right);
}

static void take_sack(struct xt_ack *a)
{
    struct xt_conn *c = a->c;
    const struct xt_tcp_opts *opt = &a->seg->opt;
    uint32_t before = a->news.delivered;
    for (unsigned i = 0; i < opt->nsack && i < XT_SACK_MAX; i++) {
        uint32_t left = opt->sack[i].left, right = opt->sack[i].right;
        if (!xt_seq_lt(left, right))
            continue;
        if (is_dsack(a->seg, i)) {
            a->dsack = true;
            duplicate_reported(c, a->ctx->stats, right - left);
            continue;
        }
        if (xt_seq_le(left, c->snd_una) || xt_seq_gt(right, c->snd_nxt))
            continue; /* old, or of what was never sent */
        xt_sent_sack(c, left, right, &a->news);
    }
    a->sack = a->news.delivered != before;
}

/* New data may answer an ACK in the place of what counts as lost. */
static bool has_new(const struct xt_conn *c)
{
    return xt_send_end(c) != c->snd_nxt && c->snd_nxt - c->snd_una + c->mss_eff <= c->snd_wnd;
}

/* Was the time-out needless? Yes if the ACK of its retransmission echoes a time stamp from before it (Eifel, RFC 3522, RFC
 * 4015). Yes too if something arrives that was not sent again (F-RTO, RFC 5682 section 3); so that this may show, the
 * first ACK is answered with new data. */
static void acked_in_loss(struct xt_ack *a)
{
    struct xt_conn *c = a->c;
    bool waited = c->cflags & XT_CF_FRTO, eifel;
    if (xt_seldom_of(c)->undo_cwnd && (a->bytes > 0 || a->sack)) {
        c->cflags &= ~(uint32_t)XT_CF_FRTO;
        eifel = !waited && a->bytes > 0 && (c->opts & XT_OPT_TS) && a->seg->opt.tsecr &&
                xt_seq_lt(a->seg->opt.tsecr, xt_seldom_of(c)->rxt_ms);
        if (eifel || (xt_has_sack(c) && a->first_arrived)) {
            undo(c);
            if (c->snd_nxt - c->snd_una + a->bytes > c->cwnd / 2)
                c->cflags |= XT_CF_CWND_LIM; /* as before the time-out */
            a->ctx->stats->undone_timeouts += eifel;
            a->ctx->stats->frto_undone += !eifel;
            return;
        }
        if (!waited && a->bytes > 0 && xt_has_sack(c) && has_new(c))
            c->cflags |= XT_CF_FRTO;
        else
            xt_seldom(c)->undo_cwnd = 0;
    }
    if (xt_seq_ge(c->snd_una, c->recover))
        leave_recovery(c);
}

/* RFC 6582 section 3.2 step 3 (partial acknowledgment) and its end; RFC 6675 section 5 steps A to C. */
static void acked_in_recovery(struct xt_ack *a)
{
    struct xt_conn *c = a->c;
    if (xt_seq_ge(c->snd_una, c->recover)) {
        if (!xt_has_sack(c) || !xt_cc_of(c)->own_recovery)
            c->cwnd = c->ssthresh;
        leave_recovery(c);
    } else if (!xt_has_sack(c) && a->bytes > 0) {
        uint32_t gone = a->bytes / c->mss_eff;
        c->dupacks = (uint16_t)(c->dupacks >= gone ? c->dupacks - gone + 1 : 1);
        c->pending |= XT_PEND_RTX;
    }
}

/* Marks what the ACK shows to be lost; returns the bytes. */
static uint32_t detect(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (xt_has_rack(c))
        return xt_rack_detect(c, ctx);
    if (!xt_has_sack(c))
        return 0;
    uint32_t edge = sack_edge(c), sacked, right;
    /* Small segments: as many ACKs, fewer bytes. They tell of the first hole, not of what lies above them all. */
    if (c->ca_state < XT_CA_RECOVERY && edge == c->snd_una && c->dupacks >= dupthresh(c) &&
        xt_sent_find(c, XT_SENT_BIT(XT_SENT_SACKED), c->snd_una, &sacked, &right))
        edge = xt_seq_min(c->snd_una + c->mss_eff, sacked);
    return xt_sent_lose(c, XT_SENT_BIT(XT_SENT_FLIGHT), c->snd_una, edge);
}

/* Outside of recovery: does it begin? */
static bool begins(const struct xt_conn *c)
{
    uint32_t left, right;
    if (xt_has_sack(c))
        return xt_sent_find(c, XT_SENT_ALL_LOST, c->snd_una, &left, &right);
    /* Without SACK, duplicates up to `recover` may be the echo of a time-out's retransmissions (RFC 6582 section 4). */
    return c->dupacks >= dupthresh(c) && xt_seq_gt(c->snd_una, c->recover);
}

/* The state below recovery. */
static void set_disorder(struct xt_conn *c)
{
    c->ca_state = c->dupacks > 0 || xt_sent_sack_top(c) != c->snd_una ? XT_CA_DISORDER : XT_CA_OPEN;
}

void xt_recovery_begin(struct xt_ack *a, struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg)
{
    *a = (struct xt_ack){.news.seen = xt_rack_seen, .c = c, .ctx = ctx, .seg = seg};
}

void xt_recovery_advance(struct xt_ack *a, uint32_t una)
{
    xt_sent_ack(a->c, una, a->c->snd_una, &a->news);
}

static void count_duplicate(struct xt_ack *a)
{
    struct xt_conn *c = a->c;
    if (a->bytes > 0) {
        if (c->ca_state < XT_CA_RECOVERY)
            c->dupacks = 0;
        return;
    }
    if (!(xt_has_sack(c) ? a->sack : a->dup))
        return;
    a->ctx->stats->dup_acks_in++;
    if (c->dupacks < UINT16_MAX)
        c->dupacks++;
}

void xt_recovery_ack(struct xt_ack *a)
{
    struct xt_conn *c = a->c;
    const struct xt_tcp_ctx *ctx = a->ctx;
    bool recovering = c->ca_state == XT_CA_RECOVERY;
    if (xt_has_sack(c) && a->seg->opt.nsack)
        take_sack(a);
    count_duplicate(a);
    if (xt_has_rack(c)) {
        xt_rack_probe_acked(a);
        xt_rack_adapt(a);
    }
    if (c->ca_state == XT_CA_LOSS)
        acked_in_loss(a);
    else if (c->ca_state == XT_CA_RECOVERY)
        acked_in_recovery(a);
    if (a->news.delivered > 0 || c->ca_state != XT_CA_OPEN)
        a->lost = detect(c, ctx);
    if (c->ca_state < XT_CA_RECOVERY) {
        set_disorder(c);
        if (c->ca_state != XT_CA_OPEN && begins(c))
            enter_recovery(c, ctx, a->news.delivered);
    }
    if (c->ca_state == XT_CA_RECOVERY) {
        if (xt_has_sack(c) && !xt_cc_of(c)->own_recovery)
            xt_prr_acked(c, a->news.delivered, a->bytes > 0 && a->lost == 0);
    } else if (a->bytes > 0 && !recovering && (c->cflags & XT_CF_CWND_LIM)) {
        xt_cc_of(c)->acked(c, ctx, a->bytes);
    }
    if (a->bytes > 0 || c->ca_state != XT_CA_OPEN)
        xt_rack_pto_arm(c, ctx);
}

void xt_recovery_reorder_timer(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (c->snd_una == c->snd_nxt || xt_rack_detect(c, ctx) == 0)
        return;
    ctx->stats->rack_timer_losses++;
    if (c->ca_state < XT_CA_RECOVERY)
        enter_recovery(c, ctx, 0);
    if (c->ca_state == XT_CA_RECOVERY && !xt_cc_of(c)->own_recovery)
        xt_prr_acked(c, 0, false);
}

/* What was delivered before tells nothing of what leaves from here on; it may have been long ago. */
static void lose_all(struct xt_conn *c)
{
    c->cflags &= ~(uint32_t)XT_CF_RACK;
    xt_sent_lose(c, XT_SENT_ALL_FLIGHT, c->snd_una, c->snd_nxt);
}

/* What is marked goes out again from SND.UNA on, the first segment whatever cwnd says. */
static void begin_loss(struct xt_conn *c)
{
    c->ca_state = XT_CA_LOSS;
    c->recover = c->snd_nxt;
    c->dupacks = 0;
    xt_seldom(c)->undo_cwnd = 0;
    xt_seldom(c)->undo_rtx = 0;
    c->rtt_start = 0;
    c->cflags &= ~(uint32_t)(XT_CF_FRTO | XT_CF_TLP);
    xt_timer_stop(c, XT_TIMER_PTO);
    c->pending |= XT_PEND_RTX;
}

void xt_recovery_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t undo_cwnd = c->ca_state == XT_CA_LOSS ? xt_seldom_of(c)->undo_cwnd : 0;
    end_forgiven(c);
    if (c->ca_state != XT_CA_LOSS) {
        undo_cwnd = c->ca_state == XT_CA_RECOVERY ? 0 : c->cwnd;
        xt_seldom(c)->undo_ssthresh = c->ssthresh;
        xt_seldom(c)->rxt_ms = xt_now_ms(ctx);
        c->ssthresh = xt_cc_of(c)->ssthresh(c, xt_u32_min(c->snd_nxt - c->snd_una, c->cwnd));
    }
    /* A peer may take back what it SACKed (RFC 2018 section 8): believe it no more when that did not help. */
    if (c->timeouts > 1 || (c->n_sent > 0 && xt_sent_list(c)[0].state == XT_SENT_SACKED))
        xt_sent_unsack(c);
    c->cwnd = c->mss_eff;
    c->cc_acked = 0;
    c->dupthresh = DUPTHRESH;
    c->cflags |= XT_CF_CWND_LIM;
    /* Not what left only just now (RFC 8985 section 6.3). */
    if (xt_has_rack(c) && c->timeouts == 1)
        xt_rack_timeout(c, ctx);
    else
        lose_all(c);
    begin_loss(c);
    xt_seldom(c)->undo_cwnd = undo_cwnd;
}

void xt_recovery_resend(struct xt_conn *c)
{
    end_forgiven(c);
    lose_all(c);
    begin_loss(c);
}
