/* SPDX-License-Identifier: Apache-2.0
 * The layout of the connection record. A stack process reads that of the release before, too (daemon/main/layout.h says what a change
 * of it takes). */
#ifndef XT_TCP_RECORD_H
#define XT_TCP_RECORD_H

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/tcp/cc_state.h"
#include "daemon/tcp/parts.h"
#include "proto/xt_addr.h"

#define XT_STATE_VERSION 11u
#define XT_RECORD_ALIGN 16 /* bytes; how far away what belongs to a record lies is counted in these */

/* Socket options that the core looks at, and those of its IP header. Zero values mean "as configured". */
struct xt_tcp_sockopt {
    uint8_t nodelay : 1;            /* TCP_NODELAY: no Nagle */
    uint8_t cork : 1;               /* TCP_CORK: no partial segment (for at most 200 ms) */
    uint8_t keepalive : 1;          /* SO_KEEPALIVE */
    uint8_t recverr : 1;            /* IP_RECVERR: ICMP errors are told at once */
    uint8_t fragment : 1;           /* IP_MTU_DISCOVER: routers may cut up what is sent (IP_PMTUDISC_DONT) */
    uint8_t quickack : 2;           /* TCP_QUICKACK: XT_QUICKACK_* */
    uint8_t tos;                    /* IP_TOS: the Diffserv field (MUST-48), the stack's; the ECN bits are ignored */
    uint8_t ttl;                    /* IP_TTL, the stack's */
    uint8_t min_ttl;                /* IP_MINTTL, the stack's: what comes with less is dropped */
    uint8_t keep_cnt;               /* probes */
    uint8_t cc;                     /* TCP_CONGESTION: enum xt_cc_id + 1 */
    uint8_t defer;                  /* TCP_DEFER_ACCEPT: seconds that a listener's child waits for data */
    uint8_t syn_retries;            /* TCP_SYNCNT; 0: as configured */
    uint16_t keep_idle, keep_intvl; /* seconds */
    uint16_t linger2;      /* TCP_LINGER2: seconds in FIN_WAIT2; 0: as configured; XT_LINGER2_NONE: no time at all */
    uint32_t user_timeout; /* ms (RFC 5482) */
    uint32_t window_clamp; /* TCP_WINDOW_CLAMP: most that is offered, bytes; 0: no limit */
    uint64_t pacing_max;   /* SO_MAX_PACING_RATE: bytes/s; 0: no limit */
};
static_assert(sizeof(struct xt_tcp_sockopt) == 32, "xt_tcp_sockopt");

struct xt_conn {
    /* identity: written by the stack layer */
    alignas(XT_RECORD_ALIGN) uint32_t index; /* own place in the table */
    uint32_t gen;                            /* counts the record's lives; 0: never used */
    uint32_t listener;                       /* parent of a passive open, or XT_NO_CONN */
    uint32_t session;                        /* owner: app session id, 0 for none (orphan) */
    uint32_t slot;                           /* owner's slot index */
    uint32_t flags;                          /* the stack's and app's own: see daemon/stack/stack.h */
    struct xt_endpoint local, remote;

    /* state: written by xt_tcp_set_state() only */
    uint8_t state; /* enum xt_state */
    uint8_t ca_state;
    uint8_t snd_wscale, rcv_wscale;
    int32_t err;      /* positive errno for the application (ECONNRESET, ...), 0 for none */
    int32_t soft_err; /* last ICMP soft error */

    /* streams, in bytes since the first (64 bits never wrap); ring place = offset & (size - 1) */
    uint64_t rx_head; /* received in order (RCV.NXT = irs + 1 + rx_head until the peer's FIN) */
    uint64_t rx_tail; /* consumed by the application */
    uint64_t tx_head; /* written by the application */
    uint64_t tx_una;  /* acknowledged by the peer (SND.UNA = iss + 1 + tx_una until our FIN is acknowledged) */
    uint32_t rx_size, tx_size;

    struct xt_tcp_sockopt opt;

    /* ---- the core's own from here on; names as in RFC 9293 section 3.3.1 where it has one ---- */

