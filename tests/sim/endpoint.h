/* SPDX-License-Identifier: Apache-2.0
 * One TCP connection with plain-memory rings under test: what the stack and application layers do in the daemon, in its
 * smallest form. It drives the core as daemon/tcp/tcp.h asks (output after every call), gathers events, and checks the
 * invariants that hold for any connection at any time. */
#ifndef XT_TEST_ENDPOINT_H
#define XT_TEST_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/tcp/board.h"
#include "daemon/tcp/seldom.h"
#include "daemon/tcp/tcp.h"

#define EP_GUARD 64 /* bytes with a known pattern before and after each ring */

struct ep {
    struct xt_conn conn;
    struct xt_tcp_cfg cfg;
    struct xt_tcp_stats stats;
    uint64_t now;    /* microseconds; moved by the test */
    uint32_t events; /* XT_EV_* seen since the test last cleared them */
    uint8_t *rx, *tx;
    uint32_t rx_size, tx_size;
    bool batch; /* output waits for ep_output(), as at the end of a batch of input, unless XT_EV_ACK_NOW asks for it */
    bool no_board; /* the stack has none to lend, from now on */
    bool no_rx;    /* the receive ring is not there yet: input runs with ctx.rx == NULL */

    /* Called with each segment sent; its payload is valid in the send ring (ep_copy_payload). */
    void (*emit)(struct ep *e, const struct xt_seg *seg);
    void (*on_state)(struct ep *e, enum xt_state from, enum xt_state to); /* may be NULL */
    void *arg;
    const char *bad; /* the first broken invariant, or NULL */

    /* Lent where it is wanted, taken back where it is spare, as by the stack. Part of this so that a copy of all stays right. */
    struct xt_seldom seldom;
    struct xt_board board;
    uint8_t board_guard[EP_GUARD];
    unsigned lent;     /* how often */
    unsigned overfull; /* segments in or out after which a list was longer than the record could hold */
};

/* Makes a CLOSED connection with rings of the given sizes. `e` must be zero or freed; emit, on_state and arg are
 * kept. */
void ep_init(struct ep *e, const struct xt_tcp_cfg *cfg, const struct xt_endpoint *local,
             const struct xt_endpoint *remote, uint32_t rx_size, uint32_t tx_size);
void ep_free(struct ep *e);

struct xt_tcp_ctx ep_ctx(struct ep *e);

/* Sends what there is to send. Each of the calls below ends with it, unless `batch` is set. */
void ep_output(struct ep *e);

/* The calls of the core; each returns the events of this call alone. */
uint32_t ep_connect(struct ep *e, uint32_t iss);
uint32_t ep_listen(struct ep *e);
uint32_t ep_accept(struct ep *child, struct ep *listener, const struct xt_seg *syn, uint32_t iss);
uint32_t ep_input(struct ep *e, const struct xt_seg *seg);
uint32_t ep_timer(struct ep *e);
uint32_t ep_icmp(struct ep *e, uint32_t seq, int err, uint32_t mtu);
uint32_t ep_shutdown(struct ep *e);
uint32_t ep_close(struct ep *e);
uint32_t ep_abort(struct ep *e);

/* Bytes that can be written, bytes that can be read. */
uint32_t ep_room(const struct ep *e);
uint32_t ep_readable(const struct ep *e);

/* Writes at most the room; the n bytes come from `fill(arg, stream offset)`. Reads at most what is there into `buf`. */
uint32_t ep_write(struct ep *e, uint32_t n, uint8_t (*fill)(const void *arg, uint64_t off), const void *arg,
                  bool urgent);
uint32_t ep_read(struct ep *e, uint8_t *buf, uint32_t n);

/* Rings of twice the size, with what is in them. */
void ep_grow_rx(struct ep *e);
void ep_grow_tx(struct ep *e);

/* Copies the payload of a segment sent by `e` from its send ring. */
void ep_copy_payload(const struct ep *e, const struct xt_seg *seg, uint8_t *buf);

/* Checks the invariants; sets and returns e->bad. */
const char *ep_check(struct ep *e);

/* "SYN|ACK" and the like, in a static buffer for each of the last eight calls. */
const char *flags_name(uint8_t flags);

#endif
