/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/both.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t xt_both_compared;

void xt_both_begin(struct xt_both *b, const struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    memcpy(&b->conn, c, sizeof *c);
    b->stats = *ctx->stats;
    b->ctx = *ctx;
    b->ctx.stats = &b->stats;
}

void xt_both_end(const struct xt_both *b, const struct xt_conn *c, const struct xt_tcp_ctx *ctx, const char *what,
                 bool same)
{
    const unsigned char *p = (const void *)c, *q = (const void *)&b->conn;
    size_t i = 0;
    while (i < sizeof *c && p[i] == q[i])
        i++;
    if (same && i == sizeof *c && memcmp(ctx->stats, &b->stats, sizeof b->stats) == 0) {
        xt_both_compared++;
        return;
    }
    if (i < sizeof *c)
        fprintf(stderr, "%s: the fast way leaves another record than the long one, from byte %zu on\n", what, i);
    else
        fprintf(stderr, "%s: the fast way comes to other %s than the long one\n", what, same ? "counters" : "events");
    abort();
}
