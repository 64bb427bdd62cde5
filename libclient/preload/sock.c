/* SPDX-License-Identifier: Apache-2.0
 * Making sockets, deciding whose they are, and their names. */
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>

#include "libclient/preload/both.h"
#include "libclient/preload/decide.h"
#include "libclient/preload/preload.h"

#define BIND_TRIES 32 /* ports asked of xtcp until the kernel has it too */

XP_EXPORT int socket(int domain, int type, int protocol)
{
    bool tcp = (type & 0xf) == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
    int fd = domain == AF_INET && tcp ? xp_bare_socket(type) : -1, rc;
    if (fd >= 0)
        return fd;
    xp_kept_make_room(0);
    fd = xp_real.socket(domain, type, protocol);
    xp_kept_see(fd);
    if (fd < 0 || (domain != AF_INET && domain != AF_INET6) || !tcp || (unsigned)fd >= XP_FDS || xp_bystander)
        return fd;
    rc = xp_attach();
    if (rc >= 0) {
        xp_put(fd, xp_word(XP_UNDECIDED, 0, domain == AF_INET6 ? XP_F_INET6 : 0, 0));
    } else if (rc != -EAGAIN) {
        xp_real.close(fd);
        return (int)xp_ret(rc);
    }
    return fd;
}
XP_ALIAS(socket);

void xp_adopt(int fd)
{
    struct sockaddr_in6 in6 = {0};
    int domain = 0, protocol = 0;
    socklen_t len = sizeof domain;
    if (xp_real.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || (domain != AF_INET && domain != AF_INET6))
        return;
    len = sizeof protocol;
    if (xp_real.getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0 || protocol != IPPROTO_TCP)
        return;
    len = sizeof in6; /* the port is at the same place in both families */
    if (xp_real.getsockname(fd, (struct sockaddr *)&in6, &len) == 0 && in6.sin6_port == 0)
        xp_put(fd, xp_word(XP_UNDECIDED, 0, domain == AF_INET6 ? XP_F_INET6 : 0, xp_plain_options()));
}

/* Gives descriptor `fd` to the xtcp socket of word `w`. */
static int put_placeholder(int fd, uint64_t w)
{
    int fdflags = xp_real.fcntl(fd, F_GETFD), rc;
    uint64_t old = xp_get(fd);
    /* First the word: between the two steps another thread meets the xtcp socket, not a dead descriptor. */
    xp_ref(xp_ctxno(w), xp_value(w));
    xp_put(fd, w);
    if (xp_in_set(w))
        xp_sets_moved(fd, w);
    rc = xp_placeholder(fd, fdflags >= 0 && (fdflags & FD_CLOEXEC));
    if (rc < 0) {
        xp_unref(xp_ctxno(w), xp_value(w));
        xp_put(fd, old);
        return rc;
    }
    if (fdflags >= 0)
        xp_swap(fd, &w, w | XP_F_PLAIN | (fdflags & FD_CLOEXEC ? XP_F_CLOEXEC : 0));
    return 0;
}

/* Every other descriptor of the same undecided socket follows it. */
static void move_copies(int fd, ino_t ino, uint64_t w)
{
    for (int i = xp_next(0); i >= 0; i = xp_next(i + 1)) {
        struct stat st;
        uint64_t other = xp_get(i);
        if (i == fd || xp_kind(other) != XP_UNDECIDED || !(xp_flags(other) & XP_F_DUPED))
            continue;
        if (fstat(i, &st) == 0 && st.st_ino == ino)
            put_placeholder(i, (w & ~(uint64_t)XP_F_INSET) | (xp_flags(other) & XP_F_INSET));
    }
}

/* An xtcp socket with the options of an undecided one. The socket or -errno; *ctx is its context. */
static int counterpart(int fd, uint64_t w, int *ctx)
{
    int flags = xp_call_fcntl(fd, F_GETFL), s;
    *ctx = xp_attach();
    if (*ctx < 0)
        return *ctx == -EAGAIN ? -ENETDOWN : *ctx;
    s = xtcp_socket(xp_ctxs[*ctx]);
    /* Only now it shows that the daemon has gone: there may be another. */
    if (s == -ECONNABORTED && (*ctx = xp_attach()) >= 0)
        s = xtcp_socket(xp_ctxs[*ctx]);
    if (s < 0)
        return s;
    xp_carry_options(fd, w, xp_ctxs[*ctx], s);
    if (flags >= 0 && (flags & O_NONBLOCK))
        xtcp_set_nonblock(xp_ctxs[*ctx], s, true);
    return s;
}

