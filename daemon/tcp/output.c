/* SPDX-License-Identifier: Apache-2.0
 * What to send next, and whether to send it now: window, congestion window, silly-window avoidance and Nagle's algorithm
 * (RFC 9293 sections 3.7.4, 3.8.4, 3.8.6.2.1). */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/emit.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rtt.h"
#include "daemon/tcp/sack.h"

/* One call's view. */
struct out {
    struct xt_conn *c;
    const struct xt_tcp_ctx *ctx;
    struct xt_seg *seg;
    uint32_t mss; /* payload of a full segment beside the SACK blocks it carries */
    uint32_t max; /* payload of a super-segment, a multiple of mss */
    bool blocked; /* by the peer's window */
};

/* States in which data or a FIN may be on its way. */
static bool may_send(const struct xt_conn *c)
{
    return c->state >= XT_ESTABLISHED && c->state <= XT_LAST_ACK;
}

static uint32_t cwnd_room(const struct xt_conn *c)
{
    uint32_t pipe = xt_recovery_pipe(c);
    return c->cwnd > pipe ? c->cwnd - pipe : 0;
}

/* May the last, not full segment of the queue go? Nagle's algorithm in Minshall's form: not while an earlier small segment
 * is unacknowledged. What TCP_CORK holds goes after a while. */
static bool push_ok(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (c->cflags & XT_CF_SHUT)
        return true;
    if (c->opt.cork && !(c->cflags & XT_CF_CORK_DUE)) {
        if (!xt_timer_on(c, XT_TIMER_CORK))
            c->timer[XT_TIMER_CORK] = ctx->now_us + XT_CORK_US;
        return false;
    }
    return c->opt.nodelay || xt_seq_le(c->snd_sml, c->snd_una);
}

/* Keeps note of whether cwnd is what bounds the sender: only then may it grow. */
static void note_limit(struct xt_conn *c, uint32_t inflight, bool drained)
{
    uint32_t need = c->cwnd < c->ssthresh ? c->cwnd / 2 : c->cwnd - xt_u32_min(c->cwnd, c->mss_eff);
    if (inflight > need)
        c->cflags |= XT_CF_CWND_LIM;
    else if (drained)
        c->cflags &= ~(uint32_t)XT_CF_CWND_LIM;
}

/* How much of the `data` bytes that wait may go now, 0 for nothing. */
static uint32_t new_len(struct out *o, uint32_t data, uint32_t usable, uint32_t room)
{
    struct xt_conn *c = o->c;
    uint32_t n = xt_u32_min(data, usable);
    if (n > room) {
        c->cflags |= XT_CF_CWND_LIM;
        if (room < o->mss)
            return 0;
        n = room;
    }
    n = xt_u32_min(n, o->max);
    uint32_t part = n < o->mss ? n : n % o->mss; // NOLINT(clang-analyzer-core.DivideZero): the MSS is never 0
    if (part == 0)
        return n;
    if (n == data)
        return push_ok(c, o->ctx) ? n : n - part;
    /* Cut short by the window: a part of a segment only when it is half of the largest window ever seen (3.8.6.2.1). */
    if (n > part)
        return n - part;
    if (n == usable && n >= c->snd_wnd_max / 2)
        return n;
    o->blocked = n == usable;
    return 0;
}

static int send_new(struct out *o)
{
    struct xt_conn *c = o->c;
    uint32_t seq = c->snd_nxt;
    if (xt_send_end(c) == seq)
        return 0;
    uint32_t used = seq - c->snd_una, data = xt_data_end(c) - seq;
    if (used >= c->snd_wnd) {
        o->blocked = true;
        return 0;
    }
    if (used == 0 && xt_now_ms(o->ctx) - c->t_snd_ms > c->rto / 1000 && c->bytes_sent)
        xt_cc_of(c)->idle(c, o->ctx->cfg);
    uint32_t usable = c->snd_wnd - used, room = cwnd_room(c);
    uint32_t n = data ? new_len(o, data, usable, room) : 0;
    bool fin = n == data && (c->cflags & XT_CF_SHUT) && usable > n;
    if (n == 0 && !fin)
        return 0;
    if (n % o->mss)
        c->snd_sml = seq + n;
    xt_emit_data(c, o->ctx, o->seg, seq, n + fin, o->mss);
    c->cflags &= ~(uint32_t)XT_CF_CORK_DUE;
    note_limit(c, c->cwnd - room + n, n == data);
    return 1;
}

/* Sends [left, right) again, or the first part of it; `forced`: one segment whatever cwnd says. */
static int send_again(struct out *o, uint32_t left, uint32_t right, bool forced)
{
    struct xt_conn *c = o->c;
    uint32_t edge = c->snd_una + c->snd_wnd, n;
    /* Not beyond the peer's window, should it have shrunk (SHLD-16). */
    if (xt_seq_gt(right, edge))
        right = edge;
    if (!xt_seq_lt(left, right))
        return 0;
    n = right - left;
    if (forced) {
        n = xt_u32_min(n, o->mss);
    } else {
        uint32_t room = cwnd_room(c);
        if (room < xt_u32_min(n, o->mss))
            return 0;
        n = xt_u32_min(n, room < o->max ? room - (n > room ? room % o->mss : 0) : o->max);
    }
    xt_emit_data(c, o->ctx, o->seg, left, n, o->mss);
    c->high_rxt = xt_seq_max(c->high_rxt, left + n);
    return 1;
}

/* One segment at SND.UNA, up to what the peer has of it. After a probe it may take new data along, for the single octet is
 * hardly worth a segment. */
