/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/packet/script/core_calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/packet/script/core_fastopen.h"

static void begin(struct core_sock *s, struct ep *e)
{
    struct xt_endpoint local = {.addr = xt_addr_v4(htonl(0x0a000001)), .port = 80};
    struct xt_endpoint remote = {.addr = xt_addr_v4(htonl(0x0a000002)), .port = 40000};
    memset(e, 0, sizeof *e);
    e->now = s->now;
    e->emit = s->emit;
    e->arg = s->arg;
    ep_init(e, &s->cfg, &local, &remote, s->rx_size, s->tx_size);
    e->conn.opt = s->opt;
}

static void forget(struct core_sock *s)
{
    if (s->alive)
        ep_free(&s->conn);
    s->alive = s->accepted = s->shut_rd = false;
}

void core_sock_settle(struct core_sock *s)
{
    if (s->alive && s->conn.conn.state == XT_CLOSED && !s->accepted)
        forget(s);
}

void core_sock_end(struct core_sock *s)
{
    forget(s);
    if (s->listening)
        ep_free(&s->listener);
    s->listening = false;
}

/* To the listener, or to nobody. */
static void stray(struct core_sock *s, const struct xt_seg *seg)
{
    struct xt_seg reply = {0};
    struct xt_tcp_ctx ctx;
    if (!s->listening) {
        struct ep none = {.now = s->now, .arg = s->arg};
        if (xt_tcp_reset_for(seg, &reply))
            s->emit(&none, &reply);
        return;
    }
    ctx = ep_ctx(&s->listener);
    int verdict = xt_tcp_listen_input(&s->listener.conn, &ctx, seg, &reply);
    if (verdict < 0)
        s->emit(&s->listener, &reply);
    if (verdict <= 0)
        return;
    forget(s);
    begin(s, &s->conn);
    s->alive = true;
    s->conn.batch = true;
    ep_accept(&s->conn, &s->listener, seg, s->iss);
    core_fo_accept(s, seg);
    s->conn.batch = false;
    ep_output(&s->conn);
}

void core_sock_input(struct core_sock *s, const struct xt_seg *seg)
{
    if (!s->alive || s->conn.conn.state == XT_CLOSED) {
        stray(s, seg);
        return;
    }
    int was = s->conn.conn.state;
    uint32_t ev = ep_input(&s->conn, seg);
    core_fo_seen(s, seg, was);
    if ((ev & (XT_EV_CLOSED | XT_EV_TIME_WAIT)) == (XT_EV_CLOSED | XT_EV_TIME_WAIT)) {
        s->iss = s->conn.conn.isn_floor;
        stray(s, seg);
    } else {
        core_sock_settle(s);
    }
}

void core_sock_icmp(struct core_sock *s, uint32_t seq, int err, uint32_t mtu)
{
    if (!s->alive)
        return;
    struct xt_tcp_ctx ctx = ep_ctx(&s->conn);
    s->conn.events |= xt_tcp_icmp(&s->conn.conn, &ctx, seq, err, mtu);
    ep_output(&s->conn);
    core_sock_settle(s);
}

static long call_listen(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    begin(s, &s->listener);
    s->listening = true;
    ep_listen(&s->listener);
    return 0;
}

static long call_unlisten(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    ep_close(&s->listener);
    ep_free(&s->listener);
    s->listening = false;
    return 0;
}

long core_sock_connect(struct core_sock *s)
{
    begin(s, &s->conn);
    s->alive = s->accepted = true;
    s->untold = true;
    bool waits = core_fo_prepare(s);
    ep_connect(&s->conn, s->iss);
    return waits ? 0 : -EINPROGRESS;
}

static long call_connect(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    if (s->alive) {
        bool opening = s->conn.conn.state == XT_SYN_SENT && !(s->conn.conn.fo & XT_FO_DEFER);
        bool first = s->untold && s->conn.conn.state != XT_SYN_SENT;
        s->untold = s->untold && !first;
        return opening ? -EALREADY : first ? 0 : -EISCONN;
    }
    return core_sock_connect(s);
}

static long call_accept(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    if (!s->listening)
        return -EINVAL;
    if (!s->alive || s->accepted || !(s->conn.events & (XT_EV_CONNECTED | XT_EV_FASTOPEN)))
        return -EAGAIN;
    s->accepted = true;
    return 0;
}

static long take_error(struct core_sock *s)
{
    long err = s->conn.conn.err;
    s->conn.conn.err = 0;
    return -err;
}

static uint8_t own_byte(const void *arg, uint64_t off)
{
    (void)arg;
    return pkt_own_byte(off);
}

static long call_write(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    struct xt_conn *c = &s->conn.conn;
    uint32_t n = (uint32_t)atoi(e->args[1]);
    if (c->err)
        return take_error(s);
    if ((c->cflags & XT_CF_SHUT) || c->state == XT_CLOSED)
        return -EPIPE;
    if (c->fo & XT_FO_DEFER)
        return core_fo_write(r, s, n);
    if (e->nargs > 2 && strcmp(e->args[2], "more") == 0)
        xt_tcp_more(c, true);
    else
        xt_tcp_more(c, false);
    if (c->state == XT_SYN_SENT || ep_room(&s->conn) == 0)
        return -EAGAIN;
    return ep_write(&s->conn, n, own_byte, NULL, e->nargs > 2 && strcmp(e->args[2], "oob") == 0);
}

static bool at_end(const struct core_sock *s)
{
    const struct xt_conn *c = &s->conn.conn;
    return s->shut_rd || (c->cflags & XT_CF_FIN_RCVD) || c->state == XT_CLOSED;
}

