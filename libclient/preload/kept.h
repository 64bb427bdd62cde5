/* SPDX-License-Identifier: Apache-2.0
 * Numbers of closed xtcp sockets that are kept for the next ones. Beneath them is what xtcp sockets have anyway, a copy of the
 * one placeholder, so a close and an accept that follows it need no call of the kernel's. For the program such a number is
 * closed: the first call on it gives it up (xp_look() in preload.h), and the kernel answers EBADF.
 *
 * A kept number has the word XP_KEPT, and belongs to whoever takes that word away; beside it are marks that say where to
 * look. None of this takes a lock, for close() and accept() are called by signal handlers, too. */
#ifndef XP_KEPT_H
#define XP_KEPT_H

#include <stdbool.h>
#include <stdint.h>

/* The socket of word `w` has been closed, and the table knows `fd` no more: true when it is kept, false when the kernel's
 * descriptor is to be closed. */
bool xp_keep(int fd, uint64_t w);
/* The lowest of them, a placeholder that the table does not know, or -1. */
int xp_kept_take(bool cloexec);
/* Closes the descriptor, if its number is kept. */
void xp_kept_close(int fd);
/* Its word has been taken by xp_take(). */
void xp_kept_taken(int fd);
/* A descriptor is about to be made, at `least` or above, that is to have the lowest free number: gives up one that is kept. */
void xp_kept_make_room(int least);
bool xp_kept_any(void);
/* Gives up all: true when there were some. */
bool xp_kept_drop(void);
/* The kernel has chosen this number, so those below are in use: are they too many to keep some? */
void xp_kept_see(int fd);
/* RLIMIT_NOFILE has changed. */
void xp_kept_limit(void);
/* Keeps none from now on: there will be threads or processes that share memory, but not the descriptors, or the other way round. */
void xp_kept_end(void);

#endif
