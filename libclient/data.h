/* SPDX-License-Identifier: Apache-2.0
 * What sending, receiving and the zero-copy calls share. */
#ifndef XTCP_DATA_H
#define XTCP_DATA_H

#include <limits.h>
#include <string.h>

#include "libclient/fastopen.h"
#include "libclient/opts.h"
#include "proto/xt_ring.h"

#define CHUNK 65536u /* published at a time, so that the daemon sends while the next is copied */
#define OOBINLINE(sl) (((sl)->more & MORE_OOBINLINE) != 0)

/* A place in a caller's vector of buffers. */
struct xtcp_cursor {
    const struct iovec *iov;
    int n;
    size_t off; /* in iov[0] */
};

size_t xtcp_total(const struct iovec *iov, int n);
/* Copies `len` bytes between ring bytes at stream offset `at` and the cursor, which moves on. A NULL cursor skips. */
void xtcp_copy(uint8_t *ring, uint32_t size, uint64_t at, size_t len, struct xtcp_cursor *c, bool to_ring);
/* Past `n` bytes of what the cursor still has. */
void xtcp_advance(struct xtcp_cursor *c, size_t n);
/* The ring has `n` bytes more than `head`. False: a signal handler has moved the head since. */
bool xtcp_publish(struct xtcp *x, int s, struct xt_slot *sl, uint64_t head, size_t n, int flags);
/* Why nothing can be sent now: 0 if only room (or the connection) is missing. */
int xtcp_send_error(struct xt_slot *sl, bool take);
/* The place of the urgent byte that is still ahead of the reader, or UINT64_MAX. */
uint64_t xtcp_urgent_at(struct xt_slot *sl, uint64_t tail);
/* Why there is nothing to read: 1 to wait, 0 end of file, or a negative errno. Loads cond before the caller's last look at
 * rx_head would be too late, so looks again itself. */
int xtcp_nothing_to_read(struct xt_slot *sl, bool take);
/* What may be read now: from *from on, at most `len` bytes, not across the urgent mark. With nothing behind the urgent byte the
 * reader still passes it, as in Linux. */
size_t xtcp_readable(struct xt_slot *sl, uint64_t *from, size_t len);
/* Gives back what is before `tail`: the bytes are copied, they may be overwritten. False: a signal handler has read since `was` was
 * loaded. */
bool xtcp_consumed(struct xtcp *x, int s, struct xt_slot *sl, uint64_t was, uint64_t tail);
/* The pending error. Who has moved some bytes already leaves it to the next call. */
int xtcp_pending_error(struct xt_slot *sl, bool take);
/* Since `before` somebody has ended the connection by connect() to no family: there may be another one by now. */
bool xtcp_was_disconnected(const struct xt_slot *sl, uint32_t before);

#endif
