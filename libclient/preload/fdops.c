/* SPDX-License-Identifier: Apache-2.0
 * Calls on the descriptor itself: close, dup, fcntl, ioctl. */
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "libclient/preload/args.h"
#include "libclient/preload/both.h"
#include "libclient/preload/preload.h"

static void close_real(void *fd)
{
    xp_real.close((int)(intptr_t)fd);
}

/* A cancellation point while it lingers: what is left of close() is done then, too. */
static void close_cancellably(int fd, uint64_t w, int state)
{
    pthread_cleanup_push(close_real, (void *)(intptr_t)fd);
    pthread_setcancelstate(state, NULL);
    xtcp_close(xp_x(w), xp_sock(w));
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cleanup_pop(0);
}

/* `cancel`: whether the caller of close() can be cancelled; NULL: no close(). */
static void release(int fd, uint64_t w, const int *cancel)
{
    if (xp_kind(w) == XP_UNDECIDED ? xp_in_set(w) : xp_flags(w) & XP_F_INSET)
        xp_sets_closed(fd, xp_kind(w) == XP_XTCP && xp_refs(xp_ctxno(w), xp_value(w)) > 1);
    if (xp_kind(w) == XP_EPOLL)
        xp_epoll_closed(fd, w);
    if ((xp_kind(w) == XP_XTCP || xp_relay_known(w)) && xp_unref(xp_ctxno(w), xp_value(w))) {
        xp_sets_gone(w);
        xp_half_close(w);
        if (xp_spreading)
            xp_spread_close(w);
        if (cancel && *cancel == PTHREAD_CANCEL_ENABLE)
            close_cancellably(fd, w, *cancel);
        else
            xtcp_close(xp_x(w), xp_sock(w));
    }
}

void xp_release(int fd)
{
    uint64_t w;
    if (xp_bystander)
        return;
    w = xp_take(fd);
    if (xp_kind(w) == XP_KEPT)
        xp_kept_taken(fd);
    else if (w)
        release(fd, w, NULL);
}

/* The word goes first: once the kernel's descriptor is closed its number may belong to another thread. */
XP_EXPORT int close(int fd)
{
    uint64_t w = xp_get(fd);
    if (xp_kind(w) == XP_KEPT)
        w = xp_look(fd);
    if (__builtin_expect(w == 0, 1) || xp_bystander)
        return xp_real.close(fd);
    if (xp_kind(w) == XP_OWN)
        return (int)xp_ret(-EBADF);
    pthread_testcancel();
    XP_NO_CANCEL();
    if (__builtin_expect(xp_close_later(fd), 0))
        return 0;
    w = xp_take(fd);
    if (xp_kind(w) == XP_KEPT) { /* another thread was faster */
        xp_kept_taken(fd);
        xp_real.close(fd);
        return (int)xp_ret(-EBADF);
    }
    if (w)
        release(fd, w, &xp_cancel_state);
    return xp_keep(fd, w) ? 0 : xp_real.close(fd);
}
XP_ALIAS(close);

void xp_copied(int fd, int nfd)
{
    uint64_t w = xp_get(fd);
    if (nfd < 0 || nfd == fd || xp_bystander)
        return;
    switch (xp_kind(w)) {
    case XP_XTCP:
        if ((unsigned)nfd < XP_FDS)
            xp_ref(xp_ctxno(w), xp_value(w));
        break;
    case XP_UNDECIDED:
        xp_set_flags(fd, XP_F_DUPED);
        w |= XP_F_DUPED;
        break;
    case XP_EPOLL:
        w = xp_epoll_share(fd);
        break;
    case XP_RELAY:
        if ((unsigned)nfd < XP_FDS && xp_relay_known(w))
            xp_ref(xp_ctxno(w), xp_value(w));
        break;
    case XP_KERNEL:
    case XP_KEPT:
    case XP_OWN:
        return;
    }
    xp_put(nfd, w & ~(uint64_t)(XP_F_INSET | XP_F_STREAM | XP_F_PLAIN));
    if (nfd <= STDERR_FILENO) /* stdio writes there by calls that cannot be interposed */
        xp_expose(nfd);
}

XP_EXPORT int dup(int fd)
{
    XP_NO_CANCEL();
    xp_settle(fd);
    xp_kept_make_room(0);
    int nfd = xp_real.dup(fd);
    if (xp_get(fd))
        xp_copied(fd, nfd);
    return nfd;
}
XP_ALIAS(dup);

