/* SPDX-License-Identifier: Apache-2.0
 * What the files of the TCP core share and nobody else sees. */
#ifndef XT_TCP_INTERNAL_H
#define XT_TCP_INTERNAL_H

#include <errno.h>
#include <string.h>

#include "daemon/tcp/due.h"
#include "daemon/tcp/fsm.h"
#include "daemon/tcp/seldom.h"
#include "daemon/tcp/sent.h"
#include "daemon/tcp/seq.h"
#include "daemon/tcp/tcp.h"

#define XT_R1 3               /* retransmissions before the path is doubted (SHLD-10) */
#define XT_MSS_EFF_MIN 36     /* what time stamps leave of it */
#define XT_MSS_MIN 48         /* smallest MSS believed, as Linux: less only serves to make us send tiny segments */
#define XT_MSS_DEFAULT 536    /* RFC 9293 section 3.7.1 (MUST-15) */
#define XT_MSS_DEFAULT6 1220  /* likewise, IPv6 */
#define XT_RING_DEFAULT 65536 /* receive space assumed before the ring exists */
#define XT_CORK_US 200000     /* how long TCP_CORK holds a partial segment */
#define XT_SYN_RTO_US 3000000 /* RTO after a retransmitted SYN (RFC 6298 section 5.7) */
#define XT_RACK_RTT_MAX_US (1u << 30) /* half of what ticks tell apart (sent.h) */
#define XT_CHALLENGE_MS 500 /* from one to the next: ten in five seconds (RFC 5961 section 7), spread as by Linux */
#define XT_PACE_LATE_MAX_US 25000u
#define XT_PAWS_IDLE_MS 2073600000 /* 24 days (RFC 7323 section 5.5) */

/* A segment on its way through RFC 9293 section 3.10.7.4: what is left of it after trimming, and what came of it. */
struct xt_in {
    struct xt_conn *c;
    const struct xt_tcp_ctx *ctx;
    const struct xt_seg *seg;
    uint32_t skip; /* bytes of the payload that were cut off at its beginning */
    uint32_t seq, len;
    uint32_t ev; /* XT_EV_* so far */
    uint8_t flags;
    bool reset; /* *reply is to be sent */
    struct xt_seg *reply;
};

static inline uint32_t xt_now_ms(const struct xt_tcp_ctx *ctx)
{
    return ctx->now_ms;
}

/* A time for xt_conn.pace_next that nothing is made up for from. */
static inline uint32_t xt_pace_long_ago(const struct xt_tcp_ctx *ctx)
{
    return (uint32_t)ctx->now_us - XT_PACE_LATE_MAX_US - 1;
}

/* A time for xt_conn.rtt_start: not 0. */
static inline uint32_t xt_rtt_stamp(const struct xt_tcp_ctx *ctx)
{
    uint32_t now = (uint32_t)ctx->now_us;
    return now ? now : UINT32_MAX;
}

/* Sequence number after the last byte written by the application: that of our FIN. */
static inline uint32_t xt_data_end(const struct xt_conn *c)
{
    return c->iss + 1 + (uint32_t)c->tx_head;
}

/* Sequence number after all there is to send, FIN included. */
static inline uint32_t xt_send_end(const struct xt_conn *c)
{
    return xt_data_end(c) + ((c->cflags & XT_CF_SHUT) != 0);
}

/* Stream offset in the send ring of a sequence number at or above SND.UNA. */
static inline uint64_t xt_tx_offset(const struct xt_conn *c, uint32_t seq)
{
    return c->tx_una + (seq - (c->iss + 1 + (uint32_t)c->tx_una));
}

static inline uint32_t xt_rcv_wnd(const struct xt_conn *c)
{
    return c->rcv_adv - c->rcv_nxt;
}

static inline uint32_t xt_rcv_size(const struct xt_conn *c)
{
    return c->rx_size ? c->rx_size : XT_RING_DEFAULT;
}

/* Room in the receive ring after rx_head, in bytes. */
static inline uint32_t xt_rcv_space(const struct xt_conn *c)
{
    uint64_t used = c->rx_head - c->rx_tail;
    uint32_t size = xt_rcv_size(c);
    return used < size ? size - (uint32_t)used : 0;
}

/* Our SYN is out and not acknowledged: in SYN_RECV, and in FIN_WAIT1 when the application closed that early. */
static inline bool xt_syn_in_flight(const struct xt_conn *c)
{
    return c->snd_una == c->iss && c->tx_una == 0 && c->state >= XT_SYN_RECV;
}

/* Sequence number for a segment that carries no data: SND.NXT, but not beyond the peer's window. A peer with a closed window
 * that got an octet of a probe, or lost what was in flight, would find SND.NXT unacceptable and ignore the ACK and window
 * with it; two ends that do so to each other are stuck. */