/* The undecided socket becomes xtcp socket `s`, which is closed when it cannot; *w becomes its word. 0 or -errno. */
static int become(int fd, uint64_t *w, int ctx, int s, unsigned more_flags)
{
    struct stat st;
    uint64_t old = *w;
    int rc;
    *w = xp_word(XP_XTCP, (unsigned)ctx, (xp_flags(old) & (XP_F_INET6 | XP_F_V6ONLY | XP_F_INSET)) | more_flags,
                 (uint32_t)s);
    if (xp_is_bare(old)) {
        *w |= old & (XP_F_PLAIN | XP_F_CLOEXEC);
        xp_ref(xp_ctxno(*w), xp_value(*w));
        xp_put(fd, *w);
        return 0;
    }
    if ((xp_flags(old) & XP_F_DUPED) && fstat(fd, &st) < 0)
        st.st_ino = 0;
    int flags = xp_real.fcntl(fd, F_GETFL);
    int was = flags >= 0 && (flags & O_ASYNC || xp_real.fcntl(fd, F_GETOWN) != 0) ? xp_real.dup(fd) : -1;
    rc = put_placeholder(fd, *w);
    if (was >= 0) {
        if (rc == 0)
            xp_async_carry(fd, *w, was);
        xp_real.close(was);
    }
    if (rc < 0) {
        xtcp_close(xp_ctxs[ctx], s);
        return rc;
    }
    if (xp_flags(old) & XP_F_DUPED)
        move_copies(fd, st.st_ino, *w);
    return 0;
}

static int take_over(int fd, uint64_t *w)
{
    XP_NO_CANCEL();
    int ctx, s = counterpart(fd, *w, &ctx);
    return s < 0 ? s : become(fd, w, ctx, s, 0);
}

/* A non-blocking socket with no options becomes an xtcp socket that connects, by one command. What connect() shall answer. */
static int open_at_once(int fd, uint64_t *w, const struct sockaddr_in *in)
{
    XP_NO_CANCEL();
    int ctx = xp_attach(), s = -1, rc = -ENETDOWN, put;
    if (ctx >= 0)
        rc = xtcp_open(xp_ctxs[ctx], (const struct sockaddr *)in, sizeof *in, &s);
    if (rc == -ECONNABORTED && (ctx = xp_attach()) >= 0)
        rc = xtcp_open(xp_ctxs[ctx], (const struct sockaddr *)in, sizeof *in, &s);
    if (s < 0)
        return rc;
    put = become(fd, w, ctx, s, 0);
    return put < 0 ? put : rc;
}

/* Has it nothing that must be told before it connects, and is it in no set? Then who waits could miss what happens before. */
static bool may_open(int fd, uint64_t w)
{
    int flags = xp_value(w) == 0 && !(xp_flags(w) & XP_F_INSET) ? xp_call_fcntl(fd, F_GETFL) : -1;
    return flags >= 0 && (flags & (O_NONBLOCK | O_ASYNC)) == O_NONBLOCK;
}

/* Of a listener that was handed on, and that everybody has let go of, xtcpd may still have the kernel's half. */
static int bind_half(int fd, struct xtcp *x, const struct sockaddr *sa, socklen_t len)
{
    int rc = xp_real.bind(fd, sa, len) < 0 ? -errno : 0;
    if (rc == -EADDRINUSE && xtcp_settle(x) == 0)
        rc = xp_real.bind(fd, sa, len) < 0 ? -errno : 0;
    return rc;
}

/* Binds both: the xtcp socket first, as it may be made again when the kernel does not have the port that was chosen. Returns the xtcp
 * socket or -errno; the kernel's is then as it was. */
