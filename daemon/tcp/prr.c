/* SPDX-License-Identifier: Apache-2.0
 * Proportional Rate Reduction (RFC 6937 as its revision has it): during recovery cwnd follows what the ACKs say was
 * delivered, so that the flight shrinks to ssthresh smoothly over a round trip, and grows to it when the losses took more. */
#include "daemon/tcp/internal.h"

void xt_prr_begin(struct xt_conn *c, uint32_t before)
{
    uint32_t flight = c->snd_nxt - c->snd_una, sacked = xt_sent_bytes(c, XT_SENT_BIT(XT_SENT_SACKED));
    c->prr_fs = xt_u32_max(flight - sacked + before, c->mss_eff);
    c->prr_delivered = 0;
    c->prr_out = 0;
}

void xt_prr_acked(struct xt_conn *c, uint32_t delivered, bool safe)
{
    uint32_t pipe = xt_recovery_pipe(c);
    int64_t n, ahead;
    c->prr_delivered += delivered;
    ahead = (int64_t)c->prr_delivered - c->prr_out;
    if (pipe > c->ssthresh) {
        uint64_t share = ((uint64_t)c->prr_delivered * c->ssthresh + c->prr_fs - 1) / c->prr_fs;
        n = (int64_t)share - c->prr_out;
    } else {
        /* Packet conservation, and one segment more when recovery goes well (PRR-SSRB). */
        n = ahead > (int64_t)delivered ? ahead : (int64_t)delivered;
        n += safe ? c->mss_eff : 0;
        n = n < (int64_t)(c->ssthresh - pipe) ? n : (int64_t)(c->ssthresh - pipe);
    }
    /* The first retransmission leaves at once. With nothing in flight there would be no ACK to go on by. */
    if (n < c->mss_eff && (c->prr_out == 0 || pipe == 0))
        n = c->mss_eff;
    c->cwnd = pipe + (uint32_t)(n > 0 ? n : 0);
}
