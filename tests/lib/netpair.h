/* SPDX-License-Identifier: Apache-2.0
 * Two private network namespaces joined by a veth pair, for tests and benches that send raw frames. The namespaces
 * have no names: they go when the process goes, however it ends. */
#ifndef XT_TESTS_LIB_NETPAIR_H
#define XT_TESTS_LIB_NETPAIR_H

#include <stdbool.h>
#include <stddef.h>

#define XT_NETPAIR_OWN "xt0"  /* in the namespace that the caller is in from then on */
#define XT_NETPAIR_PEER "xt1" /* in the other one */

struct xt_netpair {
    int own, peer; /* namespace descriptors, for xt_netpair_enter() */
};

/* Moves the calling thread to a new namespace and makes the pair, both ends up, without IPv6. Call it before
 * threads are made. Returns 0; -EPERM when namespaces can't be made here (a reason to skip); else a negative
 * errno. A line in `err`. */
int xt_netpair_make(struct xt_netpair *np, unsigned mtu, char *err, size_t errlen);

/* Moves the calling thread; sockets keep the namespace they were made in. Returns 0 or a negative errno. */
int xt_netpair_enter(int ns);

/* Sets an interface of the current namespace up or down. Returns 0 or a negative errno. */
int xt_netpair_set_up(const char *ifname, bool up);

/* Runs `ip ARGS...` in the current namespace. Returns 0, or -EIO when it fails. */
int xt_netpair_ip(const char *args);

#endif
