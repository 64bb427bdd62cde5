/* SPDX-License-Identifier: Apache-2.0
 * syscall(): programs that call the kernel past libc's functions, but through its wrapper. */
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "libclient/preload/preload.h"

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

/* Before memory is shared and descriptors are not, or the other way round. */
static void part(long n, const long a[6])
{
    unsigned long flags = n == SYS_clone            ? (unsigned long)a[0]
                          : n == SYS_clone3 && a[0] ? ((const struct clone_args *)a[0])->flags
                                                    : 0;
    if (!(flags & CLONE_VM) != !(flags & CLONE_FILES))
        xp_kept_end();
}

static bool is_fork(long n, const long a[6])
{
#ifdef SYS_fork
    if (n == SYS_fork)
        return true;
#endif
    if (n == SYS_clone3)
        return a[0] && !(((const struct clone_args *)a[0])->flags & CLONE_VM);
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
    case SYS_sendmmsg:
        return xp_call_sendmmsg(fd, (void *)a[1], (unsigned)a[2], (int)a[3]);
    case SYS_recvmmsg:
        return xp_call_recvmmsg(fd, (void *)a[1], (unsigned)a[2], (int)a[3], (void *)a[4]);
    case SYS_preadv2: /* a[4] is the offset's upper half on 32-bit machines only */
        return xp_call_preadv2(fd, (void *)a[1], (int)a[2], (off_t)a[3], (int)a[5]);
    case SYS_pwritev2:
        return xp_call_pwritev2(fd, (void *)a[1], (int)a[2], (off_t)a[3], (int)a[5]);
#ifdef SYS_accept
    case SYS_accept:
        return xp_call_accept(fd, (void *)a[1], (void *)a[2]);
#endif
    case SYS_epoll_pwait:
        return xp_call_epoll_pwait(fd, (void *)a[1], (int)a[2], (int)a[3], (void *)a[4]);
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
        return xp_call_epoll_pwait(fd, (void *)a[1], (int)a[2], (int)a[3], NULL);
#endif
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
        return xp_call_epoll_pwait2(fd, (void *)a[1], (int)a[2], (void *)a[3], (void *)a[4]);
#endif
    case SYS_epoll_ctl:
        return xp_call_epoll_ctl(fd, (int)a[1], (int)a[2], (void *)a[3]);
    case SYS_dup:
        return xp_call_dup(fd);
    case SYS_fcntl:
        return xp_call_fcntl(fd, (int)a[1], (void *)a[2]);
    case SYS_ioctl:
        return xp_call_ioctl(fd, (unsigned long)a[1], (void *)a[2]);
    default:
        *known = false;
        return 0;
    }
}

#ifdef SYS_select
static long raw_select(const long a[6])
{
    return xp_call_select((int)a[0], (void *)a[1], (void *)a[2], (void *)a[3], (void *)a[4]);
}
#endif

/* The last argument points to the address and the size of the mask. */
static long raw_pselect(const long a[6])
{
    const long *mask = (const long *)a[5];
    return xp_call_pselect((int)a[0], (void *)a[1], (void *)a[2], (void *)a[3], (void *)a[4],
                           mask ? (const sigset_t *)mask[0] : NULL);
}

/* The calls that name a descriptor elsewhere, or make one. */
static long route_other(long n, const long a[6], bool *known)
{
    *known = true;
    switch (n) {
    case SYS_unshare:
        if (a[0] & CLONE_FILES)
            xp_kept_end();
        break;
    case SYS_execve:
    case SYS_execveat:
        xp_kept_drop();
        break;
    case SYS_seccomp:
        if (a[0] <= SECCOMP_SET_MODE_FILTER)
            xp_confined();
        break;
    case SYS_close_range:
        return xp_call_close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
#ifdef SYS_poll
    case SYS_poll:
        return xp_call_poll((void *)a[0], (nfds_t)a[1], (int)a[2]);
#endif
    case SYS_ppoll:
        return xp_call_ppoll((void *)a[0], (nfds_t)a[1], (void *)a[2], (void *)a[3]);
#ifdef SYS_select
    case SYS_select:
        return raw_select(a);
#endif
    case SYS_pselect6:
        return raw_pselect(a);
    case SYS_socket:
        return xp_call_socket((int)a[0], (int)a[1], (int)a[2]);
    case SYS_epoll_create1:
        return xp_call_epoll_create1((int)a[0]);
    case SYS_sendfile:
        return xp_call_sendfile((int)a[0], (int)a[1], (void *)a[2], (size_t)a[3]);
    case SYS_splice:
        return xp_call_splice((int)a[0], (void *)a[1], (int)a[2], (void *)a[3], (size_t)a[4], (unsigned)a[5]);
#ifdef SYS_dup2
    case SYS_dup2: /* the target may be the one that the table knows */
        return xp_call_dup2((int)a[0], (int)a[1]);
#endif
    case SYS_dup3:
        return xp_call_dup3((int)a[0], (int)a[1], (int)a[2]);
    default:
        break;
    }
    *known = false;
    return 0;
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
    r = route_other(n, a, &known);
    if (xp_kind(xp_get((int)a[0])) == XP_KEPT)
        xp_kept_close((int)a[0]); /* whatever the call is, should it name a descriptor */
    if (!known && xp_get((int)a[0]))
        r = route(n, a, &known);
    if (known)
        return r;
    part(n, a);
    return xp_ret(is_fork(n, a) ? raw_fork(n, a) : xp_rawcall(n, a[0], a[1], a[2], a[3], a[4], a[5]));
}
