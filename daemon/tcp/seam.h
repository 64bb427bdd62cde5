/* SPDX-License-Identifier: Apache-2.0
 * Seams: where a segment in flight ended that was not full, or had PSH. Between them all segments are full ones, so that the
 * segments of any stretch can be counted (TCP_INFO), and what is sent again has PSH where it had it. The list has a fixed
 * size; when it is full the oldest are forgotten, and there the count is what as many bytes would take. */
#ifndef XT_TCP_SEAM_H
#define XT_TCP_SEAM_H

#include <stdbool.h>
#include <stdint.h>

struct xt_conn;

/* New data, or our FIN, ends at `end`, the new SND.NXT. */
void xt_seam_put(struct xt_conn *c, uint32_t end);

/* Forgets what lies up to SND.UNA. */
void xt_seam_prune(struct xt_conn *c);

/* Does one lie at `seq`? */
bool xt_seam_at(const struct xt_conn *c, uint32_t seq);

/* `n` bytes from `seq` are to go again: up to the first seam that lies a number of full segments away, or all. */
uint32_t xt_seam_cut(const struct xt_conn *c, uint32_t seq, uint32_t n, uint32_t mss);

/* Segments in [left, right), within what was sent. */
uint32_t xt_seam_segments(const struct xt_conn *c, uint32_t left, uint32_t right);

/* Segments in one of the states (sent.h). */
uint32_t xt_seam_count(const struct xt_conn *c, unsigned states);

#endif
