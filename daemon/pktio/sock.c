/* SPDX-License-Identifier: Apache-2.0
 * The packet socket: checks of the interface, options, binding, fan-out. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/fanout.h"
#include "daemon/pktio/internal.h"

/* Bytes the kernel may hold for us in device queues; a send beyond that fails and TCP sees a lost packet. */
#define SNDBUF (32 << 20)
/* Without a mapped ring frames wait in the socket's queue, charged with their full memory. */
#define RCVBUF (32 << 20)

int xt_pktio_ifindex(const char *ifname, char *err, size_t errlen)
{
    struct ifreq ifr = {0};
    int rc = 0, s, index;

    if (ifname == NULL || ifname[0] == '\0' || strlen(ifname) >= IFNAMSIZ)
        return xt_pktio_fail(err, errlen, -EINVAL, "interface name '%s' is empty or longer than %d characters",
                             ifname == NULL ? "" : ifname, IFNAMSIZ - 1);
    index = (int)if_nametoindex(ifname);
    if (index == 0)
        return xt_pktio_fail(err, errlen, -ENODEV, "no interface '%s' here; `ip link` lists the ones there are",
                             ifname);
    s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return xt_pktio_fail(err, errlen, -errno, "socket: %s", strerror(errno));
    memcpy(ifr.ifr_name, ifname, strlen(ifname));
    if (ioctl(s, SIOCGIFHWADDR, &ifr) != 0)
        rc = xt_pktio_fail(err, errlen, -errno, "interface '%s': %s", ifname, strerror(errno));
    else if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        rc = xt_pktio_fail(err, errlen, -EOPNOTSUPP, "interface '%s' is not Ethernet (hardware type %u)", ifname,
                           ifr.ifr_hwaddr.sa_family);
    else if (ioctl(s, SIOCGIFFLAGS, &ifr) != 0)
        rc = xt_pktio_fail(err, errlen, -errno, "interface '%s': %s", ifname, strerror(errno));
    else if ((ifr.ifr_flags & IFF_UP) == 0)
        rc = xt_pktio_fail(err, errlen, -ENETDOWN, "interface '%s' is not up; `ip link set %s up` mends it", ifname,
                           ifname);
    close(s);
    return rc != 0 ? rc : index;
}

/* The forced sizes need CAP_NET_ADMIN; what the plain ones allow is the next best. */
static void set_buffer(int fd, int force, int plain, int bytes)
{
    if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof bytes) != 0)
        setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof bytes);
}

static int set_options(int fd, const uint8_t mac[6], char *err, size_t errlen)
{
    const struct tpacket_req none = {0};
    const int on = 1;
    int rc;

    /* A socket from a process that died still has its ring. It goes first: the options below are refused with a
     * ring in place. What waited in it is lost, as on the wire. */
    if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &none, sizeof none) != 0)
        return xt_pktio_fail(err, errlen, -errno, "packet socket: its old ring can't be released: %s", strerror(errno));
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0)
        return xt_pktio_fail(err, errlen, -errno, "PACKET_VNET_HDR: %s", strerror(errno));
    if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0)
        return xt_pktio_fail(err, errlen, -errno, "PACKET_IGNORE_OUTGOING: %s (Linux 4.20 or newer is needed)",
                             strerror(errno));
    rc = xt_pktio_filter(fd, mac, NULL);
    if (rc != 0)
        return xt_pktio_fail(err, errlen, rc, "packet filter: %s", strerror(-rc));
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SNDBUF);
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, RCVBUF);
    return 0;
}

static bool is_packet_socket(int fd)
{
    int domain = 0, type = 0;
    socklen_t dlen = sizeof domain, tlen = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &dlen) == 0 && domain == AF_PACKET &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &tlen) == 0 && type == SOCK_RAW;
}

/* The fan-out group that the socket is in; 0: none. */
static unsigned group_of(int fd)
{
    int group = 0;
    socklen_t len = sizeof group;

    return getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, &len) == 0 ? (unsigned)group : 0;
}

