/* SPDX-License-Identifier: Apache-2.0
 * Sockets bound to the wildcard address are bound twice: at xtcp's address and, by the kernel's half, at the kernel's. The half is
 * the socket that the program made, under a number of the library's own; it never blocks. A socket with one has XP_F_BOTH in
 * its words; each process has a half of its own, as it has descriptors. */
#ifndef XP_BOTH_H
#define XP_BOTH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "libclient/preload/table.h"

/* The kernel's half, or -1. */
int xp_half(uint64_t w);
/* A half of the kernel's socket `fd`, for xp_half_put(). -errno. */
int xp_half_new(int fd);
/* Gives the socket of `w` its half, unless it has one already (then this one is closed). */
void xp_half_put(uint64_t w, int half);
/* The socket goes on without its half; with `w`'s last descriptor, or when it connects. */
void xp_half_close(uint64_t w);
void xp_half_drop(uint64_t w);
/* The half is all that is left of the socket: its descriptors are the kernel's from now on. */
void xp_half_only(uint64_t w);
bool xp_half_listens(uint64_t w);
void xp_half_shutdown(uint64_t w, int how);
/* As connect() to no family: it listens no more. */
void xp_half_disconnect(uint64_t w);
/* listen() of an xtcp socket, with a half or without. -errno. */
int xp_listen(uint64_t w, int backlog);
/* Of one with a half; and accept4() by `accept_xtcp`, which does not wait, for one that has a half or siblings. -errno. */
int xp_half_listen(uint64_t w, int backlog);
int xp_half_accept(int fd, uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags,
                   int (*accept_xtcp)(uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags));

#endif
