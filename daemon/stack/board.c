/* SPDX-License-Identifier: Apache-2.0
 * Boards (daemon/tcp/board.h) behind the records in the state region: lent where a connection needs one. Those used last are lent
 * first, so that the memory touched is what was needed at once; what was never lent costs none, and what no one has needed for long goes
 * back (sparse.c). */
#include "daemon/tcp/board.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/stack/internal.h"

static void put(struct xt_stack *s, struct xt_board *b)
{
    uint32_t n = (uint32_t)(b - s->boards);
    s->board_lent[n] = false;
    s->board_free[s->n_board_free++] = n;
    xt_sparse_board(s, n);
}

static struct xt_board *take(struct xt_stack *s)
{
    if (!s->n_board_free && s->boards_high >= xt_board_count(s->cfg.max_conns))
        return NULL;
    uint32_t n = s->n_board_free ? s->board_free[--s->n_board_free] : s->boards_high++;
    s->board_lent[n] = true;
    return &s->boards[n];
}

int xt_boards_init(struct xt_stack *s, void *boards)
{
    uint32_t n = xt_board_count(s->cfg.max_conns);
    s->boards = boards;
    s->board_free = calloc(n, sizeof *s->board_free);
    s->board_lent = calloc(n, sizeof *s->board_lent);
    return s->board_free && s->board_lent ? 0 : -ENOMEM;
}

/* Which one a record of another process says that it has; UINT32_MAX: none of ours. */
static uint32_t number_of(const struct xt_stack *s, const struct xt_conn *c)
{
    int64_t first = (const char *)s->boards - (const char *)c, size = sizeof(struct xt_board);
    int64_t off = (int64_t)c->board * XT_RECORD_ALIGN - first;
    return off >= 0 && off < size * xt_board_count(s->cfg.max_conns) && off % size == 0 ? (uint32_t)(off / size)
                                                                                        : UINT32_MAX;
}

bool xt_board_is_one(const struct xt_stack *s, const struct xt_conn *c)
{
    return !c->board || number_of(s, c) != UINT32_MAX;
}

bool xt_board_claim(struct xt_stack *s, const struct xt_conn *c)
{
    uint32_t n = c->board ? number_of(s, c) : UINT32_MAX;
    if (n == UINT32_MAX)
        return !c->board;
    bool was = s->board_lent[n];
    s->board_lent[n] = true;
    return !was;
}

void xt_boards_rebuild(struct xt_stack *s)
{
    uint32_t high = xt_board_count(s->cfg.max_conns);
    while (high > 0 && !s->board_lent[high - 1])
        high--;
    s->boards_high = high;
    while (high-- > 0)
        if (!s->board_lent[high])
            put(s, &s->boards[high]);
}

void xt_board_give(struct xt_stack *s, struct xt_conn *c)
{
    struct xt_board *b = take(s);
    if (b)
        xt_board_lend(c, b);
}

void xt_board_end(struct xt_stack *s, struct xt_conn *c)
{
    if (c->board)
        put(s, xt_board_back(c));
}
