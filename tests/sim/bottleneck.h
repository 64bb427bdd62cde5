/* SPDX-License-Identifier: Apache-2.0
 * The queue in front of a rate limit, as a router has it: first in, first out, full it drops what comes, and above a
 * threshold it marks packets whose sender understands marks (RFC 3168 section 5). One may serve many connections. */
#ifndef XT_TEST_BOTTLENECK_H
#define XT_TEST_BOTTLENECK_H

#include <stdbool.h>
#include <stdint.h>

#define ECN_CE 3

struct bottleneck {
    uint64_t rate;  /* bits per second */
    uint32_t depth; /* bytes that wait at most */
    uint32_t mark;  /* bytes waiting from which on packets are marked; 0: never */
    uint64_t busy_until;
    uint64_t drops, marks;
};

/* A packet of `len` bytes comes at `now` (microseconds) with the ECN bits `*ecn`, which may become CE. False:
 * dropped; else `*leaves` is when its last bit has left. */
bool bottleneck_pass(struct bottleneck *b, uint64_t now, uint64_t len, uint8_t *ecn, uint64_t *leaves);

#endif
