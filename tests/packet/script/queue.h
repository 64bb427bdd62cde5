/* SPDX-License-Identifier: Apache-2.0
 * Segments that the stack sent and the script has not looked at yet. */
#ifndef PKT_QUEUE_H
#define PKT_QUEUE_H

#include "tests/packet/script/run.h"

#define PKT_QUEUE 512

struct pkt_queue {
    struct {
        uint64_t at;
        size_t len;
        uint8_t ecn;
        uint8_t *bytes;
    } item[PKT_QUEUE];
    unsigned head, tail;
};

static inline bool pkt_queue_empty(const struct pkt_queue *q)
{
    return q->head == q->tail;
}

/* When the first one was sent; there is one. */
static inline uint64_t pkt_queue_first(const struct pkt_queue *q)
{
    return q->item[q->head % PKT_QUEUE].at;
}

/* Room for a segment of up to `len` bytes, which becomes its length. */
uint8_t *pkt_queue_add(struct pkt_queue *q, uint64_t at, size_t len, uint8_t ecn);
/* Takes the first one out. */
void pkt_queue_take(struct pkt_queue *q, struct pkt_sent *out);
void pkt_queue_free(struct pkt_queue *q);

#endif
