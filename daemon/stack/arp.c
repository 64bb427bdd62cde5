/* SPDX-License-Identifier: Apache-2.0
 * Neighbours: ARP (RFC 826), address conflicts (RFC 5227 section 2.4), and reachability that ages (after RFC 4861 section 7.3,
 * which ARP hosts follow as well). */
#include <errno.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/base/macros.h"
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"
#include "daemon/wire/arp.h"
#include "daemon/wire/eth.h"

#define RETRANS XT_US_PER_S /* between requests, and how long a failure is remembered */
#define TRIES 3
#define REACHABLE_MIN (30 * XT_US_PER_S)    /* to twice that, by chance, so that neighbours do not expire all at once */
#define DEFEND_INTERVAL (10 * XT_US_PER_S)  /* RFC 5227 section 1.1 */
#define ANNOUNCE_INTERVAL (2 * XT_US_PER_S) /* likewise; ANNOUNCE_NUM is 2 */
#define PROBE_WAIT XT_US_PER_S              /* after the one probe, where RFC 5227 has three and waits longer */
#define SEARCH 64                           /* entries looked at for one to replace */
#define FORGED_MAX (XT_NEIGH_MAX / 2)       /* entries asked for at a time for addresses that may not exist */

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void send_arp_as(struct xt_stack *s, uint32_t spa, uint16_t op, const uint8_t dst[6], const uint8_t tha[6],
                        uint32_t tpa)
{
    static const struct virtio_net_hdr plain;
    uint8_t frame[XT_ETH_HDR_LEN + XT_ARP_LEN];
    struct xt_eth eth = {.type = XT_ETH_TYPE_ARP};
    struct xt_arp arp = {.op = op, .spa = spa, .tpa = tpa};
    memcpy(eth.dst, dst, 6);
    memcpy(eth.src, s->cfg.mac, 6);
    memcpy(arp.sha, s->cfg.mac, 6);
    memcpy(arp.tha, tha, 6);
    xt_eth_emit(frame, &eth);
    xt_arp_emit(frame + XT_ETH_HDR_LEN, &arp);
    xt_out_frame(s, &plain, frame, sizeof frame, NULL, 0);
}

static void send_arp(struct xt_stack *s, uint16_t op, const uint8_t dst[6], const uint8_t tha[6], uint32_t tpa)
{
    send_arp_as(s, s->cfg.addr, op, dst, tha, tpa);
}

static void set_state(struct xt_stack *s, uint16_t n, uint8_t state)
{
    s->neigh_asked -= s->neigh[n].state == XT_NEIGH_INCOMPLETE;
    s->neigh_asked += state == XT_NEIGH_INCOMPLETE;
    s->neigh[n].state = state;
}

static void request(struct xt_stack *s, uint16_t n, const uint8_t dst[6])
{
    static const uint8_t unknown[6];
    s->neigh[n].tries++;
    s->stats.arp_requests_out++;
    send_arp(s, XT_ARP_REQUEST, dst, unknown, s->neigh[n].addr);
    xt_wheel_set(&s->misc, n, s->now + RETRANS);
}

/* An announcement is a request for our own address (RFC 5227 section 3 tells why not a reply); a probe is one that names no
 * sender, so that nobody believes it before it is known that no other host has the address. */
static void announce(struct xt_stack *s, uint32_t spa)
{
    static const uint8_t unknown[6];
    s->stats.arp_announcements++;
    send_arp_as(s, spa, XT_ARP_REQUEST, broadcast, unknown, s->cfg.addr);
}

void xt_arp_announce_timer(struct xt_stack *s)
{
    bool first = s->announced == XT_ANNOUNCED_NOTHING;
    announce(s, first ? 0 : s->cfg.addr);
    if (++s->announced < XT_ANNOUNCED_TWICE)
        xt_wheel_set(&s->misc, XT_TIMER_ANNOUNCE, s->now + (first ? PROBE_WAIT : ANNOUNCE_INTERVAL));
}

static uint16_t *bucket(struct xt_stack *s, uint32_t addr)
{
    return &s->neigh_heads[xt_siphash(&s->neigh_key, &addr, sizeof addr) % XT_NEIGH_MAX];
}

static uint16_t find(struct xt_stack *s, uint32_t addr)
{
    uint16_t at = *bucket(s, addr);
    while (at && s->neigh[at - 1].addr != addr)
        at = s->neigh[at - 1].chain;
    return at ? at - 1 : XT_NEIGH_NONE;
}

