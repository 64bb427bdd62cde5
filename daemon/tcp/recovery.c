/* SPDX-License-Identifier: Apache-2.0
 * Loss recovery: by SACK (RFC 6675), without it NewReno (RFC 6582), after a time-out slow start from SND.UNA.
 *
 * One description serves all three. Of the sequence space in flight, [SND.UNA, edge) counts as lost, less what was
 * SACKed; [SND.UNA, high_rxt) of that was sent again. They differ only in how far `edge` reaches. */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/range.h"

#define DUPTHRESH 3 /* RFC 5681 section 3.2 */

static bool has_sack(const struct xt_conn *c)
{
    return c->opts & XT_OPT_SACK_OK;
}

/* DupThresh; where the path reorders it is more, but a flight that could not show so much shows half of itself. */
static uint32_t dupthresh(const struct xt_conn *c)
{
    if (c->dupthresh == DUPTHRESH)
        return DUPTHRESH;
    return xt_u32_min(c->dupthresh, xt_u32_max(DUPTHRESH, (c->snd_nxt - c->snd_una) / c->mss_eff / 2));
}

/* IsLost() for SACK: DupThresh ranges, or more than (DupThresh - 1) segments, lie above. */
static uint32_t sack_edge(const struct xt_conn *c)
{
    uint32_t bytes = 0, thresh = dupthresh(c);
    for (unsigned i = c->n_sacked; i-- > 0;) {
        bytes += c->sacked[i].right - c->sacked[i].left;
        if (c->n_sacked - i >= thresh || bytes > (thresh - 1) * c->mss_eff)
            return c->sacked[i].left;
    }
    return c->snd_una;
}

static uint32_t lost_edge(const struct xt_conn *c)
{
    if (c->ca_state == XT_CA_LOSS)
        return c->recover;
    if (has_sack(c))
        return c->n_sacked ? sack_edge(c) : c->snd_una;
    if (c->ca_state == XT_CA_RECOVERY)
        return xt_seq_min(c->snd_una + c->mss_eff, c->snd_nxt);
    return c->snd_una;
}

/* Bytes of [left, right) that are not SACKed. */
static uint32_t unsacked(const struct xt_conn *c, uint32_t left, uint32_t right)
{
    if (xt_seq_ge(left, right))
        return 0;
    return right - left - (c->n_sacked ? xt_range_bytes(c->sacked, c->n_sacked, left, right) : 0);
}

uint32_t xt_recovery_pipe(const struct xt_conn *c)
{
    uint32_t flight = c->snd_nxt - c->snd_una;
    if (c->ca_state == XT_CA_OPEN)
        return flight;
    if (!has_sack(c) && c->ca_state != XT_CA_LOSS) {
        /* Each duplicate ACK tells of a segment that left: the inflation of cwnd in RFC 6582, seen from the other side. */
        uint32_t left = (uint32_t)c->dupacks * c->mss_eff;
        return flight > left ? flight - left : 0;
    }
    uint32_t pipe = unsacked(c, xt_seq_max(c->snd_una, lost_edge(c)), c->snd_nxt);
    if (c->ca_state >= XT_CA_RECOVERY)
        pipe += unsacked(c, c->snd_una, c->high_rxt);
    return pipe;
}

/* The first stretch at or after `from` and below `edge` that is not SACKed. */
static bool gap(const struct xt_conn *c, uint32_t from, uint32_t edge, uint32_t *left, uint32_t *right)
{
    for (unsigned i = 0; i < c->n_sacked; i++) {
        if (xt_seq_lt(from, c->sacked[i].left)) {
            edge = xt_seq_min(edge, c->sacked[i].left);
            break;
        }
        from = xt_seq_max(from, c->sacked[i].right);
    }
    *left = from;
    *right = edge;
    return xt_seq_lt(from, edge);
}

bool xt_recovery_next(const struct xt_conn *c, uint32_t *left, uint32_t *right)
{
    if (c->ca_state < XT_CA_RECOVERY)
        return false;
    return gap(c, xt_seq_max(c->snd_una, c->high_rxt), lost_edge(c), left, right);
}

