/* SPDX-License-Identifier: Apache-2.0
 * Settings of scripts in the kernel's words: sysctls of the namespace and attributes of the route. */
#ifndef PKT_KERNEL_SETUP_H
#define PKT_KERNEL_SETUP_H

#include "tests/packet/script/script.h"

struct kernel_setup {
    char congestion[16]; /* only the host itself may make any of them a namespace's default */
    bool no_quickack;    /* ACKs are delayed from the start */
};

/* In the stack's namespace. NULL, or what can't be done. */
const char *kernel_setup_apply(struct kernel_setup *k, const struct pkt_script *s);

/* The first setting that the kernel has nothing for; NULL when there is none. */
const char *kernel_setup_lacks(const struct pkt_script *s);

#endif
