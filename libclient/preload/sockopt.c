/* SPDX-License-Identifier: Apache-2.0
 * Socket options: what a socket was given before it was decided whose it is, and those of xtcp's. */
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>

#include "libclient/preload/both.h"
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

uint32_t xp_plain_options(void)
{
    uint32_t set = 0;
    for (unsigned i = 0; i < NCARRIED; i++) {
        bool sizes = carried[i].name == SO_RCVLOWAT || carried[i].name == SO_SNDBUF || carried[i].name == SO_RCVBUF;
        if (carried[i].level == SOL_SOCKET ? !sizes : carried[i].level == IPPROTO_TCP && carried[i].name == TCP_NODELAY)
            set |= 1u << carried_bit(i);
    }
    return set;
}

bool xp_on_another_device(int fd, uint64_t w, const struct xtcp *x)
{
    char name[IFNAMSIZ] = "";
    socklen_t len = sizeof name;
    return xp_kind(w) == XP_UNDECIDED && xp_value(w) >> SELDOM & 1 &&
           xp_real.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) == 0 && *name &&
           strcmp(name, xtcp_interface(x)) != 0;
}

void xp_carry_options(int fd, uint64_t w, struct xtcp *x, int s)
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

void xp_copy_options(struct xtcp *x, int s, struct xtcp *y, int t)
{
    char val[64], other[64];
    for (unsigned i = 0; i < NCARRIED; i++) {
        socklen_t len = sizeof val, olen = sizeof other;
        if (xtcp_getsockopt(x, s, carried[i].level, carried[i].name, val, &len) < 0 ||
            (xtcp_getsockopt(y, t, carried[i].level, carried[i].name, other, &olen) == 0 && len == olen &&
             memcmp(val, other, len) == 0))
            continue;
        if (carried[i].level == SOL_SOCKET && (carried[i].name == SO_SNDBUF || carried[i].name == SO_RCVBUF)) {
            int doubled;
            memcpy(&doubled, val, sizeof doubled);
            doubled /= 2;
            memcpy(val, &doubled, sizeof doubled);
        }
        xtcp_setsockopt(y, t, carried[i].level, carried[i].name, val, len);
    }
}

static int put_int(int v, void *val, socklen_t *len)
{
    if (!val || !len)
        return -EFAULT;
    if (*len > sizeof v)
        *len = sizeof v;
    memcpy(val, &v, *len);
    return 0;
}

/* ---- of relayed connections ---- */

/* What the pair's own socket knows: time-outs, buffers, errors, its type. */
static bool is_own_option(int level, int name)
{
    return level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO || name == SO_RCVLOWAT ||
                                   name == SO_TYPE || name == SO_SNDBUF || name == SO_RCVBUF);
}

int xp_relay_getsockopt(int fd, uint64_t w, int level, int name, void *val, socklen_t *len)
{
    if (level == SOL_SOCKET && name == SO_DOMAIN)
        return put_int(xp_flags(w) & XP_F_INET6 ? AF_INET6 : AF_INET, val, len);
    if (level == SOL_SOCKET && name == SO_PROTOCOL)
        return put_int(IPPROTO_TCP, val, len);
    if (is_own_option(level, name))
        return xp_real.getsockopt(fd, level, name, val, len) < 0 ? -errno : 0;
    if (xp_relay_known(w))
        return xtcp_getsockopt(xp_x(w), xp_sock(w), level, name, val, len);
    if (level == IPPROTO_TCP && (name == TCP_INFO || name == TCP_CONGESTION))
        return -ENOPROTOOPT; /* only the daemon could tell */
    if (level == IPPROTO_IP && name == IP_OPTIONS && val && len) {
        *len = 0; /* none: sshd turns away who sends some */
        return 0;
    }
    if (level == IPPROTO_TCP || level == IPPROTO_IP)
        return put_int(0, val, len);
    return xp_real.getsockopt(fd, level, name, val, len) < 0 ? -errno : 0;
}

int xp_relay_setsockopt(int fd, uint64_t w, int level, int name, const void *val, socklen_t len)
{
    if (is_own_option(level, name))
        return xp_real.setsockopt(fd, level, name, val, len) < 0 ? -errno : 0;
    if (xp_relay_known(w))
        return xtcp_setsockopt(xp_x(w), xp_sock(w), level, name, val, len);
    if (level == IPPROTO_TCP || level == IPPROTO_IP)
        return 0; /* no way to the connection from here; none of them changes what arrives */
    return xp_real.setsockopt(fd, level, name, val, len) < 0 ? -errno : 0;
}

/* ---- of xtcp's sockets ---- */

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
        if (xp_spreading)
            xp_spread_setsockopt(w, level, name, val, len);
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
