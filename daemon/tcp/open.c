/* SPDX-License-Identifier: Apache-2.0
 * Opening: the OPEN call, the LISTEN state and what two SYNs agree on (RFC 9293 sections 3.10.1, 3.10.7.2). */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/tally.h"

#define WSCALE_MAX 14         /* RFC 7323 section 2.3 */
#define WSCALE_RING (1 << 20) /* receive space the scale allows for at least: rings grow after the handshake */

void xt_tcp_init(struct xt_conn *c, const struct xt_endpoint *local, const struct xt_endpoint *remote,
                 const struct xt_tcp_cfg *cfg)
{
    /* All but the identity, which the stack layer owns. The state becomes CLOSED (0), where every life begins. */
    struct xt_endpoint l = *local, r = *remote;
    memset((uint8_t *)c + offsetof(struct xt_conn, local), 0, sizeof *c - offsetof(struct xt_conn, local));
    c->local = l;
    c->remote = r;
    c->opts = (uint8_t)(XT_OPT_MSS | (cfg->timestamps ? XT_OPT_TS : 0) | (cfg->sack ? XT_OPT_SACK_OK : 0) |
                        (cfg->wscale ? XT_OPT_WSCALE : 0));
    c->rto = (uint32_t)cfg->rto_initial;
    c->dupthresh = 3;
    c->recovery = cfg->recovery;
    c->reo_mult = 1;
    c->rcv_mss = XT_MSS_DEFAULT;
}

void xt_tcp_set_rings(struct xt_conn *c, uint32_t rx_size, uint32_t tx_size)
{
    /* Ranges were placed by the old size. SACK is advisory (RFC 2018 section 8): the peer keeps what it has not been
     * acknowledged. */
    if (rx_size != c->rx_size)
        c->n_ooo = 0;
    c->rx_size = rx_size;
    c->tx_size = tx_size;
}

uint8_t xt_open_wscale(const struct xt_tcp_cfg *cfg, uint32_t rx_size)
{
    uint32_t size = xt_u32_max(xt_u32_max(rx_size, WSCALE_RING), cfg->rcv_max);
    uint8_t shift = 0;
    while (shift < WSCALE_MAX && (size - 1) >> shift > 65535) /* a ring is a power of two: one byte less must fit */
        shift++;
    return shift;
}

/* What both kinds of open have in common. */
static void start(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t iss)
{
    if (c->mss_local == 0)
        c->mss_local = ctx->cfg->mss;
    c->mss_path = c->mss_local;
    c->mss_peer = xt_addr_is_v4(&c->remote.addr) ? XT_MSS_DEFAULT : XT_MSS_DEFAULT6;
    c->mss_eff = c->mss_peer;
    c->rcv_wscale = c->opts & XT_OPT_WSCALE ? xt_open_wscale(ctx->cfg, c->rx_size) : 0;
    c->iss = c->snd_una = c->snd_sml = c->recover = iss;
    c->snd_nxt = iss + 1;
    c->cwnd = c->mss_eff;
    c->ssthresh = XT_CWND_MAX;
    c->t_rcv_ms = c->t_progress_ms = xt_now_ms(ctx);
    c->pending = XT_PEND_SYN;
}

uint32_t xt_tcp_connect(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t iss)
{
    start(c, ctx, iss);
    if (c->fo & XT_FO_DEFER) {
        c->snd_nxt = iss;
        c->pending = 0;
    }
    ctx->stats->active_opens++;
    return xt_fsm_post(c, ctx, XT_FSM_ACTIVE_OPEN);
}

uint32_t xt_tcp_listen(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    return xt_fsm_post(c, ctx, XT_FSM_PASSIVE_OPEN);
}

int xt_tcp_listen_input(const struct xt_conn *listener, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg,
                        struct xt_seg *reply)
{
    (void)listener;
    if (seg->flags & XT_TH_RST) {
        ctx->stats->drop_rst++;
        return 0;
    }
    if (seg->flags & XT_TH_ACK) {
        ctx->stats->resets_sent++;
        return xt_tcp_reset_for(seg, reply) ? -1 : 0;
    }
    if (seg->flags & XT_TH_SYN)
        return 1;
    ctx->stats->drop_listen++;
    return 0;
}

