/* SPDX-License-Identifier: Apache-2.0
 * Connecting: by a command, which tells how it began, or by a mark in the slot, which nobody waits for. */
#include <errno.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"
#include "daemon/base/log.h"

/* The program is told by its errno alone, and few say that; who looks for the cause looks into the log. */
int xt_app_used_up(const struct xt_session *s, const char *what, const char *setting, int rc)
{
    xt_log_limited(XT_LOG_WARN, "no %s left: refused to pid %d (%s), see the setting %s", what, s->pid, s->comm,
                   setting);
    return rc;
}

int xt_app_no_memory(struct xt_session *s)
{
    if (xt_user_has_memory(s))
        return xt_app_used_up(s, "buffers of its own", "arena", -ENOBUFS);
    xt_user_refused_memory(s);
    return -ENOBUFS;
}

/* What the stack has said to a new connection or listener. */
int xt_app_refused(const struct xt_session *s, int rc)
{
    if (rc == -ENOBUFS)
        return xt_app_used_up(s, "connections", "max-connections", rc);
    return rc == -EADDRNOTAVAIL ? xt_app_used_up(s, "ports to that address", "ports", rc) : rc;
}

struct prep {
    struct xt_session *s;
    uint32_t slot;
    uint8_t fo; /* what is wanted of Fast Open */
};

static void prepare_conn(void *arg, struct xt_conn *conn)
{
    struct prep *pr = arg;
    struct xt_pslot *p = &pr->s->ps[pr->slot];
    p->cond = XT_COND_CONNECTING;
    xt_app_slot_attach(pr->s, pr->slot, conn);
    conn->fo = pr->fo;
}

/* The SYN that waited for data goes. */
static int connect_go(struct xt_session *s, uint32_t i)
{
    struct xt_app *a = s->app;
    struct xt_pslot *p = &s->ps[i];
    if (p->kind != XT_SLOT_CONN)
        return -EISCONN;
    if (!(p->cond & XT_COND_DEFERRED))
        return 0; /* the stack process died before the answer */
    if (!xt_app_slot_pull(s, i))
        return -ECONNABORTED;
    p->cond = XT_COND_CONNECTING;
    atomic_store_explicit(&s->slots[i].cond, (uint16_t)p->cond, memory_order_release);
    xt_stack_fastopen_go(a->stack, xt_app_conn(s, p), a->now_us);
    return 0;
}

static uint8_t fo_wanted(uint64_t flags)
{
    if (!(flags & XT_CONNECT_FASTOPEN))
        return 0;
    return flags & XT_CONNECT_NO_COOKIE ? XT_FO_DATA : XT_FO_OPTION;
}

/* The remote end point that is meant; 0.0.0.0 is this host, as Linux takes it. */
static struct xt_endpoint remote_of(const struct xt_session *s, const struct xt_endpoint *to)
{
    struct xt_endpoint remote = *to;
    if (xt_addr_is_any(&remote.addr))
        remote.addr = xt_addr_v4(xt_stack_cfg(s->app->stack)->addr);
    return remote;
}

static bool was_connected(const struct xt_session *s, const struct xt_pslot *p, const struct xt_endpoint *to)
{
    const struct xt_conn *conn = p->kind == XT_SLOT_CONN ? xt_app_conn(s, p) : NULL;
    const struct xt_endpoint remote = remote_of(s, to);
    return conn && conn->remote.port == remote.port && xt_addr_eq(&conn->remote.addr, &remote.addr);
}

