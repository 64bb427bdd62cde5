/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/board.h"

#include <string.h>

#include "daemon/tcp/seq.h"

void xt_board_lend(struct xt_conn *c, struct xt_board *b)
{
    memcpy(b->sent, c->sent, c->n_sent * sizeof *b->sent);
    memcpy(b->ooo, c->ooo, c->n_ooo * sizeof *b->ooo);
    memcpy(b->recent, c->recent, c->n_recent * sizeof *b->recent);
    memcpy(b->seam, c->seam, c->n_seam * sizeof *b->seam);
    memcpy(b->mark, c->mark, c->rate.n * sizeof *b->mark);
    c->board = xt_board_distance(c, b);
}

/* As many of `n` as the record has room for. */
static uint8_t keep(uint8_t n, unsigned room)
{
    return (uint8_t)xt_u32_min(n, room);
}

struct xt_board *xt_board_back(struct xt_conn *c)
{
    struct xt_board *b = xt_board_place(c);
    c->n_sent = keep(c->n_sent, XT_SENT_MAX);
    c->n_ooo = keep(c->n_ooo, XT_OOO_MAX);
    c->n_recent = keep(c->n_recent, XT_RECENT_MAX);
    c->n_seam = keep(c->n_seam, XT_SEAM_MAX);
    c->rate.n = keep(c->rate.n, XT_MARK_MAX);
    memcpy(c->sent, b->sent, c->n_sent * sizeof *b->sent);
    memcpy(c->ooo, b->ooo, c->n_ooo * sizeof *b->ooo);
    memcpy(c->recent, b->recent, c->n_recent * sizeof *b->recent);
    memcpy(c->seam, b->seam, c->n_seam * sizeof *b->seam);
    memcpy(c->mark, b->mark, c->rate.n * sizeof *b->mark);
    c->board = 0;
    return b;
}

void xt_board_copy(struct xt_board *to, const struct xt_board *from, const struct xt_conn *c)
{
    memcpy(to->sent, from->sent, xt_u32_min(c->n_sent, XT_SENT_BOARD) * sizeof *to->sent);
    memcpy(to->ooo, from->ooo, xt_u32_min(c->n_ooo, XT_OOO_BOARD) * sizeof *to->ooo);
    memcpy(to->recent, from->recent, xt_u32_min(c->n_recent, XT_RECENT_BOARD) * sizeof *to->recent);
    memcpy(to->seam, from->seam, xt_u32_min(c->n_seam, XT_SEAM_BOARD) * sizeof *to->seam);
    memcpy(to->mark, from->mark, xt_u32_min(c->rate.n, XT_MARK_BOARD) * sizeof *to->mark);
}
