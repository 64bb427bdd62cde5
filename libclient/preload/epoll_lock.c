/* SPDX-License-Identifier: Apache-2.0
 * The lock of a set. Between processes it is a word with the number of the one that has it, and whether that one lives is known to
 * the kernel: each holds a record lock on the byte of its number, which ends with it, however it ends. */
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "libclient/preload/epoll_share.h"
#include "libclient/preload/preload.h"

#define WAITERS 0x80000000u
#define TRIES 100
#define PATIENCE_NS 50000000 /* then look whether the owner lives */

static int lives = -1;            /* the file of the record locks */
static _Atomic uint32_t *numbers; /* given out so far, by all who come from whom it began with; none twice */
static _Atomic uint32_t me;       /* this process's; 0: none yet */
static _Atomic unsigned me_gen;   /* xp_fork_gen that it belongs to */

int xp_shared_begin(void)
{
    if (numbers)
        return 0;
    void *p = mmap(NULL, sizeof *numbers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    lives = xp_make_own(memfd_create("xtcp-epoll", MFD_CLOEXEC));
    if (lives < 0) {
        munmap(p, sizeof *numbers);
        return -EMFILE;
    }
    numbers = p;
    return 0;
}

static struct flock byte_of(uint32_t number)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = number, .l_len = 1};
}

static uint32_t own_number(void)
{
    if (me && me_gen == xp_fork_gen)
        return me;
    uint32_t n = atomic_fetch_add(numbers, 1) + 1;
    struct flock byte = byte_of(n);
    xp_real.fcntl(lives, F_SETLK, &byte);
    me_gen = xp_fork_gen;
    me = n;
    return n;
}

static bool is_dead(uint32_t number)
{
    struct flock byte = byte_of(number);
    return xp_real.fcntl(lives, F_GETLK, &byte) == 0 && byte.l_type == F_UNLCK;
}

static bool try(_Atomic uint32_t *lock, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(lock, &from, to, memory_order_acquire, memory_order_relaxed);
}

/* Sleeps while another has it. True when that one is dead, and this process has the lock in its place. */
static bool lock_slowly(_Atomic uint32_t *lock, uint32_t mine)
{
    const struct timespec patience = {.tv_nsec = PATIENCE_NS};
    for (;;) {
        uint32_t v = atomic_load_explicit(lock, memory_order_relaxed);
        if (v == 0) {
            if (try(lock, 0, mine | WAITERS)) /* others may still sleep */
                return false;
            continue;
        }
        if ((v & ~WAITERS) == mine)
            return false; /* a signal handler's, on this thread */
        if (!(v & WAITERS) && !try(lock, v, v | WAITERS))
            continue;
        v |= WAITERS;
        if (syscall(SYS_futex, lock, FUTEX_WAIT, v, &patience, NULL, 0) < 0 && errno == ETIMEDOUT &&
            is_dead(v & ~WAITERS) && try(lock, v, mine | WAITERS))
            return true;
    }
}

bool xp_shared_lock(struct xp_shared *sh)
{
    uint32_t mine = own_number();
    int saved = errno;
    bool dead;
    for (unsigned n = 0; n < TRIES; n++) {
        if (try(&sh->lock, 0, mine))
            return false;
        if ((atomic_load_explicit(&sh->lock, memory_order_relaxed) & ~WAITERS) == mine)
            return false;
        __builtin_ia32_pause();
    }
    dead = lock_slowly(&sh->lock, mine);
    errno = saved;
    return dead;
}

void xp_shared_unlock(struct xp_shared *sh)
{
    uint32_t v = atomic_load_explicit(&sh->lock, memory_order_relaxed);
    while ((v & ~WAITERS) == own_number())
        if (atomic_compare_exchange_weak_explicit(&sh->lock, &v, 0, memory_order_release, memory_order_relaxed)) {
            int saved = errno;
            if (v & WAITERS)
                syscall(SYS_futex, &sh->lock, FUTEX_WAKE, 1, NULL, NULL, 0);
            errno = saved;
            return;
        }
}

/* The count is changed first and looked at again after the lock is ours: a handler in between finds a state that it leaves as it was. */
void xp_set_lock(struct xp_set *s)
{
    bool again = xp_holds(&s->lock);
    xp_lock(&s->lock);
    struct xp_shared *sh = s->l->shared;
    if (!sh)
        return;
    if (!again)
        s->depth = 0; /* a jump out of a handler may have left it */
    bool left = !again && (atomic_load_explicit(&sh->lock, memory_order_relaxed) & ~WAITERS) == own_number();
    s->depth++;
    if (xp_shared_lock(sh) || left)
        xp_shared_mend(sh);
}

/* Does nobody have it now, or at most this process or one that is dead? Waits for a moment. */
static bool is_free_soon(const struct xp_shared *sh)
{
    for (unsigned ms = 0; ms < 50; ms++) {
        uint32_t owner = atomic_load_explicit(&sh->lock, memory_order_relaxed) & ~WAITERS;
        if (owner == 0 || owner == own_number() || is_dead(owner))
            return true;
        xp_real.poll(NULL, 0, 1);
    }
    return false;
}

bool xp_set_lock_soon(struct xp_set *s)
{
    int saved = errno;
    bool is_free = !s->l->shared || is_free_soon(s->l->shared);
    errno = saved;
    if (is_free)
        xp_set_lock(s);
    return is_free;
}

void xp_set_unlock(struct xp_set *s)
{
    struct xp_shared *sh = s->l->shared;
    if (sh && --s->depth == 0)
        xp_shared_unlock(sh);
    xp_unlock(&s->lock);
}
