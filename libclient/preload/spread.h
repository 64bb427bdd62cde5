/* SPDX-License-Identifier: Apache-2.0
 * Listeners that are in all shards of the daemon. A socket that listens has siblings, in sessions of the other shards: of the same port,
 * with the same options, each with a backlog of its own, under numbers of other contexts, and without a descriptor. They begin to listen
 * when the first connection is accepted: who only listens, and leaves the rest to a program that it executes, has all connections in the
 * one queue that such a program knows. When a program joins the listener later, xtcpd ends their listening, and what is in their queues
 * stays for who knows of them.
 * A listener that another process holds already when it begins to listen has none, nor has one of a process that has shared an epoll
 * set: all who may wait for it have to know them. */
#ifndef XP_SPREAD_H
#define XP_SPREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "libclient/preload/table.h"

/* There is such a listener, or was: with one shard there never is. */
extern bool xp_spreading;

/* After listen() of a socket that did not listen before, and of one that did. */
void xp_spread_begin(uint64_t w, int backlog);
void xp_spread_again(uint64_t w, int backlog);
bool xp_is_spread(uint64_t w);
/* This process's hold on the siblings ends; and, for all that know them, their listening. */
void xp_spread_close(uint64_t w);
void xp_spread_end(uint64_t w);
void xp_spread_setsockopt(uint64_t w, int level, int name, const void *val, socklen_t len);
/* accept4() of any of them, by `accept_xtcp`, which does not wait. -errno. */
int xp_spread_accept(uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags,
                     int (*accept_xtcp)(uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags));

/* The contexts that socket `w` is in: its own, then its siblings'; -1: no more. And its number in context `ctx`. */
int xp_spread_next(uint64_t w, int ctx);
int xp_spread_sock(uint64_t w, int ctx);
#define XP_EACH_CTX(ctx, w) \
    for (int ctx = (int)xp_ctxno(w); ctx >= 0; ctx = xp_spreading ? xp_spread_next((w), ctx) : -1)
static inline int xp_sock_in(uint64_t w, int ctx)
{
    return (int)xp_ctxno(w) == ctx ? (int)xp_value(w) : xp_spread_sock(w, ctx);
}
/* The socket that one of a context is a sibling of, or 0. */
uint64_t xp_spread_main(unsigned ctx, uint32_t sock);
/* What poll() says of the siblings, and their part of xtcp_history(). */
unsigned xp_spread_mask(uint64_t w);
uint64_t xp_spread_history(uint64_t w);

#endif
