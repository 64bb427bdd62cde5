/* SPDX-License-Identifier: Apache-2.0
 * The connection record: everything a connection needs to go on after the stack process died. Records live in the
 * state memfd, have a fixed size, refer to each other by index and hold no pointer. */
#ifndef XT_TCP_CONN_H
#define XT_TCP_CONN_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/tcp/cc_state.h"
#include "daemon/tcp/stats.h"
#include "daemon/wire/seg.h"
#include "proto/xt_addr.h"
#include "proto/xt_state.h"

#define XT_NO_CONN UINT32_MAX
#define XT_OOO_MAX 32  /* out-of-order ranges held in the receive ring; more on a board (board.h) */
#define XT_SEAM_MAX 16 /* ends of segments that were not full or had PSH (seam.h) */
#define XT_SENT_MAX 40 /* stretches told apart of what is in flight; likewise */

/* Loss detection with SACK; without it is NewReno (RFC 6582) always. */
enum {
    XT_RECOVERY_RACK, /* by time, with tail loss probes (RFC 8985) */
    XT_RECOVERY_SACK, /* by the count of what was SACKed above (RFC 6675) */
};

/* xt_tcp_cfg.syn_cookies: when no record is to be had for a SYN; for every SYN; not at all. */
enum { XT_COOKIES_AUTO, XT_COOKIES_ALWAYS, XT_COOKIES_NEVER };

/* xt_tcp_cfg.ecn, as Linux numbers them: not at all; asked for and agreed to; agreed to when the peer asks. */
enum { XT_ECN_OFF, XT_ECN_ON, XT_ECN_PASSIVE };

/* xt_tcp_cfg.fast_open, as Linux numbers them (RFC 7413): bits. */
enum { XT_FO_CLIENT = 1, XT_FO_SERVER = 2 };

/* Tunables of the protocol, for all connections of a shard. Times in microseconds unless named otherwise. */
struct xt_tcp_cfg {
    uint64_t msl;                     /* 30 s; TIME_WAIT lasts two */
    uint64_t rto_initial;             /* 1 s (RFC 6298 section 2.1) */
    uint64_t rto_min;                 /* 200 ms, as Linux; RFC 6298 says 1 s (SHOULD) */
    uint64_t rto_max;                 /* 120 s */
    uint64_t delack;                  /* 40 ms (at most 500 ms, RFC 9293 section 3.8.6.3) */
    uint64_t finwait2;                /* 60 s for an orphan */
    uint64_t keep_idle, keep_intvl;   /* 7200 s, 75 s */
    uint32_t keep_cnt;                /* 9 */
    uint32_t syn_retries;             /* 7 */
    uint32_t synack_retries;          /* 5 */
    uint32_t retries;                 /* 15 (R2) */
    uint32_t orphan_retries;          /* 8 */
    uint16_t mss;                     /* 1460: from the stack's MTU */
    uint8_t quickack;                 /* 16: segments acknowledged at once at the start; 0: plain delayed ACK */
    uint8_t init_cwnd;                /* 10 segments (RFC 6928) */
    uint8_t timestamps, sack, wscale; /* 1: offer and accept */
    uint32_t rcv_max;                 /* 0; bytes of receive ring that the window scale allows for, 1 MiB at least */
    uint8_t recovery;                 /* XT_RECOVERY_RACK; of connections that open from now on */
    uint64_t tlp_min;                 /* 45 ms: least time before a tail loss probe sends old data; see rack.c */
    uint8_t cc;                       /* enum xt_cc_id: CUBIC */
    uint8_t syn_cookies;              /* XT_COOKIES_*: when listeners answer a SYN without a record (RFC 4987) */
    uint8_t ecn;                      /* XT_ECN_PASSIVE (RFC 3168) */
    uint8_t fast_open;                /* both: XT_FO_* of applications that ask for it */
    uint64_t fo_blackhole;            /* 1 h: first pause after Fast Open seemed to be swallowed, 0: none */
    uint8_t icmp_abort;               /* 0: hard ICMP errors end an open only, not an open connection (RFC 5927) */
    uint32_t gso_max;                 /* 65160: bytes of payload in a super-segment; at most mss: no super-segments */
};

/* xt_tcp_sockopt.quickack: as acknowledgements come; each at once; as they come, but the next one waits, as in a dialogue. */
enum { XT_QUICKACK_UNSET, XT_QUICKACK_ON, XT_QUICKACK_OFF };

#define XT_LINGER2_NONE UINT32_MAX

