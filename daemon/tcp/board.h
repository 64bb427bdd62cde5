/* SPDX-License-Identifier: Apache-2.0
 * Lists of what is in flight and of what came out of order are short in the record, enough for a dialogue. A connection that needs
 * more is lent a board, for as long as anything is in flight or out of order. Whoever drives the connection lends it, after each
 * segment in or out where xt_board_wanted(), and before one comes in that xt_board_wanted_by() names; without one the lists go on
 * as they are and forget in the safe direction.
 *
 * A record holds no pointer: a board lies in the same mapping, and the record says how far away. So a copy of a record
 * must not be asked for its lists. */
#ifndef XT_TCP_BOARD_H
#define XT_TCP_BOARD_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/tcp/conn.h"

#define XT_MARK_BOARD 8
#define XT_SEAM_BOARD 16
#define XT_RECENT_BOARD 4
#define XT_SENT_BOARD 240
#define XT_OOO_BOARD 128

/* What most need of it comes first. */
struct xt_board {
    alignas(XT_RECORD_ALIGN) struct xt_rate_mark mark[XT_MARK_BOARD];
    uint32_t seam[XT_SEAM_BOARD];
    uint32_t recent[XT_RECENT_BOARD];
    struct xt_flight sent[XT_SENT_BOARD];
    struct xt_range ooo[XT_OOO_BOARD];
};

/* Of a record that has one. */
static inline struct xt_board *xt_board_place(const struct xt_conn *c)
{
    return (struct xt_board *)(void *)((char *)(uintptr_t)c + (int64_t)c->board * XT_RECORD_ALIGN);
}

static inline struct xt_board *xt_board_of(const struct xt_conn *c)
{
    return c->board ? xt_board_place(c) : NULL;
}

static inline int32_t xt_board_distance(const struct xt_conn *c, const struct xt_board *b)
{
    return (int32_t)(((const char *)b - (const char *)c) / XT_RECORD_ALIGN);
}

/* How many there should be for so many connections: one for each, used or not. */
static inline uint32_t xt_board_count(uint32_t conns)
{
    return conns;
}

/* The list of what is in flight, and the most entries it can have. */
static inline struct xt_flight *xt_sent_list(const struct xt_conn *c)
{
    return c->board ? xt_board_of(c)->sent : (struct xt_flight *)(uintptr_t)c->sent;
}

static inline unsigned xt_sent_room(const struct xt_conn *c)
{
    return c->board ? XT_SENT_BOARD : XT_SENT_MAX;
}

/* Likewise what was received out of order. */
static inline struct xt_range *xt_ooo_list(const struct xt_conn *c)
{
    return c->board ? xt_board_of(c)->ooo : (struct xt_range *)(uintptr_t)c->ooo;
}

static inline unsigned xt_ooo_room(const struct xt_conn *c)
{
    return c->board ? XT_OOO_BOARD : XT_OOO_MAX;
}

static inline uint32_t *xt_recent_list(const struct xt_conn *c)
{
    return c->board ? xt_board_of(c)->recent : (uint32_t *)(uintptr_t)c->recent;
}

static inline unsigned xt_recent_room(const struct xt_conn *c)
{
    return c->board ? XT_RECENT_BOARD : XT_RECENT_MAX;
}

/* Likewise seams. */
static inline uint32_t *xt_seam_list(const struct xt_conn *c)
{
    return c->board ? xt_board_of(c)->seam : (uint32_t *)(uintptr_t)c->seam;
}

static inline unsigned xt_seam_room(const struct xt_conn *c)
{
    return c->board ? XT_SEAM_BOARD : XT_SEAM_MAX;
}

/* And marks of the delivery rate. */
static inline struct xt_rate_mark *xt_mark_list(const struct xt_conn *c)
{
    return c->board ? xt_board_of(c)->mark : (struct xt_rate_mark *)(uintptr_t)c->mark;
}

static inline unsigned xt_mark_room(const struct xt_conn *c)
{
    return c->board ? XT_MARK_BOARD : XT_MARK_MAX;
}

/* It has none, and the next segment out, or in without SACK blocks, could fill a list of the record. */
static inline bool xt_board_wanted(const struct xt_conn *c)
{
    return (c->n_sent + 2 > XT_SENT_MAX || c->rate.n >= XT_MARK_MAX || c->n_seam >= XT_SEAM_MAX ||
            c->n_ooo + 2 > XT_OOO_MAX) &&
           !c->board;
}

/* It has none, and `seg`, which comes in, can cut up what is in flight. */
static inline bool xt_board_wanted_by(const struct xt_conn *c, const struct xt_seg *seg)
{
    return seg->opt.nsack && c->n_sent && !c->board;
}

/* It has one that it does not need any more. */
static inline bool xt_board_spare(const struct xt_conn *c)
{
    return c->board && !c->n_sent && !c->n_ooo;
}

/* Lends `b`, which stays with the connection until xt_board_back(). Lists move there. */
void xt_board_lend(struct xt_conn *c, struct xt_board *b);

/* Lists move back to the record; entries for which there is no room are lost: for a connection that ends, or where
 * xt_board_spare(). Returns the board, of which it must have one. */
struct xt_board *xt_board_back(struct xt_conn *c);

/* Copies as much of a board as the record `c` says is in use. */
void xt_board_copy(struct xt_board *to, const struct xt_board *from, const struct xt_conn *c);

#endif
