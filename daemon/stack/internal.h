/* SPDX-License-Identifier: Apache-2.0
 * What the files of the stack share. Nothing here is for other layers. */
#ifndef XT_STACK_INTERNAL_H
#define XT_STACK_INTERNAL_H

#include "daemon/base/flowmap.h"
#include "daemon/base/siphash.h"
#include "daemon/base/sparse.h"
#include "daemon/base/wheel.h"
#include "daemon/stack/stack.h"
#include "daemon/tcp/fastopen.h"
#include "daemon/wire/icmp.h"
#include "daemon/wire/ipopt.h"
#include "daemon/wire/ipv4.h"

#define XT_NEIGH_MAX 1024u
#define XT_NEIGH_NONE UINT16_MAX
#define XT_PMTU_MAX 256u
#define XT_FO_PEERS 512u
#define XT_KNOWN_MAX 1024u
#define XT_OVERLOAD_HOLD (XT_US_PER_S / 10) /* then it is seen whether all can be taken again */
#define XT_REASS_MAX 16u                    /* datagrams in the making */
#define XT_REASS_RANGES 64u                 /* pieces of one of them that do not touch */
#define XT_LOCAL_QUEUE 1024u
#define XT_SCRATCH_SLOTS 64u

/* Indices of the wheel for all that is not a connection. */
enum {
    XT_TIMER_REASS = XT_NEIGH_MAX,
    XT_TIMER_ANNOUNCE = XT_TIMER_REASS + XT_REASS_MAX,
    XT_TIMER_SIEVE,
    XT_TIMER_SPARSE,
    XT_TIMER_COUNT,
};

/* How far the announcement of our address has come. Of a crew the first probes and announces, for all. */
enum { XT_ANNOUNCED_NOTHING, XT_ANNOUNCED_PROBED, XT_ANNOUNCED_ONCE, XT_ANNOUNCED_TWICE };

/* A list of connections, linked by index through struct xt_side. Zero is the empty list. */
struct xt_list {
    uint32_t head, tail; /* index plus 1 */
};

/* On which list a connection is: at most one. Neighbour n's waiters are list XT_LIST_NEIGH + n. */
enum { XT_LIST_NONE, XT_LIST_READY, XT_LIST_OVER, XT_LIST_NEIGH };

/* IP options of a connection: in the state region, beside the record that says how long they are. */
struct xt_ipopts {
    struct xt_ipopt o;
    bool own; /* the application's: no received route replaces them (MUST-52) */
};

/* What the stack keeps beside each record; private, rebuilt at start. Zero is the initial value. */
struct xt_side {
    uint8_t *rx, *tx;
    uint32_t prev, next;         /* list links, index plus 1; of a free record, `next` is the free list */
    uint32_t sib_prev, sib_next; /* SYN_RECV children of one listener, or the listeners of one port; index plus 1 */
    union {
        uint32_t child; /* of a listener: the first of them */
        uint32_t peer;  /* of others: where the other end of a local connection was last seen, index plus 1 */
    };
    uint32_t nexthop, route_gen; /* route found, valid while route_gen is the stack's */
    uint16_t list : 15;          /* XT_LIST_* */
    uint16_t orphan : 1;         /* counted in norphans */
    uint16_t neigh;              /* where `nexthop` was last seen in the neighbour table */
};
_Static_assert(sizeof(struct xt_side) == 48, "xt_side: it is part of what an idle connection costs");
_Static_assert(XT_LIST_NEIGH + XT_NEIGH_MAX < 1 << 15, "xt_side.list");

enum { XT_NEIGH_FREE, XT_NEIGH_INCOMPLETE, XT_NEIGH_REACHABLE, XT_NEIGH_STALE, XT_NEIGH_FAILED };

struct xt_neigh {
    uint32_t addr; /* network byte order */
    uint8_t mac[6];
    uint8_t state;
    uint8_t tries;  /* requests sent since the last answer; of a stale entry not 0: being probed */
    uint16_t chain; /* next of the hash chain plus 1 */
    uint64_t since; /* last confirmed */
    uint64_t until; /* reachable until then */
    uint64_t used;  /* last sent to; 0: never, somebody has only asked us */
    struct xt_list waiters;
};

