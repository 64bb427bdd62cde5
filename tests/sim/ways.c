/* SPDX-License-Identifier: Apache-2.0
 * What goes the short way through the core (fast.c): the next text in order, the ACK of what is in flight, both in one. That it
 * comes to the same as the long way is what the core itself looks at here (both.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tcp/both.h"
#include "tests/sim/endpoint.h"

enum { RING = 1 << 16, QUEUE = 64, MSS = 1448 };

static struct ep ends[2];
static uint8_t bytes[RING];
static struct {
    struct xt_seg seg;
    uint8_t payload[RING];
    struct ep *to;
} queue[QUEUE];
static unsigned head, tail;

static void on_emit(struct ep *e, const struct xt_seg *seg)
{
    unsigned i = tail++ % QUEUE;
    queue[i].seg = *seg;
    queue[i].seg.payload = queue[i].payload;
    queue[i].to = e == &ends[0] ? &ends[1] : &ends[0];
    ep_copy_payload(e, seg, queue[i].payload);
}

static uint8_t fill(const void *arg, uint64_t off)
{
    (void)arg;
    return (uint8_t)(off * 7);
}

/* Delivers the next segment, ten milliseconds later. Did it go the short way? */
static bool next(void)
{
    unsigned i = head++ % QUEUE;
    ends[0].now = ends[1].now += 10000;
    uint64_t before = xt_both_compared;
    queue[i].to->batch = true; /* for output has a short way, too */
    ep_input(queue[i].to, &queue[i].seg);
    bool fast = xt_both_compared == before + 1;
    ep_output(queue[i].to);
    queue[i].to->batch = false;
    return fast;
}

static void settle(void)
{
    while (head != tail)
        next();
}

static int failures;

#define EXPECT(x) ((x) ? (void)0 : (void)(failures++, printf("line %d: %s\n", __LINE__, #x)))

static void open_both(void)
{
    struct xt_tcp_cfg cfg;
    static struct ep listener;
    struct xt_endpoint a = {.addr = xt_addr_v4(0x0a000001), .port = 1}, b = {.addr = xt_addr_v4(0x0a000002), .port = 2};
    xt_tcp_cfg_default(&cfg);
    cfg.quickack = 0;
    cfg.gso_max = MSS;
    for (int i = 0; i < 2; i++)
        ends[i].emit = on_emit;
    ep_init(&listener, &cfg, &b, &(struct xt_endpoint){0}, RING, RING);
    ep_listen(&listener);
    ep_init(&ends[0], &cfg, &a, &b, RING, RING);
    ep_init(&ends[1], &cfg, &b, &a, RING, RING);
    ends[0].now = ends[1].now = listener.now = 1000000;
    ep_connect(&ends[0], 1000);
    ep_accept(&ends[1], &listener, &queue[head++ % QUEUE].seg, 2000);
    settle();
    EXPECT(ends[0].conn.state == XT_ESTABLISHED && ends[1].conn.state == XT_ESTABLISHED);
    ep_free(&listener);
}

/* A question and its answer, which acknowledges it. */
static void dialogue(void)
{
    for (int i = 0; i < 10; i++) {
        struct ep *from = &ends[i % 2], *to = &ends[(i + 1) % 2];
        ep_write(from, 64, fill, NULL, false);
        EXPECT(tail - head == 1 && queue[head % QUEUE].seg.len == 64);
        EXPECT(next());
        EXPECT(ep_read(to, bytes, sizeof bytes) == 64 && (i == 0 || to->conn.snd_una == to->conn.snd_nxt));
    }
    while (xt_tcp_deadline(&ends[0].conn, ends[0].now) != UINT64_MAX && head == tail) {
        ends[0].now = ends[1].now = xt_tcp_deadline(&ends[0].conn, ends[0].now);
        ep_timer(&ends[0]);
    }
    settle();
}

/* Twenty segments, of which two and two are acknowledged: the ACKs of a part of what is in flight, and of all. */
static void bulk(void)
{
    ends[0].conn.cwnd = 30 * MSS;
    ep_write(&ends[0], 20 * MSS, fill, NULL, false);
    for (unsigned n = 0; ends[1].conn.rx_head - ends[1].conn.rx_tail < 20 * MSS && n < QUEUE; n++) {
        EXPECT(next());
    }
    EXPECT(head != tail);
    while (head != tail)
        EXPECT(next());
    EXPECT(ends[0].conn.snd_una == ends[0].conn.snd_nxt && ends[0].conn.tx_una == ends[0].conn.tx_head);
}

int main(void)
{
    open_both();
    dialogue();
    bulk();
    for (int i = 0; i < 2; i++) {
        EXPECT(!ends[i].bad);
        ep_free(&ends[i]);
    }
    printf("%d failure(s), %llu compared\n", failures, (unsigned long long)xt_both_compared);
    return failures > 0;
}
