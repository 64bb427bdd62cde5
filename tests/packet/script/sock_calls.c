/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/packet/script/sock_calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "proto/xt_state.h"
#include "tests/packet/script/wirepeer.h"

static struct sockaddr_in address(uint32_t addr, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(addr), .sin_port = htons(port)};
}

static int new_socket(struct pkt_sock *s)
{
    int fd = s->ops->socket(s->x);
    if (fd >= 0)
        s->ops->set_nonblock(s->x, fd, true);
    return fd;
}

static long call_listen(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    struct sockaddr_in at = address(INADDR_ANY, r->base.own_port);
    s->listener = new_socket(s);
    long rc = s->listener < 0 ? s->listener : s->ops->bind(s->x, s->listener, (struct sockaddr *)&at, sizeof at);
    return rc < 0 ? rc : s->ops->listen(s->x, s->listener, 16);
}

static long call_unlisten(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    int rc = s->ops->close(s->x, s->listener);
    s->listener = -1;
    return rc;
}

static long call_connect(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    struct sockaddr_in own = address(INADDR_ANY, r->base.own_port), peer = address(PKT_PEER_ADDR, r->base.peer_port);
    if (s->conn < 0)
        s->conn = new_socket(s);
    if (s->conn < 0)
        return s->conn;
    s->ops->bind(s->x, s->conn, (struct sockaddr *)&own, sizeof own); /* fails the second time; connect tells */
    return s->ops->connect(s->x, s->conn, (struct sockaddr *)&peer, sizeof peer);
}

