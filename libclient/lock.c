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

/* Locks that this thread holds, is about to take or has just given back: a signal handler must not wait for what it has interrupted. */
static __thread _Atomic uint32_t *volatile mine[4] __attribute__((tls_model("initial-exec")));

static bool is_mine(const _Atomic uint32_t *lock)
{
    for (unsigned i = 0; i < 4; i++)
        if (mine[i] == lock)
            return true;
    return false;
}

static void remember(_Atomic uint32_t *lock)
{
    for (unsigned i = 0; i < 4; i++)
        if (!mine[i]) {
            mine[i] = lock;
            return;
        }
}

/* The latest: what a handler forgets is what it remembered. */
static void forget(const _Atomic uint32_t *lock)
{
    for (unsigned i = 4; i-- > 0;)
        if (mine[i] == lock) {
            mine[i] = NULL;
            return;
        }
}

static bool try(_Atomic uint32_t *lock, uint32_t value)
{
    uint32_t expect = 0;
    return atomic_compare_exchange_strong_explicit(lock, &expect, value, memory_order_acquire, memory_order_relaxed);
}

static bool is_relayed(const _Atomic uint32_t *lock)
{
    return (atomic_load_explicit((_Atomic uint32_t *)lock, memory_order_relaxed) & ~WAITERS) == XT_LOCK_RELAY;
}

/* Sleeps while others have it; now and then looks whether the daemon still lives, which alone can free a dead owner's lock. */
static int lock_slowly(struct xtcp *x, _Atomic uint32_t *lock)
{
    const struct timespec patience = {.tv_nsec = 100000000};
    for (unsigned n = 0; n < TRIES; n++) {
        if (try(lock, x->proc + 1))
            return 0;
        __builtin_ia32_pause();
    }
    for (;;) {
        uint32_t v = atomic_load_explicit(lock, memory_order_relaxed);
        if (v == XT_LOCK_RELAY)
            return -EREMOTE;
        if (v == 0) {
            if (try(lock, (x->proc + 1) | WAITERS)) /* others may still sleep */
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

int xtcp_lock(struct xtcp *x, _Atomic uint32_t *lock)
{
    int rc = 0;
    bool nested = is_mine(lock);
    remember(lock);
    if (!try(lock, x->proc + 1)) {
        int saved = errno;
        rc = is_relayed(lock) ? -EREMOTE : nested ? -EAGAIN : lock_slowly(x, lock);
        errno = saved;
    }
    if (rc < 0)
        forget(lock);
    return rc;
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
