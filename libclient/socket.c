/* SPDX-License-Identifier: Apache-2.0
 * Life of a socket: bind, connect, shut down, close; and what it looks like from outside. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "libclient/fastopen.h"
#include "libclient/opts.h"

/* ---- addresses ---- */

int xtcp_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct xtcp_cmd *c)
{
    if (!sa || len < sizeof sa->sa_family)
        return -EINVAL;
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        if (len < sizeof in)
            return -EINVAL;
        memcpy(&in, sa, sizeof in);
        c->addr = xt_addr_v4(in.sin_addr.s_addr);
        c->port = ntohs(in.sin_port);
        return 0;
    }
    if (sa->sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    struct sockaddr_in6 in6;
    if (len < offsetof(struct sockaddr_in6, sin6_scope_id))
        return -EINVAL;
    memcpy(&in6, sa, len < sizeof in6 ? len : sizeof in6);
    memcpy(c->addr.b, &in6.sin6_addr, sizeof c->addr.b);
    c->port = ntohs(in6.sin6_port);
    if (xt_addr_is_any(&c->addr))
        c->addr = xt_addr_v4(0);
    return xt_addr_is_v4(&c->addr) ? 0 : -EAFNOSUPPORT;
}

int xtcp_to_sockaddr(const struct xt_endpoint *ep, struct sockaddr *sa, socklen_t *len)
{
    if (!sa || !len)
        return sa || len ? -EFAULT : 0;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(ep->port)};
    in.sin_addr.s_addr = xt_addr_to_v4(&ep->addr);
    memcpy(sa, &in, *len < sizeof in ? *len : sizeof in);
    *len = sizeof in;
    return 0;
}

/* ---- life ---- */

void xtcp_know(struct xtcp *x, int s)
{
    atomic_fetch_or(&x->known[(uint32_t)s / 64], 1ULL << (s % 64));
}

struct xt_slot *xtcp_dropped_slot(const struct xtcp *x, int s)
{
    bool known = atomic_load(&x->known[(uint32_t)s / 64]) & 1ULL << (s % 64);
    return known && !xtcp_check((struct xtcp *)x) ? &x->slots[s] : NULL;
}

XTCP_API int xtcp_settle(struct xtcp *x)
{
    int rc = xtcp_request(x, "settle", "settled", -1, NULL);
    return rc < 0 ? rc : 0;
}

int xtcp_call_settled(struct xtcp *x, const struct xtcp_cmd *c)
{
    struct xtcp_cmd copy = *c;
    int rc = xtcp_call(x, &copy);
    if (rc != -EADDRINUSE || xtcp_settle(x) < 0)
        return rc;
    copy = *c;
    return xtcp_call(x, &copy);
}

XTCP_API int xtcp_bind(struct xtcp *x, int s, const struct sockaddr *addr, socklen_t alen)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    struct xtcp_cmd c = {.op = XT_OP_BIND, .slot = s, .arg = {xtcp_port_claim(sl)}};
    int rc = xtcp_from_sockaddr(addr, alen, &c);
    return rc < 0 ? rc : xtcp_call_settled(x, &c);
}

static bool connected(struct xt_slot *sl, void *unused)
{
    return !(atomic_load_explicit(&sl->cond, memory_order_acquire) & XT_COND_CONNECTING);
}

int xtcp_finish_connect(struct xtcp *x, int s, struct xt_slot *sl, int early)
{
    uint32_t disconnects = atomic_load(&sl->disconnects);
    int rc = xtcp_wait(x, s, connected, NULL, xtcp_deadline(sl->sndtimeo_ms));
    if (rc == -EAGAIN)
        return early;
    if (rc < 0)
        return rc;
    if (disconnects != atomic_load(&sl->disconnects))
        return -EPIPE; /* the error is told to who comes next */
    if ((rc = xtcp_take_error(sl)))
        return xtcp_failed(sl, -rc);
    return atomic_load(&sl->cond) & XT_COND_CONNECTED ? 0 : xtcp_failed(sl, -ECONNABORTED);
}

