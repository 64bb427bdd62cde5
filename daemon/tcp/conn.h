/* SPDX-License-Identifier: Apache-2.0
 * The connection record: everything a connection needs to go on after the stack process died. Records live in the
 * state memfd, have a fixed size, refer to each other by index and hold no pointer. */
#ifndef XT_TCP_CONN_H
#define XT_TCP_CONN_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/tcp/record.h"
#include "daemon/tcp/stats.h"
#include "daemon/wire/seg.h"
#include "proto/xt_state.h"

#define XT_NO_CONN UINT32_MAX

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

#define XT_LINGER2_NONE UINT16_MAX

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

/* xt_conn.urg */
enum {
    XT_URG_RX = 0x01, /* from the peer */
    XT_URG_TX = 0x02, /* to it */
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

#endif
