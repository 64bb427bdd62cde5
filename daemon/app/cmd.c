/* SPDX-License-Identifier: Apache-2.0
 * Commands from waiters' mailboxes. Each word of a command is loaded once. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"
#include "daemon/base/log.h"

struct cmd {
    uint32_t op, slot, proc, seq;
    bool again; /* perhaps carried out before by a stack process that died before it answered */
    uint16_t port;
    struct xt_addr addr;
    uint64_t arg[2];
    struct xt_waiter *box;
    struct xt_pwaiter *pw;
};

static bool may_bind(const struct xt_session *s, uint16_t port)
{
    return port == 0 || port >= 1024 || s->uid == 0 || s->l->low_ports;
}

static void release_dirty(void *arg, uint32_t i)
{
    struct xt_session *s = arg;
    if (!s->lied)
        xt_app_slot_dirty(s, i);
}

/* Looks at all closes and deaths that happened before: who closes a listener, or waits for its last holder to end, and binds again at
 * once must find the port free. */
void xt_app_settle_closes(struct xt_app *a)
{
    for (uint32_t n = 0; n < a->sessions_high; n++) {
        struct xt_session *s = a->sessions[n];
        while (s && s->sweeping)
            xt_app_sweep(s);
        if (s && !s->ended)
            xt_bitmap_take_some(s->dirty, s->max_slots, XT_DIRTY_BUDGET, release_dirty, s);
    }
    xt_app_publish(a);
}

/* The socket of a command may have been let go of meanwhile: a client can do that while it waits for the answer. */
static bool settled(struct xt_session *s, uint32_t i)
{
    uint32_t gen = s->ps[i].gen;
    xt_app_settle_closes(s->app);
    return !s->lied && xt_app_is_used(s, i) && s->ps[i].gen == gen && !s->ps[i].orphan;
}

/* getsockname shows 0.0.0.0 until there is a connection. */
static void show_bound(struct xt_session *s, uint32_t i, const struct xt_addr *wanted)
{
    const struct xt_endpoint shown = {.addr = *wanted, .port = xt_app_rare(s, i)->local.port};
    xt_app_show_local(&s->slots[i], &shown);
}

static int bind_local(struct xt_session *s, uint32_t i, const struct xt_endpoint *want, uint64_t claim)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_endpoint local = *want;
    int rc = xt_stack_bind(s->app->stack, &local, xt_app_claim(s, claim));
    if (rc == -EADDRINUSE) {
        if (!settled(s, i))
            return -EBADF;
        local = *want;
        rc = xt_stack_bind(s->app->stack, &local, xt_app_claim(s, claim));
    }
    if (rc < 0)
        return rc;
    struct xt_prare *r = xt_app_rare_own(s, i);
    r->claim = claim & XT_CLAIM_ALL;
    r->any_local = xt_addr_is_any(&want->addr);
    r->local = local;
    XT_CRASH_POINT();
    atomic_signal_fence(memory_order_seq_cst);
    p->bound = true;
    XT_CRASH_POINT();
    show_bound(s, i, &want->addr);
    return 0;
}

static int hold_new(const struct xt_session *s, const struct cmd *c, uint32_t i)
{
    atomic_fetch_or(&xt_app_hold(s, c->proc)[i / 64], 1ULL << (i % 64));
    return (int)i;
}

/* A new socket, once more when closes that happened before have been looked at. */
static int new_slot(struct xt_session *s, uint32_t *i)
{
    int rc = xt_app_slot_new(s, i);
    if (rc < 0) {
        xt_app_settle_closes(s->app);
        rc = xt_app_slot_new(s, i);
    }
    if (rc < 0 && xt_user_has_socket(s))
        return xt_app_used_up(s, "sockets of its own", "max-sockets", rc);
    if (rc < 0) {
        xt_user_refused_socket(s);
        return rc;
    }
    return 0;
}

