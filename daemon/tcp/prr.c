/* SPDX-License-Identifier: Apache-2.0
 * Proportional Rate Reduction (RFC 6937 as its revision has it): during recovery cwnd follows what the ACKs say was
 * delivered, so that the flight shrinks to ssthresh smoothly over a round trip, and grows to it when the losses took more. */
#include "daemon/tcp/internal.h"

void xt_prr_begin(struct xt_conn *c, uint32_t before)
{
    uint32_t flight = c->snd_nxt - c->snd_una, sacked = xt_sent_bytes(c, XT_SENT_BIT(XT_SENT_SACKED));
    struct xt_seldom *r = xt_seldom(c);
    r->prr_fs = xt_u32_max(flight - sacked + before, c->mss_eff);
    r->prr_delivered = 0;
    r->prr_out = 0;
}

void xt_prr_acked(struct xt_conn *c, uint32_t delivered, bool safe)
{
    struct xt_seldom *r = xt_seldom(c);
    uint32_t pipe = xt_recovery_pipe(c);
    int64_t n, ahead;
    r->prr_delivered += delivered;
    ahead = (int64_t)r->prr_delivered - r->prr_out;
    if (pipe > c->ssthresh) {
        uint64_t share = ((uint64_t)r->prr_delivered * c->ssthresh + r->prr_fs - 1) / r->prr_fs;
        n = (int64_t)share - r->prr_out;
    } else {
        /* Packet conservation, and one segment more when recovery goes well (PRR-SSRB). */
        n = ahead > (int64_t)delivered ? ahead : (int64_t)delivered;
        n += safe ? c->mss_eff : 0;
        n = n < (int64_t)(c->ssthresh - pipe) ? n : (int64_t)(c->ssthresh - pipe);
    }
    /* The first retransmission leaves at once. With nothing in flight there would be no ACK to go on by. */
    if (n < c->mss_eff && (r->prr_out == 0 || pipe == 0))
        n = c->mss_eff;
    c->cwnd = pipe + (uint32_t)(n > 0 ? n : 0);
}
