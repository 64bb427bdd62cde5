/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/xt_rules.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const char *const places[] = {[XT_PLACE_KERNEL] = "kernel", [XT_PLACE_XTCP] = "xtcp", [XT_PLACE_BOTH] = "both"};

const char *xt_place_name(enum xt_place place)
{
    return places[place];
}

/* ---- reading ---- */

#define BLANKS " \t\n"

struct word {
    const char *s;
    unsigned len;
};

static int wrong(const char *whole, struct word w, const char *what, char *err, size_t errlen)
{
    snprintf(err, errlen, "column %u: '%.*s' %s", (unsigned)(w.s - whole) + 1, (int)(w.len > 40 ? 40 : w.len), w.s,
             what);
    return -EINVAL;
}

/* The next word before `end`; empty: none. */
static struct word take_word(const char **p, const char *end)
{
    struct word w;
    while (*p < end && strchr(BLANKS, **p))
        ++*p;
    w.s = *p;
    while (*p < end && !strchr(BLANKS, **p))
        ++*p;
    w.len = (unsigned)(*p - w.s);
    return w;
}

static bool is(struct word w, const char *s)
{
    return w.len == strlen(s) && memcmp(w.s, s, w.len) == 0;
}

/* A decimal number of at most `max` off the front of *s. */
static bool take_number(const char **s, const char *end, unsigned max, unsigned *out)
{
    unsigned v = 0;
    const char *first = *s;
    for (; *s < end && isdigit((unsigned char)**s); ++*s) {
        v = v * 10 + (unsigned)(**s - '0');
        if (v > max || *s - first > 5)
            return false;
    }
    *out = v;
    return *s > first;
}

static bool take_char(const char **s, const char *end, char c)
{
    if (*s == end || **s != c)
        return false;
    ++*s;
    return true;
}

static bool take_address(const char **s, const char *end, struct xt_rule *r)
{
    unsigned byte, len = 32;
    if (take_char(s, end, '*'))
        return true;
    for (unsigned i = 0; i < 4; i++) {
        if ((i && !take_char(s, end, '.')) || !take_number(s, end, 255, &byte))
            return false;
        r->net = r->net << 8 | byte;
    }
    if (take_char(s, end, '/') && !take_number(s, end, 32, &len))
        return false;
    r->mask = len ? UINT32_MAX << (32 - len) : 0;
    return (r->net & ~r->mask) == 0;
}

static bool take_ports(const char **s, const char *end, struct xt_rule *r)
{
    unsigned low, high;
    if (!take_number(s, end, UINT16_MAX, &low))
        return false;
    high = low;
    if (take_char(s, end, '-') && (!take_number(s, end, UINT16_MAX, &high) || high < low))
        return false;
    r->low = (uint16_t)low;
    r->high = (uint16_t)high;
    return true;
}

static bool parse_where(struct word w, struct xt_rule *r)
{
    const char *s = w.s, *end = w.s + w.len;
    if (*s != ':' && !take_address(&s, end, r))
        return false;
    return s == end || (take_char(&s, end, ':') && take_ports(&s, end, r) && s == end);
}

static bool parse_place(struct word w, struct xt_rule *r)
{
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++)
        if (is(w, places[i])) {
            r->place = (enum xt_place)i;
            return true;
        }
    return false;
}

static int parse(const char *whole, const char *p, const char *end, struct xt_rule *r, char *err, size_t errlen)
{
    struct word w = take_word(&p, end);
    if (!parse_place(w, r))
        return wrong(whole, w, "is not what a rule begins with: kernel, xtcp or both", err, errlen);
    r->calls = r->place == XT_PLACE_BOTH ? XT_RULE_LISTEN : XT_RULE_LISTEN | XT_RULE_CONNECT;
    w = take_word(&p, end);
    if (is(w, "listen") || is(w, "connect")) {
        if (r->place == XT_PLACE_BOTH && is(w, "connect"))
            return wrong(whole, w, "is to one place: kernel or xtcp", err, errlen);
        r->calls = is(w, "listen") ? XT_RULE_LISTEN : XT_RULE_CONNECT;
        w = take_word(&p, end);
    }
    if (w.len && !is(w, "by")) {
        if (!parse_where(w, r))
            return wrong(whole, w,
                         "is not an IPv4 address, ADDRESS/LENGTH, :PORT or :LOW-HIGH, or both as in 10.0.0.0/8:80", err,
                         errlen);
        w = take_word(&p, end);
    }
    if (is(w, "by")) {
        struct word by = w;
        w = take_word(&p, end);
        if (!w.len || w.len >= sizeof r->program)
            return wrong(whole, w.len ? w : by, "wants a program's name", err, errlen);
        memcpy(r->program, w.s, w.len);
        w = take_word(&p, end);
    }
    return w.len ? wrong(whole, w, "is more than a rule has: PLACE [listen|connect] [ADDRESS][:PORT] [by PROGRAM]", err,
                         errlen)
                 : 1;
}

