/* SPDX-License-Identifier: Apache-2.0
 * A connection and its scripted peer: each state is reached by a real dialogue, and what the connection sends is
 * kept. */
#ifndef XT_TEST_DIALOGUE_H
#define XT_TEST_DIALOGUE_H

#include "tests/sim/endpoint.h"

#define DLG_SENT 32
#define DLG_WINDOW 16384 /* receive ring of the connection under test */

struct dlg {
    struct ep e;        /* the connection under test; in LISTEN the listener */
    struct ep listener; /* parent of `e` after a passive open */
    uint32_t iss, irs;  /* the connection's own, and its peer's */
    struct xt_seg sent[DLG_SENT];
    int nsent;
    const char *failed; /* the step of the dialogue that went wrong, or NULL */
};

/* Starts with a CLOSED connection. */
void dlg_begin(struct dlg *d, uint32_t iss, uint32_t irs);
void dlg_end(struct dlg *d);

/* Brings a fresh dialogue to `state`: nothing of it is kept in sent[], no event is left. False: d->failed tells. */
bool dlg_reach(struct dlg *d, enum xt_state state);

/* The peer sends: SYN carries an MSS of 1460, data is `len` bytes. Sequence numbers are absolute. */
struct xt_seg dlg_seg(const struct dlg *d, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);

/* Delivers a segment to whatever the state of `e` calls for: the connection, the listener (a child then takes the
 * place of `e`), or no connection at all. */
void dlg_input(struct dlg *d, const struct xt_seg *seg);

/* Forgets what was sent and seen so far. */
void dlg_clear(struct dlg *d);

/* SND.NXT and RCV.NXT of the connection, 0 where the state has none. */
uint32_t dlg_snd_nxt(const struct dlg *d);
uint32_t dlg_rcv_nxt(const struct dlg *d);

/* Event bits that an application acts on, as a text ("READABLE PEER_FIN"), in a static buffer. */
#define DLG_EVENTS \
    (XT_EV_CONNECTED | XT_EV_READABLE | XT_EV_PEER_FIN | XT_EV_ERROR | XT_EV_CLOSED | XT_EV_TIME_WAIT | XT_EV_URGENT)
const char *dlg_events_name(uint32_t events);

#endif
