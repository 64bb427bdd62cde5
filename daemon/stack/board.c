/* SPDX-License-Identifier: Apache-2.0
 * Boards (daemon/tcp/board.h) behind the records in the state region: lent where a connection needs one, as long as there
 * are some. Those used last are lent first, so that the memory touched is what was needed at once. */
#include "daemon/tcp/board.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/macros.h"
#include "daemon/stack/internal.h"

#define BOARDS_MIN 64u
#define CONNS_PER_BOARD 4

uint32_t xt_boards_count(uint32_t max_conns)
{
    return XT_MAX(max_conns / CONNS_PER_BOARD, BOARDS_MIN);
}

size_t xt_boards_size(uint32_t max_conns)
{
    return (size_t)xt_boards_count(max_conns) * sizeof(struct xt_board);
}

static void put(struct xt_stack *s, struct xt_board *b)
{
    s->board_free[s->n_board_free++] = (uint32_t)(b - s->boards);
}

int xt_boards_init(struct xt_stack *s, void *boards)
{
    uint32_t n = xt_boards_count(s->cfg.max_conns);
    s->boards = boards;
    s->board_free = calloc(n, sizeof *s->board_free);
    s->board_claimed = calloc(n, sizeof *s->board_claimed);
    return s->board_free && s->board_claimed ? 0 : -ENOMEM;
}

/* Which one a record of another process says that it has; UINT32_MAX: none of ours. */
static uint32_t number_of(const struct xt_stack *s, const struct xt_conn *c)
{
    int64_t first = (const char *)s->boards - (const char *)c, size = sizeof(struct xt_board);
    bool ours = c->board >= first && c->board < first + size * (int64_t)xt_boards_count(s->cfg.max_conns);
    return ours && (c->board - first) % size == 0 ? (uint32_t)((c->board - first) / size) : UINT32_MAX;
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
    bool was = s->board_claimed[n];
    s->board_claimed[n] = true;
    return !was;
}

void xt_boards_rebuild(struct xt_stack *s)
{
    for (uint32_t i = xt_boards_count(s->cfg.max_conns); i-- > 0;)
        if (!s->board_claimed[i])
            put(s, &s->boards[i]);
    free(s->board_claimed);
    s->board_claimed = NULL;
}

void xt_board_check(struct xt_stack *s, struct xt_conn *c)
{
    if (xt_board_spare(c)) {
        put(s, xt_board_back(c));
    } else if (xt_board_wanted(c)) {
        if (s->n_board_free == 0)
            s->stats.no_board++;
        else
            xt_board_lend(c, &s->boards[s->board_free[--s->n_board_free]]);
    }
}

void xt_board_end(struct xt_stack *s, struct xt_conn *c)
{
    if (c->board)
        put(s, xt_board_back(c));
}
