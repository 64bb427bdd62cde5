/* SPDX-License-Identifier: Apache-2.0
 * The shared-memory contract between xtcpd and its clients. Everything here is written by two parties that do not trust
 * each other: the daemon loads each client-written word once and checks it against its private copy; the client may be
 * anybody. Indices, counters and offsets only: no pointer.
 *
 * One client (a process and its forks) has one region: a sealed memfd, mapped whole by both sides.
 *
 *   struct xt_region | procs | waiters | cmd bitmap | dirty bitmap | slots | rares | hold bitmaps | ready bitmaps | arena
 *
 * slot    a socket. Of its cache lines the daemon writes 0 and 1, the client 2; what the client sets once stands in any of them.
 * rare    for each slot what few sockets have. It costs memory once a socket has something of it, and says so: XT_MORE_RARE.
 * proc    a process of the family. Its hold bitmap has a bit for each slot that it has a descriptor for. A socket ends when
 *         no live proc holds it; the daemon looks when the slot is marked dirty or when a process dies.
 * waiter  something that sleeps: a thread in a blocking call or poll, or an epoll set. It has a wake-up descriptor, a ready
 *         bitmap (slots with news) and a mailbox for one command at a time. The descriptor is the reading end of a pipe and not
 *         an eventfd: with an eventfd, a client could fill the counter and clear O_NONBLOCK of the shared description, and the
 *         daemon's next wake-up would block for ever. A pipe's ends have descriptions of their own.
 * dirty   bitmap of slots that the client wants the daemon to look at: tx_head, rx_tail, urgent mark or holders changed.
 *
 * Doorbells: the client marks dirty (or cmd), then, if xt_global.sleeping is set, writes the session's doorbell eventfd. The
 * daemon publishes to the slot, marks the ready bitmap of each subscribed waiter, then, if waiter.sleeping is set, clears it
 * and writes to the waiter's pipe. Both are Dekker patterns: store, sequentially consistent fence, load of the other's. */
#ifndef XT_SHM_H
#define XT_SHM_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/xt_addr.h"
#include "proto/xt_bitmap.h"
#include "proto/xt_state.h"

#define XT_ABI_VERSION 12u
#define XT_REGION_MAGIC 0x58544350u /* "XTCP" */
#define XT_MAX_PROCS 1024u          /* of one family, at a time */
#define XT_MAX_WAITERS 4096u        /* of one family, at a time */
#define XT_MAX_SLOTS 65536u         /* default; at most XT_BITMAP_MAX */
#define XT_NO_SLOT UINT32_MAX
#define XT_SPARES 16u
#define XT_LOCK_RELAY 0x7fffffffu /* in slot.rx_lock and tx_lock, for ever: the daemon moves the socket's bytes now */

#define XT_RAN 64

/* Read-only for clients (sealed with F_SEAL_FUTURE_WRITE): one page for all. */
struct xt_global {
    uint32_t magic, abi;
    _Atomic uint32_t sleeping; /* 1: the data plane sleeps or is about to; ring the doorbell */
    uint32_t epoch;            /* counts starts of the stack process */
    uint32_t spin_us;          /* how long a client may spin before it sleeps */
    uint32_t addr_be;          /* own IPv4 address, network byte order */
    uint32_t rsv[10];
    /* By processor (modulo XT_RAN): how often those who ran there did something with a socket, as far as the daemon knows; wraps */
    _Atomic uint32_t ran[XT_RAN];
};
static_assert(sizeof(struct xt_global) == 320, "xt_global");

