/* SPDX-License-Identifier: Apache-2.0
 * What boxes between two hosts do to TCP, consistently for the life of a connection: they strip and rewrite options,
 * renumber, clear ECN, cut segments up. */
#ifndef XT_TEST_MIDDLEBOX_H
#define XT_TEST_MIDDLEBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/wire/seg.h"

struct middlebox {
    uint8_t strip;        /* XT_OPT_* taken out of both SYNs */
    uint16_t clamp_mss;   /* the MSS option of SYNs is at most this; 0: as it is */
    uint32_t renumber[2]; /* added to the sequence numbers of host h, taken off the ACKs of the other */
    bool fix_sack;        /* and off their SACK blocks; a box that forgets that makes nonsense of them */
    bool clear_ecn;       /* the two bits of the IP header */
    bool clear_ecn_flags; /* ECE and CWR of SYNs */
    uint16_t split;       /* segments leave in parts of at most this payload; 0: whole */
};

/* What becomes of a segment from host `from`. */
void middlebox_rewrite(const struct middlebox *m, unsigned from, struct xt_seg *s);

/* The sequence number that host `from` gave to what is `seq` after the box. */
uint32_t middlebox_undo_seq(const struct middlebox *m, unsigned from, uint32_t seq);

/* The part of `s` from payload byte `off` on; false when it is the last. */
bool middlebox_part(const struct middlebox *m, const struct xt_seg *s, uint32_t off, struct xt_seg *part);

#endif
