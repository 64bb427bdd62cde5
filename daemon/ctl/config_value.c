/* SPDX-License-Identifier: Apache-2.0
 * Values of configuration keys: from text and to text, by type. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/config.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: formatting takes the first that divides. */
static const struct unit durations[] = {{"h", 3600000000}, {"m", 60000000}, {"s", 1000000},
                                        {"ms", 1000},      {"us", 1},       {0}};
static const struct unit sizes[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {0}};
static const struct unit plain[] = {{"", 1}, {0}};

static const struct unit *units_of(const struct xt_setting *k)
{
    return k->type == XT_SET_DURATION ? durations : k->type == XT_SET_SIZE || k->type == XT_SET_POW2 ? sizes : plain;
}

static void *field(const struct xt_config *c, const struct xt_setting *k)
{
    return (char *)c + k->offset;
}

static void store(struct xt_config *c, const struct xt_setting *k, uint64_t v)
{
    memcpy(field(c, k), &v, k->width); /* little-endian: the low bytes come first */
}

static uint64_t load(const struct xt_config *c, const struct xt_setting *k)
{
    uint64_t v = 0;
    memcpy(&v, field(c, k), k->width);
    return v;
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "store() and load() want a little-endian machine"
#endif

static int wrong(char *err, size_t errlen, const char *want)
{
    snprintf(err, errlen, "%s", want);
    return -EINVAL;
}

/* ---- numbers ---- */

static void format_number(const struct xt_setting *k, uint64_t v, char *out, size_t size)
{
    const struct unit *u = units_of(k);
    while (u->factor > 1 && (v % u->factor || strcmp(u->name, "m") == 0)) /* "90s" reads better than "1m" beside "M" */
        u++;
    snprintf(out, size, "%" PRIu64 "%s", v / u->factor, v ? u->name : "");
}

static int out_of_range(const struct xt_setting *k, char *err, size_t errlen)
{
    char lo[32], hi[32];
    format_number(k, k->min, lo, sizeof lo);
    format_number(k, k->max, hi, sizeof hi);
    snprintf(err, errlen, "must be from %s to %s%s", lo, hi, k->zero_auto ? ", or auto" : "");
    return -EINVAL;
}

static bool parse_unit(const struct xt_setting *k, const char *suffix, uint64_t value, uint64_t *factor)
{
    for (const struct unit *u = units_of(k); u->name; u++)
        if (strcasecmp(u->name, suffix) == 0) {
            *factor = u->factor;
            return true;
        }
    *factor = 1;
    return k->type == XT_SET_DURATION && value == 0 && !*suffix;
}

static int parse_number(struct xt_config *c, const struct xt_setting *k, const char *text, char *err, size_t errlen)
{
    if (k->zero_auto && strcmp(text, "auto") == 0) {
        store(c, k, 0);
        return 0;
    }
    char *end = NULL;
    errno = 0;
    uint64_t v = isdigit((unsigned char)*text) ? strtoull(text, &end, 10) : 0, factor;
    if (!end || errno || !parse_unit(k, end, v, &factor))
        return wrong(err, errlen,
                     k->type == XT_SET_DURATION ? "must be a time such as 50us, 40ms, 30s or 2h"
                     : k->type == XT_SET_COUNT  ? "must be a number"
                                                : "must be a size such as 65536, 256K or 1M");
    if (v > UINT64_MAX / factor || v * factor < k->min || v * factor > k->max)
        return out_of_range(k, err, errlen);
    v *= factor;
    if (k->type == XT_SET_POW2 && (v & (v - 1)))
        return wrong(err, errlen, "must be a power of two such as 256K or 1M");
    store(c, k, v);
    return 0;
}

static int parse_range(struct xt_config *c, const struct xt_setting *k, const char *text, char *err, size_t errlen)
{
    unsigned lo, hi;
    char rest;
    if (sscanf(text, "%5u-%5u%c", &lo, &hi, &rest) != 2 || lo < k->min || hi > k->max || lo > hi) {
        snprintf(err, errlen, "must be LOW-HIGH within %" PRIu64 "-%" PRIu64, k->min, k->max);
        return -EINVAL;
    }
    uint16_t v[2] = {(uint16_t)lo, (uint16_t)hi};
    memcpy(field(c, k), v, sizeof v);
    return 0;
}

/* ---- addresses ---- */

/* a.b.c.d/n. Network byte order. */
static bool parse_cidr(const char *text, uint32_t *addr, unsigned *len)
{
    char host[INET_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    if (!slash || (size_t)(slash - text) >= sizeof host)
        return false;
    memcpy(host, text, (size_t)(slash - text));
    host[slash - text] = 0;
    char rest;
    return inet_pton(AF_INET, host, addr) == 1 && isdigit((unsigned char)slash[1]) &&
           sscanf(slash + 1, "%2u%c", len, &rest) == 1 && *len <= 32;
}

static uint32_t mask_of(unsigned len)
{
    return htonl(len ? UINT32_MAX << (32 - len) : 0);
}

static int parse_address(struct xt_config *c, const struct xt_setting *k, const char *text, char *err, size_t errlen)
{
    uint32_t addr;
    unsigned len;
    if (!parse_cidr(text, &addr, &len) || len < k->min || len > k->max)
        return wrong(err, errlen, "must be an IPv4 address with its prefix length, such as 10.77.0.2/24");
    uint32_t host = ntohl(addr), first = host >> 24;
    if (first == 0 || first == 127 || first >= 224)
        return wrong(err, errlen, "must be a host's address: not 0.x, 127.x, multicast or reserved");
    uint32_t rest = host & ~ntohl(mask_of(len));
    if (len < 31 && (rest == 0 || rest == ~ntohl(mask_of(len))))
        return wrong(err, errlen, "must not be the network's own or its broadcast address");
    c->address.addr = addr;
    c->address.prefix = (uint8_t)len;
    return 0;
}

static int parse_ipv4(struct xt_config *c, const struct xt_setting *k, const char *text, char *err, size_t errlen)
{
    struct in_addr a = {0};
    if (strcmp(text, "none") != 0 && inet_pton(AF_INET, text, &a) != 1)
        return wrong(err, errlen, "must be an IPv4 address such as 10.77.0.1, or none");
    memcpy(field(c, k), &a.s_addr, 4);
    return 0;
}

static int parse_mac(struct xt_config *c, const struct xt_setting *k, const char *text, char *err, size_t errlen)
{
    unsigned b[6] = {0};
    char rest;
    bool is_auto = strcmp(text, "auto") == 0;
    if (!is_auto && (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &rest) != 6 ||
                     strlen(text) != 17))
        return wrong(err, errlen, "must be a MAC address such as 02:00:5e:10:00:02, or auto");
    if (b[0] & 1)
        return wrong(err, errlen, "must be a station's MAC address: this one is multicast (the first byte is odd)");
    if (!is_auto && !(b[0] | b[1] | b[2] | b[3] | b[4] | b[5]))
        return wrong(err, errlen, "must not be all zero");
    uint8_t *mac = field(c, k);
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)b[i];
    return 0;
}