/* Header of a region. Written by the daemon before the client gets it; constant after, but for what is atomic. */
struct xt_region {
    uint32_t magic, abi;
    uint32_t max_slots, max_procs, max_waiters;
    _Atomic uint32_t dead; /* not 0: the daemon has dropped the session; the value is an errno */
    uint64_t procs_off, waiters_off, cmd_off, dirty_off, slots_off, rares_off, hold_off, ready_off, arena_off;
    uint64_t hold_stride, ready_stride; /* bytes from one proc's (waiter's) bitmap to the next's */
    uint64_t size;                      /* of the whole region */
    _Atomic uint32_t waiters_high;      /* one more than the highest waiter ever made */
    _Atomic uint32_t refused;           /* connects asked for by XT_WANT_CONNECT that could not begin; wraps */
    uint32_t sndbuf, rcvbuf;            /* default ring sizes, bytes */
};
static_assert(sizeof(struct xt_region) == 136, "xt_region");
static_assert(offsetof(struct xt_region, procs_off) == 24, "xt_region.procs_off");

enum { XT_PROC_FREE, XT_PROC_RESERVED, XT_PROC_LIVE };

struct xt_proc {
    _Atomic uint32_t state; /* XT_PROC_*: written by the daemon */
    uint32_t pid;           /* written by the process; for display only */
    char comm[24];          /* likewise, NUL-terminated */
    uint64_t rsv[4];
};
static_assert(sizeof(struct xt_proc) == 64, "xt_proc");

/* Commands of the mailbox. Each result is 0 or a negative errno (or as noted). */
enum xt_op {
    XT_OP_NOP,
    /* result: the new slot's index; the caller's proc holds it. arg[0]: how many more to make in advance, at most XT_SPARES; data:
     * uint32_t, their number (perhaps fewer), and that many indices */
    XT_OP_SOCKET,
    XT_OP_BIND,     /* addr, port; arg[0]: 1 SO_REUSEADDR + 2 SO_REUSEPORT. The bound end point is in slot.local */
    XT_OP_LISTEN,   /* arg[0]: backlog */
    XT_OP_CONNECT,  /* addr, port, arg[0]: XT_CONNECT_*; 0 when the SYN is on its way, the outcome comes as an event */
    XT_OP_SHUTDOWN, /* arg[0]: SHUT_RD, SHUT_WR, SHUT_RDWR */
    /* arg[0]: enum xt_opt, arg[1]: value; port: lower half of slot.gen, 0: any; result of SNDBUF, RCVBUF, RCVLOWAT: the value in effect */
    XT_OP_SETOPT,
    XT_OP_INFO,   /* data: struct xt_tcp_info_abi */
    XT_OP_NEWS,   /* wakes all subscribers of the slot */
    XT_OP_GETOPT, /* arg[0]: enum xt_opt, one whose value is data; result: its length, value in data */
    XT_OP_FO_KEYS, /* Fast Open keys of a listener. arg[0]: number to set, from data; 0: gives them in data; result: number */
    XT_OP_DISCONNECT, /* as connect() to no family: the slot is as new. The caller has rx_lock and tx_lock */
    XT_OP_GROW_TX, /* the send ring is full and slot.tx_goal is larger: a larger one, with what is in it. The caller has tx_lock */
    XT_OP_OPEN, /* SOCKET and CONNECT; result as of SOCKET, data: int32_t, the result of CONNECT */
    XT_OP_MAX
};

/* XT_OP_CONNECT, arg[0]: Fast Open (RFC 7413). */
enum {
    /* Asks for a cookie. When one is known, the result is the number of bytes that fit the SYN, which waits with cond
     * XT_COND_DEFERRED: the client writes to the ring, then gives the command again with GO. Given again without, it
     * answers the same. */
    XT_CONNECT_FASTOPEN = 0x1,
    XT_CONNECT_MUST = 0x2,      /* with it: -EOPNOTSUPP where Fast Open is switched off */
    XT_CONNECT_NO_COOKIE = 0x4, /* with it: data without a cookie */
    XT_CONNECT_GO = 0x8,        /* alone */
};

