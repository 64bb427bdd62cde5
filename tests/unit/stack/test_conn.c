/* SPDX-License-Identifier: Apache-2.0
 * Whole connections between two stacks: open, transfer, close, TIME_WAIT, refusal, room of the device, restart. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/macros.h"
#include "daemon/wire/eth.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull

static struct net n;
static struct host *a = &n.h[0], *b = &n.h[1]; /* a connects, b listens */

static void setup(void)
{
    net_init(&n);
}

static void teardown(void)
{
    net_fini(&n);
}

TestSuite(conn, .init = setup, .fini = teardown);

/* An open connection; the two ends. */
static void open_pair(struct xt_conn **ca, struct xt_conn **cb)
{
    b->accepted = NULL;
    *ca = host_connect(a, 2, 80, n.now, NULL);
    cr_assert(*ca);
    net_pump(&n);
    *cb = b->accepted;
    cr_assert(*cb, "not accepted");
    cr_assert_eq((*ca)->state, XT_ESTABLISHED);
    cr_assert_eq((*cb)->state, XT_ESTABLISHED);
    cr_assert(a->events[(*ca)->index] & XT_EV_CONNECTED);
}

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 2654435761u >> 13);
}

/* Moves `total` bytes from `from` to `to`, and checks every one. */
static void transfer(struct host *from, struct xt_conn *cf, struct host *to, struct xt_conn *ct, uint32_t total)
{
    static uint8_t buf[RING];
    uint32_t sent = 0, got = 0;
    for (unsigned stuck = 0; got < total; stuck++) {
        cr_assert_lt(stuck, 100000u, "no progress at %u of %u", got, total);
        uint32_t want = XT_MIN(RING, total - sent);
        for (uint32_t i = 0; i < want; i++)
            buf[i] = byte_at(sent + i);
        sent += host_write(from, cf, buf, want, n.now);
        net_pump(&n);
        uint32_t r = host_read(to, ct, buf, RING, n.now);
        for (uint32_t i = 0; i < r; i++)
            cr_assert_eq(buf[i], byte_at(got + i));
        got += r;
        if (r == 0)
            net_run(&n, 10000);
    }
}

Test(conn, opens_transfers_both_ways_and_closes)
{
    struct xt_conn *ca, *cb;
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    transfer(a, ca, b, cb, 1000000);
    transfer(b, cb, a, ca, 300000);
    cr_assert_gt(xt_stack_stats(a->s)->super_out, 0);
    cr_assert_gt(xt_stack_stats(b->s)->super_in, 0);
    cr_assert_eq(xt_stack_tcp_stats(a->s)->retrans_segs, 0);
    xt_stack_close(a->s, ca, n.now);
    net_pump(&n);
    cr_assert(b->events[cb->index] & XT_EV_PEER_FIN);
    xt_stack_close(b->s, cb, n.now);
    net_pump(&n);
    cr_assert_eq(b->closed, 1);
    cr_assert_eq(ca->state, XT_TIME_WAIT);
    net_run(&n, 59 * S);
    cr_assert_eq(a->closed, 0);
    net_run(&n, 2 * S);
    cr_assert_eq(a->closed, 1);
}

Test(conn, congestion_marks_slow_the_sender_down)
{
    struct xt_conn *ca, *cb;
    a->cfg.tcp.ecn = XT_ECN_ON;
    cr_assert_eq(xt_stack_reconfigure(a->s, &a->cfg), 0);
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    n.mark = true;
    transfer(a, ca, b, cb, 500000);
    cr_assert_gt(xt_stack_tcp_stats(b->s)->ecn_marks_in, 100);
    cr_assert_gt(xt_stack_tcp_stats(a->s)->ecn_reductions, 10);
    cr_assert_eq(xt_stack_tcp_stats(a->s)->retrans_segs, 0);
    cr_assert_lt(ca->cwnd, 10 * 1448);
}