/* One TCP port of our address. Other stacks of the crew read the counts. */
struct xt_port {
    uint32_t listener;          /* the first one's index plus 1, 0: none */
    _Atomic uint32_t listeners; /* how many there are, */
    _Atomic uint32_t lone;      /* and how many of them share their port with nobody */
    /* By what their holders have claimed: XT_CLAIM_REUSE, XT_CLAIM_SHARE, both or neither. */
    _Atomic uint32_t binds[4]; /* reservations by xt_stack_bind() */
    _Atomic uint32_t conns[4]; /* connections, TIME_WAIT included, listeners not */
    _Atomic uint32_t astray;   /* of these, those whose packets the network brings to another stack */
    _Atomic uint32_t uid;      /* of those that share it */
    _Atomic uint32_t family;   /* of the one that shares it with none but those: xt_claim_family() */
};

/* Only the stack that owns the table writes it. */
#define XT_PORT_GET(v) atomic_load_explicit(&(v), memory_order_relaxed)
#define XT_PORT_ADD(v, n) atomic_store_explicit(&(v), XT_PORT_GET(v) + (uint32_t)(n), memory_order_relaxed)

struct xt_hop {
    uint32_t dst, mask, gateway; /* network byte order */
};

struct xt_reass {
    uint32_t src; /* 0: slot is free */
    uint16_t id;
    uint8_t proto;
    bool have_first, have_last;
    uint8_t mac[6]; /* where the first fragment came from */
    uint8_t hdr_len;
    uint16_t nranges;
    uint32_t have, total; /* payload bytes here; all, once the last fragment is here */
    uint64_t started;
    struct xt_range ranges[XT_REASS_RANGES]; /* sorted, not touching; offsets into the payload */
    uint8_t *buf;                            /* room for the header, then the payload */
};

/* What is known of the path to an address. */
struct xt_pmtu {
    uint32_t addr;  /* network byte order */
    uint32_t mtu;   /* IP bytes */
    uint64_t until; /* good until then */
};

/* What a peer let us know for Fast Open. */
struct xt_fo_peer {
    uint32_t addr; /* network byte order */
    struct xt_fo_cookie cookie;
    uint8_t lost;     /* SYNs with data that got no answer, in a row */
    uint64_t lost_at; /* the last of them */
};

/* An address that has completed a handshake. */
struct xt_known {
    uint32_t addr;    /* network byte order */
    uint32_t until_s; /* known until then */
};

/* What of strangers is taken while more comes than can be worked off. */
struct xt_overload {
    uint64_t until;  /* it is so until then */
    uint64_t credit; /* packets, in millionths */
    uint64_t filled; /* up to when credit was given */
    struct xt_key key;
    struct xt_known known[XT_KNOWN_MAX]; /* one place for each hash: a newer one replaces an older */
    uint16_t *syns;                      /* likewise, those not taken */
    struct xt_sieve sieve;               /* as the device has it */
    uint64_t sieved_at;                  /* when it was last thought over; 0: it is not in use */
    uint32_t seen[XT_SIEVE_CLASSES];     /* SYNs since then */
    uint64_t offered[XT_SIEVE_CLASSES];  /* as many as there were before the sieve, going by these; in 256ths */
    uint32_t waiting;                    /* the next frames, which came through the sieve before, */
    uint32_t before[XT_SIEVE_CLASSES];   /* this part of them */
    bool behind, was_behind; /* more waited since then than will be worked off soon; and in the turn before */
};

/* How far the search for the stack that a packet is for has come: which question is asked, and who has answered it with no. */
enum { XT_VISIT_OPEN, XT_VISIT_ANY, XT_VISIT_LISTENER };

struct xt_visit {
    uint16_t asked; /* a bit for each shard */
    uint8_t round;  /* XT_VISIT_* */
};

/* How a packet came. */
struct xt_rx {
    const uint8_t *mac; /* link-layer source; NULL: from our own address */
    bool trusted;       /* the transport checksum needs no look */
    bool group;         /* in a broadcast or multicast frame */
    uint16_t gso_size;
    struct xt_visit visit;
    const struct xt_ipopt *back; /* the return route of a source-routed packet, or NULL */
};

/* A segment whose payload is being put into its place (place.c). */
struct xt_placed {
    struct xt_flow flow;
    struct xt_seg seg;
    uint32_t conn;
    uint8_t mac[6];
};

/* A segment on its way from our own address to itself. */
struct xt_local {
    struct xt_seg seg;
    uint32_t from, gen; /* whose: record and life; XT_NO_CONN: nobody's, without payload */
    uint8_t cookie[XT_FO_COOKIE_MAX];
};