/* Socket options that the core looks at, and those of its IP header. Zero values mean "as configured". */
struct xt_tcp_sockopt {
    uint8_t nodelay;                /* TCP_NODELAY: no Nagle */
    uint8_t cork;                   /* TCP_CORK: no partial segment (for at most 200 ms) */
    uint8_t keepalive;              /* SO_KEEPALIVE */
    uint8_t quickack;               /* TCP_QUICKACK: XT_QUICKACK_* */
    uint8_t tos;                    /* IP_TOS: the Diffserv field (MUST-48), the stack's; the ECN bits are ignored */
    uint8_t ttl;                    /* IP_TTL, the stack's */
    uint8_t keep_cnt;               /* probes */
    uint8_t cc;                     /* TCP_CONGESTION: enum xt_cc_id + 1 */
    uint8_t recverr;                /* IP_RECVERR: ICMP errors are told at once */
    uint8_t defer;                  /* TCP_DEFER_ACCEPT: seconds that a listener's child waits for data */
    uint32_t keep_idle, keep_intvl; /* seconds */
    uint32_t user_timeout;          /* ms (RFC 5482) */
    uint32_t linger2;      /* TCP_LINGER2: seconds in FIN_WAIT2; 0: as configured; XT_LINGER2_NONE: no time at all */
    uint32_t window_clamp; /* TCP_WINDOW_CLAMP: most that is offered, bytes; 0: no limit */
    uint8_t syn_retries;   /* TCP_SYNCNT; 0: as configured */
    uint8_t fragment;      /* IP_MTU_DISCOVER: routers may cut up what is sent (IP_PMTUDISC_DONT) */
    uint8_t min_ttl;       /* IP_MINTTL, the stack's: what comes with less is dropped */
    uint64_t pacing_max;   /* SO_MAX_PACING_RATE: bytes/s; 0: no limit */
};

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

/* What TCP_INFO and `xtcpctl list` show. Microseconds, bytes, segments. */
struct xt_tcp_info {
    uint8_t state, snd_wscale, rcv_wscale, ca_state; /* ca_state: 0 open, 2 cwr, 3 recovery, 4 loss, as Linux */
    uint8_t options;                                 /* XT_OPT_* in use */
    uint8_t backoff, probes;
    uint8_t cc; /* enum xt_cc_id */
    uint8_t fo; /* XT_FO_* */
    uint16_t snd_mss, rcv_mss;
    uint32_t rto, ato, srtt, rttvar, min_rtt;
    uint32_t cwnd, ssthresh; /* bytes */
    uint32_t snd_wnd, rcv_wnd;
    uint32_t unacked, sacked, lost, retrans; /* bytes now in that state; retrans: segments ever */
    uint32_t last_data_sent_ms, last_data_recv_ms, last_ack_recv_ms;
    uint64_t bytes_sent, bytes_retrans, bytes_acked, bytes_received;
    uint64_t segs_out, segs_in;
    uint8_t timeouts;     /* retransmission time-outs in a row */
    uint8_t rate_limited; /* the delivery rate is a lower bound: the application had too little to send */
    uint16_t advmss;      /* announced to the peer */
    uint32_t pmtu;        /* IP bytes */
    uint32_t rexmit;      /* bytes in flight that were sent more than once */
    uint32_t notsent;     /* bytes written and not sent */
    uint32_t reordering;  /* segments by which the path is known to reorder */
    uint32_t unacked_segs, sacked_segs, lost_segs, rexmit_segs; /* as above, in segments */
    uint32_t data_segs_in, data_segs_out;                       /* with payload */
    uint32_t delivered, delivered_ce;                           /* segments; with an echoed congestion mark */
    uint32_t dsacks, reord_seen, ooo_segs;
    uint32_t rtos, rto_spells, rto_ms; /* time-outs, rows of them, and the time that these took to be overcome */
    uint32_t busy_ms, rwnd_ms, sndbuf_ms;
    uint64_t pacing_rate, delivery_rate; /* bytes per second */
};

/* What a connection's sending side waits for, while it has something to send. */
enum { XT_BUSY_NOT, XT_BUSY_NETWORK, XT_BUSY_RWND, XT_BUSY_SNDBUF };

