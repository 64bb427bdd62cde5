/* SPDX-License-Identifier: Apache-2.0
 * Fifth step of SEGMENT ARRIVES: the ACK field (RFC 9293 section 3.10.7.4, RFC 5961 section 5). */
#include "daemon/tcp/internal.h"
#include "daemon/tcp/rate.h"
#include "daemon/tcp/step.h"
#include "daemon/tcp/tally.h"

static void set_send_window(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    /* never scaled in a SYN (RFC 7323 section 2.2) */
    uint32_t wnd = (uint32_t)in->seg->wnd << (in->seg->flags & XT_TH_SYN ? 0 : c->snd_wscale);
    xt_step_window(c, wnd, in->seq, in->seg->ack);
}

/* Moves SND.UNA to `ack`; the send ring is free up to there. Returns the bytes of sequence space acknowledged. */
static uint32_t advance(struct xt_in *in, uint32_t ack)
{
    struct xt_conn *c = in->c;
    uint32_t bytes = ack - c->snd_una, data = bytes;
    if (c->snd_una == c->iss && c->tx_una == 0)
        data--; /* the SYN */
    if ((c->cflags & (XT_CF_SHUT | XT_CF_FIN_ACKED)) == XT_CF_SHUT && ack == xt_send_end(c)) {
        c->cflags |= XT_CF_FIN_ACKED;
        data--;
    }
    if (data > 0) {
        c->tx_una += data;
        in->ev |= XT_EV_WRITABLE;
    }
    c->snd_una = ack;
    if (xt_seq_lt(c->snd_sml, ack))
        c->snd_sml = ack;
    c->timeouts = 0;
    c->t_progress_ms = xt_now_ms(in->ctx);
    if (ack == c->snd_nxt)
        xt_timer_stop(c, XT_TIMER_RTO);
    else
        xt_timer_rto_arm(c, in->ctx);
    return bytes;
}

/* SND.WND by the newest segment only (SND.WL1, SND.WL2); one that moves SND.UNA is newest whatever its sequence number:
 * the window counts from SND.UNA, and the old one counted from there would reach too far. A window that opens ends
 * probing. */
static void update_window(struct xt_in *in, bool una_moved)
{
    struct xt_conn *c = in->c;
    if (!una_moved && !xt_seq_lt(c->snd_wl1, in->seq) &&
        !(c->snd_wl1 == in->seq && xt_seq_le(c->snd_wl2, in->seg->ack)))
        return;
    set_send_window(in);
    c->probes = 0;
    if (c->snd_wnd == 0 || !(xt_timer_on(c, XT_TIMER_PERSIST) || (c->cflags & XT_CF_PROBE)))
        return;
    xt_timer_stop(c, XT_TIMER_PERSIST);
    c->backoff = 0;
    /* The octet that went beyond the window was most likely thrown away. */
    if ((c->cflags & XT_CF_PROBE) && c->snd_una != c->snd_nxt)
        c->pending |= XT_PEND_RTX;
    c->cflags &= ~(uint32_t)XT_CF_PROBE;
}

/* Our FIN is acknowledged, which happens once. False when that ends the connection. */
static bool fin_acked(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    in->ev |= xt_fsm_post(c, in->ctx, XT_FSM_FIN_ACKED);
    if (c->state != XT_FIN_WAIT2 || !(c->cflags & XT_CF_ORPHAN))
        return c->state != XT_CLOSED;
    if (c->opt.linger2 != XT_LINGER2_NONE) {
        xt_timer_finwait2_arm(c, in->ctx);
        return true;
    }
    /* The application wants nothing to wait for the peer's FIN: the peer is told, as by Linux. */
    in->reset = xt_tcp_reset_for(in->seg, in->reply);
    in->ctx->stats->resets_sent += in->reset;
    in->ev |= xt_fsm_post(c, in->ctx, XT_FSM_TIMEOUT);
    return false;
}

