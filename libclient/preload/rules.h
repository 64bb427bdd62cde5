/* SPDX-License-Identifier: Apache-2.0
 * Which TCP sockets xtcp takes and which stay with the kernel. */
#ifndef XP_RULES_H
#define XP_RULES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Ports that always stay in the kernel: a bit for each. */
struct xp_ports {
    uint64_t bit[65536 / 64];
};

/* Parses "22,8000-8100". False at the first mistake; what came before it is kept. */
bool xp_ports_parse(struct xp_ports *p, const char *text);
bool xp_ports_has(const struct xp_ports *p, uint16_t port);

/* The IPv4 form of AF_INET and IPv4-mapped AF_INET6 addresses; with `any6`, "::" is 0.0.0.0. False for all else. */
bool xp_addr_v4(const struct sockaddr *sa, socklen_t len, bool any6, struct sockaddr_in *out);
/* The opposite way, as accept() and getsockname() hand it out: AF_INET or, with `inet6`, IPv4-mapped; *alen as theirs. */
void xp_addr_out(const struct sockaddr_in *in, bool inet6, struct sockaddr *sa, socklen_t *alen);

/* True: xtcp takes it. `own`: the daemon's address. */
bool xp_rule_bind(const struct xp_ports *kernel, const struct sockaddr_in *addr, struct in_addr own);
bool xp_rule_connect(const struct xp_ports *kernel, const struct sockaddr_in *addr);

#endif
