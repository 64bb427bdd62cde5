/* SPDX-License-Identifier: Apache-2.0
 * What happened in a run: all of it as it happens, or the last events, kept for the case of a failure. */
#ifndef XT_TEST_TRACE_H
#define XT_TEST_TRACE_H

#include <stdarg.h>
#include <stdbool.h>

#include "daemon/tcp/conn.h"
#include "daemon/wire/seg.h"

#define TRACE_LINES 200
#define TRACE_WIDTH 240

struct trace {
    bool all; /* print at once */
    unsigned n;
    char line[TRACE_LINES][TRACE_WIDTH];
};

void trace_add(struct trace *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints what was kept. */
void trace_print(const struct trace *t);

/* A segment as tcpdump shows it, numbers relative to those of the connection `c`, which sent or got it. */
void trace_seg(char *buf, size_t size, const struct xt_conn *c, const struct xt_seg *s, bool sent);

#endif
