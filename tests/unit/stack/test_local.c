/* SPDX-License-Identifier: Apache-2.0
 * Two sockets of one stack: nothing reaches the wire. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/macros.h"
#include "daemon/stack/internal.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull

static struct host h;
static uint64_t now;

static void setup(void)
{
    now = S;
    host_begin(&h, now);
}

static void teardown(void)
{
    host_stop(&h);
}

TestSuite(local, .init = setup, .fini = teardown);

Test(local, connects_to_its_own_address)
{
    cr_assert(host_listen(&h, 80, true, now));
    struct xt_conn *c = host_connect(&h, 1, 80, now, NULL);
    host_settle(&h, now);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(h.naccepted, 1);
    cr_assert_eq(h.count, 0, "a frame left");
    cr_assert_eq(xt_stack_stats(h.s)->arp_requests_out, 0);
}

Test(local, unspecified_address_means_itself)
{
    cr_assert(host_listen(&h, 80, true, now));
    struct xt_conn *c = host_connect(&h, 0, 80, now, NULL);
    host_settle(&h, now);
    cr_assert_eq(c->state, XT_ESTABLISHED);
}

Test(local, refused_without_a_listener)
{
    uint32_t i = host_connect(&h, 1, 80, now, NULL)->index;
    host_settle(&h, now);
    cr_assert_eq(h.closed, 1);
    cr_assert_eq(h.err[i], ECONNREFUSED);
}

Test(local, many_connections_fill_the_queue_and_lose_nothing)
{
    enum { PAIRS = 40, TOTAL = 200000 };
    static uint8_t buf[RING];
    struct xt_conn *c[PAIRS], *d[PAIRS];
    uint32_t sent[PAIRS] = {0}, got[PAIRS] = {0}, done = 0;
    cr_assert(host_listen(&h, 80, true, now));
    for (unsigned i = 0; i < PAIRS; i++) {
        c[i] = host_connect(&h, 1, 80, now, NULL);
        host_settle(&h, now);
        d[i] = h.accepted;
    }
    for (unsigned turn = 0; done < PAIRS; turn++) {
        cr_assert_lt(turn, 20000, "no progress");
        for (unsigned i = 0; i < PAIRS; i++) {
            memset(buf, (int)i, sizeof buf);
            sent[i] += host_write(&h, c[i], buf, XT_MIN(RING, TOTAL - sent[i]), now);
        }
        host_settle(&h, now);
        done = 0;
        for (unsigned i = 0; i < PAIRS; i++) {
            uint32_t n = host_read(&h, d[i], buf, RING, now);
            for (uint32_t k = 0; k < n; k++)
                cr_assert_eq(buf[k], i);
            got[i] += n;
            done += got[i] == TOTAL;
        }
        now += 1000;
        xt_stack_timers(h.s, now);
    }
    cr_assert_eq(xt_stack_tcp_stats(h.s)->retrans_segs, 0);
    cr_assert_eq(xt_stack_stats(h.s)->drop_local_full, 0);
}

/* One end point on both sides: a simultaneous open with itself, as on Linux. */
Test(local, connects_to_itself)
{
    struct xt_endpoint at = ep(1, 5000);
    struct xt_conn *c;
    cr_assert_eq(xt_stack_bind(h.s, &at, false), 0);
    cr_assert_eq(xt_stack_connect(h.s, &at, &at, now, NULL, NULL, &c), 0);
    xt_stack_set_bufs(h.s, c, h.rx[c->index] = malloc(RING), RING, h.tx[c->index] = malloc(RING), RING);
    host_settle(&h, now);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    host_write(&h, c, "hello", 5, now);
    host_settle(&h, now);
    cr_assert_eq(c->rx_head, 5);
    cr_assert_arr_eq(h.rx[c->index], "hello", 5);
}

/* An open connection; the end that was accepted is h.accepted. */
static struct xt_conn *open_pair(uint16_t port)
{
    cr_assert(host_listen(&h, port, true, now));
    struct xt_conn *c = host_connect(&h, 1, port, now, NULL);
    host_settle(&h, now);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    return c;
}

