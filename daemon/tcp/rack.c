/* SPDX-License-Identifier: Apache-2.0
 * RACK-TLP (RFC 8985). Recent acknowledgment: what left before something that has arrived since, by more than the path is
 * known to reorder, is lost; that holds for retransmissions too. Tail loss probe: when ACKs fail to come at the end of a flight,
 * a segment is sent early that makes the receiver say what it has. */
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rtt.h"
#include "daemon/tcp/seam.h"
#include "daemon/tcp/tally.h"

#define DUPTHRESH 3
#define PERSIST_RECOVERIES 16   /* RFC 8985 section 6.2 step 4 */
#define WORST_DELACK_US 200000  /* TLP.max_ack_delay: what delayed ACKs are known to take */
#define SRTT_UNKNOWN_US 1000000 /* PTO before the first round-trip time */
#define TIMER_SLACK_US 2000     /* two round trips and the ACK is only just not there */

/* RACK_sent_after(). */
static bool sent_after(uint32_t tick1, uint32_t end1, uint32_t tick2, uint32_t end2)
{
    int32_t d = xt_sent_diff(tick1, tick2);
    return d > 0 || (d == 0 && xt_seq_gt(end1, end2));
}

/* Was it the first transmission that arrived, of something sent again (step 2)? Then its time says nothing. In doubt, that
 * is within a tick, it was not. The echo is asked only about what is acknowledged in order: a receiver does not echo
 * the time stamp of what it SACKs (RFC 7323 section 4.3). */
static bool ambiguous(const struct xt_ack *a, uint32_t rtt, uint32_t end)
{
    const struct xt_tcp_opts *opt = &a->seg->opt;
    rtt += XT_SENT_TICK_US;
    uint32_t left_ms = (uint32_t)((a->ctx->now_us - rtt) / 1000);
    if ((a->c->opts & opt->present & XT_OPT_TS) && opt->tsecr && xt_seq_le(end, a->seg->ack) &&
        xt_seq_lt(opt->tsecr, left_ms))
        return true;
    return rtt < a->c->min_rtt;
}

/* Is what was delivered, up to `end`, the beginning of a longer stretch, or was it cut off one just now? */
static bool is_part(const struct xt_conn *c, const struct xt_flight *s, uint32_t end)
{
    if (s->state != XT_SENT_FLIGHT)
        return false;
    const struct xt_flight *next = s + 1;
    bool cut = next < xt_sent_list(c) + c->n_sent && next->state == XT_SENT_FLIGHT && next->tick == s->tick;
    return end != s->end || cut;
}

void xt_rack_seen(struct xt_sent_news *news, const struct xt_flight *s, uint32_t bytes, uint32_t end)
{
    struct xt_ack *a = (struct xt_ack *)news;
    struct xt_conn *c = a->c;
    bool once = XT_SENT_BIT(s->state) & XT_SENT_ONCE, first = !(c->cflags & XT_CF_RACK);
    if ((a->seg->flags & XT_TH_ECE) && (c->ecn & XT_CE_OK))
        a->ce_segs += xt_seam_segments(c, end - bytes, end);
    if (s->state == XT_SENT_LOST)
        a->first_arrived = true;
    if (!first && xt_seq_lt(end, c->rack_fack)) {
        if (once) {
            c->cflags |= XT_CF_REORDERED;
            xt_tally_reordered(c, end - bytes);
        }
    } else {
        c->rack_fack = end;
    }
    uint32_t rtt = (uint32_t)xt_sent_diff(xt_sent_tick(a->ctx->now_us), s->tick);
    if (rtt > XT_RACK_RTT_MAX_US || (!once && ambiguous(a, rtt, end)))
        return;
    if (first || sent_after(s->tick, end, c->rack_tick, c->rack_end)) {
        c->rack_tick = s->tick;
        c->rack_end = end;
        c->rack_rtt = rtt;
        c->cflags &= ~(uint32_t)XT_CF_RACK_BLUR;
        c->cflags |= is_part(c, s, end) ? XT_CF_RACK_BLUR : 0;
    }
    c->cflags |= XT_CF_RACK;
}

