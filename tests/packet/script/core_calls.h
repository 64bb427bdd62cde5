/* SPDX-License-Identifier: Apache-2.0
 * The socket calls of scripts on the bare core: one connection, one listener, in plain memory. */
#ifndef PKT_CORE_CALLS_H
#define PKT_CORE_CALLS_H

#include "tests/packet/script/run.h"
#include "tests/sim/endpoint.h"

struct core_sock {
    struct ep listener, conn;
    bool listening;
    bool alive;    /* conn is a connection, perhaps one that has ended but whose socket is still held */
    bool accepted; /* the application holds it */
    bool untold;   /* connect has not told that it succeeded */
    bool shut_rd;
    struct xt_tcp_sockopt opt; /* set before there is a connection */
    struct xt_tcp_cfg cfg;
    uint32_t rx_size, tx_size, iss;
    uint64_t now;
    struct {
        struct xt_fo_cookie known; /* of the peer's */
        uint8_t key[XT_FO_KEYS];   /* the newer first */
        bool connect, no_cookie;   /* options set */
        bool sending;              /* a sendto is connecting */
    } fo;                          /* Fast Open */
    void (*emit)(struct ep *e, const struct xt_seg *seg);
    void *arg;
};

void core_sock_input(struct core_sock *s, const struct xt_seg *seg);
void core_sock_icmp(struct core_sock *s, uint32_t seq, int err, uint32_t mtu);
long core_sock_call(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e);

/* -EINPROGRESS, or 0 when the SYN waits for data. */
long core_sock_connect(struct core_sock *s);

/* Forgets a connection that has ended and that nobody holds. */
void core_sock_settle(struct core_sock *s);
void core_sock_end(struct core_sock *s);

#endif