int xt_rule_next(const char *whole, const char **text, struct xt_rule *r, char *err, size_t errlen)
{
    const char *p = *text + strspn(*text, BLANKS), *end;
    if (!*p)
        return 0;
    end = p + strcspn(p, ",");
    *text = *end ? end + 1 : end;
    *r = (struct xt_rule){.high = UINT16_MAX, .text = p};
    r->len = (unsigned)(end - p);
    while (r->len && strchr(BLANKS, p[r->len - 1]))
        r->len--;
    return parse(whole, p, end, r, err, errlen);
}

int xt_rules_check(const char *text, char *err, size_t errlen)
{
    struct xt_rule r;
    const char *p = text;
    int rc;
    if (strlen(text) >= XT_RULES_MAX) {
        snprintf(err, errlen, "longer than %u characters", XT_RULES_MAX - 1);
        return -EINVAL;
    }
    do
        rc = xt_rule_next(text, &p, &r, err, errlen);
    while (rc > 0);
    return rc;
}

/* ---- deciding ---- */

static bool is_program(const struct xt_rule *r, const struct xt_rule_case *c)
{
    for (int i = 0; i < 2; i++)
        if (c->program[i] && fnmatch(r->program, c->program[i], 0) == 0)
            return true;
    return !r->program[0];
}

static bool fits(const struct xt_rule *r, const struct xt_rule_case *c)
{
    return r->calls & (c->listen ? XT_RULE_LISTEN : XT_RULE_CONNECT) && (c->addr & r->mask) == r->net &&
           c->port >= r->low && c->port <= r->high && is_program(r, c);
}

/* What no rule can change: xtcp has one address, and what it sends to the host itself would leave by the interface and not come back.
 * NULL: rules decide. */
static const char *always_kernel(const struct xt_rule_case *c)
{
    if (c->addr >> 24 == 127)
        return "loopback";
    if (c->listen)
        return c->addr && c->addr != c->own ? "not xtcp's address" : NULL;
    /* 0.0.0.0 means loopback to connect(2); multicast and above are errors that the kernel words best. */
    return c->addr == 0 ? "loopback" : c->addr >> 28 >= 0xe ? "not a host's address" : NULL;
}

static bool by_rule(const struct xt_rule_case *c, enum xt_place *place, char *why, size_t size)
{
    struct xt_rule r;
    char err[8];
    for (int i = 0; i < 2; i++) {
        const char *p = c->texts[i];
        while (p && xt_rule_next(c->texts[i], &p, &r, err, sizeof err) > 0) {
            if (!fits(&r, c))
                continue;
            *place = r.place;
            snprintf(why, size, "rule '%.*s' of %s", (int)r.len, r.text, c->from[i]);
            return true;
        }
    }
    return false;
}

enum xt_place xt_rules_decide(const struct xt_rule_case *c, char *why, size_t size)
{
    bool wildcard = c->listen && c->addr == 0;
    enum xt_place place = wildcard ? XT_PLACE_BOTH : XT_PLACE_XTCP;
    const char *fixed = always_kernel(c);
    if (!fixed && !by_rule(c, &place, why, size))
        snprintf(why, size, "default");
    if (!fixed && place == XT_PLACE_XTCP && !c->listen && c->addr != c->own && c->is_host && c->is_host(c->addr))
        fixed = "this host's own address";
    if (fixed) {
        snprintf(why, size, "%s", fixed);
        return XT_PLACE_KERNEL;
    }
    return place == XT_PLACE_BOTH && !wildcard ? XT_PLACE_XTCP : place;
}
