/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/cc.h"

#include "daemon/tcp/internal.h"

const struct xt_cc *const xt_cc_all[XT_CC_MAX] = {
    [XT_CC_CUBIC] = &xt_cc_cubic, [XT_CC_RENO] = &xt_cc_newreno, [XT_CC_BBR] = &xt_cc_bbr};

uint32_t xt_cc_initial_window(const struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    uint32_t segs = xt_seldom_of(c)->retrans > 1 ? 1 : xt_u32_max(1, cfg->init_cwnd);
    return segs * c->mss_eff;
}

uint8_t xt_cc_chosen(const struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    uint8_t id = c->opt.cc ? (uint8_t)(c->opt.cc - 1) : cfg->cc;
    return id < XT_CC_MAX ? id : XT_CC_CUBIC;
}

static void begin(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    c->cc = xt_cc_chosen(c, ctx->cfg);
    c->cc_acked = 0;
    c->pace_next = xt_pace_long_ago(ctx);
    if (xt_seldom_begun(c))
        memset(&xt_seldom(c)->ccs, 0, sizeof xt_seldom(c)->ccs);
    xt_cc_of(c)->init(c, ctx);
}

void xt_cc_start(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    c->cwnd = xt_cc_initial_window(c, ctx->cfg);
    c->ssthresh = XT_CWND_MAX;
    memset(&c->rate, 0, sizeof c->rate);
    begin(c, ctx);
}

void xt_cc_switch(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (c->state >= XT_ESTABLISHED && c->opt.cc && c->cc != xt_cc_chosen(c, ctx->cfg))
        begin(c, ctx);
}

uint32_t xt_cc_slow_start(struct xt_conn *c, uint32_t bytes)
{
    if (c->cwnd >= c->ssthresh)
        return bytes;
    uint32_t grow = xt_u32_min(bytes, c->ssthresh - c->cwnd);
    c->cwnd = xt_u32_min(c->cwnd + grow, XT_CWND_MAX);
    return bytes - grow;
}

void xt_cc_restart(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t least = xt_u32_min(c->cwnd, xt_cc_initial_window(c, ctx->cfg));
    uint32_t rto_ms = xt_u32_max(c->rto / 1000, 1), idle_ms = xt_now_ms(ctx) - c->t_snd_ms;
    c->ssthresh = xt_u32_max(c->ssthresh, c->cwnd / 4 * 3);
    for (; idle_ms > rto_ms && c->cwnd > least; idle_ms -= rto_ms)
        c->cwnd /= 2;
    c->cwnd = xt_u32_max(c->cwnd, least);
    c->cc_acked = 0;
}

uint64_t xt_cc_window_rate(const struct xt_conn *c)
{
    return c->srtt ? (uint64_t)c->cwnd * (c->cwnd < c->ssthresh / 2 ? 2000000 : 1200000) / c->srtt : 0;
}

uint64_t xt_cc_pacing_rate(const struct xt_conn *c)
{
    const struct xt_cc *cc = xt_cc_of(c);
    uint64_t rate = cc->pacing_rate ? cc->pacing_rate(c) : 0, max = c->opt.pacing_max;
    if (max == 0)
        return rate;
    if (rate == 0)
        rate = xt_cc_window_rate(c);
    return rate && rate < max ? rate : max;
}

/* Digit by digit, in base 2: after each step y is the root of what of x was looked at. */
uint32_t xt_cc_cbrt(uint64_t x)
{
    uint64_t y = 0;
    for (int shift = 63; shift >= 0; shift -= 3) {
        y *= 2;
        uint64_t step = 3 * y * (y + 1) + 1;
        if (x >> shift >= step) {
            x -= step << shift;
            y++;
        }
    }
    return (uint32_t)y;
}
