/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/both.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t xt_both_compared;

void xt_both_begin(struct xt_both *b, const struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    memcpy(&b->conn, c, sizeof *c);
    xt_seldom_attach(&b->conn, &b->seldom);
    b->seldom = *xt_seldom_of(c);
    if (c->board) {
        memcpy(&b->board, xt_board_of(c), sizeof b->board);
        b->conn.board = xt_board_distance(&b->conn, &b->board);
    }
    b->stats = *ctx->stats;
    b->ctx = *ctx;
    b->ctx.stats = &b->stats;
}

/* Where they differ first; `len`: nowhere. */
static size_t difference(const void *a, const void *b, size_t len)
{
    const unsigned char *p = a, *q = b;
    size_t i = 0;
    while (i < len && p[i] == q[i])
        i++;
    return i;
}

void xt_both_end(const struct xt_both *b, const struct xt_conn *c, const struct xt_tcp_ctx *ctx, const char *what,
                 bool same)
{
    struct xt_conn slow = b->conn;
    slow.board = c->board;
    slow.seldom = c->seldom;
    struct xt_board boards[2];
    memset(boards, 0, sizeof boards);
    if (c->board) { /* what is in use */
        xt_board_copy(&boards[0], xt_board_of(c), c);
        xt_board_copy(&boards[1], &b->board, c);
    }
    size_t i = difference(c, &slow, sizeof slow), at = difference(&boards[0], &boards[1], sizeof boards[0]);
    if (i == sizeof slow && memcmp(xt_seldom_of(c), xt_seldom_of(&b->conn), sizeof b->seldom) != 0) {
        fprintf(stderr, "%s: the fast way leaves something seldom used that the long one does not\n", what);
        abort();
    }
    if (same && i == sizeof slow && at == sizeof b->board && memcmp(ctx->stats, &b->stats, sizeof b->stats) == 0) {
        xt_both_compared++;
        return;
    }
    if (i < sizeof slow)
        fprintf(stderr, "%s: the fast way leaves another record than the long one, from byte %zu on\n", what, i);
    else if (at < sizeof b->board)
        fprintf(stderr, "%s: the fast way leaves another board than the long one, from byte %zu on\n", what, at);
    else
        fprintf(stderr, "%s: the fast way comes to other %s than the long one\n", what, same ? "counters" : "events");
    abort();
}
