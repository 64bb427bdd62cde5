/* SPDX-License-Identifier: Apache-2.0
 * The host: one interface address, neighbours, routes, ports, listeners and all connections of a shard.
 * Frames come in by xt_stack_input(), leave by the `tx` callback; the application layer is told by `ops`.
 * Not thread-safe: one stack belongs to one shard. No file descriptor, clock or thread in it: time is an argument. */
#ifndef XT_STACK_H
#define XT_STACK_H

#include <linux/virtio_net.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "daemon/base/sieve.h"
#include "daemon/stack/crew.h"
#include "daemon/stack/stats.h"
#include "daemon/tcp/board.h"
#include "daemon/tcp/seldom.h"
#include "daemon/tcp/tcp.h"
#include "daemon/wire/ipopt.h"

struct xt_stack;

#define XT_MAX_ROUTES 32

struct xt_route {
    uint32_t dst, mask; /* network byte order */
    uint32_t gateway;   /* network byte order; 0: on link */
};

struct xt_stack_cfg {
    uint8_t mac[6];
    uint32_t addr;  /* own IPv4 address, network byte order */
    uint8_t prefix; /* length of the on-link prefix */
    uint16_t mtu;   /* IP bytes, 576 to 65535 */
    uint32_t max_conns;
    uint32_t max_orphans;   /* that no program holds and whose peer has not acknowledged all; 0: no limit */
    uint32_t overload_rate; /* packets of no connection taken each second after xt_stack_overloaded(); 0: all */
    struct xt_route routes[XT_MAX_ROUTES]; /* the default gateway is the route 0/0 */
    uint32_t nroutes;
    uint16_t port_min, port_max; /* ephemeral ports, 32768 to 60999 */
    uint8_t ttl;                 /* 64 */
    bool crashed;                /* the last stack process on this state crashed (it was not just killed) */
    bool source_route;           /* received source routes are followed back; else such packets are dropped */
    struct xt_tcp_cfg tcp;       /* tcp.mss: 0 or more than fits: from the MTU */
};

/* Where the application layer keeps a connection's rings; the stack only uses them. */
struct xt_bufs {
    uint8_t *rx, *tx; /* NULL: none yet */
};

struct xt_stack_ops {
    /* Sends one frame; as xt_pktio_tx. Returns 0 or -ENOBUFS. */
    int (*tx)(void *arg, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen, const struct iovec *iov,
              unsigned niov);
    /* XT_EV_* happened to connection `c`. With XT_EV_CLOSED the stack frees the record right after the call. */
    void (*event)(void *arg, struct xt_conn *c, uint32_t events);
    /* A SYN came for `listener`: may a child be made? (accept backlog, memory). False drops the SYN and counts it. */
    bool (*admit)(void *arg, const struct xt_conn *listener);
    /* The ACK of a SYN cookie came for `listener`, and a connection would be open at once: has the accept queue room?
     * Connections in SYN_RECV do not count here. NULL: as `admit`. */
    bool (*admit_open)(void *arg, const struct xt_conn *listener);
    /* The connection needs its rings now: sets them by xt_stack_set_bufs(). False: no memory, the segment's payload is
     * not taken. Called at the latest when a SYN_RECV child gets its first segment. */
    bool (*need_bufs)(void *arg, struct xt_conn *c);
    /* How many frames `tx` would take now; NULL: no limit. A segment that the core has produced counts as sent, so output
     * stops before it makes one that would find no room. */
    unsigned (*tx_room)(void *arg);
    /* From now on the device is to let in SYNs as `v` says. Returns how many frames wait that it let in before, or a negative errno: it
     * goes on as before. NULL: it lets all in. */
    int (*sieve)(void *arg, const struct xt_sieve *v);
    void *arg;
    /* With other stacks for the same address: all of them, and which one this is. NULL: it is alone. */
    struct xt_crew *crew;
    uint32_t shard;
};

/* Bits of `flags` in struct xt_conn. The upper half is the application layer's own. */
enum {
    XT_CONN_USED = 0x0001,      /* the record is in use; set last when it is made, cleared first when it is freed */
    XT_CONN_REUSE = 0x0002,     /* its port was bound with SO_REUSEADDR */
    XT_CONN_SHARE = 0x0008,     /* its port was bound with SO_REUSEPORT */
    XT_CONN_LOCAL = 0x0004,     /* the peer is this stack's own address */
    XT_CONN_TELL_SENT = 0x0010, /* XT_EV_WRITABLE when data has been sent, too */
    XT_CONN_RETIRED = 0x0020,   /* a listener that gets no new connections */
    XT_CONN_APP_MASK = (int)0xffff0000u,
};

