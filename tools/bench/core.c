/* SPDX-License-Identifier: Apache-2.0
 * Bulk transfer between two connections of the pure TCP core, for callgrind: counted is what a received segment costs from
 * its parsed header to the ACK that goes out, in data_segment(), and what an ACK costs, in ack_segment(); not what is sent
 * after it. Prints how often the one asked for was called.
 *   bench-core PAIRS data|placed|ack|flight    pairs of data segments; each pair is acknowledged by one ACK. With `placed` payload is
 *                                              in its place before, as that of super-frames is in the daemon; else the core copies it.
 *                                              With `flight` ACKs come a round trip later, and in congestion avoidance: each for a
 *                                              part of what is in flight; else for all of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tcp/board.h"
#include "daemon/tcp/seldom.h"
#include "daemon/tcp/tcp.h"

enum { RING = 1 << 20, MSS = 1448 /* 1460 less the time stamps */ };
enum { FLIGHT = 64 /* segments */, RTT_US = 10000, GAP_US = RTT_US / (FLIGHT / 2) /* from ACK to ACK */ };

struct end {
    struct xt_conn conn;
    struct xt_seldom seldom;
    struct xt_board board; /* lent for good: nobody looks after it here */
    uint8_t rx[RING], tx[RING];
};

static struct xt_tcp_cfg cfg;
static struct xt_tcp_stats stats;
static uint64_t now_us = 1000000;
static struct end sender, receiver;
static long datas, acks;
static int placed;

static struct xt_tcp_ctx ctx_of(struct end *e)
{
    return (struct xt_tcp_ctx){XT_TCP_AT(now_us), .cfg = &cfg, .stats = &stats, .rx = e->rx};
}

/* Counted is what these two call, and little besides. */
__attribute__((noinline, used)) static int data_segment(const struct xt_tcp_ctx *ctx, struct xt_seg *seg,
                                                        struct xt_seg *ack, int *replies)
{
    xt_tcp_input(&receiver.conn, ctx, seg, ack, replies);
    return xt_tcp_output(&receiver.conn, ctx, ack, 0);
}

__attribute__((noinline, used)) static void ack_segment(const struct xt_tcp_ctx *ctx, struct xt_seg *seg,
                                                        struct xt_seg *reply, int *replies)
{
    xt_tcp_input(&sender.conn, ctx, seg, reply, replies);
}

/* Returns 1 when an ACK is to go out. */
static int take_data(const struct xt_tcp_ctx *ctx, struct xt_seg *seg, struct xt_seg *ack)
{
    int replies = 0, out = data_segment(ctx, seg, ack, &replies);
    if (replies)
        abort();
    datas++;
    return out;
}

static void take_ack(const struct xt_tcp_ctx *ctx, struct xt_seg *seg)
{
    struct xt_seg reply;
    int replies = 0;
    ack_segment(ctx, seg, &reply, &replies);
    if (replies)
        abort();
    acks++;
}

static void take(struct end *to, const struct xt_tcp_ctx *ctx, struct xt_seg *seg)
{
    struct xt_seg reply;
    int replies = 0;
    xt_tcp_input(&to->conn, ctx, seg, &reply, &replies);
    if (replies)
        abort();
}

static void payload_of(struct xt_seg *seg)
{
    seg->payload = sender.tx + (seg->tx_off & (RING - 1));
    uint8_t *place = placed ? xt_tcp_place(&receiver.conn, receiver.rx, seg) : NULL;
    if (place)
        seg->payload = memcpy(place, seg->payload, seg->len);
}