static int bind_pair(int fd, uint64_t w, const struct sockaddr_in *in, int *ctx)
{
    struct sockaddr_in6 k = {.sin6_family =
                                 xp_flags(w) & XP_F_INET6 ? AF_INET6 : AF_INET}; /* the port is at one place in both */
    socklen_t len = xp_flags(w) & XP_F_INET6 ? sizeof k : sizeof *in;
    int rc = 0;
    for (int tries = 0; tries < BIND_TRIES; tries++) {
        struct sockaddr_in local = {0};
        socklen_t local_len = sizeof local;
        int s = counterpart(fd, w, ctx);
        if (s < 0)
            return s;
        rc = xtcp_bind(xp_ctxs[*ctx], s, (const struct sockaddr *)in, sizeof *in);
        if (rc == 0)
            rc = xtcp_getsockname(xp_ctxs[*ctx], s, (struct sockaddr *)&local, &local_len);
        k.sin6_port = local.sin_port;
        bool halfway = rc == 0;
        if (halfway && (rc = bind_half(fd, xp_ctxs[*ctx], (struct sockaddr *)&k, len)) == 0)
            return s;
        xtcp_close(xp_ctxs[*ctx], s);
        if (!halfway || rc != -EADDRINUSE || in->sin_port)
            break;
    }
    return rc;
}

static int bind_both(int fd, uint64_t *w, const struct sockaddr_in *in)
{
    XP_NO_CANCEL();
    int ctx, s = bind_pair(fd, *w, in, &ctx), half;
    if (s < 0)
        return s;
    half = xp_half_new(fd);
    if (half < 0) {
        xtcp_close(xp_ctxs[ctx], s);
        return half;
    }
    uint64_t both = xp_word(XP_XTCP, (unsigned)ctx, XP_F_BOTH, (uint32_t)s);
    xp_half_put(both, half); /* before the word says that there is one */
    int rc = become(fd, w, ctx, s, XP_F_BOTH);
    if (rc < 0)
        xp_half_close(both);
    return rc;
}

/* The socket is the kernel's for ever. */
static void leave(int fd, uint64_t w)
{
    if (xp_in_set(w))
        xp_sets_closed(fd, false);
    xp_put(fd, 0);
}

/* Whose it shall be, and a debug line that says so. */
static enum xt_place decide(int fd, uint64_t w, bool listening, const struct sockaddr *addr, socklen_t len,
                            struct sockaddr_in *in)
{
    char why[XP_WHY] = "no daemon";
    enum xt_place place = XT_PLACE_KERNEL;
    bool inet6 = (xp_flags(w) & XP_F_INET6) != 0;
    int ctx = xp_attach();
    *in = (struct sockaddr_in){0};
    if (ctx >= 0 && (!addr || (xp_flags(w) & XP_F_V6ONLY) || !xp_addr_v4(addr, len, listening && inet6, in) ||
                     (addr->sa_family == AF_INET) == inet6))
        strcpy(why, "not an IPv4 address");
    else if (ctx >= 0 && xp_on_another_device(fd, w, xp_ctxs[ctx]))
        strcpy(why, "bound to another device");
    else if (ctx >= 0)
        place = xp_decide(xp_ctxs[ctx], listening, in, why, sizeof why);
    uint32_t h = ntohl(in->sin_addr.s_addr);
    xp_debug("fd %d: %s (%s %u.%u.%u.%u:%u, %s)", fd, xt_place_name(place), listening ? "listen" : "connect", h >> 24,
             h >> 16 & 255, h >> 8 & 255, h & 255, ntohs(in->sin_port), why);
    return place;
}

