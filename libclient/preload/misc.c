/* SPDX-License-Identifier: Apache-2.0
 * Other names for the same calls: syscall(), the fortified variants, and dlopen() with RTLD_DEEPBIND. */
#include <linux/sched.h>
#include <stdarg.h>
#include <sys/syscall.h>

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

/* Must stay a tail call: the real dlopen() reads its return address to know whose RUNPATH counts. */
XP_EXPORT void *dlopen(const char *file, int mode)
{
    return xp_real.dlopen(file, mode & ~RTLD_DEEPBIND);
}

/* ---- syscall() ---- */

/* A fork that libc does not see (vsftpd's clone() into new namespaces). */
static long raw_fork(long n, const long a[6])
{
    long pid;
    xp_fork_prepare();
    pid = xp_rawcall(n, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (pid == 0)
        xp_fork_child();
    else
        xp_fork_parent();
    return pid;
}

static bool is_fork(long n, const long a[6])
{
#ifdef SYS_fork
    if (n == SYS_fork)
        return true;
#endif
    return n == SYS_clone && !(a[0] & CLONE_VM);
}

/* The calls that name a descriptor first, for descriptors that the table knows. *known: whether `n` is one. */
static long route(long n, const long a[6], bool *known)
{
    int fd = (int)a[0];
    *known = true;
    switch (n) {
    case SYS_close:
        return xp_call_close(fd);
    case SYS_read:
        return xp_call_read(fd, (void *)a[1], (size_t)a[2]);
    case SYS_write:
        return xp_call_write(fd, (void *)a[1], (size_t)a[2]);
    case SYS_readv:
        return xp_call_readv(fd, (void *)a[1], (int)a[2]);
    case SYS_writev:
        return xp_call_writev(fd, (void *)a[1], (int)a[2]);
    case SYS_recvfrom:
        return xp_call_recvfrom(fd, (void *)a[1], (size_t)a[2], (int)a[3], (void *)a[4], (void *)a[5]);
    case SYS_sendto:
        return xp_call_sendto(fd, (void *)a[1], (size_t)a[2], (int)a[3], (void *)a[4], (socklen_t)a[5]);
    case SYS_recvmsg:
        return xp_call_recvmsg(fd, (void *)a[1], (int)a[2]);
    case SYS_sendmsg:
        return xp_call_sendmsg(fd, (void *)a[1], (int)a[2]);
    case SYS_accept4:
        return xp_call_accept4(fd, (void *)a[1], (void *)a[2], (int)a[3]);
    case SYS_connect:
        return xp_call_connect(fd, (void *)a[1], (socklen_t)a[2]);
    case SYS_bind:
        return xp_call_bind(fd, (void *)a[1], (socklen_t)a[2]);
    case SYS_listen:
        return xp_call_listen(fd, (int)a[1]);
    case SYS_shutdown:
        return xp_call_shutdown(fd, (int)a[1]);
    case SYS_getsockopt:
        return xp_call_getsockopt(fd, (int)a[1], (int)a[2], (void *)a[3], (void *)a[4]);
    case SYS_setsockopt:
        return xp_call_setsockopt(fd, (int)a[1], (int)a[2], (void *)a[3], (socklen_t)a[4]);
    case SYS_getsockname:
        return xp_call_getsockname(fd, (void *)a[1], (void *)a[2]);
    case SYS_getpeername:
        return xp_call_getpeername(fd, (void *)a[1], (void *)a[2]);
    case SYS_dup:
        return xp_call_dup(fd);
    case SYS_dup3:
        return xp_call_dup3(fd, (int)a[1], (int)a[2]);
    case SYS_fcntl:
        return xp_call_fcntl(fd, (int)a[1], (void *)a[2]);
    case SYS_ioctl:
        return xp_call_ioctl(fd, (unsigned long)a[1], (void *)a[2]);
    default:
        *known = false;
        return 0;
    }
}

/* Works before anything is initialised and allocates nothing: allocators call it while they set themselves up. */
XP_EXPORT long syscall(long n, ...)
{
    long a[6], r;
    bool known;
    va_list ap;
    va_start(ap, n);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (n == SYS_close_range)
        return xp_call_close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
    if (xp_get((int)a[0])) {
        r = route(n, a, &known);
        if (known)
            return r;
    }
    return xp_ret(is_fork(n, a) ? raw_fork(n, a) : xp_rawcall(n, a[0], a[1], a[2], a[3], a[4], a[5]));
}