struct xt_stack {
    struct xt_stack_cfg cfg;
    struct xt_tcp_cfg local_tcp; /* cfg.tcp for connections to ourselves */
    struct xt_stack_ops ops;
    uint64_t now; /* microseconds: xt_stack_at() */
    uint32_t now_ms;
    struct xt_placed placed;

    struct xt_state_hdr *hdr; /* the state region */
    struct xt_undo *undo;
    struct xt_conn *conns;
    struct xt_seldom *seldoms; /* by index of the record */
    struct xt_ipopts *ipopts;  /* by index of the record, whose ip_optlen says whether there are any */
    struct xt_side *side;
    uint32_t free_head; /* index plus 1 */
    struct xt_board *boards;
    uint32_t *board_free; /* indices of those not lent, a stack */
    uint32_t n_board_free;
    uint32_t boards_high;                           /* those from here on were never lent */
    bool *board_lent;                               /* by number */
    struct xt_sparse sparse_boards, sparse_seldoms; /* what they take goes back: sparse.c */
    bool sparse_boards_done,
        sparse_again; /* of the turn that goes on: the boards' part is over, and wants another one */
    struct xt_list ready;
    struct xt_list over; /* those that only wait for their end, the oldest first: they make room for others */
    uint32_t norphans;
    struct xt_flowmap flows;
    struct xt_wheel wheel; /* of connections */
    struct xt_wheel misc;  /* XT_TIMER_* */
    struct xt_tcp_stats tcp_stats;
    struct xt_stack_stats stats;

    struct xt_key isn_key, port_key;
    struct xt_key cookie_key;
    uint64_t cookie_until; /* until then an ACK for a listener may be that of a cookie */
    struct xt_port *ports; /* 65536 */
    uint32_t next_port;

    struct xt_hop hops[XT_MAX_ROUTES + 1]; /* longest prefix first */
    uint32_t nhops, route_gen;

    struct xt_neigh neigh[XT_NEIGH_MAX];
    uint16_t neigh_heads[XT_NEIGH_MAX]; /* hash table: index plus 1 */
    uint32_t neigh_asked;               /* entries that are INCOMPLETE */
    uint32_t neigh_hand;                /* where the search for an entry to replace goes on */
    struct xt_key neigh_key;
    uint64_t defended;  /* when our address was last defended, 0: never */
    unsigned announced; /* XT_ANNOUNCED_... */

    struct xt_pmtu pmtu[XT_PMTU_MAX]; /* one place for each hash: a newer one replaces an older */
    struct xt_key pmtu_key;

    struct xt_fo_peer fo_peers[XT_FO_PEERS]; /* likewise */
    struct xt_key fo_key;
    uint64_t fo_off_until; /* no Fast Open of our own until then */
    unsigned fo_off_times; /* in a row */

    struct xt_overload overload;

    struct xt_reass reass[XT_REASS_MAX];
    uint8_t *reass_mem;

    uint32_t kicks; /* shards to which something was passed on, a bit for each */

    struct xt_capture *capture; /* NULL: none asked for */

    struct xt_local *local; /* a queue of XT_LOCAL_QUEUE */
    uint32_t local_head, local_count;

    uint8_t *scratch; /* payload of frames made here, which must stay until sent */
    uint32_t scratch_size, scratch_next;
    uint8_t *build; /* 64 KiB, where ICMP messages are made */
    uint16_t ip_id;
    uint32_t icmp_tokens;
    uint64_t icmp_filled; /* up to when tokens were given; 0 at first: the bucket starts full */
};

/* ---- list.c ---- */
void xt_list_append(struct xt_stack *s, struct xt_list *l, uint16_t id, uint32_t i);
void xt_list_prepend(struct xt_stack *s, struct xt_list *l, uint16_t id, uint32_t i);
/* Takes connection `i` off the list that it is on, if any. */
void xt_list_remove(struct xt_stack *s, uint32_t i);

/* ---- conn.c ---- */
/* A record, CLOSED, between the end points, in the flow table (unless it is a listener: remote port 0). NULL: none is free, or the
 * flow exists. */
struct xt_conn *xt_conn_new(struct xt_stack *s, const struct xt_endpoint *local, const struct xt_endpoint *remote,
                            uint32_t flags);
/* After each call of the core: tells the application of `events`, re-arms the timer, queues for output. Returns false when
 * the record is gone. */
