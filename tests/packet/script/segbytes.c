/* SPDX-License-Identifier: Apache-2.0
 * Templates to bytes, and against bytes. Written without the daemon's own parser, which is under test too. */
#include <stdio.h>
#include <string.h>

#include "daemon/wire/seg.h"
#include "tests/packet/script/segtext.h"

uint8_t pkt_peer_byte(uint64_t off)
{
    return (uint8_t)(off * 7 + (off >> 8) + 3);
}

uint8_t pkt_own_byte(uint64_t off)
{
    return (uint8_t)(off * 11 + (off >> 8) + 5);
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

static uint32_t get16(const uint8_t *p)
{
    return (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) << 16 | get16(p + 2);
}

static size_t put_cookie(const struct pkt_opt *o, const struct pkt_base *b, uint8_t *p)
{
    bool given = o->cookie == PKT_COOKIE_BYTES;
    size_t n = given ? o->n : sizeof b->cookie;
    p[0] = 34, p[1] = (uint8_t)(2 + n);
    memcpy(p + 2, given ? o->raw : b->cookie, n);
    if (o->cookie == PKT_COOKIE_BAD)
        p[2] ^= 0x10;
    return 2 + n;
}

/* Writes one option; returns its length. */
static size_t put_option(const struct pkt_opt *o, const struct pkt_base *b, uint8_t *p)
{
    switch (o->kind) {
    case PKT_OPT_NOP:
        p[0] = 1;
        return 1;
    case PKT_OPT_EOL:
        p[0] = 0;
        return 1;
    case PKT_OPT_MSS:
        p[0] = 2, p[1] = 4;
        put16(p + 2, o->a.lo);
        return 4;
    case PKT_OPT_WSCALE:
        p[0] = 3, p[1] = 3, p[2] = (uint8_t)o->a.lo;
        return 3;
    case PKT_OPT_SACKOK:
        p[0] = 4, p[1] = 2;
        return 2;
    case PKT_OPT_SACK:
        p[0] = 5, p[1] = (uint8_t)(2 + 8 * o->n);
        for (unsigned i = 0; i < o->n; i++) {
            put32(p + 2 + 8 * i, o->block[i][0] + b->own_isn);
            put32(p + 6 + 8 * i, o->block[i][1] + b->own_isn);
        }
        return 2 + 8u * o->n;
    case PKT_OPT_TS:
        p[0] = 8, p[1] = 10;
        put32(p + 2, o->a.lo);
        put32(p + 6, o->b.lo + (b->own_ts_known ? b->own_ts : 0));
        return 10;
    case PKT_OPT_FO:
        return put_cookie(o, b, p);
    case PKT_OPT_RAW:
        memcpy(p, o->raw, o->n);
        return o->n;
    }
    return 0;
}

size_t pkt_tmpl_build(const struct pkt_tmpl *t, const struct pkt_base *b, uint8_t *out)
{
    size_t h = 20;
    memset(out, 0, XT_TCP_HDR_MAX);
    put16(out, b->peer_port);
    put16(out + 2, b->own_port);
    put32(out + 4, t->seq.lo + b->peer_isn);
    if (t->flags & XT_TH_ACK)
        put32(out + 8, t->ack.lo + b->own_isn);
    out[13] = t->flags;
    put16(out + 14, t->win_given ? t->win.lo : 65535);
    put16(out + 18, t->urg.lo);
    for (unsigned i = 0; i < t->nopts && h <= XT_TCP_HDR_MAX; i++)
        h += put_option(&t->opts[i], b, out + h);
    h = (h + 3) & ~(size_t)3; /* filled up with end-of-list */
    out[12] = (uint8_t)(h / 4 << 4);
    uint64_t off = t->seq.lo - !(t->flags & XT_TH_SYN);
    for (uint32_t i = 0; i < t->len; i++)
        out[h + i] = pkt_peer_byte((uint32_t)(off + i));
    return h + t->len;
}

static bool within(const struct pkt_range *r, uint32_t v)
{
    return r->any || v - r->lo <= r->hi - r->lo;
}

static bool near(const struct pkt_range *r, uint32_t v, uint32_t slack)
{
    return r->any || v + slack - r->lo <= r->hi - r->lo + 2 * slack;
}

/* Does the option at `p`, `n` bytes of options are left, look like `o`? Returns its length, 0 when it does not. */
static size_t match_option(const struct pkt_opt *o, const struct pkt_base *b, const uint8_t *p, size_t n)
{
    uint8_t exact[64];
    size_t want = put_option(o, b, exact);
    if (want > n)
        return 0;
    switch (o->kind) {
    case PKT_OPT_MSS:
        return p[0] == 2 && p[1] == 4 && within(&o->a, get16(p + 2)) ? want : 0;
    case PKT_OPT_WSCALE:
        return p[0] == 3 && p[1] == 3 && within(&o->a, p[2]) ? want : 0;
    case PKT_OPT_TS:
        return p[0] == 8 && p[1] == 10 && near(&o->a, get32(p + 2) - b->own_ts, b->ts_slack) &&
                       within(&o->b, get32(p + 6))
                   ? want
                   : 0;
    case PKT_OPT_FO:
        if (o->cookie == PKT_COOKIE_ANY)
            return p[0] == 34 && p[1] == want ? want : 0;
        break;
    case PKT_OPT_SACK:
        for (unsigned i = 0; i < o->n; i++) { /* of the peer's sequence space */
            put32(exact + 2 + 8 * i, o->block[i][0] + b->peer_isn);
            put32(exact + 6 + 8 * i, o->block[i][1] + b->peer_isn);
        }
        break;
    default:
        break;
    }
    return memcmp(p, exact, want) == 0 ? want : 0;
}

/* All options in order. NOPs before an option that the script does not name are padding, and end-of-list bytes at the end too. */
static bool match_options(const struct pkt_tmpl *t, const struct pkt_base *b, const uint8_t *p, size_t n)
{
    for (unsigned i = 0; i < t->nopts; i++) {
        while (n > 0 && *p == 1 && t->opts[i].kind != PKT_OPT_NOP)
            p++, n--;
        size_t used = match_option(&t->opts[i], b, p, n);
        if (!used)
            return false;
        p += used;
        n -= used;
    }
    while (n > 0 && *p <= 1)
        p++, n--;
    return n == 0;
}

/* Finds our time stamp, so that the first one becomes the base, and the cookies that we give. */
static void learn(struct pkt_base *b, const uint8_t *p, size_t hlen)
{
    if ((p[13] & XT_TH_SYN) && !b->own_isn_known) {
        b->own_isn = get32(p + 4);
        b->own_isn_known = true;
    }
    for (size_t i = 20; i + 10 <= hlen && p[i] != 0; i += p[i] == 1 || p[i + 1] < 2 ? 1 : p[i + 1]) {
        if (p[i] == 34 && p[i + 1] == 2 + sizeof b->cookie && (p[13] & XT_TH_ACK))
            memcpy(b->cookie, p + i + 2, sizeof b->cookie);
        if (p[i] == 8 && p[i + 1] == 10 && !b->own_ts_known) {
            b->own_ts = get32(p + i + 2);
            b->own_ts_known = true;
        }
    }
}

static bool match_payload(const struct pkt_base *b, const uint8_t *p, size_t hlen, size_t len)
{
    uint32_t off = get32(p + 4) - b->own_isn - !(p[13] & XT_TH_SYN);
    for (size_t i = hlen; i < len; i++)
        if (p[i] != pkt_own_byte((uint32_t)(off + i - hlen)))
            return false;
    return true;
}

bool pkt_tmpl_match(const struct pkt_tmpl *t, struct pkt_base *b, const uint8_t *p, size_t len, char *why, size_t size)
{
    size_t hlen = (size_t)(p[12] >> 4) * 4;
    const char *bad = NULL;
    if (len < 20 || hlen < 20 || hlen > len) {
        snprintf(why, size, "the header is malformed");
        return false;
    }
    learn(b, p, hlen);
    /* PSH must be there when it is asked for. */
    if ((p[13] & ~XT_TH_PSH) != (t->flags & ~XT_TH_PSH) || (t->flags & ~p[13] & XT_TH_PSH))
        bad = "flags differ";
    else if (!within(&t->seq, get32(p + 4) - b->own_isn))
        bad = "the sequence number differs";
    else if (t->len != len - hlen)
        bad = "the length differs";
    else if (t->ack_given && !within(&t->ack, get32(p + 8) - b->peer_isn))
        bad = "the acknowledgment differs";
    else if (t->win_given && !within(&t->win, get16(p + 14)))
        bad = "the window differs";
    else if (t->urg_given && !within(&t->urg, get16(p + 18)))
        bad = "the urgent pointer differs";
    else if (t->opts_given && !match_options(t, b, p + 20, hlen - 20))
        bad = "options differ";
    else if (!match_payload(b, p, hlen, len))
        bad = "the payload is not what was written";
    if (get16(p) != b->own_port || get16(p + 2) != b->peer_port)
        bad = "ports differ";
    if (bad)
        snprintf(why, size, "%s", bad);
    return !bad;
}

static int print_option(const uint8_t *p, size_t n, const struct pkt_base *b, char *out, size_t size)
{
    size_t used = 0;
    if (p[0] == 2 && n >= 4)
        return snprintf(out, size, "mss %u", get16(p + 2));
    if (p[0] == 3 && n >= 3)
        return snprintf(out, size, "wscale %u", p[2]);
    if (p[0] == 4)
        return snprintf(out, size, "sackOK");
    if (p[0] == 8 && n >= 10)
        return snprintf(out, size, "TS val %d ecr %u", (int32_t)(get32(p + 2) - b->own_ts), get32(p + 6));
    if (p[0] != 5)
        return snprintf(out, size, "option %u", p[0]);
    used += (size_t)snprintf(out, size, "sack");
    for (size_t i = 2; i + 8 <= p[1] && i + 8 <= n; i += 8)
        used += (size_t)snprintf(out + used, size - used, " %d:%d", (int32_t)(get32(p + i) - b->peer_isn),
                                 (int32_t)(get32(p + i + 4) - b->peer_isn));
    return (int)used;
}

void pkt_seg_print(const uint8_t *p, size_t len, const struct pkt_base *b, char *out, size_t size)
{
    size_t hlen = (size_t)(p[12] >> 4) * 4, used = 0;
    char letters[9] = "";
    for (unsigned i = 0; i < 8; i++)
        if (p[13] & 1u << i)
            strncat(letters, &"FSRP.UEW"[i], 1);
    int32_t seq = (int32_t)(get32(p + 4) - b->own_isn);
    int n = (int)(len - hlen);
    used = (size_t)snprintf(out, size, "> %s %d:%d(%d)", letters, seq, seq + n, n);
    if (p[13] & XT_TH_ACK)
        used += (size_t)snprintf(out + used, size - used, " ack %d", (int32_t)(get32(p + 8) - b->peer_isn));
    used += (size_t)snprintf(out + used, size - used, " win %u", get16(p + 14));
    if (p[13] & XT_TH_URG)
        used += (size_t)snprintf(out + used, size - used, " urg %u", get16(p + 18));
    used += (size_t)snprintf(out + used, size - used, " <");
    for (size_t i = 20; i < hlen && p[i] != 0;) {
        size_t step = p[i] == 1 || i + 1 >= hlen || p[i + 1] < 2 ? 1 : p[i + 1];
        if (i > 20)
            used += (size_t)snprintf(out + used, size - used, ",");
        used += (size_t)(p[i] == 1 ? snprintf(out + used, size - used, "nop")
                                   : print_option(p + i, hlen - i, b, out + used, size - used));
        i += step;
    }
    snprintf(out + used, size - used, ">");
}
