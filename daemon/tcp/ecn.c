/* SPDX-License-Identifier: Apache-2.0
 * Explicit congestion notification (RFC 3168), with the milder answer of RFC 8511. */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"

#define ASK (XT_TH_ECE | XT_TH_CWR) /* in a SYN; the SYN+ACK answers with ECE alone (section 6.1.1) */
#define ECT0 2
#define CE 3

void xt_ecn_negotiate(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *syn)
{
    uint8_t flags = syn->flags & ASK;
    bool ok = syn->flags & XT_TH_ACK ? (c->ecn & XT_CE_ASKED) && flags == XT_TH_ECE
                                     : ctx->cfg->ecn != XT_ECN_OFF && flags == ASK;
    if (!ok)
        return;
    c->ecn |= XT_CE_OK;
    ctx->stats->ecn_conns++;
}

/* A SYN sent again does not ask: some path may drop those that do (section 6.1.1.1). Should the first have arrived all the
 * same, the peer believes in ECN, so that its marks must be echoed; ours are not set then (section 6.1.1). */
uint8_t xt_ecn_syn_flags(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (c->state != XT_SYN_SENT)
        return c->ecn & XT_CE_OK ? XT_TH_ECE : 0;
    if (ctx->cfg->ecn != XT_ECN_ON)
        return 0;
    if (c->cflags & XT_CF_SYN_RXT) {
        c->ecn |= XT_CE_PLAIN;
        return 0;
    }
    c->ecn |= XT_CE_ASKED;
    return ASK;
}

/* CWR ends the echo of what came before it, a mark on the same segment begins a new one. The sender waits for either news. */
void xt_ecn_received(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    if (in->seg->flags & XT_TH_CWR) {
        c->ecn &= (uint8_t)~XT_CE_ECHO;
        c->pending |= XT_PEND_ACK;
    }
    if (in->seg->ecn)
        c->ecn |= XT_CE_SEEN;
    if (in->seg->ecn != CE || in->seg->len == 0)
        return;
    in->ctx->stats->ecn_marks_in++;
    if (!(c->ecn & XT_CE_ECHO))
        c->pending |= XT_PEND_ACK;
    c->ecn |= XT_CE_ECHO;
}

static void reduce(struct xt_conn *c, uint32_t flight)
{
    const struct xt_cc *cc = xt_cc_of(c);
    if (cc->marked)
        cc->marked(c);
    uint64_t left = cc->ssthresh(c, xt_u32_min(flight, c->cwnd));
    if (cc->ecn_percent)
        left = left * cc->ecn_percent / 100;
    c->ssthresh = (uint32_t)(left < c->cwnd ? left : c->cwnd);
    c->cwnd = c->ssthresh;
    c->cc_acked = 0;
    xt_seldom(c)->undo_cwnd = 0; /* this congestion is no guess */
}

/* Once for each window of data; in a recovery the window is reduced already (section 6.1.2). The ACK of the window's very end
 * is from before the peer saw CWR, so it does not count either. */
void xt_ecn_echoed(struct xt_in *in, uint32_t bytes)
{
    struct xt_conn *c = in->c;
    if (!(c->ecn & XT_CE_REDUCED) || xt_seq_gt(c->snd_una, xt_seldom_of(c)->ecn_recover)) {
        if (c->ca_state < XT_CA_RECOVERY) {
            reduce(c, c->snd_nxt - c->snd_una + bytes);
            in->ctx->stats->ecn_reductions++;
        }
        c->ecn |= XT_CE_CWR | XT_CE_REDUCED;
        xt_seldom(c)->ecn_recover = c->snd_nxt;
    }
    /* An ACK that tells of congestion is no reason to grow. */
    c->cflags &= ~(uint32_t)XT_CF_CWND_LIM;
}

void xt_ecn_mark(struct xt_conn *c, struct xt_seg *out)
{
    if (!(c->ecn & XT_CE_PLAIN))
        out->ecn = ECT0;
    if (c->ecn & XT_CE_CWR)
        out->flags |= XT_TH_CWR;
    c->ecn &= (uint8_t)~XT_CE_CWR;
    if ((c->ecn & XT_CE_REDUCED) && xt_seq_gt(c->snd_una, xt_seldom_of(c)->ecn_recover))
        c->ecn &= (uint8_t)~XT_CE_REDUCED; /* before sequence numbers come round */
}