/* Counts and times kept for struct xt_tcp_info alone. They wrap. */
struct xt_tally {
    uint32_t data_segs_in, data_segs_out, delivered, delivered_ce, dsacks, reord_seen, ooo_segs;
    uint32_t busy_since_ms;        /* when `busy` began */
    uint32_t busy_ms[3];           /* spent in each kind of it, from XT_BUSY_NETWORK on */
    uint32_t rto_since_ms, rto_ms; /* first time-out of a row that is not overcome; time of all before */
    uint32_t rate_bytes, rate_us;  /* the last delivery rate that tells something */
    uint16_t rtos, rto_spells;
    uint16_t reordering; /* segments; 0: not more than DupThresh */
    uint8_t busy;        /* XT_BUSY_* */
    uint8_t rate_limited;
};

/* Timers of a connection: indices into xt_conn.timer. */
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

/* xt_conn.cflags */
enum {
    XT_CF_PASSIVE = 0x001,       /* came from LISTEN (MUST-11) */
    XT_CF_SHUT = 0x002,          /* FIN follows the queued data */
    XT_CF_ORPHAN = 0x004,        /* closed by the application: data that arrives is answered with a reset */
    XT_CF_FIN_SEEN = 0x008,      /* rcv_fin is known, perhaps out of order */
    XT_CF_FIN_RCVD = 0x010,      /* RCV.NXT has passed the peer's FIN */
    XT_CF_FIN_ACKED = 0x020,     /* SND.UNA has passed our FIN */
    XT_CF_DSACK = 0x040,         /* `dsack` is to be reported */
    XT_CF_PROBE = 0x080,         /* an octet beyond the peer's window is out as a probe */
    XT_CF_CWND_LIM = 0x100,      /* the last burst was bounded by cwnd, so cwnd may grow */
    XT_CF_SYN_RXT = 0x200,       /* the SYN was sent again */
    XT_CF_CORK_DUE = 0x400,      /* corked long enough */
    XT_CF_MORE = 0x8000,         /* what was written last came with MSG_MORE */
    XT_CF_RESCUED = 0x1000,      /* the rescue retransmission of this recovery was made (RFC 6675 NextSeg rule 4) */
    XT_CF_DIALOGUE = 0x2000,     /* what arrives is answered with data: ACKs wait for that, quick or not */
    XT_CF_FRAGMENT = 0x4000,     /* the path takes less than the least MTU believed: routers may cut up what is sent */
    XT_CF_RESET = 0x800,         /* the reset has left: CLOSED comes with the next xt_tcp_timer() */
    XT_CF_RACK = 0x100000,       /* rack_* is valid: something was delivered */
    XT_CF_REORDERED = 0x200000,  /* the path was seen to reorder */
    XT_CF_TLP = 0x400000,        /* a tail loss probe is out, tlp_end is valid */
    XT_CF_TLP_AGAIN = 0x800000,  /* and it was data sent before */
    XT_CF_FRTO = 0x1000000,      /* new data answers the first ACK after a time-out (RFC 5682) */
    XT_CF_REO_ROUND = 0x2000000, /* reo_round is valid */
    XT_CF_NO_READER =
        0x8000000, /* the application wants no more data: once it has said its FIN, data is answered with a reset */
    XT_CF_RACK_BLUR = 0x10000000, /* rack_tick may be later than what arrived had left */
    XT_CF_FORGIVEN = 0x4000000,   /* this recovery costs no window: xt_recovery_forgive() */
};

/* xt_conn.pending */
enum {
    XT_PEND_SYN = 0x01,   /* SYN or SYN+ACK */
    XT_PEND_ACK = 0x02,   /* an ACK, alone or with data */
    XT_PEND_DUP = 0x04,   /* an ACK of its own (duplicate or challenge) */
    XT_PEND_RTX = 0x08,   /* one segment at SND.UNA, whatever cwnd says */
    XT_PEND_PROBE = 0x10, /* zero-window probe */
    XT_PEND_KEEP = 0x20,  /* keep-alive probe */
    XT_PEND_RST = 0x40,   /* a reset, after which the connection ends */
    XT_PEND_TLP = 0x400,  /* tail loss probe, whatever cwnd says */
};

/* xt_conn.ecn (RFC 3168) */
enum {
    XT_CE_OK = 0x01,      /* both ends want it */
    XT_CE_ASKED = 0x02,   /* our SYN asked for it */
    XT_CE_ECHO = 0x04,    /* ACKs carry ECE until the peer says CWR */
    XT_CE_CWR = 0x08,     /* the next new data carries CWR */
    XT_CE_PLAIN = 0x20,   /* a SYN of ours did not ask: our data is not marked, the peer's marks are echoed */
    XT_CE_SEEN = 0x40,    /* the peer marks its segments as ECN-capable */
    XT_CE_REDUCED = 0x10, /* cwnd was reduced for this window, which ends at `ecn_recover` */
};