static int send_forced(struct out *o)
{
    struct xt_conn *c = o->c;
    uint32_t right = c->snd_una + o->mss, have = c->snd_nxt;
    c->pending &= (uint16_t)~XT_PEND_RTX;
    if (c->snd_una == c->snd_nxt)
        return 0;
    if (c->snd_nxt - c->snd_una == 1)
        have = xt_send_end(c);
    right = xt_seq_min(right, have);
    if (c->n_sacked)
        right = xt_seq_min(right, c->sacked[0].left);
    c->high_rxt = xt_seq_max(c->high_rxt, c->snd_una);
    return send_again(o, c->snd_una, right, true);
}

/* An octet beyond the peer's closed window, or as much as a silly window takes (RFC 9293 section 3.8.6.1). */
static int send_probe(struct out *o)
{
    struct xt_conn *c = o->c;
    c->pending &= (uint16_t)~XT_PEND_PROBE;
    uint32_t n = xt_send_end(c) - c->snd_una;
    if (n == 0)
        return 0;
    n = xt_u32_min(n, xt_u32_min(o->mss, xt_u32_max(c->snd_wnd, 1)));
    xt_emit_data(c, o->ctx, o->seg, c->snd_una, n, o->mss);
    c->rtt_start = 0;
    if (c->snd_wnd == 0) {
        c->timer[XT_TIMER_RTO] = 0;
        c->cflags |= XT_CF_PROBE;
    } else {
        c->timer[XT_TIMER_PERSIST] = 0;
    }
    o->ctx->stats->probes_sent++;
    return 1;
}

static int send_data(struct out *o)
{
    struct xt_conn *c = o->c;
    uint32_t left, right;
    if (xt_syn_in_flight(c)) {
        c->pending &= (uint16_t) ~(XT_PEND_PROBE | XT_PEND_RTX);
        return send_new(o);
    }
    if ((c->pending & XT_PEND_PROBE) && send_probe(o))
        return 1;
    if ((c->pending & XT_PEND_RTX) && send_forced(o))
        return 1;
    if (xt_recovery_next(c, &left, &right) && send_again(o, left, right, false))
        return 1;
    if (send_new(o))
        return 1;
    if (c->ca_state == XT_CA_RECOVERY && cwnd_room(c) >= o->mss && xt_recovery_spare(c, &left, &right)) {
        bool rescue = c->cflags & XT_CF_RESCUED && right == c->snd_nxt;
        uint32_t high = c->high_rxt;
        int sent = send_again(o, left, right, true);
        if (rescue)
            c->high_rxt = high; /* RescueRxt is not HighRxt */
        return sent;
    }
    return 0;
}

/* Nothing can go. Whatever is queued or in flight must have a timer that brings us back. */
static void arm(struct out *o)
{
    struct xt_conn *c = o->c;
    if (xt_timer_on(c, XT_TIMER_RTO) || xt_timer_on(c, XT_TIMER_PERSIST))
        return;
    if (c->snd_una != c->snd_nxt)
        xt_timer_rto_arm(c, o->ctx);
    else if (o->blocked)
        c->timer[XT_TIMER_PERSIST] = o->ctx->now_us + xt_tcp_rto(c, o->ctx->cfg);
}

static void emit_reset(struct out *o)
{
    struct xt_conn *c = o->c;
    xt_reset_make(c, o->ctx, o->seg);
    memset(c->timer, 0, sizeof c->timer);
    c->pending = 0;
    c->cflags |= XT_CF_RESET;
    c->timer[XT_TIMER_WAIT] = o->ctx->now_us;
}

/* What goes before data. */
static int send_special(struct out *o)
{
    struct xt_conn *c = o->c;
    if (c->pending & XT_PEND_RST)
        emit_reset(o);
    else if (c->pending & XT_PEND_SYN)
        xt_emit_syn(c, o->ctx, o->seg);
    else if (c->pending & XT_PEND_DUP)
        xt_emit_ack(c, o->ctx, o->seg, xt_snd_acceptable(c));
    else
        return 0;
    return 1;
}

int xt_tcp_output(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out, uint32_t max_len)
{
    struct out o = {.c = c, .ctx = ctx, .seg = out};
    if (c->pending && send_special(&o))
        return 1;
    if (may_send(c)) {
        o.mss = c->mss_eff - (c->n_ooo || (c->cflags & XT_CF_DSACK) ? xt_sack_optlen(c) : 0);
        uint32_t max = max_len ? max_len : ctx->cfg->gso_max;
        o.max = max > o.mss ? max - max % o.mss : o.mss;
        if (c->tx_urg > c->tx_una || (c->cflags & XT_CF_CWR))
            o.max = o.mss; /* the urgent pointer of each segment is its own; CWR is said once */
        if (send_data(&o))
            return 1;
        arm(&o);
    }
    if (c->pending & XT_PEND_ACK) {
        xt_emit_ack(c, ctx, out, xt_snd_acceptable(c));
        return 1;
    }
    if (c->pending & XT_PEND_KEEP) {
        /* A sequence number already acknowledged and no data (SHLD-12): the peer must answer with an ACK. */
        c->pending &= (uint16_t)~XT_PEND_KEEP;
        ctx->stats->keep_probes_sent++;
        xt_emit_ack(c, ctx, out, c->snd_una - 1);
        return 1;
    }
    return 0;
}

bool xt_tcp_wants_output(const struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    (void)ctx;
    if (c->pending)
        return true;
    return may_send(c) && (xt_send_end(c) != c->snd_nxt || c->ca_state >= XT_CA_RECOVERY);
}