/* Old programs leave the family out; Linux lets them, for the wildcard address of AF_INET. */
static bool lacks_family(uint64_t w, const struct sockaddr *addr, socklen_t len)
{
    return addr && len >= sizeof(struct sockaddr_in) && addr->sa_family == AF_UNSPEC && !(xp_flags(w) & XP_F_INET6) &&
           ((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr == htonl(INADDR_ANY);
}

XP_EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_in in, any;
    uint64_t w;
    int rc;
    bool ours = xp_is_xtcp(fd, &w);
    if ((ours || xp_kind(w) == XP_UNDECIDED) && lacks_family(w, addr, len)) {
        memcpy(&any, addr, sizeof any);
        any.sin_family = AF_INET;
        addr = (const struct sockaddr *)&any;
        len = sizeof any;
    }
    if (ours) {
        if (!xp_addr_v4(addr, len, (xp_flags(w) & XP_F_INET6) != 0, &in))
            return (int)xp_ret(addr && len >= sizeof in ? -EAFNOSUPPORT : -EINVAL);
        return (int)xp_ret(xtcp_bind(xp_x(w), xp_sock(w), (struct sockaddr *)&in, sizeof in));
    }
    if (xp_kind(w) != XP_UNDECIDED || xp_bystander)
        return xp_real.bind(fd, addr, len);
    switch (decide(fd, w, true, addr, len, &in)) {
    case XT_PLACE_KERNEL:
        rc = xp_real.bind(fd, addr, len);
        if (rc == 0)
            leave(fd, w);
        return rc;
    case XT_PLACE_BOTH:
        return (int)xp_ret(bind_both(fd, &w, &in));
    case XT_PLACE_XTCP:
        break;
    }
    rc = take_over(fd, &w);
    return (int)xp_ret(rc < 0 ? rc : xtcp_bind(xp_x(w), xp_sock(w), (struct sockaddr *)&in, sizeof in));
}
XP_ALIAS(bind);

/* Without a bind before, any port at the wildcard address. */
static int listen_undecided(int fd, uint64_t w, int backlog)
{
    struct sockaddr_in6 any = {.sin6_family = xp_flags(w) & XP_F_INET6 ? AF_INET6 : AF_INET};
    struct sockaddr_in in;
    int rc = 0;
    switch (decide(fd, w, true, (struct sockaddr *)&any, sizeof any, &in)) {
    case XT_PLACE_KERNEL:
        leave(fd, w);
        return xp_real.listen(fd, backlog) < 0 ? -errno : 0;
    case XT_PLACE_BOTH:
        in.sin_family = AF_INET;
        rc = bind_both(fd, &w, &in);
        return rc < 0 ? rc : xp_listen(w, backlog);
    case XT_PLACE_XTCP:
        rc = take_over(fd, &w);
        break;
    }
    return rc < 0 ? rc : xp_listen(w, backlog);
}

XP_EXPORT int listen(int fd, int backlog)
{
    uint64_t w;
    if (xp_is_xtcp(fd, &w))
        return (int)xp_ret(xp_listen(w, backlog));
    if (xp_kind(w) != XP_UNDECIDED || xp_bystander)
        return xp_real.listen(fd, backlog);
    return (int)xp_ret(listen_undecided(fd, w, backlog));
}
XP_ALIAS(listen);

/* A socket bound to the wildcard address connects: to whom decides which half it keeps. False: the kernel's. */
static bool choose_half(int fd, uint64_t *w, const struct sockaddr *addr, socklen_t len, struct sockaddr_in *in)
{
    if (xp_half_listens(*w))
        return true; /* an error */
    if (decide(fd, *w, false, addr, len, in) == XT_PLACE_KERNEL) {
        xp_half_only(*w);
        return false;
    }
    xp_half_drop(*w);
    *w = xp_get(fd);
    return true;
}

/* `at_once`: by connect(), which has nothing more to do when *rc is not 0. */
static bool to_connect(int fd, const struct sockaddr *addr, socklen_t len, bool at_once, uint64_t *w,
                       struct sockaddr_in *in, int *rc)
{
    *rc = 0;
    *w = xp_get(fd);
    if (!xp_is_bare(*w) && xp_is_xtcp(fd, w)) {
        if (xp_half(*w) >= 0 && addr && !choose_half(fd, w, addr, len, in))
            return false;
        if (!xp_addr_v4(addr, len, false, in))
            *rc = addr && len >= sizeof *in ? -EAFNOSUPPORT : -EINVAL;
        return true;
    }
    if (xp_kind(*w) != XP_UNDECIDED || xp_bystander)
        return false;
    if (decide(fd, *w, false, addr, len, in) == XT_PLACE_KERNEL) {
        if (xp_is_bare(*w))
            xp_bare_make(fd);
        leave(fd, *w);
        return false;
    }
    *rc = at_once && may_open(fd, *w) ? open_at_once(fd, w, in) : take_over(fd, w);
    return true;
}

bool xp_to_connect(int fd, const struct sockaddr *addr, socklen_t len, uint64_t *w, struct sockaddr_in *in, int *rc)
{
    return to_connect(fd, addr, len, false, w, in, rc);
}

/* connect() to no family, or to nothing at all, decides nothing about a socket that is undecided. */
static int disconnect(int fd, const struct sockaddr *none, socklen_t len)
{
    uint64_t w;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.connect(fd, none, len);
    if (xp_half(w) >= 0 && len >= sizeof(sa_family_t))
        xp_half_disconnect(w);
    if (len >= sizeof(sa_family_t))
        xp_spread_end(w);
    return (int)xp_ret(xtcp_connect(xp_x(w), xp_sock(w), none, len));
}

XP_EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_in in;
    uint64_t w;
    int rc;
    pthread_testcancel();
    if (addr && (len < sizeof(sa_family_t) || addr->sa_family == AF_UNSPEC))
        return disconnect(fd, addr, len);
    if (!to_connect(fd, addr, len, true, &w, &in, &rc))
        return xp_real.connect(fd, addr, len);
    if (rc >= 0)
        rc = xtcp_connect(xp_x(w), xp_sock(w), (struct sockaddr *)&in, sizeof in);
    if (rc < 0 && rc != -EINPROGRESS && rc != -EALREADY)
        xp_debug("fd %d: connect: %s", fd, strerror(-rc));
    return (int)xp_ret(rc);
}
XP_ALIAS(connect);