/* xt_conn.fo: Fast Open (RFC 7413). Before xt_tcp_connect() OPTION and DATA say what is wanted. */
enum {
    XT_FO_OPTION = 0x01,  /* the first SYN, or the SYN+ACK, carries the option with `fo_cookie` */
    XT_FO_DATA = 0x02,    /* the first SYN carries what was written by then */
    XT_FO_DEFER = 0x04,   /* the SYN waits for xt_tcp_fastopen_go() */
    XT_FO_CHILD = 0x08,   /* passive: served before the handshake is over */
    XT_FO_PENDING = 0x10, /* and its listener counts it so: the stack's own */
    XT_FO_ACKED = 0x20,   /* the data in the SYN was taken, by the peer or by us */
    XT_FO_FAIL = 0xc0,    /* why not: one of XT_FO_FAIL_*, shifted */
    XT_FO_FAIL_SHIFT = 6,
};

/* As Linux numbers them in tcpi_fastopen_client_fail. */
enum { XT_FO_FAIL_NONE, XT_FO_FAIL_NO_COOKIE, XT_FO_FAIL_NOT_ACKED, XT_FO_FAIL_SYN_LOST };

/* xt_conn.ca_state, as Linux numbers them */
enum { XT_CA_OPEN, XT_CA_DISORDER, XT_CA_CWR, XT_CA_RECOVERY, XT_CA_LOSS };

struct xt_conn {
    /* identity: written by the stack layer */
    uint32_t index;    /* own place in the table */
    uint32_t gen;      /* counts the record's lives; 0: never used */
    uint32_t listener; /* parent of a passive open, or XT_NO_CONN */
    uint32_t session;  /* owner: app session id, 0 for none (orphan) */
    uint32_t slot;     /* owner's slot index */
    uint32_t flags;    /* the stack's and app's own: see daemon/stack/stack.h */
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

