/* SPDX-License-Identifier: Apache-2.0
 * Socket options: what is set reads back as on Linux, what Linux refuses is refused, what has an effect has it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>

#include "daemon/base/be.h"
#include "daemon/base/time.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/icmp.h"
#include "daemon/wire/ipv4.h"
#include "libclient/internal.h"
#include "tests/unit/libclient/pair.h"

static int get(struct pair *p, int s, int level, int name)
{
    int v = -1234;
    socklen_t len = sizeof v;
    int rc = xtcp_getsockopt(p->x, s, level, name, &v, &len);
    return rc < 0 ? rc : v;
}

static int set(struct pair *p, int s, int level, int name, int v)
{
    return xtcp_setsockopt(p->x, s, level, name, &v, sizeof v);
}

Test(opts, read_back)
{
    static const struct {
        int level, name, initial, set, after;
    } rows[] = {
        {SOL_SOCKET, SO_TYPE, SOCK_STREAM, 1, SOCK_STREAM},
        {SOL_SOCKET, SO_PROTOCOL, IPPROTO_TCP, 1, IPPROTO_TCP},
        {SOL_SOCKET, SO_DOMAIN, AF_INET, 1, AF_INET},
        {SOL_SOCKET, SO_REUSEADDR, 0, 7, 1},
        {SOL_SOCKET, SO_REUSEPORT, 0, 1, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 0, 5, 1},
        {SOL_SOCKET, SO_OOBINLINE, 0, 1, 1},
        {SOL_SOCKET, SO_RCVLOWAT, 1, 0, 1},
        {SOL_SOCKET, SO_RCVLOWAT, 1, 100, 100},
        {SOL_SOCKET, SO_RCVLOWAT, 100, -1, 8 << 20},
        {SOL_SOCKET, SO_SNDBUF, 131072, 10000, 20000},
        {SOL_SOCKET, SO_SNDBUF, 20000, 1, 4608},
        {SOL_SOCKET, SO_SNDBUF, 4608, 17 << 20, 32 << 20},
        {SOL_SOCKET, SO_SNDBUF, 32 << 20, -1, 32 << 20},
        {SOL_SOCKET, SO_RCVBUF, 131072, INT_MAX, 32 << 20},
        {SOL_SOCKET, SO_RCVBUF, 32 << 20, 1, 2304},
        {SOL_SOCKET, SO_RCVLOWAT, 8 << 20, 5000, 4096},
        {IPPROTO_TCP, TCP_NODELAY, 0, 2, 1},
        {IPPROTO_TCP, TCP_CORK, 0, 1, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 7200, 60, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 75, 10, 10},
        {IPPROTO_TCP, TCP_KEEPCNT, 9, 3, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 5000, 5000},
        {IPPROTO_TCP, TCP_LINGER2, 60, 5, 5},
        {IPPROTO_TCP, TCP_LINGER2, 60, -7, -1},
        {IPPROTO_TCP, TCP_LINGER2, 60, 200, 120},
        {IPPROTO_TCP, TCP_LINGER2, 60, 0, 60},
        {IPPROTO_TCP, TCP_SYNCNT, 6, 3, 3},
        {IPPROTO_TCP, TCP_SYNCNT, 6, 128, 3},
        {IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, 5000, 5000},
        {IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, 1, 1152},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, 1000, 1000},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, -1, -1},
        {IPPROTO_TCP, TCP_QUICKACK, 1, 0, 0},
        {IPPROTO_TCP, TCP_MAXSEG, 536, 1000, 1000},
        {IPPROTO_TCP, TCP_FASTOPEN, 0, 1, 1},
        {IPPROTO_IP, IP_TOS, 0, 0x10, 0x10},
        {IPPROTO_IP, IP_TTL, 64, 3, 3},
        {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT, IP_PMTUDISC_DO, IP_PMTUDISC_DO},
        {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT, 6, IP_PMTUDISC_DO},
        {IPPROTO_IP, IP_FREEBIND, 0, 1, 1},
        {IPPROTO_IP, IP_TRANSPARENT, 0, 1, 1},
        {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0, 1, 1},
    };
    struct pair p;
    pair_start(&p, NULL);
    int s = xtcp_socket(p.x);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].initial != get(&p, s, rows[i].level, rows[i].name))
            cr_assert(i > 0 && rows[i - 1].name == rows[i].name, "row %zu begins as %d", i,
                      get(&p, s, rows[i].level, rows[i].name));
        set(&p, s, rows[i].level, rows[i].name, rows[i].set);
        cr_assert_eq(get(&p, s, rows[i].level, rows[i].name), rows[i].after, "row %zu reads %d", i,
                     get(&p, s, rows[i].level, rows[i].name));
    }
    cr_assert_eq(get(&p, p.l, SOL_SOCKET, SO_ACCEPTCONN), 1);
    cr_assert_eq(get(&p, s, SOL_SOCKET, SO_ACCEPTCONN), 0);
    pair_stop(&p);
}

Test(opts, refused)
{
    struct pair p;
    char name[16];
    socklen_t len = sizeof name;
    pair_start(&p, NULL);
    int s = xtcp_socket(p.x);
    cr_assert_eq(set(&p, s, IPPROTO_TCP, TCP_KEEPIDLE, 0), -EINVAL);
    cr_assert_eq(set(&p, s, IPPROTO_TCP, TCP_KEEPCNT, 128), -EINVAL);
    cr_assert_eq(set(&p, s, IPPROTO_TCP, TCP_MAXSEG, 20), -EINVAL);
    cr_assert_eq(set(&p, s, SOL_SOCKET, 9999, 1), -ENOPROTOOPT);
    cr_assert_eq(set(&p, s, 282 /* SOL_TLS */, 1, 1), -ENOPROTOOPT);
    cr_assert_eq(set(&p, s, IPPROTO_IPV6, 26 /* IPV6_V6ONLY */, 1), -ENOPROTOOPT);
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_TCP, TCP_NODELAY, "x", 1), -EINVAL);
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_TCP, TCP_ULP, "tls", 3), -ENOENT);
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_TCP, TCP_CONGESTION, "vegas", 5), -ENOENT);
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_TCP, TCP_CONGESTION, "", 0), -EINVAL);
    cr_assert_eq(xtcp_getsockopt(p.x, s, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    cr_assert_str_eq(name, "cubic");
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
    cr_assert_eq(xtcp_getsockopt(p.x, s, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    cr_assert_str_eq(name, "reno");
    cr_assert_eq(set(&p, 60000, IPPROTO_TCP, TCP_NODELAY, 1), -EBADF);
    pair_stop(&p);
}

/* Req MAY-18: A connection that is open takes another, and one that is accepted has its listener's. */
Test(opts, congestion_control)
{
    struct pair p;
    char name[16];
    socklen_t len = sizeof name;
    pair_start(&p, NULL);
    cr_assert_eq(xtcp_setsockopt(p.x, p.l, IPPROTO_TCP, TCP_CONGESTION, "bbr", 4), 0);
    pair_connect(&p);
    cr_assert_eq(xtcp_getsockopt(p.x, p.b, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    cr_assert_str_eq(name, "bbr");
    cr_assert_eq(xtcp_getsockopt(p.x, p.a, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    cr_assert_str_eq(name, "cubic");
    cr_assert_eq(xtcp_setsockopt(p.x, p.a, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3), 0);
    cr_assert_eq(xtcp_getsockopt(p.x, p.a, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    cr_assert_str_eq(name, "bbr");
    pair_stop(&p);
}

Test(opts, shapes)
{
    struct pair p;
    struct linger l = {1, 5};
    struct timeval tv = {3, 250000}, bad = {0, 1000000};
    socklen_t len = sizeof l;
    pair_start(&p, NULL);
    int s = xtcp_socket(p.x);
    cr_assert_eq(xtcp_setsockopt(p.x, s, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    memset(&l, 0, sizeof l);
    cr_assert_eq(xtcp_getsockopt(p.x, s, SOL_SOCKET, SO_LINGER, &l, &len), 0);
    cr_assert(l.l_onoff == 1 && l.l_linger == 5);
    cr_assert_eq(xtcp_setsockopt(p.x, s, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv), 0);
    cr_assert_eq(xtcp_setsockopt(p.x, s, SOL_SOCKET, SO_SNDTIMEO, &bad, sizeof bad), -EDOM);
    memset(&tv, 0, sizeof tv);
    len = sizeof tv;
    cr_assert_eq(xtcp_getsockopt(p.x, s, SOL_SOCKET, SO_SNDTIMEO, &tv, &len), 0);
    cr_assert(tv.tv_sec == 3 && tv.tv_usec == 250000);
    pair_stop(&p);
}

/* A child begins with its listener's options; the ring sizes asked for are the ones it gets; TCP_INFO speaks of it. */
Test(opts, inherited_and_shown)
{
    struct pair p;
    struct tcp_info info;
    socklen_t len = sizeof info;
    char c = 0;
    pair_start(&p, NULL);
    cr_assert_eq(set(&p, p.l, IPPROTO_TCP, TCP_NODELAY, 1), 0);
    cr_assert_eq(set(&p, p.l, IPPROTO_TCP, TCP_KEEPIDLE, 33), 0);
    cr_assert_eq(set(&p, p.l, SOL_SOCKET, SO_RCVBUF, 16384), 0);
    pair_connect(&p);
    cr_assert_eq(get(&p, p.b, IPPROTO_TCP, TCP_NODELAY), 1);
    cr_assert_eq(get(&p, p.b, IPPROTO_TCP, TCP_KEEPIDLE), 33);
    cr_assert_eq(get(&p, p.b, SOL_SOCKET, SO_RCVBUF), 32768);
    cr_assert_eq(get(&p, p.a, IPPROTO_TCP, TCP_NODELAY), 0);
    cr_assert_eq(xtcp_send(p.x, p.a, &c, 1, 0), 1);
    cr_assert_eq(xtcp_recv(p.x, p.b, &c, 1, 0), 1);
    cr_assert_eq(xtcp_getsockopt(p.x, p.b, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    cr_assert_eq(info.tcpi_state, 1);
    cr_assert_eq(info.tcpi_bytes_received, 1);
    cr_assert_gt(info.tcpi_snd_mss, 500);
    cr_assert_eq(info.tcpi_data_segs_in, 1);
    cr_assert_eq(info.tcpi_snd_ssthresh, 0x7fffffff);
    cr_assert_eq(info.tcpi_options, TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    cr_assert_eq(info.tcpi_pmtu, (uint32_t)get(&p, p.b, IPPROTO_IP, IP_MTU));
    cr_assert_gt(info.tcpi_pmtu, info.tcpi_snd_mss);
    cr_assert_eq(get(&p, p.l, IPPROTO_IP, IP_MTU), -ENOTCONN);
    pair_stop(&p);
}

/* IP_OPTIONS as on Linux: checked, padded, read back, taken away; a connection's segments carry them and lose the room. */
Test(opts, ip_options)
{
    static const uint8_t record[] = {7, 7, 4, 0, 0, 0, 0}, padded[] = {7, 7, 4, 0, 0, 0, 0, 0}, bad[] = {131, 7, 8, 1};
    uint8_t got[64];
    socklen_t len = sizeof got;
    struct pair p;
    pair_start(&p, NULL);
    int s = xtcp_socket(p.x);
    cr_assert_eq(xtcp_getsockopt(p.x, s, IPPROTO_IP, IP_OPTIONS, got, &len), 0);
    cr_assert_eq(len, 0);
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_IP, IP_OPTIONS, bad, sizeof bad), -EINVAL);
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_IP, IP_OPTIONS, got, 41), -EINVAL);
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_IP, IP_OPTIONS, record, sizeof record), 0);
    len = sizeof got;
    cr_assert_eq(xtcp_getsockopt(p.x, s, IPPROTO_IP, IP_OPTIONS, got, &len), 0);
    cr_assert_eq(len, sizeof padded);
    cr_assert_arr_eq(got, padded, sizeof padded);
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    cr_assert_eq(xtcp_connect(p.x, s, (struct sockaddr *)&at, sizeof at), 0);
    int with = get(&p, s, IPPROTO_TCP, TCP_MAXSEG);
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_IP, IP_OPTIONS, NULL, 0), 0);
    cr_assert_eq(get(&p, s, IPPROTO_TCP, TCP_MAXSEG), with + 8);
    len = sizeof got;
    cr_assert_eq(xtcp_getsockopt(p.x, s, IPPROTO_IP, IP_OPTIONS, got, &len), 0);
    cr_assert_eq(len, 0);
    pair_stop(&p);
}

/* A route that is not to be had fails the connect; the socket can be used for another. */
Test(opts, ip_options_without_a_route)
{
    static const uint8_t route[] = {131, 7, 4, 192, 0, 2, 1};
    struct pair p;
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    pair_start(&p, NULL);
    int s = xtcp_socket(p.x);
    at.sin_addr.s_addr += htonl(1);
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_IP, IP_OPTIONS, route, sizeof route), 0);
    cr_assert_eq(xtcp_connect(p.x, s, (struct sockaddr *)&at, sizeof at), -ENETUNREACH);
    cr_assert_eq(xtcp_setsockopt(p.x, s, IPPROTO_IP, IP_OPTIONS, NULL, 0), 0);
    at = daemon_addr(PAIR_PORT);
    cr_assert_eq(xtcp_connect(p.x, s, (struct sockaddr *)&at, sizeof at), 0);
    pair_stop(&p);
}

/* What a router's "host unreachable" about the client's oldest segment in flight does; `told` once there was one. */
struct report {
    struct pair *p;
    int soft_err; /* of the record, after it */
    bool told, open;
};

static void unreachable(struct report *r, struct xt_stack *st, struct xt_conn *c)
{
    uint32_t own = daemon_addr(0).sin_addr.s_addr, router = own + htonl(1);
    uint8_t quote[28] = {0x45, 0, 0, 40, 0, 0, 0, 0, 64, XT_IPPROTO_TCP}, f[14 + 20 + 36] = {0};
    memcpy(quote + 12, &own, 4);
    memcpy(quote + 16, &own, 4);
    xt_be16_store(quote + 20, c->local.port);
    xt_be16_store(quote + 22, c->remote.port);
    xt_be32_store(quote + 24, c->snd_una);
    struct xt_icmp m = {.type = XT_ICMP_UNREACHABLE, .code = 1, .data = quote, .data_len = sizeof quote};
    size_t len = xt_icmp_emit(f + 34, sizeof f - 34, &m);
    struct xt_ipv4 ip = {
        .ttl = 64, .proto = XT_IPPROTO_ICMP, .total_len = (uint16_t)(20 + len), .src = router, .dst = own};
    xt_ipv4_emit(f + 14, &ip);
    memcpy(f, xt_stack_cfg(st)->mac, 6);
    f[12] = 8;
    xt_stack_input(st, f, 34 + len, NULL, xt_time_us());
    r->told = true;
    r->soft_err = c->soft_err;
    r->open = c->state == XT_ESTABLISHED;
}

static void tell_of_it(void *arg, struct xt_conn *c)
{
    struct report *r = arg;
    if (c->state >= XT_ESTABLISHED && c->slot == (uint32_t)r->p->a && c->snd_una != c->snd_nxt)
        unreachable(r, r->p->d.stack, c);
}

static void tell_if_in_flight(void *arg)
{
    struct report *r = arg;
    for (uint32_t cursor = 0; xt_stack_each(r->p->d.stack, &cursor, UINT32_MAX, tell_of_it, r);)
        ;
}

static bool told(void *arg)
{
    struct report *r = arg;
    xtcp_send(r->p->x, r->p->a, "", 1, MSG_DONTWAIT); /* its ACK is delayed, when the quick ones are used up */
    daemon_call(&r->p->d, tell_if_in_flight, r);
    return r->told;
}

/* Req SHLD-20: an application may have ICMP errors reported at once (IP_RECVERR), as POLLERR and by the next call, and not have
 * them reported, which is the default; they end nothing, and SO_ERROR tells of them once in both cases, as on Linux. */
Test(opts, recverr)
{
    struct pair p;
    char c;
    pair_start(&p, NULL);
    pair_connect(&p);
    for (int on = 0; on <= 1; on++) {
        struct report r = {.p = &p};
        cr_assert_eq(get(&p, p.a, IPPROTO_IP, IP_RECVERR), 0);
        cr_assert_eq(set(&p, p.a, IPPROTO_IP, IP_RECVERR, on), 0);
        cr_assert(daemon_until(told, &r), "nothing was in flight");
        cr_assert_eq(r.soft_err, EHOSTUNREACH);
        cr_assert(r.open);
        daemon_stats(&p.d); /* a round of the data plane later all is published */
        cr_assert_eq((xtcp_mask(p.x, p.a) & POLLERR) != 0, on);
        cr_assert_eq(get(&p, p.a, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);
        cr_assert_eq(get(&p, p.a, SOL_SOCKET, SO_ERROR), 0);
    }
    cr_assert_eq(get(&p, p.a, IPPROTO_IP, IP_RECVERR), 1);
    cr_assert_eq(xtcp_recv(p.x, p.a, &c, 1, MSG_ERRQUEUE), -EAGAIN);
    pair_stop(&p);
}
