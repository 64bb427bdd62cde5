/* SPDX-License-Identifier: Apache-2.0
 * Many connections, each between hosts of its own, that come and go and share the bottleneck of each direction. */
#ifndef XT_TEST_CROWD_H
#define XT_TEST_CROWD_H

#include "tests/sim/net.h"

#define CROWD_MAX 50

struct crowd {
    unsigned n;
    struct net net[CROWD_MAX];
    uint64_t next[CROWD_MAX]; /* net_next() of each */
    struct bottleneck neck[2];
    char failure[240];
};

/* Is the run of this seed a crowd? */
bool crowd_wants(uint64_t seed);

/* What the seed means. */
void crowd_print(uint64_t seed);

/* Runs one seed to its end; true when nothing failed. */
bool crowd_run(struct crowd *c, uint64_t seed, struct trace *trace);

#endif