static inline uint32_t xt_snd_acceptable(const struct xt_conn *c)
{
    uint32_t edge = c->snd_una + c->snd_wnd;
    if (c->state < XT_ESTABLISHED || xt_seq_le(c->snd_nxt, edge))
        return c->snd_nxt;
    /* A scaled window is rounded down: what was sent by an earlier one may lie that little beyond it. */
    if (!(c->cflags & XT_CF_PROBE) && c->snd_nxt - edge < 1u << c->snd_wscale)
        return c->snd_nxt;
    return edge;
}

/* MSG_MORE holds nothing back any longer. */
static inline void xt_more_over(struct xt_conn *c)
{
    c->cflags &= ~(uint32_t)XT_CF_MORE;
    if (!c->opt.cork)
        xt_timer_stop(c, XT_TIMER_CORK);
}

/* synsent.c: a segment in SYN_SENT. */
void xt_in_syn_sent(struct xt_in *in);

/* input.c: urgent pointer, text and FIN. */
void xt_in_rest(struct xt_in *in);

/* ack.c: the ACK field. False: the segment is to be dropped. */
bool xt_in_check_ack(struct xt_in *in);

/* input.c: the long way of xt_tcp_input(), which is in fast.c. */
uint32_t xt_in_slow(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg, struct xt_seg *reply,
                    int *reply_len);

/* What an ACK tells of what we sent. */
struct xt_ack {
    struct xt_sent_news news; /* `delivered`: bytes that arrived, by SACK or in order */
    struct xt_conn *c;
    const struct xt_tcp_ctx *ctx;
    const struct xt_seg *seg;
    uint32_t bytes;     /* newly acknowledged in order */
    uint32_t ce_segs;   /* segments of `news.delivered`, if it echoes a congestion mark */
    uint32_t lost;      /* bytes that count as lost since this ACK */
    bool dup;           /* a duplicate ACK by RFC 5681's definition */
    bool dsack;         /* reports a duplicate */
    bool sack;          /* SACKs something new */
    bool first_arrived; /* something that counted as lost had arrived when it was sent first */
};