    uint32_t timers;         /* a bit for each timer that is on */
    uint32_t due[XT_TIMERS]; /* and the deadlines of these: due.h */
    uint16_t due_high[2];    /* more of XT_TIMER_KEEP's and XT_TIMER_WAIT's */
    uint32_t pace_next;      /* when the next segment may leave, where pacing is on: microseconds, low bits */
    uint32_t rtt_start;      /* when the timed segment left (xt_rtt_stamp()), 0: none is timed (Karn) */
    uint32_t segs_out, segs_in;

    /* send sequence space: snd_una <= snd_nxt; retransmission never moves SND.NXT back */
    uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2;
    uint32_t snd_wnd_max; /* MAX.SND.WND */
    uint32_t snd_sml;     /* end of the last small segment sent (Minshall's form of Nagle's algorithm) */

    /* receive sequence space: the offered window is [rcv_nxt, rcv_adv); RCV.WND is the difference */
    uint32_t irs, rcv_nxt, rcv_adv;
    uint32_t rcv_fin;       /* sequence number of the peer's FIN, valid with XT_CF_FIN_SEEN */
    uint32_t last_ack_sent; /* Last.ACK.sent (RFC 7323 section 4.3) */

    uint32_t ts_recent;    /* TS.Recent */
    uint32_t ts_recent_ms; /* when it was set */

    /* retransmission and congestion; bytes */
    uint32_t cwnd, ssthresh;
    uint32_t cc_acked;  /* bytes acknowledged towards the next increase of cwnd */
    uint32_t recover;   /* RecoveryPoint (RFC 6675), "recover" (RFC 6582) */
    uint32_t rack_tick; /* when what was sent last of all that was delivered had left (sent.h's ticks) */
    uint32_t rack_end;  /* its end */
    uint32_t rack_rtt;  /* and its round-trip time, microseconds */
    uint32_t rack_fack; /* highest sequence number delivered */
    union {
        uint32_t tlp_end;   /* SND.NXT after the tail loss probe, valid with XT_CF_TLP */
        uint32_t isn_floor; /* after TIME_WAIT: lowest ISS for the connection that replaces this one (RFC 6191) */
    };
    uint32_t srtt, rttvar;  /* microseconds; srtt 0: no sample yet */
    uint32_t rto;           /* microseconds, without backoff */
    uint32_t min_rtt;       /* microseconds, 0: none */
    uint32_t rtt_seq;       /* the timed segment's end */
    uint32_t data_rcv_ms;   /* last payload received */
    uint32_t t_rcv_ms;      /* last segment received: keep-alive */
    uint32_t t_snd_ms;      /* last data sent: restart after idle (RFC 5681 section 4.1) */
    uint32_t t_progress_ms; /* SND.UNA moved, or data left an idle connection: user time-out */
    uint32_t cflags;        /* XT_CF_* */
    int32_t seldom;         /* where its struct xt_seldom lies: seldom.h */
    int32_t board;          /* where the struct xt_board lent to it lies: xt_board_of(); 0: none */
    uint16_t mss_local;     /* what we announce */
    uint16_t mss_peer;      /* what the peer announced, or the default */
    uint16_t mss_path;      /* by the path's MTU */
    uint16_t mss_probe;     /* the larger one that a segment in flight tries, 0: none */
    uint16_t mss_bad;       /* the smallest one that seems too large for the path, 0: none known */
    uint16_t mss_eff;       /* Eff.snd.MSS: payload of a full segment, time stamps deducted */
    uint16_t rcv_mss;       /* estimate of the peer's full segment, for delayed ACK */
    uint16_t dupacks;       /* in a row */
    uint16_t pending;       /* XT_PEND_*: what output has to send */
    uint16_t fo_len;        /* bytes of data that our SYN carried */
    uint8_t fo;             /* XT_FO_* */
    uint8_t opts;           /* XT_OPT_*: offered while SYN_SENT, then in use */
    uint8_t backoff;        /* doublings of the retransmission time-out */
    uint8_t timeouts;       /* in a row without progress (R1, R2) */
    uint8_t probes;         /* zero-window probes without an answer; doublings of the persist interval in `backoff` */
    uint8_t keep_probes;    /* keep-alive probes without an answer */
    uint8_t quick;          /* segments still to be acknowledged at once */
    uint8_t challenged;     /* 1: a challenge ACK was sent */
    uint8_t ooo_acks;       /* duplicate ACKs sent one by one since RCV.NXT moved */
    uint8_t recovery;       /* XT_RECOVERY_* */
    uint8_t reo_mult;       /* the reordering window, in quarters of the least round-trip time */
    uint8_t reo_persist;    /* recoveries until it shrinks again */
    uint8_t ecn;            /* XT_CE_* */
    uint8_t cc;             /* enum xt_cc_id */
    uint8_t has_seldom;     /* 1: what lies at `seldom` is in use */
    uint8_t urg;            /* XT_URG_*: there was urgent data */
    uint8_t dupthresh;      /* DupThresh: 3, more when the path is seen to reorder */
    uint8_t ip_optlen;      /* bytes of IP options that each segment carries */
    uint8_t n_ooo, n_recent, n_sent, n_seam; /* valid entries of the lists below */
    union {
        struct {
            /* The lists: when there is a board, they stand there. */
            union {
                struct xt_range ooo[XT_OOO_MAX]; /* out of order, sorted, disjoint, above RCV.NXT: xt_ooo_list() */
                struct xt_fo_cookie fo_cookie;   /* in SYN_SENT and SYN_RECV */
            };
            uint32_t recent[XT_RECENT_MAX];        /* a sequence number in each of the ranges last changed, newest first
                                                      (RFC 2018): xt_recent_list() */
            struct xt_flight sent[XT_SENT_MAX];    /* in flight, from SND.UNA to SND.NXT: xt_sent_list() */
            uint32_t seam[XT_SEAM_MAX];            /* sorted: xt_seam_list() */
            struct xt_rate_mark mark[XT_MARK_MAX]; /* in order of sending: xt_mark_list() */
        };
        struct xt_fo_listen fo_listen; /* in LISTEN */
    };
    struct xt_tally tally;
    struct xt_rate rate; /* delivery rate and round-trip times for congestion control */
};