bool xt_recovery_spare(struct xt_conn *c, uint32_t *left, uint32_t *right)
{
    if (c->ca_state != XT_CA_RECOVERY || !c->n_sacked)
        return false;
    uint32_t top = c->sacked[c->n_sacked - 1].right;
    if (gap(c, xt_seq_max(c->snd_una, c->high_rxt), top, left, right))
        return true;
    if ((c->cflags & XT_CF_RESCUED) || top == c->snd_nxt)
        return false;
    c->cflags |= XT_CF_RESCUED;
    *right = c->snd_nxt;
    *left = xt_seq_max(top, c->snd_nxt - c->mss_eff);
    return true;
}

static void enter_recovery(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    c->undo_cwnd = c->cwnd;
    c->undo_ssthresh = c->ssthresh;
    c->undo_rtx = 0;
    c->ssthresh = xt_cc_of(c)->ssthresh(c, c->snd_nxt - c->snd_una);
    c->cwnd = c->ssthresh;
    c->cc_acked = 0;
    c->recover = c->snd_nxt;
    c->high_rxt = c->snd_una;
    c->cflags &= ~(uint32_t)XT_CF_RESCUED;
    c->ca_state = XT_CA_RECOVERY;
    c->pending |= XT_PEND_RTX;
    ctx->stats->fast_recoveries++;
}

void xt_recovery_dup(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    ctx->stats->dup_acks_in++;
    if (c->dupacks < UINT16_MAX)
        c->dupacks++;
    if (c->ca_state >= XT_CA_RECOVERY)
        return;
    c->ca_state = XT_CA_DISORDER;
    if (c->dupacks < dupthresh(c) && (!has_sack(c) || lost_edge(c) == c->snd_una))
        return;
    /* Without SACK, duplicates up to `recover` may be the echo of a time-out's retransmissions (RFC 6582 section 4). */
    if (has_sack(c) || xt_seq_gt(c->snd_una, c->recover))
        enter_recovery(c, ctx);
}

/* The peer got what we sent again twice. When that holds for all of it, nothing had been lost: the path reorders. Take the
 * reduction back and be more patient from now on (RFC 3708 section 2, RFC 4653's idea in small). */
static void duplicate_reported(struct xt_conn *c, struct xt_tcp_stats *stats, uint32_t bytes)
{
    uint32_t segs = (bytes + c->mss_eff - 1) / c->mss_eff;
    stats->dsacks_in++;
    if (!c->undo_cwnd || c->ca_state == XT_CA_LOSS || c->undo_rtx == 0)
        return;
    c->undo_rtx = (uint16_t)(c->undo_rtx > segs ? c->undo_rtx - segs : 0);
    if (c->undo_rtx > 0)
        return;
    c->cwnd = xt_u32_max(c->cwnd, c->undo_cwnd);
    c->ssthresh = xt_u32_max(c->ssthresh, c->undo_ssthresh);
    c->undo_cwnd = 0;
    c->dupthresh = (uint8_t)xt_u32_min(2u * c->dupthresh, UINT8_MAX);
    stats->undone_recoveries++;
}

/* A block that tells of data received twice (RFC 2883 section 4). */
static bool is_dsack(const struct xt_in *in, unsigned i)
{
    const struct xt_sack_block *b = in->seg->opt.sack;
    if (i != 0)
        return false;
    if (xt_seq_le(b[0].right, in->seg->ack))
        return true;
    return in->seg->opt.nsack > 1 && xt_seq_ge(b[0].left, b[1].left) && xt_seq_le(b[0].right, b[1].right);
}

bool xt_recovery_sack(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    const struct xt_tcp_opts *opt = &in->seg->opt;
    bool news = false;
    for (unsigned i = 0; i < opt->nsack && i < XT_SACK_MAX; i++) {
        uint32_t left = opt->sack[i].left, right = opt->sack[i].right;
        if (!xt_seq_lt(left, right))
            continue;
        if (is_dsack(in, i)) {
            duplicate_reported(c, in->ctx->stats, right - left);
            continue;
        }
        if (xt_seq_le(left, c->snd_una) || xt_seq_gt(right, c->snd_nxt))
            continue; /* old, or of what was never sent */
        if (xt_range_add(c->sacked, &c->n_sacked, XT_SACKED_MAX, left, right) > 0)
            news = true;
    }
    return news;
}