/* Some in advance, as many as there are: to `spares` go their number and they. */
static void new_spares(struct xt_session *s, uint64_t wanted, uint32_t *spares)
{
    uint32_t n = 0;
    for (uint32_t i; n < wanted && n < XT_SPARES && xt_user_has_socket(s) && xt_app_slot_new(s, &i) == 0; n++)
        spares[1 + n] = i;
    spares[0] = n;
}

/* They are the caller's only now: a process that died before has left some that nobody holds. Its own word is enough to hold on to
 * what was made for a command that is carried out again: it can but keep more of its own. */
static void hold_spares(const struct xt_session *s, const struct cmd *c, const volatile uint32_t *spares)
{
    for (uint32_t k = 0, n = spares[0]; k < n && k < XT_SPARES; k++) {
        uint32_t i = spares[1 + k];
        if (xt_app_is_used(s, i) && s->ps[i].kind == XT_SLOT_FRESH)
            hold_new(s, c, i);
    }
}

static int make_socket(struct xt_session *s, const struct cmd *c, uint64_t spares)
{
    uint32_t i = c->pw->made, *data = (uint32_t *)(void *)c->box->data;
    if (!c->again || c->pw->made_seq != c->seq || !xt_app_is_used(s, i) || s->ps[i].kind != XT_SLOT_FRESH) {
        int rc = new_slot(s, &i);
        if (rc < 0)
            return rc;
        if (spares)
            new_spares(s, spares, data);
        c->pw->made = i;
        atomic_signal_fence(memory_order_seq_cst);
        c->pw->made_seq = c->seq;
        XT_CRASH_POINT();
    }
    if (spares)
        hold_spares(s, c, data);
    return hold_new(s, c, i);
}

static int cmd_socket(struct xt_session *s, const struct cmd *c)
{
    return make_socket(s, c, c->arg[0]);
}

static bool was_bound(const struct xt_session *s, uint32_t i, const struct cmd *c)
{
    const struct xt_pslot *p = &s->ps[i];
    const struct xt_prare *r = xt_app_rare(s, i);
    return p->kind == XT_SLOT_FRESH && p->bound && (c->port == 0 || c->port == r->local.port) &&
           (xt_addr_is_any(&c->addr) ? r->any_local : xt_addr_eq(&c->addr, &r->local.addr));
}

static int cmd_bind(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    if (c->again && was_bound(s, i, c)) {
        show_bound(s, i, &c->addr);
        return 0;
    }
    if (s->ps[i].kind != XT_SLOT_FRESH || s->ps[i].bound)
        return -EINVAL;
    if (!may_bind(s, c->port))
        return -EACCES;
    struct xt_endpoint local = {.addr = c->addr, .port = c->port};
    return bind_local(s, i, &local, c->arg[0]);
}

static uint32_t backlog_of(const struct xt_app *a, uint64_t wanted)
{
    if (wanted > a->cfg.somaxconn) /* negative values of listen() are the largest, as on Linux */
        return a->cfg.somaxconn;
    return wanted ? (uint32_t)wanted : 1;
}

static int cmd_listen(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    struct xt_app *a = s->app;
    struct xt_pslot *p = &s->ps[i];
    struct xt_conn *l;
    if (p->kind != XT_SLOT_FRESH && p->kind != XT_SLOT_LISTEN)
        return -EINVAL;
    struct xt_prare *r = xt_app_rare_own(s, i);
    if (r->claim & XT_APP_CLAIM_RETIRED)
        return -EINVAL;
    r->backlog = backlog_of(a, c->arg[0]);
    if (p->kind == XT_SLOT_LISTEN)
        return 0;
    const struct xt_endpoint any = {.addr = xt_addr_v4(0)};
    int rc = p->bound ? 0 : bind_local(s, i, &any, r->claim);
    if (rc < 0)
        return rc;
    rc = xt_stack_listen(a->stack, &r->local, xt_app_claim(s, r->claim), a->now_us, &l);
    if (rc == -EADDRINUSE) {
        if (!settled(s, i))
            return -EBADF;
        rc = xt_stack_listen(a->stack, &r->local, xt_app_claim(s, r->claim), a->now_us, &l);
    }
    if (rc < 0)
        return xt_app_refused(s, rc);
    XT_CRASH_POINT();
    l->session = s->id;
    l->slot = i;
    XT_CRASH_POINT();
    l->rx_size = p->rcvbuf; /* what a child offers before it has its rings */
    l->tx_size = p->sndbuf;
    p->conn = l->index;
    p->conn_gen = l->gen;
    xt_app_opts_apply(s, i, l);
    if (!xt_app_listener_begin(s, i)) {
        xt_stack_close(a->stack, l, a->now_us);
        p->conn = XT_NO_CONN;
        return xt_app_no_memory(s);
    }
    xt_stack_fastopen_listen(a->stack, l, &r->fo);
    atomic_store(&s->slots[i].state, XT_LISTEN);
    atomic_store_explicit(&s->slots[i].cond, (uint16_t)p->cond, memory_order_release);
    return 0;
}

