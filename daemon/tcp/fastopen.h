/* SPDX-License-Identifier: Apache-2.0
 * TCP Fast Open (RFC 7413), the core's part. Cookies are made, checked and remembered by the caller, for they are about
 * hosts; what a SYN with one means for a connection is decided here. */
#ifndef XT_TCP_FASTOPEN_H
#define XT_TCP_FASTOPEN_H

#include "daemon/tcp/tcp.h"

/* ---- client ---- */

/* Between xt_tcp_init() and xt_tcp_connect(): the SYN asks for a cookie, or, when `cookie` has a length, waits for
 * xt_tcp_fastopen_go() and then carries it with the data that was written meanwhile. With `no_cookie` it carries data and
 * no option. */
void xt_tcp_fastopen(struct xt_conn *c, const struct xt_fo_cookie *cookie, bool no_cookie);

/* Bytes of data that the SYN can carry. */
uint32_t xt_tcp_fastopen_room(const struct xt_conn *c);

/* The SYN that waited goes, by the next xt_tcp_output(). */
uint32_t xt_tcp_fastopen_go(struct xt_conn *c, const struct xt_tcp_ctx *ctx);

/* Why the SYN's data did not arrive: XT_FO_FAIL_*. */
static inline unsigned xt_tcp_fastopen_fail(const struct xt_conn *c)
{
    return (unsigned)(c->fo & XT_FO_FAIL) >> XT_FO_FAIL_SHIFT;
}

/* ---- server ---- */

enum xt_fo_verdict {
    XT_FO_IGNORE = 0, /* an ordinary handshake, without the option */
    XT_FO_GRANT = 1,  /* the SYN+ACK carries a cookie; data in the SYN is not taken */
    XT_FO_OPEN = 2,   /* data is taken, the child may be used at once. With GRANT: and gets a newer cookie */
};

/* What the SYN that `listener` took asks of Fast Open, and whether it may have it. `cookies` are those that its sender would have
 * got, of the newest key first; `n` of them, each XT_FO_COOKIE_LEN bytes. Counts. Returns a set of XT_FO_GRANT and XT_FO_OPEN. */
unsigned xt_tcp_fastopen_syn(struct xt_conn *listener, const struct xt_tcp_ctx *ctx, const struct xt_seg *syn,
                             const uint8_t (*cookies)[XT_FO_COOKIE_LEN], unsigned n);

/* After xt_tcp_accept_syn(): the SYN+ACK carries the cookie. */
void xt_tcp_fastopen_grant(struct xt_conn *child, const uint8_t cookie[XT_FO_COOKIE_LEN]);

/* After xt_tcp_accept_syn(), when the rings are there: takes the SYN's data; the listener counts the child as pending.
 * Returns events: XT_EV_FASTOPEN, and XT_EV_READABLE when there was data. */
uint32_t xt_tcp_fastopen_accept(struct xt_conn *child, struct xt_conn *listener, const struct xt_tcp_ctx *ctx,
                                const struct xt_seg *syn);

/* A pending child of the listener has left SYN_RECV. One that was `reset` keeps its place for a minute: its SYN may have been
 * forged, by a third party that can have hosts send resets (RFC 7413 section 5.1). */
void xt_tcp_fastopen_done(struct xt_conn *listener, const struct xt_tcp_ctx *ctx, bool reset);

#endif