/* What the state region begins with; records of `record_size` bytes follow at `records_off`. */
#define XT_STATE_MAGIC 0x54535458u /* "XTST" */

struct xt_state_hdr {
    uint32_t magic, version;
    uint32_t max_conns, record_size;
    uint32_t records_off, board_size; /* boards (daemon/tcp/board.h) follow the records */
    uint32_t high_water;              /* records from here on were never used */
    uint32_t rsv[9];
};
_Static_assert(sizeof(struct xt_state_hdr) == 64, "xt_state_hdr");

#define XT_QUARANTINE 2

/* Comes next: the record that is being changed just now, as it was before. A stack process that dies in the middle of a change
 * leaves a record that its successor puts back: to the peer it looks as if the segment (or the timer) had never come. */
struct xt_undo {
    _Atomic uint32_t record; /* index plus 1; 0: none is being changed */
    uint32_t suspect;        /* the record that was here at the last crash (not a kill): index plus 1, and its life */
    uint32_t suspect_gen;
    uint32_t deaths; /* how often in a row it was; at XT_QUARANTINE it is reset, for it may be what the code dies of */
    uint32_t quarantined;      /* how many were */
    _Atomic uint32_t reviving; /* index plus 1 of the record that is being taken over just now; 0: none */
    uint32_t rsv[10];
    struct xt_conn before;
    struct xt_board board; /* what stood on its board */
    struct xt_seldom_kept seldom;
};

/* How large they are, and how many boards there are for `max_conns` records. */
struct xt_state_sizes {
    size_t undo, record, seldom, board;
    uint32_t max_conns, boards;
};
struct xt_state_sizes xt_stack_sizes(uint32_t max_conns);

/* Where things stand in a state region, from its beginning: struct xt_undo, records, what is seldom needed, boards, IP options; its end. */
struct xt_state_places {
    size_t undo, records, seldoms, boards, ipopts, end;
};
struct xt_state_places xt_stack_places(const struct xt_state_sizes *sizes);

/* Bytes that the state region needs for `max_conns` records, header included. */
size_t xt_stack_state_size(uint32_t max_conns);

/* Makes a stack over `state` (xt_stack_state_size() bytes, shared memory): zero-filled, or left by a stack of the same layout,
 * whose records then live on (without rings). `key` seeds all keyed hashes (flows, ISN, ports); a stack that takes over
 * records should get the key they were made with. Returns 0, -EINVAL (cfg out of range), -EPROTO (`state` has another
 * layout) or -ENOMEM. */
int xt_stack_new(struct xt_stack **out, const struct xt_stack_cfg *cfg, const struct xt_stack_ops *ops, void *state,
                 const uint8_t key[32], uint64_t now_us);
void xt_stack_free(struct xt_stack *s);

/* Applies what may change at run time (routes, mtu, tcp tunables). Returns 0 or -EINVAL. */
int xt_stack_reconfigure(struct xt_stack *s, const struct xt_stack_cfg *cfg);

/* One received frame. `vnet` says whether the checksum was verified or is partial (RX side of PACKET_VNET_HDR). */
void xt_stack_input(struct xt_stack *s, const uint8_t *frame, size_t len, const struct virtio_net_hdr *vnet,
                    uint64_t now_us);

/* More frames wait than will be worked off soon: for the next tenth of a second what comes from strangers is limited. */
void xt_stack_overloaded(struct xt_stack *s, uint64_t now_us);

/* Of a frame whose first `have` bytes are at `frame` (all headers, at least) and which is `len` bytes long: the place in a
 * receive ring where its payload belongs, if that is certain already, and in `*head` how many bytes come before the payload.
 * NULL: have it whole, for xt_stack_input(). When the payload is in place, xt_stack_input_placed() must come next. */
uint8_t *xt_stack_place(struct xt_stack *s, const uint8_t *frame, size_t have, size_t len,
                        const struct virtio_net_hdr *vnet, uint32_t *head);
void xt_stack_input_placed(struct xt_stack *s, uint64_t now_us);

/* Handles what other stacks of the crew have passed on; true when there was anything. Is there anything? */
bool xt_stack_passed(struct xt_stack *s, uint64_t now_us);
bool xt_stack_passed_any(const struct xt_stack *s);
/* To which shards something was passed on since the last call, a bit for each: they are to be woken if they sleep. */
uint32_t xt_stack_kicks(struct xt_stack *s);

/* Sends what is due: output of every connection on the ready list, in rounds, until all are idle or `tx` is full.
 * Returns true when work is left (tx was full). */
