/* SPDX-License-Identifier: Apache-2.0
 * The xtcp sockets of one epoll set. The kernel's epoll object behind the same descriptor keeps everything else.
 * Items are found by descriptor (epoll_ctl) and by socket (news). An item is on the ready list from the moment something may
 * be true of it; collecting computes its mask and, when level-triggered and true, leaves it there, as the kernel does.
 * No function locks but those that say so: callers have xp_set_lock(). */
#ifndef XP_EPOLL_SET_H
#define XP_EPOLL_SET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "libclient/preload/table.h"
#include "libclient/xtcp.h"

struct xp_set;

struct xp_item {
    struct xp_item *same_fd;      /* next item of the same number; in a shared list only */
    struct xp_item *same_sock;    /* next item of the same socket; or, of a set served here, of `nests` */
    struct xp_item *next_half;    /* next item of xp_list.halves */
    struct xp_item *next, **link; /* ready list; link is NULL when not on it */
    int fd;                       /* -1: closed, but a copy of it is not */
    int half;                     /* a copy of the kernel's half, in the kernel's set as the item is here; -1: none */
    uint64_t word; /* of the descriptor table: an xtcp socket, a set, or undecided (then the kernel's set has it) */
    uint64_t who;  /* in a shared list: the life of the socket's number, the kernel's cookie, or the tag of a set */
    uint64_t told; /* edge-triggered: the history that what was told last goes up to */
    struct xp_set *nest; /* it is that set; what a process sees of a shared list: xp_set_inner() */
    bool taken;          /* and xtcp sockets are in it: it is served here */
    bool disarmed;       /* EPOLLONESHOT has fired */
    _Atomic bool used;   /* in a shared list: it counts, whatever became of the process that was at it */
    uint32_t events;
    epoll_data_t data;
};

/* The interest list and what goes with it: a process's own until it forks, then one for all that have the set. */
struct xp_list {
    unsigned nxtcp, nundecided;
    struct xp_item *halves; /* the members that have one */
    struct xp_item **by_fd, **by_sock;
    uint32_t fd_cap, sock_cap;
    struct xp_item *ready, **ready_tail;
    struct xp_item *spare;    /* former members, to be used again */
    bool watched;             /* there is a waiter */
    unsigned sleepers;        /* threads in epoll_wait; too many when some were killed there */
    struct xp_item *nests;    /* the sets in it that are served here */
    _Atomic unsigned parents; /* items of other sets that are this one */
    _Atomic unsigned pollers; /* threads that sleep on it in poll(); likewise */
    _Atomic bool exclusive;   /* there are members that wait exclusively */
    bool untold;              /* it had news that not all parents know of */
    bool has_kernel;          /* the kernel's set may hold descriptors of the program */
    int kick;                 /* an eventfd to wake sleepers with; with the first waiter */
    /* Data in the kernel's set, of kick; + 1, + 2: of context 0's waiter and control descriptor; and so on; then of sets. */
    uint64_t tag;
    struct xp_shared *shared; /* NULL: it is not */
};

struct xp_set {
    struct xp_list *l, own;
    pthread_mutex_t lock;
    bool busy;         /* whoever forks just now is a signal handler that has interrupted somebody who is at it */
    unsigned depth;    /* how often its thread has locked the shared list */
    unsigned life;     /* counts the uses of this memory */
    unsigned fds;      /* descriptors of it in this process */
    unsigned fork_gen; /* xp_fork_gen of the process that the waiter and the kernel's object belong to */
    unsigned naps;     /* threads of this process in epoll_wait */
    unsigned polls;    /* and in poll() */
    struct xtcp_waiter *w[XP_CTXS]; /* by context; NULL until its first socket comes */
    uint32_t turn[XP_CTXS];         /* of a shared list: which of its waiters that is; 0: none */
    bool mine[XP_CTXS];             /* and this process has made it */
    bool relies;                    /* it, or a set in it, waits by another process's waiter */
    bool ticked;                    /* and has slept for long so */
    unsigned calls;                 /* since the kernel's set was looked at */
    int64_t looked_ns;              /* when that was */
    uint64_t moved;                 /* word of a member that was found to be relayed, 0: none */
};

