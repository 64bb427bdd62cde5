/* SPDX-License-Identifier: Apache-2.0
 * Lists of what is in flight and of what came out of order are short in the record, for a connection that is idle or loses
 * little. One that needs more is lent a board for as long as it does. Whoever drives the connection lends it, after each
 * segment in or out where xt_board_wanted(); without one the lists go on as they are and forget in the safe direction.
 *
 * A record holds no pointer: a board lies in the same mapping, and the record says how far away. So a copy of a record
 * must not be asked for its lists. */
#ifndef XT_TCP_BOARD_H
#define XT_TCP_BOARD_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/tcp/conn.h"

#define XT_SENT_BOARD 240
#define XT_OOO_BOARD 128

struct xt_board {
    struct xt_flight sent[XT_SENT_BOARD];
    struct xt_range ooo[XT_OOO_BOARD];
};

static inline struct xt_board *xt_board_of(const struct xt_conn *c)
{
    return c->board ? (struct xt_board *)(void *)((char *)(uintptr_t)c + c->board) : NULL;
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

/* It has none, and the next segment could fill a list of the record. */
bool xt_board_wanted(const struct xt_conn *c);

/* It has one that it does not need any more. */
bool xt_board_spare(const struct xt_conn *c);

/* Lends `b`, which stays with the connection until xt_board_back(). Lists move there. */
void xt_board_lend(struct xt_conn *c, struct xt_board *b);

/* Lists move back to the record; entries for which there is no room are lost: for a connection that ends, or where
 * xt_board_spare(). Returns the board, of which it must have one. */
struct xt_board *xt_board_back(struct xt_conn *c);

#endif
