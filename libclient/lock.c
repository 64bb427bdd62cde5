/* SPDX-License-Identifier: Apache-2.0
 * Locks in shared memory, held for the time of a copy. A lock names the process that has it; the daemon frees the locks of a
 * process that dies. */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libclient/internal.h"

#define WAITERS 0x80000000u
#define TRIES 100

/* Jumps (longjmp) that this thread has made. */
static __thread volatile uint32_t jumps __attribute__((tls_model("initial-exec")));

/* Locks that this thread holds, or is about to take. Who finds one taken by itself is a signal handler that has interrupted the
 * holder, unless a jump out of a handler has left the holder since. */
static __thread struct {
    _Atomic uint32_t *volatile lock;
    volatile uint32_t jumps;
    volatile bool alone; /* not even a handler may use what the lock guards */
} mine[4] __attribute__((tls_model("initial-exec")));

XTCP_API void xtcp_jumped(void)
{
    jumps++;
}

XTCP_API uint32_t xtcp_jumps(void)
{
    return jumps;
}

/* What this thread writes into a lock. */
static uint32_t owner(const struct xtcp *x)
{
    static _Atomic uint32_t threads;
    static __thread uint32_t tag __attribute__((tls_model("initial-exec")));
    if (!tag)
        tag = XT_LOCK_THREAD(atomic_fetch_add(&threads, 1) + 1);
    return tag | (x->proc + 1);
}

/* Forgets what was left by a jump. */
static void clean(void)
{
    for (unsigned i = 0; i < 4; i++)
        if (mine[i].jumps != jumps)
            mine[i].lock = NULL;
}

static bool remember(_Atomic uint32_t *lock)
{
    for (unsigned i = 0; i < 4; i++)
        if (!mine[i].lock) {
            mine[i].lock = lock;
            mine[i].jumps = jumps;
            mine[i].alone = false;
            return true;
        }
    return false;
}

/* The latest: what a handler forgets is what it remembered. */
static void forget(const _Atomic uint32_t *lock)
{
    for (unsigned i = 4; i-- > 0;)
        if (mine[i].lock == lock) {
            mine[i].lock = NULL;
            return;
        }
}

static bool try(_Atomic uint32_t *lock, uint32_t value)
{
    uint32_t expect = 0;
    return atomic_compare_exchange_strong_explicit(lock, &expect, value, memory_order_acquire, memory_order_relaxed);
}

/* Sleeps while others have it; now and then looks whether the daemon still lives, which alone can free a dead owner's lock. */
static int lock_slowly(struct xtcp *x, _Atomic uint32_t *lock, uint32_t me)
{
    const struct timespec patience = {.tv_nsec = 100000000};
    for (unsigned n = 0; n < TRIES; n++) {
        if (try(lock, me))
            return 0;
        __builtin_ia32_pause();
    }
    for (;;) {
        uint32_t v = atomic_load_explicit(lock, memory_order_relaxed);
        if (v == XT_LOCK_RELAY)
            return -EREMOTE;
        if (v == 0) {
            if (try(lock, me | WAITERS)) /* others may still sleep */
                return 0;
            continue;
        }
        if (!(v & WAITERS) && !atomic_compare_exchange_strong(lock, &v, v | WAITERS))
            continue;
        if (syscall(SYS_futex, lock, FUTEX_WAIT, v | WAITERS, &patience, NULL, 0) < 0 && errno == ETIMEDOUT &&
            !xtcp_check(x))
            return -ECONNABORTED;
    }
}

/* This thread has the lock already: XTCP_NESTED, -EAGAIN, or 0 when whoever took it will never give it back. */
static int lock_again(const _Atomic uint32_t *lock)
{
    int found = 0;
    clean();
    for (unsigned i = 0; i < 4; i++)
        if (mine[i].lock == lock) {
            if (mine[i].alone)
                return -EAGAIN;
            found++;
        }
    return found > 1 ? XTCP_NESTED : 0; /* one of them is the caller's own */
}

int xtcp_lock(struct xtcp *x, _Atomic uint32_t *lock)
{
    uint32_t me = owner(x);
    int rc = 0;
    if (!remember(lock)) {
        clean();
        if (!remember(lock))
            return -EAGAIN;
    }
    if (!try(lock, me)) {
        int saved = errno;
        uint32_t v = atomic_load_explicit(lock, memory_order_relaxed) & ~WAITERS;
        rc = v == XT_LOCK_RELAY ? -EREMOTE : v == me ? lock_again(lock) : lock_slowly(x, lock, me);
        errno = saved;
    }
    if (rc != 0)
        forget(lock);
    return rc;
}

void xtcp_lock_alone(const _Atomic uint32_t *lock)
{
    for (unsigned i = 4; i-- > 0;)
        if (mine[i].lock == lock) {
            mine[i].alone = true;
            return;
        }
}

void xtcp_unlock(_Atomic uint32_t *lock)
{
    uint32_t was = atomic_exchange_explicit(lock, 0, memory_order_release);
    forget(lock);
    if (was & WAITERS) {
        int saved = errno;
        syscall(SYS_futex, lock, FUTEX_WAKE, 1, NULL, NULL, 0);
        errno = saved;
    }
}
