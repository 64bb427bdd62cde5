/* SPDX-License-Identifier: Apache-2.0
 * ICMP's word on the path's MTU: who it is believed for, for how long, and what is not believed. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/icmp.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull

static struct net n;
static struct host *a = &n.h[0], *b = &n.h[1]; /* a connects, b listens */
static uint8_t f[4096];

static void setup(void)
{
    net_init(&n);
    cr_assert(host_listen(b, 80, true, n.now));
}

static void teardown(void)
{
    net_fini(&n);
}

TestSuite(path, .init = setup, .fini = teardown);

static struct xt_conn *connected(void)
{
    struct xt_conn *c = host_connect(a, 2, 80, n.now, NULL);
    cr_assert(c);
    net_pump(&n);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    return c;
}

/* An ICMP message about the oldest frame that `a` has sent since; `seq_off` is added to the sequence number quoted. */
static void answer(struct xt_conn *c, uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq_off)
{
    static uint8_t data[20000], msg[128];
    struct packet p;
    host_write(a, c, data, 1448, n.now);
    xt_stack_output(a->s, n.now);
    cr_assert(host_take(a, &p));
    uint8_t *q = p.data + XT_ETH_HDR_LEN;
    xt_be32_store(q + 24, xt_be32_load(q + 24) + seq_off);
    struct xt_icmp m = {.type = type, .code = code, .mtu = mtu, .data = q, .data_len = 60};
    size_t len = xt_icmp_emit(msg, sizeof msg, &m);
    inject(a, f, make_ip(f, a, 2, XT_IPPROTO_ICMP, 9, 0, false, msg, len), n.now);
    free(p.data);
}

/* Req RFC1191-5.2 RFC1191-6.3 */
Test(path, mtu_is_remembered_for_ten_minutes)
{
    struct xt_conn *c = connected();
    answer(c, XT_ICMP_UNREACHABLE, XT_ICMP_FRAG_NEEDED, 1400, 0);
    cr_assert_eq(c->mss_path, 1360);
    cr_assert_eq(xt_stack_stats(a->s)->pmtu_learned, 1);
    c = connected();
    cr_assert_eq(c->mss_path, 1360);
    cr_assert_eq(c->mss_local, 1460);
    cr_assert_eq(xt_stack_stats(a->s)->pmtu_used, 1);
    n.now += 601 * S;
    c = connected();
    cr_assert_eq(c->mss_path, 1460);
}

Test(path, mtu_holds_for_connections_from_there_too)
{
    answer(connected(), XT_ICMP_UNREACHABLE, XT_ICMP_FRAG_NEEDED, 1300, 0);
    host_listen(a, 81, true, n.now);
    struct xt_conn *c = host_connect(b, 1, 81, n.now, NULL);
    net_pump(&n);
    cr_assert_eq(c->state, XT_ESTABLISHED);
    cr_assert_eq(c->mss_path, 1460);
    cr_assert_eq(a->accepted->mss_path, 1260);
    cr_assert_eq(c->mss_peer, 1460);
}

/* Req RFC1191-7.1 */
Test(path, mtu_of_a_router_that_does_not_tell_is_guessed)
{
    struct xt_conn *c = connected();
    answer(c, XT_ICMP_UNREACHABLE, XT_ICMP_FRAG_NEEDED, 0, 0);
    cr_assert_eq(c->mss_path, 1492 - 40);
}

/* Req RFC5927-4.1 */
Test(path, mtu_is_not_believed_when_what_it_quotes_fits_or_was_never_sent)
{
    struct xt_conn *c = connected();
    answer(c, XT_ICMP_UNREACHABLE, XT_ICMP_FRAG_NEEDED, 1500, 0);
    cr_assert_eq(xt_stack_stats(a->s)->drop_icmp_mtu, 1);
    answer(c, XT_ICMP_UNREACHABLE, XT_ICMP_FRAG_NEEDED, 1000, 100000);
    cr_assert_eq(xt_stack_tcp_stats(a->s)->icmp_ignored, 1);
    cr_assert_eq(c->mss_path, 1460);
    cr_assert_eq(xt_stack_stats(a->s)->pmtu_learned, 0);
}

/* Req RFC6633-3 */
Test(path, source_quench_is_ignored)
{
    enum { SOURCE_QUENCH = 4 };
    struct xt_conn *c = connected();
    uint32_t cwnd = c->cwnd;
    answer(c, SOURCE_QUENCH, 0, 0, 0);
    cr_assert_eq(xt_stack_stats(a->s)->drop_icmp_type, 1);
    cr_assert_eq(c->cwnd, cwnd);
    cr_assert_eq(c->soft_err, 0);
    cr_assert_eq(c->state, XT_ESTABLISHED);
}
