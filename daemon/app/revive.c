/* SPDX-License-Identifier: Apache-2.0
 * What another stack process has left is taken up: sessions by their ledgers, sockets by the connection records, which are always
 * whole (stack.h, struct xt_undo). A ledger may stop in the middle of a change, so all that the records, the slots or the accept
 * rings tell is taken from there, and what a client may have told or been told in vain is done once more. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"
#include "daemon/base/log.h"

/* The record of a slot, in use or just ended; NULL: none. */
static const struct xt_conn *last_record(const struct xt_session *s, uint32_t i)
{
    const struct xt_pslot *p = &s->ps[i];
    const struct xt_conn *c = p->conn == XT_NO_CONN ? NULL : xt_stack_record(s->app->stack, p->conn);
    return c && c->gen == p->conn_gen && c->session == s->id && c->slot == i ? c : NULL;
}

/* ---- the slots as such ---- */

static void count_slots(struct xt_session *s)
{
    for (uint32_t i = 0; i < s->l->slots_high; i++) {
        struct xt_pslot *p = &s->ps[i];
        if (p->kind > XT_SLOT_DEAD)
            p->kind = XT_SLOT_FREE;
        if (p->kind == XT_SLOT_FREE)
            continue;
        s->used[i / 64] |= 1ULL << (i % 64);
        s->nused++;
        if (p->kind != XT_SLOT_CONN && p->kind != XT_SLOT_LISTEN)
            p->conn = XT_NO_CONN; /* it has none yet, or none any more */
        p->changed = p->news = p->arrived = false;
        p->left = false;
        p->next = XT_NO_PSLOT;
        if (p->bound)
            xt_stack_rebind(s->app->stack, &xt_app_rare(s, i)->local, xt_app_claim(s, xt_app_rare(s, i)->claim));
    }
    xt_user_count_sockets(s, (int32_t)s->nused);
}

static bool take_rings(struct xt_session *s)
{
    uint32_t n = 0;
    struct xt_extent *e = calloc(3 * (size_t)s->nused + 1, sizeof *e);
    if (!e)
        xt_log_no_memory("a client that is taken over");
    for (uint32_t i = 0; i < s->l->slots_high; i++) {
        struct xt_pslot *p = &s->ps[i];
        if (p->kind == XT_SLOT_FREE)
            continue;
        xt_app_rings_revive(s, i, last_record(s, i));
        const struct xt_extent *own[] = {&p->rx, &xt_app_rare(s, i)->rx_old, &p->tx};
        for (unsigned k = 0; k < 3; k++)
            if (own[k]->size)
                e[n++] = *own[k];
    }
    bool ok = xt_arena_adopt(&s->arena, e, n);
    free(e);
    return ok;
}

/* ---- connections ---- */

/* The stack process died while it carried out what its client has marked: that begins anew (xt_app_connect_wanted). */
static bool is_half_begun(const struct xt_session *s, uint32_t i)
{
    return s->ps[i].kind == XT_SLOT_CONN &&
           atomic_load_explicit(&s->slots[i].want, memory_order_relaxed) & XT_WANT_CONNECT;
}

/* Its record is gone, or was never made. */
static void lost(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    const struct xt_conn *c = last_record(s, i);
    if (is_half_begun(s, i)) {
        p->kind = XT_SLOT_FRESH;
        p->conn = XT_NO_CONN;
        p->cond = 0;
        p->rx_head = p->rx_tail = p->tx_head = p->tx_tail = 0;
        xt_app_no_urgent(s, i);
        return;
    }
    if (c) {
        p->rx_head = c->rx_head;
        p->pending_error = (int16_t)c->err;
        p->cond |= c->cflags & XT_CF_FIN_RCVD ? XT_COND_FIN : 0u;
    } else if (p->kind == XT_SLOT_CONN) {
        p->pending_error = ECONNABORTED;
    }
    p->kind = XT_SLOT_DEAD;
    p->conn = XT_NO_CONN;
    p->cond &= ~(uint32_t)(XT_COND_CONNECTING | XT_COND_DEFERRED);
    p->cond |= XT_COND_RDHUP | XT_COND_WRSHUT | XT_COND_HUP | (p->pending_error ? XT_COND_ERROR : 0u);
    if (p->queued && p->pending) { /* nobody will ever accept it */
        p->queued = p->pending = false;
        p->orphan = true;
    }
}

