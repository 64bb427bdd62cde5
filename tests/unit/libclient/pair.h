/* SPDX-License-Identifier: Apache-2.0
 * A daemon, a context attached to it, and a connection of that context with itself. */
#ifndef XT_TEST_PAIR_H
#define XT_TEST_PAIR_H

#include "libclient/xtcp.h"
#include "tests/unit/app/daemon.h"

struct pair {
    struct daemon d;
    struct xtcp *x;
    int l, a, b; /* listener on PAIR_PORT, active end, accepted end */
};

#define PAIR_PORT 7000

/* Daemon and context; a listener with backlog 128. `cfg` NULL: defaults with 64 KiB rings. */
void pair_start(struct pair *p, const struct xt_app_cfg *cfg);
/* One connection: p->a and p->b. */
void pair_connect(struct pair *p);
/* Closes all, checks that the daemon has no connection, no session and no ring left, and ends it. */
void pair_stop(struct pair *p);

int pair_connect_new(struct pair *p);

/* As poll(2) of one socket without a time-out: sleeps until one of p->events (or an error) is there. False: a waiter failed. */
struct pollfd;
bool pair_poll(struct pair *p, struct pollfd *pfd);

#endif
