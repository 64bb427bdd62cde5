/* SPDX-License-Identifier: Apache-2.0
 * Options: what each takes, reads back, and does. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define TELL 1 /* what it reads back is compared, else only that it does: it is the host's or the time's own */

static const struct {
    int level, name;
    const char *text;
    int tell, values[5], n;
} plain[] = {
    {SOL_SOCKET, SO_DEBUG, "SO_DEBUG", TELL, {0, 1}, 2},
    {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", TELL, {0, 7, 1}, 3},
    {SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT", TELL, {0, 2}, 2},
    {SOL_SOCKET, SO_BROADCAST, "SO_BROADCAST", TELL, {3, 0}, 2},
    {SOL_SOCKET, SO_DONTROUTE, "SO_DONTROUTE", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", TELL, {-1, 0}, 2},
    {SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE", TELL, {5, 0}, 2},
    {SOL_SOCKET, SO_NO_CHECK, "SO_NO_CHECK", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY", TELL, {0, 6, 7, -1}, 4},
    {SOL_SOCKET, SO_MARK, "SO_MARK", TELL, {5, 0}, 2},
    {SOL_SOCKET, SO_BUSY_POLL, "SO_BUSY_POLL", TELL, {0, 50, -1}, 3},
    {SOL_SOCKET, SO_PREFER_BUSY_POLL, "SO_PREFER_BUSY_POLL", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_BUSY_POLL_BUDGET, "SO_BUSY_POLL_BUDGET", TELL, {8, -1}, 2},
    {SOL_SOCKET, SO_INCOMING_CPU, "SO_INCOMING_CPU", 0, {1, 0}, 2},
    {SOL_SOCKET, SO_INCOMING_NAPI_ID, "SO_INCOMING_NAPI_ID", 0, {1}, 1},
    {SOL_SOCKET, SO_TIMESTAMP, "SO_TIMESTAMP", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_TIMESTAMPNS, "SO_TIMESTAMPNS", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_PASSCRED, "SO_PASSCRED", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_PASSSEC, "SO_PASSSEC", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_PEEK_OFF, "SO_PEEK_OFF", TELL, {-1}, 1},
    {SOL_SOCKET, SO_RXQ_OVFL, "SO_RXQ_OVFL", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_WIFI_STATUS, "SO_WIFI_STATUS", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_NOFCS, "SO_NOFCS", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, "SO_SELECT_ERR_QUEUE", TELL, {1, 0}, 2},
    {SOL_SOCKET, SO_LOCK_FILTER, "SO_LOCK_FILTER", TELL, {0}, 1},
    {SOL_SOCKET, SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE", TELL, {1000000, 0, -1}, 3},
    {SOL_SOCKET, SO_TYPE, "SO_TYPE", TELL, {1}, 1},
    {SOL_SOCKET, SO_PROTOCOL, "SO_PROTOCOL", TELL, {1}, 1},
    {SOL_SOCKET, SO_DOMAIN, "SO_DOMAIN", TELL, {1}, 1},
    {SOL_SOCKET, SO_ERROR, "SO_ERROR", TELL, {1}, 1},
    {SOL_SOCKET, SO_ACCEPTCONN, "SO_ACCEPTCONN", TELL, {1}, 1},
    {SOL_SOCKET, SO_SNDLOWAT, "SO_SNDLOWAT", TELL, {5}, 1},
    {SOL_SOCKET, SO_DETACH_FILTER, "SO_DETACH_FILTER", 0, {1}, 1},
    {SOL_SOCKET, SO_BUF_LOCK, "SO_BUF_LOCK", TELL, {0, 9}, 2},
    {SOL_SOCKET, SO_TXREHASH, "SO_TXREHASH", TELL, {1, 0, 5}, 3},
    {SOL_SOCKET, SO_RESERVE_MEM, "SO_RESERVE_MEM", TELL, {-5}, 1},
    {SOL_SOCKET, SO_ZEROCOPY, "SO_ZEROCOPY", TELL, {1, 2, -1, 0}, 4},
    {SOL_SOCKET, 9999, "an unknown socket option", TELL, {1}, 1},
    {IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", TELL, {9, 0}, 2},
    {IPPROTO_TCP, TCP_CORK, "TCP_CORK", TELL, {9, 0}, 2},
    {IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG", 0, {87, 32768, -1}, 3},
    {IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", TELL, {0, -1, 32768, 32767, 1}, 5},
    {IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", TELL, {0, -1, 32768, 32767, 1}, 5},
    {IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", TELL, {0, -1, 128, 127, 1}, 5},
    {IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT", TELL, {0, -1, 128, 127, 1}, 5},
    {IPPROTO_TCP, TCP_SAVE_SYN, "TCP_SAVE_SYN", TELL, {3, 1, 0}, 3},
    {IPPROTO_TCP, TCP_LINGER2, "TCP_LINGER2", TELL, {-3, 0, 50, 9999}, 4},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", TELL, {0, 1, 5, 30, -1}, 5},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP", 0, {0}, 1},
    {IPPROTO_TCP, TCP_QUICKACK, "TCP_QUICKACK", 0, {1, 0}, 2},
    {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, "TCP_THIN_LINEAR_TIMEOUTS", TELL, {1, 2, -1, 0}, 4},
    {IPPROTO_TCP, TCP_THIN_DUPACK, "TCP_THIN_DUPACK", TELL, {1, 2, 0}, 3},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", TELL, {-1, 5000, 0}, 3},
    {IPPROTO_TCP, TCP_REPAIR_QUEUE, "TCP_REPAIR_QUEUE", TELL, {1}, 1},
    {IPPROTO_TCP, TCP_TIMESTAMP, "TCP_TIMESTAMP", 0, {5}, 1},
    {IPPROTO_TCP, TCP_INQ, "TCP_INQ", TELL, {2, 1, 0}, 3},
    {IPPROTO_TCP, TCP_TX_DELAY, "TCP_TX_DELAY", TELL, {0}, 1},
    {IPPROTO_TCP, 9999, "an unknown TCP option", TELL, {1}, 1},
    {IPPROTO_IP, IP_TOS, "IP_TOS", TELL, {0, 0x10, 0xff, 256, 0}, 5},
    {IPPROTO_IP, IP_TTL, "IP_TTL", TELL, {0, 256, 1, 255, -1}, 5},
    {IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS", TELL, {1, 0}, 2},
    {IPPROTO_IP, IP_RECVTTL, "IP_RECVTTL", TELL, {1, 0}, 2},
    {IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO", TELL, {1, 0}, 2},
    {IPPROTO_IP, IP_RECVERR, "IP_RECVERR", TELL, {1, 0}, 2},
    {IPPROTO_IP, IP_RECVOPTS, "IP_RECVOPTS", TELL, {1, 0}, 2},
    {IPPROTO_IP, IP_RETOPTS, "IP_RETOPTS", TELL, {1, 0}, 2},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR", TELL, {1, 0}, 2},
    {IPPROTO_IP, IP_PASSSEC, "IP_PASSSEC", TELL, {1, 0}, 2},
    {IPPROTO_IP, IP_CHECKSUM, "IP_CHECKSUM", TELL, {1, 0}, 2},
    {IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND", TELL, {1, 0, 2}, 3},
    {IPPROTO_IP, IP_TRANSPARENT, "IP_TRANSPARENT", TELL, {1, 0}, 2},
    {IPPROTO_IP, IP_NODEFRAG, "IP_NODEFRAG", TELL, {1}, 1},
    {IPPROTO_IP, IP_MINTTL, "IP_MINTTL", TELL, {255, 256, -1, 0}, 4},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT", TELL, {1, 0, 2}, 3},
    {IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER", TELL, {0, 5, 6, -1, 1}, 5},
    {IPPROTO_IP, IP_MULTICAST_TTL, "IP_MULTICAST_TTL", TELL, {5, 1}, 2},
    {IPPROTO_IP, IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP", TELL, {0, 1}, 2},
    {IPPROTO_IP, IP_HDRINCL, "IP_HDRINCL", TELL, {1}, 1},
    {IPPROTO_IP, IP_ROUTER_ALERT, "IP_ROUTER_ALERT", 0, {1}, 1},
    {IPPROTO_IP, 9999, "an unknown IP option", TELL, {1}, 1},
    {IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY", TELL, {1, 0}, 2},
    {IPPROTO_UDP, 1, "UDP_CORK", TELL, {1}, 1},
    {282, 1, "SOL_TLS", TELL, {1}, 1},
    {9999, 1, "an unknown level", TELL, {1}, 1},
};

static void each_plain(int fd, const char *when)
{
    say("options, %s", when);
    for (unsigned i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        int got = -77;
        socklen_t len = sizeof got, short_len = 1;
        char byte = 0;
        long rc = getsockopt(fd, plain[i].level, plain[i].name, &got, &len);
        say("%s at first: %s, %d bytes, %d", plain[i].text, rc < 0 ? strerrorname_np(errno) : "ok", (int)len,
            plain[i].tell == TELL && strcmp(when, "listening") != 0 ? got : 0);
        for (int k = 0; k < plain[i].n; k++) {
            int v = plain[i].values[k];
            rc = setsockopt(fd, plain[i].level, plain[i].name, &v, sizeof v);
            say("  set %d: %s", v, rc < 0 ? strerrorname_np(errno) : "ok");
            len = sizeof got;
            got = -77;
            rc = getsockopt(fd, plain[i].level, plain[i].name, &got, &len);
            say("  reads %d, %s", plain[i].tell == TELL ? got : 0, rc < 0 ? strerrorname_np(errno) : "ok");
        }
        rc = setsockopt(fd, plain[i].level, plain[i].name, &byte, 1);
        say("  set a byte: %s", rc < 0 ? strerrorname_np(errno) : "ok");
        rc = getsockopt(fd, plain[i].level, plain[i].name, &byte, &short_len);
        say("  get a byte: %s, %d", rc < 0 ? strerrorname_np(errno) : "ok", (int)short_len);
    }
}

/* Options with a shape of their own. */
static void shaped(int fd, const char *when)
{
    struct linger l = {1, 5}, got = {0};
    struct timeval tv = {3, 999}, back = {0};
    struct ucred uc = {1, 1, 1};
    char name[32] = "nobody";
    char big[512];
    unsigned mem[16];
    unsigned long long cookie = 0;
    socklen_t len = sizeof got;
    say("options with a shape, %s", when);
    say_ret("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    say_ret("SO_LINGER too short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4));
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len);
    say("SO_LINGER: %d %d", got.l_onoff, got.l_linger);
    l.l_onoff = 0;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len);
    say("SO_LINGER off: %d", got.l_onoff);
    say_ret("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    len = sizeof back;
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &back, &len);
    say("SO_RCVTIMEO: %ld, %u bytes", (long)back.tv_sec, len);
    tv.tv_usec = 1000000;
    say_ret("SO_RCVTIMEO wrong", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    say_ret("SO_SNDTIMEO short", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, 4));
    tv = (struct timeval){0};
    say_ret("SO_RCVTIMEO none", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    len = sizeof name;
    say_ret("SO_BINDTODEVICE nobody", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, 7));
    say_ret("SO_BINDTODEVICE none", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    say_ret("SO_BINDTODEVICE get", getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    say("SO_BINDTODEVICE: %u bytes", len);
    len = sizeof uc;
    say_ret("SO_PEERCRED", getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len));
    say("SO_PEERCRED: %d %d %d, %u bytes", uc.pid, (int)uc.uid, (int)uc.gid, len);
    len = sizeof cookie;
    say_ret("SO_COOKIE", getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len));
    say("SO_COOKIE: %d, %u bytes", cookie != 0, len);
    len = 4;
    say_ret("SO_COOKIE short", getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len));
    len = sizeof mem;
    say_ret("SO_MEMINFO", getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len));
    say("SO_MEMINFO: %u bytes", len);
    len = sizeof big;
    say_ret("SO_PEERNAME", getsockopt(fd, SOL_SOCKET, SO_PEERNAME, big, &len));
    len = sizeof big;
    say_ret("SO_PEERSEC", getsockopt(fd, SOL_SOCKET, SO_PEERSEC, big, &len));
    len = sizeof big;
    say_ret("SO_PEERGROUPS", getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, big, &len));
    say_ret("SO_ATTACH_FILTER wrong", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, big, 1));
    say_ret("TCP_CONGESTION nobody", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nobody", 6));
    say_ret("TCP_CONGESTION reno", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    len = 3;
    memset(name, 0, sizeof name);
    say_ret("TCP_CONGESTION get", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    say("TCP_CONGESTION: %.3s, %u bytes", name, len);
    say_ret("TCP_CONGESTION none", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0));
    say_ret("TCP_ULP", setsockopt(fd, IPPROTO_TCP, TCP_ULP, "nobody", 6));
    len = sizeof name;
    say_ret("TCP_ULP get", getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &len));
    say("TCP_ULP: %u bytes", len);
    len = sizeof big;
    say_ret("TCP_SAVED_SYN", getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, big, &len));
    say("TCP_SAVED_SYN: %u bytes", len);
    len = sizeof big;
    say_ret("TCP_CC_INFO", getsockopt(fd, IPPROTO_TCP, TCP_CC_INFO, big, &len));
    say("TCP_CC_INFO: %u bytes", len);
    len = 8;
    say_ret("TCP_INFO short", getsockopt(fd, IPPROTO_TCP, TCP_INFO, big, &len));
    say("TCP_INFO: state %d, %u bytes", big[0], len);
    say_ret("TCP_INFO set", setsockopt(fd, IPPROTO_TCP, TCP_INFO, big, 8));
    say_ret("TCP_MD5SIG wrong", setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, big, 8));
    len = (socklen_t)-1;
    say_ret("a length below 0", getsockopt(fd, SOL_SOCKET, SO_TYPE, big, &len));
    len = 4;
    say_ret("a value nowhere", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, NULL, 4));
}

/* IP_MINTTL: what comes from farther away is not taken, and taken when it comes again after the option has changed. */
static void min_ttl(void)
{
    int n, fd = dial(&n), most = 255, least = 1, waiting = -1;
    char buf[8];
    say("IP_MINTTL");
    setsockopt(fd, IPPROTO_IP, IP_MINTTL, &most, sizeof most);
    peer("send %d 5", n);
    settle();
    ioctl(fd, FIONREAD, &waiting);
    say("  from far away: %d bytes", waiting);
    setsockopt(fd, IPPROTO_IP, IP_MINTTL, &least, sizeof least);
    until(fd, POLLIN);
    say_ret("  from near by", recv(fd, buf, sizeof buf, 0));
    close(fd);
    peer("close %d", n);
}

/* SO_MAX_PACING_RATE has 32 bits or 64, and TCP_INFO shows it. */
static void pacing(void)
{
    static const unsigned long long rates[] = {1000000, 1ULL << 33, 0, ~0ULL, 5};
    int n, fd = dial(&n);
    say("SO_MAX_PACING_RATE");
    for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        unsigned long long all = 77;
        unsigned half = 77;
        struct tcp_info info = {0};
        socklen_t len = sizeof all, half_len = sizeof half, info_len = sizeof info;
        say_ret(" set", setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rates[i], sizeof rates[i]));
        getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &all, &len);
        getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &half, &half_len);
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_len);
        say(" %llu: %llu in %u bytes, %u in %u, %llu", rates[i], all, len, half, half_len,
            (unsigned long long)info.tcpi_max_pacing_rate);
        say(" kept to: %s", rates[i] == 0 || info.tcpi_pacing_rate <= rates[i] ? "yes" : "no");
    }
    close(fd);
    peer("close %d", n);
}

static void v6only(void)
{
    int one = 1, zero = 0, got = -1, fd = socket(AF_INET6, SOCK_STREAM, 0);
    socklen_t len = sizeof got;
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    if (fd < 0)
        return;
    say_ret("V6ONLY on", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one));
    say_ret("V6ONLY off", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero));
    say_ret("bind", bind(fd, (struct sockaddr *)&a, sizeof a));
    say_ret("V6ONLY, bound", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one));
    getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &got, &len);
    say("V6ONLY: %d", got);
    len = sizeof got;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &got, &len);
    say("domain: %d", got == AF_INET6);
    say_ret("IPV6_UNICAST_HOPS", getsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &got, &len));
    say_ret("IPV6_TCLASS", setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &one, sizeof one));
    say_ret("listen", listen(fd, 1));
    close(fd);
}

void probe_opts(void)
{
    int n, fd = socket(AF_INET, SOCK_STREAM, 0);
    each_plain(fd, "fresh");
    shaped(fd, "fresh");
    close(fd);
    fd = dial(&n);
    each_plain(fd, "connected");
    shaped(fd, "connected");
    close(fd);
    fd = listener();
    each_plain(fd, "listening");
    shaped(fd, "listening");
    close(fd);
    v6only();
    min_ttl();
    pacing();
}
