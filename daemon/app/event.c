/* SPDX-License-Identifier: Apache-2.0
 * From the stack's events to what clients see. An event only changes private copies and puts the slot on a list; the flush
 * at the end of a batch stores to shared memory and tells the subscribers. */
#include <stdlib.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"
#include "daemon/base/log.h"

void xt_app_changed(struct xt_session *s, uint32_t i, bool news)
{
    struct xt_app *a = s->app;
    struct xt_pslot *p = &s->ps[i];
    p->news |= news;
    if (p->changed)
        return;
    if (a->nchanged == a->cap_changed) {
        uint32_t cap = a->cap_changed ? a->cap_changed * 2 : 256;
        struct xt_changed *v = realloc(a->changed, cap * sizeof *v);
        if (!v)
            xt_log_no_memory("an event"); /* one that is never published would hang a client */
        a->changed = v;
        a->cap_changed = cap;
    }
    p->changed = true;
    a->changed[a->nchanged++] = (struct xt_changed){.s = s, .slot = i};
}

void xt_app_arrived(struct xt_session *s, uint32_t i)
{
    s->ps[i].arrived = true;
    xt_app_changed(s, i, false);
}

void xt_app_touch(struct xt_session *s, uint32_t waiter)
{
    s->touched[waiter / 64] |= 1ULL << (waiter % 64);
    if (s->in_touched)
        return;
    s->in_touched = true;
    s->app->touched[s->app->ntouched++] = s;
}

void xt_app_doom(struct xt_app *a, const struct xt_conn *c)
{
    if (a->ndoomed == a->cap_doomed) {
        uint32_t cap = a->cap_doomed ? a->cap_doomed * 2 : 64;
        void *v = realloc(a->doomed, cap * sizeof *a->doomed);
        if (!v)
            return; /* the connection ends by its own timers */
        a->doomed = v;
        a->cap_doomed = cap;
    }
    a->doomed[a->ndoomed].conn = c->index;
    a->doomed[a->ndoomed++].gen = c->gen;
}

void xt_app_run_doomed(struct xt_app *a)
{
    for (uint32_t n = 0; n < a->ndoomed; n++) {
        struct xt_conn *c = xt_stack_conn(a->stack, a->doomed[n].conn);
        if (c && c->gen == a->doomed[n].gen && c->state != XT_CLOSED)
            xt_stack_abort(a->stack, c, a->now_us);
    }
    a->ndoomed = 0;
}

/* Copies the stream counters of the record. True when readers have news. */
static bool take_counters(struct xt_pslot *p, const struct xt_conn *c)
{
    bool news = c->rx_head != p->rx_head;
    p->rx_head = c->rx_head;
    /* A client may count on this never passing what it has written. */
    if (c->tx_una > p->tx_tail && c->tx_una <= p->tx_head)
        p->tx_tail = c->tx_una;
    return news;
}

static void both_over(struct xt_pslot *p)
{
    if ((p->cond & (XT_COND_RDHUP | XT_COND_WRSHUT)) == (XT_COND_RDHUP | XT_COND_WRSHUT))
        p->cond |= XT_COND_HUP;
}

static void take_conditions(struct xt_session *s, uint32_t i, const struct xt_conn *c, uint32_t ev)
{
    struct xt_pslot *p = &s->ps[i];
    if (ev & (XT_EV_CONNECTED | XT_EV_FASTOPEN))
        p->cond = (p->cond & ~(uint32_t)(XT_COND_CONNECTING | XT_COND_DEFERRED)) | XT_COND_CONNECTED;
    if (ev & XT_EV_PEER_FIN)
        p->cond |= XT_COND_RDHUP | XT_COND_FIN;
    if (ev & XT_EV_URGENT) {
        xt_app_rare_own(s, i)->rx_urg = xt_rx_urg(c);
        p->urgent = true;
        p->cond |= XT_COND_URGENT;
    }
    if (ev & XT_EV_SOFT_ERROR)
        p->pending_error = (int16_t)c->soft_err;
    if (ev & XT_EV_SOFT)
        p->pending_soft = (int16_t)c->soft_err;
    if (ev & XT_EV_ERROR)
        p->pending_error = (int16_t)c->err;
    if (ev & (XT_EV_ERROR | XT_EV_CLOSED)) {
        p->cond &= ~(uint32_t)(XT_COND_CONNECTING | XT_COND_DEFERRED);
        p->cond |= XT_COND_RDHUP | XT_COND_WRSHUT | (ev & XT_EV_ERROR ? XT_COND_ERROR : 0);
    }
    both_over(p);
}