/* dup2 and dup3 close their target silently, and must not touch the library's own. */
static int dup_onto(int fd, int nfd, int flags, bool is_dup3)
{
    xp_settle(fd);
    uint64_t w = xp_bystander ? 0 : xp_get(nfd);
    int rc;
    XP_NO_CANCEL();
    if (xp_kind(w) == XP_OWN)
        return (int)xp_ret(-EBADF);
    if (w && fd != nfd && !(flags & ~O_CLOEXEC) && xp_real.fcntl(fd, F_GETFD) >= 0)
        xp_release(nfd);
    rc = is_dup3 ? xp_real.dup3(fd, nfd, flags) : xp_real.dup2(fd, nfd);
    if (rc >= 0 && xp_get(fd))
        xp_copied(fd, nfd);
    return rc;
}

XP_EXPORT int dup2(int fd, int nfd)
{
    return dup_onto(fd, nfd, 0, false);
}
XP_ALIAS(dup2);

XP_EXPORT int dup3(int fd, int nfd, int flags)
{
    return dup_onto(fd, nfd, flags, true);
}
XP_ALIAS(dup3);

/* What the kernel has been told of FD_CLOEXEC. */
static int remember_cloexec(int fd, bool on, int rc)
{
    if (rc == 0 && on)
        xp_set_flags(fd, XP_F_CLOEXEC);
    else if (rc == 0)
        xp_clear_flags(fd, XP_F_CLOEXEC);
    return rc;
}

static int fcntl_xtcp(int fd, uint64_t w, int cmd, void *arg)
{
    switch (cmd) {
    case F_SETFD:
        return remember_cloexec(fd, ((intptr_t)arg & FD_CLOEXEC) != 0, xp_real.fcntl(fd, cmd, arg));
    case F_GETFL:
        return O_RDWR | (xtcp_get_nonblock(xp_x(w), xp_sock(w)) ? O_NONBLOCK : 0) |
               (xtcp_get_async(xp_x(w), xp_sock(w)) ? O_ASYNC : 0);
    case F_SETFL:
        if (xp_flags(w) & XP_F_PAIR)
            xp_real.fcntl(fd, cmd, arg); /* for those who use the same descriptor without us */
        if (((intptr_t)arg & O_ASYNC) != 0 || xtcp_get_async(xp_x(w), xp_sock(w))) {
            int rc = xp_set_async(fd, w, ((intptr_t)arg & O_ASYNC) != 0);
            if (rc < 0)
                return (int)xp_ret(rc);
        }
        return (int)xp_ret(xtcp_set_nonblock(xp_x(w), xp_sock(w), ((intptr_t)arg & O_NONBLOCK) != 0));
    case F_SETOWN:
    case F_GETOWN:
    case F_SETOWN_EX:
    case F_GETOWN_EX:
    case F_SETSIG:
    case F_GETSIG:
        return xp_async_fcntl(fd, w, cmd, arg);
    default:
        return xp_real.fcntl(fd, cmd, arg);
    }
}

XP_EXPORT int fcntl(int fd, int cmd, ...)
{
    uint64_t w;
    va_list ap;
    void *arg;
    int rc;
    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    w = xp_get(fd);
    if (xp_is_bare(w) && xp_bare_fcntl(fd, w, cmd, (intptr_t)arg, &rc))
        return rc;
    bool ours = xp_is_xtcp(fd, &w);
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
        xp_kept_make_room((int)(intptr_t)arg);
    rc = ours ? fcntl_xtcp(fd, w, cmd, arg) : xp_real.fcntl(fd, cmd, arg);
    if (w && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC))
        xp_copied(fd, rc);
    return rc;
}
XP_ALIAS(fcntl);

XP_EXPORT int fcntl64(int fd, int cmd, ...) __attribute__((alias("fcntl")));

static int unsent(struct xtcp *x, int s)
{
    struct tcp_info t = {0};
    socklen_t len = sizeof t;
    int rc = xtcp_outq(x, s);
    if (rc >= 0)
        rc = xtcp_getsockopt(x, s, IPPROTO_TCP, TCP_INFO, &t, &len);
    return rc < 0 ? rc : (int)t.tcpi_notsent_bytes;
}

static int put_int(void *arg, int v)
{
    if (v < 0)
        return v;
    if (xp_is_nowhere(arg, sizeof v))
        return -EFAULT;
    *(int *)arg = v;
    return 0;
}