/* Options that the daemon must know of; the rest is the library's. */
enum xt_opt {
    XT_SO_NODELAY,
    XT_SO_CORK,
    XT_SO_KEEPALIVE,
    XT_SO_KEEPIDLE,  /* seconds */
    XT_SO_KEEPINTVL, /* seconds */
    XT_SO_KEEPCNT,
    XT_SO_QUICKACK,
    XT_SO_USER_TIMEOUT, /* ms */
    XT_SO_LINGER2,      /* seconds */
    XT_SO_MAXSEG,
    XT_SO_SNDBUF, /* bytes of ring wanted, perhaps | XT_BUF_FORCE */
    XT_SO_RCVBUF,
    XT_SO_LINGER, /* -1: off; else seconds: 0 makes the last close a reset */
    XT_SO_OOBINLINE,
    XT_SO_DEFER_ACCEPT, /* seconds */
    XT_SO_TOS,
    XT_SO_TTL,
    XT_SO_CONGESTION,         /* enum xt_cc_id; not kept by the library */
    XT_SO_RECVERR,            /* ICMP errors are told at once */
    XT_SO_IP_OPTIONS,         /* SETOPT: arg[1] is the length, data the options as IP_OPTIONS has them */
    XT_SO_FASTOPEN,           /* a listener's limit of pending ones; 0: none */
    XT_SO_FASTOPEN_CONNECT,   /* kept by the library; tells only whether it may be set */
    XT_SO_FASTOPEN_NO_COOKIE, /* likewise, and for a listener */
    XT_SO_RCVLOWAT,           /* bytes: the receive ring becomes twice as large */
    XT_SO_SYNCNT,
    XT_SO_WINDOW_CLAMP,
    XT_SO_MTU_DISCOVER,
    XT_SO_NOTSENT_LOWAT,
    XT_SO_MIN_TTL,
    XT_SO_PACING_MAX, /* bytes/s, 0: no limit */
    XT_SO_MAX
};

#define XT_BUF_FORCE (1ULL << 32) /* SO_SNDBUFFORCE, SO_RCVBUFFORCE: root may pass bufmax */

/* As struct xt_tcp_info of the daemon; times in microseconds, sizes in bytes but for unacked, sacked, lost and rexmit:
 * segments. */
struct xt_tcp_info_abi {
    uint32_t state, ca_state, options, snd_wscale, rcv_wscale, backoff, probes, snd_mss, rcv_mss;
    uint32_t rto, ato, srtt, rttvar, min_rtt, cwnd, ssthresh, snd_wnd, rcv_wnd;
    uint32_t unacked, sacked, lost, retrans, last_data_sent_ms, last_data_recv_ms, last_ack_recv_ms;
    uint32_t cc;       /* enum xt_cc_id; before the connection is open, what it will be */
    uint32_t fo;       /* Fast Open: 1 the SYN's data was taken; bits 1 and 2: why not, as Linux numbers it */
    uint32_t fo_limit; /* and of a listener */
    uint64_t bytes_sent, bytes_retrans, bytes_acked, bytes_received, segs_out, segs_in;
    uint32_t timeouts, rate_limited, advmss, pmtu, rexmit, notsent, reordering,
        ecn; /* ecn: 1 in use, 2 a mark was seen */
    uint32_t data_segs_in, data_segs_out, delivered, delivered_ce, dsacks, reord_seen, ooo_segs;
    uint32_t rtos, rto_spells, rto_ms, busy_ms, rwnd_ms, sndbuf_ms;
    uint32_t rcv_space; /* what the reader took in the last round trip; 0: not known */
    uint64_t pacing_rate, delivery_rate;
};
static_assert(sizeof(struct xt_tcp_info_abi) == 264, "xt_tcp_info_abi");

/* xt_waiter.async: of slot `s`; with _URGENT only the arrival of urgent data is news. */
#define XT_ASYNC(s) (((s) + 1) << 1)
#define XT_ASYNC_URGENT 1u

#define XT_WAITER_EXCLUSIVE 8u