static void leave_recovery(struct xt_conn *c)
{
    c->ca_state = XT_CA_OPEN;
    c->dupacks = 0;
}

/* RFC 6582 section 3.2 step 3 (partial acknowledgment) and its end; RFC 6675 section 5 steps A to C. */
static void acked_in_recovery(struct xt_conn *c, uint32_t bytes)
{
    if (xt_seq_ge(c->snd_una, c->recover)) {
        if (!has_sack(c))
            c->cwnd = xt_u32_min(c->ssthresh, xt_u32_max(c->snd_nxt - c->snd_una, c->mss_eff) + c->mss_eff);
        leave_recovery(c);
        return;
    }
    c->high_rxt = xt_seq_max(c->high_rxt, c->snd_una);
    if (!has_sack(c)) {
        uint32_t gone = bytes / c->mss_eff;
        c->dupacks = (uint16_t)(c->dupacks >= gone ? c->dupacks - gone + 1 : 1);
        c->high_rxt = c->snd_una;
        c->pending |= XT_PEND_RTX;
    }
}

/* The ACK that ends the doubt about a time-out: if it echoes a time stamp from before the retransmission, the first
 * transmission had arrived and the time-out was needless (Eifel, RFC 3522 and RFC 4015). */
static bool undo(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    uint32_t cwnd = c->undo_cwnd;
    c->undo_cwnd = 0;
    if (!cwnd || !(c->opts & XT_OPT_TS) || !in->seg->opt.tsecr || !xt_seq_lt(in->seg->opt.tsecr, c->rxt_ms))
        return false;
    c->cwnd = cwnd;
    c->ssthresh = c->undo_ssthresh;
    leave_recovery(c);
    in->ctx->stats->undone_timeouts++;
    return true;
}

void xt_recovery_acked(struct xt_in *in, uint32_t bytes)
{
    struct xt_conn *c = in->c;
    switch (c->ca_state) {
    case XT_CA_RECOVERY:
        acked_in_recovery(c, bytes);
        return;
    case XT_CA_LOSS:
        if (undo(in))
            break;
        c->high_rxt = xt_seq_max(c->high_rxt, c->snd_una);
        if (xt_seq_ge(c->snd_una, c->recover))
            leave_recovery(c);
        break;
    default:
        c->dupacks = 0;
        c->ca_state = c->n_sacked ? XT_CA_DISORDER : XT_CA_OPEN;
        if (c->n_sacked && lost_edge(c) != c->snd_una)
            enter_recovery(c, in->ctx);
    }
    if (c->cflags & XT_CF_CWND_LIM)
        xt_cc_of(c)->acked(c, in->ctx, bytes);
}

void xt_recovery_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t undo_cwnd = c->ca_state == XT_CA_LOSS ? c->undo_cwnd : 0;
    if (c->ca_state != XT_CA_LOSS) {
        undo_cwnd = c->ca_state == XT_CA_RECOVERY ? 0 : c->cwnd;
        c->undo_ssthresh = c->ssthresh;
        c->rxt_ms = xt_now_ms(ctx);
        c->ssthresh = xt_cc_of(c)->ssthresh(c, xt_u32_min(c->snd_nxt - c->snd_una, c->cwnd));
    }
    /* A peer may take back what it SACKed (RFC 2018 section 8): believe it no more when that did not help. */
    if (c->timeouts > 1 || (c->n_sacked && c->sacked[0].left == c->snd_una))
        c->n_sacked = 0;
    c->cwnd = c->mss_eff;
    c->cc_acked = 0;
    c->dupthresh = DUPTHRESH;
    c->cflags |= XT_CF_CWND_LIM;
    xt_recovery_resend(c);
    c->undo_cwnd = undo_cwnd;
}

void xt_recovery_resend(struct xt_conn *c)
{
    c->ca_state = XT_CA_LOSS;
    c->recover = c->snd_nxt;
    c->high_rxt = c->snd_una;
    c->dupacks = 0;
    c->undo_cwnd = 0;
    c->undo_rtx = 0;
    c->rtt_start = 0;
    c->pending |= XT_PEND_RTX;
}
