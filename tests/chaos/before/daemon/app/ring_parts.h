/* SPDX-License-Identifier: Apache-2.0
 * In the place of daemon/app/ring_parts.h, which has the same guard. */
#ifndef XT_APP_RING_PARTS_H
#define XT_APP_RING_PARTS_H

/* The structs stand in daemon/main/layout_before.h, which is not read yet where this is. */
struct xt_extent;
struct xt_tune;

#define xt_extent_off(e) (((const struct xt_extent *)(e))->off)
#define xt_extent_page(e) ((uint32_t)((e)->off >> 12))
#define xt_extent_move(e, to) ((e)->off = (to))

#endif
