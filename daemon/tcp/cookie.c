/* SPDX-License-Identifier: Apache-2.0
 * SYN cookies (RFC 4987 section 3.6), the core's part: a SYN+ACK that no record stands behind, and the record that its ACK
 * makes. What the two SYNs agreed on comes back in the low bits of our time stamp. */
#include "daemon/tcp/internal.h"

#define STAMP_BITS 6 /* a clock that is at most 64 ms late */
#define STAMP_NO_WSCALE 15u
#define STAMP_SACK 0x10u
#define STAMP_ECN 0x20u
#define STAMP_MASK ((1u << STAMP_BITS) - 1)

static bool wants_ecn(const struct xt_seg *syn, const struct xt_tcp_cfg *cfg)
{
    return cfg->ecn != XT_ECN_OFF && (syn->flags & (XT_TH_ECE | XT_TH_CWR)) == (XT_TH_ECE | XT_TH_CWR);
}

/* The newest time stamp, not ahead of the clock, whose low bits say what is agreed. */
static uint32_t stamp(uint32_t now, const struct xt_seg *syn, const struct xt_tcp_cfg *cfg)
{
    uint32_t bits = STAMP_NO_WSCALE;
    if (cfg->wscale && (syn->opt.present & XT_OPT_WSCALE))
        bits = xt_u32_min(syn->opt.wscale, STAMP_NO_WSCALE - 1);
    if (cfg->sack && (syn->opt.present & XT_OPT_SACK_OK))
        bits |= STAMP_SACK;
    if (wants_ecn(syn, cfg))
        bits |= STAMP_ECN;
    uint32_t ts = (now & ~STAMP_MASK) | bits;
    return ts > now ? ts - (STAMP_MASK + 1) : ts;
}

static void agreed_options(const struct xt_conn *listener, const struct xt_tcp_ctx *ctx, const struct xt_seg *syn,
                           struct xt_seg *reply)
{
    const struct xt_tcp_cfg *cfg = ctx->cfg;
    struct xt_tcp_opts *opt = &reply->opt;
    opt->present = XT_OPT_MSS;
    opt->mss = listener->mss_local ? listener->mss_local : cfg->mss;
    if (!cfg->timestamps || !(syn->opt.present & XT_OPT_TS))
        return;
    opt->present |= XT_OPT_TS;
    opt->tsval = stamp(xt_now_ms(ctx), syn, cfg);
    opt->tsecr = syn->opt.tsval;
    if (opt->tsval & STAMP_SACK)
        opt->present |= XT_OPT_SACK_OK;
    if ((opt->tsval & STAMP_NO_WSCALE) != STAMP_NO_WSCALE) {
        opt->present |= XT_OPT_WSCALE;
        opt->wscale = xt_open_wscale(cfg, listener->rx_size);
    }
    if (opt->tsval & STAMP_ECN)
        reply->flags |= XT_TH_ECE;
}

void xt_tcp_cookie_reply(const struct xt_conn *listener, const struct xt_tcp_ctx *ctx, const struct xt_seg *syn,
                         uint32_t iss, struct xt_seg *reply)
{
    uint32_t space = listener->rx_size ? listener->rx_size : XT_RING_DEFAULT;
    *reply = (struct xt_seg){
        .sport = syn->dport,
        .dport = syn->sport,
        .seq = iss,
        .ack = syn->seq + 1,
        .wnd = (uint16_t)xt_u32_min(space, 65535),
        .flags = XT_TH_SYN | XT_TH_ACK,
    };
    agreed_options(listener, ctx, syn, reply);
    ctx->stats->segs_out++;
}

/* The SYN as far as it can be known again. */
static struct xt_seg remembered(const struct xt_seg *ack, uint16_t mss)
{
    struct xt_seg syn = {
        .sport = ack->sport, .dport = ack->dport, .seq = ack->seq - 1, .wnd = ack->wnd, .flags = XT_TH_SYN};
    uint32_t ts = ack->opt.tsecr;
    syn.opt.present = XT_OPT_MSS;
    syn.opt.mss = mss;
    if (!(ack->opt.present & XT_OPT_TS))
        return syn;
    syn.opt.present |= XT_OPT_TS;
    syn.opt.tsval = ack->opt.tsval;
    if (ts & STAMP_SACK)
        syn.opt.present |= XT_OPT_SACK_OK;
    if ((ts & STAMP_NO_WSCALE) != STAMP_NO_WSCALE) {
        syn.opt.present |= XT_OPT_WSCALE;
        syn.opt.wscale = ts & STAMP_NO_WSCALE;
    }
    if (ts & STAMP_ECN)
        syn.flags |= XT_TH_ECE | XT_TH_CWR;
    return syn;
}

uint32_t xt_tcp_accept_cookie(struct xt_conn *child, const struct xt_conn *listener, const struct xt_tcp_ctx *ctx,
                              struct xt_seg *ack, uint16_t mss)
{
    struct xt_seg syn = remembered(ack, mss);
    uint32_t ev = xt_tcp_accept_syn(child, listener, ctx, &syn, ack->ack - 1);
    /* The SYN+ACK has left, with this window. */
    xt_window_offer_syn(child);
    child->pending &= (uint16_t)~XT_PEND_SYN;
    xt_timer_rto_arm(child, ctx);
    ack->opt.tsecr = 0;
    return ev;
}
