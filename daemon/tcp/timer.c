/* SPDX-License-Identifier: Apache-2.0
 * TIMEOUTS (RFC 9293 section 3.10.8): retransmission, zero-window probes, delayed ACK, keep-alive, TIME_WAIT. */
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rtt.h"
#include "daemon/tcp/tally.h"

uint64_t xt_tcp_deadline(const struct xt_conn *c, uint64_t now_us)
{
    uint64_t at;
    xt_timer_first(c, now_us, &at);
    return at;
}

const char *xt_tcp_deadline_name(const struct xt_conn *c, uint64_t now_us)
{
    static const char *const names[XT_TIMERS + 1] = {"rto",  "persist", "delack", "keepalive", "timewait",
                                                     "cork", "reorder", "tlp",    "pace",      ""};
    uint64_t at;
    unsigned t = xt_timer_first(c, now_us, &at);
    return t == XT_TIMER_WAIT && c->state == XT_FIN_WAIT2 ? "finwait2" : names[t];
}

/* R2 is reached. The network's last word on the matter says more than "timed out". */
uint32_t xt_timer_give_up(struct xt_conn *c, const struct xt_tcp_ctx *ctx, int err)
{
    ctx->stats->timed_out++;
    uint32_t ev = 0;
    if (c->state != XT_SYN_RECV || !(c->cflags & XT_CF_PASSIVE) || xt_fo_early(c)) {
        c->err = c->soft_err ? c->soft_err : err;
        ev = XT_EV_ERROR;
    }
    return ev | xt_fsm_post(c, ctx, XT_FSM_TIMEOUT);
}

/* The application's limit on unacknowledged data (RFC 5482), as time since `since_ms`. */
static bool user_timeout(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t since_ms)
{
    return c->opt.user_timeout && xt_now_ms(ctx) - since_ms >= c->opt.user_timeout;
}

static uint32_t max_retries(const struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    return c->cflags & XT_CF_ORPHAN ? cfg->orphan_retries : cfg->retries;
}

static void backoff(struct xt_conn *c)
{
    if (c->backoff < 32)
        c->backoff++;
}

/* The next retransmission, or the end of the user's patience when that comes first. */
void xt_timer_rto_arm(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint64_t wait = xt_tcp_rto(c, ctx->cfg);
    if (c->opt.user_timeout) {
        uint32_t spent = xt_now_ms(ctx) - c->t_progress_ms;
        uint64_t rest = spent < c->opt.user_timeout ? (c->opt.user_timeout - spent) * 1000ull : 1000;
        wait = wait < rest ? wait : rest;
    }
    xt_timer_set(c, XT_TIMER_RTO, ctx->now_us + wait);
}

static uint32_t syn_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t own = c->opt.syn_retries ? c->opt.syn_retries : ctx->cfg->syn_retries;
    uint32_t limit = c->state == XT_SYN_SENT ? own : ctx->cfg->synack_retries;
    if (c->fo & XT_FO_CHILD)
        limit++; /* as Linux: somebody uses it already */
    if (c->timeouts >= limit || user_timeout(c, ctx, c->t_progress_ms))
        return xt_timer_give_up(c, ctx, ETIMEDOUT);
    xt_tally_timeout(c, ctx);
    c->timeouts++;
    backoff(c);
    c->rtt_start = 0;
    c->cflags |= XT_CF_SYN_RXT;
    c->pending |= XT_PEND_SYN;
    xt_timer_rto_arm(c, ctx);
    return c->timeouts == XT_R1 ? XT_EV_ADVISE : 0;
}

/* All in flight lies beyond a window that the peer has closed since: that is no reason to give up (SHLD-17), but one to
 * probe. When it opens, everything is sent again. */
static void probe_instead(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    xt_recovery_resend(c);
    xt_seldom(c)->probe_ms = xt_now_ms(ctx);
    c->pending = (uint16_t)((c->pending & ~XT_PEND_RTX) | XT_PEND_PROBE);
    xt_timer_set(c, XT_TIMER_PERSIST, ctx->now_us + xt_tcp_rto(c, ctx->cfg));
}

static uint32_t on_rto(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (c->state == XT_SYN_SENT || xt_syn_in_flight(c))
        return syn_timeout(c, ctx);
    if (c->snd_una == c->snd_nxt)
        return 0;
    if (xt_timer_is_due(c, XT_TIMER_PTO, ctx->now_us) && c->snd_wnd > 0) {
        /* A probe is due too: it goes in the time-out's place (RFC 8985 section 7.2). */
        xt_timer_stop(c, XT_TIMER_PTO);
        xt_rack_pto(c, ctx);
        return 0;
    }
    if (c->snd_wnd == 0) {
        probe_instead(c, ctx);
        return 0;
    }
    if (c->timeouts >= max_retries(c, ctx->cfg) || user_timeout(c, ctx, c->t_progress_ms))
        return xt_timer_give_up(c, ctx, ETIMEDOUT);
    xt_tally_timeout(c, ctx);
    c->timeouts++;
    backoff(c);
    xt_recovery_timeout(c, ctx);
    xt_pmtu_timeout(c, ctx);
    xt_timer_rto_arm(c, ctx);
    ctx->stats->rto_timeouts++;
    return c->timeouts == XT_R1 ? XT_EV_ADVISE : 0;
}

