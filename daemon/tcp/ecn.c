/* SPDX-License-Identifier: Apache-2.0
 * Explicit congestion notification (RFC 3168): routers mark packets in place of dropping them. */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"

#define ECT0 2
#define CE 3
#define BOTH (XT_TH_ECE | XT_TH_CWR)

/* RFC 3168 section 6.1.1. A SYN that had to be sent again offers nothing: it may be the offer that was dropped. */
static bool offers(const struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    return cfg->ecn == 1 && !(c->cflags & XT_CF_SYN_RXT);
}

void xt_ecn_negotiate(struct xt_conn *c, const struct xt_tcp_cfg *cfg, const struct xt_seg *syn)
{
    bool agreed;
    if (syn->flags & XT_TH_ACK)
        agreed = offers(c, cfg) && (syn->flags & BOTH) == XT_TH_ECE;
    else
        agreed = cfg->ecn && (c->cflags & XT_CF_PASSIVE) && (syn->flags & BOTH) == BOTH;
    if (agreed)
        c->cflags |= XT_CF_ECN;
    c->ecn_end = c->iss;
}

uint8_t xt_ecn_flags(const struct xt_conn *c, const struct xt_tcp_cfg *cfg, uint8_t flags)
{
    if (flags == XT_TH_SYN)
        return offers(c, cfg) ? flags | BOTH : flags;
    if (flags & XT_TH_SYN)
        return c->cflags & XT_CF_ECN ? flags | XT_TH_ECE : flags;
    return c->cflags & XT_CF_ECE ? flags | XT_TH_ECE : flags;
}

/* New data only: not what is sent again, nor a probe (section 6.1.5, 6.1.6). */
void xt_ecn_mark_data(struct xt_conn *c, struct xt_seg *out)
{
    if (!(c->cflags & XT_CF_ECN))
        return;
    out->ecn = ECT0;
    if (c->cflags & XT_CF_CWR) {
        out->flags |= XT_TH_CWR;
        c->cflags &= ~(uint32_t)XT_CF_CWR;
    }
}

void xt_ecn_input(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    if (!(c->cflags & XT_CF_ECN))
        return;
    if (in->flags & XT_TH_CWR)
        c->cflags &= ~(uint32_t)XT_CF_ECE;
    if (in->seg->ecn == CE && in->seg->len > 0) {
        c->cflags |= XT_CF_ECE;
        c->pending |= XT_PEND_ACK;
    }
}

void xt_ecn_acked(struct xt_in *in, uint32_t bytes)
{
    struct xt_conn *c = in->c;
    if (!(c->cflags & XT_CF_ECN) || !(in->flags & XT_TH_ECE) || c->ca_state >= XT_CA_RECOVERY ||
        xt_seq_lt(c->snd_una, c->ecn_end))
        return;
    c->ssthresh = xt_cc_of(c)->ssthresh(c, xt_u32_min(c->snd_nxt - c->snd_una + bytes, c->cwnd));
    c->cwnd = xt_u32_min(c->cwnd, c->ssthresh);
    c->cc_acked = 0;
    c->ecn_end = c->snd_nxt;
    c->cflags |= XT_CF_CWR;
}
