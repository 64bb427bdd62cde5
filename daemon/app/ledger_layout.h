/* SPDX-License-Identifier: Apache-2.0
 * The layout of a ledger (ledger.h). A stack process reads that of the release before, too (daemon/main/layout.h says what a change
 * of it takes). */
#ifndef XT_APP_LEDGER_LAYOUT_H
#define XT_APP_LEDGER_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/app/ledger_parts.h"
#include "daemon/base/macros.h"
#include "daemon/tcp/record.h"

#define XT_LEDGER_VERSION 8u

struct xt_pwaiter {
    _Atomic uint32_t state; /* FREE to LIVE by [ctl], back by [data] */
    uint32_t proc;
    int rfd, wfd;      /* wake-up pipe; the client has rfd. Numbers of the stack process that runs */
    uint32_t cmd_seen; /* sequence number of the last command taken */
    uint32_t made_seq; /* the command that made slot `made` */
    uint32_t made;
};
static_assert(sizeof(struct xt_pwaiter) == 28, "xt_pwaiter");

struct xt_ledger {
    uint32_t magic, version;
    uint32_t slot_size; /* sizeof(struct xt_pslot) */
    uint32_t id, index; /* of the session */
    uint32_t max_slots;
    uint64_t arena; /* bytes */
    int32_t pid;
    uint32_t uid;
    char comm[24];
    /* Bitmaps. Index taken: set by [ctl], cleared by [data] when nothing of the proc is left. */
    _Atomic uint64_t procs_used[XT_PROC_WORDS];
    _Atomic uint64_t procs_live[XT_PROC_WORDS]; /* its hold bits count: likewise, cleared at its death */
    _Atomic uint32_t waiters_high;
    _Atomic uint32_t relay; /* waiter and proc of the daemon's own (xt_ledger_relay()), 0: none; written by [ctl] */
    uint32_t slots_high;    /* no slot from here on was ever used */
    int32_t lied;           /* errno why the client was dropped, 0: it was not */
    uint32_t low_ports;     /* may it have ports below 1024, though it is not root's? */
    struct xt_pwaiter waiter[XT_MAX_WAITERS];
    struct xt_pexport export[XT_LEDGER_EXPORTS];
    uint32_t
        family; /* of a session that takes part in the listening of another one, in another shard: that one's id; else 0 */
};

/* The daemon's own side of a slot: private copies of every counter a client can write, and what a client must not. It stands in the
 * session's ledger and outlives the stack process. */
struct xt_pslot {
    uint8_t kind;            /* enum xt_slot_kind */
    bool queued;             /* in a listener's accept queue: alive without a holder */
    bool changed;            /* on the list of slots to publish */
    bool news;               /* subscribers are to be told at the next flush */
    bool urgent;             /* with it: urgent data came */
    bool pending;            /* a child that is not ESTABLISHED yet */
    bool orphan;             /* released by all; the connection still drains */
    bool bound;              /* holds a reservation of its local end point in the stack */
    bool rare;               /* its struct xt_prare is its own: set once that has been emptied */
    _Atomic bool left;       /* the relay has been told that it alone holds the socket; the control thread clears it */
    bool arrived;            /* of a listener: connections have come, which is news for as many as they are */
    bool rx_fixed, tx_fixed; /* the program has set SO_RCVBUF, SO_SNDBUF; or there is no room to grow */
    bool cold;               /* the rings' pages were given back */
    _Atomic uint16_t holder; /* a process that was seen to hold it: where the next look begins */
    uint32_t conn;           /* index of the record, or XT_NO_CONN */
    uint32_t conn_gen;       /* and its life */
    uint32_t cond;           /* XT_COND_* as published */
    int16_t pending_error;   /* so_error to publish */
    int16_t pending_soft;    /* soft_error to publish */
    uint32_t gen;
    int32_t linger; /* SO_LINGER: -1 off, else seconds */
    uint32_t sndbuf, rcvbuf;
    uint32_t next, prev_listener; /* of a queued slot: the one after it in the accept queue; its listener */
    uint64_t rx_head, rx_tail, tx_head, tx_tail;
    struct xt_extent rx, tx;
    struct xt_tune tune;
    uint32_t moved; /* rx_head + tx_head when last looked at, and when that changed: for trimming. Low 32 bits */
    uint32_t moved_us;
    struct xt_tcp_sockopt opt;
};
static_assert(sizeof(struct xt_pslot) == 160, "xt_pslot: it is part of what an idle connection costs");

/* What few sockets need: listeners, those that are bound, those with a rare option or urgent data, those whose rings have grown. It costs memory once it is
 * used (xt_app_rare_own()). */
struct xt_prare {
    struct xt_endpoint local;        /* bound end point */
    uint8_t claim;                   /* XT_CLAIM_REUSE, XT_CLAIM_SHARE as at bind */
    bool any_local;                  /* bound to the unspecified address */
    uint16_t maxseg;                 /* TCP_MAXSEG; 0: not set */
    struct xt_extent rx_new, tx_new; /* what a change under way leads to (rings.c); size 0: none is */
    struct xt_extent rx_old;         /* holds what is unread before rx_switch; size 0: all has been read */
    uint64_t rx_switch;
    uint64_t rx_urg, tx_urg; /* ends of urgent data, 0: none; tx_urg as the client says */
    /* Of a listener: its accept queue is a list through the queued slots. Entries leave when the client has moved acc_tail past them. */
    uint32_t acc_first, acc_last, acc_head, acc_tail;
    uint32_t backlog, syn_recv;
    uint32_t next_listener; /* list of the session's listeners */
    struct xt_fo_listen fo; /* Fast Open, as set: limit, keys, no_cookie */
    struct xt_ipopt ipopt;  /* IP_OPTIONS for a connection to come */
};
static_assert(sizeof(struct xt_prare) == 216, "xt_prare");

#define XT_LEDGER_SLOTS_OFF XT_ALIGN_UP(sizeof(struct xt_ledger), (size_t)4096)

static inline size_t xt_ledger_rare_off(uint32_t max_slots)
{
    return XT_ALIGN_UP(XT_LEDGER_SLOTS_OFF + (size_t)max_slots * sizeof(struct xt_pslot), (size_t)4096);
}

static inline size_t xt_ledger_size(uint32_t max_slots)
{
    return xt_ledger_rare_off(max_slots) + (size_t)max_slots * sizeof(struct xt_prare);
}

static inline struct xt_pslot *xt_ledger_slots(struct xt_ledger *l)
{
    return (struct xt_pslot *)(void *)((uint8_t *)l + XT_LEDGER_SLOTS_OFF);
}

static inline struct xt_prare *xt_ledger_rares(struct xt_ledger *l)
{
    return (struct xt_prare *)(void *)((uint8_t *)l + xt_ledger_rare_off(l->max_slots));
}

static inline uint32_t xt_ledger_family(const struct xt_ledger *l)
{
    return l->family;
}

static inline void xt_ledger_set_family(struct xt_ledger *l, uint32_t family)
{
    l->family = family;
}

static inline bool xt_ledger_has_rare(const struct xt_pslot *p)
{
    return p->rare;
}

static inline void xt_ledger_say_rare(struct xt_pslot *p)
{
    p->rare = true;
}

#endif
