/* SPDX-License-Identifier: Apache-2.0
 * SIGIO and SIGURG: O_ASYNC and the owner of a socket. libxtcp gives descriptors that have something to read at each news (see
 * xtcp_async_fd); they have the program's owner, signal and flag, and the kernel does the rest. */
#include <sys/ioctl.h>

#include "libclient/preload/args.h"
#include "libclient/preload/preload.h"

static int async_fd(uint64_t w, bool urgent, bool make)
{
    return xtcp_async_fd(xp_x(w), xp_sock(w), urgent, make);
}

/* O_ASYNC on `afd`. The kernel tells a handler that asks (F_SETSIG) the number of the descriptor by which that was done: for this
 * moment it is the program's. */
static void start_signals(int fd, int afd)
{
    xp_clear_flags(fd, XP_F_PLAIN);
    int cloexec = xp_real.fcntl(fd, F_GETFD), kept = xp_real.fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (cloexec < 0 || kept < 0 || xp_real.dup3(afd, fd, O_CLOEXEC) < 0) {
        xp_real.fcntl(afd, F_SETFL, O_NONBLOCK | O_ASYNC);
    } else {
        xp_real.fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
        xp_real.dup3(kept, fd, cloexec & FD_CLOEXEC ? O_CLOEXEC : 0);
    }
    if (kept >= 0)
        xp_real.close(kept);
}

int xp_set_async(int fd, uint64_t w, bool on)
{
    int afd = async_fd(w, false, on), saved = errno;
    if (on && xp_spreading)
        xp_spread_end(w); /* there are signals of one socket only */
    if (afd >= 0 && on != xtcp_get_async(xp_x(w), xp_sock(w))) {
        if (on)
            start_signals(fd, afd);
        else
            xp_real.fcntl(afd, F_SETFL, O_NONBLOCK);
    }
    errno = saved;
    return afd < 0 && on ? afd : xtcp_set_async(xp_x(w), xp_sock(w), on);
}

/* An owner gets SIGURG, whether or not O_ASYNC is set. */
static int set_owner(int fd, uint64_t w, int cmd, void *arg)
{
    int afd = async_fd(w, false, true), urgent = async_fd(w, true, true);
    if (afd < 0)
        return (int)xp_ret(afd);
    if (xp_real.fcntl(afd, cmd, arg) < 0)
        return -1;
    if (urgent >= 0 && xp_real.fcntl(urgent, cmd, arg) == 0) {
        xp_real.fcntl(urgent, F_SETSIG, SIGURG);
        start_signals(fd, urgent);
    }
    return 0;
}

/* fcntl() of the commands that have to do with signals. */
int xp_async_fcntl(int fd, uint64_t w, int cmd, void *arg)
{
    int afd;
    if (cmd == F_SETOWN || cmd == F_SETOWN_EX)
        return set_owner(fd, w, cmd, arg);
    afd = async_fd(w, false, cmd == F_SETSIG);
    if (afd == -ENOENT)
        afd = fd; /* the placeholder has never had an owner or a signal: it answers as a new socket */
    return afd < 0 ? (int)xp_ret(afd) : xp_real.fcntl(afd, cmd, arg);
}

int xp_async_ioctl(int fd, uint64_t w, unsigned long req, void *arg)
{
    int v = 0, rc;
    if (xp_is_nowhere(arg, sizeof v))
        return (int)xp_ret(-EFAULT);
    if (req == FIOASYNC)
        return (int)xp_ret(xp_set_async(fd, w, *(int *)arg != 0));
    if (req == FIOSETOWN || req == SIOCSPGRP)
        return xp_async_fcntl(fd, w, F_SETOWN, (void *)(intptr_t) * (int *)arg);
    errno = 0;
    rc = xp_async_fcntl(fd, w, F_GETOWN, NULL);
    if (rc == -1 && errno)
        return -1;
    *(int *)arg = rc;
    return 0;
}

void xp_async_carry(int fd, uint64_t w, int from)
{
    struct f_owner_ex owner = {0};
    int saved = errno, fl = xp_real.fcntl(from, F_GETFL), sig = xp_real.fcntl(from, F_GETSIG);
    if (xp_real.fcntl(from, F_GETOWN_EX, &owner) == 0 && owner.pid)
        set_owner(fd, w, F_SETOWN_EX, &owner);
    if (sig > 0)
        xp_async_fcntl(fd, w, F_SETSIG, (void *)(intptr_t)sig);
    if (fl >= 0 && fl & O_ASYNC)
        xp_set_async(fd, w, true);
    errno = saved;
}

void xp_async_leave(int fd, uint64_t w)
{
    struct f_owner_ex owner = {0};
    int afd = async_fd(w, false, false), saved = errno, sig;
    if (afd < 0)
        return;
    sig = xp_real.fcntl(afd, F_GETSIG);
    if (xp_real.fcntl(afd, F_GETOWN_EX, &owner) == 0 && owner.pid)
        xp_real.fcntl(fd, F_SETOWN_EX, &owner);
    if (sig > 0)
        xp_real.fcntl(fd, F_SETSIG, (void *)(intptr_t)sig);
    if (xtcp_get_async(xp_x(w), xp_sock(w)))
        xp_real.fcntl(fd, F_SETFL, xp_real.fcntl(fd, F_GETFL) | O_ASYNC);
    xp_real.fcntl(afd, F_SETFL, O_NONBLOCK);
    errno = saved;
}
