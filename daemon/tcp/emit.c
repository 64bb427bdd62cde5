/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/emit.h"

#include "daemon/tcp/internal.h"
#include "daemon/tcp/rate.h"
#include "daemon/tcp/sack.h"
#include "daemon/tcp/seam.h"
#include "daemon/tcp/tally.h"
#include "daemon/tcp/window.h"

/* Header, window and options of any segment with an ACK; the acknowledgment it carries is the one that was owed. */
static inline __attribute__((always_inline)) void header(struct xt_conn *c, const struct xt_tcp_ctx *ctx,
                                                         struct xt_seg *out, uint32_t seq, uint8_t flags)
{
    out->sport = c->local.port;
    out->dport = c->remote.port;
    out->seq = seq;
    out->ack = flags & XT_TH_ACK ? c->rcv_nxt : 0;
    out->wnd = flags & XT_TH_SYN ? xt_window_offer_syn(c) : xt_window_offer(c);
    out->urp = 0;
    out->flags = flags;
    out->ecn = 0;
    out->payload = out->more = NULL;
    out->part = 0;
    out->len = 0;
    out->may_fragment = (c->cflags & XT_CF_FRAGMENT) || c->opt.fragment;
    out->gso_size = 0;
    out->tx_off = 0;
    out->opt.present = c->opts & XT_OPT_TS;
    out->opt.nsack = 0;
    out->opt.tsval = xt_now_ms(ctx);
    out->opt.tsecr = flags & XT_TH_ACK ? c->ts_recent : 0;
    c->last_ack_sent = c->rcv_nxt;
    xt_timer_stop(c, XT_TIMER_DELACK);
    c->pending &= (uint16_t) ~(XT_PEND_ACK | XT_PEND_DUP);
    c->segs_out++;
    ctx->stats->segs_out++;
    if (XT_UNLIKELY(c->ecn & XT_CE_ECHO) && !(flags & XT_TH_SYN))
        out->flags |= XT_TH_ECE;
    if (c->n_ooo || (c->cflags & XT_CF_DSACK))
        xt_sack_fill(c, ctx->stats, &out->opt);
}

void xt_emit_syn(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out)
{
    header(c, ctx, out, c->iss, c->state == XT_SYN_SENT ? XT_TH_SYN : XT_TH_SYN | XT_TH_ACK);
    out->opt.present = c->opts;
    out->opt.mss = c->mss_local;
    out->flags |= xt_ecn_syn_flags(c, ctx);
    out->opt.wscale = c->rcv_wscale;
    if (!(c->cflags & XT_CF_SYN_RXT)) {
        /* A simultaneous open sends it again, as SYN+ACK: what the ACK then answers is not known (Karn). */
        c->rtt_start = c->segs_out == 1 ? xt_rtt_stamp(ctx) : 0;
        c->rtt_seq = c->iss + 1;
    } else {
        ctx->stats->retrans_segs++;
        xt_seldom(c)->retrans++;
    }
    c->pending &= (uint16_t)~XT_PEND_SYN;
    if (c->fo)
        xt_fo_emit(c, out);
    xt_timer_rto_arm(c, ctx);
}

int xt_emit_ack(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out, uint32_t seq)
{
    if (c->quick > 0)
        c->quick--;
    ctx->stats->acks_sent++;
    header(c, ctx, out, seq, XT_TH_ACK);
    return 1;
}

/* URG from the segment that holds the urgent data's beginning to its end; the pointer gives the first octet that is not
 * urgent (MUST-62). */
static void urgent(const struct xt_conn *c, struct xt_seg *out)
{
    uint64_t urg = xt_tx_urg(c);
    if (urg <= out->tx_off)
        return;
    uint64_t ahead = urg - out->tx_off;
    out->flags |= XT_TH_URG;
    out->urp = (uint16_t)(ahead < 65535 ? ahead : 65535);
}

static uint32_t segments(uint32_t bytes, uint32_t mss)
{
    return (bytes + mss - 1) / mss; // NOLINT(clang-analyzer-core.DivideZero): the MSS is never 0
}

/* `fresh` bytes left for the first time, `again`: and others not. */
static void count(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *out, uint32_t mss,
                  uint32_t fresh, bool again)
{
    uint32_t parts = out->gso_size ? segments(out->len, mss) : 1;
    if (fresh > 0)
        c->tally.segs_once += fresh < out->len ? segments(fresh, mss) : parts;
    c->segs_out += parts - 1;
    ctx->stats->segs_out += parts - 1;
    xt_tally_sent(c, ctx, out->len ? parts : 0);
    if (again) {
        struct xt_seldom *r = xt_seldom(c);
        r->bytes_retrans += out->len;
        r->undo_rtx = (uint16_t)xt_u32_min(r->undo_rtx + parts, UINT16_MAX);
        r->retrans += parts;
        ctx->stats->retrans_segs += parts;
    }
}

void xt_emit_data(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out, uint32_t seq, uint32_t n,
                  uint32_t mss)
{
    uint32_t queued = xt_data_end(c) - seq, had = c->snd_nxt;
    if (xt_seq_lt(seq, had))
        n = xt_seam_cut(c, seq, n, mss);
    uint32_t end = seq + n;
    bool again = xt_seq_lt(seq, c->snd_nxt);
    /* A probe's octet goes out time and again, and at last with new data: that is no loss. */
    bool probe = c->snd_nxt - seq == 1 && (n > 1 || (c->cflags & XT_CF_PROBE));
    /* Answers come so fast that ACKs had better wait for them. */
    if (c->tally.data_segs_in && xt_now_ms(ctx) - c->data_rcv_ms < ctx->cfg->delack / 1000)
        c->cflags |= XT_CF_DIALOGUE;
    if (c->snd_una == c->snd_nxt)
        c->t_progress_ms = xt_now_ms(ctx);
    c->snd_nxt = xt_seq_max(c->snd_nxt, end);
    header(c, ctx, out, seq, XT_TH_ACK);
    out->tx_off = xt_tx_offset(c, seq);
    out->len = xt_u32_min(n, queued);
    out->gso_size = out->len > mss ? (uint16_t)mss : 0;
    if (out->len > 0 && (out->len == queued || (again && xt_seam_at(c, seq + out->len))))
        out->flags |= XT_TH_PSH;
    if (xt_seq_gt(end, had) && (n >= queued || n % mss != 0))
        xt_seam_put(c, end);
    if (n > queued)
        out->flags |= XT_TH_FIN;
    if (xt_tx_urg(c))
        urgent(c, out);
    xt_rate_sent(c, ctx, seq, end, again);
    if (c->ecn & XT_CE_OK && out->len > 0 && !again)
        xt_ecn_mark(c, out);
    if (again && c->mss_probe)
        xt_pmtu_resent(c, ctx, seq, end);
    if (again) {
        c->rtt_start = 0; /* Karn */
    } else if (c->rtt_start == 0) {
        c->rtt_start = xt_rtt_stamp(ctx);
        c->rtt_seq = end;
    }
    if (!xt_timer_on(c, XT_TIMER_RTO) || seq == c->snd_una)
        xt_timer_rto_arm(c, ctx);
    c->t_snd_ms = xt_now_ms(ctx);
    xt_sent_put(c, seq, end, ctx->now_us);
    if (c->ca_state == XT_CA_RECOVERY)
        xt_seldom(c)->prr_out += n;
    if (!again)
        xt_rack_pto_arm(c, ctx);
    count(c, ctx, out, mss, c->snd_nxt - had, again && !probe);
}