/* The connection, by a socket that is as new. */
static int begin(struct xt_session *s, uint32_t i, const struct xt_endpoint *to, uint64_t flags)
{
    struct xt_app *a = s->app;
    struct xt_pslot *p = &s->ps[i];
    struct xt_conn *conn;
    if (!xt_user_take_connect(s))
        return -ENOBUFS;
    if (!xt_app_slot_rings(s, i))
        return xt_app_no_memory(s);
    struct xt_endpoint remote = remote_of(s, to);
    struct xt_endpoint local = {.addr = xt_addr_v4(0)};
    if (p->bound)
        local = xt_app_rare(s, i)->local;
    xt_app_take_nodelay(s, i, NULL);
    struct prep pr = {s, i, fo_wanted(flags)};
    int rc = xt_stack_connect_options(a->stack, &local, &remote, &xt_app_rare(s, i)->ipopt, a->now_us, prepare_conn,
                                      &pr, &conn);
    if (rc < 0) {
        p->conn = XT_NO_CONN;
        return xt_app_refused(s, rc);
    }
    XT_CRASH_POINT();
    /* At once, not at the flush: the caller looks at them when it has its answer. */
    xt_app_show_local(&s->slots[i], &conn->local);
    uint32_t room = xt_stack_fastopen_room(conn);
    if (room)
        p->cond = XT_COND_DEFERRED;
    atomic_store(&s->slots[i].state, XT_SYN_SENT);
    atomic_store_explicit(&s->slots[i].cond, (uint16_t)p->cond, memory_order_release);
    return (int)room;
}

int xt_app_connect(struct xt_session *s, uint32_t i, const struct xt_endpoint *to, uint64_t flags, bool again)
{
    struct xt_app *a = s->app;
    struct xt_pslot *p = &s->ps[i];
    if (flags & XT_CONNECT_GO)
        return connect_go(s, i);
    if ((flags & XT_CONNECT_MUST) && !(xt_stack_cfg(a->stack)->tcp.fast_open & XT_FO_CLIENT))
        return -EOPNOTSUPP;
    if ((p->cond & XT_COND_DEFERRED) && (flags & XT_CONNECT_FASTOPEN))
        return (int)xt_stack_fastopen_room(xt_app_conn(s, p));
    if (again && was_connected(s, p, to))
        return 0;
    if (p->kind == XT_SLOT_CONN)
        return p->cond & XT_COND_CONNECTING ? -EALREADY : -EISCONN;
    if (p->kind == XT_SLOT_LISTEN || (p->kind == XT_SLOT_DEAD && p->cond & XT_COND_CONNECTED))
        return -EISCONN;
    if (to->port == 0)
        return -ECONNREFUSED;
    xt_app_slot_fresh(s, i, 0);
    int rc = begin(s, i, to, flags);
    if (rc < 0)
        xt_app_slot_fresh(s, i, 0);
    return rc;
}

/* No connection came of it: as one that was tried and failed. */
static void failed(struct xt_session *s, uint32_t i, int32_t err)
{
    struct xt_pslot *p = &s->ps[i];
    atomic_fetch_add(&s->region->refused, 1); /* from here on it asks first */
    p->pending_error = (int16_t)err;
    p->cond = XT_COND_ERROR | XT_COND_RDHUP | XT_COND_WRSHUT | XT_COND_HUP;
    xt_app_slot_kind(p, XT_SLOT_DEAD);
    XT_CRASH_POINT();
    xt_app_changed(s, i, true);
}

void xt_app_connect_wanted(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_slot *sh = &s->slots[i];
    if (!(atomic_load_explicit(&sh->want, memory_order_acquire) &
          XT_WANT_CONNECT)) /* then the peer's end point is complete */
        return;
    if (p->kind == XT_SLOT_FRESH) { /* else it is done: the process that did it died before it said so */
        const volatile struct xt_slot *in = sh;
        const struct xt_endpoint to = {.addr = xt_addr_v4(in->remote_be), .port = in->remote_port};
        /* The client shows CONNECTING already, and goes on to. */
        int rc = to.port ? begin(s, i, &to, 0) : -ECONNREFUSED;
        XT_CRASH_POINT();
        if (rc < 0)
            failed(s, i, -rc);
    }
    atomic_fetch_and(&sh->want, ~(uint32_t)XT_WANT_CONNECT);
}