void xt_app_event(void *arg, struct xt_conn *c, uint32_t ev)
{
    struct xt_app *a = arg;
    bool child = c->listener != XT_NO_CONN && !(c->flags & XT_APP_CF_DONE);
    if (child && ev & (XT_EV_CONNECTED | XT_EV_FASTOPEN))
        xt_app_child_ready(a, c);
    else if (child && c->state == XT_SYN_RECV)
        xt_app_child_new(a, c);
    else if (child && ev & XT_EV_CLOSED)
        xt_app_child_lost(a, c);
    struct xt_session *s = xt_app_owner_of(a, c);
    if (!s)
        return;
    uint32_t i = c->slot;
    struct xt_pslot *p = &s->ps[i];
    if (p->kind == XT_SLOT_CONN) {
        bool news = take_counters(p, c);
        take_conditions(s, i, c, ev);
        news |= (ev & ~(uint32_t)(XT_EV_WRITABLE | XT_EV_ACK_NOW | XT_EV_READABLE | XT_EV_SOFT)) != 0;
        xt_app_changed(s, i, news);
    }
    if (ev & XT_EV_CLOSED) { /* the record is gone after this call */
        XT_CRASH_POINT();
        if (p->kind == XT_SLOT_CONN)
            xt_app_slot_kind(p, XT_SLOT_DEAD);
        XT_CRASH_POINT();
        p->conn = XT_NO_CONN;
        if (p->pending) { /* nobody will ever accept it */
            p->pending = p->queued = false;
            p->orphan = true;
        }
        xt_app_changed(s, i, true);
    }
}

bool xt_app_need_bufs(void *arg, struct xt_conn *c)
{
    struct xt_app *a = arg;
    struct xt_session *s = xt_app_owner_of(a, c);
    if (!s)
        return c->listener != XT_NO_CONN && !(c->flags & XT_APP_CF_DONE) && xt_app_child_adopt(a, c);
    if (!xt_app_slot_rings(s, c->slot))
        return false;
    xt_app_slot_attach(s, c->slot, c);
    return true;
}

/* SND.NXT as a stream offset. */
static uint64_t sent(const struct xt_pslot *p, const struct xt_conn *c)
{
    uint64_t nxt = c->tx_una + (c->snd_nxt - c->snd_una); /* a SYN or FIN may be among them */
    return nxt < p->tx_head ? nxt : p->tx_head;
}

/* Says of a new socket that it is one, but for one that its client has begun to connect (XT_WANT_CONNECT), or does just now: false. */
static bool stays_fresh(struct xt_slot *sh)
{
    uint16_t had = atomic_load(&sh->cond);
    return had != XT_COND_CONNECTING && atomic_compare_exchange_strong(&sh->cond, &had, 0);
}

/* Stores private copies to the slot. The order matters to readers that load cond first: whoever sees RDHUP sees the last
 * rx_head, whoever sees HUP sees so_error. */
