/* SPDX-License-Identifier: Apache-2.0
 * Other names for the same calls: the fortified variants and libc's own; dlopen() with RTLD_DEEPBIND; longjmp(). */
#include <setjmp.h>
#include <stdarg.h>

#include "libclient/preload/preload.h"

extern void __chk_fail(void) __attribute__((noreturn));
XP_EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
XP_EXPORT ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags);
XP_EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags, struct sockaddr *addr,
                                 socklen_t *alen);
XP_EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
XP_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                          size_t room);

XP_EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
    if (len > room)
        __chk_fail();
    return xp_call_read(fd, buf, len);
}

XP_EXPORT ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags)
{
    if (len > room)
        __chk_fail();
    return xp_call_recv(fd, buf, len, flags);
}

XP_EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags, struct sockaddr *addr,
                                 socklen_t *alen)
{
    if (len > room)
        __chk_fail();
    return xp_call_recvfrom(fd, buf, len, flags, addr, alen);
}

XP_EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
    if (room / sizeof *fds < n)
        __chk_fail();
    return xp_call_poll(fds, n, timeout);
}

XP_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                          size_t room)
{
    if (room / sizeof *fds < n)
        __chk_fail();
    return xp_call_ppoll(fds, n, timeout, mask);
}

/* ---- names that libc exports beside the usual ones ---- */

XP_EXPORT __typeof__(read) __read;
XP_EXPORT __typeof__(write) __write;
XP_EXPORT __typeof__(send) __send;
XP_EXPORT __typeof__(close) __close;
XP_EXPORT __typeof__(connect) __connect;
XP_EXPORT __typeof__(poll) __poll;
XP_EXPORT __typeof__(select) __select;
XP_EXPORT __typeof__(dup2) __dup2;
XP_EXPORT __typeof__(fcntl) __fcntl;

ssize_t __read(int fd, void *buf, size_t len)
{
    return xp_call_read(fd, buf, len);
}

ssize_t __write(int fd, const void *buf, size_t len)
{
    return xp_call_write(fd, buf, len);
}

ssize_t __send(int fd, const void *buf, size_t len, int flags)
{
    return xp_call_send(fd, buf, len, flags);
}

int __close(int fd)
{
    return xp_call_close(fd);
}

int __connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    return xp_call_connect(fd, addr, len);
}

int __poll(struct pollfd *fds, nfds_t n, int timeout)
{
    return xp_call_poll(fds, n, timeout);
}

int __select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *timeout)
{
    return xp_call_select(n, in, out, ex, timeout);
}

int __dup2(int fd, int nfd)
{
    return xp_call_dup2(fd, nfd);
}

int __fcntl(int fd, int cmd, ...)
{
    void *arg;
    va_list ap;
    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    return xp_call_fcntl(fd, cmd, arg);
}

/* Must stay a tail call: the real dlopen() reads its return address to know whose RUNPATH counts. */
XP_EXPORT void *dlopen(const char *file, int mode)
{
    return xp_real.dlopen(file, mode & ~RTLD_DEEPBIND);
}

/* ---- jumps, which may leave a call that a signal handler has interrupted ---- */

XP_EXPORT __typeof__(longjmp) _longjmp, __longjmp_chk;

XP_EXPORT void longjmp(jmp_buf env, int value)
{
    xtcp_jumped();
    xp_real.longjmp(env, value);
    __builtin_unreachable();
}

XP_EXPORT void siglongjmp(sigjmp_buf env, int value)
{
    xtcp_jumped();
    xp_real.siglongjmp(env, value);
    __builtin_unreachable();
}

void _longjmp(jmp_buf env, int value)
{
    xtcp_jumped();
    xp_real._longjmp(env, value);
    __builtin_unreachable();
}

void __longjmp_chk(jmp_buf env, int value)
{
    xtcp_jumped();
    xp_real.__longjmp_chk(env, value);
    __builtin_unreachable();
}
