/* SPDX-License-Identifier: Apache-2.0
 * The layouts of the release before: of the connection record (daemon/tcp/record.h), and of ledgers (daemon/app/ledger_layout.h). They are
 * never changed, only replaced as a whole by those of the next release; layout.h says how. Parts that are the same today stand
 * here by today's name; who changes one copies it here first. */
#ifndef XT_MAIN_LAYOUT_BEFORE_H
#define XT_MAIN_LAYOUT_BEFORE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/app/ledger_parts.h"
#include "daemon/tcp/cc_state.h"
#include "daemon/tcp/parts.h"
#include "proto/xt_addr.h"

/* ---- the connection record ---- */

#define XT_STATE_BEFORE 10u

struct xt_tcp_sockopt_before {
    uint8_t nodelay : 1;
    uint8_t cork : 1;
    uint8_t keepalive : 1;
    uint8_t recverr : 1;
    uint8_t fragment : 1;
    uint8_t quickack : 2;
    uint8_t tos;
    uint8_t ttl;
    uint8_t min_ttl;
    uint8_t keep_cnt;
    uint8_t cc;
    uint8_t defer;
    uint8_t syn_retries;
    uint32_t keep_idle, keep_intvl;
    uint32_t user_timeout;
    uint32_t linger2;
    uint32_t window_clamp;
    uint64_t pacing_max;
};

#define XT_OOO_BEFORE 32
#define XT_SENT_BEFORE 40
#define XT_SEAM_BEFORE 16
#define XT_MARKS_BEFORE 8
#define XT_RECENT_BEFORE 4
#define XT_SENT_BOARD_BEFORE 240
#define XT_OOO_BOARD_BEFORE 128

struct xt_tally_before {
    uint32_t data_segs_in, data_segs_out, delivered, delivered_ce, dsacks, reord_seen, ooo_segs;
    uint32_t busy_since_ms;
    uint32_t busy_ms, rwnd_ms, sndbuf_ms;
    uint32_t rto_since_ms, rto_ms;
    uint32_t rate_bytes, rate_us;
    uint16_t rtos, rto_spells;
    uint16_t reordering;
    uint8_t busy;
    uint8_t rate_limited;
};

struct xt_rate_before {
    struct xt_rate_mark mark[XT_MARKS_BEFORE];
    uint32_t delivered;
    uint32_t delivered_us, first_us;
    uint32_t last_end;
    uint32_t limited_until;
    uint8_t n;
    uint8_t limited;
    uint8_t mark_limited;
    uint8_t mark_again;
};

struct xt_conn_before {
    uint32_t index;
    uint32_t gen;
    uint32_t listener;
    uint32_t session;
    uint32_t slot;
    uint32_t flags;
    struct xt_endpoint local, remote;
    uint8_t state;
    uint8_t ca_state;
    uint8_t snd_wscale, rcv_wscale;
    int32_t err;
    int32_t soft_err;
    uint64_t rx_head;
    uint64_t rx_tail;
    uint64_t tx_head;
    uint64_t tx_una;
    uint32_t rx_size, tx_size;
    struct xt_tcp_sockopt_before opt;
    uint64_t timer[XT_TIMERS];
    int64_t board;
    uint64_t rx_urg;
    uint64_t tx_urg;
    uint64_t pace_next;
    uint64_t rtt_start;
    uint64_t bytes_sent, bytes_retrans, segs_out, segs_in;
    uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2;
    uint32_t snd_wnd_max;
    uint32_t snd_sml;
    uint32_t irs, rcv_nxt, rcv_adv;
    uint32_t rcv_fin;
    uint32_t last_ack_sent;
    uint32_t ts_recent;
    uint32_t ts_recent_ms;
    uint32_t cwnd, ssthresh;
    uint32_t cc_acked;
    uint32_t recover;
    uint32_t prr_fs;
    uint32_t prr_delivered;
    uint32_t prr_out;
    uint32_t rack_tick;
    uint32_t rack_end;
    uint32_t rack_rtt;
    uint32_t rack_fack;
    uint32_t reo_round;
    uint32_t tlp_end;
    uint32_t undo_cwnd;
    uint32_t undo_ssthresh;
    uint32_t rxt_ms;
    uint32_t srtt, rttvar;
    uint32_t rto;
    uint32_t min_rtt;
    uint32_t rtt_seq;
    uint32_t isn_floor;
    uint32_t challenge_ms;
    uint32_t data_rcv_ms;
    uint32_t t_rcv_ms;
    uint32_t t_snd_ms;
    uint32_t t_progress_ms;
    uint32_t probe_ms;
    uint32_t retrans;
    uint32_t cflags;
    uint32_t ecn_recover;
    uint32_t pmtu_ms;
    uint32_t probe_end;
    uint32_t sack_recent[XT_RECENT_BEFORE];
    struct xt_range dsack;
    uint16_t mss_local;
    uint16_t mss_peer;
    uint16_t mss_path;
    uint16_t mss_probe;
    uint16_t mss_bad;
    uint16_t mss_eff;
    uint16_t rcv_mss;
    uint16_t dupacks;
    uint16_t undo_rtx;
    uint16_t pending;
    uint16_t fo_len;
    uint8_t fo;
    uint8_t opts;
    uint8_t backoff;
    uint8_t timeouts;
    uint8_t probes;
    uint8_t keep_probes;
    uint8_t quick;
    uint8_t challenged;
    uint8_t n_ooo, n_sent;
    uint8_t ooo_acks;
    uint8_t recovery;
    uint8_t reo_mult;
    uint8_t reo_persist;
    uint8_t n_recent;
    uint8_t ecn;
    uint8_t cc;
    uint8_t dupthresh;
    uint8_t ip_optlen;
    uint8_t n_seam;
    union {
        struct xt_range ooo[XT_OOO_BEFORE];
        struct xt_fo_cookie fo_cookie;
        struct xt_fo_listen fo_listen;
    };
    struct xt_flight sent[XT_SENT_BEFORE];
    uint32_t seam[XT_SEAM_BEFORE];
    struct xt_tally_before tally;
    struct xt_rate_before rate;
    union {
        struct xt_cubic cubic;
        struct xt_bbr bbr;
    } ccs;
};

