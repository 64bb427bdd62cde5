/* SPDX-License-Identifier: Apache-2.0
 * Tests build the core with XT_TCP_BOTH: then whatever takes a fast way goes the long way too, with a copy of the record, and
 * the program ends when the two do not come to the same. The functions are the tests' own. */
#ifndef XT_TCP_BOTH_H
#define XT_TCP_BOTH_H

#include "daemon/tcp/board.h"
#include "daemon/tcp/seldom.h"
#include "daemon/tcp/tcp.h"

/* What the long way works on. */
struct xt_both {
    struct xt_conn conn;
    struct xt_seldom seldom;
    struct xt_board board;
    struct xt_tcp_stats stats;
    struct xt_tcp_ctx ctx;
};

void xt_both_begin(struct xt_both *b, const struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* Ends the program unless the results are the `same`, and so are records, boards and counters. */
void xt_both_end(const struct xt_both *b, const struct xt_conn *c, const struct xt_tcp_ctx *ctx, const char *what,
                 bool same);

/* How often they were. */
extern uint64_t xt_both_compared;

#endif
