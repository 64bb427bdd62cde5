/* SPDX-License-Identifier: Apache-2.0
 * The socket calls of scripts through libxtcp. */
#ifndef PKT_DAEMON_CALLS_H
#define PKT_DAEMON_CALLS_H

#include "libclient/xtcp.h"
#include "tests/packet/script/run.h"

struct daemon_sock {
    struct xtcp *x;
    int listener, conn; /* -1: none */
};

/* Once, without waiting. */
long daemon_sock_call(struct pkt_run *r, struct daemon_sock *s, const struct pkt_event *e);

/* May the call be made again when it did not return what was wanted? Only when it changed nothing. */
bool daemon_sock_may_repeat(const struct pkt_event *e, long result);

/* Name of the connection's state by TCP_INFO; NULL without a socket. */
const char *daemon_sock_state(struct daemon_sock *s);

#endif
