/* SPDX-License-Identifier: Apache-2.0
 * What the daemon knows of a connection as Linux's struct tcp_info has it. */
#ifndef XTCP_TCPINFO_H
#define XTCP_TCPINFO_H

#include <linux/tcp.h>

#include "proto/xt_shm.h"

#define XTCP_TCP_INFO_WORDS 62

/* As large as Linux 6.12 fills it; the kernel's headers may know less. */
struct xtcp_tcp_info {
    union {
        struct tcp_info t;
        uint32_t word[XTCP_TCP_INFO_WORDS];
    };
};

void xtcp_tcp_info_fill(struct xtcp_tcp_info *out, const struct xt_tcp_info_abi *a);

#endif
