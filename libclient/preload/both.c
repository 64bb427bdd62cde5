/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/both.h"

#include <string.h>

#include "libclient/preload/preload.h"

/* Descriptors + 1, by context and socket. */
static _Atomic int halves[XP_CTXS][XT_BITMAP_MAX];

static _Atomic int *place_of(uint64_t w)
{
    return &halves[xp_ctxno(w)][xp_value(w)];
}

int xp_half(uint64_t w)
{
    return xp_flags(w) & XP_F_BOTH ? atomic_load_explicit(place_of(w), memory_order_relaxed) - 1 : -1;
}

int xp_half_new(int fd)
{
    int half = xp_make_own(xp_real.fcntl(fd, F_DUPFD_CLOEXEC, 0)), flags;
    if (half < 0)
        return -errno;
    flags = xp_real.fcntl(half, F_GETFL);
    xp_real.fcntl(half, F_SETFL, flags | O_NONBLOCK);
    return half;
}

void xp_half_put(uint64_t w, int half)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(place_of(w), &none, half + 1))
        xp_disown(half);
}

void xp_half_close(uint64_t w)
{
    int half = xp_flags(w) & XP_F_BOTH ? atomic_exchange(place_of(w), 0) - 1 : -1;
    if (half >= 0)
        xp_disown(half);
}

bool xp_half_listens(uint64_t w)
{
    int on = 0;
    socklen_t len = sizeof on;
    return xp_half(w) >= 0 && xp_real.getsockopt(xp_half(w), SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

static bool is_same(uint64_t v, uint64_t w)
{
    return xp_kind(v) == XP_XTCP && xp_ctxno(v) == xp_ctxno(w) && xp_value(v) == xp_value(w);
}

/* Its members of epoll sets: as long as it does not listen the halves have the same to tell, and the second would be an edge too
 * many. */
static void watch(uint64_t w, bool on)
{
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1))
        if (is_same(xp_get(fd), w) && xp_in_set(xp_get(fd)))
            xp_sets_half(fd, on);
}

void xp_half_drop(uint64_t w)
{
    XP_NO_CANCEL();
    watch(w, false);
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1))
        if (is_same(xp_get(fd), w))
            xp_clear_flags(fd, XP_F_BOTH);
    xp_half_close(w);
}

/* Puts the kernel's socket under `fd`, as the program had it. */
static void give_back(int fd, uint64_t v, int half)
{
    int flags = xp_real.fcntl(fd, F_GETFD);
    xp_real.dup3(half, fd, flags >= 0 && flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    if (xp_in_set(v))
        xp_sets_relayed(fd);
    xp_put(fd, 0);
}

void xp_half_only(uint64_t w)
{
    int half = xp_half(w), saved = errno;
    if (half < 0)
        return;
    XP_NO_CANCEL();
    xp_spread_end(w);
    if (!xtcp_get_nonblock(xp_x(w), xp_sock(w)))
        xp_real.fcntl(half, F_SETFL, xp_real.fcntl(half, F_GETFL) & ~O_NONBLOCK);
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1)) {
        uint64_t v = xp_get(fd);
        if (!is_same(v, w))
            continue;
        give_back(fd, v, half);
        if (xp_unref(xp_ctxno(v), xp_value(v))) {
            xp_sets_gone(v);
            xtcp_close(xp_x(v), xp_sock(v));
        }
    }
    xp_half_close(w);
    errno = saved;
}

int xp_listen(uint64_t w, int backlog)
{
    int on = 0, rc;
    socklen_t len = sizeof on;
    xtcp_getsockopt(xp_x(w), xp_sock(w), SOL_SOCKET, SO_ACCEPTCONN, &on, &len);
    rc = xp_half(w) >= 0 ? xp_half_listen(w, backlog) : xtcp_listen(xp_x(w), xp_sock(w), backlog);
    if (rc == 0 && !on)
        xp_spread_begin(w, backlog);
    else if (rc == 0)
        xp_spread_again(w, backlog);
    return rc;
}

int xp_half_listen(uint64_t w, int backlog)
{
    int half = xp_half(w), rc;
    bool before = xp_half_listens(w);
    if (xp_real.listen(half, backlog) < 0)
        return -errno;
    rc = xtcp_listen(xp_x(w), xp_sock(w), backlog);
    if (rc < 0 && !before)
        xp_real.shutdown(half, SHUT_RDWR); /* it stays bound */
    if (rc == 0 && !before)
        watch(w, true);
    return rc;
}

void xp_half_shutdown(uint64_t w, int how)
{
    xp_real.shutdown(xp_half(w), how);
    if (!xp_half_listens(w))
        watch(w, false);
}

void xp_half_disconnect(uint64_t w)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    bool before = xp_half_listens(w);
    xp_real.connect(xp_half(w), &none, sizeof none);
    if (before)
        watch(w, false);
}

/* Neither side's connections starve the other's: they take turns. But a kernel's half that had none when it was last asked, which
 * costs a system call, is asked first only now and then. */
static int accept_any(uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags,
                      int (*accept_xtcp)(uint64_t, struct sockaddr *, socklen_t *, int))
{
    static _Atomic unsigned turn;
    static _Atomic bool idle;
    if (xp_half(w) < 0)
        return accept_xtcp(w, addr, alen, flags);
    unsigned n = atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed);
    bool kernel = n % (atomic_load_explicit(&idle, memory_order_relaxed) ? 16 : 2) == 0;
    int r = -EAGAIN;
    for (unsigned i = 0; i < 2 && r == -EAGAIN; i++, kernel = !kernel) {
        if (!kernel) {
            r = accept_xtcp(w, addr, alen, flags);
            continue;
        }
        r = xp_accept_kernel(xp_half(w), addr, alen, flags);
        atomic_store_explicit(&idle, r == -EAGAIN, memory_order_relaxed);
    }
    return r;
}

int xp_half_accept(int fd, uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags,
                   int (*accept_xtcp)(uint64_t, struct sockaddr *, socklen_t *, int))
{
    int timeo = xp_timeo_ms(w, SO_RCVTIMEO);
    struct timespec ts = {.tv_sec = timeo / 1000, .tv_nsec = timeo % 1000 * 1000000L};
    int64_t end = xp_deadline(timeo ? &ts : NULL);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int r = accept_any(w, addr, alen, flags, accept_xtcp);
        if (r != -EAGAIN || xtcp_get_nonblock(xp_x(w), xp_sock(w)))
            return r;
        r = xp_poll(&p, 1, xp_left(end, &ts), NULL);
        if (r < 0 && !(r == -EINTR && !timeo && xtcp_restarts()))
            return r;
        if (r == 0)
            return -EAGAIN;
        if (!xp_is_xtcp(fd, &w)) /* xtcpd went meanwhile */
            return xp_accept_kernel(fd, addr, alen, flags);
    }
}