int xt_pktio_socket(const struct xt_pktio_cfg *cfg, char *err, size_t errlen)
{
    int fd, rc;

    if (cfg->fd >= 0) {
        if (!is_packet_socket(cfg->fd))
            return xt_pktio_fail(err, errlen, -EINVAL, "the descriptor handed over is no raw packet socket");
        if (group_of(cfg->fd) == 0 && set_options(cfg->fd, cfg->mac, err, errlen) == 0)
            return cfg->fd;
        /* It cannot be bound again, or someone still has its ring mapped (EBUSY): a new socket does as well. In a group it gets the
         * place of the old one when that is closed. */
    }
    /* Protocol 0: nothing is received before bind(), so nothing gets by the filter. */
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EPERM)
        return xt_pktio_fail(
            err, errlen, -EPERM,
            "a packet socket needs the capability CAP_NET_RAW: run as root or give it that capability");
    if (fd < 0)
        return xt_pktio_fail(err, errlen, -errno, "packet socket: %s", strerror(errno));
    rc = set_options(fd, cfg->mac, err, errlen);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

/* A NIC delivers only frames to its own address unless told of ours; a driver without room for it gets
 * promiscuous. */
static int join(int fd, int ifindex, const uint8_t mac[6])
{
    struct packet_mreq mr = {.mr_ifindex = ifindex, .mr_type = PACKET_MR_UNICAST, .mr_alen = 6};

    memcpy(mr.mr_address, mac, 6);
    if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof mr) == 0)
        return 0;
    mr.mr_type = PACKET_MR_PROMISC;
    return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof mr) == 0 ? 0 : -errno;
}

int xt_pktio_bind(int fd, int ifindex, const struct xt_pktio_cfg *cfg, char *err, size_t errlen)
{
    struct sockaddr_ll sll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = ifindex};
    int rc;

    if (bind(fd, (const struct sockaddr *)&sll, sizeof sll) != 0)
        return xt_pktio_fail(err, errlen, -errno, "interface '%s': bind: %s", cfg->ifname, strerror(errno));
    rc = join(fd, ifindex, cfg->mac);
    if (rc != 0)
        return xt_pktio_fail(err, errlen, rc,
                             "interface '%s' takes no second address and can't be made promiscuous: %s", cfg->ifname,
                             strerror(-rc));
    return 0;
}

/* ---- fan-out ---- */

#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

/* xt_fanout(): the kernel takes what it computes modulo the number of sockets. Offsets are from the IPv4 header, where the program is
 * run; a fragment other than the first has no ports, and those of one datagram must meet. */
static int set_fanout_program(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 0, 16),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SKF_NET_OFF + 9),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 14),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, SKF_NET_OFF + 6),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 12, 0), /* a fragment */
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, SKF_NET_OFF),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, SKF_NET_OFF), /* the remote port */
        BPF_STMT(BPF_ST, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, SKF_NET_OFF + 2), /* the local one */
        BPF_STMT(BPF_LDX | BPF_MEM, 0),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_NET_OFF + 12), /* the remote address */
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, XT_FANOUT_FACTOR),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, XT_FANOUT_SHIFT),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog prog = {.len = sizeof code / sizeof code[0], .filter = code};

    return setsockopt(fd, SOL_PACKET, PACKET_FANOUT_DATA, &prog, sizeof prog) == 0 ? 0 : -errno;
}

/* Its own socket option does not count any more in a group; kernels before 5.16 take no flag for it, and the filter drops what leaves
 * here all the same. */
static int join_group(int fd, unsigned id, unsigned flags)
{
    unsigned group = id | (PACKET_FANOUT_CBPF | flags | PACKET_FANOUT_FLAG_IGNORE_OUTGOING) << 16;

    if (setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, sizeof group) == 0)
        return 0;
    group = id | (PACKET_FANOUT_CBPF | flags) << 16;
    return setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, sizeof group) == 0 ? 0 : -errno;
}

int xt_pktio_fanout(int fd, const struct xt_pktio_cfg *cfg, char *err, size_t errlen)
{
    unsigned group = cfg->group >= 0 ? group_of(cfg->group) : 0;
    int rc;

    if (group_of(fd) != 0)
        rc = 0;
    else
        rc = group != 0 ? join_group(fd, group & 0xffff, 0) : join_group(fd, 0, PACKET_FANOUT_FLAG_UNIQUEID);
    if (rc == 0)
        rc = set_fanout_program(fd); /* a group that another release has made may have another one */
    return rc == 0 ? 0 : xt_pktio_fail(err, errlen, rc, "packet socket: PACKET_FANOUT: %s", strerror(-rc));
}
