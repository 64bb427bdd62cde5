/* SPDX-License-Identifier: Apache-2.0
 * Sets in sets, and sets in poll(). The kernel serves a set in a set until xtcp sockets come into the inner one; from then on the
 * outer one has an item for it here, and the kernel's inner object as one of the library's own descriptors that end its sleep. The waiters
 * of a set that is held so are always prepared: their news make the inner object readable.
 * Who holds the locks of more than one set holds the lock of this file first; then all others follow in any order. */
#ifndef XP_EPOLL_NEST_H
#define XP_EPOLL_NEST_H

#include "libclient/preload/epoll_set.h"

#define XP_TAG_NEST (2 * XP_CTXS) /* + 1 + descriptor, after xp_set.tag: the data of a set in the kernel's set */

/* ---- epoll_life.c ---- */
struct xp_set *xp_set_at(unsigned i);
struct xp_set *xp_set_of(uint64_t w);
struct xp_set *xp_set_make(int epfd);
void xp_set_kick(struct xp_set *s);
int xp_set_wire(struct xp_set *s, int epfd);
/* The kernel's set is to tell of a context's waiter and end, or of its end. */
int xp_set_wire_context(struct xp_set *s, int epfd, unsigned ctx);
int xp_set_wire_control(struct xp_set *s, int epfd, unsigned ctx);
int xp_set_adopt(struct xp_set *s, int epfd);
int xp_set_fd(const struct xp_set *s);
bool xp_set_prepare(const struct xp_set *s);
/* Its waiter of context `i`, unless that daemon has gone. */
struct xtcp_waiter *xp_set_waiter(const struct xp_set *s, unsigned i);
/* Gives it a waiter of context `ctx`, with its lock held; and takes all away. */
int xp_set_watch(struct xp_set *s, int epfd, unsigned ctx);
void xp_set_drop_waiters(struct xp_set *s);
/* The kernel's half of the member `fd` goes into the kernel's set, and out of it. */
int xp_set_begin_half(struct xp_set *s, int epfd, int fd);
void xp_set_end_half(struct xp_set *s, int fd);

/* ---- epoll_nest.c ---- */
void xp_nest_lock(void);
void xp_nest_unlock(void);
void xp_nest_unlock_child(void);
/* epoll_ctl of a set in a set. -errno. */
int xp_nest_ctl(int epfd, int op, int fd, struct epoll_event *ev);
/* `s` may have had its first xtcp socket: sets around it serve it here from now on. */
void xp_nest_watched(struct xp_set *s);
/* Somebody else than the thread in epoll_wait must learn of its news. */
static inline bool xp_set_held(struct xp_set *s)
{
    return s->l->parents || s->l->pollers;
}
/* Takes the news and leaves the waiters prepared. With both locks. */
void xp_set_refresh(struct xp_set *s);
/* After that, with the lock of this file only, which it gives back: tells the sets around. */
void xp_nest_tell(struct xp_set *s);

#endif
