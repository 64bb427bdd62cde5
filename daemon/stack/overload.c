/* SPDX-License-Identifier: Apache-2.0
 * More comes than can be worked off. What belongs to connections is not to suffer by it, so of what comes from strangers only
 * some is taken, before anything is spent on it: answers are what costs. First come those who are likely to be there: addresses
 * that have completed a handshake lately, and SYNs sent a second time, which forgers do not wait to do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/base/macros.h"
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/eth.h"

#define SOON XT_US_PER_S         /* after an overload another one is the same flood */
#define PACKET UINT64_C(1000000) /* of credit: what a microsecond gives is the rate */
#define CREDIT (8192 * PACKET) /* more than a receive ring holds: who all come at once, but only once, are all taken */
#define RESERVE (CREDIT / 4)   /* of this, for who is likely to be there */
#define KNOWN_S 600u           /* how long an address is known */
#define SYNS (1u << 20)        /* SYNs remembered, each by 16 bits of its hash */
#define FRAGMENT 0x3fff        /* of an IPv4 header's field: more fragments, or not the first one */
#define TCP_HDR_LEN 20

int xt_overload_init(struct xt_overload *o, const struct xt_key *key)
{
    o->key = *key;
    o->credit = CREDIT;
    o->sieve =
        (struct xt_sieve){.pass = {XT_SIEVE_ALL, XT_SIEVE_ALL}, .factor = (uint32_t)xt_siphash(key, "sieve", 5) | 1};
    o->syns = calloc(SYNS, sizeof *o->syns);
    return o->syns ? 0 : -ENOMEM;
}

void xt_overload_fini(struct xt_overload *o)
{
    free(o->syns);
}

static struct xt_known *place(struct xt_overload *o, uint32_t addr)
{
    return &o->known[xt_siphash(&o->key, &addr, sizeof addr) % XT_KNOWN_MAX];
}

void xt_overload_met(struct xt_stack *s, const struct xt_conn *c)
{
    uint32_t addr = xt_addr_to_v4(&c->remote.addr);
    *place(&s->overload, addr) = (struct xt_known){.addr = addr, .until_s = (uint32_t)(s->now / XT_US_PER_S) + KNOWN_S};
}

static bool is_known(struct xt_stack *s, uint32_t addr)
{
    const struct xt_known *k = place(&s->overload, addr);
    return k->addr == addr && s->now / XT_US_PER_S < k->until_s;
}

void xt_stack_overloaded(struct xt_stack *s, uint64_t now_us)
{
    struct xt_overload *o = &s->overload;
    if (!s->cfg.overload_rate)
        return;
    s->stats.overloads += now_us >= o->until;
    if (now_us < o->until + SOON)
        o->filled = now_us; /* no credit for a time after which too much waits again */
    o->until = now_us + XT_OVERLOAD_HOLD;
    xt_sieve_behind(s, now_us);
}

static bool spend(struct xt_stack *s, bool likely)
{
    struct xt_overload *o = &s->overload;
    uint64_t passed = XT_MIN(s->now - o->filled, CREDIT);
    o->filled = s->now;
    o->credit = XT_MIN(o->credit + passed * s->cfg.overload_rate, CREDIT);
    if (o->credit < PACKET + (likely ? 0 : RESERVE))
        return false;
    o->credit -= PACKET;
    return true;
}

static bool counted(bool admitted, uint64_t *shed)
{
    *shed += !admitted;
    return admitted;
}

/* Was this SYN here before? It is remembered if not. */
static bool again(struct xt_stack *s, const struct xt_flow *flow, uint32_t seq)
{
    struct {
        struct xt_flow flow;
        uint32_t seq;
    } in = {*flow, seq};
    _Static_assert(sizeof in == 40, "no padding: all of it is hashed");
    uint64_t h = xt_siphash(&s->overload.key, &in, sizeof in);
    uint16_t *at = &s->overload.syns[h % SYNS], tag = (uint16_t)(h >> 48 | 1);
    bool was = *at == tag;
    *at = tag;
    s->stats.syns_again += was;
    return was;
}

static bool admit_tcp(struct xt_stack *s, const struct xt_flow *flow, const uint8_t *tcp)
{
    uint32_t seq = xt_be32_load(tcp + 4), ack = xt_be32_load(tcp + 8);
    uint8_t kind = tcp[13] & (XT_TH_SYN | XT_TH_ACK | XT_TH_RST);
    if (kind == XT_TH_SYN)
        xt_sieve_seen(s, xt_addr_to_v4(&flow->remote));
    if (xt_flowmap_find(&s->flows, flow) != XT_FLOW_NONE)
        return true;
    if (kind == XT_TH_SYN) {
        bool likely = is_known(s, xt_addr_to_v4(&flow->remote)) || again(s, flow, seq);
        return counted(spend(s, likely), &s->stats.shed_syn);
    }
    if (kind == XT_TH_ACK && xt_cookie_mss(s, flow, seq - 1, ack - 1))
        return true;
    if (xt_crew_others_have(s, flow))
        return true; /* it may be of a connection there: the queue to there is bounded */
    return counted(spend(s, false), &s->stats.shed_stray);
}

/* Not more than is needed is looked at here, and nothing verified: what is admitted is looked at as ever. */
static bool admit_ip(struct xt_stack *s, const uint8_t *p, size_t len)
{
    uint32_t src;
    size_t hdr;
    if (len < XT_IPV4_HDR_LEN)
        return counted(spend(s, false), &s->stats.shed_ip);
    memcpy(&src, p + 12, sizeof src);
    hdr = (p[0] & 15u) * 4u;
    if (p[9] != XT_IPPROTO_TCP || (xt_be16_load(p + 6) & FRAGMENT) || len < hdr + TCP_HDR_LEN)
        return counted(spend(s, is_known(s, src)), &s->stats.shed_ip);
    struct xt_flow flow = {.local = xt_addr_v4(s->cfg.addr),
                           .remote = xt_addr_v4(src),
                           .lport = xt_be16_load(p + hdr + 2),
                           .rport = xt_be16_load(p + hdr)};
    return admit_tcp(s, &flow, p + hdr);
}

bool xt_overload_admit(struct xt_stack *s, uint16_t type, const uint8_t *p, size_t len)
{
    struct xt_arp arp;
    s->overload.waiting -= s->overload.waiting > 0;
    if (type == XT_ETH_TYPE_IPV4)
        return admit_ip(s, p, len);
    bool likely = type == XT_ETH_TYPE_ARP && xt_arp_parse(p, len, &arp) == 0 && xt_arp_in_use(s, arp.spa);
    return counted(spend(s, likely), &s->stats.shed_arp);
}