bool xt_arp_in_use(struct xt_stack *s, uint32_t addr)
{
    uint16_t n = find(s, addr);
    return n != XT_NEIGH_NONE && s->neigh[n].used != 0;
}

static void forget(struct xt_stack *s, uint16_t n)
{
    uint16_t *at = bucket(s, s->neigh[n].addr);
    while (*at != n + 1)
        at = &s->neigh[*at - 1].chain;
    *at = s->neigh[n].chain;
    xt_wheel_cancel(&s->misc, n);
    set_state(s, n, XT_NEIGH_FREE);
    s->neigh[n] = (struct xt_neigh){0};
}

/* An entry for `addr`, last used at `used`: a free one, or in place of the longest unused of some that nobody waits for. Those that
 * only asked for us go first: however many they are, they push out none that we talk to. */
static uint16_t enter(struct xt_stack *s, uint32_t addr, uint64_t used)
{
    uint16_t best = XT_NEIGH_NONE;
    for (unsigned i = 0; i < SEARCH; i++) {
        uint16_t n = (uint16_t)(s->neigh_hand++ % XT_NEIGH_MAX);
        const struct xt_neigh *e = &s->neigh[n];
        if (e->state == XT_NEIGH_FREE) {
            best = n;
            break;
        }
        if (!e->waiters.head && (best == XT_NEIGH_NONE || e->used < s->neigh[best].used))
            best = n;
    }
    if (best == XT_NEIGH_NONE) {
        s->stats.arp_table_full++;
        return best;
    }
    if (s->neigh[best].state != XT_NEIGH_FREE) {
        s->stats.arp_replaced++;
        forget(s, best);
    }
    uint16_t *head = bucket(s, addr);
    s->neigh[best] = (struct xt_neigh){.addr = addr, .chain = *head, .used = used, .since = s->now};
    *head = best + 1;
    return best;
}

static void wake_waiters(struct xt_stack *s, uint16_t n)
{
    while (s->neigh[n].waiters.head) {
        uint32_t i = s->neigh[n].waiters.head - 1;
        xt_list_remove(s, i);
        xt_list_append(s, &s->ready, XT_LIST_READY, i);
    }
}

static void learn(struct xt_stack *s, uint16_t n, const uint8_t mac[6], bool answer)
{
    struct xt_neigh *e = &s->neigh[n];
    bool known = e->state == XT_NEIGH_REACHABLE || e->state == XT_NEIGH_STALE, moved = memcmp(e->mac, mac, 6) != 0;
    if (!answer && known && !moved)
        return;
    s->stats.arp_moved += known && moved;
    memcpy(e->mac, mac, 6);
    set_state(s, n, answer ? XT_NEIGH_REACHABLE : XT_NEIGH_STALE);
    e->tries = 0;
    e->since = s->now;
    e->until = s->now + REACHABLE_MIN + xt_siphash(&s->neigh_key, &s->now, sizeof s->now) % REACHABLE_MIN;
    xt_wheel_cancel(&s->misc, n);
    wake_waiters(s, n);
}

uint16_t xt_arp_resolve(struct xt_stack *s, uint32_t addr, bool forged)
{
    uint16_t n = find(s, addr);
    if (n != XT_NEIGH_NONE)
        return n;
    if (forged && s->neigh_asked >= FORGED_MAX) {
        s->stats.arp_limited++;
        return XT_NEIGH_NONE;
    }
    n = enter(s, addr, s->now);
    if (n != XT_NEIGH_NONE) {
        set_state(s, n, XT_NEIGH_INCOMPLETE);
        request(s, n, broadcast);
    }
    return n;
}

void xt_arp_retry(struct xt_stack *s, uint16_t n)
{
    set_state(s, n, XT_NEIGH_INCOMPLETE);
    s->neigh[n].tries = 0;
    request(s, n, broadcast);
}

void xt_arp_use(struct xt_stack *s, uint16_t n)
{
    struct xt_neigh *e = &s->neigh[n];
    e->used = s->now;
    if (e->state == XT_NEIGH_REACHABLE && s->now >= e->until)
        set_state(s, n, XT_NEIGH_STALE);
    if (e->state == XT_NEIGH_STALE && e->tries == 0)
        request(s, n, e->mac);
}

