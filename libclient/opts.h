/* SPDX-License-Identifier: Apache-2.0
 * What of the options other files must know. */
#ifndef XTCP_OPTS_H
#define XTCP_OPTS_H

#include "proto/xt_shm.h"

/* Bits of slot.misc. */
enum {
    MISC_REUSEPORT = 0x1,
    MISC_FREEBIND = 0x2,
    MISC_TRANSPARENT = 0x4,
    MISC_NO_PORT = 0x8,
    MISC_BROADCAST = 0x10,
    MISC_TIMESTAMP = 0x20, /* 0x40 and 0x80: fastopen.h */
    MISC_RECVTOS = 0x100,
    MISC_RECVTTL = 0x200,
    MISC_PKTINFO = 0x400,
    MISC_RECVERR = 0x800,
    MISC_DONTROUTE = 0x1000,
};

/* What a bind asks of others at its port, as XT_OP_BIND has it. */
static inline uint32_t xtcp_port_claim(const struct xt_slot *sl)
{
    return (sl->reuse ? 1u : 0u) | (sl->misc & MISC_REUSEPORT ? 2u : 0u);
}

#endif