struct xt_waiter {
    _Atomic uint32_t sleeping; /* set by the client before it sleeps, taken (exchanged with 0) by who wakes it */
    uint32_t proc;             /* owner, written by the daemon */
    _Atomic uint32_t live;     /* 1 while it belongs to a proc: written by the daemon */
    /* Not 0: it stands for signals about one socket (XT_ASYNC). A byte is written for all news of it, `sleeping` or not. */
    _Atomic uint32_t async;
    /* Listeners (slot + 1, 0: none) that it waits for as EPOLLEXCLUSIVE means it: a connection that comes wakes one of those who
     * wait so, not all. Written by the client. */
    _Atomic uint32_t exclusive[XT_WAITER_EXCLUSIVE];
    /* Not 0: several processes wait by it. It is told of every socket that it is subscribed to, of those too that its own process does
     * not hold. Written by the client. */
    _Atomic uint32_t family;
    /* Of its waits: how many there were, and how many times somebody else ran on this processor during one; the number + 1 (0: not known)
     * of the processor where its thread waited, or took news, last. Written by the client, which gains nothing by lying but a shard
     * that comes nearer. */
    _Atomic uint32_t waits, shared, cpu;
    /* mailbox: the client fills op to data and then stores cmd_seq (release); the daemon answers in result, addr, port and
     * data and then stores done_seq = cmd_seq (release). One command at a time. */
    _Atomic uint32_t cmd_seq;
    _Atomic uint32_t done_seq;
    uint32_t op, slot;
    int32_t result;
    uint16_t port, rsv1;
    struct xt_addr addr;
    uint64_t arg[2];
    uint8_t data[264];
};
static_assert(sizeof(struct xt_waiter) == 384, "xt_waiter");
static_assert(offsetof(struct xt_waiter, cmd_seq) == 64, "xt_waiter.cmd_seq");
static_assert(sizeof(struct xt_tcp_info_abi) <= sizeof(((struct xt_waiter *)0)->data), "info fits the mailbox");

/* Conditions of a socket, written by the daemon (slot.cond). */
enum {
    XT_COND_CONNECTED = 0x01, /* has been ESTABLISHED */
    XT_COND_RDHUP = 0x02,     /* the peer's FIN came: end of file at rx_head; or SHUT_RD */
    XT_COND_WRSHUT = 0x04,    /* own sending side is closed */
    XT_COND_HUP = 0x08,       /* both directions are over, or never begun after a failed connect */
    XT_COND_ERROR = 0x10,     /* so_error holds an errno nobody has taken yet */
    XT_COND_URGENT = 0x20,    /* urgent data up to rx_urg */
    XT_COND_LISTEN = 0x40,
    XT_COND_CONNECTING = 0x80, /* SYN_SENT */
    XT_COND_FIN = 0x100,       /* the peer's FIN came */
    XT_COND_DEFERRED = 0x200,  /* as CONNECTING, but the SYN waits for data */
};

/* xt_slot.oflags, beside the O_ flags. */
enum {
    XT_OFLAG_GONE = 1 << 25,         /* an accept has told that xtcpd has gone */
    XT_OFLAG_ZEROCOPY = 1 << 26,     /* slot.zerocopy has been used */
    XT_OFLAG_DISCONNECTED = 1 << 27, /* connect to no family: the next one does not tell of its error */
    XT_OFLAG_SIGNALS = 1 << 28,      /* a process of the family has waiters for signals about it */
    XT_OFLAG_FAILED = 1 << 29,       /* connect has told that it failed: the socket is as good as new */
    XT_OFLAG_CONNECT = 1 << 30,      /* a connect answered EINPROGRESS, and none since has told how it ended */
};

/* slot.rx_lock and tx_lock: the process that has it plus one, and above that what its threads tell themselves apart by. */
#define XT_LOCK_PROC(v) (((v)&0x7ffu) - 1)
#define XT_LOCK_THREAD(n) (((n)&0xfffffu) << 11)

/* Owner in slot.tx_lock when the daemon has it: for as long as it takes to give free pages back. It never waits for the lock. */
#define XT_LOCK_DAEMON 0x7ffffffeu

