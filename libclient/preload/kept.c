/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/kept.h"

#include <limits.h>
#include <sys/syscall.h>

#include "libclient/preload/preload.h"

#define NUMBERS 65536u /* those from here on are not kept */
#define MOST 64u       /* at a time ... */
#define PART 32u       /* ... nor more than such a part of the limit */

static _Atomic uint64_t marks[NUMBERS / 64], groups[NUMBERS / 64 / 64]; /* a bit of these for each word of those */
static _Atomic unsigned count;
static _Atomic unsigned most, end; /* numbers from `end` on show that the limit is near. 0: not looked up yet */
static _Atomic bool crowded, over;

/* ---- the marks: there is one for each kept number, and perhaps for others ---- */

static void mark(unsigned fd)
{
    atomic_fetch_or(&marks[fd / 64], 1ULL << (fd % 64));
    atomic_fetch_or(&groups[fd / 4096], 1ULL << (fd / 64 % 64));
}

/* Another thread may have kept it again, and marked it, just before. */
static void unmark(unsigned fd)
{
    atomic_fetch_and(&marks[fd / 64], ~(1ULL << (fd % 64)));
    if (xp_kind(xp_get((int)fd)) == XP_KEPT)
        mark(fd);
}

static void unmark_group(unsigned word)
{
    atomic_fetch_and(&groups[word / 64], ~(1ULL << (word % 64)));
    if (atomic_load(&marks[word]))
        atomic_fetch_or(&groups[word / 64], 1ULL << (word % 64));
}

static int lowest(unsigned from)
{
    for (unsigned g = from / 4096; g < NUMBERS / 4096; g++)
        for (uint64_t some = atomic_load(&groups[g]); some; some &= some - 1) {
            unsigned word = g * 64 + (unsigned)__builtin_ctzll(some);
            uint64_t bits = atomic_load(&marks[word]);
            if (!bits)
                unmark_group(word);
            if (word == from / 64)
                bits &= ~0ULL << (from % 64);
            if (bits && word >= from / 64)
                return (int)(word * 64 + (unsigned)__builtin_ctzll(bits));
        }
    return -1;
}

/* ---- */

void xp_kept_taken(int fd)
{
    atomic_fetch_sub(&count, 1);
    unmark((unsigned)fd);
}

/* Its word, or 0 when it is not kept any more. */
static uint64_t claim(int fd)
{
    uint64_t w = xp_get(fd);
    while (xp_kind(w) == XP_KEPT)
        if (xp_swap(fd, &w, 0)) {
            xp_kept_taken(fd);
            return w;
        }
    return 0;
}

/* The lowest from there on, and its word. */
static int take(unsigned from, uint64_t *w)
{
    int fd = -1;
    while (atomic_load_explicit(&count, memory_order_relaxed) && from < NUMBERS && (fd = lowest(from)) >= 0) {
        if ((*w = claim(fd)))
            return fd;
        unmark((unsigned)fd);
    }
    return -1;
}

/* By no call that can be a cancellation point, or changes errno. */
static void give_up(int fd)
{
    xp_rawcall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static unsigned limit(void)
{
    struct rlimit lim = {0};
    xp_rawcall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&lim, 0, 0);
    unsigned n = lim.rlim_cur < INT_MAX ? (unsigned)lim.rlim_cur : INT_MAX;
    atomic_store(&most, n / PART < MOST ? n / PART : MOST);
    atomic_store(&end, n / 2 < NUMBERS ? n / 2 + 1 : NUMBERS);
    return atomic_load(&end);
}

static unsigned the_end(void)
{
    unsigned n = atomic_load_explicit(&end, memory_order_relaxed);
    return __builtin_expect(n != 0, 1) ? n : limit();
}

bool xp_keep(int fd, uint64_t w)
{
    if ((xp_kind(w) != XP_XTCP && !xp_is_bare(w)) ||
        (xp_flags(w) & (XP_F_PLAIN | XP_F_PAIR | XP_F_BOTH)) != XP_F_PLAIN || fd <= STDERR_FILENO ||
        (unsigned)fd >= the_end() || atomic_load_explicit(&crowded, memory_order_relaxed) ||
        atomic_load_explicit(&over, memory_order_relaxed))
        return false;
    if (atomic_fetch_add(&count, 1) >= atomic_load(&most)) {
        atomic_fetch_sub(&count, 1);
        return false;
    }
    xp_put(fd, xp_word(XP_KEPT, XP_CTX_NONE, XP_F_CLAIM | (xp_flags(w) & XP_F_CLOEXEC), 0));
    mark((unsigned)fd);
    return true;
}

bool xp_kept_any(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed) != 0;
}

int xp_kept_take(bool cloexec)
{
    uint64_t w;
    int fd = take(0, &w);
    if (fd >= 0 && cloexec != ((xp_flags(w) & XP_F_CLOEXEC) != 0))
        xp_real.fcntl(fd, F_SETFD, cloexec ? FD_CLOEXEC : 0);
    return fd;
}

void xp_kept_close(int fd)
{
    if (claim(fd))
        give_up(fd);
}

void xp_kept_make_room(int least)
{
    uint64_t w;
    int fd = least >= 0 ? take((unsigned)least, &w) : -1;
    if (fd >= 0)
        give_up(fd);
}

bool xp_kept_drop(void)
{
    uint64_t w;
    int fd = take(0, &w), n = 0;
    for (; fd >= 0; fd = take(0, &w), n++)
        give_up(fd);
    return n > 0;
}

void xp_kept_see(int fd)
{
    bool now = fd >= 0 && (unsigned)fd >= the_end();
    if (fd < 0 || now == atomic_load_explicit(&crowded, memory_order_relaxed))
        return;
    atomic_store(&crowded, now);
    if (now)
        xp_kept_drop();
}

void xp_kept_limit(void)
{
    xp_kept_drop();
    atomic_store(&end, 0);
}

void xp_kept_end(void)
{
    atomic_store(&over, true);
    xp_kept_drop();
}
