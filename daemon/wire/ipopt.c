/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wire/ipopt.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/base/macros.h"
#include "daemon/wire/ipv4.h"

/* Kinds (the octet with the copied flag), RFC 791 and RFC 2113. */
enum {
    KIND_END = 0,
    KIND_NOP = 1,
    KIND_RECORD = 7,
    KIND_STAMP = 68,
    KIND_LOOSE = 131,
    KIND_STRICT = 137,
    KIND_ALERT = 148,
};

/* The low half of the fourth octet of a time stamp option. */
enum { STAMP_ONLY = 0, STAMP_ADDR = 1, STAMP_ASKED = 3 };

#define ROUTE_HEAD 3 /* kind, length, pointer; the pointer counts from 1 */
#define STAMP_OTHER_CLOCK 0x80000000u

static bool is_route(uint8_t kind)
{
    return kind == KIND_LOOSE || kind == KIND_STRICT;
}

/* Nothing of a route to be sent may be behind us: all hops are ahead. */
static bool route_ok(const struct xt_ipopt *o, const uint8_t *p)
{
    return !o->route && p[1] >= ROUTE_HEAD + 4 && (p[1] - ROUTE_HEAD) % 4 == 0 && p[2] == ROUTE_HEAD + 1;
}

static bool record_ok(const struct xt_ipopt *o, const uint8_t *p)
{
    return !o->record && p[1] >= ROUTE_HEAD && p[2] > ROUTE_HEAD && (p[2] > p[1] || p[2] + 3 <= p[1]);
}

static bool stamp_ok(const struct xt_ipopt *o, const uint8_t *p, bool any)
{
    uint8_t flag = p[1] >= 4 ? p[3] & 0xf : 0;
    if (o->stamp || p[1] < 4 || p[2] < 5)
        return false;
    if (p[2] > p[1]) /* full: the overflow counter must have room */
        return flag == STAMP_ASKED || p[3] >> 4 != 15;
    if (p[2] + 3 > p[1])
        return false;
    if (flag == STAMP_ADDR || flag == STAMP_ASKED)
        return p[2] + 7 <= p[1];
    return flag == STAMP_ONLY || any;
}

/* The option at place `at`, whose length is known to be within the list. */
static bool take(struct xt_ipopt *o, size_t at, bool any)
{
    const uint8_t *p = o->data + at;
    uint8_t place = (uint8_t)(at + 1);
    bool ok = any;
    if (is_route(p[0]) && (ok = route_ok(o, p)))
        o->route = place;
    else if (p[0] == KIND_RECORD && (ok = record_ok(o, p)))
        o->record = place;
    else if (p[0] == KIND_STAMP && (ok = stamp_ok(o, p, any)))
        o->stamp = place;
    else if (p[0] == KIND_ALERT)
        ok = p[1] >= 4;
    return ok;
}

int xt_ipopt_read(struct xt_ipopt *o, const uint8_t *p, size_t len, bool any)
{
    *o = (struct xt_ipopt){0};
    if (len > XT_IPOPT_MAX)
        return -EINVAL;
    if (len)
        memcpy(o->data, p, len);
    o->len = (uint8_t)XT_ALIGN_UP(len, (size_t)4);
    for (size_t at = 0; at < o->len;) {
        size_t rest = o->len - at;
        if (o->data[at] == KIND_END) {
            memset(o->data + at, 0, rest);
            break;
        }
        if (o->data[at] == KIND_NOP) {
            at++;
            continue;
        }
        if (rest < 2 || o->data[at + 1] < 2 || o->data[at + 1] > rest || !take(o, at, any))
            return -EINVAL;
        at += o->data[at + 1];
    }
    return 0;
}

uint32_t xt_ipopt_first_hop(const struct xt_ipopt *o, uint32_t dst)
{
    if (o && o->route)
        memcpy(&dst, o->data + o->route - 1 + ROUTE_HEAD, 4);
    return dst;
}

bool xt_ipopt_is_strict(const struct xt_ipopt *o)
{
    return o && o->route && o->data[o->route - 1] == KIND_STRICT;
}

