/* SPDX-License-Identifier: Apache-2.0
 * Undecided sockets without a kernel socket: socket() gives a kept number, and what is set of it until it connects is in its
 * word. One that becomes xtcp's needs no call of the kernel's. Whatever else is done to it finds a kernel socket beneath it,
 * made at that moment (XP_F_CLAIM). */
#ifndef XP_BARE_H
#define XP_BARE_H

#include <stdbool.h>
#include <stdint.h>

/* One for socket(AF_INET, type, 0), or -1: there is to be a kernel socket. */
int xp_bare_socket(int type);
/* Puts a kernel socket beneath it. */
void xp_bare_make(int fd);
/* Beneath all, or all that an executed program will have. */
void xp_bare_make_all(bool inherited);
/* fcntl() that needs none: false when it does. */
bool xp_bare_fcntl(int fd, uint64_t w, int cmd, intptr_t arg, int *rc);
/* O_NONBLOCK on or off. False: it is bare no more. */
bool xp_bare_set_nonblock(int fd, bool on);

#endif
