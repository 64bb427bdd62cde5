/* SPDX-License-Identifier: Apache-2.0
 * What to send next, and whether to send it now: window, congestion window, silly-window avoidance and Nagle's algorithm
 * (RFC 9293 sections 3.7.4, 3.8.4, 3.8.6.2.1). */
#include "daemon/tcp/both.h"
#include "daemon/tcp/cc.h"
#include "daemon/tcp/emit.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rate.h"
#include "daemon/tcp/rtt.h"
#include "daemon/tcp/sack.h"
#include "daemon/tcp/tally.h"

#define PACE_LATE_MIN_US 1000u
#define PACE_WAIT_MAX_US 1000000u
#define PACE_SILENCE_MS 2000u

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
    return (c->state >= XT_ESTABLISHED && c->state <= XT_LAST_ACK) || xt_fo_early(c);
}

static uint32_t cwnd_room(const struct xt_conn *c)
{
    uint32_t pipe = xt_recovery_pipe(c) - xt_syn_in_flight(c);
    return c->cwnd > pipe ? c->cwnd - pipe : 0;
}

/* May the last, not full segment of the queue go? Nagle's algorithm in Minshall's form: not while an earlier small segment
 * is unacknowledged. What TCP_CORK or MSG_MORE holds goes after a while. */