/* Fit for the accept queue. */
static bool is_open(const struct xt_conn *c)
{
    return c->state > XT_SYN_RECV || (c->state == XT_SYN_RECV && (c->fo & XT_FO_CHILD));
}

static uint32_t conditions(const struct xt_session *s, uint32_t i, const struct xt_conn *c)
{
    const struct xt_pslot *p = &s->ps[i];
    uint32_t cond = p->cond & ~(uint32_t)(XT_COND_CONNECTING | XT_COND_DEFERRED);
    if (c->state == XT_SYN_SENT)
        cond |= c->fo & XT_FO_DEFER ? XT_COND_DEFERRED : XT_COND_CONNECTING;
    else if (is_open(c))
        cond |= XT_COND_CONNECTED;
    if (c->cflags & XT_CF_FIN_RCVD)
        cond |= XT_COND_RDHUP | XT_COND_FIN;
    if (xt_rx_urg(c) != xt_app_rare(s, i)->rx_urg)
        cond |= XT_COND_URGENT;
    if (c->err && !(cond & XT_COND_ERROR))
        cond |= XT_COND_ERROR | XT_COND_RDHUP | XT_COND_WRSHUT;
    if ((cond & (XT_COND_RDHUP | XT_COND_WRSHUT)) == (XT_COND_RDHUP | XT_COND_WRSHUT))
        cond |= XT_COND_HUP;
    return cond;
}

static void take_urgent(struct xt_session *s, uint32_t i, const struct xt_conn *c)
{
    uint64_t rx = xt_rx_urg(c), tx = xt_tx_urg(c);
    if (!rx && !xt_ledger_has_rare(&s->ps[i]))
        return;
    struct xt_prare *r = xt_app_rare_own(s, i);
    r->rx_urg = rx;
    r->tx_urg = tx < r->tx_urg ? tx : r->tx_urg;
}

/* The record's counters, not the ledger's: those may be ahead of what the core was told. */
static void take_conn(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_stack *st = s->app->stack;
    struct xt_conn *c = xt_app_conn(s, p);
    if (!c || c != last_record(s, i) || c->rx_size != p->rx.size || c->tx_size != p->tx.size) {
        lost(s, i);
        return;
    }
    uint32_t cond = conditions(s, i, c);
    if (cond & ~p->cond & XT_COND_ERROR)
        p->pending_error = (int16_t)c->err;
    p->cond = cond;
    p->rx_head = c->rx_head;
    p->rx_tail = c->rx_tail;
    p->tx_head = c->tx_head;
    p->tx_tail = c->tx_una < c->tx_head ? c->tx_una : c->tx_head;
    take_urgent(s, i, c);
    xt_app_rx_old_read(s, i);
    xt_app_slot_show(s, i, c);
    xt_stack_set_bufs(st, c, s->base + xt_extent_off(&p->rx), 0, s->base + xt_extent_off(&p->tx), 0);
    if (p->orphan && !(c->cflags & XT_CF_ORPHAN)) { /* the close was not carried out any more */
        if (p->linger == 0 || s->lied)
            xt_app_doom(s->app, c);
        else
            xt_stack_close(st, c, s->app->now_us);
    }
}

/* ---- listeners ---- */

static void link_child(struct xt_session *s, struct xt_prare *l, uint32_t q)
{
    if (l->acc_last == XT_NO_PSLOT)
        l->acc_first = q;
    else
        s->ps[l->acc_last].next = q;
    l->acc_last = q;
    s->ps[q].pending = false;
}