static long call_accept(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    int fd = s->ops->accept(s->x, s->listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return fd;
    s->conn = fd;
    return 0;
}

static long call_write(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    size_t n = (size_t)atoi(e->args[1]);
    uint8_t *buf = malloc(n);
    if (!buf)
        abort();
    for (size_t i = 0; i < n; i++)
        buf[i] = pkt_own_byte(r->wrote + i);
    const char *how = e->nargs > 2 ? e->args[2] : "";
    int flags = strcmp(how, "oob") == 0 ? MSG_OOB : strcmp(how, "more") == 0 ? MSG_MORE : 0;
    long rc = s->ops->send(s->x, s->conn, buf, n, flags);
    if (rc > 0)
        r->wrote += (uint64_t)rc;
    free(buf);
    return rc;
}

/* MSG_FASTOPEN */
static long call_sendto(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    struct sockaddr_in own = address(INADDR_ANY, r->base.own_port), peer = address(PKT_PEER_ADDR, r->base.peer_port);
    size_t n = (size_t)atoi(e->args[1]);
    uint8_t *buf = malloc(n + 1);
    if (!buf)
        abort();
    for (size_t i = 0; i < n; i++)
        buf[i] = pkt_own_byte(r->wrote + i);
    if (s->conn < 0)
        s->conn = new_socket(s);
    s->ops->bind(s->x, s->conn, (struct sockaddr *)&own, sizeof own); /* as in call_connect() */
    long rc = s->ops->sendto(s->x, s->conn, buf, n, MSG_FASTOPEN, (struct sockaddr *)&peer, sizeof peer);
    if (rc > 0)
        r->wrote += (uint64_t)rc;
    free(buf);
    return rc;
}

/* A new key before the one that was set last. */
static long set_key(struct pkt_sock *s, int fd, int v)
{
    uint8_t keys[32];
    socklen_t len = 16;
    uint8_t old[32];
    memset(keys, v, 16);
    if (s->ops->getsockopt(s->x, fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, old, &len) == 0 && len == 16)
        memcpy(keys + 16, old, 16);
    else
        len = 0;
    return s->ops->setsockopt(s->x, fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, keys, 16 + len);
}

static long call_read(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    size_t n = (size_t)atoi(e->args[1]);
    uint8_t *buf = malloc(n);
    if (!buf)
        abort();
    long rc = s->ops->recv(s->x, s->conn, buf, n, 0);
    for (long i = 0; i < rc; i++)
        if (buf[i] != pkt_peer_byte(r->nread + (uint64_t)i)) {
            rc = -EBADMSG;
            break;
        }
    if (rc > 0)
        r->nread += (uint64_t)rc;
    free(buf);
    return rc;
}

static long call_close(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    int rc = s->ops->close(s->x, s->conn);
    s->conn = -1;
    return rc;
}

static long call_abort(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    const struct linger at_once = {.l_onoff = 1};
    s->ops->setsockopt(s->x, s->conn, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return call_close(r, s, e);
}

static long call_shutdown(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    const char *how = e->nargs > 1 ? e->args[1] : "wr";
    return s->ops->shutdown(s->x, s->conn,
                            strcmp(how, "wr") == 0   ? SHUT_WR
                            : strcmp(how, "rd") == 0 ? SHUT_RD
                                                     : SHUT_RDWR);
}

static long call_setopt(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    static const struct {
        const char *name;
        int level, opt;
    } opts[] = {{"nodelay", IPPROTO_TCP, TCP_NODELAY},
                {"cork", IPPROTO_TCP, TCP_CORK},
                {"keepalive", SOL_SOCKET, SO_KEEPALIVE},
                {"quickack", IPPROTO_TCP, TCP_QUICKACK},
                {"keepidle", IPPROTO_TCP, TCP_KEEPIDLE},
                {"keepintvl", IPPROTO_TCP, TCP_KEEPINTVL},
                {"keepcnt", IPPROTO_TCP, TCP_KEEPCNT},
                {"user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT},
                {"linger2", IPPROTO_TCP, TCP_LINGER2},
                {"fastopen", IPPROTO_TCP, TCP_FASTOPEN},
                {"fastopen_connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT},
                {"fastopen_no_cookie", IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE},
                {"rcvbuf", SOL_SOCKET, SO_RCVBUF},
                {"sndbuf", SOL_SOCKET, SO_SNDBUF},
                {"rcvlowat", SOL_SOCKET, SO_RCVLOWAT}};
    int v = atoi(e->args[2]);
    if (s->conn < 0 && s->listener < 0)
        s->conn = new_socket(s);
    if (strcmp(e->args[1], "fastopen_key") == 0)
        return set_key(s, s->conn >= 0 ? s->conn : s->listener, v);
    for (size_t i = 0; i < sizeof opts / sizeof *opts; i++)
        if (strcmp(opts[i].name, e->args[1]) == 0)
            return s->ops->setsockopt(s->x, s->conn >= 0 ? s->conn : s->listener, opts[i].level, opts[i].opt, &v,
                                      sizeof v);
    return -ENOPROTOOPT;
}

static long call_error(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    int err = 0;
    socklen_t len = sizeof err;
    int rc = s->ops->getsockopt(s->x, s->conn, SOL_SOCKET, SO_ERROR, &err, &len);
    return rc < 0 ? rc : -err;
}

static long call_readable(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    return s->ops->inq(s->x, s->conn);
}

static long call_unsent(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    return s->ops->outq(s->x, s->conn);
}

static long call_tcpinfo(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    return pkt_sock_info(s, e->args[1]);
}

long pkt_sock_call(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e)
{
    static const struct {
        const char *name;
        int args;
        bool on_conn;
        long (*fn)(struct pkt_run *, struct pkt_sock *, const struct pkt_event *);
    } calls[] = {
        {"listen", 0, false, call_listen}, {"unlisten", 0, false, call_unlisten}, {"connect", 0, false, call_connect},
        {"accept", 0, false, call_accept}, {"write", 1, true, call_write},        {"read", 1, true, call_read},
        {"close", 0, true, call_close},    {"abort", 0, true, call_abort},        {"shutdown", 0, true, call_shutdown},
        {"setopt", 2, false, call_setopt}, {"error", 0, true, call_error},        {"readable", 0, true, call_readable},
        {"unsent", 0, true, call_unsent},  {"tcpinfo", 1, true, call_tcpinfo},    {"sendto", 1, false, call_sendto}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (strcmp(calls[i].name, e->args[0]) != 0)
            continue;
        if (e->nargs <= calls[i].args)
            return -EINVAL;
        return calls[i].on_conn && s->conn < 0 ? -EBADF : calls[i].fn(r, s, e);
    }
    return -ENOSYS;
}

bool pkt_sock_may_repeat(const struct pkt_event *e, long result)
{
    static const char *const pure[] = {"error", "readable", "unsent", "tcpinfo"};
    for (size_t i = 0; i < sizeof pure / sizeof *pure; i++)
        if (strcmp(pure[i], e->args[0]) == 0)
            return result == 0 || strcmp(e->args[0], "error") != 0; /* SO_ERROR gives an error once */
    return result == -EAGAIN;
}

const char *pkt_sock_state(struct pkt_sock *s)
{
    static const uint8_t states[] = {[TCP_ESTABLISHED] = XT_ESTABLISHED,
                                     [TCP_SYN_SENT] = XT_SYN_SENT,
                                     [TCP_SYN_RECV] = XT_SYN_RECV,
                                     [TCP_FIN_WAIT1] = XT_FIN_WAIT1,
                                     [TCP_FIN_WAIT2] = XT_FIN_WAIT2,
                                     [TCP_TIME_WAIT] = XT_TIME_WAIT,
                                     [TCP_CLOSE] = XT_CLOSED,
                                     [TCP_CLOSE_WAIT] = XT_CLOSE_WAIT,
                                     [TCP_LAST_ACK] = XT_LAST_ACK,
                                     [TCP_LISTEN] = XT_LISTEN,
                                     [TCP_CLOSING] = XT_CLOSING};
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (s->conn < 0 || s->ops->getsockopt(s->x, s->conn, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return NULL;
    return info.tcpi_state < sizeof states ? xt_state_name(states[info.tcpi_state]) : "?";
}
