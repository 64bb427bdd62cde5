/* SPDX-License-Identifier: Apache-2.0
 * Can this be a connection's record? Asked of one that another process has left: what it says is used to reach into lists and
 * rings, and to divide by. */
#include "daemon/tcp/cc.h"
#include "daemon/tcp/cc_bbr.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/sent.h"

#define WSCALE_MAX 14
#define IP_OPTIONS_MAX 40
#define OPTS_AGREED (XT_OPT_MSS | XT_OPT_WSCALE | XT_OPT_SACK_OK | XT_OPT_TS)

static bool is_ring(uint32_t size)
{
    return (size & (size - 1)) == 0;
}

static bool streams_ok(const struct xt_conn *c)
{
    return is_ring(c->rx_size) && is_ring(c->tx_size) && c->rx_tail <= c->rx_head && c->tx_una <= c->tx_head &&
           c->rx_head - c->rx_tail <= c->rx_size && c->tx_head - c->tx_una <= c->tx_size;
}

static bool numbers_ok(const struct xt_conn *c)
{
    return c->ca_state <= XT_CA_LOSS && c->snd_wscale <= WSCALE_MAX && c->rcv_wscale <= WSCALE_MAX &&
           c->cc < XT_CC_MAX && c->opt.cc <= XT_CC_MAX && c->recovery <= XT_RECOVERY_SACK &&
           (c->opts & ~OPTS_AGREED) == 0 && c->tally.busy <= XT_BUSY_SNDBUF && c->ip_optlen <= IP_OPTIONS_MAX &&
           c->ip_optlen % 4 == 0 && xt_timers_ok(c);
}

/* RFC 9293 section 3.3.1: sequence numbers and streams tell the same. After a close in SYN_RECV our SYN may still be out. */
static bool sequence_ok(const struct xt_conn *c)
{
    uint32_t una = c->snd_una - (uint32_t)(c->iss + 1 + c->tx_una),
             nxt = c->rcv_nxt - (uint32_t)(c->irs + 1 + c->rx_head);
    bool syn_out = c->snd_una == c->iss && c->tx_una == 0;
    if (xt_seq_gt(c->snd_una, c->snd_nxt) || c->snd_nxt - c->snd_una > c->tx_head - c->tx_una + 2)
        return false;
    return c->state < XT_ESTABLISHED || ((una <= 1 || syn_out) && nxt <= 1);
}

static bool sent_ok(const struct xt_conn *c)
{
    for (unsigned i = 0; i < c->n_sent; i++)
        if (!xt_seq_lt(xt_sent_left(c, i), xt_sent_list(c)[i].end) || xt_sent_list(c)[i].state > XT_SENT_SACKED)
            return false;
    return c->n_sent == 0 || xt_sent_list(c)[c->n_sent - 1].end == c->snd_nxt;
}

static bool ooo_ok(const struct xt_conn *c)
{
    const struct xt_range *r = xt_ooo_list(c);
    uint32_t edge = c->rcv_nxt;
    for (unsigned i = 0; i < c->n_ooo; edge = r[i++].right)
        if (!xt_seq_lt(edge, r[i].left) || !xt_seq_lt(r[i].left, r[i].right))
            return false;
    return edge - c->rcv_nxt <= c->rx_size;
}

static bool lists_ok(const struct xt_conn *c)
{
    if (c->n_seam > xt_seam_room(c) || c->n_recent > xt_recent_room(c) || c->rate.n > xt_mark_room(c) ||
        c->n_sent > xt_sent_room(c) || c->n_ooo > xt_ooo_room(c))
        return false;
    return c->state < XT_ESTABLISHED || c->state == XT_TIME_WAIT || (sent_ok(c) && ooo_ok(c));
}

static bool congestion_ok(const struct xt_conn *c)
{
    if (c->cc == XT_CC_BBR && xt_seldom_of(c)->ccs.bbr.phase > XT_BBR_PROBE_RTT)
        return false;
    return c->state < XT_ESTABLISHED || (c->cwnd && (c->ca_state != XT_CA_RECOVERY || xt_seldom_of(c)->prr_fs));
}

bool xt_tcp_is_sound(const struct xt_conn *c)
{
    if (c->state == XT_CLOSED || c->state >= XT_NSTATES || !numbers_ok(c))
        return false;
    if (c->state == XT_LISTEN)
        return !c->board && c->fo_listen.nkeys <= XT_FO_KEYS;
    if (c->state < XT_ESTABLISHED && (c->n_ooo || c->fo_cookie.len > XT_FO_COOKIE_MAX))
        return false;
    return c->mss_eff >= XT_MSS_EFF_MIN && streams_ok(c) && sequence_ok(c) && lists_ok(c) && congestion_ok(c);
}