/* The queue is what stands in its ring, between what is known to be taken and what was put there. False: it cannot be. */
static bool take_queue(struct xt_session *s, uint32_t li)
{
    struct xt_prare *l = xt_app_rare_own(s, li);
    const struct xt_extent *e = &s->ps[li].tx;
    uint32_t entries = e->size / (uint32_t)sizeof(uint32_t);
    const volatile uint32_t *ring = (const volatile uint32_t *)(const void *)(s->base + xt_extent_off(e));
    if (!entries || l->acc_head - l->acc_tail > entries)
        return false;
    uint32_t at = l->acc_tail, end = l->acc_head;
    for (; at != end; at++) {
        uint32_t q = ring[at & (entries - 1)];
        bool ok = xt_app_is_used(s, q) && s->ps[q].queued && s->ps[q].prev_listener == li;
        if (!ok && l->acc_first == XT_NO_PSLOT)
            l->acc_tail++; /* it was being taken off the queue */
        else if (!ok || s->ps[q].next != XT_NO_PSLOT || q == l->acc_last)
            return false;
        else
            link_child(s, l, q);
    }
    return true;
}

static void take_listener(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    const struct xt_conn *c = xt_app_conn(s, p);
    if (!c || c != last_record(s, i) || c->state != XT_LISTEN) {
        lost(s, i);
        return;
    }
    struct xt_prare *l = xt_app_rare_own(s, i);
    l->acc_first = l->acc_last = XT_NO_PSLOT;
    l->next_listener = s->listeners;
    s->listeners = i;
    if (!take_queue(s, i))
        xt_app_liar(s, "kept accept queue", i);
}

/* A child of a listener that is not in its ring: to be, taken already, or never to be. */
static void take_child(struct xt_session *s, uint32_t i)
{
    struct xt_app *a = s->app;
    struct xt_pslot *p = &s->ps[i];
    struct xt_conn *c = xt_app_conn(s, p);
    struct xt_session *ls;
    uint32_t li;
    if (!p->queued || p->next != XT_NO_PSLOT)
        return;
    if (xt_app_is_used(s, p->prev_listener) && s->ps[p->prev_listener].kind == XT_SLOT_LISTEN &&
        xt_app_rare(s, p->prev_listener)->acc_last == i)
        return;
    if (!p->pending) {
        p->queued = false;
    } else if (c && is_open(c) && xt_app_listener_of(a, c, &ls, &li)) {
        xt_app_child_ready(a, c);
    } else if (!c || c->state != XT_SYN_RECV) {
        p->queued = p->pending = false;
        p->orphan = true;
        if (c)
            xt_app_doom(a, c);
    }
}

/* ---- the session ---- */

/* The daemon's own proc goes on (xt_relay_reopen), unless its waiter was not kept. */
static void take_relay(struct xt_session *s)
{
    uint32_t relay = atomic_load(&s->l->relay);
    if (relay && atomic_load(&s->pw[xt_ledger_relay_waiter(relay) % XT_MAX_WAITERS].state) == XT_WAITER_LIVE)
        return;
    atomic_store(&s->l->relay, 0);
    if (relay)
        atomic_fetch_and(&s->l->procs_live[xt_ledger_relay_proc(relay) / 64 % XT_PROC_WORDS],
                         ~(1ULL << (xt_ledger_relay_proc(relay) % 64)));
}

/* All that the client has said counts once more, and it is told all; whoever waited for a wake-up that never left gets one. */
static void say_all(struct xt_session *s)
{
    xt_bitmap_repair(s->dirty, s->max_slots);
    xt_bitmap_repair(s->cmd, XT_MAX_WAITERS);
    for (uint32_t i = 0; i < s->l->slots_high; i++)
        if (xt_app_is_used(s, i)) {
            xt_bitmap_set(s->dirty, i);
            if (!s->lied)
                xt_app_connect_wanted(s, i); /* before it is shown what is true without */
            xt_app_changed(s, i, true);
        }
    for (uint32_t w = 0; w < atomic_load(&s->l->waiters_high); w++) {
        if (atomic_load(&s->pw[w].state) != XT_WAITER_LIVE)
            continue;
        s->pw[w].cmd_seen = atomic_load(&s->waiters[w].done_seq);
        if (atomic_load(&s->waiters[w].cmd_seq) != s->pw[w].cmd_seen)
            s->again[w / 64] |= 1ULL << (w % 64);
        xt_bitmap_set(s->cmd, w);
        xt_bitmap_repair(xt_app_ready(s, w), s->max_slots);
        (void)!write(s->pw[w].wfd, "", 1); /* the new epoch announces this byte */
    }
}

