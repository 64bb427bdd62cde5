/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/rate.h"

#include "daemon/base/macros.h"
#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/sent.h"
#include "daemon/tcp/step.h"

static uint8_t without_bit(uint8_t bits, unsigned i)
{
    unsigned below = (1u << i) - 1;
    return (uint8_t)((bits & below) | (bits >> 1 & ~below));
}

static void drop_mark(struct xt_conn *c, unsigned i)
{
    struct xt_rate *r = &c->rate;
    struct xt_rate_mark *mark = xt_mark_list(c);
    memmove(&mark[i], &mark[i + 1], (--r->n - i) * sizeof *mark);
    r->mark_limited = without_bit(r->mark_limited, i);
    r->mark_again = without_bit(r->mark_again, i);
}

/* What is sent again makes ambiguous who is acknowledged: the marks inside; without SACK all, for what was received
 * beyond the gap is acknowledged only with it. */
static void sent_again(struct xt_conn *c, uint32_t seq, uint32_t end)
{
    const struct xt_rate_mark *mark = xt_mark_list(c);
    if (!(c->opts & XT_OPT_SACK_OK))
        c->rate.n = 0;
    for (unsigned i = c->rate.n; i-- > 0;)
        if (xt_seq_lt(seq, mark[i].end) && xt_seq_le(mark[i].end, end))
            drop_mark(c, i);
}

static uint8_t with_bit(uint8_t bits, unsigned i, bool on)
{
    return (uint8_t)(on ? bits | 1u << i : bits & ~(1u << i));
}

static void keep_mark(struct xt_conn *c, unsigned from, unsigned to)
{
    struct xt_rate *r = &c->rate;
    xt_mark_list(c)[to] = xt_mark_list(c)[from];
    r->mark_limited = with_bit(r->mark_limited, to, r->mark_limited >> from & 1);
    r->mark_again = with_bit(r->mark_again, to, r->mark_again >> from & 1);
}

static void set_mark(struct xt_conn *c, uint32_t end, uint32_t now, bool again)
{
    struct xt_rate *r = &c->rate;
    r->mark_limited = with_bit(r->mark_limited, r->n, r->limited);
    r->mark_again = with_bit(r->mark_again, r->n, again);
    xt_mark_list(c)[r->n++] = (struct xt_rate_mark){end, now, r->first_us, r->delivered, r->delivered_us};
    r->last_end = end;
}

void xt_rate_sent(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t seq, uint32_t end, bool again)
{
    struct xt_rate *r = &c->rate;
    uint32_t now = (uint32_t)ctx->now_us;
    /* In the first slow start all marks go to the beginning of a flight: HyStart++ is to see early what it does. */
    uint32_t gap = c->ssthresh < XT_CWND_MAX ? xt_u32_max(c->cwnd / XT_MARK_BOARD, c->mss_eff) : c->mss_eff;
    if (again)
        sent_again(c, seq, end);
    else if (seq == c->snd_una)
        r->first_us = r->delivered_us = now;
    if (r->n == 0 || (end - r->last_end >= gap && r->n < xt_mark_room(c)))
        set_mark(c, end, now, again);
}

static bool covered(const struct xt_conn *c, uint32_t end)
{
    return xt_seq_le(end, c->snd_una) || (c->ca_state != XT_CA_OPEN && xt_sent_is_sacked(c, end - 1));
}

/* Nothing but SND.UNA covers marks, and of none the bytes were sent again: then the first ones are covered. */
static inline bool in_order(const struct xt_conn *c)
{
    const struct xt_rate *r = &c->rate;
    return c->ca_state == XT_CA_OPEN && (!r->mark_again || !(r->mark_again & ((1u << r->n) - 1)));
}

/* Marks that are covered. */
static inline unsigned first_covered(const struct xt_conn *c)
{
    const struct xt_rate_mark *mark = xt_mark_list(c);
    unsigned n = 0;
    while (n < c->rate.n && xt_seq_le(mark[n].end, c->snd_una))
        n++;
    return n;
}

static void drop_first(struct xt_conn *c, unsigned n)
{
    struct xt_rate *r = &c->rate;
    struct xt_rate_mark *mark = xt_mark_list(c);
    r->n = (uint8_t)(r->n - n);
    if (r->n == 0)
        return;
    memmove(mark, mark + n, r->n * sizeof *mark);
    r->mark_limited = (uint8_t)(r->mark_limited >> n);
    r->mark_again = (uint8_t)(r->mark_again >> n);
}

/* The newest mark that is covered, counted from 1; 0: none is. */
static __attribute__((noinline)) unsigned newest_covered(const struct xt_conn *c)
{
    const struct xt_rate_mark *mark = xt_mark_list(c);
    unsigned n = c->rate.n;
    while (n > 0 && !covered(c, mark[n - 1].end))
        n--;
    return n;
}

static void drop_covered(struct xt_conn *c)
{
    struct xt_rate *r = &c->rate;
    const struct xt_rate_mark *mark = xt_mark_list(c);
    unsigned kept = 0;
    for (unsigned i = 0; i < r->n; i++)
        if (!covered(c, mark[i].end))
            keep_mark(c, i, kept++);
    r->n = (uint8_t)kept;
}

/* The `n`-th mark is the newest that is covered, `newly` bytes were delivered. It counts, and all that are covered go. */
static __attribute__((noinline)) void take_mark(struct xt_conn *c, const struct xt_tcp_ctx *ctx, unsigned n,
                                                uint32_t newly)
{
    struct xt_rate_sample rs = xt_step_read_mark(c, n - 1, (uint32_t)ctx->now_us, newly);
    if (in_order(c))
        drop_first(c, n);
    else
        drop_covered(c);
    xt_tally_rate(c, &rs);
    xt_step_hand_over(c, ctx, rs);
}

/* Likewise of an ACK that delivered `newly` bytes and covers no mark. */
static __attribute__((noinline)) void take_none(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t newly)
{
    if (newly > 0)
        xt_step_hand_over(c, ctx, (struct xt_rate_sample){.newly = newly});
}

static __attribute__((noinline)) void acked_out_of_order(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t sacked = c->ca_state == XT_CA_OPEN ? 0 : xt_sent_bytes(c, XT_SENT_BIT(XT_SENT_SACKED));
    uint32_t newly = xt_step_delivered(c, (uint32_t)ctx->now_us, sacked);
    unsigned n = newest_covered(c);
    if (n > 0)
        take_mark(c, ctx, n, newly);
    else
        take_none(c, ctx, newly);
}

void xt_rate_acked(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (XT_UNLIKELY(!in_order(c))) {
        acked_out_of_order(c, ctx);
        return;
    }
    uint32_t newly = xt_step_delivered(c, (uint32_t)ctx->now_us, 0);
    unsigned n = first_covered(c);
    if (n > 0)
        take_mark(c, ctx, n, newly);
    else if (xt_cc_wants_samples(c))
        take_none(c, ctx, newly);
}

void xt_rate_app_limited(struct xt_conn *c)
{
    struct xt_rate *r = &c->rate;
    r->limited = 1;
    r->limited_until = r->delivered + xt_u32_max(xt_recovery_pipe(c), 1);
}
