/* SPDX-License-Identifier: Apache-2.0
 * Listeners. An accept queue is a ring of slot indices in the listener's region; any process of the family takes from it by
 * moving acc_tail. The daemon keeps the same queue privately as a list through the slots, so that it knows what was taken
 * without reading the ring back. */
#include <string.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"

static uint32_t ring_entries(const struct xt_pslot *p)
{
    return p->tx.size / (uint32_t)sizeof(uint32_t);
}

static uint32_t ring_size(const struct xt_app *a)
{
    uint32_t size = 4096;
    while (size < a->cfg.somaxconn * sizeof(uint32_t))
        size *= 2;
    return size;
}

bool xt_app_listener_begin(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_prare *r = xt_app_rare_own(s, i);
    struct xt_slot *sh = &s->slots[i];
    xt_arena_release(&s->arena, &p->tx); /* of a process that died just here */
    if (!xt_arena_alloc(&s->arena, ring_size(s->app), &p->tx))
        return false;
    XT_CRASH_POINT();
    r->acc_first = r->acc_last = XT_NO_PSLOT;
    r->acc_head = r->acc_tail = r->syn_recv = 0; /* of the ring that xt_arena_alloc() has just given */
    p->cond = XT_COND_LISTEN;
    r->next_listener = s->listeners;
    s->listeners = i;
    atomic_store(&sh->acc_tail, 0);
    atomic_store(&sh->acc_head, 0);
    sh->tx_page = xt_extent_page(&p->tx);
    sh->tx_size = ring_entries(p);
    XT_CRASH_POINT();
    xt_app_slot_kind(p, XT_SLOT_LISTEN);
    XT_CRASH_POINT();
    return true;
}

static uint32_t pop(struct xt_session *s, struct xt_prare *l)
{
    uint32_t q = l->acc_first;
    l->acc_first = s->ps[q].next;
    if (l->acc_first == XT_NO_PSLOT)
        l->acc_last = XT_NO_PSLOT;
    XT_CRASH_POINT();
    l->acc_tail++;
    XT_CRASH_POINT();
    s->ps[q].queued = false;
    XT_CRASH_POINT();
    s->ps[q].next = XT_NO_PSLOT;
    return q;
}

bool xt_app_listener_sync(struct xt_session *s, uint32_t i)
{
    if (s->ps[i].kind != XT_SLOT_LISTEN)
        return true;
    struct xt_prare *l = xt_app_rare_own(s, i);
    /* Acquire: the hold bit that the taker set before it moved acc_tail is visible below. */
    uint32_t taken = atomic_load_explicit(&s->slots[i].acc_tail, memory_order_acquire) - l->acc_tail;
    if (taken > l->acc_head - l->acc_tail) {
        xt_app_liar(s, "acc_tail", i);
        return false;
    }
    s->app->stats.accepts += taken;
    while (taken--) {
        uint32_t q = pop(s, l);
        if (!xt_app_slot_held(s, q))
            xt_app_slot_release(s, q);
    }
    return !s->lied;
}

static void unlist(struct xt_session *s, uint32_t i)
{
    uint32_t *at = &s->listeners;
    while (*at != XT_NO_PSLOT && *at != i)
        at = &xt_app_rare_own(s, *at)->next_listener;
    if (*at == i)
        *at = xt_app_rare(s, i)->next_listener;
}

void xt_app_listener_end(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_prare *l = xt_app_rare_own(s, i);
    struct xt_slot *sh = &s->slots[i];
    struct xt_conn *c = xt_app_conn(s, p);
    if (!s->lied)
        xt_app_listener_sync(s, i);
    unlist(s, i);
    p->kind = XT_SLOT_FRESH;
    XT_CRASH_POINT();
    /* What nobody has accepted is reset, as Linux does. */
    while (l->acc_first != XT_NO_PSLOT) {
        uint32_t q = pop(s, l);
        s->ps[q].linger = 0;
        xt_app_slot_release(s, q);
    }
    atomic_store(&sh->acc_head, atomic_load(&sh->acc_tail));
    sh->tx_size = 0;
    XT_CRASH_POINT();
    xt_arena_release(&s->arena, &p->tx);
    if (c)
        xt_stack_close(s->app->stack, c, s->app->now_us);
    p->conn = XT_NO_CONN;
}

bool xt_app_listener_of(struct xt_app *a, const struct xt_conn *c, struct xt_session **s, uint32_t *i)
{
    struct xt_conn *l = c->listener == XT_NO_CONN ? NULL : xt_stack_conn(a->stack, c->listener);
    if (!l || l->state != XT_LISTEN || l->local.port != c->local.port || !(*s = xt_app_session(a, l->session)))
        return false;
    *i = l->slot;
    return *i < (*s)->max_slots && (*s)->ps[*i].kind == XT_SLOT_LISTEN && (*s)->ps[*i].conn == l->index;
}

/* May the listener have another connection, with `half_open` beside those in its queue? */
static bool has_room(struct xt_app *a, const struct xt_conn *listener, bool half_open)
{
    struct xt_session *s = xt_app_session(a, listener->session);
    if (!s || !xt_app_is_used(s, listener->slot))
        return false;
    if (!xt_user_has_socket(s)) {
        xt_user_refused_socket(s);
        return false;
    }
    if (!xt_user_has_memory(s)) {
        xt_user_refused_memory(s);
        return false;
    }
    const struct xt_prare *l = xt_app_rare(s, listener->slot);
    /* Only a look: taken sockets are accounted for outside of the stack's callbacks. */
    uint32_t queued = l->acc_head - l->acc_tail;
    uint32_t taken = atomic_load_explicit(&s->slots[listener->slot].acc_tail, memory_order_relaxed) - l->acc_tail;
    if (taken <= queued)
        queued -= taken;
    return queued + (half_open ? l->syn_recv : 0) < l->backlog;
}