/* connect() to AF_UNSPEC. With both locks: nobody else is at the rings, which become others. */
static int disconnect(struct xtcp *x, int s, struct xt_slot *sl)
{
    struct xtcp_cmd c = {.op = XT_OP_DISCONNECT, .slot = s};
    int rc = xtcp_lock(x, &sl->rx_lock);
    if (rc < 0)
        return rc;
    rc = xtcp_lock(x, &sl->tx_lock);
    if (rc == 0) {
        atomic_fetch_add(&sl->disconnects, 1); /* before: who is woken by it looks */
        atomic_fetch_or(&sl->oflags, (uint32_t)XT_OFLAG_DISCONNECTED);
        rc = xtcp_call(x, &c);
        xtcp_unlock(&sl->tx_lock);
    }
    xtcp_unlock(&sl->rx_lock);
    return rc;
}

XTCP_API int xtcp_connect(struct xtcp *x, int s, const struct sockaddr *addr, socklen_t alen)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    struct xtcp_cmd c = {.op = XT_OP_CONNECT, .slot = s};
    if (!sl)
        return -EBADF;
    if (addr && alen >= sizeof addr->sa_family && addr->sa_family == AF_UNSPEC)
        return disconnect(x, s, sl);
    int rc = xtcp_from_sockaddr(addr, alen, &c), err, early = -EINPROGRESS;
    if (rc < 0)
        return rc;
    if (atomic_load(&sl->cond) & XT_COND_DEFERRED)
        return -EISCONN;
    if (!(atomic_load(&sl->cond) & XT_COND_CONNECTING)) {
        /* As in Linux the call after one that answered EINPROGRESS tells how that ended, and only the next begins anew. */
        uint32_t flags =
            atomic_fetch_and(&sl->oflags, ~(uint32_t)(XT_OFLAG_CONNECT | XT_OFLAG_FAILED | XT_OFLAG_DISCONNECTED));
        if (flags & XT_OFLAG_DISCONNECTED)
            xtcp_take_error(sl);
        else if ((err = xtcp_take_error(sl)))
            return xtcp_failed(sl, -err);
        if (flags & XT_OFLAG_CONNECT && !(flags & XT_OFLAG_DISCONNECTED))
            return atomic_load(&sl->cond) & XT_COND_CONNECTED ? 0 : xtcp_failed(sl, -ECONNABORTED);
        c.arg[0] = xtcp_fastopen_connect_flags(sl);
        rc = xtcp_call(x, &c);
        if (rc != 0)
            return rc < 0 ? rc : 0; /* the SYN waits for the first write */
        if (!xtcp_blocking(sl, 0)) {
            atomic_fetch_or(&sl->oflags, (uint32_t)XT_OFLAG_CONNECT);
            return -EINPROGRESS; /* also when the outcome is known by now: Linux tells it by SO_ERROR only */
        }
    } else {
        early = -EALREADY;
        if (!xtcp_blocking(sl, 0))
            return early;
    }
    return xtcp_finish_connect(x, s, sl, early);
}

/* For the application there is no TIME_WAIT, as in Linux. */
static bool is_over(struct xt_slot *sl)
{
    uint32_t state = atomic_load(&sl->state);
    return state == XT_CLOSED || state == XT_TIME_WAIT;
}

XTCP_API int xtcp_shutdown(struct xtcp *x, int s, int how)
{
    struct xtcp_cmd c = {.op = XT_OP_SHUTDOWN, .slot = s, .arg = {(uint64_t)(uint32_t)how}};
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    bool over = atomic_load(&sl->state) == XT_TIME_WAIT; /* before: this very call may bring that about */
    int rc = xtcp_call(x, &c);
    return rc == 0 && over ? -ENOTCONN : rc;
}

