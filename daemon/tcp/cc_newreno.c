/* SPDX-License-Identifier: Apache-2.0
 * NewReno's windows: slow start and congestion avoidance of RFC 5681. */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/seq.h"

static void init(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    (void)ctx;
    c->cc_acked = 0;
}

/* Bytes are counted, not ACKs (RFC 3465). */
static void acked(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t bytes)
{
    (void)ctx;
    c->cc_acked += xt_cc_slow_start(c, bytes);
    while (c->cc_acked >= c->cwnd && c->cwnd < XT_CWND_MAX) {
        c->cc_acked -= c->cwnd;
        c->cwnd += c->mss_eff;
    }
    c->cc_acked = xt_u32_min(c->cc_acked, c->cwnd);
}

/* RFC 5681 equation 4. */
static uint32_t ssthresh(struct xt_conn *c, uint32_t flight)
{
    return xt_u32_max(flight / 2, 2u * c->mss_eff);
}

const struct xt_cc xt_cc_newreno = {
    .name = "reno", .init = init, .acked = acked, .ssthresh = ssthresh, .idle = xt_cc_restart, .ecn_percent = 160};
