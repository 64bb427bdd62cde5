/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ctl/netif.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/siphash.h"

struct reply {
    char *err;
    size_t len;
};

static int fail(const struct reply *r, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(const struct reply *r, int rc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->err, r->len, fmt, ap);
    va_end(ap);
    return rc;
}

void xt_netif_derive_mac(const uint8_t ifmac[6], uint32_t addr, uint8_t out[6])
{
    static const struct xt_key fixed = {
        {'x', 't', 'c', 'p', ' ', 'm', 'a', 'c'}}; /* no secret: the same at every start */
    uint8_t in[10];
    memcpy(in, ifmac, 6);
    memcpy(in + 6, &addr, 4);
    uint64_t h = xt_siphash(&fixed, in, sizeof in);
    out[0] = 0x02;
    memcpy(out + 1, &h, 5);
}

/* What the kernel says of the interface. */
struct link {
    uint8_t mac[6];
    uint32_t mtu;
    short flags;
    unsigned short type;
};

static int read_link(int sock, const char *name, struct link *l)
{
    struct ifreq req = {0};
    snprintf(req.ifr_name, sizeof req.ifr_name, "%s", name);
    if (ioctl(sock, SIOCGIFHWADDR, &req) < 0)
        return -errno;
    memcpy(l->mac, req.ifr_hwaddr.sa_data, 6);
    l->type = req.ifr_hwaddr.sa_family;
    if (ioctl(sock, SIOCGIFFLAGS, &req) < 0)
        return -errno;
    l->flags = req.ifr_flags;
    if (ioctl(sock, SIOCGIFMTU, &req) < 0)
        return -errno;
    l->mtu = (uint32_t)req.ifr_mtu;
    return 0;
}

static int find_link(const char *name, struct link *l, const struct reply *r)
{
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return fail(r, -errno, "cannot ask about interfaces: %s", strerror(errno));
    int rc = read_link(sock, name, l);
    close(sock);
    if (rc == -ENODEV)
        return fail(r, rc, "there is no interface '%s' here: 'ip link' lists those of this network namespace", name);
    return rc < 0 ? fail(r, rc, "cannot read interface '%s': %s", name, strerror(-rc)) : 0;
}

static int check_link(const struct xt_config *c, const struct link *l, const struct reply *r)
{
    if (l->flags & IFF_LOOPBACK)
        return fail(r, -EINVAL, "interface '%s' is the loopback: an Ethernet interface is wanted", c->interface);
    if (l->type != ARPHRD_ETHER)
        return fail(r, -EINVAL, "interface '%s' is not Ethernet", c->interface);
    if (!(l->flags & IFF_UP))
        return fail(r, -ENETDOWN, "interface '%s' is down: 'ip link set %s up' first", c->interface, c->interface);
    if (c->mtu > l->mtu)
        return fail(r, -EINVAL, "mtu %u is more than that of interface '%s' (%u): lower the one or raise the other",
                    c->mtu, c->interface, l->mtu);
    if (l->mtu < 576)
        return fail(r, -EINVAL, "interface '%s' has an MTU of %u: at least 576 is wanted", c->interface, l->mtu);
    return 0;
}

int xt_netif_check_address(const struct xt_config *c, char *err, size_t errlen)
{
    const struct reply r = {err, errlen};
    struct ifaddrs *all;
    int rc = 0;
    if (getifaddrs(&all) < 0)
        return fail(&r, -errno, "cannot list the kernel's addresses: %s", strerror(errno));
    for (struct ifaddrs *i = all; i && rc == 0; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in sin, mask = {0};
        char text[INET_ADDRSTRLEN];
        memcpy(&sin, i->ifa_addr, sizeof sin);
        if (i->ifa_netmask)
            memcpy(&mask, i->ifa_netmask, sizeof mask);
        if (sin.sin_addr.s_addr != c->address.addr)
            continue;
        inet_ntop(AF_INET, &sin.sin_addr, text, sizeof text);
        rc =
            fail(&r, -EADDRINUSE,
                 "address %s belongs to the kernel on interface '%s': choose a free one, or 'ip addr del %s/%d dev %s'",
                 text, i->ifa_name, text, __builtin_popcount(mask.sin_addr.s_addr), i->ifa_name);
    }
    freeifaddrs(all);
    return rc;
}

int xt_netif_check_rights(char *err, size_t errlen)
{
    const struct reply r = {err, errlen};
    int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (sock < 0 && (errno == EPERM || errno == EACCES))
        return fail(&r, -EPERM, "no right to open packet sockets: run as root, or 'setcap cap_net_raw+ep' on xtcpd");
    if (sock < 0)
        return fail(&r, -errno, "cannot open a packet socket: %s", strerror(errno));
    close(sock);
    return 0;
}

int xt_netif_check(struct xt_config *c, char *err, size_t errlen)
{
    static const uint8_t zero[6];
    const struct reply r = {err, errlen};
    struct link l = {0};
    int rc = find_link(c->interface, &l, &r);
    if (rc == 0)
        rc = check_link(c, &l, &r);
    if (rc == 0)
        rc = xt_netif_check_address(c, err, errlen);
    if (rc < 0)
        return rc;
    if (memcmp(c->mac, zero, 6) == 0)
        xt_netif_derive_mac(l.mac, c->address.addr, c->mac);
    if (memcmp(c->mac, l.mac, 6) == 0)
        return fail(&r, -EINVAL, "mac is that of interface '%s' itself: choose another, or auto", c->interface);
    if (!c->mtu)
        c->mtu = (uint16_t)(l.mtu > 65535 ? 65535 : l.mtu);
    return 0;
}

/* Whether who listens on the name may keep others from serving. Who cannot be asked, its queue being full, may not. */
static bool heeded(int fd, const struct sockaddr_un *name, socklen_t len)
{
    struct ucred who;
    socklen_t size = sizeof who;
    return connect(fd, (const struct sockaddr *)name, len) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && (who.uid == 0 || who.uid == geteuid());
}

int xt_netif_claim(const struct xt_config *c, char *err, size_t errlen)
{
    const struct reply r = {err, errlen};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char addr[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &c->address.addr, addr, sizeof addr);
    int n = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "xtcpd/%s/%s", c->interface, addr);
    socklen_t len = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)n;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(&r, -errno, "cannot make a socket: %s", strerror(errno));
    if (bind(fd, (const struct sockaddr *)&name, len) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    if (errno != EADDRINUSE || !heeded(fd, &name, len))
        return fd;
    close(fd);
    return fail(&r, -EADDRINUSE, "another xtcpd serves %s on interface '%s': stop it, or choose another address", addr,
                c->interface);
}