bool xt_conn_after(struct xt_stack *s, struct xt_conn *c, uint32_t events);
/* As xt_conn_after() when the timer must not come due again at this very time. */
void xt_conn_after_timer(struct xt_stack *s, struct xt_conn *c, uint32_t events);
/* Ends a connection that could not reach its peer: `err` for the application, no reset. */
void xt_conn_fail(struct xt_stack *s, struct xt_conn *c, int err);
/* Puts the connection on the ready list unless it waits for a neighbour. */
void xt_conn_ready(struct xt_stack *s, struct xt_conn *c);
/* It has nothing to send now: one that only waits for its end may make room for others. */
void xt_conn_rests(struct xt_stack *s, const struct xt_conn *c);
struct xt_tcp_ctx xt_conn_ctx(struct xt_stack *s, const struct xt_conn *c);
/* As xt_conn_ctx(), before a call of the core that changes the record: keeps it as it is. xt_conn_end(), or xt_conn_after(), says
 * that the change is whole. Changes do not nest. */
struct xt_tcp_ctx xt_conn_begin(struct xt_stack *s, const struct xt_conn *c);
void xt_conn_end(struct xt_stack *s);
/* No segment leaves. */
void xt_conn_end_time_wait(struct xt_stack *s, struct xt_conn *c);
/* Ends the TIME_WAIT of `i` in favour of an own connect between the same end points; returns the lowest ISS for that. */
uint32_t xt_conn_recycle(struct xt_stack *s, uint32_t i);
/* May that be done? */
bool xt_conn_may_recycle(const struct xt_stack *s, uint32_t i);
/* Puts an interrupted change back, and rebuilds what is private from the records of an earlier stack. */
void xt_conn_rebuild(struct xt_stack *s);
/* It is `now_us`; all of a burst have one time. */
static inline void xt_stack_at(struct xt_stack *s, uint64_t now_us)
{
    if (s->now == now_us)
        return;
    s->now = now_us;
    s->now_ms = (uint32_t)(now_us / 1000);
}

/* board.c: longer lists for connections that need them; lent and taken back after each segment. */
/* `boards`: place for xt_board_count() of them in the state region. Returns 0 or -ENOMEM. */
int xt_boards_init(struct xt_stack *s, void *boards);
/* Of a record of an earlier stack: does it say that it has none, or one of these? And: it has it, unless another one does (false). */
bool xt_board_is_one(const struct xt_stack *s, const struct xt_conn *c);
bool xt_board_claim(struct xt_stack *s, const struct xt_conn *c);
/* All others are free. */
void xt_boards_rebuild(struct xt_stack *s);
/* It has none: here is one, if there is any left. */
void xt_board_give(struct xt_stack *s, struct xt_conn *c);
/* It ends, or does not need its board any more. */
void xt_board_end(struct xt_stack *s, struct xt_conn *c);
/* sparse.c: memory of boards that are not lent, and of what records that are over have seldom needed. */
/* After the tables are there. Returns 0 or -ENOMEM. */
int xt_sparse_begin(struct xt_stack *s);
void xt_sparse_end(struct xt_stack *s);
/* Nobody needs the board, or what belongs to record `i`, any more. */
void xt_sparse_board(struct xt_stack *s, uint32_t board);
void xt_sparse_seldom(struct xt_stack *s, uint32_t i);
void xt_sparse_timer(struct xt_stack *s);

/* After each segment in or out. */
static inline void xt_board_check(struct xt_stack *s, struct xt_conn *c)
{
    if (xt_board_wanted(c))
        xt_board_give(s, c);
    else if (xt_board_spare(c))
        xt_board_end(s, c);
}

void xt_conn_adopt_child(struct xt_stack *s, struct xt_conn *child, uint32_t listener);

/* ---- demux.c ---- */
void xt_demux_input(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *p, size_t len, const struct xt_rx *rx);
/* A segment for the connection with index `i`; XT_FLOW_NONE: for a listener or nobody. */
void xt_demux_seg(struct xt_stack *s, uint32_t i, const struct xt_flow *flow, const struct xt_seg *seg,
                  const struct xt_rx *rx);
void xt_demux_conn(struct xt_stack *s, uint32_t i, const struct xt_flow *flow, const struct xt_seg *seg,
                   const struct xt_rx *rx);
/* Is a segment of `flow`, which this stack has as connection `i` or (XT_FLOW_NONE) not, for another stack of the crew? Then `*to` and
 * `*v` are for passing it on. */