static long call_read(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    uint32_t n = (uint32_t)atoi(e->args[1]);
    if (ep_readable(&s->conn) == 0) {
        if (s->conn.conn.err)
            return take_error(s);
        return at_end(s) ? 0 : -EAGAIN;
    }
    uint8_t *buf = malloc(n);
    if (!buf)
        abort();
    n = ep_read(&s->conn, buf, n);
    for (uint32_t i = 0; i < n; i++)
        if (buf[i] != pkt_peer_byte(r->nread + i)) {
            free(buf);
            return -EBADMSG;
        }
    r->nread += n;
    free(buf);
    return n;
}

static long call_close(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    s->accepted = false;
    ep_close(&s->conn);
    core_sock_settle(s);
    return 0;
}

static long call_abort(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    s->accepted = false;
    ep_abort(&s->conn);
    core_sock_settle(s);
    return 0;
}

static long call_shutdown(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    const char *how = e->nargs > 1 ? e->args[1] : "wr";
    if (s->conn.conn.state == XT_CLOSED)
        return -ENOTCONN;
    if (strcmp(how, "wr") != 0) {
        xt_tcp_shutdown_rd(&s->conn.conn);
        s->shut_rd = true;
    }
    if (strcmp(how, "rd") != 0)
        ep_shutdown(&s->conn);
    return 0;
}

/* Options that are bits. */
static bool set_flag(struct xt_tcp_sockopt *o, const char *name, bool on)
{
    if (strcmp(name, "nodelay") == 0)
        o->nodelay = on;
    else if (strcmp(name, "cork") == 0)
        o->cork = on;
    else if (strcmp(name, "keepalive") == 0)
        o->keepalive = on;
    else if (strcmp(name, "quickack") == 0)
        o->quickack = on ? XT_QUICKACK_ON : XT_QUICKACK_OFF;
    else
        return false;
    return true;
}

static bool set_number(struct xt_tcp_sockopt *o, const char *name, uint32_t v)
{
    const struct {
        const char *name;
        uint32_t *number;
        uint16_t *seconds;
        uint8_t *count;
    } opts[] = {{"keepidle", NULL, &o->keep_idle, NULL},        {"keepintvl", NULL, &o->keep_intvl, NULL},
                {"keepcnt", NULL, NULL, &o->keep_cnt},          {"linger2", NULL, &o->linger2, NULL},
                {"user_timeout", &o->user_timeout, NULL, NULL}, {"syncnt", NULL, NULL, &o->syn_retries},
                {"clamp", &o->window_clamp, NULL, NULL}};
    for (size_t i = 0; i < sizeof opts / sizeof *opts; i++) {
        if (strcmp(opts[i].name, name) != 0)
            continue;
        if (opts[i].number)
            *opts[i].number = v;
        else if (opts[i].seconds)
            *opts[i].seconds = (uint16_t)v;
        else
            *opts[i].count = (uint8_t)v;
        return true;
    }
    return false;
}

static long call_setopt(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    uint32_t v = (uint32_t)atoi(e->args[2]);
    long rc;
    if (core_fo_setopt(s, e->args[1], v, &rc))
        return rc;
    struct xt_tcp_sockopt *o = &s->opt;
    if (!set_flag(o, e->args[1], v != 0) && !set_number(o, e->args[1], v))
        return -ENOPROTOOPT;
    if (!s->alive)
        return 0;
    struct xt_tcp_ctx ctx = ep_ctx(&s->conn);
    s->conn.conn.opt = *o;
    if (o->quickack == XT_QUICKACK_OFF)
        o->quickack = XT_QUICKACK_UNSET;
    xt_tcp_options_changed(&s->conn.conn, &ctx);
    if (strcmp(e->args[1], "nodelay") == 0 && v)
        xt_tcp_push(&s->conn.conn);
    ep_output(&s->conn);
    return 0;
}

/* SO_ERROR: soft errors of a connection that goes on too. */
static long call_error(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    long err = take_error(s);
    if (err == 0 && s->conn.events & XT_EV_SOFT) {
        s->conn.events &= ~(uint32_t)XT_EV_SOFT;
        return -s->conn.conn.soft_err;
    }
    return err;
}

static long call_readable(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    return ep_readable(&s->conn);
}

static long call_unsent(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    return (long)(s->conn.conn.tx_head - s->conn.conn.tx_una);
}

/* Is the next byte to be read the one after the urgent data's last? */
static long call_mark(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    return xt_rx_urg(&s->conn.conn) > s->conn.conn.rx_tail ? (long)(xt_rx_urg(&s->conn.conn) - s->conn.conn.rx_tail)
                                                           : 0;
}

long core_sock_call(struct pkt_run *r, struct core_sock *s, const struct pkt_event *e)
{
    static const struct {
        const char *name;
        int args;     /* that it needs */
        bool on_conn; /* works on a connection */
        long (*fn)(struct pkt_run *, struct core_sock *, const struct pkt_event *);
    } calls[] = {
        {"listen", 0, false, call_listen}, {"unlisten", 0, false, call_unlisten}, {"connect", 0, false, call_connect},
        {"accept", 0, false, call_accept}, {"write", 1, true, call_write},        {"read", 1, true, call_read},
        {"close", 0, true, call_close},    {"abort", 0, true, call_abort},        {"shutdown", 0, true, call_shutdown},
        {"setopt", 2, false, call_setopt}, {"error", 0, true, call_error},        {"readable", 0, true, call_readable},
        {"unsent", 0, true, call_unsent},  {"mark", 0, true, call_mark},          {"sendto", 1, false, core_fo_sendto}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (strcmp(calls[i].name, e->args[0]) != 0)
            continue;
        if (e->nargs <= calls[i].args)
            return -EINVAL;
        return calls[i].on_conn && !s->accepted ? -EBADF : calls[i].fn(r, s, e);
    }
    return -ENOSYS;
}
