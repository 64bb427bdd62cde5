/* SPDX-License-Identifier: Apache-2.0
 * One direction of a simulated network path in virtual time: a bottleneck, delay, jitter, loss, reordering,
 * duplication, corruption, outages, a largest packet that may change, and what some links do to ACKs; all from a
 * seeded generator. */
#ifndef XT_TEST_LINK_H
#define XT_TEST_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/bottleneck.h"
#include "tests/sim/rng.h"

#define LINK_IP_HDR 20u
#define LINK_OUTAGES 2
#define LINK_MTUS 2

/* All that enters the link from `from` up to `until` is lost. */
struct outage {
    uint64_t from, until;
};

/* From `at` on the link takes IP packets of at most `mtu` bytes. */
struct mtu_change {
    uint64_t at;
    uint32_t mtu; /* 0: no change */
};

/* Times in microseconds, probabilities in millionths. */
struct link_cfg {
    uint64_t delay, jitter; /* jitter alone never reorders */
    uint64_t rate;          /* bits per second */
    uint32_t queue;         /* bytes that wait for the rate limit; more are dropped */
    uint32_t mark;          /* bytes waiting from which on packets are ECN-marked; 0: never */
    uint32_t loss, reorder, dup, corrupt;
    uint32_t ack_loss;      /* of ACKs without data, besides `loss` */
    uint64_t reorder_delay; /* a reordered packet comes at most this much later */
    uint64_t slot;          /* packets leave together at multiples of this time (ACK compression), 0: each by itself */
    bool thin;              /* of the plain ACKs of a slot that say more and more only the last leaves */
    struct outage outage[LINK_OUTAGES];
    struct mtu_change mtu[LINK_MTUS];
    bool icmp; /* who is too big hears of it */
};

struct packet {
    struct packet *next;
    uint64_t at; /* when it arrives */
    size_t len;
    uint8_t ecn; /* of its IP header */
    bool corrupted;
    unsigned tag;
    uint8_t bytes[];
};

struct link {
    struct link_cfg cfg;
    struct rng *rng;
    struct bottleneck own, *neck; /* `neck` is `own` unless many share one */
    struct packet *head;          /* by arrival */
    uint64_t last_at;
    unsigned tag; /* of the packets sent from now on: the sender's own, as no header says it */
    unsigned lost, reordered, duplicated, corrupted, blacked_out, acks_thinned;
};

void link_init(struct link *l, const struct link_cfg *cfg, struct rng *rng);

/* The largest IP packet that the link takes at `now`; UINT32_MAX: any. */
uint32_t link_mtu(const struct link *l, uint64_t now);

/* Sends a copy of `bytes`, a TCP segment, at time `now`. */
void link_send(struct link *l, uint64_t now, const uint8_t *bytes, size_t len, uint8_t ecn);

/* When the next packet arrives; UINT64_MAX when none is on its way. */
uint64_t link_next(const struct link *l);

/* Takes the next packet off the link if it arrives until `until`, or returns NULL; the caller frees it. */
struct packet *link_take(struct link *l, uint64_t until);

void link_clear(struct link *l);

#endif
