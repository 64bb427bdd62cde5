/* SPDX-License-Identifier: Apache-2.0
 * The grid of RFC 9293 section 3.10.7: eleven states, eight kinds of segment, and what each cell must do. */
#ifndef XT_TEST_CELLS_H
#define XT_TEST_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/xt_state.h"

enum kind { K_SYN, K_SYNACK, K_ACK, K_DATA, K_FIN, K_RST, K_OUT, K_OLD, K_KINDS };

/* Sequence number of what is sent, and its acknowledgement, in the terms of the RFC. RCV.NXT is that before the
 * segment. */
enum seq_rel { Q_ZERO, Q_ISS, Q_SND_NXT, Q_SEG_ACK };
enum ack_rel { A_NONE, A_RCV_NXT, A_SEG_END };

struct cell {
    bool given;         /* a cell that nobody filled in is a failure */
    uint8_t flags;      /* of the one segment sent; 0: nothing is sent */
    enum seq_rel seq;   /* of that segment */
    enum ack_rel ack;   /* of that segment */
    enum xt_state next; /* for LISTEN that of the child, when one is made */
    uint32_t events;    /* what the application sees, XT_EV_* */
    int err;            /* conn->err */
};

extern const struct cell grid_cells[XT_NSTATES][K_KINDS];
extern const char *const grid_kinds[K_KINDS];

#endif
