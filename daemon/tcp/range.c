/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/range.h"

#include <string.h>

#include "daemon/tcp/seq.h"

int64_t xt_range_add(struct xt_range *r, uint8_t *n, unsigned max, uint32_t left, uint32_t right)
{
    unsigned i, j = *n;
    /* New data comes at the end most of the time: look from there. [i, j) are the ranges that join the new one. */
    while (j > 0 && xt_seq_gt(r[j - 1].left, right))
        j--;
    for (i = j; i > 0 && xt_seq_ge(r[i - 1].right, left);)
        i--;
    if (i == j) {
        if (*n >= max)
            return -1;
        memmove(&r[i + 1], &r[i], (*n - i) * sizeof *r);
        r[i] = (struct xt_range){left, right};
        (*n)++;
        return (int64_t)(right - left);
    }
    uint32_t known = 0;
    for (unsigned k = i; k < j; k++)
        known += r[k].right - r[k].left;
    r[i].left = xt_seq_min(r[i].left, left);
    r[i].right = xt_seq_max(r[j - 1].right, right);
    memmove(&r[i + 1], &r[j], (*n - j) * sizeof *r);
    *n = (uint8_t)(*n - (j - i - 1));
    return (int64_t)(r[i].right - r[i].left - known);
}

void xt_range_trim(struct xt_range *r, uint8_t *n, uint32_t seq)
{
    unsigned drop = 0;
    while (drop < *n && xt_seq_le(r[drop].right, seq))
        drop++;
    if (drop > 0) {
        memmove(r, r + drop, (*n - drop) * sizeof *r);
        *n = (uint8_t)(*n - drop);
    }
    if (*n > 0 && xt_seq_lt(r[0].left, seq))
        r[0].left = seq;
}

int xt_range_find(const struct xt_range *r, unsigned n, uint32_t seq)
{
    for (unsigned i = 0; i < n && xt_seq_le(r[i].left, seq); i++)
        if (xt_seq_lt(seq, r[i].right))
            return (int)i;
    return -1;
}

bool xt_range_covers(const struct xt_range *r, unsigned n, uint32_t left, uint32_t right)
{
    int i = xt_range_find(r, n, left);
    return i >= 0 && xt_seq_le(right, r[i].right);
}

bool xt_range_overlap(const struct xt_range *r, unsigned n, uint32_t *left, uint32_t *right)
{
    for (unsigned i = 0; i < n && xt_seq_lt(r[i].left, *right); i++) {
        if (!xt_seq_lt(*left, r[i].right))
            continue;
        *left = xt_seq_max(*left, r[i].left);
        *right = xt_seq_min(*right, r[i].right);
        return true;
    }
    return false;
}

uint32_t xt_range_bytes(const struct xt_range *r, unsigned n, uint32_t left, uint32_t right)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < n && xt_seq_lt(r[i].left, right); i++) {
        uint32_t l = xt_seq_max(left, r[i].left), e = xt_seq_min(right, r[i].right);
        if (xt_seq_lt(l, e))
            sum += e - l;
    }
    return sum;
}
