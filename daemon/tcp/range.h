/* SPDX-License-Identifier: Apache-2.0
 * A small set of sequence-number ranges: sorted, disjoint and not touching, in a plain array that lives in the
 * connection record. All numbers of a set lie within half the sequence space of each other. */
#ifndef XT_TCP_RANGE_H
#define XT_TCP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/tcp/conn.h"

/* Adds [left, right) (not empty) to the `*n` ranges at `r`, joining what it overlaps or touches. Returns the bytes that
 * were not in the set before, or -1 (nothing changed) when one range more than `max` would be needed. */
int64_t xt_range_add(struct xt_range *r, uint8_t *n, unsigned max, uint32_t left, uint32_t right);

/* Removes everything below `seq`. */
void xt_range_trim(struct xt_range *r, uint8_t *n, uint32_t seq);

/* The range that holds `seq`, or -1. */
int xt_range_find(const struct xt_range *r, unsigned n, uint32_t seq);

/* True when [left, right) is in the set. */
bool xt_range_covers(const struct xt_range *r, unsigned n, uint32_t left, uint32_t right);

/* Cuts [*left, *right) down to the first stretch of it that is in the set; false: none is. */
bool xt_range_overlap(const struct xt_range *r, unsigned n, uint32_t *left, uint32_t *right);

/* Bytes of [left, right) in the set. */
uint32_t xt_range_bytes(const struct xt_range *r, unsigned n, uint32_t left, uint32_t right);

#endif
