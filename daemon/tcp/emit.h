/* SPDX-License-Identifier: Apache-2.0
 * Making one segment: header, options and the bookkeeping of having sent it. */
#ifndef XT_TCP_EMIT_H
#define XT_TCP_EMIT_H

#include "daemon/tcp/tcp.h"

/* A SYN or, in SYN_RECV, a SYN+ACK. */
void xt_emit_syn(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out);

/* A segment without data at sequence number `seq`; returns 1. */
int xt_emit_ack(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out, uint32_t seq);

/* The `n` (not 0) octets of sequence space from `seq` on, FIN included, in parts of `mss` bytes; new or again. SND.NXT and
 * the timers are moved. */
void xt_emit_data(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out, uint32_t seq, uint32_t n,
                  uint32_t mss);

#endif
