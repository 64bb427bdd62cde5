/* SPDX-License-Identifier: Apache-2.0
 * The interface and the privileges that the configuration presumes. */
#ifndef XT_CTL_NETIF_H
#define XT_CTL_NETIF_H

#include "daemon/ctl/config.h"

/* Checks that the interface exists, is Ethernet and up, and that the kernel owns the address nowhere; fills `mac` and
 * `mtu` where they are automatic. Returns 0, or a negative errno with one line in `err` that says how to mend it:
 * -ENODEV, -EINVAL, -ENETDOWN, -EADDRINUSE or what a system call said. */
int xt_netif_check(struct xt_config *c, char *err, size_t errlen);

/* The last of these: the kernel would answer for an address of its own, with resets, so it must own it on no interface. */
int xt_netif_check_address(const struct xt_config *c, char *err, size_t errlen);

/* Likewise that packet sockets may be opened: -EPERM. To close one takes the kernel tens of milliseconds (a grace period of
 * RCU), so this is not for who succeeds another process. */
int xt_netif_check_rights(char *err, size_t errlen);

/* Two daemons with one address on one interface would reset each other's connections: the first has a name of this network
 * namespace for as long as the descriptor is open that this returns. -EADDRINUSE with a line in `err` when another one that is
 * root's or our own user's has it; a stranger's hold on the name hinders nobody. */
int xt_netif_claim(const struct xt_config *c, char *err, size_t errlen);

/* The automatic MAC address: locally administered, the same for the same interface MAC and address. */
void xt_netif_derive_mac(const uint8_t ifmac[6], uint32_t addr, uint8_t out[6]);

#endif
