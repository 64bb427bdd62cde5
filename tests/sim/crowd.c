/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/crowd.h"

#include <inttypes.h>
#include <stdio.h>

#define EVERY 50 /* seeds */
#define START 1000000ull

bool crowd_wants(uint64_t seed)
{
    return seed % EVERY == EVERY / 2;
}

/* One connection of the crowd: any impaired one, whose line is the shared one and adds little harm of its own. */
static void member(struct params *p, uint64_t seed, unsigned i)
{
    params_from_seed(p, (seed << 8 | i) * 4 + 1);
    p->reorders = false;
    for (unsigned h = 0; h < 2; h++) {
        struct link_cfg *l = &p->link[h];
        l->loss /= 10;
        l->corrupt /= 10;
        l->dup /= 10;
        l->ack_loss = 0;
    }
}

static struct bottleneck neck(struct rng *r, unsigned n)
{
    struct bottleneck b = {.rate = n * rng_log(r, 200000, 20000000)};
    /* A tenth of a second, more or less, but room for a few packets of each. */
    b.depth = (uint32_t)(b.rate / 8 / rng_in(r, 5, 50)) + n * 3000;
    b.mark = rng_u64(r) % 3 ? 0 : b.depth / 3;
    return b;
}

static unsigned draw(struct rng *r, uint64_t seed, struct bottleneck *necks)
{
    *r = (struct rng){seed * 0x9e3779b97f4a7c15ull + 7};
    unsigned n = (unsigned)rng_log(r, 2, CROWD_MAX);
    for (unsigned h = 0; h < 2; h++)
        necks[h] = neck(r, n);
    return n;
}

static void begin(struct crowd *c, uint64_t seed, struct trace *trace)
{
    struct rng r;
    c->n = draw(&r, seed, c->neck);
    *c->failure = 0;
    uint64_t within = rng_log(&r, 1, 10000000);
    for (unsigned i = 0; i < c->n; i++) {
        struct params p;
        member(&p, seed, i);
        net_begin(&c->net[i], &p, START + rng_in(&r, 0, within), trace);
        c->net[i].id = i;
        for (unsigned h = 0; h < 2; h++)
            c->net[i].link[h].neck = &c->neck[h];
        c->next[i] = net_next(&c->net[i]);
    }
}

/* The one that is due first; they meet only in the queues, so this order is all that matters. */
static unsigned first(const struct crowd *c)
{
    unsigned best = 0;
    for (unsigned i = 1; i < c->n; i++)
        if (c->next[i] < c->next[best])
            best = i;
    return best;
}

bool crowd_run(struct crowd *c, uint64_t seed, struct trace *trace)
{
    begin(c, seed, trace);
    for (unsigned i; c->next[i = first(c)] != NEVER && !*c->failure;) {
        net_step(&c->net[i], c->next[i]);
        c->next[i] = net_next(&c->net[i]);
        if (*c->net[i].failure)
            snprintf(c->failure, sizeof c->failure, "connection %u of %u: %s", i, c->n, c->net[i].failure);
    }
    bool stopped = *c->failure;
    for (unsigned i = 0; i < c->n; i++)
        if (!net_end(&c->net[i]) && !stopped && !*c->failure)
            snprintf(c->failure, sizeof c->failure, "connection %u of %u: %s", i, c->n, c->net[i].failure);
    return !*c->failure;
}

void crowd_print(uint64_t seed)
{
    struct bottleneck necks[2];
    struct rng r;
    unsigned n = draw(&r, seed, necks);
    printf("seed %" PRIu64 ": a crowd of %u\n", seed, n);
    for (unsigned h = 0; h < 2; h++)
        printf("  bottleneck from host %u: %" PRIu64 " bit/s, queue %u, mark %u\n", h, necks[h].rate, necks[h].depth,
               necks[h].mark);
}