struct xt_board_before {
    struct xt_flight sent[XT_SENT_BOARD_BEFORE];
    struct xt_range ooo[XT_OOO_BOARD_BEFORE];
};

static inline uint32_t xt_board_count_before(uint32_t max_conns)
{
    return max_conns / 4 > 64 ? max_conns / 4 : 64;
}

static_assert(sizeof(struct xt_tcp_sockopt_before) == 40, "xt_tcp_sockopt_before");
static_assert(sizeof(struct xt_conn_before) == 1576, "xt_conn_before");
static_assert(offsetof(struct xt_conn_before, timer) == 152, "xt_conn_before.timer");
static_assert(offsetof(struct xt_conn_before, seam) == 1132, "xt_conn_before.seam");
static_assert(offsetof(struct xt_conn_before, ccs) == 1448, "xt_conn_before.ccs");
static_assert(sizeof(struct xt_board_before) == 2944, "xt_board_before");

/* ---- ledgers ---- */

#define XT_LEDGER_BEFORE 7u

struct xt_extent_before {
    uint64_t off;
    uint32_t size;
};

struct xt_tune_before {
    uint64_t start_us;
    uint64_t start_tail, start_head;
    uint32_t space;
};

struct xt_pwaiter_before {
    _Atomic uint32_t state;
    uint32_t proc;
    int rfd, wfd;
    uint32_t cmd_seen;
    uint32_t made_seq;
    uint32_t made;
};

struct xt_ledger_before {
    uint32_t magic, version;
    uint32_t slot_size;
    uint32_t id, index;
    uint32_t max_slots;
    uint64_t arena;
    int32_t pid;
    uint32_t uid;
    char comm[24];
    _Atomic uint64_t procs_used[XT_PROC_WORDS];
    _Atomic uint64_t procs_live[XT_PROC_WORDS];
    _Atomic uint32_t waiters_high;
    _Atomic uint32_t relay;
    uint32_t slots_high;
    int32_t lied;
    uint32_t low_ports;
    struct xt_pwaiter_before waiter[XT_MAX_WAITERS];
    struct xt_pexport export[XT_LEDGER_EXPORTS];
};

struct xt_pslot_before {
    uint8_t kind;
    bool queued;
    bool changed;
    bool news;
    bool urgent;
    bool pending;
    bool orphan;
    bool bound;
    uint8_t claim;
    bool any_local;
    _Atomic bool left;
    bool arrived;
    bool rx_fixed, tx_fixed;
    bool cold;
    _Atomic uint16_t holder;
    uint16_t maxseg;
    uint32_t conn;
    uint32_t conn_gen;
    uint32_t cond;
    int32_t pending_error;
    int32_t pending_soft;
    uint32_t gen;
    int32_t linger;
    uint64_t rx_head, rx_tail, tx_head, tx_tail, rx_urg, tx_urg;
    struct xt_extent_before rx, tx;
    struct xt_extent_before rx_old;
    uint64_t rx_switch;
    struct xt_extent_before rx_new, tx_new;
    struct xt_tune_before tune;
    uint64_t moved;
    uint64_t moved_us;
    struct xt_endpoint local;
    struct xt_tcp_sockopt_before opt;
    uint32_t sndbuf, rcvbuf;
    struct xt_fo_listen fo;
    struct xt_ipopt ipopt;
    uint32_t next, prev_listener;
    uint32_t acc_first, acc_last, acc_head, acc_tail;
    uint32_t backlog, syn_recv;
    uint32_t next_listener;
};

static_assert(sizeof(struct xt_pwaiter_before) == 28, "xt_pwaiter_before");
static_assert(sizeof(struct xt_ledger_before) == 237912, "xt_ledger_before");
static_assert(sizeof(struct xt_pslot_before) == 456, "xt_pslot_before");
static_assert(offsetof(struct xt_pslot_before, opt) == 256, "xt_pslot_before.opt");
static_assert(offsetof(struct xt_pslot_before, next) == 416, "xt_pslot_before.next");

#endif