bool xt_demux_is_foreign(struct xt_stack *s, const struct xt_flow *flow, uint32_t i, struct xt_visit *v, uint32_t *to);
/* IP_MINTTL: has what comes for `c` passed more routers than the application allows (RFC 5082)? Then it is counted as dropped. */
bool xt_demux_too_far(struct xt_stack *s, const struct xt_conn *c, uint8_t ttl);
static inline struct xt_flow xt_flow_of(const struct xt_endpoint *local, const struct xt_endpoint *remote)
{
    return (struct xt_flow){.local = local->addr, .remote = remote->addr, .lport = local->port, .rport = remote->port};
}

/* ---- input.c ---- */
void xt_ip_input(struct xt_stack *s, const uint8_t *p, size_t len, const struct xt_rx *rx);
bool xt_ip_is_host(const struct xt_stack *s, uint32_t addr);

/* ---- output.c ---- */
/* The result of trying to send one segment of a connection. */
enum xt_sent { XT_SENT_ONE, XT_SENT_NONE, XT_SENT_WAITS, XT_SENT_FULL, XT_SENT_LOCAL_FULL };
enum xt_sent xt_out_conn(struct xt_stack *s, struct xt_conn *c);
/* A segment without payload that belongs to no output queue (a reset). To `mac`, or when NULL to whom the route names. */
void xt_out_reply(struct xt_stack *s, uint32_t src, uint32_t dst, const struct xt_seg *seg, const uint8_t *mac,
                  const struct xt_tcp_sockopt *opt, const struct xt_ipopt *ipopt);
/* An IPv4 packet of another protocol, cut into fragments when it is larger than the MTU. */
void xt_out_ip(struct xt_stack *s, const uint8_t *mac, uint32_t dst, uint8_t proto, const uint8_t *p, size_t len);
/* A segment to ourselves, its payload where seg->payload says, as packets for another stack of the crew. `c`: whose, or NULL. */
void xt_out_pass(struct xt_stack *s, uint32_t to, const struct xt_visit *v, const struct xt_conn *c,
                 const struct xt_seg *seg);
/* One frame to the device, counted. */
void xt_out_frame(struct xt_stack *s, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen,
                  const struct iovec *iov, unsigned niov);

/* A segment to ourselves as the frame that it would be, for a capture. `c`: whose, or NULL; `opt`: its options, or NULL. */
void xt_out_show(struct xt_stack *s, const struct xt_conn *c, const struct xt_seg *seg,
                 const struct xt_tcp_sockopt *opt);

/* ---- capture.c ---- */
/* A frame, only while there is a capture: its beginning, the pieces that follow, and how many bytes more it has. */
void xt_capture_put(struct xt_stack *s, const void *hdr, size_t hdrlen, const struct iovec *iov, unsigned niov,
                    size_t more);
void xt_capture_end(struct xt_stack *s);

/* ---- local.c ---- */
bool xt_local_room(const struct xt_stack *s);
/* Queues a segment to ourselves, of connection `from` or (NULL) without payload; the caller has asked for room. */
void xt_local_put(struct xt_stack *s, const struct xt_seg *seg, const struct xt_conn *from);
/* Handles what is queued now (not what that puts there); returns whether there was anything. */
bool xt_local_run(struct xt_stack *s);

/* ---- crew.c ---- */
/* The tables of the stack are complete: the others may read its ports. */
void xt_crew_join(struct xt_stack *s);
/* Around a check of a port and its reservation. */
void xt_crew_lock_ports(struct xt_stack *s);
void xt_crew_unlock_ports(struct xt_stack *s);
/* How many stacks there are, and a port as the one numbered `shard` has it; NULL: there is no such stack yet. */
uint32_t xt_crew_size(const struct xt_stack *s);
const struct xt_port *xt_crew_port(const struct xt_stack *s, uint32_t shard, uint16_t port);
/* The shard that the network's packets of `flow` come to. */
uint32_t xt_crew_home(const struct xt_stack *s, const struct xt_flow *flow);
/* Does another stack have listeners or reservations there, or connections whose packets may come here? */
bool xt_crew_others_use(const struct xt_stack *s, uint16_t port);
/* May another stack have the connection? */
bool xt_crew_others_have(const struct xt_stack *s, const struct xt_flow *flow);
/* The shard that a segment of `flow` is for, which this stack has at `found`; `v` says how far the question has come. */
uint32_t xt_crew_whose(struct xt_stack *s, const struct xt_flow *flow, uint32_t found, struct xt_visit *v);
/* Likewise of an ICMP error about a connection that this stack does not have. Its own shard: nobody's. */
uint32_t xt_crew_whose_error(struct xt_stack *s, const struct xt_flow *flow, struct xt_visit *v);
/* Passes an IP packet on. A full queue loses it, counted. */
void xt_crew_pass(struct xt_stack *s, uint32_t to, const struct xt_visit *v, const uint8_t *pkt, size_t len,
                  const struct xt_rx *rx);
