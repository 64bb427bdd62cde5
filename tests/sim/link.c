/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/link.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/seg.h"

#define TCP_ACK_OFFSET 8
#define TCP_FLAGS_OFFSET 13

void link_init(struct link *l, const struct link_cfg *cfg, struct rng *rng)
{
    memset(l, 0, sizeof *l);
    l->cfg = *cfg;
    l->rng = rng;
    l->own = (struct bottleneck){.rate = cfg->rate, .depth = cfg->queue, .mark = cfg->mark};
    l->neck = &l->own;
}

uint32_t link_mtu(const struct link *l, uint64_t now)
{
    uint32_t mtu = UINT32_MAX;
    for (unsigned i = 0; i < LINK_MTUS; i++)
        if (l->cfg.mtu[i].mtu && l->cfg.mtu[i].at <= now)
            mtu = l->cfg.mtu[i].mtu;
    return mtu;
}

static bool is_out(const struct link *l, uint64_t now)
{
    for (unsigned i = 0; i < LINK_OUTAGES; i++)
        if (now >= l->cfg.outage[i].from && now < l->cfg.outage[i].until)
            return true;
    return false;
}

static struct packet *packet_new(const struct link *l, const uint8_t *bytes, size_t len, uint64_t at, uint8_t ecn)
{
    struct packet *p = malloc(sizeof *p + len);
    if (!p)
        abort();
    p->at = at;
    p->ecn = ecn;
    p->corrupted = false;
    p->tag = l->tag;
    p->len = len;
    memcpy(p->bytes, bytes, len);
    return p;
}

/* An ACK and nothing else: no data, no SACK blocks. */
static bool plain_ack(const uint8_t *bytes, size_t len)
{
    struct xt_seg s;
    return len <= XT_TCP_HDR_MAX && xt_seg_parse(bytes, len, &s) == 0 && s.flags == XT_TH_ACK && !s.len && !s.opt.nsack;
}

/* May `b` stand for `a` too? Not when it is a duplicate, which says more than its fields. */
static bool supersedes(const struct packet *b, const struct packet *a)
{
    uint32_t ahead = xt_be32_load(b->bytes + TCP_ACK_OFFSET) - xt_be32_load(a->bytes + TCP_ACK_OFFSET);
    return ahead > 0 && ahead < 1u << 30 && plain_ack(a->bytes, a->len) && plain_ack(b->bytes, b->len);
}

static void enqueue(struct link *l, struct packet *p)
{
    struct packet **at = &l->head, **before = NULL;
    for (; *at && (*at)->at <= p->at; at = &(*at)->next)
        before = at;
    if (l->cfg.thin && before && (*before)->at == p->at && supersedes(p, *before)) {
        p->next = (*before)->next;
        free(*before);
        *before = p;
        l->acks_thinned++;
        return;
    }
    p->next = *at;
    *at = p;
}

static void corrupt(struct link *l, struct packet *p)
{
    for (uint64_t n = rng_in(l->rng, 1, 3); n; n--)
        p->bytes[rng_u64(l->rng) % p->len] ^= (uint8_t)(1u << rng_in(l->rng, 0, 7));
    p->corrupted = true;
    l->corrupted++;
}

static void deliver_at(struct link *l, struct packet *p)
{
    if (rng_ppm(l->rng, l->cfg.corrupt))
        corrupt(l, p);
    enqueue(l, p);
}

static bool is_lost(struct link *l, const uint8_t *bytes, size_t len)
{
    bool ack = bytes[TCP_FLAGS_OFFSET] == XT_TH_ACK && len <= XT_TCP_HDR_MAX && l->cfg.ack_loss;
    return rng_ppm(l->rng, l->cfg.loss) || (ack && rng_ppm(l->rng, l->cfg.ack_loss));
}

void link_send(struct link *l, uint64_t now, const uint8_t *bytes, size_t len, uint8_t ecn)
{
    uint64_t at;
    if (is_out(l, now)) {
        l->blacked_out++;
        return;
    }
    if (!bottleneck_pass(l->neck, now, len, &ecn, &at))
        return;
    if (is_lost(l, bytes, len)) {
        l->lost++;
        return;
    }
    at += l->cfg.delay + (l->cfg.jitter ? rng_in(l->rng, 0, l->cfg.jitter) : 0);
    if (l->cfg.slot)
        at = (at / l->cfg.slot + 1) * l->cfg.slot;
    if (rng_ppm(l->rng, l->cfg.reorder)) {
        at += rng_log(l->rng, 1, l->cfg.reorder_delay);
        l->reordered++;
    } else {
        at = at < l->last_at ? l->last_at : at;
        l->last_at = at;
    }
    deliver_at(l, packet_new(l, bytes, len, at, ecn));
    if (rng_ppm(l->rng, l->cfg.dup)) {
        deliver_at(l, packet_new(l, bytes, len, at + rng_log(l->rng, 1, 5000000), ecn));
        l->duplicated++;
    }
}

uint64_t link_next(const struct link *l)
{
    return l->head ? l->head->at : UINT64_MAX;
}

struct packet *link_take(struct link *l, uint64_t until)
{
    struct packet *p = l->head;
    if (!p || p->at > until)
        return NULL;
    l->head = p->next;
    return p;
}

void link_clear(struct link *l)
{
    while (l->head)
        free(link_take(l, UINT64_MAX));
}