/* slot.want, set by the client. */
enum {
    XT_WANT_SPACE =
        0x1, /* a send found the ring full: wake me when I may send again; cleared by the daemon (fetch_and) */
    XT_WANT_MORE = 0x2, /* what was written last came with MSG_MORE: a segment that it does not fill may wait */
    XT_WANT_PINNED =
        0x4, /* set with tx_lock held, for good: free ring space is written without the lock, keep its pages */
    XT_WANT_STAMPS = 0x8, /* say when bytes arrived: slot.stamp */
    /* Of a new socket: connect to remote_be and remote_port, which the client has written, as it has CONNECTING to `cond`. Done before the next
     * command for the slot; cleared by the daemon then. What XT_OP_CONNECT would say is told as the error of a connect that failed. */
    XT_WANT_CONNECT = 0x10,
    XT_WANT_NODELAY = 0x20, /* TCP_NODELAY is on: as of the bytes written next, and for the children of a listener */
};

/* When the last bytes arrived: all before stream offset `upto`, at `ns` of CLOCK_REALTIME. The daemon stores 0 to `upto`, then `ns`,
 * then `upto`; who loads the same before and after `ns` has both of one arrival. 0: none yet. */
struct xt_stamp {
    _Atomic uint64_t upto, ns;
};

/* A bit of slot.more: its struct xt_rare has something. Set before that is written; a new socket's is all zeros, which the daemon sees to. */
#define XT_MORE_RARE 0x1u

