/* SPDX-License-Identifier: Apache-2.0
 * What congestion control keeps in the connection record. Bytes, microseconds and milliseconds (as the names end), low 32
 * bits of the clock where only differences matter. All zero is a valid beginning. */
#ifndef XT_TCP_CC_STATE_H
#define XT_TCP_CC_STATE_H

#include <stdint.h>

/* A point in the stream, and how matters stood when it was sent. */
struct xt_rate_mark {
    uint32_t end;          /* sequence number after the last byte of the segment */
    uint32_t sent_us;      /* when it left */
    uint32_t first_us;     /* when the segment had left that was the last known to be delivered then */
    uint32_t delivered;    /* bytes delivered then */
    uint32_t delivered_us; /* when that count had last changed */
};

/* The delivery rate estimator (rate.h). */
struct xt_rate {
    uint32_t delivered;              /* bytes that reached the peer, SACKed ones included; wraps */
    uint32_t delivered_us, first_us; /* as in the mark, now */
    uint32_t last_end;               /* end of the newest mark ever set */
    uint32_t limited_until;          /* value of `delivered` at which an application-limited stretch is over */
    uint8_t n;                       /* marks in use, at most XT_MARK_BOARD, for whom there are bits: */
    uint8_t limited;                 /* limited_until is valid */
    uint8_t mark_limited;            /* bit i: mark i was set in an application-limited stretch */
    uint8_t mark_again;              /* bit i: mark i is of something sent again */
};

/* RFC 9438's variables; sizes in bytes. */
struct xt_cubic_epoch {
    uint32_t w_max;
    uint32_t w_est;
    uint32_t cwnd_prior;
    uint32_t k_ms;
    uint32_t start_ms;
};

struct xt_cubic {
    struct xt_cubic_epoch now, before; /* before the last reduction, in case that it is taken back */
    uint64_t est_rest;                 /* remainder of the division that made w_est */
    uint32_t acked_ms;                 /* last growth: the time between is not the epoch's (RFC 9438 section 5.8) */
    uint8_t in_epoch, was_in_epoch;
    uint8_t reduced; /* `before` is valid */
    /* HyStart++ (RFC 9406) */
    uint8_t samples;    /* rttSampleCount */
    uint8_t css_rounds; /* rounds spent in Conservative Slow Start + 1, 0: not there */
    uint8_t in_round;   /* window_end is valid */
    uint32_t window_end;
    uint32_t last_rtt_us, round_rtt_us; /* lastRoundMinRTT, currentRoundMinRTT; 0: infinity */
    uint32_t css_rtt_us;                /* cssBaselineMinRtt */
};

struct xt_bbr {
    uint64_t bw[2];                      /* bytes/s: largest of this and of the last cycle */
    uint64_t bw_lo;                      /* bytes/s: bound after loss, 0: none */
    uint64_t round_bw;                   /* bytes/s: largest of this round */
    uint64_t full_bw;                    /* bytes/s: Startup's yardstick */
    uint64_t pacing_rate;                /* bytes/s */
    uint32_t min_rtt_us, min_rtt_ms;     /* filter over 10 s, and when it was set */
    uint32_t probe_rtt_us, probe_rtt_ms; /* filter over 5 s, likewise */
    uint32_t round_end;                  /* `delivered` at which the round trip is over */
    uint32_t round_delivered, round_retrans;
    uint32_t inflight_hi, inflight_lo; /* bytes, 0: no bound */
    uint32_t round_inflight;           /* bytes: the most delivered in a round trip's time during this round */
    uint32_t phase_ms;                 /* when the phase began; in ProbeRTT when the pipe was drained, 0: not yet */
    uint32_t cycle_ms, wait_ms;        /* when the cycle began, and how long it cruises */
    uint16_t rounds;                   /* round trips in this cycle */
    uint8_t phase, full_rounds, filled, lossy, round_start, up_rounds;
    uint8_t marked;        /* an ECN echo since the round trip began */
    uint16_t loss_base;    /* of 65536 bytes: what the path loses while no queue shows */
    uint32_t round_rtt_us; /* least of this round, 0: no sample */
    uint32_t round_us;     /* when the round began */
    uint32_t round_volume; /* bytes: what was in flight in the last round, delivered and lost */
};

#endif
