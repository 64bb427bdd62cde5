/* SPDX-License-Identifier: Apache-2.0
 * Locks of this process, and signal handlers. A handler that interrupts its thread with one of them held can take it again: what it
 * must not change meanwhile is changed when the thread gives the last of them back. */
#include "libclient/preload/preload.h"

#define LATER 64
#define HELD 16 /* more are held by forks only */

static XP_TLS struct {
    pthread_mutex_t *volatile held[HELD];
    volatile unsigned depth;
    volatile uint32_t jumps; /* when the first was taken: a jump has left who had them */
    volatile unsigned nlater;
    volatile int later[LATER];
} mine;

static void close_all(void)
{
    while (mine.nlater && mine.depth == 0)
        xp_call_close(mine.later[--mine.nlater]);
}

static void let_go(void)
{
    unsigned n = mine.depth < HELD ? mine.depth : HELD;
    while (n-- > 0)
        pthread_mutex_unlock(mine.held[n]);
    mine.depth = 0;
}

void xp_lock(pthread_mutex_t *lock)
{
    if (mine.depth && mine.jumps != xtcp_jumps())
        let_go();
    if (mine.depth == 0)
        mine.jumps = xtcp_jumps();
    if (mine.depth < HELD)
        mine.held[mine.depth] = lock;
    mine.depth++; /* before: a handler in between sees one too many rather than one too few */
    pthread_mutex_lock(lock);
}

void xp_unlock(pthread_mutex_t *lock)
{
    int saved = errno;
    pthread_mutex_unlock(lock);
    if (mine.depth)
        mine.depth--;
    close_all();
    errno = saved;
}

bool xp_holds(const pthread_mutex_t *lock)
{
    unsigned n = mine.depth < HELD ? mine.depth : HELD;
    if (mine.jumps != xtcp_jumps())
        return false;
    while (n-- > 0)
        if (mine.held[n] == lock)
            return true;
    return false;
}

void xp_unlock_child(pthread_mutex_t *lock)
{
    *lock = (pthread_mutex_t)XP_LOCK_INIT;
    if (mine.depth)
        mine.depth--;
}

bool xp_close_later(int fd)
{
    if (mine.depth == 0 || mine.jumps != xtcp_jumps() || mine.nlater == LATER)
        return false;
    mine.later[mine.nlater] = fd;
    mine.nlater++;
    return true;
}