/* The first hop goes into the destination field, the others move up, and the destination is the last (RFC 791). */
static void emit_route(uint8_t *p, uint32_t dst)
{
    uint8_t *hops = p + ROUTE_HEAD;
    size_t n = p[1] - (size_t)ROUTE_HEAD;
    memmove(hops, hops + 4, n - 4);
    memcpy(hops + n - 4, &dst, 4);
}

static void emit_record(uint8_t *p, uint32_t src)
{
    if (p[2] > p[1])
        return;
    memcpy(p + p[2] - 1, &src, 4);
    p[2] += 4;
}

static void emit_stamp(uint8_t *p, uint32_t src, uint32_t now_ms)
{
    uint8_t *at = p + p[2] - 1, flag = p[3] & 0xf;
    uint32_t asked;
    if (p[2] > p[1])
        return;
    if (flag == STAMP_ASKED) {
        memcpy(&asked, at, 4);
        if (asked != src)
            return;
    }
    if (flag == STAMP_ADDR)
        memcpy(at, &src, 4);
    if (flag == STAMP_ADDR || flag == STAMP_ASKED)
        at += 4;
    else if (flag != STAMP_ONLY)
        return;
    xt_be32_store(at, now_ms | STAMP_OTHER_CLOCK);
    p[2] += flag == STAMP_ONLY ? 4 : 8;
}

void xt_ipopt_emit(uint8_t *p, const struct xt_ipopt *o, uint32_t src, uint32_t dst, uint32_t now_ms)
{
    memcpy(p, o->data, o->len);
    if (o->route)
        emit_route(p + o->route - 1, dst);
    if (o->record)
        emit_record(p + o->record - 1, src);
    if (o->stamp)
        emit_stamp(p + o->stamp - 1, src, now_ms);
}

/* The source route in a received header, or NULL. */
static const uint8_t *find_route(const uint8_t *hdr, size_t len)
{
    size_t at = XT_IPV4_HDR_LEN;
    while (at < len && hdr[at] != KIND_END) {
        if (hdr[at] == KIND_NOP) {
            at++;
            continue;
        }
        if (len - at < 2 || hdr[at + 1] < 2 || hdr[at + 1] > len - at)
            return NULL;
        if (is_route(hdr[at]))
            return hdr[at + 1] >= ROUTE_HEAD && hdr[at + 2] > ROUTE_HEAD ? hdr + at : NULL;
        at += hdr[at + 1];
    }
    return NULL;
}

/* Hops are left, and the next one is there whole. */
static bool is_passing(const uint8_t *p)
{
    return p[2] + 3 <= p[1];
}

enum xt_route_state xt_ipopt_route_back(struct xt_ipopt *back, const uint8_t *hdr, size_t len)
{
    const uint8_t *p = find_route(hdr, len);
    *back = (struct xt_ipopt){0};
    if (!p)
        return XT_ROUTE_NONE;
    if (is_passing(p))
        return XT_ROUTE_PASSING;
    unsigned n = (p[1] - (unsigned)ROUTE_HEAD) / 4, first = 0;
    /* Some hosts put themselves into the route (RFC 1122 section 3.2.1.8 (c)). */
    if (n > 0 && memcmp(p + ROUTE_HEAD, hdr + 12, 4) == 0)
        first = 1;
    if (n <= first)
        return XT_ROUTE_DONE;
    uint8_t *to = back->data + ROUTE_HEAD;
    for (unsigned i = n; i-- > first; to += 4)
        memcpy(to, p + ROUTE_HEAD + (size_t)4 * i, 4);
    back->data[0] = p[0];
    back->data[1] = (uint8_t)(to - back->data);
    back->data[2] = ROUTE_HEAD + 1;
    back->len = (uint8_t)XT_ALIGN_UP((size_t)back->data[1], (size_t)4);
    back->route = 1;
    return XT_ROUTE_DONE;
}

uint32_t xt_ipopt_final_dst(const uint8_t *hdr, size_t len)
{
    const uint8_t *p = find_route(hdr, len);
    uint32_t dst;
    memcpy(&dst, p && is_passing(p) ? p + p[1] - 4 : hdr + 16, 4);
    return dst;
}