bool xtcp_others_hold(const struct xtcp *x, int s)
{
    for (uint32_t p = 0; p < x->region->max_procs; p++) {
        const struct xt_proc *pr = (const struct xt_proc *)(void *)(x->base + x->region->procs_off) + p;
        xt_bitword *hold = (void *)(x->base + x->region->hold_off + p * x->region->hold_stride);
        if (p != x->proc && atomic_load((_Atomic uint32_t *)&pr->state) != XT_PROC_FREE &&
            atomic_load(&hold[(uint32_t)s / 64]) & 1ULL << (s % 64))
            return true;
    }
    return false;
}

static bool drained(struct xt_slot *sl, void *unused)
{
    uint32_t state = atomic_load_explicit(&sl->state, memory_order_acquire);
    return state == XT_CLOSED || state == XT_FIN_WAIT2 || state == XT_TIME_WAIT || atomic_load(&sl->so_error);
}

/* SO_LINGER with a time: the last close waits for its data to be acknowledged, whether the socket blocks or not. With data unread it
 * is a reset, which nobody waits for. */
static void linger(struct xtcp *x, int s, struct xt_slot *sl)
{
    uint32_t seconds = xtcp_rare(x, sl)->linger, most = UINT32_MAX / 1000;
    bool unread = atomic_load(&sl->rx_head) != atomic_load(&sl->rx_tail);
    if (seconds <= 1 || unread || !(atomic_load(&sl->cond) & XT_COND_CONNECTED) || xtcp_others_hold(x, s))
        return;
    struct xtcp_cmd c = {.op = XT_OP_SHUTDOWN, .slot = s, .arg = {SHUT_RDWR}};
    if (xtcp_call(x, &c) == 0)
        xtcp_wait(x, s, drained, NULL, xtcp_deadline(seconds - 1 < most ? (seconds - 1) * 1000 : most * 1000));
}

struct closing {
    struct xtcp *x;
    int s;
};

/* The end of a close, also of one whose thread was cancelled while it lingered. */
static void let_go(void *arg)
{
    const struct closing *c = arg;
    struct xtcp *x = c->x;
    XTCP_NO_CANCEL();
    if (atomic_load_explicit(&x->slots[c->s].oflags, memory_order_relaxed) & (uint32_t)XT_OFLAG_SIGNALS)
        xtcp_async_end(x, c->s);
    atomic_fetch_and(&x->hold[(uint32_t)c->s / 64], ~(1ULL << (c->s % 64)));
    xtcp_mark(x, c->s);
}

XTCP_API int xtcp_close(struct xtcp *x, int s)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    struct closing c = {x, s};
    atomic_fetch_and(&x->known[(uint32_t)s / 64], ~(1ULL << (s % 64))); /* a fork meanwhile does not have it */
    pthread_cleanup_push(let_go, &c);
    linger(x, s, sl);
    pthread_cleanup_pop(1);
    return 0;
}

/* ---- what it looks like ---- */

XTCP_API int xtcp_getsockname(struct xtcp *x, int s, struct sockaddr *addr, socklen_t *alen)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    xtcp_settle_connect(x, s, sl);
    const struct xt_endpoint local = xt_slot_local(sl);
    return xtcp_to_sockaddr(&local, addr, alen);
}

XTCP_API int xtcp_getpeername(struct xtcp *x, int s, struct sockaddr *addr, socklen_t *alen)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    uint32_t cond = atomic_load_explicit(&sl->cond, memory_order_acquire);
    if (!(cond & XT_COND_CONNECTED) || is_over(sl))
        return -ENOTCONN;
    const struct xt_endpoint remote = xt_slot_remote(sl);
    return xtcp_to_sockaddr(&remote, addr, alen);
}

static int set_flag(const struct xtcp *x, int s, uint32_t flag, bool on)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    if (on)
        atomic_fetch_or(&sl->oflags, flag);
    else
        atomic_fetch_and(&sl->oflags, ~flag);
    return 0;
}

XTCP_API int xtcp_set_nonblock(struct xtcp *x, int s, bool on)
{
    return set_flag(x, s, O_NONBLOCK, on);
}

XTCP_API int xtcp_set_async(struct xtcp *x, int s, bool on)
{
    return set_flag(x, s, O_ASYNC, on);
}

