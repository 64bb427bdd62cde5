/* SPDX-License-Identifier: Apache-2.0
 * The connection record: everything a connection needs to go on after the stack process died. Records live in the
 * state memfd, have a fixed size, refer to each other by index and hold no pointer. */
#ifndef XT_TCP_CONN_H
#define XT_TCP_CONN_H

#include <stdint.h>

#include "daemon/tcp/stats.h"
#include "proto/xt_addr.h"
#include "proto/xt_state.h"

#define XT_NO_CONN UINT32_MAX
#define XT_OOO_MAX 16    /* out-of-order ranges held in the receive ring */
#define XT_SACKED_MAX 16 /* SACKed ranges remembered of the send ring */

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
    uint32_t syn_retries;             /* 6 */
    uint32_t synack_retries;          /* 5 */
    uint32_t retries;                 /* 15 (R2) */
    uint32_t orphan_retries;          /* 8 */
    uint16_t mss;                     /* 1460: from the stack's MTU */
    uint8_t quickack;                 /* 16: segments acknowledged at once at the start; 0: plain delayed ACK */
    uint8_t init_cwnd;                /* 10 segments (RFC 6928) */
    uint8_t timestamps, sack, wscale; /* 1: offer and accept */
    uint32_t gso_max;                 /* 65160: bytes of payload in a super-segment; at most mss: no super-segments */
};

/* Socket options that the core looks at. Zero values mean "as configured". */
struct xt_tcp_sockopt {
    uint8_t nodelay;                          /* TCP_NODELAY: no Nagle */
    uint8_t cork;                             /* TCP_CORK: no partial segment (for at most 200 ms) */
    uint8_t keepalive;                        /* SO_KEEPALIVE */
    uint8_t quickack;                         /* TCP_QUICKACK */
    uint32_t keep_idle, keep_intvl, keep_cnt; /* seconds, seconds, count */
    uint32_t user_timeout;                    /* ms (RFC 5482) */
    uint32_t linger2;                         /* seconds in FIN_WAIT2 */
};

struct xt_range {
    uint32_t left, right; /* sequence numbers, [left, right) */
};

/* What TCP_INFO and `xtcpctl list` show. Microseconds, bytes, segments. */
struct xt_tcp_info {
    uint8_t state, snd_wscale, rcv_wscale, ca_state; /* ca_state: 0 open, 2 cwr, 3 recovery, 4 loss, as Linux */
    uint8_t options;                                 /* XT_OPT_* in use */
    uint8_t backoff, probes;
    uint16_t snd_mss, rcv_mss;
    uint32_t rto, ato, srtt, rttvar, min_rtt;
    uint32_t cwnd, ssthresh; /* bytes */
    uint32_t snd_wnd, rcv_wnd;
    uint32_t unacked, sacked, lost, retrans; /* bytes now in that state; retrans: segments ever */
    uint32_t last_data_sent_ms, last_data_recv_ms, last_ack_recv_ms;
    uint64_t bytes_sent, bytes_retrans, bytes_acked, bytes_received;
    uint64_t segs_out, segs_in;
};

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

    /* the core's own from here on; the author of daemon/tcp adds what it needs, with RFC names */
    uint32_t iss, irs;
    uint32_t snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2, snd_max;
    uint32_t rcv_nxt, rcv_wnd, rcv_adv;
    uint16_t mss_local, mss_eff;
    uint32_t isn_floor;
};

#endif
