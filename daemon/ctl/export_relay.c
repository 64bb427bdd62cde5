/* SPDX-License-Identifier: Apache-2.0
 * The bytes of exported sockets, between their ends and the rings: never waits, a bounded piece at a time. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "daemon/base/log.h"
#include "daemon/ctl/export_internal.h"
#include "daemon/ctl/foreign.h"

#define ROUNDS 8            /* pieces moved each way before others get their turn */
#define KEEPER_MS 5000      /* that a keeper may take at most: this thread waits for it, and it needs but a processor */
#define LONGEST_RETRY_MS 64 /* for a process that never ends its copy */

/* ---- moving bytes ---- */

static void drop_fd(void *foreign, int fd)
{
    xt_foreign_close(foreign, fd);
}

static ssize_t put(int b, struct mmsghdr *h)
{
    int n;
    do
        n = sendmmsg(b, h, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (ssize_t)h->msg_len;
}

/* Descriptors may come along; a socket of TCP carries none. */
static ssize_t move(struct xt_export *e, const struct iovec iov[2], uint8_t way)
{
    struct xt_relay *r = &e->home->relay;
    struct mmsghdr *h = &e->entry->h;
    xt_relay_move_begin(r, e->entry, way, iov);
    ssize_t n =
        way == XT_MOVE_OUT ? put(e->b, h) : xt_msg_recv_bytes(e->b, h, MSG_DONTWAIT, drop_fd, e->home->ctl->foreign);
    xt_relay_move_end(r, e->entry);
    return n;
}

/* From the connection to the holders of `a`. Returns the events to wait for, or -EPROTO. */
static int pump_out(struct xt_export *e)
{
    struct xt_relay *r = &e->home->relay;
    for (unsigned i = 0; i < ROUNDS && !e->eof_out; i++) {
        struct iovec iov[2];
        uint32_t cond =
            xt_relay_cond(r, e->slot); /* before the look at the ring: RDHUP comes with or after the last byte */
        ssize_t n = xt_relay_unread(r, e->slot, iov);
        if (n < 0)
            return (int)n;
        if (n == 0 && cond & XT_COND_RDHUP && !(cond & XT_COND_CONNECTING)) {
            shutdown(e->b, SHUT_WR);
            e->eof_out = true;
        }
        if (n == 0)
            return 0;
        ssize_t done = move(e, iov, XT_MOVE_OUT);
        if (done == -EAGAIN || done == -ENOBUFS || done == -ENOMEM)
            return UV_WRITABLE;
        if (done < 0)
            xt_relay_consumed(r, e->slot, (size_t)n); /* nobody will read it: it is taken away */
    }
    return e->eof_out ? 0 : UV_WRITABLE;
}

/* The connection takes nothing any more, not by the holders' own wish. */
static bool is_over(uint32_t cond)
{
    return cond & XT_COND_WRSHUT || !(cond & (XT_COND_CONNECTED | XT_COND_CONNECTING));
}

/* From the holders to the connection. Likewise. */
static int pump_in(struct xt_export *e)
{
    struct xt_relay *r = &e->home->relay;
    bool asked = false;
    for (unsigned i = 0; i < ROUNDS && !e->eof_in; i++) {
        struct iovec iov[2];
        uint32_t cond = xt_relay_cond(r, e->slot);
        if (cond & XT_COND_CONNECTING)
            return 0;
        if (is_over(cond)) {
            shutdown(e->b, SHUT_RD); /* who writes on gets EPIPE */
            e->eof_in = e->finished = true;
            return 0;
        }
        ssize_t n = xt_relay_room(r, e->slot, iov);
        if (n < 0)
            return (int)n;
        if (n == 0 && asked)
            return 0; /* news will come */
        if (n == 0) {
            xt_relay_want_room(r, e->slot);
            asked = true;
            continue;
        }
        ssize_t got = move(e, iov, XT_MOVE_IN);
        if (got == -EAGAIN)
            return UV_READABLE;
        if (got == -ECONNRESET)
            continue; /* the last holder left something unread: said once, before what it has written */
        e->eof_in = got <= 0;
    }
    return e->eof_in ? 0 : UV_READABLE;
}

static bool hung_up(int b)
{
    struct pollfd p = {.fd = b};
    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void on_event(uv_poll_t *h, int status, int events);

void xt_export_watch(struct xt_export *e, int events)
{
    if (events)
        uv_poll_start(&e->poll, events, on_event);
    else
        uv_poll_stop(&e->poll);
}

static void retry_soon(struct xt_exporter *x);
static void on_slot_news(void *arg, uint32_t slot);

/* What the other side must be told by the data plane; false: later. */
static bool tell(struct xt_export *e)
{
    struct xt_relay *r = &e->home->relay;
    if (!e->announced)
        e->announced = xt_relay_command(r, XT_OP_NEWS, e->slot, 0);
    if (e->announced && e->eof_in && !e->finished)
        e->finished = xt_relay_command(r, XT_OP_SHUTDOWN, e->slot, SHUT_WR);
    return e->announced && (!e->eof_in || e->finished);
}

/* Nobody is left on either side, but for bytes on their way. */
static bool is_abandoned(const struct xt_export *e)
{
    return e->home->left && hung_up(e->b);
}

static void pump(struct xt_export *e)
{
    int out = pump_out(e), in = out < 0 ? out : pump_in(e);
    if (in < 0) {
        xt_log_limited(XT_LOG_WARN, "control: an impossible ring of an exported socket: it is closed");
        xt_export_close(e, false);
        return;
    }
    /* All that the holders wrote has been taken, and there are none. A descriptor kept here is one. */
    if (e->eof_in && hung_up(e->b)) {
        xt_export_close(e, false);
        return;
    }
    if (!tell(e))
        retry_soon(e->home);
    if (is_abandoned(e))
        retry_soon(e->home);
    /* UV_PRIORITIZED never comes itself, but a hang-up is told with it. Once is enough: it would come again and again while there is
     * no room for what is left. */
    xt_export_watch(e, out | in | (hung_up(e->b) ? 0 : UV_PRIORITIZED));
}

/* ---- taking over ---- */

void xt_export_activate(struct xt_export *e)
{
    if (e->active || e->closing || e->listener) /* it waits for who joins */
        return;
    e->wanted = e->entry->wanted = true;
    if (!xt_relay_take(&e->home->relay, e->slot, e->home->left)) {
        xt_export_watch(e, 0);
        retry_soon(e->home);
        return;
    }
    e->active = true;
    e->home->retry_ms = XT_EXPORT_RETRY_MS;
    pump(e);
}

void xt_export_left(struct xt_export *e)
{
    xt_export_drop_kept(e);
    if (e->active)
        retry_soon(e->home); /* the hang-up may have been told before */
    else
        xt_export_activate(e);
}

/* A client may set bits as it likes: what is more than a budget has to wait. */
static void take_news(struct xt_exporter *x)
{
    if (xt_relay_news(&x->relay, on_slot_news, x))
        retry_soon(x);
}

static void on_retry(uv_timer_t *h)
{
    struct xt_exporter *x = h->data;
    struct xt_export *e, *next;
    x->retry_ms = x->retry_ms < LONGEST_RETRY_MS ? x->retry_ms * 2 : LONGEST_RETRY_MS;
    take_news(x);
    for (e = LIST_FIRST(&x->exports); e; e = next) {
        next = LIST_NEXT(e, link);
        if (e->wanted && !e->active) {
            xt_export_activate(e);
        } else if (e->active && is_abandoned(e) && !xt_relay_holds(&x->relay, e->slot)) {
            xt_export_close(e, false); /* it was no socket, whatever was claimed: no news of it would ever come */
        } else if (e->active && is_abandoned(e)) {
            xt_relay_again(&x->relay, e->slot);
            pump(e);
        } else if (e->active && !tell(e))
            retry_soon(x);
    }
    xt_export_settle(x);
}

static void retry_soon(struct xt_exporter *x)
{
    if (!uv_is_active((uv_handle_t *)&x->retry))
        uv_timer_start(&x->retry, on_retry, x->retry_ms, 0);
}

static void on_event(uv_poll_t *h, int status, int events)
{
    struct xt_export *e = h->data;
    struct xt_exporter *x = e->home;
    if (e->listener) {
        if (hung_up(e->b))
            xt_export_close(e, false);
    } else if (e->active) {
        pump(e);
    } else if (hung_up(e->b)) {
        xt_export_close(e, false);
    } else {
        xt_export_activate(e);
    }
    xt_export_settle(x);
}

static void check_left(struct xt_export *e)
{
    if (e->kept < 0 || !xt_relay_alone(&e->home->relay, e->slot))
        return;
    xt_export_drop_kept(e);
    if (!e->listener)
        xt_export_activate(e);
    /* For listeners, and what cannot be taken at once, the hang-up comes as an event. */
}

static void end_if_left(struct xt_export *e)
{
    if (!e->active && hung_up(e->b))
        xt_export_close(e, false);
}

static void each_export(struct xt_ctl *c, void (*fn)(struct xt_export *e))
{
    struct xt_exporter *x, *xnext;
    struct xt_export *e, *next;
    for (x = LIST_FIRST(&c->exporters); x; x = xnext) {
        xnext = LIST_NEXT(x, link);
        for (e = LIST_FIRST(&x->exports); e; e = next) {
            next = LIST_NEXT(e, link);
            fn(e);
        }
        xt_export_settle(x);
    }
}

static void wait_for_keeper(const struct xt_ctl *c)
{
    if (c->cfg.keep.barrier)
        c->cfg.keep.barrier(KEEPER_MS);
}

void xt_export_look(struct xt_ctl *c)
{
    each_export(c, check_left);
    wait_for_keeper(c); /* until it has let go of their other ends, too */
    unsigned before = c->nexports;
    each_export(c, end_if_left);
    if (c->nexports != before)
        wait_for_keeper(c); /* and of what stood beside them */
}

static void on_slot_news(void *arg, uint32_t slot)
{
    struct xt_exporter *x = arg;
    struct xt_export *e;
    LIST_FOREACH(e, &x->exports, link)
    if (e->slot == slot)
        break;
    if (!e)
        return;
    check_left(e);
    if (e->active && !e->closing)
        pump(e);
}

static void on_news(uv_poll_t *h, int status, int events)
{
    struct xt_exporter *x = h->data;
    take_news(x);
    xt_export_settle(x);
}

void xt_export_start(struct xt_exporter *x)
{
    uv_poll_start(&x->news, UV_READABLE, on_news);
}
