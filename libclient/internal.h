/* SPDX-License-Identifier: Apache-2.0
 * What the files of libxtcp share. No call on a socket allocates: a context is one sparse mapping with room for all waiters. */
#ifndef XTCP_INTERNAL_H
#define XTCP_INTERNAL_H

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "libclient/xtcp.h"
#include "proto/xt_hog.h"
#include "proto/xt_rules.h"
#include "proto/xt_shm.h"

#define XTCP_API __attribute__((visibility("default")))
#define XTCP_WAITER_WORDS (XT_MAX_WAITERS / 64)
#define XTCP_FOREVER UINT64_MAX
#define XTCP_DESTINATIONS 16

struct xtcp_waiter {
    struct xtcp *x;
    struct xt_waiter *sh;
    xt_bitword *ready;
    _Atomic uint64_t *subs; /* sockets subscribed to, to subscribe again after a fork */
    uint32_t number;        /* the daemon's */
    uint32_t local;         /* place in xtcp.waiters */
    uint32_t epoch;         /* xtcp.epoch when it was made: an older one belongs to the parent */
    int fd;
    uint32_t owed;  /* wake-up bytes announced but not read yet */
    uint32_t start; /* xt_global.epoch as last seen: a new stack process writes one byte to every waiter */
    uint32_t async; /* XT_ASYNC: it stands for signals */
    uint32_t exclusive[XT_WAITER_EXCLUSIVE]; /* as the daemon is told, to tell it again after a fork */
    bool user;                               /* made by xtcp_waiter_new() */
    bool shared;                             /* its process and others use it: see share.c */
    uint8_t spin_score;                      /* 0 to 15: how well spinning has paid lately */
    uint8_t spin_skip;
    uint8_t call_score, call_skip; /* likewise, for answers to commands */
    struct xt_hog hog;
};

struct xtcp {
    int ctl, doorbell;
    uint32_t serial; /* tells contexts apart that had the same address */
    uint32_t epoch;  /* counts forks */
    uint32_t session, proc;
    uint32_t shards, shard; /* data-plane threads of the daemon; which one serves this session */
    _Atomic bool lost;      /* the control connection has ended */
    char rules[XT_RULES_MAX];
    char interface[IF_NAMESIZE];

    uint8_t *base;
    size_t size, own_size; /* of the region, of this mapping */
    struct xt_region *region;
    const struct xt_global *global;
    struct xt_slot *slots;
    struct xt_rare *rares;
    struct xt_waiter *boxes;
    xt_bitword *cmd, *dirty, *hold;
    uint32_t max_slots;

    _Atomic uint32_t ctl_lock;
    int child_ctl, child_proc; /* between fork_prepare and fork_parent or fork_child; -1: none */

    /* Sockets that this process knows it has. The hold bitmap may say more for a moment (a thread between two steps while another
     * forks); a child keeps what is in both. */
    _Atomic uint64_t *known;
    _Atomic uint32_t spare[XT_SPARES];           /* slots + 1 that this process holds for sockets to come; 0: none */
    _Atomic uint64_t reached[XTCP_DESTINATIONS]; /* end points to which a connect could begin lately; 0: none */
    _Atomic uint32_t refused;                    /* xt_region.refused when these began to be gathered */
    _Atomic uint64_t made[XTCP_WAITER_WORDS];    /* entries of `waiters` in use */
    _Atomic uint64_t idle[XTCP_WAITER_WORDS];    /* of these, threads' waiters that no thread has now */
    struct xtcp_waiter waiters[XT_MAX_WAITERS];
};

/* Counts the starts of the stack process. */
static inline uint32_t xtcp_start(const struct xtcp *x)
{
    return __atomic_load_n(&x->global->epoch, __ATOMIC_ACQUIRE);
}

/* ---- open.c ---- */

/* A connect that nobody waited for has begun from here on: the slot says what the daemon knows of it. */
void xtcp_settle_connect(struct xtcp *x, int s, struct xt_slot *sl);
/* In the child of a fork, which holds none of its parent's. */
void xtcp_spares_after_fork(struct xtcp *x);