static void next_timer(void)
{
    now = XT_MAX(now, xt_stack_deadline(h.s));
    xt_stack_timers(h.s, now);
    host_settle(&h, now);
}

static void fill(uint8_t *p, uint32_t n, unsigned seed)
{
    for (uint32_t i = 0; i < n; i++)
        p[i] = (uint8_t)(seed + i * 7 + i / 251);
}

static void expect_read(struct xt_conn *c, const uint8_t *want, uint32_t n)
{
    static uint8_t got[RING];
    cr_assert_eq(host_read(&h, c, got, RING, now), n);
    cr_assert_arr_eq(got, want, n);
}

/* Neither a congestion window of ten segments nor the 64 KiB of a datagram. Odd sizes bring every ring's end into the payload. */
Test(local, a_window_full_is_one_segment_wherever_it_lies_in_the_rings)
{
    static uint8_t buf[RING];
    struct xt_conn *c = open_pair(80), *d = h.accepted;
    for (unsigned round = 0; round < 40; round++) {
        uint32_t n = round == 0 ? 65400 : round % 2 ? RING - 1 - 997 * round : 1 + 613 * round;
        fill(buf, n, round);
        uint64_t before = xt_stack_stats(h.s)->local_segs, acks = xt_stack_tcp_stats(h.s)->acks_sent;
        cr_assert_eq(host_write(&h, c, buf, n, now), n);
        host_settle(&h, now);
        acks = xt_stack_tcp_stats(h.s)->acks_sent - acks;
        cr_assert_eq(xt_stack_stats(h.s)->local_segs - before - acks, 1, "round %u, %u bytes", round, n);
        expect_read(d, buf, n);
        host_settle(&h, now);
        now += 2000;
        xt_stack_timers(h.s, now); /* the ACK of a small one */
        host_settle(&h, now);
        cr_assert_eq(c->tx_una, c->tx_head);
    }
    cr_assert_eq(xt_stack_tcp_stats(h.s)->retrans_segs, 0);
    cr_assert_eq(xt_stack_stats(h.s)->frames_out, xt_stack_stats(h.s)->arp_announcements, "a frame left");
}

/* As over packets: what one end says it has sent, the other says it got. */
Test(local, both_ends_count_the_same)
{
    static uint8_t buf[RING];
    struct xt_conn *c = open_pair(80), *d = h.accepted;
    struct xt_tcp_info a, b;
    struct xt_tcp_ctx ctx = {XT_TCP_AT(now), .cfg = &h.cfg.tcp};
    fill(buf, 50000, 1);
    host_write(&h, c, buf, 50000, now);
    host_settle(&h, now);
    expect_read(d, buf, 50000);
    host_write(&h, d, buf, 3000, now);
    host_settle(&h, now);
    expect_read(c, buf, 3000);
    now += 2000;
    xt_stack_timers(h.s, now);
    host_settle(&h, now);
    xt_tcp_info(c, &ctx, &a);
    xt_tcp_info(d, &ctx, &b);
    cr_assert_eq(a.bytes_sent, 50000);
    cr_assert_eq(a.bytes_acked, b.bytes_received);
    cr_assert_eq(b.bytes_acked, a.bytes_received);
    cr_assert_eq(a.data_segs_out, b.data_segs_in);
    cr_assert_eq(a.data_segs_out, (50000u + c->mss_eff - 1) / c->mss_eff);
    cr_assert_eq(b.data_segs_out, a.data_segs_in);
    cr_assert_eq(a.unacked, 0);
    cr_assert_gt(a.srtt, 0);
    cr_assert_eq(b.segs_in, a.segs_out - (a.data_segs_out - 1), "but that a super-segment comes as one");
    cr_assert_eq(a.segs_in, b.segs_out - (b.data_segs_out - 1));
}