static int ioctl_xtcp(int fd, uint64_t w, unsigned long req, void *arg)
{
    struct xtcp *x = xp_x(w);
    int s = xp_sock(w);
    switch (req) {
    case FIONBIO:
        if (xp_is_nowhere(arg, sizeof(int)))
            return (int)xp_ret(-EFAULT);
        if (xp_flags(w) & XP_F_PAIR)
            xp_real.ioctl(fd, req, arg);
        return (int)xp_ret(xtcp_set_nonblock(x, s, *(int *)arg != 0));
    case FIONREAD:
        return (int)xp_ret(put_int(arg, xtcp_inq(x, s)));
    case SIOCOUTQ:
        return (int)xp_ret(put_int(arg, xtcp_outq(x, s)));
    case SIOCOUTQNSD:
        return (int)xp_ret(put_int(arg, unsent(x, s)));
    case SIOCATMARK:
        return (int)xp_ret(put_int(arg, xtcp_at_mark(x, s)));
    case FIOCLEX:
    case FIONCLEX:
        return remember_cloexec(fd, req == FIOCLEX, xp_real.ioctl(fd, req, arg));
    case FIOASYNC:
    case FIOSETOWN:
    case FIOGETOWN:
    case SIOCSPGRP:
    case SIOCGPGRP:
        return xp_async_ioctl(fd, w, req, arg);
    default:
        /* The placeholder is a socket too: it knows FIOCLEX and the interface requests, and that it is no terminal. */
        return xp_real.ioctl(fd, req, arg);
    }
}

XP_EXPORT int ioctl(int fd, unsigned long req, ...)
{
    uint64_t w;
    va_list ap;
    void *arg;
    va_start(ap, req);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (req == FIONBIO && xp_is_bare(xp_get(fd)) && !xp_is_nowhere(arg, sizeof(int)) &&
        xp_bare_set_nonblock(fd, *(int *)arg != 0))
        return 0;
    return xp_is_xtcp(fd, &w) ? ioctl_xtcp(fd, w, req, arg) : xp_real.ioctl(fd, req, arg);
}
XP_ALIAS(ioctl);

/* Placeholders are copies of one socket: the number tells two sockets apart, and stays when one is relayed. */
XP_EXPORT int fstat(int fd, struct stat *st)
{
    uint64_t w, cookie;
    socklen_t len = sizeof cookie;
    xp_settle(fd);
    int rc = xp_real.fstat(fd, st);
    if (rc == 0 && (xp_is_xtcp(fd, &w) || xp_relay_known(w)) &&
        xtcp_getsockopt(xp_x(w), xp_sock(w), SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0)
        st->st_ino = cookie;
    return rc;
}

XP_EXPORT int fstat64(int fd, struct stat64 *st) __attribute__((alias("fstat")));

XP_EXPORT int sockatmark(int fd)
{
    int mark;
    return ioctl(fd, SIOCATMARK, &mark) < 0 ? -1 : mark;
}

/* Closes the program's descriptors of the range and steps over the library's own. */
static int close_span(unsigned first, unsigned last, int flags)
{
    unsigned start = first;
    int rc = 0;
    if (first > last)
        return (int)xp_ret(-EINVAL);
    for (int fd = first < XP_FDS ? xp_next((int)first) : -1; fd >= 0 && (unsigned)fd <= last; fd = xp_next(fd + 1)) {
        if (xp_kind(xp_get(fd)) != XP_OWN) {
            xp_release(fd);
            continue;
        }
        if ((unsigned)fd > start)
            rc = xp_real.close_range(start, (unsigned)fd - 1, flags);
        start = (unsigned)fd + 1;
    }
    return rc < 0 || start > last ? rc : xp_real.close_range(start, last, flags);
}

static int span_cloexec(unsigned first, unsigned last, int flags)
{
    int rc = xp_real.close_range(first, last, flags);
    for (int fd = first < XP_FDS ? xp_next((int)first) : -1; rc == 0 && fd >= 0 && (unsigned)fd <= last;
         fd = xp_next(fd + 1))
        xp_set_flags(fd, XP_F_CLOEXEC);
    return rc;
}

XP_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    if (flags & CLOSE_RANGE_UNSHARE)
        xp_kept_end();
    if (xp_bystander)
        return xp_real.close_range(first, last, flags);
    return flags & CLOSE_RANGE_CLOEXEC ? span_cloexec(first, last, flags) : close_span(first, last, flags);
}
XP_ALIAS(close_range);

XP_EXPORT void closefrom(int low)
{
    close_range(low < 0 ? 0 : (unsigned)low, ~0u, 0);
}