/* Likewise one to ourselves that is in pieces. */
void xt_crew_pass_pieces(struct xt_stack *s, uint32_t to, const struct xt_visit *v, const struct iovec *iov,
                         unsigned niov);
/* Lets all others learn from an ARP packet. */
void xt_crew_tell_arp(struct xt_stack *s, const uint8_t *pkt, size_t len);

/* ---- route.c ---- */
int xt_route_setup(struct xt_stack *s);
/* Next hop towards `dst` (network byte order). Returns 0 or -ENETUNREACH. */
int xt_route_lookup(const struct xt_stack *s, uint32_t dst, uint32_t *nexthop);
/* `addr` is on the link. */
bool xt_route_on_link(const struct xt_stack *s, uint32_t addr);

/* ---- ipopt.c ---- */
/* The connection's IP options, or NULL. */
const struct xt_ipopt *xt_ipopts_of(const struct xt_stack *s, const struct xt_conn *c);
/* Next hop towards `dst` with options `o` (or NULL). Returns 0 or -ENETUNREACH. */
int xt_ipopts_hop(const struct xt_stack *s, const struct xt_ipopt *o, uint32_t dst, uint32_t *nexthop);
/* Gives the connection a copy of `o`, or takes away what it has when o->len is 0. `own`: the application's. Not within a change. */
void xt_ipopts_set(struct xt_stack *s, struct xt_conn *c, const struct xt_ipopt *o, bool own);
/* A segment for `c` came by a source route whose way back is `back`. */
void xt_ipopts_received(struct xt_stack *s, struct xt_conn *c, const struct xt_seg *seg, const struct xt_ipopt *back);

/* ---- arp.c ---- */
void xt_arp_input(struct xt_stack *s, const uint8_t *p, size_t len);
/* One that came to another stack of the crew, which answers if an answer is wanted. */
void xt_arp_overheard(struct xt_stack *s, const uint8_t *p, size_t len);
/* The entry of `addr`, asked for when it is new; XT_NEIGH_NONE when the table is full of busy ones, or when `forged`, an address that
 * a peer may have made up, and half of the table are busy. */
uint16_t xt_arp_resolve(struct xt_stack *s, uint32_t addr, bool forged);
/* Starts over an entry whose resolution failed. */
void xt_arp_retry(struct xt_stack *s, uint16_t n);
/* Called when a frame is about to go to `n`: an entry out of date is used, and probed. */
void xt_arp_use(struct xt_stack *s, uint16_t n);
/* A connection has doubts about the path through `addr`, last seen as `n`: the next use probes it. */
void xt_arp_doubt(struct xt_stack *s, uint32_t addr, uint16_t n);
/* Is `addr` a neighbour's that we have sent to? */
bool xt_arp_in_use(struct xt_stack *s, uint32_t addr);
void xt_arp_timer(struct xt_stack *s, uint16_t n);
void xt_arp_announce_timer(struct xt_stack *s);

/* ---- reass.c ---- */
/* A fragment. Returns the whole packet (`*out_len` bytes, valid until the next call) when it was the last one missing, else NULL. */
const uint8_t *xt_reass_input(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *p, const struct xt_rx *rx,
                              size_t *out_len);
void xt_reass_timer(struct xt_stack *s, unsigned slot);

/* ---- icmp.c ---- */
void xt_icmp_input(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *p, size_t len, const struct xt_rx *rx);
/* Answers the packet `pkt` with an error, where RFC 1122 section 3.2.2 allows it and the rate limit too. */
void xt_icmp_error(struct xt_stack *s, uint8_t type, uint8_t code, const uint8_t *pkt, size_t len,
                   const struct xt_rx *rx);

/* ---- ports.c ---- */
int xt_ports_pick(struct xt_stack *s, const struct xt_endpoint *local, const struct xt_endpoint *remote,
                  uint16_t *port);