/* recovery.c: loss recovery. */
void xt_recovery_begin(struct xt_ack *a, struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg);
/* SND.UNA has moved from `una` to the segment's ACK. */
void xt_recovery_advance(struct xt_ack *a, uint32_t una);
/* The rest, after SND.UNA and the window are up to date. */
void xt_recovery_ack(struct xt_ack *a);
void xt_recovery_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
/* The reordering timer. */
void xt_recovery_reorder_timer(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
/* One reduction of the windows for a loss that is repaired already, as an ACK of `acked` bytes tells. */
void xt_recovery_reduce(struct xt_conn *c, uint32_t acked);
/* Bytes in flight: neither delivered nor lost. */
uint32_t xt_recovery_count_pipe(const struct xt_conn *c);
static inline uint32_t xt_recovery_pipe(const struct xt_conn *c)
{
    return c->ca_state == XT_CA_OPEN ? c->snd_nxt - c->snd_una : xt_recovery_count_pipe(c);
}
/* The next stretch [*left, *right) that counts as lost; in a recovery only. */
bool xt_recovery_next(const struct xt_conn *c, uint32_t *left, uint32_t *right);
/* Something to send again though nothing more counts as lost: rules 3 and 4 of RFC 6675's NextSeg(). */
bool xt_recovery_spare(struct xt_conn *c, uint32_t *left, uint32_t *right);
/* The path lost everything in flight but not through congestion (its MTU sank): send it again. */
void xt_recovery_resend(struct xt_conn *c);
/* What fast recovery repairs was lost, but not through congestion: it goes on with the windows from before it. */
void xt_recovery_forgive(struct xt_conn *c);

static inline bool xt_has_sack(const struct xt_conn *c)
{
    return c->opts & XT_OPT_SACK_OK;
}

static inline bool xt_has_rack(const struct xt_conn *c)
{
    return xt_has_sack(c) && c->recovery == XT_RECOVERY_RACK;
}

/* rack.c: loss detection by time, and the tail loss probe. */
void xt_rack_seen(struct xt_sent_news *news, const struct xt_flight *s, uint32_t bytes, uint32_t end);
/* Adapts the reordering window to what the ACK reports. */
void xt_rack_adapt(const struct xt_ack *a);
/* A recovery is over. */
void xt_rack_recovered(struct xt_conn *c);
/* Marks what is lost, sets the reordering timer for what may be. Returns the bytes newly marked. */
uint32_t xt_rack_detect(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
/* The retransmission time-out: marks all that has been out long enough. */
void xt_rack_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
/* Sets the timer of the tail loss probe, where there is a tail to probe. */
void xt_rack_pto_set(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
/* Likewise, or stops it where none is due. */
void xt_rack_pto_arm(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
void xt_rack_pto(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
/* Will the probe be new data? Else it is the last segment again. */
bool xt_rack_probe_is_new(const struct xt_conn *c);
/* The probe up to SND.NXT has left, with data sent before or with new. */
void xt_rack_probe_sent(struct xt_conn *c, const struct xt_tcp_ctx *ctx, bool again);
/* What the ACK means for a probe that is out. */
void xt_rack_probe_acked(struct xt_ack *a);

/* prr.c: Proportional Rate Reduction (RFC 6937 and its revision). `before`: delivered by the ACK that began recovery. */
void xt_prr_begin(struct xt_conn *c, uint32_t before);
/* Sets cwnd after an ACK that tells of `delivered` bytes; `safe`: SND.UNA moved and nothing more was lost. */
void xt_prr_acked(struct xt_conn *c, uint32_t delivered, bool safe);

/* ecn.c: explicit congestion notification (RFC 3168). */
/* Takes what the peer's SYN says of ECN. */
void xt_ecn_negotiate(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *syn);
/* What our own SYN or SYN+ACK says. */
uint8_t xt_ecn_syn_flags(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
/* The receiver's part: marks and CWR of an acceptable segment. */
void xt_ecn_received(struct xt_in *in);
/* The sender's part: the ACK carries ECE, and acknowledges `bytes`. */
void xt_ecn_echoed(struct xt_in *in, uint32_t bytes);
/* Data that was never sent before is marked as ECN-capable. */
void xt_ecn_mark(struct xt_conn *c, struct xt_seg *out);

/* pmtu.c: the path's MTU. */
/* The network says what fits. */
void xt_pmtu_told(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t mtu);
/* A retransmission time-out; may lower the MSS. */
void xt_pmtu_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
/* Payload of a segment to try with now, when `data` bytes wait and `room` may be sent; 0: none. */
uint32_t xt_pmtu_probe_len(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t data, uint32_t room);
/* Such a segment was sent, of `n` bytes up to `end`. */
void xt_pmtu_probing(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t n, uint32_t end);
/* SND.UNA moved while one is in flight. */
void xt_pmtu_acked(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
/* [left, right) is sent again while one is in flight. */
void xt_pmtu_resent(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t left, uint32_t right);

/* reass.c: payload to its place. */
void xt_in_text(struct xt_in *in);
/* `len` bytes of the payload, after the first `skip`, to stream offset `off` of the ring `rx`, where there is room. */
void xt_text_put(const struct xt_conn *c, uint8_t *rx, const struct xt_seg *seg, uint32_t skip, uint64_t off,
                 uint32_t len);

/* window.c */
/* The value of the window field with SYN; likewise moves rcv_adv. */
uint16_t xt_window_offer_syn(struct xt_conn *c);
bool xt_window_update_due(const struct xt_conn *c);
/* The peer's window is probably small again (a pause, a loss): as at the start, segments are acknowledged one by one. */
static inline void xt_window_quick_acks(struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    if (c->quick < cfg->quickack)
        c->quick = cfg->quickack;
}
/* Asks for a challenge ACK or another ACK that anybody can provoke, within the rate limit. */
uint32_t xt_window_challenge(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* fastopen.c: TCP Fast Open (RFC 7413). */
/* What our SYN or SYN+ACK `out` carries for it. */
void xt_fo_emit(struct xt_conn *c, struct xt_seg *out);
/* The SYN+ACK tells what became of the data in our SYN: what it does not acknowledge counts as never sent. */
void xt_fo_synack(struct xt_in *in);

/* A child that may send and receive though its handshake is not over. */
static inline bool xt_fo_early(const struct xt_conn *c)
{
    return c->state == XT_SYN_RECV && (c->fo & XT_FO_CHILD);
}

/* open.c */
/* The smallest shift that can offer a ring of `rx_size` bytes, and what it may grow to (cfg->rcv_max). */
uint8_t xt_open_wscale(const struct xt_tcp_cfg *cfg, uint32_t rx_size);
void xt_open_negotiate(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *syn);
void xt_open_set_mss(struct xt_conn *c);
void xt_open_ready(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
uint32_t xt_open_established(struct xt_conn *c, const struct xt_tcp_ctx *ctx, enum xt_fsm_event event);

/* timer.c */
void xt_timer_rto_arm(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
void xt_timer_keep_arm(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
void xt_timer_finwait2_arm(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
uint32_t xt_timer_give_up(struct xt_conn *c, const struct xt_tcp_ctx *ctx, int err);

/* user.c: a reset from this connection. */
void xt_reset_make(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *reply);

#endif
