/* SPDX-License-Identifier: Apache-2.0
 * What the files of the TCP core share and nobody else sees. */
#ifndef XT_TCP_INTERNAL_H
#define XT_TCP_INTERNAL_H

#include <errno.h>
#include <string.h>

#include "daemon/tcp/fsm.h"
#include "daemon/tcp/seq.h"
#include "daemon/tcp/tcp.h"

#define XT_R1 3                    /* retransmissions before the path is doubted (SHLD-10) */
#define XT_MSS_MIN 88              /* smallest MSS believed: less only serves to make us send tiny segments */
#define XT_MSS_DEFAULT 536         /* RFC 9293 section 3.7.1 (MUST-15) */
#define XT_MSS_DEFAULT6 1220       /* likewise, IPv6 */
#define XT_RING_DEFAULT 65536      /* receive space assumed before the ring exists */
#define XT_CORK_US 200000          /* how long TCP_CORK holds a partial segment */
#define XT_SYN_RTO_US 3000000      /* RTO after a retransmitted SYN (RFC 6298 section 5.7) */
#define XT_CHALLENGES_PER_S 10     /* RFC 5961 section 7 */
#define XT_PAWS_IDLE_MS 2073600000 /* 24 days (RFC 7323 section 5.5) */

/* A segment on its way through RFC 9293 section 3.10.7.4: what is left of it after trimming, and what came of it. */
struct xt_in {
    struct xt_conn *c;
    const struct xt_tcp_ctx *ctx;
    const struct xt_seg *seg;
    const uint8_t *payload;
    uint32_t seq, len;
    uint32_t ev; /* XT_EV_* so far */
    uint8_t flags;
    bool reset; /* *reply is to be sent */
    struct xt_seg *reply;
};

static inline uint32_t xt_now_ms(const struct xt_tcp_ctx *ctx)
{
    return (uint32_t)(ctx->now_us / 1000);
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

/* Room in the receive ring after rx_head, in bytes. */
static inline uint32_t xt_rcv_space(const struct xt_conn *c)
{
    uint64_t used = c->rx_head - c->rx_tail;
    uint32_t size = c->rx_size ? c->rx_size : XT_RING_DEFAULT;
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

static inline bool xt_timer_on(const struct xt_conn *c, enum xt_timer t)
{
    return c->timer[t] != 0;
}

/* ecn.c: explicit congestion notification (RFC 3168). */
/* The peer's SYN or SYN+ACK: is ECN agreed? */
void xt_ecn_negotiate(struct xt_conn *c, const struct xt_tcp_cfg *cfg, const struct xt_seg *syn);
/* Marks of an acceptable segment: CE of its IP header, CWR. */
void xt_ecn_input(struct xt_in *in);
/* An ACK moved SND.UNA by `bytes` or not; with ECE the window is halved, once for each window of data. */
void xt_ecn_acked(struct xt_in *in, uint32_t bytes);
/* Flags for an outgoing segment that is no data; and the marks of one that carries new data. */
uint8_t xt_ecn_flags(const struct xt_conn *c, const struct xt_tcp_cfg *cfg, uint8_t flags);
void xt_ecn_mark_data(struct xt_conn *c, struct xt_seg *out);

/* synsent.c: a segment in SYN_SENT. */
void xt_in_syn_sent(struct xt_in *in);

/* input.c: urgent pointer, text and FIN. */
void xt_in_rest(struct xt_in *in);

/* ack.c: the ACK field. False: the segment is to be dropped. */
bool xt_in_check_ack(struct xt_in *in);

/* recovery.c: loss detection and recovery. */
/* Takes the SACK blocks of a segment. True when they tell something new. */
bool xt_recovery_sack(struct xt_in *in);
/* `bytes` were newly acknowledged; SND.UNA and the scoreboard are up to date. */
void xt_recovery_acked(struct xt_in *in, uint32_t bytes);
/* A duplicate ACK. */
void xt_recovery_dup(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
void xt_recovery_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
/* Bytes in flight by RFC 6675's reckoning. */
uint32_t xt_recovery_pipe(const struct xt_conn *c);
/* The next stretch [*left, *right) that counts as lost and was not sent again. */
bool xt_recovery_next(const struct xt_conn *c, uint32_t *left, uint32_t *right);
/* Something to send again though nothing more counts as lost: rules 3 and 4 of NextSeg(). */
bool xt_recovery_spare(struct xt_conn *c, uint32_t *left, uint32_t *right);
/* The path lost everything in flight but not through congestion (its MTU sank): send it again. */
void xt_recovery_resend(struct xt_conn *c);

/* reass.c: payload to its place. Returns XT_EV_*. */
void xt_in_text(struct xt_in *in);

/* window.c */
uint16_t xt_window_offer(struct xt_conn *c, bool syn);
bool xt_window_update_due(const struct xt_conn *c);
void xt_window_ack_data(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t len, uint16_t gso_size);
/* Asks for a challenge ACK or another ACK that anybody can provoke, within the rate limit. */
uint32_t xt_window_challenge(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* open.c */
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