void xt_open_set_mss(struct xt_conn *c)
{
    uint32_t mss = c->mss_peer < c->mss_path ? c->mss_peer : c->mss_path;
    mss = xt_u32_max(mss - xt_u32_min(mss, c->ip_optlen), XT_MSS_MIN); /* so that the largest SACK option leaves room */
    c->mss_eff = (uint16_t)(mss - (c->opts & XT_OPT_TS ? 12 : 0));
}

/* Takes the peer's SYN: its sequence number, and the options that both sides want. */
void xt_open_negotiate(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *syn)
{
    uint32_t offered = xt_rcv_wnd(c); /* by our own SYN, if it went first */
    c->irs = syn->seq;
    c->rcv_nxt = c->last_ack_sent = syn->seq + 1;
    c->rcv_adv = c->rcv_nxt + offered;
    c->opts &= syn->opt.present | XT_OPT_MSS;
    if (syn->opt.present & XT_OPT_MSS)
        c->mss_peer = syn->opt.mss < XT_MSS_MIN ? XT_MSS_MIN : syn->opt.mss;
    if (c->opts & XT_OPT_WSCALE)
        c->snd_wscale = syn->opt.wscale < WSCALE_MAX ? syn->opt.wscale : WSCALE_MAX;
    else
        c->rcv_wscale = 0;
    if (c->opts & XT_OPT_TS) {
        c->ts_recent = syn->opt.tsval;
        c->ts_recent_ms = xt_now_ms(ctx);
    }
    xt_ecn_negotiate(c, ctx, syn);
    xt_open_set_mss(c);
    c->snd_wnd = c->snd_wnd_max = syn->wnd; /* never scaled in a SYN */
    c->snd_wl1 = syn->seq;
    c->snd_wl2 = syn->ack;
}

uint32_t xt_tcp_accept_syn(struct xt_conn *child, const struct xt_conn *listener, const struct xt_tcp_ctx *ctx,
                           const struct xt_seg *seg, uint32_t iss)
{
    child->opt = listener->opt;
    if (child->mss_local == 0)
        child->mss_local = listener->mss_local;
    child->cflags |= XT_CF_PASSIVE;
    start(child, ctx, iss);
    xt_open_negotiate(child, ctx, seg);
    child->segs_in = 1;
    ctx->stats->passive_opens++;
    uint32_t ev = xt_fsm_post(child, ctx, XT_FSM_PASSIVE_OPEN);
    return ev | xt_fsm_post(child, ctx, XT_FSM_RCV_SYN);
}

/* Sets up what sending needs. */
void xt_open_ready(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    c->quick = ctx->cfg->quickack;
    c->t_progress_ms = c->t_snd_ms = c->data_rcv_ms = xt_now_ms(ctx);
    c->tally.segs_once = 1; /* the SYN */
    if ((c->cflags & XT_CF_SYN_RXT) && c->srtt == 0 && c->rto < XT_SYN_RTO_US)
        c->rto = XT_SYN_RTO_US;
    xt_cc_start(c, ctx);
    xt_timer_keep_arm(c, ctx);
}

/* The handshake is complete: `event` leads to ESTABLISHED, and on to FIN_WAIT1 when the application closed its side
 * meanwhile (section 3.10.4: "queue for processing after entering ESTABLISHED state"). */
uint32_t xt_open_established(struct xt_conn *c, const struct xt_tcp_ctx *ctx, enum xt_fsm_event event)
{
    uint32_t ev = xt_fsm_post(c, ctx, event);
    xt_timer_stop(c, XT_TIMER_RTO);
    c->backoff = c->timeouts = 0;
    xt_tally_overcome(c, xt_now_ms(ctx));
    c->pending &= (uint16_t)~XT_PEND_SYN;
    if (!(c->fo & XT_FO_CHILD)) /* which was ready before, and may have data in flight */
        xt_open_ready(c, ctx);
    if (c->cflags & XT_CF_SHUT)
        ev |= xt_fsm_post(c, ctx, XT_FSM_CLOSE);
    return ev;
}