static int parse_route(struct xt_config *c, const char *text, char *err, size_t errlen)
{
    char net[64];
    struct xt_route r = {0};
    unsigned len;
    const char *comma = strchr(text, ',');
    size_t n = comma ? (size_t)(comma - text) : strlen(text);
    if (n >= sizeof net)
        return wrong(err, errlen, "must be NET/LEN,GATEWAY such as 10.1.0.0/16,10.77.0.9");
    memcpy(net, text, n);
    net[n] = 0;
    if (!parse_cidr(net, &r.dst, &len) || (comma && (inet_pton(AF_INET, comma + 1, &r.gateway) != 1 || !r.gateway)))
        return wrong(err, errlen, "must be NET/LEN,GATEWAY such as 10.1.0.0/16,10.77.0.9");
    r.mask = mask_of(len);
    if (r.dst & ~r.mask)
        return wrong(err, errlen, "must name a network: bits beyond the prefix length are set");
    if (c->nroutes == XT_MAX_ROUTES - 1) /* one is left for the gateway */
        return wrong(err, errlen, "too many routes (31 are the limit)");
    c->routes[c->nroutes++] = r;
    return 0;
}

/* Entries separated by spaces are added; the empty text empties the list. */
static int parse_routes(struct xt_config *c, const char *text, char *err, size_t errlen)
{
    char copy[XT_CONFIG_TEXT_MAX], *save = NULL;
    if (strlen(text) >= sizeof copy)
        return wrong(err, errlen, "is too long");
    strcpy(copy, text);
    if (!*text)
        c->nroutes = 0;
    for (char *t = strtok_r(copy, " \t", &save); t; t = strtok_r(NULL, " \t", &save)) {
        int rc = parse_route(c, t, err, errlen);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- words ---- */

static int parse_text(struct xt_config *c, const struct xt_setting *k, const char *text, char *err, size_t errlen)
{
    if (strlen(text) >= k->width) {
        snprintf(err, errlen, "is too long (%u characters are the limit)", k->width - 1u);
        return -EINVAL;
    }
    if (strchr(text, '\n') || (!*text && !(k->def && !*k->def)))
        return wrong(err, errlen, "must not be empty");
    if (strstr(text, " ;") || isspace((unsigned char)text[0]) ||
        (*text && isspace((unsigned char)text[strlen(text) - 1])))
        return wrong(err, errlen, "must not begin or end with a blank, nor have ' ;': a file cannot say that");
    memset(field(c, k), 0, k->width);
    strcpy(field(c, k), text);
    return 0;
}

/* One rule with single blanks between its words, behind `*used` bytes of `out`. False: no room. */
static bool add_rule(const struct xt_rule *r, char *out, size_t size, size_t *used)
{
    const char *p = r->text, *end = r->text + r->len, *between = *used ? ", " : "";
    while (p < end) {
        size_t n = 0;
        while (p + n < end && !isspace((unsigned char)p[n]))
            n++;
        int len = n ? snprintf(out + *used, size - *used, "%s%.*s", between, (int)n, p) : 0;
        if ((size_t)len >= size - *used)
            return false;
        if (n)
            between = " ";
        *used += (size_t)len;
        p += n + (p + n < end);
    }
    return true;
}

/* Added to those that are there; the empty text empties the list. */
static int parse_rules(struct xt_config *c, const char *text, char *err, size_t errlen)
{
    char all[sizeof c->rules];
    struct xt_rule r;
    const char *p = text;
    size_t used = strlen(c->rules);
    memcpy(all, c->rules, sizeof all);
    if (!*text)
        memset(all, 0, sizeof all);
    if (xt_rules_check(text, err, errlen) < 0)
        return -EINVAL;
    while (xt_rule_next(text, &p, &r, err, errlen) > 0)
        if (!add_rule(&r, all, sizeof all, &used))
            return wrong(err, errlen, "are too long in all");
    if (strstr(all, " ;"))
        return wrong(err, errlen, "must not have a word that begins with ';': in a file that is a comment");
    memcpy(c->rules, all, sizeof all);
    return 0;
}

static int parse_bool(struct xt_config *c, const struct xt_setting *k, const char *text, char *err, size_t errlen)
{
    static const char *const yes[] = {"on", "yes", "true", "1"}, *const no[] = {"off", "no", "false", "0"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            store(c, k, strcmp(text, yes[i]) == 0);
            return 0;
        }
    }
    return wrong(err, errlen, "must be on or off");
}

static int parse_choice(struct xt_config *c, const struct xt_setting *k, const char *text, char *err, size_t errlen)
{
    const char *p = k->choices;
    for (unsigned i = 0; *p; i++) {
        size_t n = strcspn(p, "|");
        if (strlen(text) == n && memcmp(p, text, n) == 0) {
            store(c, k, i);
            return 0;
        }
        p += n + (p[n] == '|');
    }
    snprintf(err, errlen, "must be one of %s", k->choices);
    return -EINVAL;
}

static void format_choice(const struct xt_setting *k, uint64_t v, char *out, size_t size)
{
    const char *p = k->choices;
    while (v-- && strchr(p, '|'))
        p = strchr(p, '|') + 1;
    snprintf(out, size, "%.*s", (int)strcspn(p, "|"), p);
}

/* ---- by type ---- */

int xt_value_parse(struct xt_config *c, const struct xt_setting *k, const char *text, char *err, size_t errlen)
{
    switch (k->type) {
    case XT_SET_TEXT:
        return parse_text(c, k, text, err, errlen);
    case XT_SET_CIDR:
        return parse_address(c, k, text, err, errlen);
    case XT_SET_IPV4:
        return parse_ipv4(c, k, text, err, errlen);
    case XT_SET_MAC:
        return parse_mac(c, k, text, err, errlen);
    case XT_SET_ROUTE:
        return parse_routes(c, text, err, errlen);
    case XT_SET_RULES:
        return parse_rules(c, text, err, errlen);
    case XT_SET_RANGE:
        return parse_range(c, k, text, err, errlen);
    case XT_SET_BOOL:
        return parse_bool(c, k, text, err, errlen);
    case XT_SET_CHOICE:
        return parse_choice(c, k, text, err, errlen);
    case XT_SET_COUNT:
    case XT_SET_SIZE:
    case XT_SET_POW2:
    case XT_SET_DURATION:
        break;
    }
    return parse_number(c, k, text, err, errlen);
}

static const char *ip_text(uint32_t be, char *buf)
{
    return inet_ntop(AF_INET, &be, buf, INET_ADDRSTRLEN);
}

static void format_routes(const struct xt_config *c, char *out, size_t size)
{
    char dst[INET_ADDRSTRLEN], gw[INET_ADDRSTRLEN];
    size_t at = 0;
    *out = 0;
    for (uint32_t i = 0; i < c->nroutes && at < size; i++) {
        const struct xt_route *r = &c->routes[i];
        at += (size_t)snprintf(out + at, size - at, "%s%s/%d%s%s", i ? " " : "", ip_text(r->dst, dst),
                               __builtin_popcount(r->mask), r->gateway ? "," : "",
                               r->gateway ? ip_text(r->gateway, gw) : "");
    }
}

static void format_mac(const uint8_t *m, char *out, size_t size)
{
    static const uint8_t zero[6];
    snprintf(out, size, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
    if (memcmp(m, zero, sizeof zero) == 0)
        snprintf(out, size, "auto");
}

void xt_value_format(const struct xt_config *c, const struct xt_setting *k, char *out, size_t size)
{
    char ip[INET_ADDRSTRLEN];
    uint16_t range[2];
    switch (k->type) {
    case XT_SET_TEXT:
    case XT_SET_RULES:
        snprintf(out, size, "%s", (const char *)field(c, k));
        return;
    case XT_SET_CIDR:
        snprintf(out, size, "%s/%u", ip_text(c->address.addr, ip), c->address.prefix);
        return;
    case XT_SET_IPV4:
        snprintf(out, size, "%s", load(c, k) ? ip_text((uint32_t)load(c, k), ip) : "none");
        return;
    case XT_SET_MAC:
        format_mac(field(c, k), out, size);
        return;
    case XT_SET_ROUTE:
        format_routes(c, out, size);
        return;
    case XT_SET_RANGE:
        memcpy(range, field(c, k), sizeof range);
        snprintf(out, size, "%u-%u", range[0], range[1]);
        return;
    case XT_SET_BOOL:
        snprintf(out, size, "%s", load(c, k) ? "on" : "off");
        return;
    case XT_SET_CHOICE:
        format_choice(k, load(c, k), out, size);
        return;
    case XT_SET_COUNT:
    case XT_SET_SIZE:
    case XT_SET_POW2:
    case XT_SET_DURATION:
        break;
    }
    if (k->zero_auto && load(c, k) == 0)
        snprintf(out, size, "auto");
    else
        format_number(k, load(c, k), out, size);
}
