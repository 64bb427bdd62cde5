/* SPDX-License-Identifier: Apache-2.0
 * Text of a segment to its template. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/wire/seg.h"
#include "tests/packet/script/segtext.h"

static const char *skip(const char *p)
{
    return p + strspn(p, " \t");
}

/* A number, which may be negative, or '*'. */
static const char *number(const char *p, struct pkt_range *r)
{
    char *end;
    p = skip(p);
    *r = (struct pkt_range){0};
    if (*p == '*') {
        r->any = true;
        return p + 1;
    }
    r->lo = r->hi = (uint32_t)strtoll(p, &end, 0);
    return end == p ? NULL : end;
}

/* Likewise, or LOW..HIGH. */
static const char *range(const char *p, struct pkt_range *r)
{
    struct pkt_range hi;
    p = number(p, r);
    if (!p || strncmp(p, "..", 2) != 0)
        return p;
    p = number(p + 2, &hi);
    r->hi = hi.lo;
    return p;
}

static const char *flags(const char *p, struct pkt_tmpl *t)
{
    static const char letters[] = "FSRP.UEW"; /* in the order of the bits */
    if (*p == '-')
        return p + 1;
    const char *start = p;
    for (const char *l; *p && (l = strchr(letters, *p)); p++)
        t->flags |= (uint8_t)(1u << (l - letters));
    return p == start ? NULL : p;
}

/* SEQ, SEQ(LEN) or SEQ:END(LEN). */
static const char *sequence(const char *p, struct pkt_tmpl *t)
{
    struct pkt_range end = {0}, len = {0};
    bool has_end = false;
    p = number(p, &t->seq);
    if (p && *p == ':') {
        has_end = true;
        p = number(p + 1, &end);
    }
    if (p && *p == '(') {
        p = number(p + 1, &len);
        p = p && *p == ')' ? p + 1 : NULL;
    }
    if (!p || (has_end && end.lo - t->seq.lo != len.lo))
        return NULL;
    t->len = len.lo;
    return p;
}

static bool word_is(const char **p, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*p, word, n) != 0 || isalnum((unsigned char)(*p)[n]))
        return false;
    *p = skip(*p + n);
    return true;
}

static const char *raw_bytes(const char *p, struct pkt_opt *o)
{
    o->kind = PKT_OPT_RAW;
    while (isxdigit((unsigned char)p[0]) && isxdigit((unsigned char)p[1]) && o->n < sizeof o->raw) {
        char two[3] = {p[0], p[1], 0};
        o->raw[o->n++] = (uint8_t)strtoul(two, NULL, 16);
        p += 2;
    }
    return p;
}

static const char *blocks(const char *p, struct pkt_opt *o)
{
    o->kind = PKT_OPT_SACK;
    while (o->n < 4 && (isdigit((unsigned char)*p) || *p == '-')) {
        struct pkt_range l, r;
        p = number(p, &l);
        if (!p || *p != ':' || !(p = number(p + 1, &r)))
            return NULL;
        o->block[o->n][0] = l.lo;
        o->block[o->n++][1] = r.lo;
        p = skip(p);
    }
    return p;
}

static const char *stamps(const char *p, struct pkt_opt *o)
{
    o->kind = PKT_OPT_TS;
    if (!word_is(&p, "val") || !(p = range(p, &o->a)))
        return NULL;
    p = skip(p);
    return word_is(&p, "ecr") ? range(p, &o->b) : NULL;
}

/* Nothing asks for a cookie. */
static const char *cookie(const char *p, struct pkt_opt *o)
{
    if (*p == '*') {
        o->cookie = PKT_COOKIE_ANY;
        p++;
    } else if (word_is(&p, "good")) {
        o->cookie = PKT_COOKIE_GOOD;
    } else if (word_is(&p, "bad")) {
        o->cookie = PKT_COOKIE_BAD;
    } else {
        p = raw_bytes(p, o);
    }
    o->kind = PKT_OPT_FO;
    return p;
}

static const char *option(const char *p, struct pkt_opt *o)
{
    memset(o, 0, sizeof *o);
    if (word_is(&p, "nop")) {
        o->kind = PKT_OPT_NOP;
    } else if (word_is(&p, "eol")) {
        o->kind = PKT_OPT_EOL;
    } else if (word_is(&p, "sackOK")) {
        o->kind = PKT_OPT_SACKOK;
    } else if (word_is(&p, "mss")) {
        o->kind = PKT_OPT_MSS;
        return range(p, &o->a);
    } else if (word_is(&p, "wscale")) {
        o->kind = PKT_OPT_WSCALE;
        return range(p, &o->a);
    } else if (word_is(&p, "sack")) {
        return blocks(p, o);
    } else if (word_is(&p, "TS")) {
        return stamps(p, o);
    } else if (word_is(&p, "FO")) {
        return cookie(p, o);
    } else if (word_is(&p, "raw")) {
        return raw_bytes(p, o);
    } else {
        return NULL;
    }
    return p;
}

static const char *options(const char *p, struct pkt_tmpl *t)
{
    t->opts_given = true;
    for (p = skip(p); *p && *p != '>'; p = skip(p)) {
        if (t->nopts == PKT_OPTS || !(p = option(p, &t->opts[t->nopts++])))
            return NULL;
        p = skip(p);
        if (*p == ',')
            p++;
        else if (*p != '>')
            return NULL;
    }
    return *p == '>' ? p + 1 : NULL;
}

static const char *field(const char *p, struct pkt_tmpl *t)
{
    struct pkt_range r;
    if (*p == '<')
        return options(p + 1, t);
    if (word_is(&p, "ack")) {
        t->ack_given = true;
        return range(p, &t->ack);
    }
    if (word_is(&p, "win")) {
        t->win_given = true;
        return range(p, &t->win);
    }
    if (word_is(&p, "urg")) {
        t->urg_given = true;
        return range(p, &t->urg);
    }
    if (word_is(&p, "by")) {
        p = number(p, &r);
        t->by = r.lo;
        return p;
    }
    if (word_is(&p, "ecn")) {
        p = number(p, &r);
        t->ecn = (uint8_t)(r.lo & 3);
        t->ecn_given = true;
        return p;
    }
    return NULL;
}

const char *pkt_tmpl_parse(char *text, struct pkt_tmpl *t)
{
    memset(t, 0, sizeof *t);
    const char *p = flags(skip(text), t);
    if (!p)
        return "flags wanted: letters of FSRP.UEW or -";
    p = sequence(p, t);
    if (!p)
        return "sequence number wanted: SEQ, SEQ(LEN) or SEQ:END(LEN) with END = SEQ + LEN";
    for (p = skip(p); *p; p = skip(p))
        if (!(p = field(p, t)))
            return "fields are: ack N, win N, urg N, ecn N, by N, <options>";
    if (((t->flags & XT_TH_ACK) != 0) != t->ack_given)
        return "'ack N' goes with the flag '.'";
    if (((t->flags & XT_TH_URG) != 0) != t->urg_given)
        return "'urg N' goes with the flag U";
    return NULL;
}
