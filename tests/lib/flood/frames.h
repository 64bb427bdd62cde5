/* SPDX-License-Identifier: Apache-2.0
 * The frames of floods and of blind attacks: each kind is a maker that writes one frame after the other. */
#ifndef XT_FLOOD_FRAMES_H
#define XT_FLOOD_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "tests/sim/rng.h"

#define FRAME_MAX 1514

struct flood {
    struct rng rng;
    uint64_t n;              /* frames made so far */
    uint8_t mac[6];          /* the victim's */
    uint8_t from_mac[6];     /* one that nobody has, so that answers end at once */
    uint32_t to;             /* the victim, network byte order */
    uint32_t from, spread;   /* forged senders, host byte order: from to from + spread - 1 */
    uint16_t port;           /* the victim's, 0: any */
    uint32_t peer;           /* of the connection that a blind attack is against, network byte order */
    uint16_t peer_port;      /* likewise */
    uint32_t seq, ack, step; /* of a blind attack: where the sweep is, and its step */
};

struct flood_kind {
    const char *name, *text;
    size_t (*make)(struct flood *f, uint8_t *frame);
};

/* Ends with a NULL name. */
extern const struct flood_kind flood_kinds[];

#endif