void xt_rack_adapt(const struct xt_ack *a)
{
    struct xt_conn *c = a->c;
    if ((c->cflags & XT_CF_REO_ROUND) && xt_seq_ge(c->snd_una, xt_seldom_of(c)->reo_round))
        c->cflags &= ~(uint32_t)XT_CF_REO_ROUND;
    if (!a->dsack || (c->cflags & XT_CF_REO_ROUND))
        return;
    c->cflags |= XT_CF_REO_ROUND;
    xt_seldom(c)->reo_round = c->snd_nxt;
    if (c->reo_mult < UINT8_MAX)
        c->reo_mult++;
    c->reo_persist = PERSIST_RECOVERIES;
    a->ctx->stats->reo_wnd_grown++;
}

void xt_rack_recovered(struct xt_conn *c)
{
    if (c->reo_persist > 0)
        c->reo_persist--;
    if (c->reo_persist == 0)
        c->reo_mult = 1;
}

/* Step 4: how much later than what has arrived since may it come? While the path was never seen to reorder, no later, once
 * there is the classical evidence. */
static uint32_t reo_wnd(const struct xt_conn *c)
{
    if (!(c->cflags & XT_CF_REORDERED)) {
        if (c->ca_state >= XT_CA_RECOVERY || c->dupacks >= DUPTHRESH ||
            xt_sent_bytes(c, XT_SENT_BIT(XT_SENT_SACKED)) > (DUPTHRESH - 1) * c->mss_eff)
            return 0;
    }
    uint32_t wnd = xt_u32_min((uint32_t)((uint64_t)c->min_rtt * c->reo_mult / 4), c->srtt);
    return xt_u32_max(wnd, XT_SENT_TICK_US);
}

static bool in_flight(const struct xt_flight *s)
{
    return XT_SENT_BIT(s->state) & XT_SENT_ALL_FLIGHT;
}

/* Marks entry `i`; returns its bytes. */
static uint32_t lose(struct xt_conn *c, unsigned i, struct xt_tcp_stats *stats)
{
    uint32_t bytes = xt_sent_list(c)[i].end - xt_sent_left(c, i), segs = (bytes + c->mss_eff - 1) / c->mss_eff;
    bool again = xt_sent_list(c)[i].state == XT_SENT_AGAIN;
    xt_sent_list(c)[i].state = again ? XT_SENT_LOST_AGAIN : XT_SENT_LOST;
    stats->rack_lost += segs;
    stats->rack_rtx_lost += again ? segs : 0;
    return bytes;
}

/* New data that left within this time is one stretch, which tells when the last of it left (sent.c): a part of it that was
 * delivered may have left earlier. In its own order that is no matter, but a retransmission from in between would seem
 * overtaken. */
static uint32_t blur(const struct xt_conn *c, const struct xt_flight *s)
{
    return (c->cflags & XT_CF_RACK_BLUR) && s->state == XT_SENT_AGAIN ? c->srtt / XT_SENT_JOIN_PART : 0;
}

uint32_t xt_rack_detect(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    xt_timer_stop(c, XT_TIMER_REO);
    if (c->n_sent == 0) /* ticks wrap: after a silence what was delivered before it would look newer than what leaves */
        c->cflags &= ~(uint32_t)XT_CF_RACK;
    if (!(c->cflags & XT_CF_RACK))
        return 0;
    uint32_t now = xt_sent_tick(ctx->now_us), patience = c->rack_rtt + reo_wnd(c), lost = 0, wait = 0;
    for (unsigned i = 0; i < c->n_sent; i++) {
        const struct xt_flight *s = &xt_sent_list(c)[i];
        if (!in_flight(s) || !sent_after(c->rack_tick, c->rack_end, s->tick, s->end))
            continue;
        uint32_t age = (uint32_t)xt_sent_diff(now, s->tick), due = patience + blur(c, s);
        if (age >= due)
            lost += lose(c, i, ctx->stats);
        else
            wait = xt_u32_max(wait, due - age);
    }
    if (wait > 0) { /* but no later than a time-out would be */
        uint64_t rto = xt_tcp_rto(c, ctx->cfg);
        xt_timer_set(c, XT_TIMER_REO, ctx->now_us + (wait < rto ? wait + XT_SENT_TICK_US : rto));
    }
    return lost;
}

void xt_rack_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t now = xt_sent_tick(ctx->now_us), patience = c->rack_rtt + reo_wnd(c);
    for (unsigned i = 0; i < c->n_sent; i++)
        if (in_flight(&xt_sent_list(c)[i]) &&
            (i == 0 || (uint32_t)xt_sent_diff(now, xt_sent_list(c)[i].tick) >= patience))
            lose(c, i, ctx->stats);
}

