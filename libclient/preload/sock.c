/* SPDX-License-Identifier: Apache-2.0
 * Making sockets, deciding whose they are, names and options. */
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>

#include "libclient/preload/both.h"
#include "libclient/preload/decide.h"
#include "libclient/preload/preload.h"

/* Options that an undecided socket remembers having been given; bit i of its word's value is entry i. The last bit stands for all
 * from there on: seldom set, and what is 0 of them was not set (or to what it was). */
static const struct {
    int level, name;
} carried[] = {
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_RCVTIMEO},
    {SOL_SOCKET, SO_SNDTIMEO},
    {SOL_SOCKET, SO_RCVLOWAT},
    {SOL_SOCKET, SO_SNDBUF},
    {SOL_SOCKET, SO_RCVBUF},
    {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_CORK},
    {IPPROTO_TCP, TCP_MAXSEG},
    {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL},
    {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_USER_TIMEOUT},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT},
    {IPPROTO_TCP, TCP_LINGER2},
    {IPPROTO_TCP, TCP_QUICKACK},
    {IPPROTO_TCP, TCP_SYNCNT},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP},
    {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_TCP, TCP_CONGESTION},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_OPTIONS},
    {IPPROTO_IP, IP_RECVERR},
    {SOL_SOCKET, SO_REUSEPORT},
    {IPPROTO_TCP, TCP_FASTOPEN},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT},
    {IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE},
    {IPPROTO_TCP, TCP_FASTOPEN_KEY},
    {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_PRIORITY},
    {SOL_SOCKET, SO_MARK},
    {SOL_SOCKET, SO_BUSY_POLL},
    {SOL_SOCKET, SO_DONTROUTE},
    {SOL_SOCKET, SO_BROADCAST},
    {SOL_SOCKET, SO_TIMESTAMP_OLD},
    {SOL_SOCKET, SO_TIMESTAMPNS_OLD},
    {SOL_SOCKET, SO_TIMESTAMP_NEW},
    {SOL_SOCKET, SO_TIMESTAMPNS_NEW}, /* after SO_TIMESTAMP_NEW, which says 1 then, too */
    {SOL_SOCKET, SO_MAX_PACING_RATE},
    {SOL_SOCKET, SO_BINDTODEVICE}, /* by SO_BINDTOIFINDEX too */
    {SOL_SOCKET, SO_ZEROCOPY},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
    {IPPROTO_IP, IP_FREEBIND},
    {IPPROTO_IP, IP_TRANSPARENT},
    {IPPROTO_IP, IP_RECVTOS},
    {IPPROTO_IP, IP_RECVTTL},
    {IPPROTO_IP, IP_PKTINFO},
    {IPPROTO_IP, IP_MINTTL},
    {IPPROTO_TCP, TCP_INQ},
    {IPPROTO_TCP, TCP_SAVE_SYN},
};
#define NCARRIED (sizeof carried / sizeof carried[0])
#define SELDOM 31 /* the first of those that share a bit */

static unsigned carried_bit(unsigned i)
{
    return i < SELDOM ? i : SELDOM;
}

#define BIND_TRIES 32 /* ports asked of xtcp until the kernel has it too */

XP_EXPORT int socket(int domain, int type, int protocol)
{
    int fd = xp_real.socket(domain, type, protocol), rc;
    if (fd < 0 || (domain != AF_INET && domain != AF_INET6) || (type & 0xf) != SOCK_STREAM ||
        (protocol != 0 && protocol != IPPROTO_TCP) || (unsigned)fd >= XP_FDS || xp_bystander)
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

/* Options whose defaults do no harm when they are set, for a socket of which nobody here knows what was set. */
static uint32_t plain_options(void)
{
    uint32_t set = 0;
    for (unsigned i = 0; i < NCARRIED; i++) {
        bool sizes = carried[i].name == SO_RCVLOWAT || carried[i].name == SO_SNDBUF || carried[i].name == SO_RCVBUF;
        if (carried[i].level == SOL_SOCKET ? !sizes : carried[i].level == IPPROTO_TCP && carried[i].name == TCP_NODELAY)
            set |= 1u << carried_bit(i);
    }
    return set;
}

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
        xp_put(fd, xp_word(XP_UNDECIDED, 0, domain == AF_INET6 ? XP_F_INET6 : 0, plain_options()));
}

