/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/board.h"

#include <string.h>

#include "daemon/tcp/seq.h"

/* What one segment can add: an ACK with four blocks cuts eight stretches, data is one range. */
#define SENT_STEP 10
#define OOO_STEP 2

bool xt_board_wanted(const struct xt_conn *c)
{
    return !c->board && (c->n_sent + SENT_STEP > XT_SENT_MAX || c->n_ooo + OOO_STEP > XT_OOO_MAX);
}

bool xt_board_spare(const struct xt_conn *c)
{
    return c->board && c->n_sent <= XT_SENT_MAX / 4 && c->n_ooo <= XT_OOO_MAX / 4;
}

void xt_board_lend(struct xt_conn *c, struct xt_board *b)
{
    memcpy(b->sent, c->sent, c->n_sent * sizeof *b->sent);
    memcpy(b->ooo, c->ooo, c->n_ooo * sizeof *b->ooo);
    c->board = (char *)b - (char *)c;
}

struct xt_board *xt_board_back(struct xt_conn *c)
{
    struct xt_board *b = (struct xt_board *)(void *)((char *)c + c->board);
    c->n_sent = (uint8_t)xt_u32_min(c->n_sent, XT_SENT_MAX);
    c->n_ooo = (uint8_t)xt_u32_min(c->n_ooo, XT_OOO_MAX);
    memcpy(c->sent, b->sent, c->n_sent * sizeof *b->sent);
    memcpy(c->ooo, b->ooo, c->n_ooo * sizeof *b->ooo);
    c->board = 0;
    return b;
}