/* Values of options are as set plus one, 0: never set, UINT32_MAX: -1. */
struct xt_slot {
    /* line 0: the daemon's, seldom; and the client's own, which the daemon only copies from a listener to its children */
    uint32_t gen;          /* counts the slot's lives */
    _Atomic uint16_t cond; /* XT_COND_* */
    _Atomic uint8_t state; /* enum xt_state, for getsockopt and display */
    uint8_t tos;           /* the client's: IP_TOS */
    uint16_t snd_mss;
    _Atomic int16_t so_error;   /* positive errno; taken by the client by exchange with 0 */
    _Atomic int16_t soft_error; /* what ICMP said of a connection that goes on: for SO_ERROR, taken likewise */
    uint8_t keep_cnt;           /* the client's: TCP_KEEPCNT */
    uint8_t rsv0;
    /* Rings: pages from the start of the region (xt_page_off()); tx_page of a listener: its accept ring of uint32_t. Sizes are bytes,
     * powers of two, 0: none yet; tx_size of a listener: entries. The send ring changes only by XT_OP_GROW_TX, while the client has
     * tx_lock. The receive ring may change at any time: bytes before rx_switch are then in rx_old until they are read. The daemon
     * stores rx_old, rx_switch, rx_page, rx_size, each released, and then an rx_head beyond rx_switch; a reader loads rx_head, rx_page,
     * rx_size, rx_switch, rx_old, each acquired: if it sees any part of the new ring, it sees what is in the old one. There is no
     * second change before all of rx_old was read. */
    _Atomic uint32_t rx_page, tx_page;
    _Atomic uint32_t rx_size, tx_size;
    _Atomic uint64_t rx_switch;   /* stream offset */
    _Atomic uint32_t oflags;      /* the client's, as all of this line from here on: O_NONBLOCK, O_ASYNC, XT_OFLAG_* */
    _Atomic uint32_t more;        /* XT_MORE_RARE, and options with two values, the library's own */
    uint32_t misc;                /* options that change nothing but are read back; the library's own */
    uint32_t rcvbuf;              /* SO_RCVBUF as read back, 0: never set */
    uint32_t notsent_lowat;       /* TCP_NOTSENT_LOWAT */
    _Atomic uint32_t disconnects; /* counts XT_OP_DISCONNECT: who waited before that waits in vain */
    /* line 1: the daemon's, hot; and as in line 0 */
    _Atomic uint64_t rx_head; /* stream offset: bytes received in order. Release: pairs with the reader's acquire */
    _Atomic uint64_t tx_tail; /* stream offset: bytes acknowledged, the ring is free up to here */
    _Atomic uint64_t rx_urg;  /* stream offset of the urgent mark (one past the urgent byte) */
    union {
        _Atomic uint32_t acc_head; /* listener: connections put into the accept ring, wraps */
        /* connection: lower half of the stream offset up to which bytes were sent once; only with TCP_NOTSENT_LOWAT */
        _Atomic uint32_t tx_sent;
    };
    _Atomic uint32_t tx_goal;          /* bytes of send ring that would suit; more than tx_size: may be asked for */
    _Atomic uint64_t rx_old;           /* offset of the old receive ring (a multiple of 4096) | log2 of its size */
    uint32_t local_be, remote_be;      /* bound and peer end points, IPv4, network byte order: xt_slot_local() */
    uint16_t local_port, remote_port;  /* host byte order */
    uint32_t rcvtimeo_ms, sndtimeo_ms; /* the client's, as the rest of this line; 0: none */
    uint32_t sndbuf;                   /* as rcvbuf */
    /* line 2: the client's, hot */
    _Atomic uint64_t tx_head;          /* stream offset: bytes written. Release: pairs with the daemon's acquire */
    _Atomic uint64_t rx_tail;          /* stream offset: bytes consumed */
    _Atomic uint64_t tx_urg;           /* stream offset one past the last MSG_OOB byte, 0: none */
    _Atomic uint32_t acc_tail;         /* listener: connections taken, wraps; moved by compare-and-swap */
    _Atomic uint32_t want;             /* XT_WANT_* */
    _Atomic uint32_t rx_lock, tx_lock; /* 0, or XT_LOCK_*; bit 31: somebody waits (futex) */
    _Atomic uint32_t rx_told;       /* lower half of rx_tail when the slot was last marked dirty; the library's own */
    uint16_t keep_idle, keep_intvl; /* TCP_KEEPIDLE, TCP_KEEPINTVL */
    _Atomic uint64_t subs;          /* bit (waiter % 64) for each waiter that wants events */
    _Atomic uint64_t urg_read;      /* the urgent mark whose byte was read by MSG_OOB; the library's own */
};
static_assert(offsetof(struct xt_slot, rx_head) == 64, "xt_slot line 1");
static_assert(offsetof(struct xt_slot, tx_head) == 128, "xt_slot line 2");
static_assert(sizeof(struct xt_slot) == 192, "xt_slot: it is part of what an idle connection costs");

/* Options that are rare: written by the client, and only copied from a listener to its children; but for the stamp. */
#define XT_RARE_OPTS 9
struct xt_rare {
    uint32_t opt[XT_RARE_OPTS]; /* the library's own order */
    uint32_t rcvlowat;
    uint32_t linger;         /* SO_LINGER */
    uint32_t mark, priority; /* SO_MARK, SO_PRIORITY */
    uint16_t busy_poll, incoming_cpu;
    uint64_t pacing_max; /* ~SO_MAX_PACING_RATE */
    _Atomic uint64_t
        zerocopy;          /* sends with MSG_ZEROCOPY: the next one's number << 32 | the first not told to be over */
    struct xt_stamp stamp; /* the daemon's, while the client has XT_WANT_STAMPS set */
};
static_assert(sizeof(struct xt_rare) == 88, "xt_rare");

static inline uint64_t xt_page_off(uint32_t page)
{
    return (uint64_t)page << 12;
}

static inline struct xt_endpoint xt_slot_local(const struct xt_slot *sl)
{
    return (struct xt_endpoint){.addr = xt_addr_v4(sl->local_be), .port = sl->local_port};
}

static inline struct xt_endpoint xt_slot_remote(const struct xt_slot *sl)
{
    return (struct xt_endpoint){.addr = xt_addr_v4(sl->remote_be), .port = sl->remote_port};
}

#endif
