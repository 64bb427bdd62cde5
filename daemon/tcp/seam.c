/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/seam.h"

#include "daemon/tcp/internal.h"

static void drop(struct xt_conn *c, unsigned n)
{
    c->n_seam = (uint8_t)(c->n_seam - n);
    if (c->n_seam)
        memmove(xt_seam_list(c), xt_seam_list(c) + n, c->n_seam * sizeof(uint32_t));
}

void xt_seam_put(struct xt_conn *c, uint32_t end)
{
    if (c->n_seam == xt_seam_room(c))
        drop(c, 1);
    xt_seam_list(c)[c->n_seam++] = end;
}

void xt_seam_prune(struct xt_conn *c)
{
    unsigned n = 0;
    while (n < c->n_seam && xt_seq_le(xt_seam_list(c)[n], c->snd_una))
        n++;
    if (n > 0)
        drop(c, n);
}

bool xt_seam_at(const struct xt_conn *c, uint32_t seq)
{
    for (unsigned i = 0; i < c->n_seam; i++)
        if (xt_seam_list(c)[i] == seq)
            return true;
    return false;
}

uint32_t xt_seam_cut(const struct xt_conn *c, uint32_t seq, uint32_t n, uint32_t mss)
{
    for (unsigned i = 0; i < c->n_seam; i++) {
        uint32_t d = xt_seam_list(c)[i] - seq;
        if (xt_seq_gt(xt_seam_list(c)[i], seq) && d < n && d % mss == 0)
            return d;
    }
    return n;
}

/* Of one stretch without a seam; our FIN takes no room in a segment with data. */
static uint32_t full_ones(const struct xt_conn *c, uint32_t left, uint32_t right)
{
    uint32_t n = right - left;
    if (n > 1 && (c->cflags & XT_CF_SHUT) && right == xt_send_end(c))
        n--;
    return (n + c->mss_eff - 1) / c->mss_eff;
}

uint32_t xt_seam_segments(const struct xt_conn *c, uint32_t left, uint32_t right)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < c->n_seam && xt_seq_lt(xt_seam_list(c)[i], right); i++) {
        if (!xt_seq_gt(xt_seam_list(c)[i], left))
            continue;
        n += full_ones(c, left, xt_seam_list(c)[i]);
        left = xt_seam_list(c)[i];
    }
    return n + full_ones(c, left, right);
}

uint32_t xt_seam_count(const struct xt_conn *c, unsigned states)
{
    uint32_t n = 0, left, right = c->snd_una;
    while (xt_sent_find(c, states, right, &left, &right))
        n += xt_seam_segments(c, left, right);
    return n;
}
