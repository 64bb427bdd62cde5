/* SPDX-License-Identifier: Apache-2.0
 * accept() and accept4(). */
#include "libclient/preload/both.h"
#include "libclient/preload/preload.h"

static int descriptor(int flags)
{
    bool cloexec = (flags & SOCK_CLOEXEC) != 0;
    int fd = xp_kept_take(cloexec);
    if (fd < 0) {
        fd = xp_placeholder(-1, cloexec);
        xp_kept_see(fd);
    }
    return fd;
}

/* accept4() on an xtcp listener, with a descriptor made before (-1: none). */
static int accept_to(int fd, uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags)
{
    struct xtcp *x = xp_x(w);
    struct sockaddr_in in = {0};
    socklen_t len = sizeof in;
    unsigned cloexec = flags & SOCK_CLOEXEC ? XP_F_CLOEXEC : 0;
    int s = xtcp_accept(x, xp_sock(w), (struct sockaddr *)&in, &len, flags & (SOCK_NONBLOCK | MSG_DONTWAIT));
    uint64_t word =
        xp_word(XP_XTCP, xp_ctxno(w), (xp_flags(w) & XP_F_INET6) | XP_F_PLAIN | cloexec, s < 0 ? 0 : (uint32_t)s);
    XP_NO_CANCEL();
    if (s >= 0 && fd < 0)
        fd = descriptor(flags);
    if (s >= 0 && fd >= (int)XP_FDS) {
        xp_real.close(fd);
        fd = -EMFILE;
    }
    if (s < 0 || fd < 0) {
        if (s >= 0)
            xtcp_close(x, s);
        if (fd >= 0 && !xp_keep(fd, word))
            xp_real.close(fd);
        return s < 0 ? s : fd;
    }
    xp_ref(xp_ctxno(w), (uint32_t)s);
    xp_put(fd, word);
    xp_addr_out(&in, (xp_flags(w) & XP_F_INET6) != 0, addr, alen);
    return fd;
}

/* The descriptor is made first when a connection waits: without a free descriptor the connection stays in the queue, as it does in the
 * kernel. If another takes that connection there is no descriptor while this thread waits for the next. */
static int accept_xtcp(uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags)
{
    if (xtcp_mask(xp_x(w), xp_sock(w)) & POLLIN) {
        XP_NO_CANCEL();
        int fd = descriptor(flags);
        if (fd < 0)
            return fd;
        fd = accept_to(fd, w, addr, alen, flags | MSG_DONTWAIT);
        if (fd != -EAGAIN || flags & MSG_DONTWAIT || xtcp_get_nonblock(xp_x(w), xp_sock(w)))
            return fd;
    }
    return accept_to(-1, w, addr, alen, flags);
}

static int accept_at_once(uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags)
{
    flags |= MSG_DONTWAIT;
    return xp_spreading ? xp_spread_accept(w, addr, alen, flags, accept_xtcp) : accept_xtcp(w, addr, alen, flags);
}

int xp_accept_kernel(int fd, struct sockaddr *addr, socklen_t *alen, int flags)
{
    int r = xp_real.accept4(fd, addr, alen, flags);
    if (r < 0 && errno == EMFILE && xp_kept_drop())
        r = xp_real.accept4(fd, addr, alen, flags);
    return r < 0 ? -errno : r;
}

XP_EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *alen, int flags)
{
    uint64_t w;
    if (xp_is_xtcp(fd, &w) && (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)))
        return (int)xp_ret(-EINVAL);
    if (xp_half(w) >= 0 && xp_mask(w) & XTCP_MOVED) {
        xp_go_over(w);
        w = 0;
    }
    if (xp_kind(w) != XP_XTCP || xp_bystander)
        return (int)xp_ret(xp_accept_kernel(fd, addr, alen, flags));
    pthread_testcancel();
    if (xp_half(w) >= 0 || (xp_spreading && xp_is_spread(w)))
        return (int)xp_ret(xp_half_accept(fd, w, addr, alen, flags, accept_at_once));
    return (int)xp_ret(accept_xtcp(w, addr, alen, flags));
}
XP_ALIAS(accept4);

XP_EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *alen)
{
    uint64_t w;
    if (xp_is_xtcp(fd, &w))
        return xp_call_accept4(fd, addr, alen, 0);
    int r = xp_real.accept(fd, addr, alen);
    return r < 0 && errno == EMFILE && xp_kept_drop() ? xp_real.accept(fd, addr, alen) : r;
}
XP_ALIAS(accept);
