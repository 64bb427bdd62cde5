/* SPDX-License-Identifier: Apache-2.0
 * A set over fork. On Linux the set is one object of all processes that have it; so its list moves, when its process forks, into memory
 * that parent and child share, at one address for all who come from them. The kernel's object is theirs together anyhow. The list
 * has a lock that a killed process does not keep, and can be made again from its items alone (xp_shared_mend). Members are the
 * family's sockets: whoever waits sees what is true of one, also when only others hold it. They wait together by one waiter of each
 * context, which belongs to the process that has made it; when that process goes, another makes one. */
#ifndef XP_EPOLL_SHARE_H
#define XP_EPOLL_SHARE_H

#include "libclient/preload/epoll_set.h"

#define XP_TICK_NS 100000000 /* who waits by another process's waiter looks this often whether that process lives */

struct xp_shared_waiter {
    struct xtcp_waiter_name name;
    uint32_t turn; /* counts the waiters of this context; 0: none yet */
};

struct xp_shared {
    struct xp_list list;
    _Atomic uint32_t lock; /* 0, or who has it; bit 31: somebody waits (futex) */
    _Atomic uint32_t lost; /* contexts whose daemon has gone, by bit */
    unsigned nctx;         /* contexts of the process that shared it first: all others have them too */
    unsigned nitems;
    struct xp_shared_waiter w[XP_CTXS];
    struct xp_item *by_fd[XP_FDS];
    struct xp_item *by_sock[XT_BITMAP_MAX];
    struct xp_item items[];
};

/* ---- epoll_lock.c ---- */

/* Locks the set, and its list when that is shared. A signal handler that has interrupted this thread with it gets it too. */
void xp_set_lock(struct xp_set *s);
/* The same, but false and nothing locked when another process keeps it: who forks and executes in a signal handler must not wait for what
 * the handler has interrupted. */
bool xp_set_lock_soon(struct xp_set *s);
void xp_set_unlock(struct xp_set *s);
/* Before a list is shared for the first time. -errno. */
int xp_shared_begin(void);
/* Of the list alone. True when who had it has died with it. */
bool xp_shared_lock(struct xp_shared *sh);
void xp_shared_unlock(struct xp_shared *sh);

/* ---- epoll_share.c: with the set locked ---- */

/* Shares the list of a set with the children of this process, or leaves all as it is. */
void xp_set_share(struct xp_set *s, int epfd);
/* The end of that for this process, which goes on with a copy, and with a kernel's object of its own. -errno. */
int xp_set_leave(struct xp_set *s, int epfd);
/* Gives the memory back, when no thread of this process is in the set. */
void xp_set_unmap(struct xp_set *s);
/* Makes the list again from its items, whatever somebody was at. */
void xp_shared_mend(struct xp_shared *sh);

/* Is it the member that this process has under `fd`? */
bool xp_shared_is(const struct xp_set *s, const struct xp_item *it, int fd);
/* Fills what it is known by to all. */
void xp_shared_name(const struct xp_set *s, struct xp_item *it);
struct xp_item *xp_shared_item(struct xp_list *l);
/* XTCP_GONE: no process holds it any more. */
uint32_t xp_shared_mask(const struct xp_item *it);
/* The set that an item is; NULL: this process does not have it. */
struct xp_set *xp_set_inner(const struct xp_set *s, const struct xp_item *it);

/* ---- epoll_turn.c: the waiters; with the set locked ---- */

/* Before they are asked: brings this process's view of them up to date, and takes the place of those that have died. */
void xp_shared_tend(struct xp_set *s);
/* Sees to it that there is one of context `ctx`. -errno. */
int xp_shared_watch(struct xp_set *s, unsigned ctx);
/* In the child of a fork. */
void xp_shared_child(struct xp_set *s);
/* This process has no descriptor of the set any more; `epfd` is the last. */
void xp_shared_close(struct xp_set *s, int epfd);
/* How long it may sleep by another process's waiter. */
static inline const struct timespec *xp_shared_patience(const struct timespec *left)
{
    static const struct timespec tick = {.tv_nsec = XP_TICK_NS};
    return left && left->tv_sec == 0 && left->tv_nsec < XP_TICK_NS ? left : &tick;
}

#endif