static void carry_options(int fd, uint64_t w, struct xtcp *x, int s)
{
    char val[64];
    for (unsigned i = 0; i < NCARRIED; i++) {
        socklen_t len = sizeof val;
        if (!(xp_value(w) >> carried_bit(i) & 1) ||
            xp_real.getsockopt(fd, carried[i].level, carried[i].name, val, &len) < 0)
            continue;
        if (i >= SELDOM && len == sizeof(int) && memcmp(val, &(int){0}, sizeof(int)) == 0)
            continue;
        if (carried[i].level == SOL_SOCKET && (carried[i].name == SO_SNDBUF || carried[i].name == SO_RCVBUF)) {
            int doubled; /* the kernel's answer is twice what was asked for */
            memcpy(&doubled, val, sizeof doubled);
            doubled /= 2;
            memcpy(val, &doubled, sizeof doubled);
        }
        int rc = xtcp_setsockopt(x, s, carried[i].level, carried[i].name, val, len);
        if (rc < 0)
            xp_debug("fd %d: option %d/%d not carried over: %s", fd, carried[i].level, carried[i].name, strerror(-rc));
    }
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
    int flags = xp_real.fcntl(fd, F_GETFL), s;
    *ctx = xp_attach();
    if (*ctx < 0)
        return *ctx == -EAGAIN ? -ENETDOWN : *ctx;
    s = xtcp_socket(xp_ctxs[*ctx]);
    /* Only now it shows that the daemon has gone: there may be another. */
    if (s == -ECONNABORTED && (*ctx = xp_attach()) >= 0)
        s = xtcp_socket(xp_ctxs[*ctx]);
    if (s < 0)
        return s;
    carry_options(fd, w, xp_ctxs[*ctx], s);
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
    int flags = xp_value(w) == 0 && !(xp_flags(w) & XP_F_INSET) ? xp_real.fcntl(fd, F_GETFL) : -1;
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

/* Has SO_BINDTODEVICE named an interface that xtcp has not? The kernel takes what it is given by name or by number. */
static bool on_another_device(int fd, uint64_t w, const struct xtcp *x)
{
    char name[IFNAMSIZ] = "";
    socklen_t len = sizeof name;
    return xp_kind(w) == XP_UNDECIDED && xp_value(w) >> SELDOM & 1 &&
           xp_real.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) == 0 && *name &&
           strcmp(name, xtcp_interface(x)) != 0;
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
    else if (ctx >= 0 && on_another_device(fd, w, xp_ctxs[ctx]))
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
        return rc < 0 ? rc : xp_half_listen(w, backlog);
    case XT_PLACE_XTCP:
        rc = take_over(fd, &w);
        break;
    }
    return rc < 0 ? rc : xtcp_listen(xp_x(w), xp_sock(w), backlog);
}

