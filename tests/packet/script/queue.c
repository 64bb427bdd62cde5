/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/packet/script/queue.h"

#include <stdlib.h>
#include <string.h>

uint8_t *pkt_queue_add(struct pkt_queue *q, uint64_t at, size_t len, uint8_t ecn)
{
    unsigned i = q->tail++ % PKT_QUEUE;
    uint8_t *p = malloc(len);
    if (!p || q->tail - q->head > PKT_QUEUE)
        abort(); /* no script has that many segments in one instant */
    q->item[i].at = at;
    q->item[i].len = len;
    q->item[i].ecn = ecn;
    q->item[i].bytes = p;
    return p;
}

void pkt_queue_take(struct pkt_queue *q, struct pkt_sent *out)
{
    unsigned i = q->head++ % PKT_QUEUE;
    out->at = q->item[i].at;
    out->len = q->item[i].len;
    out->ecn = q->item[i].ecn;
    memcpy(out->bytes, q->item[i].bytes, out->len);
    free(q->item[i].bytes);
}

void pkt_queue_free(struct pkt_queue *q)
{
    while (!pkt_queue_empty(q))
        free(q->item[q->head++ % PKT_QUEUE].bytes);
}