/* ---- epoll_half.c: members with a kernel's half; `epfd` is the set's own, and its kernel object this process's (see
 * set_adopt()) ---- */

/* Puts the half of a member into the kernel's set, if it has one and that listens. 0 or -errno. */
int xp_set_half_add(struct xp_set *s, int epfd, struct xp_item *it);
/* After the item's events have changed. */
void xp_set_half_mod(const struct xp_set *s, int epfd, const struct xp_item *it);
/* Takes it out (`epfd` -1: only here). */
void xp_set_half_del(struct xp_set *s, int epfd, struct xp_item *it);
/* Puts all of them into a fresh kernel object. */
void xp_set_halves_again(const struct xp_set *s, int epfd);
/* Locks. `evs` are `k` events of the kernel's set, then others up to `n`: one event for both halves of a member. The number of events then. */
int xp_set_halves_merge(struct xp_set *s, int epfd, struct epoll_event *evs, int k, int n);

/* ---- epoll_set.c ---- */

void xp_set_init(struct xp_set *s);
void xp_set_lock_init(struct xp_set *s);
uint64_t xp_set_new_tag(const struct xp_set *s);
/* Forgets all items. */
void xp_set_clear(struct xp_set *s);

struct xp_item *xp_set_find(const struct xp_set *s, int fd);
/* 0, -EEXIST, -ENOMEM. The item starts on the ready list, so that what is true already is told. */
int xp_set_add(struct xp_set *s, int fd, uint64_t word, const struct epoll_event *ev);
/* 0, -ENOENT, or -EINVAL of an EPOLLEXCLUSIVE one. Arms again and tells what is true already. */
int xp_set_mod(struct xp_set *s, int fd, const struct epoll_event *ev);
int xp_set_del(struct xp_set *s, int fd);
/* Takes out the very item. */
void xp_set_remove(struct xp_set *s, struct xp_item *it);
/* Puts an item that is filled where it is found by. 0, -ENOMEM. */
int xp_set_link(struct xp_set *s, struct xp_item *it);
struct xp_item *xp_set_item(struct xp_set *s);
bool xp_item_is_xtcp(const struct xp_item *it);
bool xp_item_is_set(const struct xp_item *it);
/* The descriptor of an xtcp socket is closed, but copies are left: the item stays, without a number. 0 or -ENOENT. */
int xp_set_orphan(struct xp_set *s, int fd);
/* The last copy is closed; `epfd` as for halves. */
void xp_set_gone(struct xp_set *s, int epfd, uint64_t word);
/* An undecided item becomes the xtcp socket of `word`. 0, -ENOENT, -ENOMEM. */
int xp_set_move(struct xp_set *s, int fd, uint64_t word);
/* The waiters of all contexts that the socket is in are to tell of it. */
void xp_set_subscribe(struct xp_set *s, uint64_t word);

/* An item that is a set becomes one that is served here. */
void xp_set_take(struct xp_set *s, struct xp_item *it);
/* Nothing is, as far as is known. */
void xp_set_calm(struct xp_set *s, struct xp_item *it);
/* Something may be true of the item. */
void xp_set_touch(struct xp_set *s, struct xp_item *it);

/* Takes the waiters' news; true when there was any. */
bool xp_set_news(struct xp_set *s);
/* Is anything true of any item? Takes nothing. */
bool xp_set_any(struct xp_set *s);
/* What is true of the set `inner`, an item of `s`: in epoll_nest.c. */
uint32_t xp_set_nested_mask(struct xp_set *s, const struct xp_item *it);
/* Others than threads in epoll_wait wait for it from now on: its members no longer wait exclusively, for news of theirs is not taken by
 * whom it wakes. Locks. */
void xp_set_not_exclusive(struct xp_set *s);
/* Puts every xtcp socket on the ready list: after a fork or when the daemon has gone. But for those whose edges were all taken. */
void xp_set_all_ready(struct xp_set *s);
/* Subscribes every xtcp socket of context `ctx` with its new waiter. */
void xp_set_use_waiter(struct xp_set *s, struct xtcp_waiter *w, unsigned ctx);
/* Fills at most `max` events; each item at most once. Stops at a socket that is relayed since: s->moved. */
int xp_set_collect(struct xp_set *s, struct epoll_event *evs, int max);

#endif
