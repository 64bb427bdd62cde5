/* SPDX-License-Identifier: Apache-2.0
 * A capture: the beginnings of the frames that come and leave, and of those that segments to ourselves would have been. Kept until
 * whoever asked for it takes them; it ends by itself when nobody asks any more. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/macros.h"
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"
#include "proto/xt_ctl.h"

#define ROOM (1u << 20)
#define SNAP 256u                     /* bytes of a frame: all headers, and some payload */
#define PATIENCE_US (2 * XT_US_PER_S) /* without a question */

struct xt_capture {
    uint64_t owner, asked_us, lost;
    uint32_t from, to; /* what waits, in `buf` */
    uint8_t buf[ROOM];
};

void xt_capture_end(struct xt_stack *s)
{
    free(s->capture);
    s->capture = NULL;
}

static bool has_room(struct xt_capture *c, size_t need)
{
    if (c->to + need > ROOM && c->from >= ROOM / 2) {
        memmove(c->buf, c->buf + c->from, c->to - c->from);
        c->to -= c->from;
        c->from = 0;
    }
    return c->to + need <= ROOM;
}

void xt_capture_put(struct xt_stack *s, const void *hdr, size_t hdrlen, const struct iovec *iov, unsigned niov,
                    size_t more)
{
    struct xt_capture *c = s->capture;
    struct xt_capture_rec rec = {
        .us = s->now, .len = (uint32_t)(hdrlen + more), .have = (uint32_t)XT_MIN(hdrlen, SNAP)};
    if (s->now > c->asked_us + PATIENCE_US) {
        xt_capture_end(s);
        return;
    }
    if (!has_room(c, sizeof rec + SNAP)) {
        c->lost++;
        return;
    }
    uint8_t *at = c->buf + c->to + sizeof rec;
    memcpy(at, hdr, rec.have);
    for (unsigned i = 0; i < niov; i++) {
        uint32_t n = (uint32_t)XT_MIN(iov[i].iov_len, SNAP - rec.have);
        memcpy(at + rec.have, iov[i].iov_base, n);
        rec.have += n;
        rec.len += (uint32_t)iov[i].iov_len;
    }
    memcpy(c->buf + c->to, &rec, sizeof rec);
    c->to += (uint32_t)sizeof rec + rec.have;
}

/* Whole records, as many as fit. */
static uint32_t take(struct xt_capture *c, uint8_t *buf, size_t size)
{
    uint32_t n = 0;
    struct xt_capture_rec rec;
    while (c->from + n < c->to) {
        memcpy(&rec, c->buf + c->from + n, sizeof rec);
        if (n + sizeof rec + rec.have > size)
            break;
        n += (uint32_t)sizeof rec + rec.have;
    }
    memcpy(buf, c->buf + c->from, n);
    c->from += n;
    if (c->from == c->to)
        c->from = c->to = 0;
    return n;
}

int xt_stack_capture(struct xt_stack *s, uint64_t owner, uint8_t *buf, size_t size, uint64_t *lost, uint64_t now_us)
{
    struct xt_capture *c = s->capture;
    if (c && c->owner != owner && now_us <= c->asked_us + PATIENCE_US)
        return -EBUSY;
    if (!c || c->owner != owner) {
        if (!c && !(c = malloc(sizeof *c)))
            return -ENOMEM;
        c->owner = owner;
        c->from = c->to = 0;
        c->lost = 0;
        s->capture = c;
    }
    c->asked_us = now_us;
    *lost = c->lost;
    return (int)take(c, buf, size);
}

void xt_stack_capture_end(struct xt_stack *s, uint64_t owner)
{
    if (s->capture && s->capture->owner == owner)
        xt_capture_end(s);
}
