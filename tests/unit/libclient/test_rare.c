/* SPDX-License-Identifier: Apache-2.0
 * Options that few sockets have stand apart from the slots: who sets what many programs set does not pay for them, a connection has its
 * listener's, and the next socket of a slot has none of the one before. */
#include <criterion/criterion.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/time.h>

#include "libclient/internal.h"
#include "tests/unit/libclient/pair.h"

struct option {
    int level, name, value, def;
};

static const struct option common[] = {
    {SOL_SOCKET, SO_REUSEADDR, 1, 0},        {SOL_SOCKET, SO_REUSEPORT, 1, 0},
    {SOL_SOCKET, SO_KEEPALIVE, 1, 0},        {IPPROTO_TCP, TCP_NODELAY, 1, 0},
    {IPPROTO_TCP, TCP_CORK, 1, 0},           {IPPROTO_TCP, TCP_KEEPIDLE, 32767, 7200},
    {IPPROTO_TCP, TCP_KEEPINTVL, 32767, 75}, {IPPROTO_TCP, TCP_KEEPCNT, 127, 9},
    {IPPROTO_IP, IP_TOS, 0xfc, 0},           {SOL_SOCKET, SO_SNDBUF, 262144, 65536},
    {SOL_SOCKET, SO_RCVBUF, 262144, 65536},  {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384, 0},
};

static const struct option rare[] = {
    {IPPROTO_TCP, TCP_USER_TIMEOUT, 5000, 0},
    {IPPROTO_TCP, TCP_LINGER2, 5, 60},
    {IPPROTO_TCP, TCP_MAXSEG, 1000, 536},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, 3, 0},
    {IPPROTO_TCP, TCP_SYNCNT, 3, 6},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, 5000, 0},
    {IPPROTO_IP, IP_TTL, 3, 64},
    {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_WANT},
    {IPPROTO_IP, IP_MINTTL, 9, 0},
    {SOL_SOCKET, SO_RCVLOWAT, 7, 1},
    {SOL_SOCKET, SO_PRIORITY, 5, 0},
    {SOL_SOCKET, SO_BUSY_POLL, 50, 0},
    {SOL_SOCKET, SO_MAX_PACING_RATE, 100000, -1},
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void set(struct pair *p, int s, const struct option *o)
{
    cr_assert_eq(xtcp_setsockopt(p->x, s, o->level, o->name, &o->value, sizeof o->value), 0, "option %d", o->name);
}

/* Buffers read back doubled. */
static int get(struct pair *p, int s, const struct option *o)
{
    int v = -1234;
    socklen_t len = sizeof v;
    cr_assert_eq(xtcp_getsockopt(p->x, s, o->level, o->name, &v, &len), 0, "option %d", o->name);
    return o->level == SOL_SOCKET && (o->name == SO_SNDBUF || o->name == SO_RCVBUF) ? v / 2 : v;
}

static bool has_rare(struct pair *p, int s)
{
    return p->x->slots[s].more & XT_MORE_RARE;
}

static void set_common(struct pair *p, int s)
{
    for (size_t i = 0; i < COUNT(common); i++)
        set(p, s, &common[i]);
}

static void expect_common(struct pair *p, int s)
{
    for (size_t i = 0; i < COUNT(common); i++)
        cr_expect_eq(get(p, s, &common[i]), common[i].value, "option %d", common[i].name);
}

Test(rare, what_many_programs_set_is_not)
{
    struct pair p;
    const struct timeval tv = {.tv_sec = 5};
    pair_start(&p, NULL);
    int s = xtcp_socket(p.x);
    set_common(&p, s);
    cr_assert_eq(xtcp_setsockopt(p.x, s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
    cr_assert_eq(xtcp_setsockopt(p.x, s, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv), 0);
    expect_common(&p, s);
    cr_expect_not(has_rare(&p, s));
    pair_connect(&p);
    cr_expect_not(has_rare(&p, p.a));
    cr_expect_not(has_rare(&p, p.b));
    pair_stop(&p);
}

Test(rare, a_connection_has_its_listeners)
{
    struct pair p;
    pair_start(&p, NULL);
    set_common(&p, p.l);
    pair_connect(&p);
    expect_common(&p, p.b);
    cr_expect_not(has_rare(&p, p.b));
    xtcp_close(p.x, p.a);
    xtcp_close(p.x, p.b);
    for (size_t i = 0; i < COUNT(rare); i++)
        if (rare[i].name != TCP_DEFER_ACCEPT)
            set(&p, p.l, &rare[i]);
    pair_connect(&p);
    for (size_t i = 0; i < COUNT(rare); i++)
        if (rare[i].name != TCP_DEFER_ACCEPT && rare[i].name != TCP_MAXSEG) /* that of the peer */
            cr_expect_eq(get(&p, p.b, &rare[i]), rare[i].value, "option %d", rare[i].name);
    cr_expect(has_rare(&p, p.b));
    cr_expect_not(has_rare(&p, p.a));
    pair_stop(&p);
}

Test(rare, the_next_socket_has_none)
{
    struct pair p;
    pair_start(&p, NULL);
    int s = xtcp_socket(p.x);
    for (size_t i = 0; i < COUNT(rare); i++)
        set(&p, s, &rare[i]);
    for (size_t i = 0; i < COUNT(rare); i++)
        cr_expect_eq(get(&p, s, &rare[i]), rare[i].value, "option %d", rare[i].name);
    cr_assert(has_rare(&p, s));
    xtcp_close(p.x, s);
    int next = xtcp_socket(p.x);
    for (unsigned n = 0; n < 1000 && next != s; n++) { /* the close may be looked at later */
        xtcp_close(p.x, next);
        next = xtcp_socket(p.x);
    }
    cr_assert_eq(next, s);
    cr_expect_not(has_rare(&p, s));
    set(&p, s, &rare[6]);
    for (size_t i = 0; i < COUNT(rare); i++)
        cr_expect_eq(get(&p, s, &rare[i]), i == 6 ? rare[i].value : rare[i].def, "option %d", rare[i].name);
    pair_stop(&p);
}
