/* SPDX-License-Identifier: Apache-2.0
 * What we report of out-of-order data: SACK blocks, the most recent first (RFC 2018 section 4), a duplicate before them
 * (RFC 2883). */
#ifndef XT_TCP_SACK_H
#define XT_TCP_SACK_H

#include "daemon/tcp/tcp.h"

/* The range that holds `seq` has changed last. */
void xt_sack_touch(struct xt_conn *c, uint32_t seq);

/* [left, right) was received twice. */
void xt_sack_duplicate(struct xt_conn *c, uint32_t left, uint32_t right);

/* Bytes of SACK option (with padding) that the next segment will carry. */
unsigned xt_sack_optlen(const struct xt_conn *c);

/* Writes the blocks; a duplicate is reported once. */
void xt_sack_fill(struct xt_conn *c, struct xt_tcp_stats *stats, struct xt_tcp_opts *opt);

#endif
