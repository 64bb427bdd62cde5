/* SPDX-License-Identifier: Apache-2.0
 * What is in flight: one list of neighbouring stretches covers [SND.UNA, SND.NXT), each with the time at which it last
 * left and what became of it. It lives in the connection record.
 *
 * The list has a fixed size, a larger one while a board is lent (board.h). A super-segment is one stretch; stretches that
 * left within a sixteenth of a round trip are one, under the later time, so that a flight takes about as many entries
 * however large it is, and a loss is never seen too early. What was SACKed needs no time: such neighbours are one stretch
 * too. When the list is full all the same, the two neighbours in the same state with the closest times become one; when
 * there are none, what cannot be written down is forgotten in the safe direction: a SACK was not heard, a longer stretch was
 * sent again just now.
 *
 * Times are ticks of XT_SENT_TICK_US microseconds, modulo 2^29 (71 minutes). */
#ifndef XT_TCP_SENT_H
#define XT_TCP_SENT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/tcp/board.h"

#define XT_SENT_TICK_US 8u
#define XT_SENT_JOIN_PART 16 /* of the round-trip time: new data that leaves within it is one stretch */

/* States of a stretch. */
enum {
    XT_SENT_FLIGHT,     /* sent once */
    XT_SENT_AGAIN,      /* sent more than once */
    XT_SENT_LOST,       /* counts as lost, sent once */
    XT_SENT_LOST_AGAIN, /* counts as lost, sent more than once */
    XT_SENT_SACKED
};

/* Sets of states. */
#define XT_SENT_BIT(state) (1u << (state))
#define XT_SENT_ONCE (XT_SENT_BIT(XT_SENT_FLIGHT) | XT_SENT_BIT(XT_SENT_LOST))
#define XT_SENT_ALL_FLIGHT (XT_SENT_BIT(XT_SENT_FLIGHT) | XT_SENT_BIT(XT_SENT_AGAIN))
#define XT_SENT_ALL_LOST (XT_SENT_BIT(XT_SENT_LOST) | XT_SENT_BIT(XT_SENT_LOST_AGAIN))

/* Told of each stretch that was delivered: `bytes` of it, up to sequence number `end`. */
struct xt_sent_news {
    void (*seen)(struct xt_sent_news *news, const struct xt_flight *s, uint32_t bytes, uint32_t end);
    uint32_t delivered; /* bytes, so far */
};

static inline uint32_t xt_sent_tick(uint64_t us)
{
    return (uint32_t)(us / XT_SENT_TICK_US) & 0x1fffffff;
}

/* Microseconds from tick `b` to tick `a`. */
static inline int32_t xt_sent_diff(uint32_t a, uint32_t b)
{
    return (int32_t)((a - b) << 3);
}

/* [left, right) has left at `now_us`: for the first time where it lies beyond the list's end, else again. */
void xt_sent_put(struct xt_conn *c, uint32_t left, uint32_t right, uint64_t now_us);

/* Everything below `ack`, the new SND.UNA, was delivered; `una` is the old one. */
void xt_sent_ack(struct xt_conn *c, uint32_t una, uint32_t ack, struct xt_sent_news *news);

/* [left, right), within [SND.UNA, SND.NXT), was SACKed. */
void xt_sent_sack(struct xt_conn *c, uint32_t left, uint32_t right, struct xt_sent_news *news);

/* Takes what is in flight in one of the states in [left, right) for lost; returns its bytes. */
uint32_t xt_sent_lose(struct xt_conn *c, unsigned states, uint32_t left, uint32_t right);

/* Nothing was lost: all that counts so is in flight. */
void xt_sent_unlose(struct xt_conn *c);

/* Nothing was SACKed: all that counts so is in flight (a peer may take a SACK back, RFC 2018 section 8). */
void xt_sent_unsack(struct xt_conn *c);

/* Bytes in one of the states. */
uint32_t xt_sent_bytes(const struct xt_conn *c, unsigned states);

/* The first stretch at or after `from` in one of the states, [*left, *right); neighbours count as one. */
bool xt_sent_find(const struct xt_conn *c, unsigned states, uint32_t from, uint32_t *left, uint32_t *right);

/* Was `seq`, in flight, SACKed? */
bool xt_sent_is_sacked(const struct xt_conn *c, uint32_t seq);

/* The end of the last SACKed stretch, SND.UNA when there is none. */
uint32_t xt_sent_sack_top(const struct xt_conn *c);

/* The start of entry `i`. */
static inline uint32_t xt_sent_left(const struct xt_conn *c, unsigned i)
{
    return i > 0 ? xt_sent_list(c)[i - 1].end : c->snd_una;
}

#endif
