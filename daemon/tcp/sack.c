/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/sack.h"

#include <string.h>

#include "daemon/tcp/internal.h"
#include "daemon/tcp/range.h"

void xt_sack_touch(struct xt_conn *c, uint32_t seq)
{
    int range = xt_range_find(xt_ooo_list(c), c->n_ooo, seq);
    if (range < 0 || !(c->opts & XT_OPT_SACK_OK))
        return;
    /* Older entries of the same range, and of ranges that are gone, make room. */
    uint32_t keep[XT_RECENT_BOARD];
    unsigned n = 0;
    keep[n++] = seq;
    for (unsigned i = 0; i < c->n_recent && n < xt_recent_room(c); i++) {
        int r = xt_range_find(xt_ooo_list(c), c->n_ooo, xt_recent_list(c)[i]);
        if (r >= 0 && r != range)
            keep[n++] = xt_recent_list(c)[i];
    }
    memcpy(xt_recent_list(c), keep, n * sizeof *keep);
    c->n_recent = (uint8_t)n;
}

void xt_sack_duplicate(struct xt_conn *c, uint32_t left, uint32_t right)
{
    if (!(c->opts & XT_OPT_SACK_OK))
        return;
    xt_seldom(c)->dsack = (struct xt_range){left, right};
    c->cflags |= XT_CF_DSACK;
}

static unsigned max_blocks(const struct xt_conn *c)
{
    return c->opts & XT_OPT_TS ? XT_SACK_MAX - 1 : XT_SACK_MAX;
}

unsigned xt_sack_optlen(const struct xt_conn *c)
{
    if (!(c->opts & XT_OPT_SACK_OK))
        return 0;
    unsigned n = xt_u32_min(c->n_ooo + ((c->cflags & XT_CF_DSACK) != 0), max_blocks(c));
    return n ? 4 + 8 * n : 0;
}

/* Is the range that begins at `left` among blocks `from` to `n`? */
static bool shown(const struct xt_tcp_opts *opt, unsigned from, unsigned n, uint32_t left)
{
    for (unsigned i = from; i < n; i++)
        if (opt->sack[i].left == left)
            return true;
    return false;
}

void xt_sack_fill(struct xt_conn *c, struct xt_tcp_stats *stats, struct xt_tcp_opts *opt)
{
    if (!(c->opts & XT_OPT_SACK_OK))
        return;
    unsigned n = 0, max = max_blocks(c);
    if (c->cflags & XT_CF_DSACK) {
        const struct xt_range *dsack = &xt_seldom_of(c)->dsack;
        opt->sack[n++] = (struct xt_sack_block){dsack->left, dsack->right};
        c->cflags &= ~(uint32_t)XT_CF_DSACK;
        stats->dsacks_out++;
    }
    unsigned first = n;
    for (unsigned i = 0; i < c->n_recent && n < max && c->n_ooo > 0; i++) {
        int r = xt_range_find(xt_ooo_list(c), c->n_ooo, xt_recent_list(c)[i]);
        if (r >= 0 && !shown(opt, first, n, xt_ooo_list(c)[r].left))
            opt->sack[n++] = (struct xt_sack_block){xt_ooo_list(c)[r].left, xt_ooo_list(c)[r].right};
    }
    for (unsigned r = c->n_ooo; r-- > 0 && n < max;)
        if (!shown(opt, first, n, xt_ooo_list(c)[r].left))
            opt->sack[n++] = (struct xt_sack_block){xt_ooo_list(c)[r].left, xt_ooo_list(c)[r].right};
    opt->nsack = (uint8_t)n;
}
