/* SPDX-License-Identifier: Apache-2.0
 * One poll(): poll.c looks, poll_sleep.c sleeps. */
#ifndef XP_POLL_JOB_H
#define XP_POLL_JOB_H

#include "libclient/preload/preload.h"

#define XP_JOB_EXTRA (2 * XP_CTXS)
#define XP_JOB_HELD 16 /* sets to sleep on in one poll */

struct xp_job {
    struct pollfd *fds; /* the caller's */
    struct pollfd
        *kfds; /* for the kernel: n entries with xtcp sockets blanked or their halves, then waiters, controls */
    nfds_t n, nkernel, nhalves;
    bool in[XP_CTXS];                 /* the living contexts of these sockets */
    struct xtcp_waiter *w[XP_CTXS];   /* and what to sleep on for them */
    nfds_t extra;                     /* entries of kfds for that */
    struct xp_set *held[XP_JOB_HELD]; /* sets among the descriptors, for the time of a sleep */
    unsigned nheld, fork_gen;         /* by the process of that fork_gen */
    int cancel;                       /* whether the thread may be cancelled, as it came */
    struct pollfd *heap;              /* kfds when they are many, or NULL */
    bool sets;                        /* there are some, perhaps without xtcp sockets */
    bool tick;                        /* a waiter is missing */
    bool relies;                      /* a set waits by another process's waiter */
    bool nested;                      /* a signal handler's: its waiters are its own */
    bool moved;                       /* one of the sockets is relayed since: it is the kernel's to poll */
};

/* ---- poll.c ---- */
/* What is true of the sockets and sets that are served here. How many are ready. */
int xp_job_look(struct xp_job *j);
/* Asks the kernel about its share, and `extra` descriptors of ours, and copies what it says. Returns how many of these are ready, or
 * -errno. */
int xp_job_look_kernel(struct xp_job *j, nfds_t extra, const struct timespec *timeout, const sigset_t *mask);

/* ---- poll_sleep.c ---- */
/* Sleeps until something is ready, or `end` comes: how many are, 0 or -errno; -EREMOTE: see `moved`. A cancellation point. */
int xp_job_sleep(struct xp_job *j, int64_t end, const sigset_t *mask);

#endif