/* Is there a tail to probe? Not during recovery, nor while a probe is out (RFC 8985 section 7.2). */
static bool tail(const struct xt_conn *c)
{
    return xt_has_rack(c) && c->ca_state == XT_CA_OPEN && !(c->cflags & (XT_CF_TLP | XT_CF_PROBE)) &&
           c->state >= XT_ESTABLISHED && c->snd_una != c->snd_nxt && c->snd_wnd > 0 && !xt_syn_in_flight(c);
}

bool xt_rack_probe_is_new(const struct xt_conn *c)
{
    uint32_t n = xt_send_end(c) - c->snd_nxt, edge = c->snd_una + c->snd_wnd;
    return n > 0 && xt_seq_lt(c->snd_nxt, edge) && (n >= c->mss_eff || !c->opt.cork);
}

/* RFC 8985 section 7.2, with departures that keep a receiver which only takes its time from being sent the same twice. The
 * delay of its ACK is allowed for whenever it need not send one at once: for less than two full segments (RFC 9293 section
 * 3.8.6.3), of the size that it assumes before it has seen any, and for a flight that fills the window, when its reader
 * is what holds things up. And where no full segment waits to be the probe, the least PTO lies above the 40 ms for which
 * Linux and this stack delay ACKs when the reader is behind: on a fast path twice the round-trip time is no more than what
 * any scheduler takes, and a segment sent needlessly costs more than those few milliseconds. */
void xt_rack_pto_set(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t flight = c->snd_nxt - c->snd_una, unsent = xt_send_end(c) - c->snd_nxt, mss = c->mss_eff;
    uint64_t pto = c->srtt ? 2ull * c->srtt + TIMER_SLACK_US : SRTT_UNKNOWN_US;
    if ((unsent < mss || flight >= c->snd_wnd) && pto < ctx->cfg->tlp_min)
        pto = ctx->cfg->tlp_min;
    if (flight < 2 * xt_u32_max(mss, XT_MSS_DEFAULT) || flight + mss > c->snd_wnd)
        pto += WORST_DELACK_US;
    xt_timer_set(c, XT_TIMER_PTO, ctx->now_us + pto);
    xt_timer_no_later(c, XT_TIMER_PTO, XT_TIMER_RTO);
}

void xt_rack_pto_arm(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (tail(c))
        xt_rack_pto_set(c, ctx);
    else
        xt_timer_stop(c, XT_TIMER_PTO);
}

void xt_rack_pto(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (!tail(c))
        return;
    c->pending |= XT_PEND_TLP;
    xt_timer_rto_arm(c, ctx); /* from here, whether the probe can leave or not */
}

void xt_rack_probe_sent(struct xt_conn *c, const struct xt_tcp_ctx *ctx, bool again)
{
    c->tlp_end = c->snd_nxt;
    c->cflags = (c->cflags & ~(uint32_t)XT_CF_TLP_AGAIN) | XT_CF_TLP | (again ? XT_CF_TLP_AGAIN : 0);
    xt_timer_stop(c, XT_TIMER_PTO);
    xt_timer_rto_arm(c, ctx);
    ctx->stats->tlp_probes++;
}

/* RFC 8985 section 7.4: did the probe hide a loss from congestion control? */
void xt_rack_probe_acked(struct xt_ack *a)
{
    struct xt_conn *c = a->c;
    if (!(c->cflags & XT_CF_TLP) || xt_seq_lt(a->seg->ack, c->tlp_end))
        return;
    if (!(c->cflags & XT_CF_TLP_AGAIN)) {
        c->cflags &= ~(uint32_t)XT_CF_TLP;
        return;
    }
    bool both = a->dsack && a->seg->opt.sack[0].right == c->tlp_end;
    if (both || (a->dup && a->bytes == 0 && !a->sack)) {
        c->cflags &= ~(uint32_t)XT_CF_TLP;
        a->dsack = false; /* it tells nothing of the path's order */
        a->ctx->stats->tlp_needless++;
    } else if (xt_seq_gt(a->seg->ack, c->tlp_end)) {
        c->cflags &= ~(uint32_t)XT_CF_TLP;
        xt_recovery_reduce(c, a->bytes);
        a->ctx->stats->tlp_repairs++;
    }
}