Test(local, half_close_both_ways_and_time_wait)
{
    struct xt_conn *c = open_pair(80), *d = h.accepted;
    uint32_t ci = c->index, di = d->index;
    host_write(&h, c, "question", 8, now);
    xt_stack_shutdown(h.s, c, now);
    host_settle(&h, now);
    cr_assert_eq(c->state, XT_FIN_WAIT2);
    cr_assert_eq(d->state, XT_CLOSE_WAIT);
    cr_assert(h.events[di] & XT_EV_PEER_FIN);
    expect_read(d, (const uint8_t *)"question", 8);
    host_write(&h, d, "answer", 6, now);
    xt_stack_close(h.s, d, now);
    host_settle(&h, now);
    cr_assert_eq(h.closed, 1, "LAST_ACK is over");
    cr_assert_eq(c->state, XT_TIME_WAIT);
    cr_assert_eq(c->rx_head, 6);
    cr_assert_arr_eq(h.rx[ci], "answer", 6);
    now += 2 * h.cfg.tcp.msl + S;
    xt_stack_timers(h.s, now);
    cr_assert_eq(h.closed, 2);
}

/* The record, and with it the ring, is gone before the next pass: what was sent first has arrived by then. */
Test(local, what_was_written_before_a_reset_arrives_before_it)
{
    struct xt_conn *c = open_pair(80), *d = h.accepted;
    uint32_t ci = c->index, di = d->index;
    host_write(&h, c, "last words", 10, now);
    xt_stack_send_now(h.s, c, now);
    xt_stack_abort(h.s, c, now);
    memset(h.tx[ci], 0, RING);
    host_settle(&h, now);
    cr_assert_eq(h.err[di], ECONNRESET);
    cr_assert_eq(d->rx_head, 10);
    cr_assert_arr_eq(h.rx[di], "last words", 10);
}

/* A segment whose ring is gone is a lost one, and so it is counted. */
Test(local, a_segment_whose_ring_is_taken_away_is_lost)
{
    struct xt_conn *c = open_pair(80), *d = h.accepted;
    xt_stack_set_bufs(h.s, c, h.rx[c->index], RING, NULL, RING);
    xt_stack_wrote(h.s, c, 100, false, now);
    host_settle(&h, now);
    cr_assert_eq(d->rx_head, 0);
    cr_assert_eq(xt_stack_stats(h.s)->drop_no_ring, 1);
    xt_stack_set_bufs(h.s, c, h.rx[c->index], RING, h.tx[c->index], RING);
    for (unsigned i = 0; i < 10 && d->rx_head == 0; i++)
        next_timer();
    cr_assert_eq(d->rx_head, 100, "it is sent again");
}

/* Queued, and then its connection has no ring any more, or is another one. */
Test(local, a_queued_segment_is_looked_at_again)
{
    struct xt_conn *c = open_pair(80), *d = h.accepted;
    struct xt_seg seg = {
        .sport = c->local.port, .dport = 80, .seq = c->snd_nxt, .ack = c->rcv_nxt, .flags = XT_TH_ACK, .len = 5};
    xt_local_put(h.s, &seg, c);
    xt_stack_set_bufs(h.s, c, h.rx[c->index], RING, NULL, RING);
    host_settle(&h, now);
    cr_assert_eq(xt_stack_stats(h.s)->drop_no_ring, 1);
    xt_stack_set_bufs(h.s, c, h.rx[c->index], RING, h.tx[c->index], RING);
    xt_local_put(h.s, &seg, c);
    c->gen++;
    host_settle(&h, now);
    cr_assert_eq(xt_stack_stats(h.s)->drop_no_ring, 2);
    cr_assert_eq(d->rx_head, 0);
}

