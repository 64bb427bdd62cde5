/* SPDX-License-Identifier: Apache-2.0
 * Bytes: one memory copy for each contiguous piece between the caller's buffers and the rings. */
#include "libclient/data.h"

size_t xtcp_total(const struct iovec *iov, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        if (__builtin_add_overflow(sum, iov[i].iov_len, &sum) || sum > SSIZE_MAX)
            return SSIZE_MAX;
    return sum;
}

void xtcp_copy(uint8_t *ring, uint32_t size, uint64_t at, size_t len, struct xtcp_cursor *c, bool to_ring)
{
    while (len) {
        while (c->off == c->iov->iov_len) { // NOLINT(clang-analyzer-core*): `len` is at most what the pieces hold
            c->iov++;
            c->off = 0;
        }
        size_t pos = at & (size - 1), n = len;
        n = n < size - pos ? n : size - pos;
        n = n < c->iov->iov_len - c->off ? n : c->iov->iov_len - c->off;
        uint8_t *user = (uint8_t *)c->iov->iov_base + c->off;
        memcpy(to_ring ? ring + pos : user, to_ring ? user : ring + pos, n);
        at += n;
        len -= n;
        c->off += n;
    }
}

void xtcp_advance(struct xtcp_cursor *c, size_t n)
{
    while (n) {
        size_t left = c->iov->iov_len - c->off; // NOLINT(clang-analyzer-core*): `n` is at most what the pieces hold
        size_t k = n < left ? n : left;
        c->off += k;
        n -= k;
        if (n) {
            c->iov++;
            c->off = 0;
        }
    }
}

int xtcp_pending_error(struct xt_slot *sl, bool take)
{
    return take ? xtcp_take_error(sl) : atomic_load_explicit(&sl->so_error, memory_order_relaxed);
}

bool xtcp_was_disconnected(const struct xt_slot *sl, uint32_t before)
{
    return atomic_load_explicit(&sl->disconnects, memory_order_relaxed) != before;
}
