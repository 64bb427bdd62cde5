/* SPDX-License-Identifier: Apache-2.0
 * What one user may have in all its programs: refused beyond that, counted again by a successor, gone with the last program. The tests
 * run as any user; the sessions here are another's. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/app/kept.h"

#define SOMEBODY 4242

static struct xt_user_info user(const struct kept *k)
{
    struct xt_user_info u = {0};
    cr_assert_leq(xt_app_users(k->app, &u, 1), 1u);
    return u;
}

static int ask(struct kept *k, uint32_t op, uint32_t slot, uint16_t port)
{
    kept_ask(k, op, slot, port, 0);
    kept_run(k, 1000);
    return kept_answer(k);
}

static void start(struct kept *k, struct xt_quota q)
{
    kept_start_as(k, SOMEBODY);
    xt_app_set_quota(k->app, &q);
}

static void let_go(struct kept *k, uint32_t i)
{
    atomic_fetch_and(&xt_app_hold(k->s, 0)[0], ~(1ULL << i));
    xt_bitmap_set(k->s->dirty, i);
    kept_run(k, 1000);
}

Test(quota, sockets)
{
    struct kept k;
    start(&k, (struct xt_quota){.sockets = 4});
    cr_expect_eq(user(&k).sockets, 3u, "a listener and the two ends of a connection");
    int fourth = ask(&k, XT_OP_SOCKET, 0, 0);
    cr_expect_geq(fourth, 0);
    cr_expect_eq(ask(&k, XT_OP_SOCKET, 0, 0), -ENOBUFS);
    cr_expect_eq(user(&k).refused, 1u);
    cr_expect_eq(xt_app_stats(k.app)->quota_sockets, 1u);
    let_go(&k, (uint32_t)fourth);
    cr_expect_eq(user(&k).sockets, 3u);
    cr_expect_geq(ask(&k, XT_OP_SOCKET, 0, 0), 0, "what was given back is there again");
    kept_end(&k);
}

/* What nobody may have more of is told by the log, too: which it is, and what sets it. */
Test(quota, what_is_used_up_is_logged)
{
    struct kept k;
    char said[1024] = "";
    int log = memfd_create("log", MFD_CLOEXEC), err = dup(STDERR_FILENO), n = 0;
    start(&k, (struct xt_quota){0});
    cr_assert(log >= 0 && err >= 0 && dup2(log, STDERR_FILENO) >= 0);
    while (n >= 0)
        n = ask(&k, XT_OP_SOCKET, 0, 0);
    dup2(err, STDERR_FILENO);
    cr_expect_eq(n, -ENOBUFS);
    cr_assert_gt(pread(log, said, sizeof said - 1, 0), 0);
    cr_expect(strstr(said, "max-sockets"), "%s", said);
    cr_expect_eq(user(&k).refused, 0u, "it is no quota");
    kept_end(&k);
}

/* A connection that would be one socket too many does not begin. */
Test(quota, accepted_sockets)
{
    struct kept k;
    start(&k, (struct xt_quota){.sockets = 4});
    int i = ask(&k, XT_OP_SOCKET, 0, 0);
    cr_assert_geq(i, 0);
    cr_expect_eq(ask(&k, XT_OP_CONNECT, (uint32_t)i, KEPT_PORT), 0);
    kept_run(&k, 100000);
    cr_expect_eq(atomic_load(&k.s->slots[i].state), XT_SYN_SENT);
    cr_expect_eq(user(&k).sockets, 4u);
    cr_expect_geq(xt_app_stats(k.app)->quota_sockets, 1u);
    let_go(&k, k.a);
    let_go(&k, k.b);
    kept_run(&k, 10000000);
    cr_expect_eq(xt_app_conn(k.s, &k.s->ps[i])->state, XT_ESTABLISHED, "once there is room, its SYN is answered");
    kept_end(&k);
}

Test(quota, memory)
{
    struct kept k;
    start(&k, (struct xt_quota){0});
    const uint64_t used = user(&k).memory;
    cr_expect_gt(used, 4 * KEPT_RING);
    xt_app_set_quota(k.app, &(struct xt_quota){.memory = used + KEPT_RING});
    int i = ask(&k, XT_OP_SOCKET, 0, 0);
    cr_assert_geq(i, 0, "without rings it takes none");
    cr_expect_eq(ask(&k, XT_OP_CONNECT, (uint32_t)i, KEPT_PORT), -ENOBUFS);
    cr_expect_eq(user(&k).memory, used, "one ring of the two was to be had, and went back");
    cr_expect_eq(xt_app_stats(k.app)->quota_memory, 1u);
    xt_app_set_quota(k.app, &(struct xt_quota){.memory = used + 64 * KEPT_RING});
    cr_expect_eq(ask(&k, XT_OP_CONNECT, (uint32_t)i, KEPT_PORT), 0);
    kept_end(&k);
}

