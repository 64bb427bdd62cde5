/* SPDX-License-Identifier: Apache-2.0
 * The path's MTU, as an MSS: what ICMP says (RFC 1191), and what segments that do not arrive say when ICMP does not
 * (RFC 4821, with the sizes of RFC 8899). A lowered MSS is searched upwards again, by single segments of data. */
#include "daemon/tcp/internal.h"
#include "daemon/tcp/tally.h"

#define IP4_TCP_HEADERS 40u
#define IP6_TCP_HEADERS 60u
#define MTU_MIN 552u         /* a smaller one is more likely an attack than a network (RFC 5927 section 7.2) */
#define MTU_BASE 1200u       /* what nearly all paths take (RFC 8899 section 5.1.2) */
#define BASE_TIMEOUTS 4      /* in a row, of more than that takes, before it is tried */
#define MIN_TIMEOUTS 6       /* and before the least is */
#define SEARCH_END 32u       /* bytes of doubt not worth another segment */
#define RAISE_MS 600000u     /* before a larger size is tried after the end of a search (RFC 1191 section 6.3) */
#define BLACK_HOLE_MS 10000u /* likewise, when it was found by time-outs, which may have had another cause */
#define AFTER_LOSS_MS 1000u  /* between two tries */

static uint32_t headers(const struct xt_conn *c)
{
    return xt_addr_is_v4(&c->remote.addr) ? IP4_TCP_HEADERS : IP6_TCP_HEADERS;
}

/* Of each segment: what the MSS does not count (RFC 9293 section 3.7.1). */
static uint32_t options(const struct xt_conn *c)
{
    return (c->opts & XT_OPT_TS ? 12 : 0) + c->ip_optlen;
}

static void set(struct xt_conn *c, uint32_t mss)
{
    c->mss_path = (uint16_t)mss;
    c->mss_probe = 0;
    c->tally.segs_once -= xt_tally_flight(c);
    xt_open_set_mss(c);
    c->tally.segs_once += xt_tally_flight(c); /* what was delivered before stays the same */
}

void xt_tcp_ip_options(struct xt_conn *c, uint8_t len)
{
    c->ip_optlen = len;
    if (c->mss_path) /* else the open will see to it */
        set(c, c->mss_path);
}

void xt_tcp_path_mtu(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t mtu)
{
    uint32_t mss = xt_u32_max(mtu, MTU_MIN) - headers(c);
    if (mss >= c->mss_path)
        return;
    c->mss_bad = 0;
    xt_seldom(c)->pmtu_ms = xt_now_ms(ctx) + RAISE_MS;
    set(c, mss);
}

void xt_pmtu_told(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t mtu)
{
    uint32_t mss = xt_u32_max(mtu, MTU_MIN) - headers(c), was = c->mss_eff;
    if (mtu < MTU_MIN)
        c->cflags |= XT_CF_FRAGMENT;
    if (mss >= c->mss_path) {
        if (c->mss_probe > mss)
            c->mss_bad = (uint16_t)(mss + 1); /* of the segment that tried: it will be missed soon */
        return;
    }
    ctx->stats->pmtu_lowered++;
    xt_tcp_path_mtu(c, ctx, mtu);
    /* The window allows as many segments as before, not more. */
    if (c->state >= XT_ESTABLISHED && c->mss_eff < was)
        c->cwnd = xt_u32_max(1, c->cwnd / was) * c->mss_eff;
    /* What is in flight was too big: send it again, in smaller parts, without blaming congestion. */
    if (c->state >= XT_ESTABLISHED && c->snd_una != c->snd_nxt)
        xt_recovery_resend(c);
}

void xt_pmtu_timeout(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t mtu = c->timeouts == BASE_TIMEOUTS ? MTU_BASE : MTU_MIN, mss = mtu - headers(c);
    /* Not when what is in flight fits in one segment of that size. */
    if ((c->timeouts != BASE_TIMEOUTS && c->timeouts != MIN_TIMEOUTS) || mss >= c->mss_path || c->mss_peer <= mss ||
        c->snd_nxt - c->snd_una + options(c) <= mss)
        return;
    ctx->stats->pmtu_black_holes++;
    c->mss_bad = (uint16_t)xt_u32_min(c->mss_path, c->mss_peer);
    xt_seldom(c)->pmtu_ms = xt_now_ms(ctx) + BLACK_HOLE_MS;
    set(c, mss);
    c->cwnd = c->mss_eff;
}

/* The next size to try: the largest that both ends take, then between what fits and what does not; 0: the search has ended. */
static uint32_t next_size(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t top = xt_u32_min(c->mss_local, c->mss_peer);
    if (!c->mss_bad)
        return top > c->mss_path ? top : 0;
    if (c->mss_bad - c->mss_path >= (int)SEARCH_END)
        return (c->mss_path + c->mss_bad) / 2u;
    c->mss_bad = 0;
    xt_seldom(c)->pmtu_ms = xt_now_ms(ctx) + RAISE_MS;
    return 0;
}

/* Only without SACK blocks, which would take room beside it, and when what follows would soon show its loss, by duplicate ACKs (RFC 4821 section 7.4). */
uint32_t xt_pmtu_probe_len(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t data, uint32_t room)
{
    if (c->mss_probe || c->ca_state != XT_CA_OPEN || (int32_t)(xt_now_ms(ctx) - xt_seldom_of(c)->pmtu_ms) < 0 ||
        xt_tx_urg(c) > c->tx_una || c->n_ooo || (c->cflags & XT_CF_DSACK))
        return 0;
    uint32_t size = next_size(c, ctx);
    if (size == 0)
        return 0;
    uint32_t n = size - options(c), need = n + 4u * c->mss_eff;
    return data >= need && room >= need ? n : 0;
}

void xt_pmtu_probing(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t n, uint32_t end)
{
    c->mss_probe = (uint16_t)(n + options(c));
    xt_seldom(c)->probe_end = end;
    ctx->stats->pmtu_probes++;
}

void xt_pmtu_acked(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (xt_seq_lt(c->snd_una, xt_seldom_of(c)->probe_end))
        return;
    ctx->stats->pmtu_raised++;
    set(c, c->mss_probe);
}

/* It is lost: the size is taken for too large. That was no congestion, when nothing before it is missing (RFC 4821
 * section 7.6.2). */
void xt_pmtu_resent(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t left, uint32_t right)
{
    uint32_t start = xt_seldom_of(c)->probe_end - (c->mss_probe - options(c));
    if (!xt_seq_gt(right, start) || !xt_seq_lt(left, xt_seldom_of(c)->probe_end))
        return;
    if (!c->mss_bad || c->mss_bad > c->mss_probe)
        c->mss_bad = c->mss_probe;
    c->mss_probe = 0;
    xt_seldom(c)->pmtu_ms = xt_now_ms(ctx) + AFTER_LOSS_MS;
    if (c->snd_una == start)
        xt_recovery_forgive(c);
}
