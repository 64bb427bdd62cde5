/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/trace.h"

#include <stdio.h>
#include <string.h>

void trace_add(struct trace *t, const char *fmt, ...)
{
    char *line = t->line[t->n++ % TRACE_LINES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, TRACE_WIDTH, fmt, ap);
    va_end(ap);
    if (t->all)
        puts(line);
}

void trace_print(const struct trace *t)
{
    unsigned first = t->n > TRACE_LINES ? t->n - TRACE_LINES : 0;
    if (first)
        printf("(%u earlier events)\n", first);
    for (unsigned i = first; i < t->n; i++)
        puts(t->line[i % TRACE_LINES]);
}

struct text {
    char *buf;
    size_t size, len;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->buf + t->len, t->size - t->len, fmt, ap);
    va_end(ap);
    t->len += n > 0 ? (size_t)n : 0;
    if (t->len >= t->size)
        t->len = t->size - 1;
}

static void put_flags(struct text *t, uint8_t flags)
{
    static const char letters[] = "FSRP.UEW";
    for (unsigned i = 0; i < 8; i++)
        if (flags & (1u << i))
            put(t, "%c", letters[i]);
}

static void put_options(struct text *t, const struct xt_tcp_opts *o, uint32_t ack0)
{
    if (o->present & XT_OPT_MSS)
        put(t, ", mss %u", o->mss);
    if (o->present & XT_OPT_WSCALE)
        put(t, ", wscale %u", o->wscale);
    if (o->present & XT_OPT_SACK_OK)
        put(t, ", sackOK");
    if (o->present & XT_OPT_TS)
        put(t, ", TS %u/%u", o->tsval, o->tsecr);
    for (unsigned i = 0; i < o->nsack; i++)
        put(t, "%s%u-%u", i ? " " : ", sack ", o->sack[i].left - ack0, o->sack[i].right - ack0);
}

void trace_seg(char *buf, size_t size, const struct xt_conn *c, const struct xt_seg *s, bool sent)
{
    struct text t = {buf, size, 0};
    uint32_t seq0 = sent ? c->iss : c->irs, ack0 = sent ? c->irs : c->iss;
    put(&t, "[");
    put_flags(&t, s->flags);
    put(&t, "] seq %u:%u", s->seq - seq0, s->seq - seq0 + s->len);
    if (s->flags & XT_TH_ACK)
        put(&t, ", ack %u", s->ack - ack0);
    put(&t, ", win %u%s", s->wnd, s->ecn == 3 ? ", CE" : s->ecn ? ", ECT" : "");
    put_options(&t, &s->opt, ack0);
    put(&t, ", length %u%s", s->len, s->gso_size ? " (super)" : "");
}
