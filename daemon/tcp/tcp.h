/* SPDX-License-Identifier: Apache-2.0
 * The TCP core: RFC 9293 as a pure library. No I/O, clock, randomness, allocation, logging or globals: time, random
 * numbers and buffers are arguments. Not thread-safe by itself: a record belongs to one shard.
 *
 * How a caller drives a connection:
 *   - every call that may change it takes a struct xt_tcp_ctx and returns XT_EV_* bits for the application's side;
 *   - after every call, xt_tcp_output() is called (now, or at the end of a batch of input) until it returns 0;
 *   - and xt_tcp_deadline() says when xt_tcp_timer() is due next.
 */
#ifndef XT_TCP_H
#define XT_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/tcp/conn.h"
#include "daemon/wire/seg.h"

/* What a call means for the application. */
enum {
    XT_EV_CONNECTED = 0x001, /* entered ESTABLISHED, by active or passive open */
    XT_EV_READABLE = 0x002,  /* rx_head moved: new bytes in order */
    XT_EV_WRITABLE = 0x004,  /* tx_una moved: send-ring space was freed */
    XT_EV_PEER_FIN = 0x008,  /* end of file after rx_head */
    XT_EV_URGENT = 0x010,    /* the urgent mark moved (MUST-32) */
    XT_EV_ERROR = 0x020,     /* conn->err was set: reset, refused, timed out, unreachable */
    XT_EV_CLOSED = 0x040,    /* state is CLOSED: the record may be freed after this call */
    XT_EV_TIME_WAIT = 0x080, /* entered TIME_WAIT: no ring is needed from here on */
    XT_EV_ACK_NOW = 0x100,   /* output must run before the next input to this connection (duplicate or challenge ACK) */
    XT_EV_STATE = 0x200,     /* the state changed in some other way */
    XT_EV_ADVISE = 0x400,    /* R1 retransmissions: the path may be dead, ask the neighbour again (MUST-20) */
    XT_EV_SOFT = 0x800,      /* conn->soft_err was set: the network has a problem that may pass (SHLD-25) */
    XT_EV_SOFT_ERROR = 0x1000, /* likewise, and the application wants to know at once (IP_RECVERR, SHLD-20) */
    XT_EV_FASTOPEN = 0x2000,   /* in SYN_RECV, but may be accepted and used as if it were ESTABLISHED (RFC 7413) */
};

/* What a call runs in. All pointers are borrowed for the call. */
struct xt_tcp_ctx {
    uint64_t now_us;              /* monotonic, microseconds: XT_TCP_AT() */
    uint32_t now_ms;              /* the same in milliseconds, low bits */
    const struct xt_tcp_cfg *cfg; /* tunables */
    struct xt_tcp_stats *stats;   /* counters, drop reasons included */
    uint8_t *rx; /* receive ring, conn->rx_size bytes (a power of two), or NULL: no room for data yet */
    /* Called for each change of state, by the one state setter; may be NULL. */
    void (*on_state)(void *arg, const struct xt_conn *c, enum xt_state from, enum xt_state to);
    void *on_state_arg;
};

/* Initialises the time of a context. */
#define XT_TCP_AT(us) .now_us = (us), .now_ms = (uint32_t)((us) / 1000)

/* Fills `cfg` with the defaults (conn.h gives them beside each field). */
void xt_tcp_cfg_default(struct xt_tcp_cfg *cfg);

/* Makes `c` (all zero, or a dead record) a CLOSED connection between the end points, with options from `cfg`.
 * `c->gen` and the owner fields are kept. Ring sizes must be set by the caller (xt_tcp_set_rings) before data flows. */
void xt_tcp_init(struct xt_conn *c, const struct xt_endpoint *local, const struct xt_endpoint *remote,
                 const struct xt_tcp_cfg *cfg);

/* Sets ring sizes in bytes: powers of two, at least 4096. May grow later while a ring is empty; the offered window never
 * shrinks (SHLD-14). */
void xt_tcp_set_rings(struct xt_conn *c, uint32_t rx_size, uint32_t tx_size);

/* A larger receive ring `to` of `size` bytes in place of `from`: takes along what is there beyond rx_head, out of order. Bytes
 * before rx_head stay in `from`, whose owner knows where they are. */
