/* SPDX-License-Identifier: Apache-2.0
 * Two sockets of one stack: nothing reaches the wire. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/macros.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull

static struct host h;
static uint64_t now;

static void setup(void)
{
    now = S;
    host_cfg(&h, 1);
    host_start(&h, now);
}

static void teardown(void)
{
    host_stop(&h);
}

TestSuite(local, .init = setup, .fini = teardown);

static void settle(void)
{
    while (xt_stack_output(h.s, now))
        ;
}

Test(local, connects_to_its_own_address)
{
    cr_assert(host_listen(&h, 80, true, now));
    struct xt_conn *c = host_connect(&h, 1, 80, now, NULL);
    settle();
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(h.naccepted, 1);
    cr_assert_eq(h.count, 0, "a frame left");
    cr_assert_eq(xt_stack_stats(h.s)->arp_requests_out, 0);
}

Test(local, unspecified_address_means_itself)
{
    cr_assert(host_listen(&h, 80, true, now));
    struct xt_conn *c = host_connect(&h, 0, 80, now, NULL);
    settle();
    cr_assert_eq(c->state, XT_ESTABLISHED);
}

Test(local, refused_without_a_listener)
{
    uint32_t i = host_connect(&h, 1, 80, now, NULL)->index;
    settle();
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
        settle();
        d[i] = h.accepted;
    }
    for (unsigned turn = 0; done < PAIRS; turn++) {
        cr_assert_lt(turn, 20000, "no progress");
        for (unsigned i = 0; i < PAIRS; i++) {
            memset(buf, (int)i, sizeof buf);
            sent[i] += host_write(&h, c[i], buf, XT_MIN(RING, TOTAL - sent[i]), now);
        }
        settle();
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
    settle();
    cr_assert_eq(c->state, XT_ESTABLISHED);
    host_write(&h, c, "hello", 5, now);
    settle();
    cr_assert_eq(c->rx_head, 5);
    cr_assert_arr_eq(h.rx[c->index], "hello", 5);
}
