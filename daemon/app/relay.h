/* SPDX-License-Identifier: Apache-2.0
 * The daemon as a client of a session: it holds sockets and moves bytes through their rings by the same rules as a program
 * does, for holders that have only a kernel descriptor. All functions are [ctl]; what the clients can write is checked, and
 * nothing here waits. */
#ifndef XT_APP_RELAY_H
#define XT_APP_RELAY_H

#include <sys/uio.h>

#include "daemon/app/app.h"

struct xt_pexport;

struct xt_relay {
    struct xt_session *session;
    uint32_t proc, waiter;
    int fd; /* readable when there is news */
};

/* Takes a proc and a waiter of the session. Returns 0, -ENOBUFS, -EMFILE; -EBUSY when the session has a relay already. */
int xt_relay_open(struct xt_relay *r, struct xt_session *s);
/* Takes up the one that another stack process has left. Returns 0, -ENOENT when there is none, -ENOTCONN when its waiter was not kept,
 * -EMFILE. */
int xt_relay_reopen(struct xt_relay *r, struct xt_session *s);
/* Is `proc` of the session its relay? */
bool xt_relay_is_proc(const struct xt_session *s, uint32_t proc);
/* Ends it: what it still holds is released. The session must not have ended. */
void xt_relay_close(struct xt_relay *r);
/* Closes the descriptor only: the session has ended. */
void xt_relay_forget(struct xt_relay *r);

/* Calls fn for each slot with news (a slot number below the session's max_slots; any other property is a client's word). True:
 * there is more, call again. */
bool xt_relay_news(struct xt_relay *r, void (*fn)(void *arg, uint32_t slot), void *arg);

/* A free entry of the ledger, or NULL; and those in use, one after the other from *cursor on (0 at first). */
struct xt_pexport *xt_relay_entry(const struct xt_relay *r);
struct xt_pexport *xt_relay_next_entry(const struct xt_relay *r, uint32_t *cursor);
/* Releases what the relay holds without an entry: its predecessor died between the two. */
void xt_relay_release_rest(struct xt_relay *r);

/* True when the client's proc holds the slot. */
bool xt_relay_client_holds(const struct xt_session *s, uint32_t proc, uint32_t slot);
/* Holds a slot that a client's proc holds just now, and subscribes to its news. */
void xt_relay_hold(struct xt_relay *r, uint32_t slot);
void xt_relay_release(struct xt_relay *r, uint32_t slot);
bool xt_relay_holds(const struct xt_relay *r, uint32_t slot);
/* True when no other process holds it. */
bool xt_relay_alone(const struct xt_relay *r, uint32_t slot);
/* Makes `proc` of the same session a holder as well. */
void xt_relay_share(const struct xt_relay *r, uint32_t proc, uint32_t slot);

/* Takes the rings from the processes that use them. False: one of them is in the middle of a copy; try again. `by_force`: there are no
 * such processes any more. */
bool xt_relay_take(struct xt_relay *r, uint32_t slot, bool by_force);

/* XT_COND_*, and the slot's end points, as the slot shows them. */
uint32_t xt_relay_cond(const struct xt_relay *r, uint32_t slot);
void xt_relay_names(const struct xt_relay *r, uint32_t slot, struct xt_endpoint *local, struct xt_endpoint *remote);
bool xt_relay_nonblock(const struct xt_relay *r, uint32_t slot);

/* Unread bytes, free room: up to two pieces; returns how many bytes, or -EPROTO when the slot says the impossible. When the daemon has
 * changed the receive ring there may be more unread bytes than those. */
ssize_t xt_relay_unread(struct xt_relay *r, uint32_t slot, struct iovec iov[2]);
ssize_t xt_relay_room(struct xt_relay *r, uint32_t slot, struct iovec iov[2]);
void xt_relay_consumed(struct xt_relay *r, uint32_t slot, size_t n);
/* A move of bytes between those pieces and a descriptor: begin, recvmmsg() or sendmmsg() of e->h, end. A successor does the end once
 * more when this process dies before it. `way` is XT_MOVE_IN or XT_MOVE_OUT. */
void xt_relay_move_begin(struct xt_relay *r, struct xt_pexport *e, uint8_t way, const struct iovec iov[2]);
void xt_relay_move_end(struct xt_relay *r, struct xt_pexport *e);
/* Asks for news when there is room again; then look once more. */
void xt_relay_want_room(struct xt_relay *r, uint32_t slot);

/* Runs a command (XT_OP_*) without waiting for its end. False: the last one has not been answered yet; news will come. */
bool xt_relay_command(struct xt_relay *r, uint32_t op, uint32_t slot, uint64_t arg);

/* What a client that is gone has left in the shared words may be anything, so that no news comes: holds the socket again and has the
 * data plane write the words anew. To be called until it helps. */
void xt_relay_again(struct xt_relay *r, uint32_t slot);

#endif
