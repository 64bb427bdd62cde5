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
    return s->board_free ? 0 : -ENOMEM;
}

/* Marks the board of each record in use; false when one has none of ours, or one that another has. */
static bool mark(const struct xt_stack *s, bool *used, uint32_t n)
{
    for (uint32_t i = 0; i < s->hdr->high_water; i++) {
        const struct xt_conn *c = &s->conns[i];
        if (!(c->flags & XT_CONN_USED) || !c->board)
            continue;
        int64_t off = (const char *)c + c->board - (const char *)s->boards;
        if (off < 0 || off % (int64_t)sizeof(struct xt_board) || off / (int64_t)sizeof(struct xt_board) >= n ||
            used[off / (int64_t)sizeof(struct xt_board)])
            return false;
        used[off / (int64_t)sizeof(struct xt_board)] = true;
    }
    return true;
}

int xt_boards_rebuild(struct xt_stack *s)
{
    uint32_t n = xt_boards_count(s->cfg.max_conns);
    bool *used = calloc(n, sizeof *used);
    if (!used)
        return -ENOMEM;
    int r = mark(s, used, n) ? 0 : -EPROTO;
    for (uint32_t i = n; r == 0 && i-- > 0;)
        if (!used[i])
            put(s, &s->boards[i]);
    free(used);
    return r;
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
