/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/invariant.h"

#include "daemon/tcp/board.h"
#include "daemon/tcp/due.h"
#include "daemon/tcp/sent.h"
#include "daemon/tcp/seq.h"

#define S 1000000ull

static uint64_t max2(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The longest that each timer may run. */
static uint64_t longest(const struct xt_conn *c, const struct xt_tcp_cfg *cfg, unsigned t)
{
    uint64_t idle = max2(cfg->keep_idle, c->opt.keep_idle * S), intvl = max2(cfg->keep_intvl, c->opt.keep_intvl * S);
    switch (t) {
    case XT_TIMER_DELACK:
        return 500000 - 1; /* MUST-40 */
    case XT_TIMER_KEEP:
        return max2(idle, intvl);
    case XT_TIMER_WAIT:
        return max2(2 * cfg->msl, max2(cfg->finwait2, c->opt.linger2 * S));
    case XT_TIMER_CORK:
        return 200000;
    case XT_TIMER_PACE:
        return 1 * S; /* the longest wait, whatever the rate */
    default:
        return cfg->rto_max; /* RTO, persist, and those of RACK, which are never later than the RTO's */
    }
}

const char *invariant_timers(const struct xt_conn *c, const struct xt_tcp_cfg *cfg, uint64_t now)
{
    static const char *const names[XT_TIMERS] = {
        [XT_TIMER_RTO] = "the retransmission timer is too far away",
        [XT_TIMER_PERSIST] = "the persist timer is too far away",
        [XT_TIMER_DELACK] = "the delayed ACK is half a second away",
        [XT_TIMER_KEEP] = "the keep-alive timer is too far away",
        [XT_TIMER_WAIT] = "TIME_WAIT or FIN_WAIT2 lasts too long",
        [XT_TIMER_CORK] = "a corked segment waits too long",
        [XT_TIMER_REO] = "the reordering timer is too far away",
        [XT_TIMER_PTO] = "the tail loss probe is too far away",
        [XT_TIMER_PACE] = "pacing holds a segment back too long",
    };
    for (unsigned t = 0; t < XT_TIMERS; t++)
        if (xt_timer_on(c, t) && xt_timer_at(c, t, now) > now + longest(c, cfg, t) + XT_DUE_UNIT)
            return names[t];
    return NULL;
}

static const char *check_sent(const struct xt_conn *c)
{
    if (c->n_sent > xt_sent_room(c))
        return "the list of what is in flight is too long";
    for (unsigned i = 0; i < c->n_sent; i++)
        if (!xt_seq_lt(xt_sent_left(c, i), xt_sent_list(c)[i].end))
            return "the list of what is in flight is not in order";
    if (c->n_sent > 0 && xt_sent_list(c)[c->n_sent - 1].end != c->snd_nxt)
        return "the list of what is in flight does not end at SND.NXT";
    return NULL;
}

static const char *check_ooo(const struct xt_conn *c)
{
    if (c->n_ooo > xt_ooo_room(c))
        return "too many ranges out of order";
    uint32_t edge = c->rcv_nxt;
    for (unsigned i = 0; i < c->n_ooo; i++) {
        if (!xt_seq_lt(edge, xt_ooo_list(c)[i].left) || !xt_seq_lt(xt_ooo_list(c)[i].left, xt_ooo_list(c)[i].right))
            return "ranges out of order touch, are empty or not sorted";
        edge = xt_ooo_list(c)[i].right;
    }
    if (xt_seq_gt(edge, c->rcv_adv))
        return "a range out of order lies beyond the window";
    return NULL;
}

const char *invariant_lists(const struct xt_conn *c)
{
    if (c->state < XT_ESTABLISHED || c->state == XT_TIME_WAIT)
        return NULL;
    if (c->rcv_adv - c->rcv_nxt > c->rx_size)
        return "the window offered is larger than the receive ring";
    if (c->cwnd == 0)
        return "the congestion window is empty";
    const char *bad = check_sent(c);
    return bad ? bad : check_ooo(c);
}

/* Our SYN is out and not acknowledged: of any window the peer offered, it takes nothing (RFC 7413). */
static bool syn_out(const struct xt_conn *c, uint32_t una)
{
    return c->state == XT_SYN_RECV && una == c->iss;
}

/* In flight, from the list alone. Without SACK each duplicate ACK tells of a segment that left the network: what RFC
 * 3042 and RFC 6582 say as an inflated congestion window. */
static uint32_t pipe_of(const struct xt_conn *c)
{
    uint32_t flight = c->snd_nxt - c->snd_una;
    uint32_t gone = syn_out(c, c->snd_una);
    for (unsigned i = 0; i < c->n_sent; i++)
        if (xt_sent_list(c)[i].state != XT_SENT_FLIGHT && xt_sent_list(c)[i].state != XT_SENT_AGAIN)
            gone += xt_sent_list(c)[i].end - xt_sent_left(c, i);
    if (!(c->opts & XT_OPT_SACK_OK) && c->ca_state != XT_CA_OPEN && c->ca_state != XT_CA_LOSS)
        gone += (uint32_t)c->dupacks * c->mss_eff;
    return flight > gone ? flight - gone : 0;
}

void invariant_before(struct invariant_flight *b, const struct xt_conn *c)
{
    *b = (struct invariant_flight){pipe_of(c), c->snd_una, c->snd_nxt, c->pending};
}

/* One segment may leave whatever the congestion window says: the first retransmission after three duplicates, of a
 * partial acknowledgment or of a time-out (RFC 5681 section 3.2, RFC 6582 section 3.2, RFC 6298 section 5.4), a tail
 * loss probe (RFC 8985 section 7.3) and a probe of a closed window (RFC 9293 section 3.8.6.1). A FIN takes a place
 * in sequence space but none in the network. Behind data in flight that the peer then closed its window on, the probe is
 * the first segment of that data again; nothing else leaves beyond the window. */
const char *invariant_sent(const struct invariant_flight *b, const struct xt_conn *c, const struct xt_seg *s)
{
    if (s->flags & (XT_TH_SYN | XT_TH_RST) || s->len == 0)
        return NULL;
    uint32_t end = s->seq + s->len, edge = b->una + c->snd_wnd + syn_out(c, b->una);
    bool probe = (b->pending & XT_PEND_PROBE) && s->seq == b->una && c->snd_wnd == 0;
    if (xt_seq_gt(end, edge) && !probe)
        return "data beyond the peer's window";
    bool forced = b->pending & (XT_PEND_RTX | XT_PEND_TLP | XT_PEND_PROBE);
    if (forced && s->len <= c->mss_eff)
        return NULL;
    if (b->pipe + s->len > c->cwnd)
        return xt_seq_lt(s->seq, b->nxt) ? "a retransmission beyond the congestion window"
                                         : "new data beyond the congestion window";
    return NULL;
}
