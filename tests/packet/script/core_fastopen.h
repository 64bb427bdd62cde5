/* SPDX-License-Identifier: Apache-2.0
 * TCP Fast Open for scripts on the bare core: the little of the stack and the socket layer that it takes. There is one peer, so
 * a key is a number, the cookie is that number eight times, and the cache has one entry. */
#ifndef PKT_CORE_FASTOPEN_H
#define PKT_CORE_FASTOPEN_H

#include "tests/packet/script/core_calls.h"

/* The SYN that the listener took. Output waits until this has been called. */
void core_fo_accept(struct core_sock *s, const struct xt_seg *syn);
/* Before connecting: what TCP_FASTOPEN_CONNECT or MSG_FASTOPEN ask for. True: the SYN waits. */
bool core_fo_prepare(struct core_sock *s);
/* A segment has come for the connection, which was in state `was`. */
void core_fo_seen(struct core_sock *s, const struct xt_seg *seg, int was);
/* The first write on a SYN that waits. */
long core_fo_write(struct pkt_run *r, struct core_sock *s, uint32_t n);
long core_fo_sendto(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e);
/* False: it is another option. */
bool core_fo_setopt(struct core_sock *s, const char *name, uint32_t v, long *rc);

#endif
