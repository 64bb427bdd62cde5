/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/rate.h"

#include "daemon/tcp/cc.h"
#include "daemon/tcp/internal.h"
#include "daemon/tcp/sent.h"
#include "daemon/tcp/step.h"

static uint8_t without_bit(uint8_t bits, unsigned i)
{
    unsigned below = (1u << i) - 1;
    return (uint8_t)((bits & below) | (bits >> 1 & ~below));
}

static void drop_mark(struct xt_rate *r, unsigned i)
{
    memmove(&r->mark[i], &r->mark[i + 1], (--r->n - i) * sizeof r->mark[0]);
    r->mark_limited = without_bit(r->mark_limited, i);
    r->mark_again = without_bit(r->mark_again, i);
}

/* What is sent again makes ambiguous who is acknowledged: the marks inside; without SACK all, for what was received
 * beyond the gap is acknowledged only with it. */
static void sent_again(struct xt_conn *c, uint32_t seq, uint32_t end)
{
    struct xt_rate *r = &c->rate;
    if (!(c->opts & XT_OPT_SACK_OK))
        r->n = 0;
    for (unsigned i = r->n; i-- > 0;)
        if (xt_seq_lt(seq, r->mark[i].end) && xt_seq_le(r->mark[i].end, end))
            drop_mark(r, i);
}

static uint8_t with_bit(uint8_t bits, unsigned i, bool on)
{
    return (uint8_t)(on ? bits | 1u << i : bits & ~(1u << i));
}

static void keep_mark(struct xt_rate *r, unsigned from, unsigned to)
{
    r->mark[to] = r->mark[from];
    r->mark_limited = with_bit(r->mark_limited, to, r->mark_limited >> from & 1);
    r->mark_again = with_bit(r->mark_again, to, r->mark_again >> from & 1);
}

static void set_mark(struct xt_rate *r, uint32_t end, uint32_t now, bool again)
{
    r->mark_limited = with_bit(r->mark_limited, r->n, r->limited);
    r->mark_again = with_bit(r->mark_again, r->n, again);
    r->mark[r->n++] = (struct xt_rate_mark){end, now, r->first_us, r->delivered, r->delivered_us};
    r->last_end = end;
}

void xt_rate_sent(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t seq, uint32_t end, bool again)
{
    struct xt_rate *r = &c->rate;
    uint32_t now = (uint32_t)ctx->now_us;
    /* In the first slow start all marks go to the beginning of a flight: HyStart++ is to see early what it does. */
    uint32_t gap = c->ssthresh < XT_CWND_MAX ? xt_u32_max(c->cwnd / XT_RATE_MARKS, c->mss_eff) : c->mss_eff;
    if (again)
        sent_again(c, seq, end);
    else if (seq == c->snd_una)
        r->first_us = r->delivered_us = now;
    if (r->n == 0 || (r->n < XT_RATE_MARKS && end - r->last_end >= gap))
        set_mark(r, end, now, again);
}

static bool covered(const struct xt_conn *c, uint32_t end)
{
    return xt_seq_le(end, c->snd_una) || (c->ca_state != XT_CA_OPEN && xt_sent_is_sacked(c, end - 1));
}

/* Of the marks that are covered the newest counts; all of them go. */
static void take_marks(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_rate_sample *rs)
{
    struct xt_rate *r = &c->rate;
    unsigned newest = r->n, kept = 0;
    while (newest > 0 && !covered(c, r->mark[newest - 1].end))
        newest--;
    if (newest == 0)
        return;
    xt_step_read_mark(r, newest - 1, (uint32_t)ctx->now_us, rs);
    for (unsigned i = 0; i < r->n; i++)
        if (!covered(c, r->mark[i].end))
            keep_mark(r, i, kept++);
    r->n = (uint8_t)kept;
}

void xt_rate_acked(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    uint32_t sacked = c->ca_state == XT_CA_OPEN ? 0 : xt_sent_bytes(c, XT_SENT_BIT(XT_SENT_SACKED));
    struct xt_rate_sample rs = {.newly = xt_step_delivered(c, (uint32_t)ctx->now_us, sacked)};
    if (c->rate.n)
        take_marks(c, ctx, &rs);
    xt_step_sample(c, ctx, &rs);
}

void xt_rate_app_limited(struct xt_conn *c)
{
    struct xt_rate *r = &c->rate;
    r->limited = 1;
    r->limited_until = r->delivered + xt_u32_max(xt_recovery_pipe(c), 1);
}
