/* SPDX-License-Identifier: Apache-2.0
 * Congestion control: an algorithm is a const table of functions in a file of its own. It reads the record and writes
 * cwnd, ssthresh, cc_acked and its part of `ccs` only. Bytes throughout. */
#ifndef XT_TCP_CC_H
#define XT_TCP_CC_H

#include "daemon/tcp/rate.h"
#include "daemon/tcp/tcp.h"
#include "proto/xt_cc.h"

struct xt_cc {
    const char *name;
    /* Begins with `ccs` all zero; cwnd and ssthresh are set. */
    void (*init)(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
    /* `bytes` were newly acknowledged outside of fast recovery. Called only when cwnd was the limit (RFC 7661's concern: an
     * unused window must not grow). */
    void (*acked)(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t bytes);
    /* A loss, once for each window: the new ssthresh, for `flight` bytes outstanding. */
    uint32_t (*ssthresh)(struct xt_conn *c, uint32_t flight);
    /* A congestion mark, before `ssthresh` is asked. NULL: not wanted. */
    void (*marked)(struct xt_conn *c);
    /* Nothing was sent for longer than a retransmission time-out. */
    void (*idle)(struct xt_conn *c, const struct xt_tcp_ctx *ctx);
    /* After each ACK that delivered something or gave a sample, when loss recovery has done its part. NULL: not wanted. */
    void (*sample)(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_rate_sample *rs);
    /* Likewise, in the place of `sample`, for who wants only the round-trip time (0: none), and that in the first slow start. */
    void (*rtt)(struct xt_conn *c, uint32_t rtt_us);
    /* Bytes per second, 0: as fast as cwnd lets. NULL: likewise. */
    uint64_t (*pacing_rate)(const struct xt_conn *c);
    /* What a congestion mark leaves, in percent of what `ssthresh` says of a loss (RFC 8511); 0: as a loss. */
    uint8_t ecn_percent;
    /* cwnd is the algorithm's own in fast recovery with SACK too; else PRR sets it there. */
    bool own_recovery;
};

#define XT_CWND_MAX (1u << 30)

extern const struct xt_cc xt_cc_newreno, xt_cc_cubic, xt_cc_bbr;

extern const struct xt_cc *const xt_cc_all[XT_CC_MAX];

/* The algorithm of a connection. */
static inline const struct xt_cc *xt_cc_of(const struct xt_conn *c)
{
    return xt_cc_all[c->cc];
}

/* Does it want to be told of ACKs when they grow no window? */
static inline bool xt_cc_wants_samples(const struct xt_conn *c)
{
    return c->ssthresh >= XT_CWND_MAX || xt_cc_of(c)->sample;
}

/* The algorithm a connection is to begin with: by the socket's option or else the configuration. */
uint8_t xt_cc_chosen(const struct xt_conn *c, const struct xt_tcp_cfg *cfg);

/* Begins a connection: initial window and chosen algorithm. */
void xt_cc_start(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* The socket's option has changed: goes on with that algorithm and the windows as they are. */
void xt_cc_switch(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* The initial window in bytes (RFC 6928; one segment after a lost SYN, RFC 5681 section 3.1). */
uint32_t xt_cc_initial_window(const struct xt_conn *c, const struct xt_tcp_cfg *cfg);

/* Slow start by the bytes acknowledged, up to ssthresh (RFC 3465: an ACK for a super-segment stands for the many that it
 * replaces). Returns the bytes left for congestion avoidance. */
uint32_t xt_cc_slow_start(struct xt_conn *c, uint32_t bytes);

/* Restart after an idle period (RFC 5681 section 4.1 as RFC 2861 section 3.1 refines it): cwnd is halved for each
 * retransmission time-out of silence, down to the restart window; ssthresh remembers three quarters of it. */
void xt_cc_restart(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* What is taken for the rate of an algorithm that does not pace: two windows in a round trip of slow start, a fifth more than one
 * later, as Linux has it. 0: the round trip is not known. */
uint64_t xt_cc_window_rate(const struct xt_conn *c);

/* False: it is not paced, for sure. */
static inline bool xt_cc_may_pace(const struct xt_conn *c)
{
    return c->opt.pacing_max || xt_cc_of(c)->pacing_rate;
}

/* Bytes per second; 0: not paced. */
uint64_t xt_cc_pacing_rate(const struct xt_conn *c);

/* The largest integer whose cube is not above `x`. */
uint32_t xt_cc_cbrt(uint64_t x);

#endif
