/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/both.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t xt_both_compared;

void xt_both_begin(struct xt_both *b, const struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    memcpy(&b->conn, c, sizeof *c);
    if (c->board) {
        b->board = *xt_board_of(c);
        b->conn.board = (char *)&b->board - (char *)&b->conn;
    }
    b->stats = *ctx->stats;
    b->ctx = *ctx;
    b->ctx.stats = &b->stats;
}

static bool same_lists(struct xt_both *b, const struct xt_conn *c)
{
    const struct xt_board *own = xt_board_of(c);
    b->conn.board = c->board;
    return !own || (memcmp(own->sent, b->board.sent, c->n_sent * sizeof *own->sent) == 0 &&
                    memcmp(own->ooo, b->board.ooo, c->n_ooo * sizeof *own->ooo) == 0);
}

void xt_both_end(struct xt_both *b, const struct xt_conn *c, const struct xt_tcp_ctx *ctx, const char *what, bool same)
{
    const unsigned char *p = (const void *)c, *q = (const void *)&b->conn;
    size_t i = 0;
    bool lists = same_lists(b, c);
    while (i < sizeof *c && p[i] == q[i])
        i++;
    if (same && lists && i == sizeof *c && memcmp(ctx->stats, &b->stats, sizeof b->stats) == 0) {
        xt_both_compared++;
        return;
    }
    if (!lists)
        fprintf(stderr, "%s: the fast way leaves another board than the long one\n", what);
    else if (i < sizeof *c)
        fprintf(stderr, "%s: the fast way leaves another record than the long one, from byte %zu on\n", what, i);
    else
        fprintf(stderr, "%s: the fast way comes to other %s than the long one\n", what, same ? "counters" : "events");
    abort();
}