/* RFC 5681 section 2: nothing new acknowledged, nothing carried, no news of the window. */
static bool is_duplicate(const struct xt_in *in, uint32_t old_wnd)
{
    const struct xt_conn *c = in->c;
    return in->seg->ack == c->snd_una && in->seg->len == 0 && !(in->seg->flags & (XT_TH_SYN | XT_TH_FIN)) &&
           c->snd_una != c->snd_nxt && c->snd_wnd == old_wnd && !(c->cflags & XT_CF_PROBE);
}

/* TCP_DEFER_ACCEPT: the bare ACK that would open the connection does not count while the listener's patience lasts; data
 * does. After that the SYN+ACK goes out again, and its ACK counts. */
static bool deferred(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    uint64_t spent = xt_now_ms(in->ctx) - c->t_progress_ms, wait = c->opt.defer * 1000ull;
    if (!(c->cflags & XT_CF_PASSIVE) || in->len > 0 || (in->flags & XT_TH_FIN) || spent >= wait)
        return false;
    xt_step_measure(c, in->ctx, in->seg); /* now: the data will be late for another reason */
    xt_timer_set(c, XT_TIMER_RTO, in->ctx->now_us + (wait - spent) * 1000);
    in->ctx->stats->deferred++;
    return true;
}

static bool syn_acked(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    if (xt_seq_le(in->seg->ack, c->snd_una) || xt_seq_gt(in->seg->ack, c->snd_nxt)) {
        in->ctx->stats->drop_ack++;
        in->reset = xt_tcp_reset_for(in->seg, in->reply);
        in->ctx->stats->resets_sent += in->reset;
        return false;
    }
    if (c->opt.defer && !(c->fo & XT_FO_CHILD) && deferred(in))
        return false;
    xt_step_measure(c, in->ctx, in->seg);
    in->ev |= xt_open_established(c, in->ctx, XT_FSM_SYN_ACKED);
    set_send_window(in);
    return true;
}

bool xt_in_check_ack(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    uint32_t ack = in->seg->ack, old_wnd = c->snd_wnd;
    if (!(in->flags & XT_TH_ACK)) {
        in->ctx->stats->drop_no_ack++;
        return false;
    }
    if (c->state == XT_SYN_RECV && !syn_acked(in))
        return false;
    if (xt_seq_gt(ack, c->snd_nxt) || xt_seq_lt(ack, c->snd_una - c->snd_wnd_max)) {
        in->ctx->stats->drop_ack++;
        in->ev |= xt_window_challenge(c, in->ctx);
        return false;
    }
    if (xt_seq_lt(ack, c->snd_una))
        return true; /* old, but its text may be new */
    struct xt_ack a;
    xt_recovery_begin(&a, c, in->ctx, in->seg);
    if (ack != c->snd_una) {
        uint32_t una = c->snd_una + xt_syn_in_flight(c); /* the SYN is not in the list of what is in flight */
        xt_step_measure(c, in->ctx, in->seg);
        a.bytes = advance(in, ack);
        xt_recovery_advance(&a, una);
        /* The peer took the octet of a probe. ACKs sent since began before it (xt_snd_acceptable), and so were not heard. */
        if (c->cflags & XT_CF_PROBE)
            c->pending |= XT_PEND_ACK;
        if (c->mss_probe)
            xt_pmtu_acked(c, in->ctx);
    }
    update_window(in, a.bytes > 0);
    if ((in->seg->flags & XT_TH_ECE) && (c->ecn & XT_CE_OK))
        xt_ecn_echoed(in, a.bytes);
    a.dup = a.bytes == 0 && is_duplicate(in, old_wnd);
    xt_recovery_ack(&a);
    xt_rate_acked(c, in->ctx);
    xt_tally_acked(&a);
    return a.bytes == 0 || !(c->cflags & XT_CF_FIN_ACKED) || fin_acked(in);
}