static int cmd_connect(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    const struct xt_endpoint to = {.addr = c->addr, .port = c->port};
    return xt_app_connect(s, i, &to, c->arg[0], c->again);
}

static int cmd_open(struct xt_session *s, const struct cmd *c)
{
    uint32_t made = c->pw->made;
    bool was_made = c->again && c->pw->made_seq == c->seq && xt_app_is_used(s, made);
    int i = was_made ? hold_new(s, c, made) : make_socket(s, c, 0);
    if (i < 0)
        return i;
    XT_CRASH_POINT();
    int32_t rc = cmd_connect(s, (uint32_t)i, c);
    memcpy(c->box->data, &rc, sizeof rc);
    return i;
}

static int cmd_shutdown(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_app *a = s->app;
    bool rd = c->arg[0] != SHUT_WR, wr = c->arg[0] != SHUT_RD;
    if (c->arg[0] > SHUT_RDWR)
        return -EINVAL;
    if (p->kind == XT_SLOT_LISTEN) {
        if (rd) {
            xt_app_listener_end(s, i);
            p->cond = 0;
            xt_app_changed(s, i, true);
        }
        return 0;
    }
    if (p->kind != XT_SLOT_CONN)
        return c->again ? 0 : -ENOTCONN;
    if (p->cond & (XT_COND_CONNECTING | XT_COND_DEFERRED)) { /* Linux disconnects */
        xt_stack_abort(a->stack, xt_app_conn(s, p), a->now_us);
        p->cond = XT_COND_ERROR;
        p->pending_error = ECONNRESET;
        return 0;
    }
    if (!xt_app_slot_pull(s, i)) /* the FIN comes after what is queued */
        return -ECONNABORTED;
    struct xt_conn *conn = xt_app_conn(s, p);
    p->cond |= (rd ? XT_COND_RDHUP : 0u) | (wr ? XT_COND_WRSHUT : 0u);
    if ((p->cond & (XT_COND_RDHUP | XT_COND_WRSHUT)) == (XT_COND_RDHUP | XT_COND_WRSHUT))
        p->cond |= XT_COND_HUP;
    XT_CRASH_POINT();
    if (rd && conn)
        xt_tcp_shutdown_rd(conn);
    if (wr && conn)
        xt_stack_shutdown(a->stack, conn, a->now_us);
    xt_app_publish_now(s, i);
    xt_app_changed(s, i, true);
    return 0;
}

static int cmd_disconnect(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    return xt_app_disconnect(s, i, c->again);
}

/* The slot is written anew, whatever was there. */
static int cmd_news(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    if (s->ps[i].kind == XT_SLOT_CONN)
        xt_app_rings_show(s, i);
    xt_app_changed(s, i, true);
    return 0;
}

static int cmd_info(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    struct xt_tcp_info_abi o;
    xt_app_info(s, i, &o);
    memcpy(c->box->data, &o, sizeof o);
    return 0;
}