static bool push_ok(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if ((c->cflags & XT_CF_SHUT) || xt_tx_urg(c) > c->tx_una)
        return true; /* nothing will be added; what is urgent waits for nobody */
    if (c->cflags & XT_CF_CORK_DUE)
        return true;
    if (c->opt.cork || (c->cflags & XT_CF_MORE)) {
        if (!xt_timer_on(c, XT_TIMER_CORK))
            xt_timer_set(c, XT_TIMER_CORK, ctx->now_us + XT_CORK_US);
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

/* A single segment, larger than all others so far, that tries whether the path takes it. */
static int send_mtu_probe(struct out *o, uint32_t data, uint32_t room)
{
    struct xt_conn *c = o->c;
    uint32_t n = xt_pmtu_probe_len(c, o->ctx, data, room);
    if (n <= o->mss)
        return 0;
    xt_emit_data(c, o->ctx, o->seg, c->snd_nxt, n, n);
    xt_pmtu_probing(c, o->ctx, n, c->snd_nxt);
    return 1;
}

static int send_new(struct out *o)
{
    struct xt_conn *c = o->c;
    uint32_t seq = c->snd_nxt;
    if (xt_send_end(c) == seq)
        return 0;
    uint32_t used = seq - c->snd_una - xt_syn_in_flight(c), data = xt_data_end(c) - seq;
    if (used >= c->snd_wnd) {
        o->blocked = true;
        return 0;
    }
    if (used == 0 && xt_now_ms(o->ctx) - c->t_snd_ms > c->rto / 1000 && c->tx_una)
        xt_cc_of(c)->idle(c, o->ctx);
    uint32_t usable = c->snd_wnd - used, room = cwnd_room(c);
    if (c->mss_path < c->mss_local && send_mtu_probe(o, data, xt_u32_min(usable, room)))
        return 1;
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
    uint32_t left, sacked;
    if (xt_sent_find(c, XT_SENT_BIT(XT_SENT_SACKED), c->snd_una, &sacked, &left) && sacked != c->snd_una)
        right = xt_seq_min(right, sacked);
    return send_again(o, c->snd_una, right, true);
}

/* RFC 9293 section 3.8.6.1: as much as a silly window takes. With the window closed and nothing in flight a sequence number
 * already acknowledged, and no data: the peer must answer with its window, and nothing is left beyond that window that would have
 * to be sent again, or make our own ACKs unacceptable to the peer; as Linux does. With data in flight, behind which the window
 * was closed, the first segment of that. */
static int send_probe(struct out *o)
{
    struct xt_conn *c = o->c;
    c->pending &= (uint16_t)~XT_PEND_PROBE;
    uint32_t n = xt_send_end(c) - c->snd_una;
    if (n == 0)
        return 0;
    o->ctx->stats->probes_sent++;
    if (c->snd_wnd == 0 && c->snd_una == c->snd_nxt) {
        bool owed = (c->pending & XT_PEND_ACK) || xt_timer_on(c, XT_TIMER_DELACK); /* nobody looks at a probe's ACK */
        xt_emit_ack(c, o->ctx, o->seg, c->snd_una - 1);
        c->pending |= owed ? XT_PEND_ACK : 0;
        return 1;
    }
    n = xt_u32_min(n, xt_u32_min(o->mss, c->snd_wnd ? c->snd_wnd : c->snd_nxt - c->snd_una));
    xt_rate_app_limited(c); /* how fast such octets arrive says nothing of the path */
    xt_emit_data(c, o->ctx, o->seg, c->snd_una, n, o->mss);
    o->seg->ecn = 0; /* RFC 3168 section 6.1.6 */
    c->rtt_start = 0;
    if (c->snd_wnd == 0) {
        xt_timer_stop(c, XT_TIMER_RTO);
        c->cflags |= XT_CF_PROBE;
    } else {
        xt_timer_stop(c, XT_TIMER_PERSIST);
    }
    return 1;
}

/* The tail loss probe: new data if there is some that the peer takes, else the last segment again (RFC 8985 section 7.3). */
static int send_tail_probe(struct out *o)
{
    struct xt_conn *c = o->c;
    c->pending &= (uint16_t)~XT_PEND_TLP;
    uint32_t edge = c->snd_una + c->snd_wnd, left = c->snd_nxt, n = xt_send_end(c) - left;
    bool again = !xt_rack_probe_is_new(c);
    if (c->snd_una == c->snd_nxt || xt_seq_gt(left, edge))
        return 0;
    if (again) {
        n = xt_u32_min(c->snd_nxt - c->snd_una, o->mss);
        left = c->snd_nxt - n;
    } else {
        n = xt_u32_min(n, xt_u32_min(o->mss, edge - left));
        if (n % o->mss)
            c->snd_sml = left + n;
    }
    xt_emit_data(c, o->ctx, o->seg, left, n, o->mss);
    xt_rack_probe_sent(c, o->ctx, again);
    return 1;
}

/* Microseconds until the next segment may leave, at most PACE_WAIT_MAX_US; 0: it may now. */
static inline uint32_t pace_wait(const struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t wait = (uint32_t)c->pace_next - (uint32_t)ctx->now_us;
    return wait <= PACE_WAIT_MAX_US ? wait : 0;
}

/* Holds data back until the pacing rate allows it, and bounds a burst to what the rate gives in a millisecond. What is
 * forced (a probe, the first retransmission) is not held back. */
static bool paced(struct out *o)
{
    struct xt_conn *c = o->c;
    uint64_t rate = xt_cc_may_pace(c) ? xt_cc_pacing_rate(c) : 0;
    if (rate == 0)
        return false;
    /* 71 minutes after it was written pace_next would seem to be ahead again. */
    if (xt_now_ms(o->ctx) - c->t_snd_ms > PACE_SILENCE_MS && c->snd_nxt != xt_send_end(c))
        c->pace_next = xt_pace_long_ago(o->ctx);
    uint32_t wait = pace_wait(c, o->ctx);
    if (wait > 0) {
        xt_timer_set(c, XT_TIMER_PACE, o->ctx->now_us + wait);
        return true;
    }
    uint64_t quantum = rate / 1000 / o->mss * o->mss;
    o->max = xt_u32_min(o->max, quantum > 2u * o->mss ? (uint32_t)quantum : 2 * o->mss);
    return false;
}

/* `len` bytes left: the next may go when they have passed at the pacing rate. A timer that comes late is made up for, up to
 * a round-trip time: that much the ACK clock too would let go at once after a stall. A process among others is often
 * later than a kernel's timer; were the time lost, so would be the rate, and with it the estimate of what the path gives.
 * No wait is longer than a second, whatever the rate is: it may have risen since, and retransmissions that were not held
 * back may have added to it. */
static void pace(struct out *o, uint32_t len)
{
    struct xt_conn *c = o->c;
    uint64_t rate = len > 0 && xt_cc_may_pace(c) ? xt_cc_pacing_rate(c) : 0;
    if (rate == 0)
        return;
    uint32_t now = (uint32_t)o->ctx->now_us, behind = now - (uint32_t)c->pace_next,
             late = xt_u32_min(xt_u32_max(c->srtt, PACE_LATE_MIN_US), XT_PACE_LATE_MAX_US);
    int64_t from = pace_wait(c, o->ctx), took = (int64_t)(len * 1000000ull / rate); /* from now on */
    if (from == 0 && behind <= late)
        from = -(int64_t)behind;
    else if (from == 0) /* silence earns nothing */
        from = c->snd_nxt - c->snd_una > len ? -(int64_t)late : 0;
    c->pace_next = now + (uint32_t)(from + took < PACE_WAIT_MAX_US ? from + took : PACE_WAIT_MAX_US);
}

static int send_data(struct out *o)
{
    struct xt_conn *c = o->c;
    uint32_t left, right;
    if (xt_syn_in_flight(c)) {
        c->pending &= (uint16_t) ~(XT_PEND_PROBE | XT_PEND_RTX | XT_PEND_TLP);
        return send_new(o);
    }
    if ((c->pending & XT_PEND_PROBE) && send_probe(o))
        return 1;
    if ((c->pending & XT_PEND_RTX) && send_forced(o))
        return 1;
    if ((c->pending & XT_PEND_TLP) && send_tail_probe(o))
        return 1;
    if (paced(o))
        return 0;
    if (c->ca_state >= XT_CA_RECOVERY && xt_recovery_next(c, &left, &right) && send_again(o, left, right, false))
        return 1;
    if (send_new(o))
        return 1;
    if (c->ca_state == XT_CA_RECOVERY && cwnd_room(c) >= o->mss && xt_recovery_spare(c, &left, &right))
        return send_again(o, left, right, true);
    return 0;
}

/* Nothing can go. Whatever is queued or in flight must have a timer that brings us back. */
static void arm(struct out *o)
{
    struct xt_conn *c = o->c;
    xt_tally_busy(c, o->ctx, o->blocked);
    if (c->snd_nxt == xt_send_end(c) && cwnd_room(c) > 0)
        xt_rate_app_limited(c);
    if (xt_timer_on(c, XT_TIMER_RTO) || xt_timer_on(c, XT_TIMER_PERSIST))
        return;
    if (c->snd_una != c->snd_nxt)
        xt_timer_rto_arm(c, o->ctx);
    else if (o->blocked)
        xt_timer_set(c, XT_TIMER_PERSIST, o->ctx->now_us + xt_tcp_rto(c, o->ctx->cfg));
}

static void emit_reset(struct out *o)
{
    struct xt_conn *c = o->c;
    xt_reset_make(c, o->ctx, o->seg);
    xt_timer_stop_all(c);
    c->pending = 0;
    c->cflags |= XT_CF_RESET;
    xt_timer_set_due(c, XT_TIMER_WAIT, o->ctx->now_us);
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

/* Whatever carries data or what goes before it; 0 for nothing. */
static int send_some(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out, uint32_t max_len)
{
    struct out o = {.c = c, .ctx = ctx, .seg = out};
    if (c->pending && send_special(&o))
        return 1;
    if (!may_send(c))
        return 0;
    o.mss = c->mss_eff - (c->n_ooo || (c->cflags & XT_CF_DSACK) ? xt_sack_optlen(c) : 0);
    uint32_t max = max_len ? max_len : ctx->cfg->gso_max;
    o.max = max > o.mss ? max - max % o.mss : o.mss;
    if (xt_tx_urg(c) > c->tx_una)
        o.max = o.mss; /* the urgent pointer of each segment is its own */
    if (send_data(&o)) {
        pace(&o, out->len);
        return 1;
    }
    arm(&o);
    return 0;
}

/* Where all that was written is acknowledged, as with who only receives, send_some() would find that out in many steps, and
 * leave the record as xt_rate_idle() does. */
static inline bool has_nothing(const struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    return c->state == XT_ESTABLISHED && c->ca_state == XT_CA_OPEN && !(c->pending & (uint16_t)~XT_PEND_ACK) &&
           !(c->cflags & XT_CF_SHUT) && c->tx_una == c->tx_head && pace_wait(c, ctx) == 0 &&
           c->tally.busy == XT_BUSY_NOT;
}

static inline void do_nothing(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
#ifdef XT_TCP_BOTH
    struct xt_both b;
    struct xt_seg none;
    xt_both_begin(&b, c, ctx);
    int sent = send_some(&b.conn, &b.ctx, &none, 0);
#endif
    xt_rate_idle(c);
#ifdef XT_TCP_BOTH
    xt_both_end(&b, c, ctx, "output", !sent);
#endif
}

/* An ACK or a keep-alive probe, which wait for data that might carry them. */
static int send_bare(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out)
{
    if (c->pending & XT_PEND_ACK)
        return xt_emit_ack(c, ctx, out, xt_snd_acceptable(c));
    if (c->pending & XT_PEND_KEEP) {
        /* A sequence number already acknowledged and no data (SHLD-12): the peer must answer with an ACK. */
        c->pending &= (uint16_t)~XT_PEND_KEEP;
        ctx->stats->keep_probes_sent++;
        return xt_emit_ack(c, ctx, out, c->snd_una - 1);
    }
    return 0;
}

static __attribute__((noinline)) int send_any(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out,
                                              uint32_t max_len)
{
    return send_some(c, ctx, out, max_len) || send_bare(c, ctx, out);
}

int xt_tcp_output(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out, uint32_t max_len)
{
    if (!has_nothing(c, ctx))
        return send_any(c, ctx, out, max_len);
    do_nothing(c, ctx);
    /* An ACK is all that may be pending; no window is too small for one at SND.NXT, which is SND.UNA. */
    return c->pending ? xt_emit_ack(c, ctx, out, c->snd_nxt) : 0;
}

bool xt_tcp_wants_output(const struct xt_conn *c)
{
    if (c->pending)
        return true;
    return may_send(c) && (xt_send_end(c) != c->snd_nxt || c->ca_state >= XT_CA_RECOVERY);
}
