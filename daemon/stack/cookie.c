/* SPDX-License-Identifier: Apache-2.0
 * SYN cookies (RFC 4987 section 3.6): 29 bits of a keyed hash over the end points, the peer's sequence number, the period and
 * the place of the peer's MSS in a table, which is the other 3 bits. One is good in the period it was made in and the next.
 * Nobody can make one without the key, but for guessing: one in 2^28. */
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"

#define PERIOD (64 * XT_US_PER_S)
#define MSS_BITS 3
#define MSS_MASK ((1u << MSS_BITS) - 1)

/* What peers announce: the least that is believed, IPv4's default, tunnels, PPPoE, Ethernet, jumbo frames. */
static const uint16_t mss_table[1 << MSS_BITS] = {88, 536, 1220, 1360, 1440, 1452, 1460, 8960};

/* Without an option the peer takes 536 (RFC 9293 section 3.7.1). */
static unsigned mss_place(const struct xt_tcp_opts *opt)
{
    uint16_t mss = opt->present & XT_OPT_MSS ? opt->mss : 536;
    unsigned i = MSS_MASK;
    while (i > 0 && mss_table[i] > mss)
        i--;
    return i;
}

static uint32_t cookie(const struct xt_stack *s, const struct xt_flow *flow, uint32_t irs, uint64_t period,
                       unsigned place)
{
    struct {
        uint64_t period;
        struct xt_flow flow;
        uint32_t irs, place, rsv;
    } in = {.period = period, .flow = *flow, .irs = irs, .place = place};
    _Static_assert(sizeof in == 56, "no padding: all of it is hashed");
    return ((uint32_t)xt_siphash(&s->cookie_key, &in, sizeof in) & ~MSS_MASK) | place;
}

void xt_cookie_send(struct xt_stack *s, const struct xt_conn *l, const struct xt_flow *flow, const struct xt_seg *syn,
                    const struct xt_rx *rx)
{
    struct xt_tcp_ctx ctx = xt_conn_ctx(s, l);
    struct xt_seg reply;
    uint32_t iss = cookie(s, flow, syn->seq, s->now / PERIOD, mss_place(&syn->opt));
    xt_tcp_cookie_reply(l, &ctx, syn, iss, &reply);
    s->cookie_until = s->now + 2 * PERIOD;
    s->stats.cookies_sent++;
    xt_out_reply(s, xt_addr_to_v4(&flow->local), xt_addr_to_v4(&flow->remote), &reply, rx->mac, &l->opt, rx->back);
}

static bool expected(const struct xt_stack *s)
{
    return s->now < s->cookie_until && s->cfg.tcp.syn_cookies != XT_COOKIES_NEVER;
}

uint16_t xt_cookie_mss(const struct xt_stack *s, const struct xt_flow *flow, uint32_t irs, uint32_t iss)
{
    uint64_t period = s->now / PERIOD;
    for (unsigned age = 0; expected(s) && age < 2 && age <= period; age++)
        if (cookie(s, flow, irs, period - age, iss & MSS_MASK) == iss)
            return mss_table[iss & MSS_MASK];
    return 0;
}

uint16_t xt_cookie_check(struct xt_stack *s, const struct xt_flow *flow, const struct xt_seg *ack)
{
    uint16_t mss = xt_cookie_mss(s, flow, ack->seq - 1, ack->ack - 1);
    s->stats.cookies_bad += mss == 0 && expected(s);
    return mss;
}

void xt_cookie_revive(struct xt_stack *s)
{
    s->cookie_until = s->now + 2 * PERIOD;
}