static int cmd_grow_tx(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    struct xt_pslot *p = &s->ps[i];
    (void)c;
    if (p->kind != XT_SLOT_CONN)
        return -ENOTCONN;
    if (atomic_load(&s->slots[i].tx_lock) == XT_LOCK_RELAY)
        return -EREMOTE;         /* from a process that is gone: the relay writes the ring now */
    if (!xt_app_slot_pull(s, i)) /* what is in the ring moves with it */
        return -ECONNABORTED;
    struct xt_conn *conn = xt_app_conn(s, p);
    return conn ? xt_app_tx_grow(s, i, conn) : -ENOTCONN;
}

static int cmd_setopt(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    if (c->port && c->port != (uint16_t)s->ps[i].gen)
        return 0; /* nobody waited for it, and its socket was closed meanwhile */
    return xt_app_set_option(s, i, c->arg[0], c->arg[1], c->box->data);
}

static int cmd_fo_keys(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    return xt_app_cmd_fo_keys(s, i, c->arg[0], c->box);
}

static int cmd_getopt(struct xt_session *s, uint32_t i, const struct cmd *c)
{
    return c->arg[0] == XT_SO_IP_OPTIONS ? xt_app_get_ip_options(s, i, c->box->data) : -ENOPROTOOPT;
}

static int run(struct xt_session *s, const struct cmd *c)
{
    static int (*const ops[XT_OP_MAX])(struct xt_session *, uint32_t, const struct cmd *) = {
        [XT_OP_BIND] = cmd_bind,
        [XT_OP_LISTEN] = cmd_listen,
        [XT_OP_CONNECT] = cmd_connect,
        [XT_OP_SHUTDOWN] = cmd_shutdown,
        [XT_OP_SETOPT] = cmd_setopt,
        [XT_OP_INFO] = cmd_info,
        [XT_OP_GROW_TX] = cmd_grow_tx,
        [XT_OP_NEWS] = cmd_news,
        [XT_OP_GETOPT] = cmd_getopt,
        [XT_OP_FO_KEYS] = cmd_fo_keys,
        [XT_OP_DISCONNECT] = cmd_disconnect,
    };
    if (c->op == XT_OP_NOP)
        return 0;
    if (c->op == XT_OP_SOCKET)
        return cmd_socket(s, c);
    if (c->op == XT_OP_OPEN)
        return cmd_open(s, c);
    if (c->op >= XT_OP_MAX)
        return -ENOSYS;
    if (!xt_app_is_used(s, c->slot) || s->ps[c->slot].orphan || s->ps[c->slot].pending)
        return -EBADF;
    xt_app_connect_wanted(s, c->slot); /* it came before this command */
    return ops[c->op](s, c->slot, c);
}

void xt_app_cmd(struct xt_session *s, uint32_t w)
{
    struct xt_pwaiter *pw = &s->pw[w];
    struct xt_waiter *box = &s->waiters[w];
    if (s->lied || atomic_load_explicit(&pw->state, memory_order_acquire) != XT_WAITER_LIVE ||
        !xt_ledger_is_live(s->l, pw->proc))
        return;
    uint32_t seq = atomic_load_explicit(&box->cmd_seq, memory_order_acquire); /* pairs with the client's release */
    if (seq == pw->cmd_seen)
        return;
    pw->cmd_seen = seq;
    XT_CRASH_POINT();
    const volatile struct xt_waiter *in = box;
    struct cmd c = {
        .op = in->op, .slot = in->slot, .proc = pw->proc, .seq = seq, .port = in->port, .box = box, .pw = pw};
    c.again = s->again[w / 64] >> (w % 64) & 1;
    s->again[w / 64] &= ~(1ULL << (w % 64));
    for (unsigned k = 0; k < sizeof c.addr.b; k++)
        c.addr.b[k] = in->addr.b[k];
    c.arg[0] = in->arg[0];
    c.arg[1] = in->arg[1];
    box->result = run(s, &c);
    XT_CRASH_POINT();
    atomic_store_explicit(&box->done_seq, seq, memory_order_release); /* the answer is complete */
    XT_CRASH_POINT();
    xt_app_touch(s, w);
}
