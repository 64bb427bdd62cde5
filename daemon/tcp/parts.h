/* SPDX-License-Identifier: Apache-2.0
 * What the connection record (record.h) is made of, beside what congestion control keeps (cc_state.h). */
#ifndef XT_TCP_PARTS_H
#define XT_TCP_PARTS_H

#include <stdint.h>

#include "daemon/wire/seg.h"

/* Entries that the record has room for; a board (board.h) has more. */
#define XT_SENT_MAX 4   /* stretches told apart of what is in flight (sent.h) */
#define XT_SEAM_MAX 4   /* ends of segments that were not full or had PSH (seam.h) */
#define XT_MARK_MAX 2   /* points of what is in flight at which a rate is measured (rate.h) */
#define XT_OOO_MAX 3    /* out-of-order ranges held in the receive ring */
#define XT_RECENT_MAX 1 /* those of them that have changed last */

struct xt_range {
    uint32_t left, right; /* sequence numbers, [left, right) */
};

#define XT_FO_COOKIE_LEN 8 /* bytes of a cookie of ours */
#define XT_FO_KEYS 2       /* the newer first */
#define XT_FO_HOLD_S 6     /* what a reset of a Fast Open child takes from its listener is held for ten of these, */
#define XT_FO_HOLDS 11     /* rounded up */

/* The cookie in our SYN, or SYN+ACK. */
struct xt_fo_cookie {
    uint8_t b[XT_FO_COOKIE_MAX];
    uint8_t len;  /* 0: asks for one */
    uint16_t mss; /* the peer's as of last time, 0: not known */
};

/* What a listener knows of Fast Open. */
struct xt_fo_listen {
    uint32_t limit;             /* children that may be served before their handshake is over; 0: no Fast Open */
    uint32_t pending;           /* of these now */
    uint32_t epoch;             /* XT_FO_HOLD_S since the clock's start, as of the last look at `held` */
    uint16_t held[XT_FO_HOLDS]; /* places of children that a reset ended, by the epoch of that */
    uint8_t no_cookie;          /* TCP_FASTOPEN_NO_COOKIE */
    uint8_t nkeys;              /* own keys; 0: the stack's */
    uint8_t keys[XT_FO_KEYS][16];
};

/* A stretch of what was sent, up to `end` (sent.h). */
struct xt_flight {
    uint32_t end;
    uint32_t tick : 29; /* when it left last, in units of 8 us */
    uint32_t state : 3; /* XT_SENT_* */
};

/* What a connection's sending side waits for, while it has something to send. */
enum { XT_BUSY_NOT, XT_BUSY_NETWORK, XT_BUSY_RWND, XT_BUSY_SNDBUF };

/* Counts and times kept for struct xt_tcp_info alone. They wrap. */
struct xt_tally {
    uint32_t data_segs_in, data_segs_out;
    uint32_t segs_once;           /* that want an ACK, each once; those that are not in flight were delivered */
    uint32_t busy_since_ms;       /* when `busy` began */
    uint32_t busy_ms;             /* spent in XT_BUSY_NETWORK */
    uint32_t rto_since_ms;        /* first time-out of a row that is not overcome */
    uint32_t rate_bytes, rate_us; /* the last delivery rate that tells something */
    uint8_t busy;                 /* XT_BUSY_* */
    uint8_t rate_limited;
};

/* Those of what is seldom needed. */
struct xt_tally_seldom {
    uint32_t delivered_ce, dsacks, reord_seen, ooo_segs;
    uint32_t rwnd_ms, sndbuf_ms; /* spent in XT_BUSY_RWND, XT_BUSY_SNDBUF */
    uint32_t rto_ms;             /* time of all time-outs but the last */
    uint16_t rtos, rto_spells;
    uint16_t reordering; /* segments; 0: not more than DupThresh */
};

/* Timers of a connection: indices into xt_conn.due. */
enum xt_timer {
    XT_TIMER_RTO,     /* retransmission; of the SYN too */
    XT_TIMER_PERSIST, /* zero-window probe */
    XT_TIMER_DELACK,
    XT_TIMER_KEEP,
    XT_TIMER_WAIT, /* TIME_WAIT, FIN_WAIT2 of an orphan, end of a connection whose reset has left */
    XT_TIMER_CORK, /* end of the patience with TCP_CORK */
    XT_TIMER_REO,  /* RACK's reordering timer: what is missing now counts as lost then */
    XT_TIMER_PTO,  /* tail loss probe */
    XT_TIMER_PACE, /* the next segment may leave, by the congestion control's pacing rate */
    XT_TIMERS
};

#endif