/* ---- socket.c ---- */

void xtcp_know(struct xtcp *x, int s);
/* A socket that this process has and does not hold: its slot when the daemon has dropped this client, so that calls tell of that and
 * not of a bad descriptor; else NULL. */
struct xt_slot *xtcp_dropped_slot(const struct xtcp *x, int s);

/* The slot of a socket that this process holds, or NULL. */
static inline struct xt_slot *xtcp_slot(const struct xtcp *x, int s)
{
    if ((uint32_t)s >= x->max_slots)
        return NULL;
    if (!(atomic_load_explicit(&x->hold[(uint32_t)s / 64], memory_order_relaxed) & 1ULL << (s % 64)))
        return xtcp_dropped_slot(x, s);
    return &x->slots[s];
}

/* The daemon relays its bytes: the rings are nobody else's any more. */
static inline bool xtcp_is_relayed(struct xt_slot *sl)
{
    return atomic_load_explicit(&sl->tx_lock, memory_order_relaxed) == XT_LOCK_RELAY;
}

/* What few sockets have; all zeros where the socket has nothing of it. */
static inline struct xt_rare *xtcp_rare(const struct xtcp *x, const struct xt_slot *sl)
{
    static struct xt_rare none;
    return __builtin_expect(sl->more & XT_MORE_RARE, 0) ? &x->rares[sl - x->slots] : &none;
}

/* For writing. The bit comes first: should this process die before it is set, the next socket would find what was written. */
static inline struct xt_rare *xtcp_rare_own(const struct xtcp *x, struct xt_slot *sl)
{
    if (!(sl->more & XT_MORE_RARE))
        atomic_fetch_or(&sl->more, XT_MORE_RARE);
    return &x->rares[sl - x->slots];
}

/* Bits of slot.more. */
static inline void xtcp_more(struct xt_slot *sl, uint32_t bits, bool on)
{
    if (on)
        atomic_fetch_or(&sl->more, bits);
    else
        atomic_fetch_and(&sl->more, ~bits);
}

static inline bool xtcp_blocking(const struct xt_slot *sl, int flags)
{
    return !(flags & MSG_DONTWAIT) &&
           !(atomic_load_explicit(&sl->oflags, memory_order_relaxed) & 04000 /* O_NONBLOCK */);
}

struct xtcp_cmd;
int xtcp_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct xtcp_cmd *c);
/* Waits for the outcome of a connect that is under way; `early` is the answer when time is up. */
int xtcp_finish_connect(struct xtcp *x, int s, struct xt_slot *sl, int early);
int xtcp_to_sockaddr(const struct xt_endpoint *ep, struct sockaddr *sa, socklen_t *len);

/* Bytes of send ring that are free. */
static inline uint64_t xtcp_tx_free(struct xt_slot *sl)
{
    uint64_t used = atomic_load_explicit(&sl->tx_head, memory_order_relaxed) -
                    atomic_load_explicit(&sl->tx_tail, memory_order_acquire);
    uint32_t size = atomic_load_explicit(&sl->tx_size, memory_order_relaxed);
    return used > size ? 0 : size - used;
}

/* Bytes that may wait unsent (TCP_NOTSENT_LOWAT), and how many do. */
static inline uint64_t xtcp_notsent_limit(const struct xt_slot *sl)
{
    uint32_t kept = sl->notsent_lowat;
    return kept ? kept - 1 ? kept - 1 : UINT64_MAX : UINT64_MAX;
}
static inline uint64_t xtcp_notsent(struct xt_slot *sl)
{
    uint32_t sent = atomic_load_explicit(&sl->tx_sent, memory_order_acquire);
    return (uint32_t)atomic_load_explicit(&sl->tx_head, memory_order_relaxed) - sent;
}
/* May a send put more into the ring, however much room there is? */
static inline bool xtcp_may_queue(struct xt_slot *sl)
{
    return __builtin_expect(!sl->notsent_lowat, 1) || xtcp_notsent(sl) < xtcp_notsent_limit(sl);
}

