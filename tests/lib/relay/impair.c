/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/relay/impair.h"

#include <stdlib.h>
#include <string.h>

#define ETH_HLEN 14
/* A frame held back goes after this many later ones at most, or after this time when none come. */
#define HOLD_FRAMES 4
#define HOLD_US 5000

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t draw(struct impair *im)
{
    uint64_t z = im->rng += 0x9e3779b97f4a7c15ULL;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

static bool chance(struct impair *im, uint32_t permille)
{
    return draw(im) % 1000 < permille;
}

static bool before(const struct impair_frame *a, const struct impair_frame *b)
{
    return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void swap(struct impair_heap *h, size_t a, size_t b)
{
    struct impair_frame *t = h->f[a];

    h->f[a] = h->f[b];
    h->f[b] = t;
}

static void push(struct impair_heap *h, struct impair_frame *f)
{
    size_t i = h->n;

    if (h->n == h->room) {
        h->room = h->room == 0 ? 64 : h->room * 2;
        h->f = realloc(h->f, h->room * sizeof(struct impair_frame *));
        if (h->f == NULL)
            abort();
    }
    h->f[h->n++] = f;
    for (; i > 0 && before(h->f[i], h->f[(i - 1) / 2]); i = (i - 1) / 2)
        swap(h, i, (i - 1) / 2);
}

static struct impair_frame *pop(struct impair_heap *h)
{
    struct impair_frame *f = h->f[0];
    size_t i = 0, c;

    h->f[0] = h->f[--h->n];
    while ((c = 2 * i + 1) < h->n) {
        if (c + 1 < h->n && before(h->f[c + 1], h->f[c]))
            c++;
        if (!before(h->f[c], h->f[i]))
            break;
        swap(h, i, c);
        i = c;
    }
    return f;
}

void impair_init(struct impair *im, const struct impair_cfg *cfg, unsigned direction)
{
    memset(im, 0, sizeof *im);
    im->cfg = *cfg;
    im->rng = cfg->seed * 2 + direction;
}

void impair_free(struct impair *im)
{
    while (im->due.n > 0)
        free(pop(&im->due));
    while (im->held.n > 0)
        free(pop(&im->held));
    free(im->due.f);
    free(im->held.f);
}

static struct impair_frame *copy(const struct virtio_net_hdr *vnet, const void *data, size_t len)
{
    struct impair_frame *f = malloc(sizeof *f + len);

    if (f == NULL)
        abort();
    f->vnet = *vnet;
    f->len = (uint32_t)len;
    f->wait = 0;
    memcpy(f->data, data, len);
    return f;
}

/* Time on the line and delay. False when the line's queue is full. */
static bool schedule(struct impair *im, struct impair_frame *f, uint64_t jitter, uint64_t now)
{
    const struct impair_cfg *c = &im->cfg;
    uint64_t leave = now;

    if (c->rate > 0) {
        if (im->line_free > now)
            leave = im->line_free;
        if ((leave - now) * c->rate / 8000000 + f->len > c->queue)
            return false;
        im->line_free = leave += f->len * 8000000ULL / c->rate;
    }
    f->due = leave + c->delay_us + jitter;
    if (f->due < im->last_due)
        f->due = im->last_due;
    im->last_due = f->due;
    f->seq = im->seq++;
    return true;
}

/* Lets go the frames that enough others have overtaken: right behind the last of those. */
static void overtake(struct impair *im, uint64_t due)
{
    struct impair_heap rest = {0};

    while (im->held.n > 0) {
        struct impair_frame *f = pop(&im->held);

        if (--f->wait > 0) {
            push(&rest, f);
            continue;
        }
        f->due = due;
        f->seq = im->seq++;
        push(&im->due, f);
    }
    free(im->held.f);
    im->held = rest;
}

static void enqueue(struct impair *im, struct impair_frame *f, uint64_t jitter, uint32_t hold, uint64_t now)
{
    if (!schedule(im, f, jitter, now)) {
        im->stats.overflow++;
        free(f);
        return;
    }
    if (hold > 0) {
        f->due += HOLD_US;
        f->wait = hold;
        push(&im->held, f);
        im->stats.reordered++;
        return;
    }
    push(&im->due, f);
    if (im->held.n > 0)
        overtake(im, f->due);
}

static bool suffers(const struct impair *im, const uint8_t *data, size_t len)
{
    return im->cfg.all || (len > ETH_HLEN && data[12] == 0x08 && data[13] == 0x00);
}

/* One bit behind the Ethernet header. A frame whose checksum is still to be filled in would get a right one over
 * the wrong byte: it is lost instead, as the receiver would do with it. */
static bool corrupt(struct impair_frame *f, uint64_t r)
{
    const uint64_t bit = r % ((f->len - ETH_HLEN) * 8ULL);

    f->data[ETH_HLEN + bit / 8] ^= (uint8_t)(1 << bit % 8);
    return (f->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0;
}

void impair_in(struct impair *im, const struct virtio_net_hdr *vnet, const void *data, size_t len, uint64_t now)
{
    const struct impair_cfg *c = &im->cfg;
    struct impair_frame *f;

    im->stats.in++;
    if (len > im->stats.longest)
        im->stats.longest = len;
    f = copy(vnet, data, len);
    if (!suffers(im, data, len)) {
        enqueue(im, f, 0, 0, now);
        return;
    }
    /* The same number of draws for each frame: what one option does to a frame depends on no other option. */
    const bool lose = chance(im, c->loss), twice = chance(im, c->dup), bad = chance(im, c->corrupt),
               late = chance(im, c->reorder);
    const uint64_t bit = draw(im), hold = draw(im) % HOLD_FRAMES + 1, jitter = draw(im) % (c->jitter_us + 1);

    if (twice && !lose) {
        im->stats.duplicated++;
        enqueue(im, copy(vnet, data, len), jitter, 0, now);
    }
    if (bad && !lose && len > ETH_HLEN)
        im->stats.corrupted++;
    if (lose || (bad && len > ETH_HLEN && !corrupt(f, bit))) {
        im->stats.lost += lose;
        free(f);
        return;
    }
    enqueue(im, f, jitter, late ? (uint32_t)hold : 0, now);
}

struct impair_frame *impair_out(struct impair *im, uint64_t now)
{
    struct impair_heap *h = &im->due;

    if (im->held.n > 0 && (h->n == 0 || before(im->held.f[0], h->f[0])))
        h = &im->held;
    if (h->n == 0 || h->f[0]->due > now)
        return NULL;
    im->stats.out++;
    return pop(h);
}

uint64_t impair_deadline(const struct impair *im)
{
    uint64_t d = UINT64_MAX;

    if (im->due.n > 0)
        d = im->due.f[0]->due;
    if (im->held.n > 0 && im->held.f[0]->due < d)
        d = im->held.f[0]->due;
    return d;
}