void xt_arp_doubt(struct xt_stack *s, uint32_t addr, uint16_t n)
{
    if (s->neigh[n].addr == addr && s->neigh[n].state == XT_NEIGH_REACHABLE)
        s->neigh[n].until = s->now;
}

/* Nobody answers: who has not begun yet is told (RFC 1122 section 2.4); others go on by their own timers, and what they send
 * is lost for as long as the failure is remembered. */
static void fail(struct xt_stack *s, uint16_t n)
{
    s->stats.arp_failed++;
    set_state(s, n, XT_NEIGH_FAILED);
    xt_wheel_set(&s->misc, n, s->now + RETRANS);
    uint32_t last = s->neigh[n].waiters.tail;
    for (uint32_t at; (at = s->neigh[n].waiters.head) != 0;) {
        struct xt_conn *c = &s->conns[at - 1];
        xt_list_remove(s, at - 1);
        if (c->state == XT_SYN_SENT)
            xt_conn_fail(s, c, EHOSTUNREACH);
        else
            xt_list_append(s, &s->ready, XT_LIST_READY, at - 1);
        if (at == last)
            break;
    }
}

void xt_arp_timer(struct xt_stack *s, uint16_t n)
{
    struct xt_neigh *e = &s->neigh[n];
    if (e->state == XT_NEIGH_FAILED) {
        wake_waiters(s, n);
        forget(s, n);
    } else if (e->state == XT_NEIGH_STALE && e->tries >= TRIES) {
        xt_arp_retry(s, n); /* the old address may be another machine's now: ask all */
    } else if (e->tries < TRIES) {
        request(s, n, e->state == XT_NEIGH_STALE ? e->mac : broadcast);
    } else {
        fail(s, n);
    }
}

/* Another host claims our address: say so, and defend it once in a while (RFC 5227 section 2.4 (b)); but not against who had it
 * before us (section 2.1.1), whose peers would believe an announcement. */
static void conflict(struct xt_stack *s, const struct xt_arp *arp)
{
    s->stats.arp_conflicts++;
    const uint8_t *m = arp->sha;
    bool ours = s->announced > XT_ANNOUNCED_PROBED;
    xt_log_limited(XT_LOG_WARN, "address conflict: %02x:%02x:%02x:%02x:%02x:%02x %s", m[0], m[1], m[2], m[3], m[4],
                   m[5],
                   ours ? "claims our IPv4 address: one of the two must have another"
                        : "has our IPv4 address already: set address to one that is free");
    if (!ours)
        xt_wheel_cancel(&s->misc, XT_TIMER_ANNOUNCE);
    if (!ours || (s->defended && s->now - s->defended < DEFEND_INTERVAL))
        return;
    s->defended = XT_MAX(s->now, (uint64_t)1);
    announce(s, s->cfg.addr);
}

static void learn_from(struct xt_stack *s, const struct xt_arp *arp, bool ours)
{
    if (arp->spa == 0 || !xt_route_on_link(s, arp->spa))
        return;
    uint16_t n = find(s, arp->spa);
    if (n == XT_NEIGH_NONE && ours)
        n = enter(s, arp->spa, 0);
    if (n != XT_NEIGH_NONE)
        learn(s, n, arp->sha, ours && arp->op == XT_ARP_REPLY);
}

void xt_arp_overheard(struct xt_stack *s, const uint8_t *p, size_t len)
{
    struct xt_arp arp;
    if (xt_arp_parse(p, len, &arp) == 0)
        learn_from(s, &arp, arp.tpa == s->cfg.addr);
}

void xt_arp_input(struct xt_stack *s, const uint8_t *p, size_t len)
{
    struct xt_arp arp;
    s->stats.arp_in++;
    if (xt_arp_parse(p, len, &arp) != 0 || xt_eth_is_group(arp.sha)) {
        s->stats.drop_bad_arp++;
        return;
    }
    if (memcmp(arp.sha, s->cfg.mac, 6) == 0)
        return; /* our own, come back */
    if (arp.spa == s->cfg.addr) {
        conflict(s, &arp);
        return;
    }
    bool ours = arp.tpa == s->cfg.addr;
    learn_from(s, &arp, ours);
    xt_crew_tell_arp(s, p, len);
    if (ours && arp.op == XT_ARP_REQUEST) {
        s->stats.arp_replies_out++;
        send_arp(s, XT_ARP_REPLY, arp.sha, arp.sha, arp.spa);
    }
}