void xt_ports_conn_add(struct xt_stack *s, const struct xt_conn *c);
void xt_ports_conn_remove(struct xt_stack *s, const struct xt_conn *c);
void xt_ports_listener_add(struct xt_stack *s, const struct xt_conn *l);
void xt_ports_listener_remove(struct xt_stack *s, const struct xt_conn *l);
/* May another one listen at the port, with these XT_CONN_ flags? */
bool xt_ports_may_listen(const struct xt_stack *s, uint16_t port, uint64_t claim);
/* A listener of that claim is there from now on. */
void xt_ports_listens(struct xt_stack *s, uint16_t port, uint64_t claim);
bool xt_ports_is_bound(const struct xt_port *p);
/* The listener that has to do with `flow`: of several, always the same one as long as they are the same. NULL: none. */
struct xt_conn *xt_ports_listener(struct xt_stack *s, const struct xt_flow *flow);
/* What a connection to come from that port takes from its reservation: XT_CONN_REUSE, XT_CONN_SHARE. */
uint32_t xt_ports_claimed(const struct xt_stack *s, uint16_t port);

/* ---- pmtu.c ---- */
/* The network told the connection that packets of more than `mtu` do not reach its peer. */
void xt_pmtu_learn(struct xt_stack *s, const struct xt_conn *c, uint32_t mtu);
/* A connection begins: what earlier ones to the same address learned holds for it. */
void xt_pmtu_apply(struct xt_stack *s, struct xt_conn *c);

/* ---- cookie.c ---- */
/* Answers a SYN for `l` without keeping anything. */
void xt_cookie_send(struct xt_stack *s, const struct xt_conn *l, const struct xt_flow *flow, const struct xt_seg *syn,
                    const struct xt_rx *rx);
/* Does `ack` acknowledge a cookie of ours? Returns the peer's MSS then, else 0. */
uint16_t xt_cookie_check(struct xt_stack *s, const struct xt_flow *flow, const struct xt_seg *ack);
/* The same by numbers: the ISS that is acknowledged and the peer's. */
uint16_t xt_cookie_mss(const struct xt_stack *s, const struct xt_flow *flow, uint32_t irs, uint32_t iss);
/* The cookies of an earlier stack are good too. */
void xt_cookie_revive(struct xt_stack *s);

/* ---- overload.c ---- */
/* Returns 0 or -ENOMEM. */
int xt_overload_init(struct xt_overload *o, const struct xt_key *key);
void xt_overload_fini(struct xt_overload *o);
/* The peer of `c` is there: it has completed a handshake. */
void xt_overload_met(struct xt_stack *s, const struct xt_conn *c);
/* Counts a SYN of `addr`, network byte order, while overload.until lasts. */
void xt_sieve_seen(struct xt_stack *s, uint32_t addr);
/* More waits than will be worked off soon. */
void xt_sieve_behind(struct xt_stack *s, uint64_t now_us);
void xt_sieve_timer(struct xt_stack *s);
/* While overload.until lasts: is this packet (`len` bytes behind the Ethernet header) to be taken? Those that are not are counted. */
bool xt_overload_admit(struct xt_stack *s, uint16_t type, const uint8_t *p, size_t len);

/* ---- fastopen.c ---- */
/* What the SYN that became `child` asks of Fast Open. Returns events of the child. */
uint32_t xt_fastopen_syn(struct xt_stack *s, struct xt_conn *l, struct xt_conn *child, const struct xt_flow *flow,
                         const struct xt_seg *syn);
/* A child that was XT_FO_PENDING is in SYN_RECV no more. */
void xt_fastopen_left(struct xt_stack *s, struct xt_conn *child);
/* The records of an earlier stack: counts anew what is pending. */
void xt_fastopen_rebuild(struct xt_stack *s);
/* A connection begins that has XT_FO_OPTION or XT_FO_DATA for what is wanted: makes it what can be had. */
void xt_fastopen_connect(struct xt_stack *s, struct xt_conn *c);
/* `seg` has taken `c` out of SYN_SENT. */
void xt_fastopen_learn(struct xt_stack *s, const struct xt_conn *c, const struct xt_seg *seg);
/* The third retransmission time-out in a row, or the last one of a connect. */
void xt_fastopen_timed_out(struct xt_stack *s, const struct xt_conn *c);

/* ---- isn.c ---- */
uint32_t xt_isn(const struct xt_stack *s, const struct xt_flow *flow);

#endif
