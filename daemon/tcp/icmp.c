/* SPDX-License-Identifier: Apache-2.0
 * ICMP errors (RFC 9293 section 3.9.2.2, RFC 5927, RFC 1191). */
#include "daemon/tcp/internal.h"

/* Destination unreachable, codes 2 and 3 (protocol, port); code 4 is EMSGSIZE. All else may pass: networks and hosts out of
 * reach, time exceeded, parameter problem (RFC 9293 section 3.9.2.2). */
static bool is_hard(int err)
{
    return err == ENOPROTOOPT || err == ECONNREFUSED;
}

uint32_t xt_tcp_icmp(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t seq, int err, uint32_t mtu)
{
    if (c->state <= XT_LISTEN || c->state == XT_TIME_WAIT || xt_seq_lt(seq, c->snd_una) || xt_seq_ge(seq, c->snd_nxt)) {
        ctx->stats->icmp_ignored++;
        return 0;
    }
    ctx->stats->icmp_errors++;
    if (err == EMSGSIZE) {
        xt_pmtu_told(c, ctx, mtu);
        return 0;
    }
    c->soft_err = err;
    /* Soft errors never end a connection, nor its opening (MUST-56). Hard errors too are only remembered once synchronised,
     * unless configured otherwise (SHLD-26): they are as easy to forge (RFC 5927 section 5). */
    if (!is_hard(err) || (c->state != XT_SYN_SENT && !ctx->cfg->icmp_abort)) {
        if (c->state == XT_SYN_SENT)
            return 0;
        return c->opt.recverr && c->state >= XT_ESTABLISHED ? XT_EV_SOFT_ERROR : XT_EV_SOFT;
    }
    c->err = err;
    return XT_EV_ERROR | xt_fsm_post(c, ctx, XT_FSM_ABORT);
}