/* The next probe, or the end of the user's patience when that comes first. */
static void persist_arm(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint64_t wait = xt_tcp_rto(c, ctx->cfg);
    if (c->opt.user_timeout) {
        uint32_t spent = xt_now_ms(ctx) - xt_seldom_of(c)->probe_ms;
        uint64_t rest = spent < c->opt.user_timeout ? (c->opt.user_timeout - spent) * 1000ull : 1000;
        wait = wait < rest ? wait : rest;
    }
    xt_timer_set(c, XT_TIMER_PERSIST, ctx->now_us + wait);
}

/* For ever while the peer answers (MUST-37), unless the user has set a limit: that is on data unacknowledged, answers or not
 * (RFC 5482). And an orphan, whom nobody would miss, not for ever. */
static uint32_t on_persist(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t tries = c->cflags & XT_CF_ORPHAN ? c->backoff : c->probes;
    if (tries >= max_retries(c, ctx->cfg) || (c->backoff > 0 && user_timeout(c, ctx, xt_seldom_of(c)->probe_ms)))
        return xt_timer_give_up(c, ctx, ETIMEDOUT);
    if (c->backoff == 0)
        xt_seldom(c)->probe_ms = xt_now_ms(ctx);
    if (c->probes < UINT8_MAX)
        c->probes++;
    backoff(c);
    c->pending |= XT_PEND_PROBE;
    persist_arm(c, ctx);
    return 0;
}

static uint32_t on_delack(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    c->pending |= XT_PEND_ACK;
    c->cflags &= ~(uint32_t)XT_CF_DIALOGUE; /* this time no answer came */
    ctx->stats->delayed_acks++;
    return 0;
}

static uint64_t keep_idle(const struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    return c->opt.keep_idle ? c->opt.keep_idle * 1000000ull : cfg->keep_idle;
}

void xt_timer_keep_arm(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    bool on = c->opt.keepalive && c->state >= XT_ESTABLISHED && c->state != XT_TIME_WAIT;
    c->keep_probes = 0;
    if (on)
        xt_timer_set(c, XT_TIMER_KEEP, ctx->now_us + keep_idle(c, ctx->cfg));
    else
        xt_timer_stop(c, XT_TIMER_KEEP);
}

/* Nothing is in flight that the peer, should it live, would answer: a reset tells it. It leaves by xt_tcp_output(), and the next
 * xt_tcp_timer() reports CLOSED. */
static uint32_t give_up_reset(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    ctx->stats->timed_out++;
    c->err = c->soft_err ? c->soft_err : ETIMEDOUT;
    c->pending = XT_PEND_RST;
    return XT_EV_ERROR;
}

/* The timer is not moved for every segment: when it fires it looks how long the peer has really been silent. */
static uint32_t on_keep(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint64_t idle = keep_idle(c, ctx->cfg), silent = (uint64_t)(xt_now_ms(ctx) - c->t_rcv_ms) * 1000;
    uint32_t cnt = c->opt.keep_cnt ? c->opt.keep_cnt : ctx->cfg->keep_cnt;
    if (c->snd_una != c->snd_nxt || xt_timer_on(c, XT_TIMER_PERSIST)) {
        xt_timer_set(c, XT_TIMER_KEEP, ctx->now_us + idle); /* what is in flight probes well enough */
        return 0;
    }
    if (silent < idle) {
        xt_timer_set(c, XT_TIMER_KEEP, ctx->now_us + (idle - silent));
        return 0;
    }
    if (c->opt.user_timeout ? c->keep_probes > 0 && user_timeout(c, ctx, c->t_rcv_ms) : c->keep_probes >= cnt)
        return give_up_reset(c, ctx);
    if (c->keep_probes < UINT8_MAX)
        c->keep_probes++;
    c->pending |= XT_PEND_KEEP;
    xt_timer_set(c, XT_TIMER_KEEP,
                 ctx->now_us + (c->opt.keep_intvl ? c->opt.keep_intvl * 1000000ull : ctx->cfg->keep_intvl));
    return 0;
}

void xt_timer_finwait2_arm(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    xt_timer_set(c, XT_TIMER_WAIT, ctx->now_us + (c->opt.linger2 ? c->opt.linger2 * 1000000ull : ctx->cfg->finwait2));
}

static uint32_t on_wait(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    return xt_fsm_post(c, ctx, c->cflags & XT_CF_RESET ? XT_FSM_ABORT : XT_FSM_TIMEOUT);
}

static uint32_t on_cork(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    (void)ctx;
    c->cflags |= XT_CF_CORK_DUE;
    return 0;
}

static uint32_t on_reorder(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    xt_recovery_reorder_timer(c, ctx);
    return 0;
}

static uint32_t on_pto(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    xt_rack_pto(c, ctx);
    return 0;
}

/* Output, which follows, looks at the clock itself. */
static uint32_t on_pace(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    (void)c;
    (void)ctx;
    return 0;
}

uint32_t xt_tcp_timer(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    static uint32_t (*const handlers[XT_TIMERS])(struct xt_conn *, const struct xt_tcp_ctx *) = {
        [XT_TIMER_RTO] = on_rto,     [XT_TIMER_PERSIST] = on_persist, [XT_TIMER_DELACK] = on_delack,
        [XT_TIMER_KEEP] = on_keep,   [XT_TIMER_WAIT] = on_wait,       [XT_TIMER_CORK] = on_cork,
        [XT_TIMER_REO] = on_reorder, [XT_TIMER_PTO] = on_pto,         [XT_TIMER_PACE] = on_pace,
    };
    uint32_t ev = 0;
    for (unsigned t = 0; t < XT_TIMERS; t++) {
        if (!xt_timer_is_due(c, t, ctx->now_us))
            continue;
        xt_timer_stop(c, t);
        ev |= handlers[t](c, ctx);
    }
    return ev;
}