bool xt_stack_output(struct xt_stack *s, uint64_t now_us);
/* The same for one connection: what was written before it is reset is on its way first, as far as the window lets it. */
void xt_stack_send_now(struct xt_stack *s, struct xt_conn *c, uint64_t now_us);

/* Runs every timer due. */
void xt_stack_timers(struct xt_stack *s, uint64_t now_us);

/* Next deadline of any timer, UINT64_MAX for none. */
uint64_t xt_stack_deadline(const struct xt_stack *s);

/* ---- for the application layer ---- */

struct xt_conn *xt_stack_conn(struct xt_stack *s, uint32_t index);
/* The record with that index, also one that is not in use (any more); NULL: it never was. */
const struct xt_conn *xt_stack_record(const struct xt_stack *s, uint32_t index);
void xt_stack_set_bufs(struct xt_stack *s, struct xt_conn *c, uint8_t *rx, uint32_t rx_size, uint8_t *tx,
                       uint32_t tx_size);
/* A larger receive ring: what comes next goes to it, and what is there out of order is copied. The caller keeps the old one for
 * what is unread. Who finds the record after this process has died sees all of it done by the record's size, or nothing. */
void xt_stack_move_rx(struct xt_stack *s, struct xt_conn *c, uint8_t *rx, uint32_t rx_size);
/* A larger send ring, likewise: what is in the old one is copied. Requests that `tx` has not submitted yet still point to the old one. */
void xt_stack_move_tx(struct xt_stack *s, struct xt_conn *c, uint8_t *tx, uint32_t tx_size);
struct xt_bufs xt_stack_bufs(const struct xt_stack *s, const struct xt_conn *c);

/* What the holder of a port asks of others: a sum of XT_CLAIM_REUSE, xt_claim_share() and xt_claim_family(). */
enum { XT_CLAIM_REUSE = 1, /* SO_REUSEADDR */ XT_CLAIM_SHARE = 2, /* SO_REUSEPORT */ XT_CLAIM_ALL = 3 };
/* Nobody in another shard who says the same keeps it from the port. */
static inline uint64_t xt_claim_family(uint32_t id)
{
    return (uint64_t)(id & 0x0fffffffu) << 4;
}
static inline uint32_t xt_claim_family_of(uint64_t claim)
{
    return (uint32_t)(claim >> 4) & 0x0fffffffu;
}
static inline uint64_t xt_claim_share(uint32_t uid)
{
    return (uint64_t)uid << 32 | XT_CLAIM_SHARE;
}
static inline uint32_t xt_claim_uid(uint64_t claim)
{
    return (uint32_t)(claim >> 32);
}

/* Checks and reserves a local end point. `local->port` 0 picks one (RFC 6056 algorithm 3 over the ephemeral range).
 * The unspecified address means the stack's own. The reservation belongs to the caller until xt_stack_unbind() with the same
 * claim. Returns 0, -EADDRINUSE, -EADDRNOTAVAIL. */
int xt_stack_bind(struct xt_stack *s, struct xt_endpoint *local, uint64_t claim);
/* A reservation that an earlier stack has made. */
void xt_stack_rebind(struct xt_stack *s, const struct xt_endpoint *local, uint64_t claim);
void xt_stack_unbind(struct xt_stack *s, const struct xt_endpoint *local, uint64_t claim);

/* A listener on a bound end point. `*out` is in state LISTEN. Listeners that share their port get its new connections by a hash of
 * the four-tuple. Returns 0, -EADDRINUSE (another listener), -ENOBUFS. */
int xt_stack_listen(struct xt_stack *s, const struct xt_endpoint *local, uint64_t claim, uint64_t now_us,
                    struct xt_conn **out);
/* It gets no new connections from now on; what it has, and what is half open, it keeps. */
void xt_stack_retire(struct xt_stack *s, struct xt_conn *l);

/* Active open. `local` with port 0: picked for this remote (an ephemeral port may serve many remotes). Rings and options
 * must be set on the record before the SYN leaves: `prep(arg, c)` is called for it when not NULL.
 * Returns 0, -ENETUNREACH (no route), -EADDRNOTAVAIL (no port), -EADDRINUSE (the same four-tuple), -ENOBUFS. */
int xt_stack_connect(struct xt_stack *s, const struct xt_endpoint *local, const struct xt_endpoint *remote,
                     uint64_t now_us, void (*prep)(void *arg, struct xt_conn *c), void *arg, struct xt_conn **out);