/* The send ring is full, and its lock is held: asks for a larger one. True when there is one now. */
bool xtcp_tx_grow(struct xtcp *x, int s, struct xt_slot *sl);

/* Linux calls a socket writable when a third of its buffer is free and less than half of TCP_NOTSENT_LOWAT waits unsent. Asks for the wake-up when it is not. */
bool xtcp_tx_writable(struct xt_slot *sl);

/* Unread bytes that a plain receive would return, as of now. */
uint64_t xtcp_rx_avail(struct xt_slot *sl);

/* A connect has failed, and told so. */
static inline bool xtcp_is_failed(struct xt_slot *sl, uint32_t cond)
{
    return !(cond & XT_COND_CONNECTED) &&
           atomic_load_explicit(&sl->oflags, memory_order_relaxed) & (uint32_t)XT_OFLAG_FAILED;
}

/* A connect that failed, and tells so now, leaves no trace, as in Linux. Returns `err`. */
static inline int xtcp_failed(struct xt_slot *sl, int err)
{
    atomic_fetch_or(&sl->oflags, (uint32_t)XT_OFLAG_FAILED);
    return err;
}

/* Takes the pending error: positive errno, or 0. */
static inline int xtcp_take_error(struct xt_slot *sl)
{
    return atomic_load_explicit(&sl->so_error, memory_order_relaxed) ? atomic_exchange(&sl->so_error, 0) : 0;
}

/* ---- data.c ---- */

/* Puts at most `max` bytes into the ring. Returns how many, or a negative errno. */
ssize_t xtcp_put(struct xtcp *x, int s, struct xt_slot *sl, const struct iovec *iov, int n, size_t max);
/* As xtcp_sendv() when `done` bytes have been sent already; a negative `done` is the result. */
ssize_t xtcp_send_on(struct xtcp *x, int s, const struct iovec *iov, int n, int flags, ssize_t done);

/* ---- zerocopy.c ---- */

/* A send with MSG_ZEROCOPY has moved bytes. */
void xtcp_sent_zerocopy(struct xtcp *x, int s, struct xt_slot *sl);
bool xtcp_has_completions(const struct xtcp *x, struct xt_slot *sl);

/* ---- cancellation ---- */

/* To the end of the block this thread cannot be cancelled. Only xtcp_wait() and xtcp_pause() are cancellation points, and only where
 * they sleep: a thread never goes with a lock held or a command under way. */
#define XTCP_NO_CANCEL() int xtcp_cancel_state __attribute__((unused, cleanup(xtcp_cancel_again))) = xtcp_no_cancel()
static inline int xtcp_no_cancel(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}
static inline void xtcp_cancel_again(const int *before)
{
    pthread_setcancelstate(*before, NULL);
}

/* True when another process of the family than this one has the socket. */
bool xtcp_others_hold(const struct xtcp *x, int s);
/* poll's mask, whoever holds the socket. */
unsigned xtcp_slot_mask(struct xtcp *x, struct xt_slot *sl);

/* ---- call.c: commands and doorbells ---- */

struct xtcp_cmd {
    uint32_t op;
    int slot;
    struct xt_addr addr;
    uint16_t port;
    uint64_t arg[2];
    void *data; /* where an answer goes, or NULL */
    size_t data_len;
    const void *in; /* what goes along, at most what the mailbox holds, or NULL */
    size_t in_len;
};

/* Runs a command; waits for the answer whatever signals come. Returns its result or a negative errno. */
int xtcp_call(struct xtcp *x, struct xtcp_cmd *c);
/* As xtcp_call(), but waits for no answer. Who marks the socket later has it done before. `now`: it is urgent. */
int xtcp_tell(struct xtcp *x, const struct xtcp_cmd *c, bool now);
/* Wakes the data plane if it sleeps. Called after a mark was set (sequentially consistent). */
void xtcp_kick(struct xtcp *x);
/* The daemon shall look at the socket. */
void xtcp_mark(struct xtcp *x, int s);

/* ---- wait.c ---- */

