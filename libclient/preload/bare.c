/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/bare.h"

#include "libclient/preload/preload.h"

#define PAUSE 16 /* sockets that are made as ever after one that turned out to need a kernel socket */

static _Atomic unsigned pause_;

int xp_bare_socket(int type)
{
    unsigned left = atomic_load_explicit(&pause_, memory_order_relaxed);
    unsigned flags = (type & SOCK_CLOEXEC ? XP_F_CLOEXEC : 0) | (type & SOCK_NONBLOCK ? XP_F_NONBLOCK : 0);
    if (left)
        atomic_store_explicit(&pause_, left - 1, memory_order_relaxed);
    if (left || !xp_kept_any() || xp_bystander || type & ~(SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -1;
    int fd = xp_attach() >= 0 ? xp_kept_take((type & SOCK_CLOEXEC) != 0) : -1;
    if (fd >= 0)
        xp_put(fd, xp_word(XP_UNDECIDED, 0, XP_F_BARE | XP_F_CLAIM | XP_F_PLAIN | flags, 0));
    return fd;
}

static int kernel_socket(uint64_t w)
{
    int type = SOCK_STREAM | SOCK_CLOEXEC | (xp_flags(w) & XP_F_NONBLOCK ? SOCK_NONBLOCK : 0);
    int fd = xp_real.socket(AF_INET, type, 0);
    return fd < 0 && errno == EMFILE && xp_kept_drop() ? xp_real.socket(AF_INET, type, 0) : fd;
}

void xp_bare_make(int fd)
{
    int saved = errno;
    XP_NO_CANCEL();
    xp_ctx_lock();
    uint64_t w = xp_get(fd);
    int s = xp_is_bare(w) ? kernel_socket(w) : -1;
    if (s >= 0) {
        if (xp_real.dup3(s, fd, xp_flags(w) & XP_F_CLOEXEC ? O_CLOEXEC : 0) >= 0)
            xp_swap(fd, &w, xp_word(XP_UNDECIDED, 0, 0, 0));
        xp_real.close(s);
    }
    xp_ctx_unlock();
    atomic_store_explicit(&pause_, PAUSE, memory_order_relaxed);
    errno = saved;
}

void xp_bare_make_all(bool inherited)
{
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1))
        if (xp_is_bare(xp_get(fd)) && !(inherited && xp_flags(xp_get(fd)) & XP_F_CLOEXEC))
            xp_bare_make(fd);
}

bool xp_bare_set_nonblock(int fd, bool on)
{
    uint64_t w = xp_get(fd);
    while (xp_is_bare(w))
        if (xp_swap(fd, &w, on ? w | XP_F_NONBLOCK : w & ~(uint64_t)XP_F_NONBLOCK))
            return true;
    return false;
}

bool xp_bare_fcntl(int fd, uint64_t w, int cmd, intptr_t arg, int *rc)
{
    *rc = 0;
    switch (cmd) {
    case F_GETFD:
        *rc = xp_flags(w) & XP_F_CLOEXEC ? FD_CLOEXEC : 0;
        return true;
    case F_SETFD:
        if ((*rc = xp_real.fcntl(fd, cmd, arg)) == 0 && arg & FD_CLOEXEC)
            xp_set_flags(fd, XP_F_CLOEXEC);
        else if (*rc == 0)
            xp_clear_flags(fd, XP_F_CLOEXEC);
        return true;
    case F_GETFL:
        *rc = O_RDWR | (xp_flags(w) & XP_F_NONBLOCK ? O_NONBLOCK : 0);
        return true;
    case F_SETFL:
        return !(arg & (O_ASYNC | O_APPEND | O_DIRECT | O_NOATIME)) &&
               xp_bare_set_nonblock(fd, (arg & O_NONBLOCK) != 0);
    default:
        return false;
    }
}
