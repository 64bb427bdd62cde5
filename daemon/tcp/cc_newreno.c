/* SPDX-License-Identifier: Apache-2.0
 * NewReno's windows: slow start and congestion avoidance of RFC 5681. */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/seq.h"

static void init(struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    c->cwnd = xt_cc_initial_window(c, cfg);
    c->ssthresh = XT_CWND_MAX;
    c->cc_acked = 0;
}

/* Bytes are counted, not ACKs (RFC 3465): an ACK for a super-segment stands for the many that it replaces, so slow start
 * grows by all that it covers. */
static void acked(struct xt_conn *c, uint32_t bytes)
{
    if (c->cwnd >= XT_CWND_MAX)
        return;
    if (c->cwnd < c->ssthresh) {
        uint32_t grow = xt_u32_min(bytes, c->ssthresh - c->cwnd);
        c->cwnd = xt_u32_min(c->cwnd + grow, XT_CWND_MAX);
        bytes -= grow;
    }
    c->cc_acked += bytes;
    while (c->cc_acked >= c->cwnd && c->cwnd < XT_CWND_MAX) {
        c->cc_acked -= c->cwnd;
        c->cwnd += c->mss_eff;
    }
}

/* RFC 5681 equation 4. */
static uint32_t ssthresh(const struct xt_conn *c, uint32_t flight)
{
    return xt_u32_max(flight / 2, 2u * c->mss_eff);
}

/* RFC 5681 section 4.1. */
static void idle(struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    c->cwnd = xt_u32_min(c->cwnd, xt_cc_initial_window(c, cfg));
}

const struct xt_cc xt_cc_newreno = {"newreno", init, acked, ssthresh, idle, .ecn_percent = 160};
