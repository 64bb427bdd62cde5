/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/ring.h"
#include "tests/sim/invariant.h"

#define GUARD_BYTE 0xa5
#define OUTPUT_LIMIT 4096 /* segments in a row before the sender counts as running away */

static uint8_t *ring_new(uint32_t size)
{
    uint8_t *p = malloc((size_t)size + 2 * EP_GUARD);
    if (!p)
        abort();
    memset(p, GUARD_BYTE, (size_t)size + 2 * EP_GUARD);
    return p + EP_GUARD;
}

static bool ring_intact(const uint8_t *ring, uint32_t size)
{
    for (int i = 1; i <= EP_GUARD; i++)
        if (ring[-i] != GUARD_BYTE || ring[size + (size_t)i - 1] != GUARD_BYTE)
            return false;
    return true;
}

static void broken(struct ep *e, const char *what)
{
    if (!e->bad)
        e->bad = what;
}

void ep_init(struct ep *e, const struct xt_tcp_cfg *cfg, const struct xt_endpoint *local,
             const struct xt_endpoint *remote, uint32_t rx_size, uint32_t tx_size)
{
    e->cfg = *cfg;
    e->events = 0;
    e->bad = NULL;
    e->rx_size = rx_size;
    e->tx_size = tx_size;
    e->rx = ring_new(rx_size);
    e->tx = ring_new(tx_size);
    memset(e->board_guard, GUARD_BYTE, sizeof e->board_guard);
    e->lent = e->overfull = 0;
    xt_tcp_init(&e->conn, local, remote, &e->cfg);
    xt_seldom_attach(&e->conn, &e->seldom);
    xt_tcp_set_rings(&e->conn, rx_size, tx_size);
}

void ep_free(struct ep *e)
{
    if (e->rx)
        free(e->rx - EP_GUARD);
    if (e->tx)
        free(e->tx - EP_GUARD);
    e->rx = e->tx = NULL;
    memset(&e->conn, 0, sizeof e->conn);
}

static void state_changed(void *arg, const struct xt_conn *c, enum xt_state from, enum xt_state to)
{
    struct ep *e = arg;
    if (from == to)
        broken(e, "on_state reports no change");
    if (c->state != to)
        broken(e, "on_state runs with another state in the record");
    if (e->on_state)
        e->on_state(e, from, to);
}

struct xt_tcp_ctx ep_ctx(struct ep *e)
{
    return (struct xt_tcp_ctx){XT_TCP_AT(e->now),         .cfg = &e->cfg,
                               .stats = &e->stats,        .rx = e->no_rx ? NULL : e->rx,
                               .on_state = state_changed, .on_state_arg = e};
}

static void lend(struct ep *e)
{
    struct xt_conn *c = &e->conn;
    xt_board_lend(c, &e->board);
    memset(c->recent, GUARD_BYTE, sizeof c->recent);
    memset(c->sent, GUARD_BYTE, sizeof c->sent);
    memset(c->seam, GUARD_BYTE, sizeof c->seam);
    memset(c->mark, GUARD_BYTE, sizeof c->mark);
    if (c->state >= XT_ESTABLISHED) /* else it is the cookie's place */
        memset(c->ooo, GUARD_BYTE, sizeof c->ooo);
    e->lent++;
}

/* As the stack does it after each segment in or out. What lay on a board that is back must not be looked at. */
static void check_board(struct ep *e)
{
    struct xt_conn *c = &e->conn;
    if (c->board && (c->state == XT_CLOSED || xt_board_spare(c))) {
        if (xt_board_back(c) != &e->board)
            broken(e, "another board comes back than was lent");
        memset(&e->board, GUARD_BYTE, sizeof e->board);
    } else if (!e->no_board && c->state != XT_CLOSED && xt_board_wanted(c)) {
        lend(e);
    }
    e->overfull += c->n_sent > XT_SENT_MAX || c->n_ooo > XT_OOO_MAX;
}

/* What holds for every segment that a connection sends. */
static void check_sent(struct ep *e, const struct xt_seg *s)
{
    const struct xt_conn *c = &e->conn;
    if (s->sport != c->local.port || s->dport != c->remote.port)
        broken(e, "sent with other ports");
    if (!s->len)
        return;
    if (s->len > 65535)
        broken(e, "payload over 64 KiB");
    if (s->tx_off < c->tx_una || s->tx_off + s->len > c->tx_head)
        broken(e, "payload outside the send ring's valid bytes");
    if ((uint32_t)(c->iss + 1 + s->tx_off) != s->seq + ((s->flags & XT_TH_SYN) != 0))
        broken(e, "sequence number and stream offset disagree");
    if (s->gso_size && s->len > s->gso_size && (s->flags & (XT_TH_SYN | XT_TH_RST | XT_TH_URG)))
        broken(e, "super-segment with SYN, RST or URG");
    if (s->flags & XT_TH_RST)
        broken(e, "reset with payload");
}

