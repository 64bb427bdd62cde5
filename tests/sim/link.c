/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/link.h"

#include <stdlib.h>
#include <string.h>

static struct packet *packet_new(const uint8_t *bytes, size_t len, uint64_t at)
{
    struct packet *p = malloc(sizeof *p + len);
    if (!p)
        abort();
    p->at = at;
    p->corrupted = false;
    p->len = len;
    memcpy(p->bytes, bytes, len);
    return p;
}

static void enqueue(struct link *l, struct packet *p)
{
    struct packet **at = &l->head;
    while (*at && (*at)->at <= p->at)
        at = &(*at)->next;
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

static void deliver_at(struct link *l, const uint8_t *bytes, size_t len, uint64_t at)
{
    struct packet *p = packet_new(bytes, len, at);
    if (rng_ppm(l->rng, l->cfg.corrupt))
        corrupt(l, p);
    enqueue(l, p);
}

/* When a packet sent now has left the rate limiter, or UINT64_MAX when the queue is full. */
static uint64_t transmit(struct link *l, uint64_t now, size_t len)
{
    uint64_t start = l->busy_until > now ? l->busy_until : now;
    if ((start - now) * l->cfg.rate / 8000000 + len > l->cfg.queue)
        return UINT64_MAX;
    l->busy_until = start + len * 8000000 / l->cfg.rate;
    return l->busy_until;
}

void link_send(struct link *l, uint64_t now, const uint8_t *bytes, size_t len)
{
    uint64_t sent = transmit(l, now, len);
    if (sent == UINT64_MAX) {
        l->queue_drops++;
        return;
    }
    if (rng_ppm(l->rng, l->cfg.loss)) {
        l->lost++;
        return;
    }
    uint64_t at = sent + l->cfg.delay + (l->cfg.jitter ? rng_in(l->rng, 0, l->cfg.jitter) : 0);
    if (rng_ppm(l->rng, l->cfg.reorder)) {
        at += rng_log(l->rng, 1, l->cfg.reorder_delay);
        l->reordered++;
    } else {
        at = at < l->last_at ? l->last_at : at;
        l->last_at = at;
    }
    deliver_at(l, bytes, len, at);
    if (rng_ppm(l->rng, l->cfg.dup)) {
        deliver_at(l, bytes, len, at + rng_log(l->rng, 1, 5000000));
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