void xt_tcp_move_rx(struct xt_conn *c, const uint8_t *from, uint8_t *to, uint32_t size);

/* Active open, CLOSED to SYN_SENT; `iss` by RFC 6528 from the caller. `c->mss_local` may be set before (0: cfg->mss). */
uint32_t xt_tcp_connect(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t iss);

/* CLOSED to LISTEN. */
uint32_t xt_tcp_listen(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* A segment for a listener (RFC 9293 section 3.10.7.2), before any child exists.
 * Returns 1: an acceptable SYN, the caller creates a child with xt_tcp_accept_syn; 0: drop it silently;
 * -1: send `reply` (a reset). */
int xt_tcp_listen_input(const struct xt_conn *listener, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg,
                        struct xt_seg *reply);

/* Makes `child` (prepared by xt_tcp_init; socket options are copied from `listener`) a SYN_RECV connection from the SYN
 * `seg`. */
uint32_t xt_tcp_accept_syn(struct xt_conn *child, const struct xt_conn *listener, const struct xt_tcp_ctx *ctx,
                           const struct xt_seg *seg, uint32_t iss);

/* SYN cookies (RFC 4987 section 3.6): the SYN+ACK for `syn` that leaves no trace here. `iss` is the cookie; it must tell the
 * peer's MSS to the caller later. What else was agreed goes into the low bits of the time stamp, so a peer without time
 * stamps gets neither window scaling nor SACK. */
void xt_tcp_cookie_reply(const struct xt_conn *listener, const struct xt_tcp_ctx *ctx, const struct xt_seg *syn,
                         uint32_t iss, struct xt_seg *reply);

/* Makes `child` (prepared by xt_tcp_init) the SYN_RECV connection that answered with the cookie which `ack` acknowledges,
 * as far as that and the peer's `mss` tell. `ack` is to be given to xt_tcp_input() next, and comes back fit for that: its
 * time stamp tells no round-trip time. */
uint32_t xt_tcp_accept_cookie(struct xt_conn *child, const struct xt_conn *listener, const struct xt_tcp_ctx *ctx,
                              struct xt_seg *ack, uint16_t mss);

/* A segment for a connection in any state but CLOSED and LISTEN (RFC 9293 sections 3.10.7.3 and 3.10.7.4). Payload is
 * copied to its place in ctx->rx. When `*reply_len` comes back 1, `reply` is a reset to be sent as it is (its ports are
 * set); it is else 0.
 * A new SYN for a connection in TIME_WAIT that RFC 6191 lets be reused returns XT_EV_CLOSED | XT_EV_TIME_WAIT with the
 * record CLOSED: the caller frees it and hands the segment to the listener again; `c->isn_floor` then gives the lowest
 * ISS allowed. */
uint32_t xt_tcp_input(struct xt_conn *c, const struct xt_tcp_ctx *ctx, const struct xt_seg *seg, struct xt_seg *reply,
                      int *reply_len);

/* Where in the receive ring `rx` the payload of `seg` belongs, if it is plain text that is next in order, fits in one piece, and may
 * be put there before xt_tcp_input() has looked at the segment: nothing beyond RCV.NXT would be overwritten. NULL: let
 * xt_tcp_input() copy it. A payload pointer that says this place tells xt_tcp_input() that it is there already. */
uint8_t *xt_tcp_place(const struct xt_conn *c, uint8_t *rx, const struct xt_seg *seg);

/* The reset that answers a segment with no connection (RFC 9293 section 3.10.7.1). Returns false when nothing must be sent
 * (the segment is itself a reset). */
bool xt_tcp_reset_for(const struct xt_seg *seg, struct xt_seg *reply);

/* The next segment to send, if any. Returns 1 with `out` filled: ports, seq, ack, flags, window, options, payload as
 * (tx_off, len) in the send ring, gso_size when len is over one MSS. Returns 0 when there is nothing to send now.
 * The segment counts as sent (SND.NXT has moved, timers run): one that then fails to leave is a lost packet.
 * `max_len` bounds the payload of a super-segment (bytes; 0: cfg->gso_max). */
int xt_tcp_output(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *out, uint32_t max_len);

/* True when xt_tcp_output() might produce a segment now. Cheap; may be true in vain. */
bool xt_tcp_wants_output(const struct xt_conn *c);

/* Next time (microseconds, same clock as now_us) at which xt_tcp_timer() has work; UINT64_MAX: no timer runs. */
uint64_t xt_tcp_deadline(const struct xt_conn *c, uint64_t now_us);

/* Name of the timer behind xt_tcp_deadline(): "rto", "persist", "delack", "keepalive", "timewait", "finwait2", "cork", "pace", "" . */
const char *xt_tcp_deadline_name(const struct xt_conn *c, uint64_t now_us);

/* Handles every timer that is due at ctx->now_us. */
uint32_t xt_tcp_timer(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* SEND: the application has put bytes into the send ring up to stream offset `tx_head` (checked by the caller:
 * c->tx_head <= tx_head <= c->tx_una + c->tx_size). With `urgent`, the urgent mark moves to tx_head (MUST-30). */
uint32_t xt_tcp_wrote(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint64_t tx_head, bool urgent);

/* Before xt_tcp_wrote(): more is to follow at once (MSG_MORE), a segment that is not full may wait for it. Until the next segment
 * from the peer, the next write without it, or for as long as TCP_CORK waits. */
void xt_tcp_more(struct xt_conn *c, bool more);

/* What is queued goes now, TCP_CORK or not: TCP_NODELAY was set. */
void xt_tcp_push(struct xt_conn *c);

/* RECEIVE: the application has consumed the receive ring up to stream offset `rx_tail` (checked by the caller:
 * c->rx_tail <= rx_tail <= c->rx_head). May open the window (an update is sent by output when silly-window avoidance
 * allows). */
uint32_t xt_tcp_consumed(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint64_t rx_tail);

/* Half-close: FIN after all queued data (RFC 9293 section 3.10.4, the sending side only). Idempotent. */
uint32_t xt_tcp_shutdown(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* The application wants to receive no more. The peer is not told, and what it sends is taken as before; but once our FIN is out,
 * data is answered with a reset and ends the connection with ECONNRESET, as in Linux. */
void xt_tcp_shutdown_rd(struct xt_conn *c);

/* CLOSE: the application will neither send nor receive again. Unread data answers with a reset (RFC 2525 section 2.17,
 * RFC 9293 section 3.6.1: SHLD-3). LISTEN and SYN_SENT go to CLOSED at once. Queued data is still sent, then FIN. */
uint32_t xt_tcp_close(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* ABORT: reset to the peer if it is synchronised, CLOSED at once; the reset comes by `reply` as in xt_tcp_input. Whoever
 * still uses the connection gets ECONNABORTED. */
uint32_t xt_tcp_abort(struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_seg *reply, int *reply_len);

/* An ICMP error about a segment of this connection that carried sequence number `seq` (RFC 5927: ignored unless
 * SND.UNA <= seq < SND.NXT). `err` is an errno (EHOSTUNREACH, ECONNREFUSED, EMSGSIZE, ...); `mtu` the next hop's with
 * EMSGSIZE, IP bytes. What does not end the connection is remembered (MUST-56). */
uint32_t xt_tcp_icmp(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t seq, int err, uint32_t mtu);

/* What is known of the path's MTU from other connections, IP bytes: bounds the MSS. Call it after xt_tcp_connect(),
 * xt_tcp_accept_syn() or xt_tcp_accept_cookie(). */
void xt_tcp_path_mtu(struct xt_conn *c, const struct xt_tcp_ctx *ctx, uint32_t mtu);

/* Each segment from now on carries `len` bytes of IP options (at most 40), which leave that much less room for its payload
 * (RFC 9293 section 3.7.1). In any state. */
void xt_tcp_ip_options(struct xt_conn *c, uint8_t len);

/* Socket options changed (nodelay, cork, keep-alive, user time-out) in c->opt: re-arms what depends on them. */
uint32_t xt_tcp_options_changed(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* Can `c`, in use and left by another process, be taken up? False: something in it cannot be, and no other call may see it. Its board,
 * if it has one, must be one. */
bool xt_tcp_is_sound(const struct xt_conn *c);

/* Smoothed figures for `xtcpctl list` and TCP_INFO. */
void xt_tcp_info(const struct xt_conn *c, const struct xt_tcp_ctx *ctx, struct xt_tcp_info *out);

#endif