static void send_seg(struct ep *e, const struct xt_seg *s)
{
    check_sent(e, s);
    if (e->emit)
        e->emit(e, s);
}

void ep_output(struct ep *e)
{
    struct xt_tcp_ctx ctx = ep_ctx(e);
    struct xt_seg out;
    struct invariant_flight before;
    for (int i = 0; i < OUTPUT_LIMIT; i++) {
        bool wants = xt_tcp_wants_output(&e->conn);
        memset(&out, 0, sizeof out);
        invariant_before(&before, &e->conn);
        if (!xt_tcp_output(&e->conn, &ctx, &out, 0))
            return;
        check_board(e);
        if (!wants)
            broken(e, "xt_tcp_wants_output() was false before a segment");
        broken(e, invariant_sent(&before, &e->conn, &out));
        send_seg(e, &out);
    }
    broken(e, "output does not end");
}

static uint32_t done(struct ep *e, uint32_t ev)
{
    e->events |= ev;
    check_board(e);
    if (!e->batch || (ev & (XT_EV_ACK_NOW | XT_EV_CLOSED)))
        ep_output(e);
    if ((ev & XT_EV_CLOSED) && e->conn.state != XT_CLOSED)
        broken(e, "XT_EV_CLOSED in another state");
    ep_check(e);
    return ev;
}

uint32_t ep_connect(struct ep *e, uint32_t iss)
{
    struct xt_tcp_ctx ctx = ep_ctx(e);
    return done(e, xt_tcp_connect(&e->conn, &ctx, iss));
}

uint32_t ep_listen(struct ep *e)
{
    struct xt_tcp_ctx ctx = ep_ctx(e);
    return done(e, xt_tcp_listen(&e->conn, &ctx));
}

uint32_t ep_accept(struct ep *child, struct ep *listener, const struct xt_seg *syn, uint32_t iss)
{
    struct xt_tcp_ctx ctx = ep_ctx(child);
    return done(child, xt_tcp_accept_syn(&child->conn, &listener->conn, &ctx, syn, iss));
}

uint32_t ep_input(struct ep *e, const struct xt_seg *seg)
{
    struct xt_tcp_ctx ctx = ep_ctx(e);
    struct xt_seg reply = {0};
    int replies = 0;
    if (!e->no_board && xt_board_wanted_by(&e->conn, seg))
        lend(e);
    uint32_t ev = xt_tcp_input(&e->conn, &ctx, seg, &reply, &replies);
    if (replies) {
        if (!(reply.flags & XT_TH_RST) || reply.len)
            broken(e, "the reply is no bare reset");
        send_seg(e, &reply);
    }
    return done(e, ev);
}

uint32_t ep_timer(struct ep *e)
{
    struct xt_tcp_ctx ctx = ep_ctx(e);
    return done(e, xt_tcp_timer(&e->conn, &ctx));
}

uint32_t ep_icmp(struct ep *e, uint32_t seq, int err, uint32_t mtu)
{
    struct xt_tcp_ctx ctx = ep_ctx(e);
    return done(e, xt_tcp_icmp(&e->conn, &ctx, seq, err, mtu));
}

uint32_t ep_shutdown(struct ep *e)
{
    struct xt_tcp_ctx ctx = ep_ctx(e);
    return done(e, xt_tcp_shutdown(&e->conn, &ctx));
}

uint32_t ep_close(struct ep *e)
{
    struct xt_tcp_ctx ctx = ep_ctx(e);
    return done(e, xt_tcp_close(&e->conn, &ctx));
}

uint32_t ep_abort(struct ep *e)
{
    struct xt_tcp_ctx ctx = ep_ctx(e);
    struct xt_seg reply = {0};
    int replies = 0;
    uint32_t ev = xt_tcp_abort(&e->conn, &ctx, &reply, &replies);
    if (replies)
        send_seg(e, &reply);
    return done(e, ev);
}

uint32_t ep_room(const struct ep *e)
{
    return e->tx_size - (uint32_t)(e->conn.tx_head - e->conn.tx_una);
}

uint32_t ep_readable(const struct ep *e)
{
    return (uint32_t)(e->conn.rx_head - e->conn.rx_tail);
}

uint32_t ep_write(struct ep *e, uint32_t n, uint8_t (*fill)(const void *arg, uint64_t off), const void *arg,
                  bool urgent)
{
    if (n > ep_room(e))
        n = ep_room(e);
    uint64_t off = e->conn.tx_head;
    for (uint32_t i = 0; i < n; i++)
        e->tx[(off + i) & (e->tx_size - 1)] = fill(arg, off + i);
    struct xt_tcp_ctx ctx = ep_ctx(e);
    if (n)
        done(e, xt_tcp_wrote(&e->conn, &ctx, off + n, urgent));
    return n;
}