XTCP_API bool xtcp_get_async(struct xtcp *x, int s)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    return sl && atomic_load(&sl->oflags) & (uint32_t)O_ASYNC;
}

XTCP_API bool xtcp_get_nonblock(struct xtcp *x, int s)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    return sl && atomic_load(&sl->oflags) & (uint32_t)O_NONBLOCK;
}

static bool space(struct xt_slot *sl)
{
    uint64_t free = xtcp_tx_free(sl), size = atomic_load_explicit(&sl->tx_size, memory_order_relaxed);
    return size && free >= (size - free) / 2 &&
           (__builtin_expect(!sl->notsent_lowat, 1) || xtcp_notsent(sl) * 2 < xtcp_notsent_limit(sl));
}

bool xtcp_tx_writable(struct xt_slot *sl)
{
    if (space(sl))
        return true;
    atomic_fetch_or(&sl->want, (uint32_t)XT_WANT_SPACE);
    /* Pairs with the daemon's fence between tx_tail, tx_sent and its look at `want`. */
    atomic_thread_fence(memory_order_seq_cst);
    return space(sl);
}

static unsigned data_mask(const struct xtcp *x, struct xt_slot *sl, uint32_t cond)
{
    unsigned m = 0;
    /* As Linux: never more than half of what there is room for. */
    uint64_t lowat = xtcp_rare(x, sl)->rcvlowat, half = atomic_load_explicit(&sl->rx_size, memory_order_relaxed) / 2;
    lowat = lowat > half ? half : lowat;
    lowat = lowat > 1 ? lowat : 1;
    if (cond & XT_COND_RDHUP)
        m |= POLLIN | POLLRDNORM | POLLRDHUP;
    else if (xtcp_rx_avail(sl) >= lowat)
        m |= POLLIN | POLLRDNORM;
    if (cond & XT_COND_HUP)
        m |= POLLHUP;
    if (cond & XT_COND_WRSHUT || xtcp_tx_writable(sl))
        m |= POLLOUT | POLLWRNORM;
    uint64_t urg = atomic_load_explicit(&sl->rx_urg, memory_order_acquire);
    if (cond & XT_COND_URGENT && atomic_load(&sl->urg_read) != urg && atomic_load(&sl->rx_tail) < urg)
        m |= POLLPRI;
    return m;
}

unsigned xtcp_slot_mask(struct xtcp *x, struct xt_slot *sl)
{
    if (!xtcp_alive(x)) /* a listener has told it once: see xtcp_accept() */
        return atomic_load(&sl->oflags) & (uint32_t)XT_OFLAG_GONE
                   ? 0
                   : POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP | POLLRDNORM | POLLWRNORM;
    uint32_t cond = atomic_load_explicit(&sl->cond, memory_order_acquire);
    bool told = atomic_load_explicit(&sl->so_error, memory_order_relaxed) || xtcp_has_completions(x, sl);
    unsigned err = told ? POLLERR : 0;
    if (cond & XT_COND_LISTEN)
        return atomic_load_explicit(&sl->acc_head, memory_order_acquire) !=
                       atomic_load_explicit(&sl->acc_tail, memory_order_relaxed)
                   ? POLLIN | POLLRDNORM
                   : 0;
    if (xtcp_is_relayed(sl))
        return XTCP_MOVED;
    if (cond & XT_COND_DEFERRED)
        return err | POLLOUT | POLLWRNORM; /* the first write connects */
    if (cond & XT_COND_CONNECTING)
        return err;
    if (!(cond & (XT_COND_CONNECTED | XT_COND_RDHUP | XT_COND_WRSHUT)) || xtcp_is_failed(sl, cond))
        return err | POLLOUT | POLLWRNORM | POLLHUP;
    return err | data_mask(x, sl, cond);
}

XTCP_API unsigned xtcp_mask(struct xtcp *x, int s)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    return sl ? xtcp_slot_mask(x, sl) : POLLNVAL;
}
