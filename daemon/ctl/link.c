/* SPDX-License-Identifier: Apache-2.0
 * The interface's link and MTU and the kernel's addresses, watched: what becomes of them is logged, and of the link shown.
 * Connections do not care, but for an interface that was removed and made again: the packet socket is the old one's, and a new
 * stack process opens another. */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/ctl/internal.h"
#include "daemon/ctl/netif.h"

enum { UP, NO_CARRIER, DOWN, REMOVED };
static const char *const names[] = {"up", "no carrier", "down", "removed"};

/* The interface of that name now, by its number. The kernel takes such questions on any socket. */
static unsigned look(const struct xt_ctl *c, int *ifindex)
{
    struct ifreq ifr = {0};
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", c->cfg.config.interface);
    if (ioctl(c->link.fd, SIOCGIFINDEX, &ifr) < 0)
        return REMOVED;
    *ifindex = ifr.ifr_ifindex;
    if (ioctl(c->link.fd, SIOCGIFFLAGS, &ifr) < 0)
        return REMOVED;
    return !(ifr.ifr_flags & IFF_UP) ? DOWN : !(ifr.ifr_flags & IFF_RUNNING) ? NO_CARRIER : UP;
}

/* DHCP or an administrator may give the kernel our address: peers that learn its MAC address then are answered by it. */
static void look_at_addresses(struct xt_ctl *c)
{
    char why[512];
    int rc = xt_netif_check_address(&c->cfg.config, why, sizeof why);
    bool shared = rc == -EADDRINUSE;
    if ((rc < 0 && !shared) || shared == c->link.shared)
        return;
    c->link.shared = shared;
    if (shared)
        xt_log_warn("address conflict with this host: %s", why);
    else
        xt_log_info("the kernel has our address no more");
}

/* Told once for each size that is too small. */
static void look_at_mtu(struct xt_ctl *c)
{
    const struct xt_config *cfg = &c->cfg.config;
    struct ifreq ifr = {0};
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", cfg->interface);
    if (ioctl(c->link.fd, SIOCGIFMTU, &ifr) < 0 || ifr.ifr_mtu == c->link.mtu)
        return;
    c->link.mtu = ifr.ifr_mtu;
    if (ifr.ifr_mtu < cfg->mtu)
        xt_log_warn(
            "interface %s has an MTU of %d now, less than our mtu of %u: 'xtcpctl config set mtu %d', should it stay",
            cfg->interface, ifr.ifr_mtu, cfg->mtu, ifr.ifr_mtu);
}

static void on_change(uv_poll_t *h, int status, int events)
{
    struct xt_ctl *c = h->data;
    char buf[8192];
    int ifindex = c->link.ifindex;
    /* That something changed is all that is taken from it. */
    while (recv(c->link.fd, buf, sizeof buf, 0) >= 0 || errno == ENOBUFS)
        ;
    unsigned now = look(c, &ifindex);
    if (ifindex != c->link.ifindex && (now == UP || now == NO_CARRIER)) {
        xt_log_warn("interface %s was made anew: another stack process takes over there", c->cfg.config.interface);
        kill(getpid(), SIGKILL); /* this is not a crash, and its successor goes on at once */
    }
    if (ifindex != c->link.ifindex)
        now = REMOVED; /* until it is up, too */
    if (now != c->link.state)
        xt_log(now == UP ? XT_LOG_INFO : XT_LOG_WARN, "interface %s: %s", c->cfg.config.interface, names[now]);
    c->link.state = now;
    look_at_addresses(c);
    look_at_mtu(c);
}

static int open_watch(struct xt_ctl *c)
{
    const struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR};
    c->link.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (c->link.fd < 0)
        return -errno;
    int rc = bind(c->link.fd, (const struct sockaddr *)&to, sizeof to) < 0 ? -errno : 0;
    if (rc == 0)
        rc = uv_poll_init(&c->loop, &c->link.poll, c->link.fd);
    if (rc < 0) {
        close(c->link.fd);
        c->link.fd = -1;
    }
    return rc;
}

int xt_link_start(struct xt_ctl *c)
{
    int rc = open_watch(c);
    if (rc < 0) {
        xt_log_warn("interface %s is not watched: %s", c->cfg.config.interface, strerror(-rc));
        return xt_ctl_is_want(-rc) ? rc : 0;
    }
    c->link.state = look(c, &c->link.ifindex);
    c->link.poll.data = c;
    uv_poll_start(&c->link.poll, UV_READABLE, on_change);
    return 0;
}

static void on_closed(uv_handle_t *h)
{
    close(((struct xt_ctl *)h->data)->link.fd);
}

void xt_link_stop(struct xt_ctl *c)
{
    if (c->link.fd >= 0)
        uv_close((uv_handle_t *)&c->link.poll, on_closed);
}

const char *xt_link_state(const struct xt_ctl *c)
{
    return c->link.fd < 0 ? "unknown" : names[c->link.state];
}
