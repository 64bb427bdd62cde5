/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/netpair.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int xt_netpair_ip(const char *args)
{
    char cmd[512];

    snprintf(cmd, sizeof cmd, "ip %s", args);
    return system(cmd) == 0 ? 0 : -EIO;
}

int xt_netpair_enter(int ns)
{
    return setns(ns, CLONE_NEWNET) == 0 ? 0 : -errno;
}

int xt_netpair_set_up(const char *ifname, bool up)
{
    struct ifreq ifr = {0};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

    if (s < 0)
        return -errno;
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", ifname);
    if (ioctl(s, SIOCGIFFLAGS, &ifr) == 0) {
        ifr.ifr_flags = (short)(up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP);
        rc = ioctl(s, SIOCSIFFLAGS, &ifr) == 0 ? 0 : -errno;
    } else {
        rc = -errno;
    }
    close(s);
    return rc;
}

/* Else the kernel would send router solicitations and the like into the test. */
static void disable_ipv6(void)
{
    static const char *const paths[] = {"/proc/sys/net/ipv6/conf/all/disable_ipv6",
                                        "/proc/sys/net/ipv6/conf/default/disable_ipv6"};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        int fd = open(paths[i], O_WRONLY | O_CLOEXEC);

        if (fd < 0)
            continue; /* no IPv6 in this kernel */
        if (write(fd, "1", 1) != 1)
            fprintf(stderr, "%s: %s\n", paths[i], strerror(errno));
        close(fd);
    }
}

static int new_ns(void)
{
    int fd;

    if (unshare(CLONE_NEWNET) != 0)
        return -errno;
    disable_ipv6();
    fd = open("/proc/thread-self/ns/net", O_RDONLY); /* `ip` is to inherit it */
    return fd < 0 ? -errno : fd;
}

int xt_netpair_make(struct xt_netpair *np, unsigned mtu, char *err, size_t errlen)
{
    char args[256];
    int rc;

    np->peer = new_ns();
    np->own = np->peer < 0 ? np->peer : new_ns();
    if (np->own < 0) {
        snprintf(err, errlen, "no new network namespace: %s", strerror(-np->own));
        return np->own;
    }
    snprintf(args, sizeof args,
             "link add " XT_NETPAIR_OWN " mtu %u type veth peer name " XT_NETPAIR_PEER " mtu %u netns /proc/self/fd/%d",
             mtu, mtu, np->peer);
    rc = xt_netpair_ip(args);
    if (rc == 0)
        rc = xt_netpair_set_up(XT_NETPAIR_OWN, true);
    if (rc == 0)
        rc = xt_netpair_enter(np->peer);
    if (rc == 0) {
        rc = xt_netpair_set_up(XT_NETPAIR_PEER, true);
        if (xt_netpair_enter(np->own) != 0)
            rc = -EIO;
    }
    if (rc != 0)
        snprintf(err, errlen, "making a veth pair: %s", strerror(-rc));
    return rc;
}