Test(conn, tos_and_ttl_go_on_the_wire)
{
    struct xt_conn *ca, *cb;
    struct packet p;
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    ca->opt.tos = 0xb8;
    ca->opt.ttl = 7;
    ca->ecn = XT_CE_OK;
    host_write(a, ca, "x", 1, n.now);
    xt_stack_output(a->s, n.now);
    cr_assert(host_take(a, &p));
    cr_assert_eq(p.data[XT_ETH_HDR_LEN + 1], 0xb8 | 2);
    cr_assert_eq(p.data[XT_ETH_HDR_LEN + 8], 7);
    free(p.data);
    host_write(b, cb, "x", 1, n.now);
    xt_stack_output(b->s, n.now);
    cr_assert(host_take(b, &p));
    cr_assert_eq(p.data[XT_ETH_HDR_LEN + 1], 0);
    cr_assert_eq(p.data[XT_ETH_HDR_LEN + 8], 64, "as configured");
    free(p.data);
}

Test(conn, cwr_goes_with_the_first_part_of_a_super_frame)
{
    static uint8_t data[20000];
    struct xt_conn *ca, *cb;
    struct packet p;
    struct xt_seg seg;
    unsigned ncwr = 0, nsuper = 0;
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    ca->ecn = XT_CE_OK | XT_CE_CWR;
    host_write(a, ca, data, sizeof data, n.now);
    xt_stack_output(a->s, n.now);
    for (; host_take(a, &p); free(p.data)) {
        cr_assert_eq(xt_seg_parse(p.data + 34, p.len - 34, &seg), 0);
        cr_assert_eq(p.data[XT_ETH_HDR_LEN + 1] & 3, 2, "ECT(0)");
        cr_assert_eq((p.vnet.gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0, (seg.flags & XT_TH_CWR) != 0);
        ncwr += (seg.flags & XT_TH_CWR) != 0;
        nsuper += p.vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE;
    }
    cr_assert_eq(ncwr, 1);
    cr_assert_geq(nsuper, 1);
}

Test(conn, nothing_is_left_after_close)
{
    uint32_t cursor = 0;
    struct xt_conn *ca, *cb, *l = host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    xt_stack_close(a->s, ca, n.now);
    xt_stack_close(b->s, cb, n.now);
    xt_stack_close(b->s, l, n.now);
    net_run(&n, 200 * S);
    cr_assert_not(xt_stack_each(a->s, &cursor, 1, NULL, NULL));
    cursor = 0;
    cr_assert_not(xt_stack_each(b->s, &cursor, 1, NULL, NULL));
    cr_assert_eq(xt_stack_deadline(a->s), UINT64_MAX);
    cr_assert_eq(xt_stack_deadline(b->s), UINT64_MAX);
}

Test(conn, refused_without_a_listener)
{
    struct xt_conn *c = host_connect(a, 2, 81, n.now, NULL);
    uint32_t i = c->index;
    net_pump(&n);
    cr_assert_eq(a->closed, 1);
    cr_assert_eq(a->err[i], ECONNREFUSED);
}

Test(conn, full_backlog_drops_the_syn_until_there_is_room)
{
    host_listen(b, 80, true, n.now);
    b->admit = false;
    b->full = true;
    struct xt_conn *c = host_connect(a, 2, 80, n.now, NULL);
    net_run(&n, 500000);
    cr_assert_eq(c->state, XT_SYN_SENT);
    cr_assert_eq(xt_stack_stats(b->s)->drop_backlog, 1);
    b->admit = true;
    b->full = false;
    net_run(&n, 2 * S);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(b->naccepted, 1);
}

Test(conn, closing_a_listener_ends_its_half_open_children)
{
    struct xt_conn *l = host_listen(b, 80, true, n.now);
    struct packet p;
    cr_assert(host_connect(a, 2, 80, n.now, NULL));
    /* ARP both ways, then only the SYN is let through */
    for (unsigned i = 0; i < 2; i++) {
        xt_stack_output(a->s, n.now);
        while (host_take(a, &p)) {
            xt_stack_input(b->s, p.data, p.len, &p.vnet, n.now);
            free(p.data);
        }
        xt_stack_output(b->s, n.now);
        if (i == 0)
            while (host_take(b, &p)) {
                xt_stack_input(a->s, p.data, p.len, &p.vnet, n.now);
                free(p.data);
            }
    }
    cr_assert_eq(b->closed, 0);
    xt_stack_close(b->s, l, n.now);
    cr_assert_eq(b->closed, 2, "listener and child");
    cr_assert_eq(b->naccepted, 0);
}

Test(conn, time_wait_flushed)
{
    struct xt_conn *ca, *cb;
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    xt_stack_close(a->s, ca, n.now);
    xt_stack_close(b->s, cb, n.now);
    net_pump(&n);
    unsigned flushed = xt_stack_flush_time_wait(a->s, n.now) + xt_stack_flush_time_wait(b->s, n.now);
    cr_assert_geq(flushed, 1);
    cr_assert_eq(a->closed, 1);
    cr_assert_eq(a->count + b->count, 0, "no reset for what is over");
}

/* Req MAY-2 RFC6191-2: rFC 6191: the peer comes again from the same port while we wait. */
Test(conn, time_wait_is_reused_by_a_new_syn)
{
    struct xt_conn *ca, *cb, *l = host_listen(b, 80, true, n.now);
    struct xt_endpoint from = ep(1, 5000), to = ep(2, 80);
    cr_assert_eq(xt_stack_bind(a->s, &from, true), 0);
    cr_assert_eq(xt_stack_connect(a->s, &from, &to, n.now, NULL, NULL, &ca), 0);
    net_pump(&n);
    cb = b->accepted;
    xt_stack_close(b->s, cb, n.now);
    net_pump(&n);
    xt_stack_close(a->s, ca, n.now);
    net_pump(&n);
    cr_assert_eq(cb->state, XT_TIME_WAIT);
    cr_assert_eq(a->closed, 1);
    net_run(&n, 2 * S);
    cr_assert_eq(xt_stack_connect(a->s, &from, &to, n.now, NULL, NULL, &ca), 0);
    net_pump(&n);
    cr_assert_eq(ca->state, XT_ESTABLISHED);
    cr_assert_eq(xt_stack_stats(b->s)->time_wait_reused, 1);
    cr_assert_eq(b->naccepted, 2);
    cr_assert_eq(l->state, XT_LISTEN);
}

/* A server that restarts while its old connections are in TIME_WAIT. */
Test(conn, bind_while_in_time_wait_needs_reuse)
{
    struct xt_conn *ca, *cb, *l = host_listen(b, 80, true, n.now);
    struct xt_endpoint at = ep(0, 80);
    open_pair(&ca, &cb);
    xt_stack_close(b->s, cb, n.now);
    net_pump(&n);
    xt_stack_close(a->s, ca, n.now);
    net_pump(&n);
    cr_assert_eq(cb->state, XT_TIME_WAIT);
    xt_stack_close(b->s, l, n.now);
    xt_stack_unbind(b->s, &cb->local, XT_CLAIM_REUSE);
    cr_assert_eq(xt_stack_bind(b->s, &at, false), -EADDRINUSE);
    cr_assert_eq(xt_stack_bind(b->s, &at, true), 0);
    cr_assert_eq(xt_stack_listen(b->s, &at, true, n.now, &l), 0);
}

/* With all ports of a small range in TIME_WAIT, time stamps let a connect take one, a second after its end. */
Test(conn, own_connect_recycles_time_wait_when_ports_run_out)
{
    struct xt_conn *ca, *cb;
    int err;
    host_listen(b, 80, true, n.now);
    a->cfg.port_min = a->cfg.port_max = 50000;
    cr_assert_eq(xt_stack_reconfigure(a->s, &a->cfg), 0);
    open_pair(&ca, &cb);
    uint32_t last = ca->snd_nxt;
    cr_assert_null(host_connect(a, 2, 80, n.now, &err));
    xt_stack_close(a->s, ca, n.now);
    net_pump(&n);
    xt_stack_close(b->s, cb, n.now);
    net_pump(&n);
    cr_assert_eq(ca->state, XT_TIME_WAIT);
    cr_assert_null(host_connect(a, 2, 80, n.now, &err), "too early");
    cr_assert_eq(err, -EADDRNOTAVAIL);
    net_run(&n, S + 1000);
    open_pair(&ca, &cb);
    cr_assert_gt((int32_t)(ca->iss - last), 0);
    cr_assert_eq(ca->local.port, 50000);
    cr_assert_eq(xt_stack_stats(a->s)->time_wait_recycled, 1);
    cr_assert_eq(a->closed, 1);
    transfer(a, ca, b, cb, 100000);
}

/* The application may take the rings back at any time; what then cannot be sent is counted, not read. */
Test(conn, send_ring_taken_away)
{
    struct xt_conn *ca, *cb;
    static uint8_t buf[1000];
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    host_write(a, ca, buf, sizeof buf, n.now);
    xt_stack_set_bufs(a->s, ca, NULL, 0, NULL, 0);
    net_pump(&n);
    cr_assert_eq(cb->rx_head, 0);
    cr_assert_gt(xt_stack_stats(a->s)->drop_no_ring, 0);
}

/* Loss, and frames that come twice or late, by a printed seed: every byte arrives in its place. */
Test(conn, transfer_over_a_bad_link)
{
    struct xt_conn *ca, *cb;
    unsigned first = 1;
    printf("bad link seed %u\n", first);
    for (unsigned i = 0; i < 2; i++) { /* many small frames, so that some are certain to be lost */
        n.h[i].cfg.tcp.gso_max = 1448;
        cr_assert_eq(xt_stack_reconfigure(n.h[i].s, &n.h[i].cfg), 0);
    }
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    n.bad = true;
    n.seed = first;
    transfer(a, ca, b, cb, 400000);
    transfer(b, cb, a, ca, 400000);
    cr_assert_gt(xt_stack_tcp_stats(a->s)->retrans_segs, 0);
}

/* What the core has made counts as sent: with no room for it, it must not be made. */
Test(conn, full_device_loses_nothing)
{
    struct xt_conn *ca, *cb;
    static uint8_t buf[40000];
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    a->room = 0;
    host_write(a, ca, buf, sizeof buf, n.now);
    cr_assert(xt_stack_output(a->s, n.now), "work is left");
    cr_assert_eq(a->count, 0);
    a->room = UINT32_MAX;
    net_pump(&n);
    cr_assert_eq(cb->rx_head, sizeof buf);
    cr_assert_eq(xt_stack_tcp_stats(a->s)->retrans_segs, 0);
    cr_assert_eq(xt_stack_stats(a->s)->drop_tx_full, 0);
}

/* With all windows open, ten connections take turns. */
Test(conn, output_is_shared_in_rounds)
{
    struct xt_conn *ca[10], *cb[10];
    static uint8_t buf[RING];
    uint16_t order[64];
    unsigned k = 0;
    struct packet p;
    host_listen(b, 80, true, n.now);
    a->cfg.tcp.gso_max = 1448;
    cr_assert_eq(xt_stack_reconfigure(a->s, &a->cfg), 0);
    for (unsigned i = 0; i < 10; i++)
        open_pair(&ca[i], &cb[i]);
    for (unsigned i = 0; i < 10; i++)
        host_write(a, ca[i], buf, 8000, n.now);
    a->room = 20;
    xt_stack_output(a->s, n.now);
    while (host_take(a, &p)) {
        order[k++] = (uint16_t)(p.data[34] << 8 | p.data[35]);
        free(p.data);
    }
    cr_assert_eq(k, 20);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(order[i], order[i + 10], "place %u", i);
    a->room = UINT32_MAX;
}

/* A super-segment says how it is to be cut. */
Test(conn, super_segment_header)
{
    struct xt_conn *ca, *cb;
    static uint8_t buf[10000];
    struct packet p;
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    host_write(a, ca, buf, sizeof buf, n.now);
    xt_stack_output(a->s, n.now);
    cr_assert(host_take(a, &p));
    cr_assert_eq(p.vnet.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    cr_assert_eq(p.vnet.gso_size, 1448);
    cr_assert_eq(p.vnet.hdr_len, 66);
    cr_assert_gt(p.len, 66 + 1448);
    free(p.data);
}

Test(conn, lost_segments_are_sent_again)
{
    struct xt_conn *ca, *cb;
    static uint8_t buf[5000];
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    n.drop = true;
    host_write(a, ca, buf, sizeof buf, n.now);
    net_pump(&n);
    n.drop = false;
    net_run(&n, 3 * S);
    cr_assert_eq(cb->rx_head, sizeof buf);
    cr_assert_gt(xt_stack_tcp_stats(a->s)->retrans_segs, 0);
}

Test(conn, abort_resets_the_peer)
{
    struct xt_conn *ca, *cb;
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    uint32_t i = cb->index;
    xt_stack_abort(a->s, ca, n.now);
    net_run(&n, 1000);
    cr_assert_eq(a->closed, 1);
    cr_assert_eq(b->closed, 1);
    cr_assert_eq(b->err[i], ECONNRESET);
}

Test(conn, index_is_used_again_with_another_generation)
{
    struct xt_conn *c = host_connect(a, 2, 80, n.now, NULL);
    uint32_t i = c->index, gen = c->gen;
    xt_stack_close(a->s, c, n.now);
    cr_assert_null(xt_stack_conn(a->s, i));
    c = host_connect(a, 2, 80, n.now, NULL);
    cr_assert_eq(c->index, i);
    cr_assert_eq(c->gen, gen + 1);
    cr_assert_eq(xt_stack_conn(a->s, i), c);
}

/* The records outlive the stack: a new one over the same state goes on with them. */
Test(conn, records_survive_a_new_stack)
{
    struct xt_conn *ca, *cb;
    static uint8_t buf[3000];
    host_listen(b, 80, true, n.now);
    open_pair(&ca, &cb);
    transfer(a, ca, b, cb, 10000);
    uint32_t i = cb->index;
    xt_stack_free(b->s);
    host_start(b, n.now);
    cb = xt_stack_conn(b->s, i);
    cr_assert(cb);
    cr_assert_eq(cb->state, XT_ESTABLISHED);
    xt_stack_set_bufs(b->s, cb, b->rx[i], 0, b->tx[i], 0);
    host_write(a, ca, buf, sizeof buf, n.now);
    net_pump(&n);
    cr_assert_eq(cb->rx_head, 13000);
    struct xt_conn *second, *second_b;
    open_pair(&second, &second_b);
    cr_assert_neq(second_b->index, i);
}

Test(conn, other_layout_is_refused)
{
    struct xt_stack *s;
    struct xt_stack_ops ops = {0};
    ((struct xt_state_hdr *)a->state)->record_size++;
    cr_assert_eq(xt_stack_new(&s, &a->cfg, &ops, a->state, test_key, n.now), -EPROTO);
}

/* Closed by their program, which nobody would miss, and whose peer acknowledges nothing: there may be only so many. */
Test(conn, too_many_orphans_are_reset)
{
    struct xt_conn *ca[5], *cb[5];
    cr_assert(host_listen(b, 80, true, n.now));
    b->cfg.max_orphans = 2;
    cr_assert_eq(xt_stack_reconfigure(b->s, &b->cfg), 0);
    for (unsigned i = 0; i < 5; i++)
        open_pair(&ca[i], &cb[i]);
    n.drop = true;
    for (unsigned i = 0; i < 3; i++) {
        xt_stack_close(b->s, cb[i], n.now);
        net_pump(&n);
    }
    cr_assert_eq(cb[1]->state, XT_FIN_WAIT1);
    cr_assert_eq(xt_stack_stats(b->s)->orphans_dropped, 1);
    cr_assert(b->events[cb[2]->index] & XT_EV_CLOSED, "the last to be closed");
    /* A successor counts them too. */
    xt_stack_free(b->s);
    host_start(b, n.now);
    xt_stack_close(b->s, cb[3], n.now);
    cr_assert_eq(xt_stack_stats(b->s)->orphans_dropped, 1);
    /* One that has been acknowledged leaves room. */
    n.drop = false;
    net_run(&n, 2 * S);
    cr_assert_eq(cb[0]->state, XT_FIN_WAIT2);
    xt_stack_close(b->s, cb[4], n.now);
    cr_assert_eq(cb[4]->state, XT_FIN_WAIT1);
    cr_assert_eq(xt_stack_stats(b->s)->orphans_dropped, 1);
}