XP_EXPORT int shutdown(int fd, int how)
{
    uint64_t w;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.shutdown(fd, how);
    if (xp_mask(w) & XTCP_MOVED) { /* the relay may still have bytes that were written before */
        xp_go_over(w);
        return xp_real.shutdown(fd, how);
    }
    if (xp_half(w) >= 0)
        xp_half_shutdown(w, how);
    if (how == SHUT_RD || how == SHUT_RDWR)
        xp_spread_end(w);
    return (int)xp_ret(xtcp_shutdown(xp_x(w), xp_sock(w), how));
}
XP_ALIAS(shutdown);

static int name_of(int (*get)(struct xtcp *, int, struct sockaddr *, socklen_t *), uint64_t w, struct sockaddr *addr,
                   socklen_t *alen)
{
    struct sockaddr_in in = {0};
    socklen_t len = sizeof in;
    int rc = get(xp_x(w), xp_sock(w), (struct sockaddr *)&in, &len);
    if (rc < 0)
        return rc;
    if (!addr || !alen)
        return -EFAULT;
    xp_addr_out(&in, (xp_flags(w) & XP_F_INET6) != 0, addr, alen);
    return 0;
}

static int relay_name_of(int fd, uint64_t w, bool remote, struct sockaddr *addr, socklen_t *alen)
{
    struct sockaddr_in in;
    int rc = addr && alen ? xp_relay_name(fd, remote, &in) : -EFAULT;
    if (rc == 0)
        xp_addr_out(&in, (xp_flags(w) & XP_F_INET6) != 0, addr, alen);
    return (int)xp_ret(rc);
}

XP_EXPORT int getsockname(int fd, struct sockaddr *addr, socklen_t *alen)
{
    uint64_t w;
    if (xp_is_xtcp(fd, &w))
        return (int)xp_ret(name_of(xtcp_getsockname, w, addr, alen));
    return xp_kind(w) == XP_RELAY ? relay_name_of(fd, w, false, addr, alen) : xp_real.getsockname(fd, addr, alen);
}
XP_ALIAS(getsockname);

XP_EXPORT int getpeername(int fd, struct sockaddr *addr, socklen_t *alen)
{
    uint64_t w;
    if (xp_is_xtcp(fd, &w))
        return (int)xp_ret(name_of(xtcp_getpeername, w, addr, alen));
    return xp_kind(w) == XP_RELAY ? relay_name_of(fd, w, true, addr, alen) : xp_real.getpeername(fd, addr, alen);
}
XP_ALIAS(getpeername);
