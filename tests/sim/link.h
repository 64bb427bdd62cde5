/* SPDX-License-Identifier: Apache-2.0
 * One direction of a simulated network path in virtual time: rate, drop-tail queue, delay, jitter, loss, reordering,
 * duplication and corruption, all from a seeded generator. */
#ifndef XT_TEST_LINK_H
#define XT_TEST_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/rng.h"

/* Times in microseconds, probabilities in millionths. */
struct link_cfg {
    uint64_t delay, jitter; /* jitter alone never reorders */
    uint64_t rate;          /* bits per second */
    uint32_t queue;         /* bytes that wait for the rate limit; more are dropped */
    uint32_t loss, reorder, dup, corrupt;
    uint64_t reorder_delay; /* a reordered packet comes at most this much later */
};

struct packet {
    struct packet *next;
    uint64_t at; /* when it arrives */
    size_t len;
    bool corrupted;
    uint8_t bytes[];
};

struct link {
    struct link_cfg cfg;
    struct rng *rng;
    struct packet *head; /* by arrival */
    uint64_t busy_until, last_at;
    unsigned lost, queue_drops, reordered, duplicated, corrupted;
};

/* Sends a copy of `bytes` at time `now`. */
void link_send(struct link *l, uint64_t now, const uint8_t *bytes, size_t len);

/* When the next packet arrives; UINT64_MAX when none is on its way. */
uint64_t link_next(const struct link *l);

/* Takes the next packet off the link if it arrives until `until`, or returns NULL; the caller frees it. */
struct packet *link_take(struct link *l, uint64_t until);

void link_clear(struct link *l);

#endif