XP_EXPORT int listen(int fd, int backlog)
{
    uint64_t w;
    if (xp_is_xtcp(fd, &w))
        return (int)xp_ret(xp_half(w) >= 0 ? xp_half_listen(w, backlog) : xtcp_listen(xp_x(w), xp_sock(w), backlog));
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
    if (xp_is_xtcp(fd, w)) {
        if (xp_half(*w) >= 0 && addr && !choose_half(fd, w, addr, len, in))
            return false;
        if (!xp_addr_v4(addr, len, false, in))
            *rc = addr && len >= sizeof *in ? -EAFNOSUPPORT : -EINVAL;
        return true;
    }
    if (xp_kind(*w) != XP_UNDECIDED || xp_bystander)
        return false;
    if (decide(fd, *w, false, addr, len, in) == XT_PLACE_KERNEL) {
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
    return (int)xp_ret(rc < 0 ? rc : xtcp_connect(xp_x(w), xp_sock(w), (struct sockaddr *)&in, sizeof in));
}
XP_ALIAS(connect);

/* accept4() on an xtcp listener, with a descriptor made before (-1: none). */
static int accept_to(int fd, uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags)
{
    struct xtcp *x = xp_x(w);
    struct sockaddr_in in = {0};
    socklen_t len = sizeof in;
    int s = xtcp_accept(x, xp_sock(w), (struct sockaddr *)&in, &len, flags & (SOCK_NONBLOCK | MSG_DONTWAIT));
    XP_NO_CANCEL();
    if (s >= 0 && fd < 0)
        fd = xp_placeholder(-1, (flags & SOCK_CLOEXEC) != 0);
    if (s >= 0 && fd >= (int)XP_FDS) {
        xp_real.close(fd);
        fd = -EMFILE;
    }
    if (s < 0 || fd < 0) {
        if (s >= 0)
            xtcp_close(x, s);
        if (fd >= 0)
            xp_real.close(fd);
        return s < 0 ? s : fd;
    }
    xp_ref(xp_ctxno(w), (uint32_t)s);
    xp_put(fd, xp_word(XP_XTCP, xp_ctxno(w), xp_flags(w) & XP_F_INET6, (uint32_t)s));
    xp_addr_out(&in, (xp_flags(w) & XP_F_INET6) != 0, addr, alen);
    return fd;
}

/* The descriptor is made first when a connection waits: without a free descriptor the connection stays in the queue, as it does in the
 * kernel. If another takes that connection there is no descriptor while this thread waits for the next. */
static int accept_xtcp(uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags)
{
    if (xtcp_mask(xp_x(w), xp_sock(w)) & POLLIN) {
        XP_NO_CANCEL();
        int fd = xp_placeholder(-1, (flags & SOCK_CLOEXEC) != 0);
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
    return accept_xtcp(w, addr, alen, flags | MSG_DONTWAIT);
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
        return xp_real.accept4(fd, addr, alen, flags);
    pthread_testcancel();
    return (int)xp_ret(xp_half(w) >= 0 ? xp_half_accept(fd, w, addr, alen, flags, accept_at_once)
                                       : accept_xtcp(w, addr, alen, flags));
}
XP_ALIAS(accept4);

XP_EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *alen)
{
    uint64_t w;
    return xp_is_xtcp(fd, &w) ? xp_call_accept4(fd, addr, alen, 0) : xp_real.accept(fd, addr, alen);
}
XP_ALIAS(accept);

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

static int put_int(int v, void *val, socklen_t *len)
{
    if (!val || !len)
        return -EFAULT;
    if (*len > sizeof v)
        *len = sizeof v;
    memcpy(val, &v, *len);
    return 0;
}

/* IPPROTO_IPV6 options: an AF_INET6 socket has them for show, an AF_INET socket must not (programs probe with them). */
static int get_ipv6_option(uint64_t w, int name, void *val, socklen_t *len)
{
    if (!(xp_flags(w) & XP_F_INET6))
        return -EOPNOTSUPP;
    return put_int(name == IPV6_V6ONLY ? (xp_flags(w) & XP_F_V6ONLY) != 0 : 0, val, len);
}

/* A line in the log for an option that is not known, once. */
static int known(int rc, const char *call, int level, int name)
{
    static _Atomic uint64_t seen[64]; /* those told of; when it is full, nothing is told any more */
    if (rc != -ENOPROTOOPT)
        return rc;
    uint64_t this = (uint64_t)(uint32_t)level << 32 | (uint32_t)name | 1ULL << 31, none;
    for (unsigned i = 0; i < sizeof seen / sizeof seen[0]; i++) {
        none = 0;
        if (atomic_compare_exchange_strong(&seen[i], &none, this)) {
            xp_debug("%s: option %d/%d is not known here: ENOPROTOOPT", call, level, name);
            break;
        }
        if (none == this)
            break;
    }
    return rc;
}

XP_EXPORT int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
    uint64_t w;
    if (!xp_is_xtcp(fd, &w))
        return xp_kind(w) == XP_RELAY ? (int)xp_ret(xp_relay_getsockopt(fd, w, level, name, val, len))
                                      : xp_real.getsockopt(fd, level, name, val, len);
    if (level == IPPROTO_IPV6)
        return (int)xp_ret(get_ipv6_option(w, name, val, len));
    if (level == SOL_SOCKET && name == SO_DOMAIN)
        return (int)xp_ret(put_int(xp_flags(w) & XP_F_INET6 ? AF_INET6 : AF_INET, val, len));
    return (int)xp_ret(known(xtcp_getsockopt(xp_x(w), xp_sock(w), level, name, val, len), "getsockopt", level, name));
}
XP_ALIAS(getsockopt);

static void remember_option(int fd, int level, int name, const void *val, socklen_t len)
{
    uint64_t w = xp_get(fd);
    for (unsigned i = 0; i < NCARRIED; i++)
        if (carried[i].level == level && carried[i].name == name)
            xp_put(fd, w | 1ULL << (32 + carried_bit(i)));
    if (level == SOL_SOCKET && name == SO_BINDTOIFINDEX)
        xp_put(fd, w | 1ULL << (32 + SELDOM));
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && len >= sizeof(int)) {
        int on;
        memcpy(&on, val, sizeof on);
        xp_put(fd, on ? w | XP_F_V6ONLY : w & ~(uint64_t)XP_F_V6ONLY);
    }
}

XP_EXPORT int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
    uint64_t w;
    int rc;
    if (xp_is_xtcp(fd, &w)) {
        if (xp_half(w) >= 0)
            xp_real.setsockopt(xp_half(w), level, name, val, len);
        if (level == IPPROTO_IPV6)
            return (int)xp_ret(!(xp_flags(w) & XP_F_INET6) ? -ENOPROTOOPT : name == IPV6_V6ONLY ? -EINVAL : 0);
        return (int)xp_ret(
            known(xtcp_setsockopt(xp_x(w), xp_sock(w), level, name, val, len), "setsockopt", level, name));
    }
    if (xp_kind(w) == XP_RELAY)
        return (int)xp_ret(xp_relay_setsockopt(fd, w, level, name, val, len));
    rc = xp_real.setsockopt(fd, level, name, val, len);
    if (rc == 0 && xp_kind(w) == XP_UNDECIDED)
        remember_option(fd, level, name, val, len);
    return rc;
}
XP_ALIAS(setsockopt);

int xp_timeo_ms(uint64_t w, int name)
{
    struct timeval tv = {0};
    socklen_t len = sizeof tv;
    if (xtcp_getsockopt(xp_x(w), xp_sock(w), SOL_SOCKET, name, &tv, &len) < 0)
        return 0;
    return (int)(tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000);
}
