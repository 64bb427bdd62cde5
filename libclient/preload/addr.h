/* SPDX-License-Identifier: Apache-2.0
 * Socket addresses as programs give and take them. */
#ifndef XP_ADDR_H
#define XP_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

/* The IPv4 form of AF_INET and IPv4-mapped AF_INET6 addresses; with `any6`, "::" is 0.0.0.0. False for all else. */
bool xp_addr_v4(const struct sockaddr *sa, socklen_t len, bool any6, struct sockaddr_in *out);
/* The opposite way, as accept() and getsockname() hand it out: AF_INET or, with `inet6`, IPv4-mapped; *alen as theirs. */
void xp_addr_out(const struct sockaddr_in *in, bool inet6, struct sockaddr *sa, socklen_t *alen);

#endif