    uint64_t timer[XT_TIMERS]; /* deadline of each, microseconds; 0: off */
    int64_t board;             /* where the struct xt_board lent to it lies, in bytes from this record; 0: none */
    uint64_t rx_urg;           /* stream offset one past the peer's urgent data, 0: none */
    uint64_t tx_urg;           /* stream offset one past our urgent data, 0: none */
    uint64_t pace_next;        /* when the next segment may leave, where pacing is on */
    uint64_t rtt_start;        /* when the timed segment left, 0: none is timed (Karn) */
    uint64_t bytes_sent, bytes_retrans, segs_out, segs_in;

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
    uint32_t cc_acked;      /* bytes acknowledged towards the next increase of cwnd */
    uint32_t recover;       /* RecoveryPoint (RFC 6675), "recover" (RFC 6582) */
    uint32_t prr_fs;        /* RecoverFS: in flight when recovery began (RFC 6937) */
    uint32_t prr_delivered; /* bytes delivered since then */
    uint32_t prr_out;       /* bytes sent since then */
    uint32_t rack_tick;     /* when what was sent last of all that was delivered had left (sent.h's ticks) */
    uint32_t rack_end;      /* its end */
    uint32_t rack_rtt;      /* and its round-trip time, microseconds */
    uint32_t rack_fack;     /* highest sequence number delivered */
    uint32_t reo_round;     /* SND.NXT when the reordering window grew last: no more than once in a round trip */
    uint32_t tlp_end;       /* SND.NXT after the tail loss probe */
    uint32_t undo_cwnd;     /* before the last recovery or time-out, 0: nothing to undo */
    uint32_t undo_ssthresh; /* likewise */
    uint32_t rxt_ms;        /* time stamp clock at the last time-out's retransmission (Eifel, RFC 3522) */
    uint32_t srtt, rttvar;  /* microseconds; srtt 0: no sample yet */
    uint32_t rto;           /* microseconds, without backoff */
    uint32_t min_rtt;       /* microseconds, 0: none */
    uint32_t rtt_seq;       /* the timed segment's end */
    uint32_t isn_floor;     /* lowest ISS for the connection that replaces this one (RFC 6191) */
    uint32_t challenge_ms;  /* the last challenge ACK, valid with `challenged` (RFC 5961 section 7) */
    uint32_t data_rcv_ms;   /* last payload received */
    uint32_t t_rcv_ms;      /* last segment received: keep-alive */
    uint32_t t_snd_ms;      /* last data sent: restart after idle (RFC 5681 section 4.1) */
    uint32_t t_progress_ms; /* SND.UNA moved, or data left an idle connection: user time-out */
    uint32_t probe_ms;    /* first probe of a closed window: user time-out; valid while `backoff` counts such probes */
    uint32_t retrans;     /* segments sent again, ever */
    uint32_t cflags;      /* XT_CF_* */
    uint32_t ecn_recover; /* end of the window that an echo has reduced already, valid with XT_CE_REDUCED */
    uint32_t pmtu_ms;     /* when a larger MSS may be tried, valid while mss_path is less than mss_local */
    uint32_t probe_end;   /* end of the segment that tries mss_probe */
    uint32_t sack_recent[4]; /* a sequence number in each of the ranges last changed, newest first (RFC 2018) */
    struct xt_range dsack;   /* duplicate to report (RFC 2883), valid with XT_CF_DSACK */
    uint16_t mss_local;      /* what we announce */
    uint16_t mss_peer;       /* what the peer announced, or the default */
    uint16_t mss_path;       /* by the path's MTU */
    uint16_t mss_probe;      /* the larger one that a segment in flight tries, 0: none */
    uint16_t mss_bad;        /* the smallest one that seems too large for the path, 0: none known */
    uint16_t mss_eff;        /* Eff.snd.MSS: payload of a full segment, time stamps deducted */
    uint16_t rcv_mss;        /* estimate of the peer's full segment, for delayed ACK */
    uint16_t dupacks;        /* in a row */
    uint16_t undo_rtx;       /* segments sent again since the last loss and not reported as duplicates; see undo_cwnd */
    uint16_t pending;        /* XT_PEND_*: what output has to send */
    uint16_t fo_len;         /* bytes of data that our SYN carried */
    uint8_t fo;              /* XT_FO_* */
    uint8_t opts;            /* XT_OPT_*: offered while SYN_SENT, then in use */
    uint8_t backoff;         /* doublings of the retransmission time-out */
    uint8_t timeouts;        /* in a row without progress (R1, R2) */
    uint8_t probes;          /* zero-window probes without an answer; doublings of the persist interval in `backoff` */
    uint8_t keep_probes;     /* keep-alive probes without an answer */
    uint8_t quick;           /* segments still to be acknowledged at once */
    uint8_t challenged;      /* 1: a challenge ACK was sent */
    uint8_t n_ooo, n_sent;   /* valid entries of the lists below */
    uint8_t ooo_acks;        /* duplicate ACKs sent one by one since RCV.NXT moved */
    uint8_t recovery;        /* XT_RECOVERY_* */
    uint8_t reo_mult;        /* the reordering window, in quarters of the least round-trip time */
    uint8_t reo_persist;     /* recoveries until it shrinks again */
    uint8_t n_recent;        /* valid entries of sack_recent */
    uint8_t ecn;             /* XT_CE_* */
    uint8_t cc;              /* enum xt_cc_id */
    uint8_t dupthresh;       /* DupThresh: 3, more when the path is seen to reorder */
    uint8_t ip_optlen;       /* bytes of IP options that each segment carries */
    union {
        struct xt_range ooo[XT_OOO_MAX]; /* received out of order, sorted, disjoint, above RCV.NXT: xt_ooo_list() */
        struct xt_fo_cookie fo_cookie;   /* in SYN_SENT and SYN_RECV */
        struct xt_fo_listen fo_listen;   /* in LISTEN */
    };
    struct xt_flight sent[XT_SENT_MAX]; /* in flight, from SND.UNA to SND.NXT; see sent.h: xt_sent_list() */
    uint32_t seam[XT_SEAM_MAX];         /* see seam.h, sorted */
    uint8_t n_seam;
    struct xt_tally tally;
    struct xt_rate rate; /* delivery rate and round-trip times for congestion control */
    union {
        struct xt_cubic cubic;
        struct xt_bbr bbr;
    } ccs; /* the algorithm's own */
};

static_assert(sizeof(struct xt_conn) <= 1600, "xt_conn stays small: it is what an idle connection costs");
static_assert(offsetof(struct xt_conn, state) == 60, "xt_conn.state");
static_assert(offsetof(struct xt_conn, rx_head) == 72, "xt_conn.rx_head");
static_assert(offsetof(struct xt_conn, timer) == 160, "xt_conn.timer");

#endif