static void revive(struct xt_app *a, struct xt_session *s)
{
    s->revive = false;
    take_relay(s);
    count_slots(s);
    bool ok = take_rings(s);
    for (uint32_t i = 0; i < s->l->slots_high; i++)
        if (s->ps[i].kind == XT_SLOT_CONN)
            take_conn(s, i);
    XT_CRASH_POINT();
    for (uint32_t i = 0; i < s->l->slots_high; i++)
        if (s->ps[i].kind == XT_SLOT_LISTEN)
            take_listener(s, i);
    XT_CRASH_POINT();
    for (uint32_t i = 0; i < s->l->slots_high; i++)
        if (s->ps[i].kind != XT_SLOT_FREE)
            take_child(s, i);
    if (!ok)
        xt_app_liar(s, "kept rings", 0);
    XT_CRASH_POINT();
    say_all(s);
    XT_CRASH_POINT();
    s->ended = s->lied || !xt_app_any_live(s);
    s->sweeping = s->ended;
    for (uint32_t k = 0; k < XT_PROC_WORDS; k++) {
        s->reap[k] = atomic_load(&s->l->procs_used[k]) & ~atomic_load(&s->l->procs_live[k]);
        s->sweeping |= s->reap[k] != 0;
    }
    a->stats.sessions_revived++;
}

static void count_none(struct xt_session *s)
{
    for (uint32_t i = 0; i < s->l->slots_high; i++)
        if (s->ps[i].kind == XT_SLOT_LISTEN)
            xt_app_rare_own(s, i)->syn_recv = 0;
}

static void count_child(void *arg, struct xt_conn *c)
{
    struct xt_session *s;
    uint32_t li;
    if ((c->flags & (XT_APP_CF_COUNTED | XT_APP_CF_DONE)) == XT_APP_CF_COUNTED && xt_app_listener_of(arg, c, &s, &li))
        xt_app_rare_own(s, li)->syn_recv++;
}

/* A record whose socket knows of it; one of nobody drains by itself, but a listener does not. */
static bool is_settled(struct xt_app *a, const struct xt_conn *c)
{
    const struct xt_session *s = xt_app_owner_of(a, c);
    if (c->state == XT_LISTEN)
        return s && s->ps[c->slot].kind == XT_SLOT_LISTEN;
    return s || c->session == 0;
}

/* Of a session that is no more, or without a socket that it could belong to. A child may have none yet: half open, or opened
 * when the listener's queue was not told any more. */
static void end_stray(void *arg, struct xt_conn *c)
{
    struct xt_app *a = arg;
    if (is_settled(a, c))
        return;
    if (c->listener != XT_NO_CONN && c->slot == UINT32_MAX && xt_app_session(a, c->session)) {
        if (c->state != XT_SYN_RECV)
            xt_app_child_ready(a, c);
        return;
    }
    a->stats.strays++;
    xt_app_doom(a, c);
}

static void each_record(struct xt_app *a, void (*fn)(void *arg, struct xt_conn *c))
{
    for (uint32_t cursor = 0; xt_stack_each(a->stack, &cursor, UINT32_MAX, fn, a);)
        ;
}

void xt_app_revive(struct xt_app *a, uint64_t now_us)
{
    a->now_us = now_us;
    for (uint32_t n = 0; n < a->sessions_high; n++)
        if (a->sessions[n] && a->sessions[n]->revive)
            count_none(a->sessions[n]);
    each_record(a, count_child);
    for (uint32_t n = 0; n < a->sessions_high; n++) {
        struct xt_session *s = a->sessions[n];
        if (!s || !s->revive)
            continue;
        if (a->bell_add)
            a->bell_add(a->bell_arg, s->doorbell, s->id);
        a->stats.sessions++;
        revive(a, s);
    }
    each_record(a, end_stray);
    xt_app_flush(a);
    xt_app_retire_soon(a); /* nobody knows how much of their time is left: they get it all */
    if (a->stats.sessions_revived || a->stats.strays)
        xt_log_info("taken over: %llu clients; reset: %llu connections", (unsigned long long)a->stats.sessions_revived,
                    (unsigned long long)a->stats.strays);
}
