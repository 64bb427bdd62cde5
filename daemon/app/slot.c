/* SPDX-License-Identifier: Apache-2.0
 * Sockets: from a free index to one, what clients write to it, and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"

int xt_app_slot_new(struct xt_session *s, uint32_t *out)
{
    uint32_t words = xt_user_has_socket(s) ? (uint32_t)xt_bitmap_words0(s->max_slots) : 0;
    for (uint32_t n = 0; n < words; n++) {
        uint32_t w = (s->hint + n) % words;
        uint32_t i = w * 64 + (uint32_t)(~s->used[w] ? __builtin_ctzll(~s->used[w]) : 64);
        if (!~s->used[w] || i >= s->max_slots)
            continue;
        struct xt_pslot *p = &s->ps[i];
        struct xt_slot *sh = &s->slots[i];
        uint32_t gen = p->gen + 1;
        if (i >= s->l->slots_high)
            s->l->slots_high = i + 1;
        memset(p, 0, sizeof *p);
        p->gen = gen;
        p->conn = XT_NO_CONN;
        p->linger = -1;
        p->sndbuf = s->app->cfg.sndbuf;
        p->rcvbuf = s->app->cfg.rcvbuf;
        p->next = XT_NO_PSLOT;
        if (atomic_load_explicit(&sh->more, memory_order_relaxed) & XT_MORE_RARE)
            memset((void *)&s->rares[i], 0, sizeof s->rares[i]);
        XT_CRASH_POINT();
        memset((void *)sh, 0, sizeof *sh);
        sh->gen = gen;
        XT_CRASH_POINT();
        xt_app_slot_kind(p, XT_SLOT_FRESH);
        XT_CRASH_POINT();
        s->used[w] |= 1ULL << (i % 64);
        s->nused++;
        xt_user_count_sockets(s, 1);
        s->hint = w;
        *out = i;
        return 0;
    }
    return -ENOBUFS;
}

void xt_app_slot_free(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    xt_app_rings_release(s, i);
    if (p->bound)
        xt_stack_unbind(s->app->stack, &xt_app_rare(s, i)->local, xt_app_rare(s, i)->claim);
    p->bound = false;
    XT_CRASH_POINT();
    p->kind = XT_SLOT_FREE;
    XT_CRASH_POINT();
    s->used[i / 64] &= ~(1ULL << (i % 64));
    s->nused--;
    xt_user_count_sockets(s, -1);
    if (i / 64 < s->hint)
        s->hint = i / 64; /* low indices first: fewer pages are touched */
}

void xt_app_slot_show(struct xt_session *s, uint32_t i, const struct xt_conn *c)
{
    const struct xt_pslot *p = &s->ps[i];
    struct xt_slot *sh = &s->slots[i];
    xt_app_show_local(sh, &c->local);
    sh->remote_be = xt_addr_to_v4(&c->remote.addr);
    sh->remote_port = c->remote.port;
    sh->rx_page = xt_extent_page(&p->rx);
    sh->tx_page = xt_extent_page(&p->tx);
    sh->rx_size = p->rx.size;
    sh->tx_size = p->tx.size;
}

/* A record that names its slot has the slot's rings: who takes over after a death in between relies on it. */
void xt_app_slot_attach(struct xt_session *s, uint32_t i, struct xt_conn *c)
{
    struct xt_pslot *p = &s->ps[i];
    p->moved_us = (uint32_t)s->app->now_us;
    xt_app_opts_apply(s, i, c);
    xt_stack_set_bufs(s->app->stack, c, s->base + xt_extent_off(&p->rx), p->rx.size, s->base + xt_extent_off(&p->tx),
                      p->tx.size);
    XT_CRASH_POINT();
    p->conn = c->index;
    p->conn_gen = c->gen;
    c->session = s->id;
    xt_app_slot_kind(p, XT_SLOT_CONN);
    XT_CRASH_POINT();
    c->slot = i;
    XT_CRASH_POINT();
    xt_app_slot_show(s, i, c);
}

/* A live process that holds the slot and is not `but`, or XT_MAX_PROCS. Of hundreds the one that did last time is likely to
 * do still. */
static uint32_t holder(const struct xt_session *s, uint32_t i, uint32_t but)
{
    uint32_t last = atomic_load_explicit(&s->ps[i].holder, memory_order_relaxed);
    if (last < XT_MAX_PROCS && last != but && xt_ledger_is_live(s->l, last) && xt_app_holds(s, last, i))
        return last;
    for (uint32_t k = 0; k < XT_PROC_WORDS; k++)
        for (uint64_t m = atomic_load_explicit(&s->l->procs_live[k], memory_order_acquire); m; m &= m - 1) {
            uint32_t proc = k * 64 + (uint32_t)__builtin_ctzll(m);
            if (proc != but && xt_app_holds(s, proc, i))
                return proc;
        }
    return XT_MAX_PROCS;
}

bool xt_app_slot_held(const struct xt_session *s, uint32_t i)
{
    uint32_t proc = holder(s, i, XT_MAX_PROCS);
    if (proc != XT_MAX_PROCS)
        atomic_store_explicit(&s->ps[i].holder, (uint16_t)proc, memory_order_relaxed);
    return proc != XT_MAX_PROCS;
}

bool xt_app_slot_held_by_other(const struct xt_session *s, uint32_t i, uint32_t proc)
{
    return holder(s, i, proc) != XT_MAX_PROCS;
}