/* What is seldom needed. Not valid, but all zero, while `has_seldom` is 0. */
struct xt_seldom {
    alignas(XT_RECORD_ALIGN) union {
        struct xt_cubic cubic;
        struct xt_bbr bbr;
    } ccs; /* congestion control: the algorithm's own */
    uint64_t bytes_retrans;
    uint64_t rx_urg;        /* stream offset one past the peer's urgent data: xt_rx_urg() */
    uint64_t tx_urg;        /* stream offset one past our urgent data: xt_tx_urg() */
    struct xt_range dsack;  /* duplicate to report (RFC 2883), valid with XT_CF_DSACK */
    uint32_t retrans;       /* segments sent again, ever */
    uint32_t prr_fs;        /* RecoverFS: in flight when recovery began (RFC 6937) */
    uint32_t prr_delivered; /* bytes delivered since then */
    uint32_t prr_out;       /* bytes sent since then */
    uint32_t undo_cwnd;     /* before the last recovery or time-out, 0: nothing to undo */
    uint32_t undo_ssthresh; /* likewise */
    uint32_t rxt_ms;        /* time stamp clock at the last time-out's retransmission (Eifel, RFC 3522) */
    uint32_t reo_round;     /* SND.NXT when the reordering window grew last: no more than once in a round trip */
    uint32_t ecn_recover;   /* end of the window that an echo has reduced already, valid with XT_CE_REDUCED */
    uint32_t probe_ms;     /* first probe of a closed window: user time-out; valid while `backoff` counts such probes */
    uint32_t challenge_ms; /* the last challenge ACK, valid with `challenged` (RFC 5961 section 7) */
    uint32_t pmtu_ms;      /* when a larger MSS may be tried, valid while mss_path is less than mss_local */
    uint32_t probe_end;    /* end of the segment that tries mss_probe */
    struct xt_tally_seldom tally;
    uint16_t undo_rtx; /* segments sent again since the last loss and not reported as duplicates; see undo_cwnd */
};
static_assert(sizeof(struct xt_seldom) % XT_RECORD_ALIGN == 0, "xt_seldom");

static_assert(sizeof(struct xt_conn) <= 576, "xt_conn stays small: it is what an idle connection costs");
static_assert(offsetof(struct xt_conn, state) == 60, "xt_conn.state");
static_assert(offsetof(struct xt_conn, rx_head) == 72, "xt_conn.rx_head");
static_assert(offsetof(struct xt_conn, timers) == 144, "xt_conn.timers");

#endif