uint32_t ep_read(struct ep *e, uint8_t *buf, uint32_t n)
{
    if (n > ep_readable(e))
        n = ep_readable(e);
    uint64_t off = e->conn.rx_tail;
    for (uint32_t i = 0; i < n; i++)
        buf[i] = e->rx[(off + i) & (e->rx_size - 1)];
    struct xt_tcp_ctx ctx = ep_ctx(e);
    if (n)
        done(e, xt_tcp_consumed(&e->conn, &ctx, off + n));
    return n;
}

void ep_grow_rx(struct ep *e)
{
    struct xt_conn *c = &e->conn;
    uint8_t *new = ring_new(2 * e->rx_size);
    xt_ring_copy(new, 2 * e->rx_size, e->rx, e->rx_size, c->rx_tail, c->rx_head - c->rx_tail);
    xt_tcp_move_rx(c, e->rx, new, 2 * e->rx_size);
    free(e->rx - EP_GUARD);
    e->rx = new;
    e->rx_size *= 2;
}

void ep_grow_tx(struct ep *e)
{
    struct xt_conn *c = &e->conn;
    uint8_t *new = ring_new(2 * e->tx_size);
    xt_ring_copy(new, 2 * e->tx_size, e->tx, e->tx_size, c->tx_una, c->tx_head - c->tx_una);
    free(e->tx - EP_GUARD);
    e->tx = new;
    e->tx_size *= 2;
    c->tx_size = e->tx_size;
}

void ep_copy_payload(const struct ep *e, const struct xt_seg *seg, uint8_t *buf)
{
    for (uint32_t i = 0; i < seg->len; i++)
        buf[i] = e->tx[(seg->tx_off + i) & (e->tx_size - 1)];
}

/* Bounds of the two streams, and of the sequence variables that go with them. */
static void check_streams(struct ep *e)
{
    const struct xt_conn *c = &e->conn;
    if (c->rx_tail > c->rx_head)
        broken(e, "rx_tail is ahead of rx_head");
    else if (c->rx_head - c->rx_tail > e->rx_size)
        broken(e, "more unread bytes than the receive ring holds");
    if (c->tx_una > c->tx_head)
        broken(e, "tx_una is ahead of tx_head");
    else if (c->tx_head - c->tx_una > e->tx_size)
        broken(e, "more unacknowledged bytes than the send ring holds");
    if (c->rx_size != e->rx_size || c->tx_size != e->tx_size)
        broken(e, "a ring size changed");
}

static void check_sequence(struct ep *e)
{
    const struct xt_conn *c = &e->conn;
    if (c->state < XT_SYN_SENT)
        return;
    if ((int32_t)(c->snd_nxt - c->snd_una) < 0)
        broken(e, "SND.NXT < SND.UNA");
    uint64_t out = c->snd_nxt - c->snd_una;
    if (out > c->tx_head - c->tx_una + 2)
        broken(e, "more in flight than was written, SYN and FIN");
    uint32_t una = c->snd_una - (uint32_t)(c->iss + 1 + c->tx_una);
    /* After a close in SYN_RECV the SYN may still be on its way. */
    bool syn_out = (c->state == XT_FIN_WAIT1 || c->state == XT_CLOSING) && c->snd_una == c->iss && c->tx_una == 0;
    if (c->state >= XT_ESTABLISHED && una > 1 && !syn_out)
        broken(e, "SND.UNA and tx_una disagree");
    uint32_t nxt = c->rcv_nxt - (uint32_t)(c->irs + 1 + c->rx_head);
    if (c->state >= XT_ESTABLISHED && nxt > 1)
        broken(e, "RCV.NXT and rx_head disagree");
}

const char *ep_check(struct ep *e)
{
    if (!ring_intact(e->rx, e->rx_size))
        broken(e, "bytes beside the receive ring were written");
    if (!ring_intact(e->tx, e->tx_size))
        broken(e, "bytes beside the send ring were written");
    for (unsigned i = 0; i < sizeof e->board_guard; i++)
        if (e->board_guard[i] != GUARD_BYTE)
            broken(e, "bytes behind the board were written");
    if (e->conn.state >= XT_NSTATES)
        broken(e, "no such state");
    if (e->stats.bad_events)
        broken(e, "the state table got an event that it has no transition for");
    check_streams(e);
    check_sequence(e);
    broken(e, invariant_timers(&e->conn, &e->cfg, e->now));
    broken(e, invariant_lists(&e->conn));
    if (e->conn.state != XT_CLOSED && !xt_tcp_is_sound(&e->conn))
        broken(e, "a successor would not take the record up");
    return e->bad;
}

const char *flags_name(uint8_t flags)
{
    static const char *const names[8] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
    static const uint8_t order[8] = {1, 0, 2, 4, 3, 5, 6, 7};
    static char bufs[8][40];
    static unsigned next;
    char *b = bufs[next++ % 8];
    *b = 0;
    for (int i = 0; i < 8; i++)
        if (flags & (1u << order[i]))
            sprintf(b + strlen(b), "%s%s", *b ? "|" : "", names[order[i]]);
    return *b ? b : "-";
}
