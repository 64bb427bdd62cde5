/* SPDX-License-Identifier: Apache-2.0
 * What backends in real time share: the scripted peer at its end of a veth, the calls, and a clock that forgives the runner for being late.
 * A backend's own record begins with it, and is the run's `impl`. */
#ifndef PKT_LIVE_H
#define PKT_LIVE_H

#include "tests/lib/netpair.h"
#include "tests/packet/script/queue.h"
#include "tests/packet/script/sock_calls.h"
#include "tests/packet/script/wirepeer.h"

#define PKT_PATIENCE_US 2000000 /* for things that take no time on an idle machine */
#define PKT_VETH_MTU 9000       /* the peer may send more than the 1500 that the stack keeps to */

struct pkt_live {
    struct pkt_wire *wire;
    struct pkt_queue sent;
    uint64_t t0;
    bool unseen; /* the stack may not have seen all that was injected */
    struct pkt_sock sock;
};

/* A pair of namespaces without offloads; the caller is in the stack's from then on. NULL, or why there is none. The namespaces go
 * with the process, or when their descriptors are closed and nobody is in them. */
const char *pkt_live_net(struct xt_netpair *np, struct pkt_wire *wire);

/* Asks for the stack's hardware address and an answer to a ping; the script's clock starts. */
bool pkt_live_begin(struct pkt_live *l, struct pkt_wire *wire);
void pkt_live_end(struct pkt_live *l);

/* Of struct pkt_backend. */
void pkt_live_advance(struct pkt_run *r, uint64_t at);
bool pkt_live_next(struct pkt_run *r, struct pkt_sent *out, uint64_t until);
void pkt_live_settle(struct pkt_run *r);
void pkt_live_inject(struct pkt_run *r, const uint8_t *p, size_t len, uint8_t ecn);
void pkt_live_icmp(struct pkt_run *r, uint8_t type, uint8_t code, uint32_t mtu, uint32_t seq);
long pkt_live_call(struct pkt_run *r, const struct pkt_event *e, const struct pkt_range *want);
const char *pkt_live_state(struct pkt_run *r, const char *want);

#endif
