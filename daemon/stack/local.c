/* SPDX-License-Identifier: Apache-2.0
 * Packets from our own address to itself: two programs of one daemon. A bounded queue of copies in one byte ring; each
 * is a length and an IPv4 packet, never split at the ring's end. */
#include <string.h>

#include "daemon/base/macros.h"
#include "daemon/stack/internal.h"

#define SKIP UINT32_MAX /* in the place of a length: go on at the ring's start */

static uint32_t stride(size_t len)
{
    return (uint32_t)XT_ALIGN_UP(len + sizeof(uint32_t), (size_t)8);
}

/* Where a packet of `need` bytes may be put; UINT32_MAX: nowhere. Room for a SKIP mark is left at the end. */
static uint32_t place(const struct xt_stack *s, uint32_t need)
{
    if (s->local_count == 0)
        return 0;
    if (s->local_tail > s->local_head) {
        if (s->local_tail + need + 8 <= XT_LOCAL_QUEUE)
            return s->local_tail;
        return need < s->local_head ? 0 : UINT32_MAX;
    }
    return s->local_tail + need < s->local_head ? s->local_tail : UINT32_MAX;
}

bool xt_local_room(const struct xt_stack *s, size_t len)
{
    return place(s, stride(len)) != UINT32_MAX;
}

void xt_local_put(struct xt_stack *s, const void *hdr, size_t hdrlen, const struct iovec *iov, unsigned niov)
{
    uint32_t len = (uint32_t)hdrlen, mark = SKIP;
    for (unsigned i = 0; i < niov; i++)
        len += (uint32_t)iov[i].iov_len;
    uint32_t at = place(s, stride(len));
    if (s->local_count == 0)
        s->local_head = 0;
    else if (at == 0)
        memcpy(s->local + s->local_tail, &mark, sizeof mark);
    uint8_t *p = s->local + at;
    memcpy(p, &len, sizeof len);
    p += sizeof len;
    memcpy(p, hdr, hdrlen);
    p += hdrlen;
    for (unsigned i = 0; i < niov; p += iov[i].iov_len, i++)
        memcpy(p, iov[i].iov_base, iov[i].iov_len);
    s->local_tail = at + stride(len);
    s->local_count++;
    s->stats.local_segs++;
}

/* The packet stays in its place while it is handled: what it provokes is put behind it. */
bool xt_local_run(struct xt_stack *s)
{
    static const struct xt_rx rx = {.trusted = true};
    uint32_t n = s->local_count, len;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&len, s->local + s->local_head, sizeof len);
        if (len == SKIP) {
            s->local_head = 0;
            memcpy(&len, s->local, sizeof len);
        }
        xt_ip_input(s, s->local + s->local_head + sizeof len, len, &rx);
        s->local_head += stride(len);
        s->local_count--;
    }
    return n > 0;
}