static void store_slot(struct xt_changed *ch)
{
    struct xt_session *s = ch->s;
    uint32_t i = ch->slot;
    struct xt_pslot *p = &s->ps[i];
    struct xt_slot *sh = &s->slots[i];
    struct xt_conn *c = xt_app_conn(s, p);
    if (c && p->kind == XT_SLOT_CONN) {
        p->news |= take_counters(p, c);
        if (sh->snd_mss != c->mss_eff)
            sh->snd_mss = c->mss_eff;
        uint32_t goal = xt_app_tx_goal(s, p, c);
        if (atomic_load_explicit(&sh->tx_goal, memory_order_relaxed) != goal)
            atomic_store_explicit(&sh->tx_goal, goal, memory_order_relaxed);
        if (sh->notsent_lowat)
            c->flags |= XT_CONN_TELL_SENT;
        if (c->flags & XT_CONN_TELL_SENT)
            atomic_store_explicit(&sh->tx_sent, (uint32_t)sent(p, c), memory_order_release);
    }
    if (atomic_load_explicit(&sh->want, memory_order_relaxed) & XT_WANT_STAMPS &&
        atomic_load_explicit(&sh->rx_head, memory_order_relaxed) != p->rx_head)
        xt_app_stamp(&s->rares[i].stamp, p->rx_head);
    atomic_store_explicit(&sh->rx_head, p->rx_head, memory_order_release); /* pairs with the reader's acquire */
    XT_CRASH_POINT();
    atomic_store_explicit(&sh->tx_tail, p->tx_tail, memory_order_release); /* and the writer's */
    atomic_store_explicit(&sh->rx_urg, xt_app_rare(s, i)->rx_urg, memory_order_relaxed);
    if (p->kind == XT_SLOT_LISTEN) {
        /* A client that writes acc_head has more or less of its own waiters woken. */
        uint32_t head = xt_app_rare(s, i)->acc_head;
        ch->arrived = head - atomic_load_explicit(&sh->acc_head, memory_order_relaxed);
        atomic_store_explicit(&sh->acc_head, head, memory_order_release); /* pairs with accept's acquire */
    }
    if (p->pending_error) {
        atomic_store_explicit(&sh->so_error, p->pending_error, memory_order_relaxed);
        p->pending_error = 0;
    }
    if (p->pending_soft) {
        atomic_store_explicit(&sh->soft_error, p->pending_soft, memory_order_relaxed);
        p->pending_soft = 0;
    }
    XT_CRASH_POINT();
    if (p->kind == XT_SLOT_FRESH && !stays_fresh(sh))
        return;
    atomic_store_explicit(&sh->state, c ? c->state : (uint8_t)XT_CLOSED, memory_order_relaxed);
    if (p->kind != XT_SLOT_FRESH)
        atomic_store_explicit(&sh->cond, (uint16_t)p->cond, memory_order_release);
}

void xt_app_publish_now(struct xt_session *s, uint32_t i)
{
    struct xt_changed ch = {.s = s, .slot = i};
    store_slot(&ch);
}

/* Is it news for this waiter? Those for signals get one of each: a handler has no mask to look at. */
static bool concerns(const struct xt_session *s, uint32_t w, uint32_t i, bool urgent)
{
    uint32_t async = atomic_load_explicit(&s->waiters[w].async, memory_order_relaxed);
    return !async || async == XT_ASYNC(i) || (urgent && async == (XT_ASYNC(i) | XT_ASYNC_URGENT));
}

static bool is_exclusive(const struct xt_session *s, uint32_t w, uint32_t i)
{
    const struct xt_waiter *sw = &s->waiters[w];
    for (unsigned k = 0; k < XT_WAITER_EXCLUSIVE; k++)
        if (atomic_load_explicit(&sw->exclusive[k], memory_order_relaxed) == i + 1)
            return true;
    return false;
}

/* May it ask about the socket? One of several processes may, whoever holds it. */
static bool may_ask(const struct xt_session *s, uint32_t w, uint32_t i)
{
    return atomic_load_explicit(&s->waiters[w].family, memory_order_relaxed) || xt_app_holds(s, s->pw[w].proc, i);
}

/* Does it sleep, and nothing wakes it yet? The ready bitmap was marked before (both sequentially consistent): one that is awake
 * sees that before it sleeps. One whose process has died sleeps for ever. */
static bool is_asleep(const struct xt_session *s, uint32_t w)
{
    return atomic_load(&s->waiters[w].sleeping) && !(s->touched[w / 64] >> (w % 64) & 1) &&
           xt_ledger_is_live(s->l, s->pw[w].proc);
}