Test(local, a_closed_window_opens_again)
{
    static uint8_t buf[RING];
    struct xt_conn *c = open_pair(80), *d = h.accepted;
    fill(buf, RING - 1, 3);
    host_write(&h, c, buf, RING - 1, now);
    host_settle(&h, now);
    cr_assert_eq(host_write(&h, c, "more", 4, now), 4);
    host_settle(&h, now);
    cr_assert_eq(d->rx_head, RING - 1);
    cr_assert_eq(c->snd_wnd, 0);
    uint64_t probes = xt_stack_tcp_stats(h.s)->probes_sent;
    for (unsigned i = 0; i < 20 && xt_stack_tcp_stats(h.s)->probes_sent < probes + 2; i++)
        next_timer();
    cr_assert_eq(xt_stack_tcp_stats(h.s)->probes_sent, probes + 2);
    cr_assert_eq(d->rx_head, RING - 1);
    expect_read(d, buf, RING - 1);
    host_settle(&h, now);
    cr_assert_eq(d->rx_head, RING + 3);
    expect_read(d, (const uint8_t *)"more", 4);
}

Test(local, urgent_data)
{
    struct xt_conn *c = open_pair(80), *d = h.accepted;
    host_write(&h, c, "plain", 5, now);
    memcpy(h.tx[c->index] + 5, "!", 1);
    xt_stack_wrote(h.s, c, 6, true, now);
    host_settle(&h, now);
    cr_assert(h.events[d->index] & XT_EV_URGENT);
    cr_assert_eq(xt_rx_urg(d), 6);
    expect_read(d, (const uint8_t *)"plain!", 6);
}

Test(local, a_full_backlog_drops_the_syn_until_there_is_room)
{
    cr_assert(host_listen(&h, 80, true, now));
    h.admit = false;
    h.full = true;
    struct xt_conn *c = host_connect(&h, 1, 80, now, NULL);
    host_settle(&h, now);
    cr_assert_eq(c->state, XT_SYN_SENT);
    cr_assert_eq(xt_stack_stats(h.s)->drop_backlog, 1);
    h.admit = true;
    for (unsigned i = 0; i < 10 && c->state == XT_SYN_SENT; i++)
        next_timer();
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(xt_seldom_of(c)->retrans, 1);
}

/* The SYN has what the cookie says, though the record that it lies in goes on to other things. */
Test(local, fast_open)
{
    struct xt_conn *l = host_listen(&h, 80, true, now);
    struct xt_fo_listen set = {.limit = 4};
    xt_stack_fastopen_listen(h.s, l, &set);
    h.fo = XT_FO_OPTION | XT_FO_DATA;
    struct xt_conn *c = host_connect(&h, 1, 80, now, NULL);
    host_settle(&h, now);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(xt_stack_stats(h.s)->fastopen_cookies, 1);
    c = host_connect(&h, 1, 80, now, NULL);
    cr_assert_gt(xt_stack_fastopen_room(c), 4);
    host_write(&h, c, "early", 5, now);
    xt_stack_fastopen_go(h.s, c, now);
    host_settle(&h, now);
    cr_assert(c->fo & XT_FO_ACKED);
    cr_assert_eq(c->state, XT_ESTABLISHED);
}

/* Death between the sender's change and the receiver's is a lost segment. */
Test(local, what_a_dead_process_had_queued_is_sent_again)
{
    struct xt_conn *c = open_pair(80), *d = h.accepted;
    uint32_t ci = c->index, di = d->index;
    struct xt_seg seg;
    memcpy(h.tx[ci], "hello", 5);
    struct xt_tcp_ctx ctx = {XT_TCP_AT(now), .cfg = &h.cfg.tcp, .stats = &(struct xt_tcp_stats){0}};
    xt_tcp_wrote(c, &ctx, 5, false);
    cr_assert_eq(xt_tcp_output(c, &ctx, &seg, 0), 1); /* and it goes nowhere */
    xt_stack_free(h.s);
    host_start(&h, now);
    xt_stack_set_bufs(h.s, c, h.rx[ci], RING, h.tx[ci], RING);
    xt_stack_set_bufs(h.s, d, h.rx[di], RING, h.tx[di], RING);
    for (unsigned i = 0; i < 10 && d->rx_head == 0; i++)
        next_timer();
    cr_assert_eq(d->rx_head, 5);
    cr_assert_arr_eq(h.rx[di], "hello", 5);
    next_timer(); /* that of the ACK */
    cr_assert_eq(c->tx_una, 5);
}