/* As many at once as in a second, then one for each that time gives back. */
Test(quota, connects)
{
    struct kept k;
    start(&k, (struct xt_quota){.connects = 2});
    int i[4];
    for (unsigned n = 0; n < 4; n++)
        cr_assert_geq(i[n] = ask(&k, XT_OP_SOCKET, 0, 0), 0);
    cr_expect_eq(ask(&k, XT_OP_CONNECT, (uint32_t)i[0], 1), 0);
    cr_expect_eq(ask(&k, XT_OP_CONNECT, (uint32_t)i[1], 1), 0);
    cr_expect_eq(ask(&k, XT_OP_CONNECT, (uint32_t)i[2], 1), -ENOBUFS);
    cr_expect_eq(xt_app_stats(k.app)->quota_connects, 1u);
    k.now += 500000;
    cr_expect_eq(ask(&k, XT_OP_CONNECT, (uint32_t)i[2], 1), 0, "the socket is as it was");
    cr_expect_eq(ask(&k, XT_OP_CONNECT, (uint32_t)i[3], 1), -ENOBUFS);
    kept_end(&k);
}

Test(quota, root_is_counted_not_limited)
{
    struct kept k;
    kept_start_as(&k, 0);
    xt_app_set_quota(k.app, &(struct xt_quota){.clients = 1, .sockets = 1, .connects = 1, .memory = 1});
    for (unsigned n = 0; n < 3; n++) {
        int i = ask(&k, XT_OP_SOCKET, 0, 0);
        cr_assert_geq(i, 0);
        cr_expect_eq(ask(&k, XT_OP_CONNECT, (uint32_t)i, 1), 0);
    }
    cr_expect_eq(user(&k).sockets, 6u);
    cr_expect_eq(user(&k).refused, 0u);
    kept_end(&k);
}

Test(quota, programs)
{
    struct kept k;
    struct xt_session *s;
    start(&k, (struct xt_quota){.clients = 2});
    cr_assert_eq(xt_session_new(k.app, 1, SOMEBODY, "other", &s), 0);
    cr_expect_eq(user(&k).clients, 2u);
    struct xt_session *third;
    cr_expect_eq(xt_session_new(k.app, 1, SOMEBODY, "third", &third), -ENOBUFS);
    cr_expect_eq(xt_app_stats(k.app)->quota_clients, 1u);
    xt_session_free(s);
    cr_expect_eq(user(&k).clients, 1u);
    kept_end(&k);
}

/* By its ledger alone. */
Test(quota, a_successor_counts_again)
{
    struct kept old, k;
    start(&old, (struct xt_quota){0});
    struct xt_user_info before = user(&old);
    kept_take_up(&k, &old);
    struct xt_user_info after = user(&k);
    cr_expect_eq(after.uid, SOMEBODY);
    cr_expect_eq(after.clients, 1u);
    cr_expect_eq(after.sockets, before.sockets);
    cr_expect_eq(after.memory, before.memory);
    xt_app_set_quota(k.app, &(struct xt_quota){.sockets = 3});
    cr_expect_eq(ask(&k, XT_OP_SOCKET, 0, 0), -ENOBUFS);
    let_go(&k, k.a);
    let_go(&k, k.b);
    let_go(&k, k.l);
    kept_run(&k, 1000000);
    after = user(&k);
    cr_expect_eq(after.sockets, 0u);
    cr_expect_eq(after.memory, 0u);
    kept_end(&k);
}

Test(quota, low_ports)
{
    struct kept k;
    kept_start_as(&k, SOMEBODY);
    int i = ask(&k, XT_OP_SOCKET, 0, 0);
    cr_expect_eq(ask(&k, XT_OP_BIND, (uint32_t)i, 80), -EACCES);
    xt_session_allow_low_ports(k.s);
    struct kept next;
    kept_take_up(&next, &k);
    cr_expect_eq(ask(&next, XT_OP_BIND, (uint32_t)i, 80), 0, "its successor knows that too");
    kept_end(&next);
}