void xt_app_slot_tell_relay(struct xt_session *s, uint32_t i)
{
    uint32_t relay = atomic_load_explicit(&s->l->relay, memory_order_relaxed);
    struct xt_pslot *p = &s->ps[i];
    if (!relay || atomic_load(&p->left) || xt_app_slot_held_by_other(s, i, xt_ledger_relay_proc(relay)))
        return;
    /* Whoever joins now holds it first and clears this then: it is either seen here, or clears what is set here. */
    atomic_store(&p->left, true);
    if (xt_app_slot_held_by_other(s, i, xt_ledger_relay_proc(relay))) {
        atomic_store(&p->left, false);
        return;
    }
    xt_bitmap_set(xt_app_ready(s, xt_ledger_relay_waiter(relay)), i);
    xt_app_touch(s, xt_ledger_relay_waiter(relay));
}

/* The consumer's side. False: the client has claimed to have read what never came, or went backwards. */
static bool pull_rx(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_slot *sh = &s->slots[i];
    uint64_t tail = atomic_load_explicit(&sh->rx_tail, memory_order_acquire);
    if (tail == p->rx_tail)
        return true;
    if (tail < p->rx_tail || tail > p->rx_head)
        return false;
    p->rx_tail = tail;
    XT_CRASH_POINT();
    struct xt_conn *c = xt_app_conn(s, p);
    xt_app_rx_consumed(s, i, c); /* before the core looks what window it can offer */
    if (c)
        xt_stack_consumed(s->app->stack, c, tail, s->app->now_us);
    return true;
}

/* The producer's side. tx_urg is loaded before tx_head, for the client stores them in the other order: a mark is never ahead
 * of the bytes it belongs to. */
static bool pull_tx(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_slot *sh = &s->slots[i];
    struct xt_stack *st = s->app->stack;
    uint64_t urg = atomic_load_explicit(&sh->tx_urg, memory_order_acquire);
    uint64_t head =
        atomic_load_explicit(&sh->tx_head, memory_order_acquire); /* the ring's bytes up to here are written */
    struct xt_conn *c = xt_app_conn(s, p);
    uint64_t was = xt_app_rare(s, i)->tx_urg;
    if (head == p->tx_head && urg == was)
        return true;
    if (!c) /* what is written to a connection that is over is nobody's */
        return true;
    if (head < p->tx_head || head - p->tx_tail > p->tx.size || urg < was || urg > head)
        return false;
    bool urgent = urg != was && urg > p->tx_head;
    if (urg != was)
        xt_app_rare_own(s, i)->tx_urg = urg;
    p->tx_head = head;
    XT_CRASH_POINT();
    if (p->cond & XT_COND_WRSHUT)
        return true;
    xt_app_take_nodelay(s, i, c);
    xt_stack_more(st, c, (atomic_load_explicit(&sh->want, memory_order_relaxed) & XT_WANT_MORE) != 0);
    if (urgent)
        xt_stack_wrote(st, c, urg, true, s->app->now_us);
    c = xt_app_conn(s, p);
    if (c && (!urgent || head > urg))
        xt_stack_wrote(st, c, head, false, s->app->now_us);
    return true;
}

bool xt_app_slot_pull(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    if (p->kind == XT_SLOT_LISTEN)
        return xt_app_listener_sync(s, i);
    if (p->kind != XT_SLOT_CONN)
        return true;
    if (!pull_rx(s, i)) {
        xt_app_liar(s, "rx_tail", i);
        return false;
    }
    if (!pull_tx(s, i)) {
        xt_app_liar(s, "tx_head", i);
        return false;
    }
    return true;
}

void xt_app_slot_dirty(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    if (p->kind == XT_SLOT_FREE || p->orphan)
        return;
    if (!xt_app_slot_pull(s, i))
        return;
    if (p->queued && xt_app_is_used(s, p->prev_listener) && !xt_app_listener_sync(s, p->prev_listener))
        return;
    /* Syncing a listener may have released the slot already. */
    if (p->kind == XT_SLOT_FREE || p->orphan || p->queued)
        return;
    if (!xt_app_slot_held(s, i)) {
        xt_app_slot_release(s, i);
        return;
    }
    xt_app_connect_wanted(s, i);
    xt_app_slot_tell_relay(s, i);
}

void xt_app_slot_release(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_stack *st = s->app->stack;
    struct xt_conn *c;
    if (p->kind == XT_SLOT_LISTEN)
        xt_app_listener_end(s, i);
    else if (!s->lied && !xt_app_slot_pull(s, i))
        return; /* the session was dropped; its sweep does the rest */
    p->orphan = true;
    XT_CRASH_POINT();
    if ((c = xt_app_conn(s, p))) {
        if (!s->lied && (p->linger == 0 || c->rx_tail != c->rx_head)) /* it ends by a reset */
            xt_stack_send_now(st, c, s->app->now_us);
        if (p->linger == 0 || s->lied)
            xt_stack_abort(st, c, s->app->now_us);
        else
            xt_stack_close(st, c, s->app->now_us);
    }
    xt_app_changed(s, i, false);
}

/* Is nothing left that the rings are needed for? What is unacknowledged is sent from the ring; what arrives for an orphan is
 * answered with a reset by the core, ring or not. */
static bool drained(const struct xt_conn *c)
{
    return c->state == XT_TIME_WAIT || c->tx_una == c->tx_head;
}

void xt_app_slot_detach(struct xt_session *s, uint32_t i, struct xt_conn *c)
{
    xt_stack_set_bufs(s->app->stack, c, NULL, 0, NULL, 0);
    XT_CRASH_POINT();
    c->session = 0;
    XT_CRASH_POINT();
    c->slot = UINT32_MAX;
    s->ps[i].conn = XT_NO_CONN;
    XT_CRASH_POINT();
}

bool xt_app_slot_reap(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_conn *c = xt_app_conn(s, p);
    if (!p->orphan || (c && !drained(c)))
        return false;
    if (c)
        xt_app_slot_detach(s, i, c);
    xt_app_slot_free(s, i);
    return true;
}
