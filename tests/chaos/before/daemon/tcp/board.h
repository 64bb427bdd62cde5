/* SPDX-License-Identifier: Apache-2.0
 * In the place of daemon/tcp/board.h and board.c: records had longer lists of their own, and boards were for two of them. */
#ifndef XT_TCP_BOARD_H
#define XT_TCP_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "daemon/base/macros.h"
#include "daemon/wire/seg.h"
#include "tests/chaos/before/names.h"

#define XT_RECENT_BOARD XT_RECENT_BEFORE
#define XT_MARK_BOARD XT_MARKS_BEFORE
#define XT_RECORD_ALIGN 1

#define xt_board_count xt_board_count_before

static inline struct xt_board *xt_board_of(const struct xt_conn *c)
{
    return c->board ? (struct xt_board *)(void *)((char *)(uintptr_t)c + c->board) : NULL;
}

static inline struct xt_flight *xt_sent_list(const struct xt_conn *c)
{
    return c->board ? xt_board_of(c)->sent : (struct xt_flight *)(uintptr_t)c->sent;
}

static inline unsigned xt_sent_room(const struct xt_conn *c)
{
    return c->board ? XT_SENT_BOARD_BEFORE : XT_SENT_BEFORE;
}

static inline struct xt_range *xt_ooo_list(const struct xt_conn *c)
{
    return c->board ? xt_board_of(c)->ooo : (struct xt_range *)(uintptr_t)c->ooo;
}

static inline unsigned xt_ooo_room(const struct xt_conn *c)
{
    return c->board ? XT_OOO_BOARD_BEFORE : XT_OOO_BEFORE;
}

static inline uint32_t *xt_recent_list(const struct xt_conn *c)
{
    return (uint32_t *)(uintptr_t)c->sack_recent;
}

static inline unsigned xt_recent_room(const struct xt_conn *c)
{
    return XT_RECENT_BEFORE;
}

static inline uint32_t *xt_seam_list(const struct xt_conn *c)
{
    return (uint32_t *)(uintptr_t)c->seam;
}

static inline unsigned xt_seam_room(const struct xt_conn *c)
{
    return XT_SEAM_BEFORE;
}

static inline struct xt_rate_mark *xt_mark_list(const struct xt_conn *c)
{
    return (struct xt_rate_mark *)(uintptr_t)c->rate.mark;
}

static inline unsigned xt_mark_room(const struct xt_conn *c)
{
    return XT_MARKS_BEFORE;
}

static inline bool xt_board_wanted(const struct xt_conn *c)
{
    return !c->board && (c->n_sent + 10 > XT_SENT_BEFORE || c->n_ooo + 2 > XT_OOO_BEFORE);
}

static inline bool xt_board_wanted_by(const struct xt_conn *c, const struct xt_seg *seg)
{
    return false;
}

static inline bool xt_board_spare(const struct xt_conn *c)
{
    return c->board && c->n_sent <= XT_SENT_BEFORE / 4 && c->n_ooo <= XT_OOO_BEFORE / 4;
}

static inline void xt_board_lend(struct xt_conn *c, struct xt_board *b)
{
    memcpy(b->sent, c->sent, c->n_sent * sizeof *b->sent);
    memcpy(b->ooo, c->ooo, c->n_ooo * sizeof *b->ooo);
    c->board = (char *)b - (char *)c;
}

static inline struct xt_board *xt_board_back(struct xt_conn *c)
{
    struct xt_board *b = xt_board_of(c);
    c->n_sent = (uint8_t)XT_MIN(c->n_sent, XT_SENT_BEFORE);
    c->n_ooo = (uint8_t)XT_MIN(c->n_ooo, XT_OOO_BEFORE);
    memcpy(c->sent, b->sent, c->n_sent * sizeof *b->sent);
    memcpy(c->ooo, b->ooo, c->n_ooo * sizeof *b->ooo);
    c->board = 0;
    return b;
}

static inline void xt_board_copy(struct xt_board *to, const struct xt_board *from, const struct xt_conn *c)
{
    memcpy(to->sent, from->sent, XT_MIN(c->n_sent, XT_SENT_BOARD_BEFORE) * sizeof *to->sent);
    memcpy(to->ooo, from->ooo, XT_MIN(c->n_ooo, XT_OOO_BOARD_BEFORE) * sizeof *to->ooo);
}

#endif
