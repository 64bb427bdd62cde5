/* SPDX-License-Identifier: Apache-2.0
 * Which of `n` shards the network's packets of a connection come to: what a filter of the kernel can compute, too (pktio/sock.c). The
 * same for both ends of a connection between two programs of one address. */
#ifndef XT_BASE_FANOUT_H
#define XT_BASE_FANOUT_H

#include <stdint.h>

#define XT_FANOUT_FACTOR 0x9e3779b1u
#define XT_FANOUT_SHIFT 24

/* `remote` in host byte order. */
static inline uint32_t xt_fanout(uint32_t n, uint32_t remote, uint16_t rport, uint16_t lport)
{
    return ((remote ^ rport ^ lport) * XT_FANOUT_FACTOR >> XT_FANOUT_SHIFT) % n;
}

#endif