bool xt_app_admit(void *arg, const struct xt_conn *listener)
{
    return has_room(arg, listener, true);
}

bool xt_app_admit_open(void *arg, const struct xt_conn *listener)
{
    return has_room(arg, listener, false);
}

static void inherit(struct xt_session *s, uint32_t i, uint32_t li)
{
    const struct xt_pslot *listener = &s->ps[li];
    struct xt_pslot *child = &s->ps[i];
    uint16_t maxseg = xt_app_rare(s, li)->maxseg;
    child->opt = listener->opt;
    child->linger = listener->linger;
    child->sndbuf = listener->sndbuf;
    child->rcvbuf = listener->rcvbuf;
    child->tx_fixed = listener->tx_fixed;
    child->rx_fixed = listener->rx_fixed;
    if (maxseg)
        xt_app_rare_own(s, i)->maxseg = maxseg;
}

/* The library's side of the options: a child begins with its listener's. */
static void inherit_shown(struct xt_session *s, uint32_t i, uint32_t li)
{
    struct xt_slot *to = &s->slots[i];
    const struct xt_slot *from = &s->slots[li];
    to->rcvtimeo_ms = from->rcvtimeo_ms;
    to->sndtimeo_ms = from->sndtimeo_ms;
    to->sndbuf = from->sndbuf;
    to->rcvbuf = from->rcvbuf;
    to->notsent_lowat = from->notsent_lowat;
    to->keep_idle = from->keep_idle;
    to->keep_intvl = from->keep_intvl;
    to->keep_cnt = from->keep_cnt;
    to->tos = from->tos;
    to->misc = from->misc;
    to->want = from->want & (XT_WANT_STAMPS | XT_WANT_NODELAY);
    to->more = from->more;
    if (!(to->more & XT_MORE_RARE))
        return;
    struct xt_rare *rare = &s->rares[i];
    memcpy((void *)rare, (const void *)&s->rares[li], offsetof(struct xt_rare, zerocopy));
    rare->incoming_cpu = 0;
}

bool xt_app_child_adopt(struct xt_app *a, struct xt_conn *c)
{
    struct xt_session *s;
    uint32_t li, i;
    if (!xt_app_listener_of(a, c, &s, &li) || s->ended || xt_app_slot_new(s, &i) < 0)
        return false;
    xt_app_take_nodelay(s, li, NULL);
    inherit(s, i, li);
    if (!xt_app_slot_rings(s, i)) {
        xt_app_slot_free(s, i);
        return false;
    }
    XT_CRASH_POINT();
    s->ps[i].prev_listener = li;
    s->ps[i].queued = s->ps[i].pending = true;
    XT_CRASH_POINT();
    inherit_shown(s, i, li);
    xt_app_slot_attach(s, i, c);
    return true;
}

void xt_app_child_new(struct xt_app *a, struct xt_conn *c)
{
    struct xt_session *s;
    uint32_t li;
    if (c->flags & XT_APP_CF_COUNTED || !xt_app_listener_of(a, c, &s, &li))
        return;
    c->flags |= XT_APP_CF_COUNTED;
    xt_app_rare_own(s, li)->syn_recv++;
}

static void uncount(struct xt_app *a, struct xt_conn *c)
{
    struct xt_session *s;
    uint32_t li;
    bool counted = c->flags & XT_APP_CF_COUNTED;
    c->flags |= XT_APP_CF_DONE;
    if (!counted)
        return;
    if (xt_app_listener_of(a, c, &s, &li) && xt_app_rare(s, li)->syn_recv)
        xt_app_rare_own(s, li)->syn_recv--;
}

void xt_app_child_lost(struct xt_app *a, struct xt_conn *c)
{
    uncount(a, c);
}

void xt_app_child_ready(struct xt_app *a, struct xt_conn *c)
{
    struct xt_session *s;
    uint32_t li;
    uncount(a, c);
    XT_CRASH_POINT();
    bool ok = xt_app_listener_of(a, c, &s, &li) && (xt_app_owner_of(a, c) || xt_app_child_adopt(a, c));
    if (ok && xt_app_rare(s, li)->acc_head - xt_app_rare(s, li)->acc_tail >= ring_entries(&s->ps[li]))
        ok = false;
    if (!ok) {
        struct xt_session *own = xt_app_owner_of(a, c);
        if (own) { /* adopted by a listener that is gone */
            own->ps[c->slot].orphan = true;
            own->ps[c->slot].pending = own->ps[c->slot].queued = false;
        }
        a->stats.backlog_drops++;
        xt_app_doom(a, c);
        return;
    }
    struct xt_pslot *p = &s->ps[c->slot];
    struct xt_prare *l = xt_app_rare_own(s, li);
    uint32_t *ring = (uint32_t *)(void *)(s->base + xt_extent_off(&s->ps[li].tx));
    ring[l->acc_head & (ring_entries(&s->ps[li]) - 1)] = c->slot;
    XT_CRASH_POINT();
    atomic_signal_fence(memory_order_seq_cst); /* a successor takes what acc_head says is there */
    l->acc_head++;
    XT_CRASH_POINT();
    if (l->acc_last == XT_NO_PSLOT)
        l->acc_first = c->slot;
    else
        s->ps[l->acc_last].next = c->slot;
    l->acc_last = c->slot;
    p->pending = false;
    p->next = XT_NO_PSLOT;
    xt_app_arrived(s, li);
}