/* Fast Open (RFC 7413). When `prep` of xt_stack_connect() leaves XT_FO_OPTION in c->fo (XT_FO_DATA alone: without a cookie), the
 * SYN asks for a cookie or, when one is known, waits for xt_stack_fastopen_go(): then `room` bytes written meanwhile can go
 * with it. 0: it does not wait. */
uint32_t xt_stack_fastopen_room(const struct xt_conn *c);
void xt_stack_fastopen_go(struct xt_stack *s, struct xt_conn *c, uint64_t now_us);

/* A listener's limit, keys and TCP_FASTOPEN_NO_COOKIE; other members of `set` are not looked at. */
void xt_stack_fastopen_listen(struct xt_stack *s, struct xt_conn *l, const struct xt_fo_listen *set);

/* The same with IP options for all its segments, or NULL. With a source route in them, the SYN goes to its first hop; a first
 * hop that has no route, or is not on the link when it must be, is -ENETUNREACH. */
int xt_stack_connect_options(struct xt_stack *s, const struct xt_endpoint *local, const struct xt_endpoint *remote,
                             const struct xt_ipopt *o, uint64_t now_us, void (*prep)(void *arg, struct xt_conn *c),
                             void *arg, struct xt_conn **out);

/* The application's IP options for a connection's segments from now on; o->len 0: none. No received source route takes their
 * place (MUST-52). */
void xt_stack_set_ip_options(struct xt_stack *s, struct xt_conn *c, const struct xt_ipopt *o);
/* The IP options in use: the application's, or the return route that came with a packet. NULL: none. */
const struct xt_ipopt *xt_stack_ip_options(const struct xt_stack *s, const struct xt_conn *c);

/* The calls of tcp.h on a connection of this stack: they run the core, deliver events through ops->event, re-arm timers
 * and put the connection on the ready list. After one of them the record may be gone (state CLOSED was delivered). */
void xt_stack_wrote(struct xt_stack *s, struct xt_conn *c, uint64_t tx_head, bool urgent, uint64_t now_us);
/* As xt_tcp_more(), xt_tcp_push(). */
void xt_stack_more(struct xt_stack *s, struct xt_conn *c, bool more);
void xt_stack_push(struct xt_stack *s, struct xt_conn *c, uint64_t now_us);
void xt_stack_consumed(struct xt_stack *s, struct xt_conn *c, uint64_t rx_tail, uint64_t now_us);
void xt_stack_shutdown(struct xt_stack *s, struct xt_conn *c, uint64_t now_us);
void xt_stack_close(struct xt_stack *s, struct xt_conn *c, uint64_t now_us);
void xt_stack_abort(struct xt_stack *s, struct xt_conn *c, uint64_t now_us);
void xt_stack_options_changed(struct xt_stack *s, struct xt_conn *c, uint64_t now_us);

/* Every record in use, for `xtcpctl list`: calls `fn` for indices from `*cursor` on, at most `max`; false at the end. */
bool xt_stack_each(struct xt_stack *s, uint32_t *cursor, unsigned max, void (*fn)(void *arg, struct xt_conn *c),
                   void *arg);

/* Frees all TIME_WAIT records; returns how many. */
unsigned xt_stack_flush_time_wait(struct xt_stack *s, uint64_t now_us);

/* Neighbours, for `xtcpctl status --neigh`. */
struct xt_neigh_info {
    uint32_t addr;
    uint8_t mac[6];
    uint8_t state; /* 0 free, 1 incomplete, 2 reachable, 3 stale, 4 failed */
    uint64_t age_us;
};
unsigned xt_stack_neighbours(const struct xt_stack *s, struct xt_neigh_info *out, unsigned n, uint64_t now_us);

/* A capture: from the first call on, until none has come for two seconds, the beginnings of all frames are kept, and of those that
 * segments to ourselves would have been. Moves what there is to `buf` (struct xt_capture_rec of proto/xt_ctl.h, whole); `*lost` is how
 * many there was no room for. Returns bytes; -EBUSY: another `owner` captures, -ENOMEM. */
int xt_stack_capture(struct xt_stack *s, uint64_t owner, uint8_t *buf, size_t size, uint64_t *lost, uint64_t now_us);
/* Ends it at once, if it is that owner's. */
void xt_stack_capture_end(struct xt_stack *s, uint64_t owner);

const struct xt_stack_stats *xt_stack_stats(const struct xt_stack *s);
const struct xt_tcp_stats *xt_stack_tcp_stats(const struct xt_stack *s);
const struct xt_stack_cfg *xt_stack_cfg(const struct xt_stack *s);

#endif