static void handshake(void)
{
    struct xt_endpoint a = {.addr = xt_addr_v4(0x0a000001), .port = 1}, b = {.addr = xt_addr_v4(0x0a000002), .port = 2};
    static struct xt_conn listener;
    struct xt_tcp_ctx cs = ctx_of(&sender), cr = ctx_of(&receiver);
    struct xt_seg seg;
    xt_tcp_init(&listener, &b, &(struct xt_endpoint){0}, &cfg);
    xt_tcp_listen(&listener, &cr);
    xt_tcp_init(&sender.conn, &a, &b, &cfg);
    xt_tcp_init(&receiver.conn, &b, &a, &cfg);
    xt_seldom_attach(&sender.conn, &sender.seldom);
    xt_seldom_attach(&receiver.conn, &receiver.seldom);
    xt_board_lend(&sender.conn, &sender.board);
    xt_board_lend(&receiver.conn, &receiver.board);
    xt_tcp_set_rings(&sender.conn, RING, RING);
    xt_tcp_set_rings(&receiver.conn, RING, RING);
    xt_tcp_connect(&sender.conn, &cs, 1000);
    if (!xt_tcp_output(&sender.conn, &cs, &seg, 0))
        abort();
    xt_tcp_accept_syn(&receiver.conn, &listener, &cr, &seg, 2000);
    if (!xt_tcp_output(&receiver.conn, &cr, &seg, 0))
        abort();
    take(&sender, &cs, &seg);
    if (!xt_tcp_output(&sender.conn, &cs, &seg, 0))
        abort();
    take(&receiver, &cr, &seg);
    if (receiver.conn.state != XT_ESTABLISHED)
        abort();
}

/* Two full segments, one of which the receiver acknowledges both with. */
static void pair(void)
{
    struct xt_tcp_ctx cs, cr;
    struct xt_seg seg, ack;
    int acked = 0;
    now_us += 1000;
    cs = ctx_of(&sender);
    cr = ctx_of(&receiver);
    xt_tcp_wrote(&sender.conn, &cs, sender.conn.tx_head + 2 * MSS, false);
    while (xt_tcp_output(&sender.conn, &cs, &seg, MSS)) {
        payload_of(&seg);
        acked += take_data(&cr, &seg, &ack);
        xt_tcp_consumed(&receiver.conn, &cr, receiver.conn.rx_head);
        if (acked)
            take_ack(&cs, &ack);
        acked = 0;
    }
}

/* ACKs on their way to the sender. */
static struct {
    struct xt_seg ack[FLIGHT];
    uint64_t due[FLIGHT], last;
    unsigned head, n;
} path;

static void to_path(const struct xt_seg *ack)
{
    unsigned i = (path.head + path.n++) % FLIGHT;
    if (path.n > FLIGHT)
        abort();
    uint64_t at = now_us + RTT_US;
    path.last = at > path.last + GAP_US ? at : path.last + GAP_US;
    path.ack[i] = *ack;
    path.due[i] = path.last;
}

/* All that the window allows, and the oldest ACK. */
static void window(void)
{
    struct xt_tcp_ctx cs = ctx_of(&sender), cr = ctx_of(&receiver);
    struct xt_seg seg, ack;
    xt_tcp_wrote(&sender.conn, &cs, sender.conn.tx_una + RING, false);
    while (xt_tcp_output(&sender.conn, &cs, &seg, MSS)) {
        payload_of(&seg);
        if (take_data(&cr, &seg, &ack))
            to_path(&ack);
        xt_tcp_consumed(&receiver.conn, &cr, receiver.conn.rx_head);
    }
    if (path.n == 0)
        abort();
    now_us = path.due[path.head];
    cs = ctx_of(&sender);
    take_ack(&cs, &path.ack[path.head]);
    path.head = (path.head + 1) % FLIGHT;
    path.n--;
}

int main(int argc, char **argv)
{
    long pairs = argc == 3 ? atol(argv[1]) : 0;
    placed = pairs > 0 && strcmp(argv[2], "placed") == 0;
    int flight = pairs > 0 && strcmp(argv[2], "flight") == 0;
    if (pairs <= 0 || (!placed && !flight && strcmp(argv[2], "data") != 0 && strcmp(argv[2], "ack") != 0)) {
        fprintf(stderr, "usage: bench-core PAIRS data|placed|ack|flight\n");
        return 2;
    }
    xt_tcp_cfg_default(&cfg);
    handshake();
    if (flight)
        sender.conn.ssthresh = FLIGHT * MSS;
    for (long i = 0; i < pairs; i++)
        if (flight)
            window();
        else
            pair();
    printf("%ld\n", flight || argv[2][0] == 'a' ? acks : datas);
    return 0;
}