/* Marks the slot in the ready bitmap of every waiter whose number falls on a subscribed bit. Where several do, only one of a
 * process that holds the socket can mean it: a family of hundreds is not woken for each segment. A thread whose socket
 * another has closed is told to the end. Of those that wait exclusively `wanted` sleeping ones are woken (UINT32_MAX: all), and
 * those awake before them told, as in Linux. */
static void tell(struct xt_session *s, uint32_t i, bool urgent, uint32_t wanted)
{
    uint64_t subs = atomic_load(&s->slots[i].subs);
    uint32_t high = atomic_load_explicit(&s->l->waiters_high, memory_order_relaxed);
    bool all = high <= 64 || s->ps[i].orphan;
    for (; subs; subs &= subs - 1)
        for (uint32_t w = (uint32_t)__builtin_ctzll(subs); w < high; w += 64) {
            if (atomic_load_explicit(&s->pw[w].state, memory_order_acquire) != XT_WAITER_LIVE ||
                !(all || may_ask(s, w, i)) || !concerns(s, w, i, urgent))
                continue;
            bool exclusive = wanted != UINT32_MAX && is_exclusive(s, w, i);
            if (exclusive && wanted == 0)
                continue;
            XT_CRASH_POINT();
            xt_bitmap_set(xt_app_ready(s, w), i);
            XT_CRASH_POINT();
            if (exclusive && is_asleep(s, w))
                wanted--;
            xt_app_touch(s, w);
        }
}

void xt_app_tell(struct xt_session *s, uint32_t i)
{
    atomic_thread_fence(memory_order_seq_cst); /* pairs as in xt_app_publish() */
    tell(s, i, false, UINT32_MAX);
}

/* As the library sees it (xtcp_tx_writable). Its word is loaded once, and wrong only for itself. */
static bool too_much_unsent(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    const struct xt_conn *c = xt_app_conn(s, p);
    uint32_t kept = __atomic_load_n(&s->slots[i].notsent_lowat, __ATOMIC_RELAXED);
    return c && kept > 1 && (p->tx_head - sent(p, c)) * 2 >= kept - 1;
}

/* A sender that found the ring full is told when a third of it is free, as Linux does (sk_stream_is_writeable). */
static bool space_wanted(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    uint64_t used = p->tx_head - p->tx_tail;
    if (!(atomic_load(&s->slots[i].want) & XT_WANT_SPACE) || p->tx.size - used < used / 2 || too_much_unsent(s, i))
        return false;
    atomic_fetch_and(&s->slots[i].want, ~(uint32_t)XT_WANT_SPACE);
    return true;
}

static bool is_listener(const struct xt_changed *ch)
{
    return ch->s->ps[ch->slot].kind == XT_SLOT_LISTEN;
}

/* Listeners last: who finds a connection in the queue finds it as it is. */
static void store_slots(struct xt_app *a)
{
    uint32_t listeners = 0;
    for (uint32_t n = 0; n < a->nchanged; n++)
        if (is_listener(&a->changed[n]))
            listeners++;
        else if (xt_app_is_used(a->changed[n].s, a->changed[n].slot))
            store_slot(&a->changed[n]);
    for (uint32_t n = 0; listeners; n++)
        if (is_listener(&a->changed[n])) {
            listeners--;
            store_slot(&a->changed[n]);
        }
}

void xt_app_publish(struct xt_app *a)
{
    store_slots(a);
    XT_CRASH_POINT();
    /* Pairs with the fence of a client between subscribing (or asking for space) and looking at the slot. */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t n = 0; n < a->nchanged; n++) {
        struct xt_session *s = a->changed[n].s;
        uint32_t i = a->changed[n].slot;
        struct xt_pslot *p = &s->ps[i];
        bool news = p->news, urgent = p->urgent, arrived = p->arrived;
        p->changed = p->news = p->urgent = p->arrived = false;
        if (!xt_app_is_used(s, i) || (p->orphan && xt_app_slot_reap(s, i)))
            continue;
        if (space_wanted(s, i) || news)
            tell(s, i, urgent, UINT32_MAX);
        else if (arrived)
            tell(s, i, false, a->changed[n].arrived);
    }
    a->nchanged = 0;
}