/* Tells the daemon on which processor its thread is. Returns that, -1 when it is not known. */
int xtcp_waiter_here(struct xt_waiter *sh);

/* This thread's waiter, for the time of one call; never the same for two nested calls (signal handlers). */
int xtcp_waiter_get(struct xtcp *x, struct xtcp_waiter **out);
void xtcp_waiter_put(struct xtcp_waiter *w);
/* Sleeps until woken, until the daemon goes, a signal comes (-EINTR) or CLOCK_MONOTONIC passes `deadline` ns (-EAGAIN). */
int xtcp_waiter_sleep(struct xtcp_waiter *w, uint64_t deadline);
/* Sleeps until a signal comes (-EINTR) or the deadline (-EAGAIN), as a call that waits for what cannot happen. */
int xtcp_pause(uint64_t deadline);
/* Waits until ready(sl, arg) on the socket. Returns 0, -EINTR, -EAGAIN (deadline), -ECONNABORTED or what xtcp_waiter_get() says. */
int xtcp_wait(struct xtcp *x, int s, bool (*ready)(struct xt_slot *sl, void *arg), void *arg, uint64_t deadline);
uint64_t xtcp_now_ns(void);
/* The deadline for a time-out in ms; 0: never. */
uint64_t xtcp_deadline(uint32_t timeout_ms);
/* Before the first waiter of a context, after the last one. */
void xtcp_waiters_begin(struct xtcp *x);
void xtcp_waiters_end(struct xtcp *x);
/* One that is in nobody's use, for a waiter of another process; and its end. */
struct xtcp_waiter *xtcp_waiter_blank(struct xtcp *x);
void xtcp_waiter_drop(struct xtcp_waiter *w);
/* To be called before a waiter is used that a fork may have brought into this process. */
void xtcp_waiter_adopt(struct xtcp_waiter *w);
static inline void xtcp_waiter_fix(struct xtcp_waiter *w)
{
    if (__builtin_expect(w->epoch != w->x->epoch, 0))
        xtcp_waiter_adopt(w);
}
/* The child of a fork has none of its parent's threads, hence waiters. */
void xtcp_waiters_after_fork(struct xtcp *x);

/* ---- async.c: only for sockets with XT_OFLAG_SIGNALS ---- */

/* Makes room for more news. */
void xtcp_async_drain(struct xtcp *x, int s);
void xtcp_async_end(struct xtcp *x, int s);

/* ---- attach.c ---- */

/* One request with its reply on the control connection. `send_fd` -1: none; `got_fd` NULL: none expected, `*got_fd` -1: none
 * came. Returns the number under `key` in the reply, or a negative errno. */
struct xt_msg_out;
int xtcp_request_msg(struct xtcp *x, struct xt_msg_out *out, const char *key, int send_fd, int *got_fd);
int xtcp_request(struct xtcp *x, const char *op, const char *key, int send_fd, int *got_fd);
/* A command for an address. When that is in use: once more when the daemon knows who has died meanwhile. */
int xtcp_call_settled(struct xtcp *x, const struct xtcp_cmd *c);
/* Moves a descriptor to a high number, out of the way of close-all loops and select(). */
int xtcp_fd_high(int fd);
void xtcp_comm(char out[24]);

/* Makes this process, a fork, the daemon's `proc` with control connection `ctl`. */
int xtcp_become(struct xtcp *x, int ctl, uint32_t proc);

/* ---- lock.c ---- */

#define XTCP_NESTED 1

/* Locks one direction of a socket for this thread. 0; XTCP_NESTED in a signal handler that has interrupted this very thread with the
 * lock: it may do what is done by compare-and-swap, for the interrupted call begins anew then, and does not unlock; -EAGAIN: not even
 * that; -ECONNABORTED when its owner died together with the daemon; -EREMOTE when the daemon relays the socket's bytes. */
int xtcp_lock(struct xtcp *x, _Atomic uint32_t *lock);
/* While this thread has it, handlers get -EAGAIN. */
void xtcp_lock_alone(const _Atomic uint32_t *lock);
void xtcp_unlock(_Atomic uint32_t *lock);

#endif
