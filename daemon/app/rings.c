/* SPDX-License-Identifier: Apache-2.0
 * Rings follow use: they begin small, grow with what goes through them, and give their pages back when nothing does.
 *
 * The daemon writes the receive ring, so it may change it at any time: what is unread stays where it is, new bytes go to the new
 * ring (proto/xt_shm.h has the order of stores). The client writes the send ring, so it must ask, holding its lock; the bytes
 * are then copied.
 *
 * The process may be killed in the midst of it. So the new ring is first written down beside the old one (rx_new, tx_new); then the
 * record changes its size, all at once (xt_conn_begin, xt_conn_end), and with that the change has happened; then the ledger and the
 * slot follow. A successor sees by the record's size which of the two rings is the one (xt_app_rings_revive). */
#include <stdlib.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"

#define TX_STEP 65536u    /* a send ring may grow to this without asking what the path takes */
#define TRIM_EVERY 50000u /* us between two looks for idle rings */
#define TRIM_LOOK 2048u   /* slots looked at */

/* As much as wanted, or what there is, down to XT_RING_MIN. */
static bool ring_alloc(struct xt_session *s, uint32_t want, struct xt_extent *e)
{
    for (uint32_t size = want; size >= XT_RING_MIN || size == want; size /= 2)
        if (xt_arena_alloc(&s->arena, size, e))
            return true;
    return false;
}

bool xt_app_slot_rings(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    if (!p->rx.size && !ring_alloc(s, p->rcvbuf, &p->rx))
        return false;
    XT_CRASH_POINT();
    if (p->tx.size || ring_alloc(s, p->sndbuf, &p->tx)) /* it may have one alone, of a process that died above */
        return true;
    xt_arena_release(&s->arena, &p->rx);
    return false;
}

void xt_app_rings_release(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    s->slots[i].rx_size = s->slots[i].tx_size = 0;
    XT_CRASH_POINT();
    xt_arena_release(&s->arena, &p->rx);
    XT_CRASH_POINT();
    if (xt_app_rare(s, i)->rx_old.size)
        xt_arena_release(&s->arena, &s->rare[i].rx_old);
    xt_arena_release(&s->arena, &p->tx);
    XT_CRASH_POINT();
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A larger ring; some of the arena is left for sockets that have none yet. */
static bool alloc_more(struct xt_session *s, uint32_t size, struct xt_extent *e)
{
    return xt_arena_room(&s->arena) / 4 >= size && xt_arena_alloc(&s->arena, size, e);
}

/* The compiler keeps the stores before and after apart; who finds what a dead process has left sees them in that order. */
static void in_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    XT_CRASH_POINT();
}

/* `e` becomes what `new` is. Can be done again at any point of it. */
static void replace(struct xt_extent *e, struct xt_extent *new)
{
    *e = *new;
    in_order();
    new->size = 0;
    in_order();
}

/* ---- receive ---- */

static void replace_rx(struct xt_pslot *p, struct xt_prare *r)
{
    if (!r->rx_old.size) {
        xt_extent_move(&r->rx_old, xt_extent_off(&p->rx));
        in_order();
        r->rx_old.size = p->rx.size;
        in_order();
    }
    replace(&p->rx, &r->rx_new);
}

/* In the order that readers rely on. */
static void tell_rx(struct xt_session *s, uint32_t i)
{
    const struct xt_pslot *p = &s->ps[i];
    const struct xt_prare *r = xt_app_rare(s, i);
    struct xt_slot *sh = &s->slots[i];
    if (r->rx_old.size) {
        uint64_t old = xt_extent_off(&r->rx_old) | (unsigned)__builtin_ctz(r->rx_old.size);
        atomic_store_explicit(&sh->rx_old, old, memory_order_release);
        atomic_store_explicit(&sh->rx_switch, r->rx_switch, memory_order_release);
    }
    atomic_store_explicit(&sh->rx_page, xt_extent_page(&p->rx), memory_order_release);
    atomic_store_explicit(&sh->rx_size, p->rx.size, memory_order_release);
}

void xt_app_rx_grow(struct xt_session *s, uint32_t i, struct xt_conn *c, uint32_t size)
{
    struct xt_pslot *p = &s->ps[i];
    if (size <= p->rx.size || xt_app_rare(s, i)->rx_old.size)
        return;
    struct xt_prare *r = xt_app_rare_own(s, i);
    r->rx_switch = c->rx_head;
    if (!alloc_more(s, size, &r->rx_new)) {
        p->rx_fixed = true;
        return;
    }
    in_order();
    xt_stack_move_rx(s->app->stack, c, s->base + xt_extent_off(&r->rx_new), size);
    in_order();
    replace_rx(p, r);
    tell_rx(s, i);
    in_order();
    s->app->stats.rx_grown++;
    xt_app_rx_old_read(s, i);
}

void xt_app_rx_old_read(struct xt_session *s, uint32_t i)
{
    const struct xt_prare *r = xt_app_rare(s, i);
    if (r->rx_old.size && s->ps[i].rx_tail >= r->rx_switch)
        xt_arena_release(&s->arena, &s->rare[i].rx_old);
}

void xt_app_rx_consumed(struct xt_session *s, uint32_t i, struct xt_conn *c)
{
    struct xt_pslot *p = &s->ps[i];
    xt_app_rx_old_read(s, i);
    if (!c || p->rx_fixed)
        return;
    uint64_t want = xt_tune_consumed(&p->tune, s->app->now_us, p->rx_tail, c->rx_head, c->srtt);
    xt_app_rx_grow(s, i, c, xt_tune_round(p->rx.size, least(want, xt_tune_most(c->min_rtt)), s->app->cfg.rcvbuf_max));
}

/* ---- send ---- */

uint32_t xt_app_tx_goal(const struct xt_session *s, const struct xt_pslot *p, const struct xt_conn *c)
{
    if (p->tx_fixed)
        return p->sndbuf;
    /* What a peer that does not read has let us send before is no reason to keep more for it. */
    uint64_t want = xt_tune_send(p->tx.size, c->cwnd < c->snd_wnd ? c->cwnd : c->snd_wnd, c->min_rtt, c->srtt);
    want = least(want > TX_STEP ? want : TX_STEP, xt_tune_most(c->min_rtt));
    return xt_tune_round(p->tx.size, want, s->app->cfg.sndbuf_max);
}

/* Room on the list of retired rings for one more. */
static bool may_retire(struct xt_app *a)
{
    if (a->nretired < a->cap_retired)
        return true;
    uint32_t cap = a->cap_retired ? a->cap_retired * 2 : 64;
    struct xt_retired *v = realloc(a->retired, cap * sizeof *v);
    if (!v)
        return false;
    a->retired = v;
    a->cap_retired = cap;
    return true;
}

/* Until two rounds have passed, and with them the submission of every request that was made before. */
static void retire(struct xt_session *s, struct xt_extent e)
{
    struct xt_app *a = s->app;
    a->retired[a->nretired++] = (struct xt_retired){s, e, a->round};
    s->nretired++;
}

void xt_app_rings_settle(struct xt_app *a)
{
    uint32_t n = 0;
    for (; n < a->nretired && a->round - a->retired[n].round >= 2; n++) {
        struct xt_retired *r = &a->retired[n];
        xt_arena_release(&r->s->arena, &r->e);
        r->s->nretired--;
    }
    if (!n)
        return;
    a->nretired -= n;
    for (uint32_t k = 0; k < a->nretired; k++)
        a->retired[k] = a->retired[k + n];
}

void xt_app_rings_drop(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    if (p->tx.size && may_retire(s->app)) {
        retire(s, p->tx);
        p->tx.size = 0;
    }
    xt_app_rings_release(s, i);
}

/* The caller reads them after its answer. */
static void tell_tx(const struct xt_pslot *p, struct xt_slot *sh)
{
    atomic_store_explicit(&sh->tx_page, xt_extent_page(&p->tx), memory_order_relaxed);
    atomic_store_explicit(&sh->tx_size, p->tx.size, memory_order_relaxed);
}

void xt_app_rings_show(struct xt_session *s, uint32_t i)
{
    tell_rx(s, i);
    tell_tx(&s->ps[i], &s->slots[i]);
}

int xt_app_tx_grow(struct xt_session *s, uint32_t i, struct xt_conn *c)
{
    struct xt_pslot *p = &s->ps[i];
    uint32_t goal = xt_app_tx_goal(s, p, c);
    if (goal <= p->tx.size)
        return 0;
    struct xt_prare *r = xt_app_rare_own(s, i);
    if (!may_retire(s->app) || !alloc_more(s, goal, &r->tx_new)) {
        p->tx_fixed = true;
        p->sndbuf = p->tx.size;
        atomic_store(&s->slots[i].tx_goal, 0);
        return 0;
    }
    in_order();
    xt_stack_move_tx(s->app->stack, c, s->base + xt_extent_off(&r->tx_new), goal);
    in_order();
    retire(s, p->tx);
    replace(&p->tx, &r->tx_new);
    tell_tx(p, &s->slots[i]);
    s->app->stats.tx_grown++;
    xt_app_changed(s, i, false); /* there is room for others that wait for it */
    return 0;
}

/* ---- idle ---- */

/* The client writes to free space of its send ring before it says so: only its lock tells that it does not. One that is held means
 * that the socket is not idle. */
static void trim_tx(struct xt_session *s, struct xt_pslot *p, struct xt_slot *sh)
{
    uint32_t none = 0, mine = XT_LOCK_DAEMON;
    if (!atomic_compare_exchange_strong_explicit(&sh->tx_lock, &none, XT_LOCK_DAEMON, memory_order_acquire,
                                                 memory_order_relaxed))
        return;
    if (!(atomic_load(&sh->want) & XT_WANT_PINNED) && atomic_load(&sh->tx_head) == p->tx_head)
        xt_arena_trim(&s->arena, &p->tx);
    if (!atomic_compare_exchange_strong(&sh->tx_lock, &mine, 0))
        xt_app_unlock(&sh->tx_lock);
}

static bool idle_for_long(struct xt_session *s, uint32_t i, const struct xt_conn *c)
{
    struct xt_pslot *p = &s->ps[i];
    uint64_t moved = c->rx_head + c->tx_head, now = s->app->now_us;
    if ((uint32_t)moved != p->moved) {
        p->moved = (uint32_t)moved;
        p->moved_us = (uint32_t)now;
        p->cold = false;
    }
    if (p->cold || moved == 0 || (uint32_t)(now - p->moved_us) < s->app->cfg.buf_idle_us)
        return false;
    return c->tx_una == c->tx_head && c->n_ooo == 0 && !xt_app_rare(s, i)->rx_old.size &&
           atomic_load_explicit(&s->slots[i].rx_tail, memory_order_acquire) == c->rx_head;
}

static bool trim(struct xt_session *s, uint32_t i)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_conn *c = p->kind == XT_SLOT_CONN ? xt_app_conn(s, p) : NULL;
    if (!c || !idle_for_long(s, i, c))
        return false;
    p->cold = true;
    xt_arena_trim(&s->arena, &p->rx);
    trim_tx(s, p, &s->slots[i]);
    s->app->stats.rings_trimmed++;
    return true;
}

static void trim_some(struct xt_session *s)
{
    uint32_t trimmed = 0;
    xt_arena_settle(&s->arena);
    for (uint32_t n = 0; n < TRIM_LOOK && n < s->max_slots && trimmed < XT_TRIM_BUDGET; n += 64) {
        uint32_t w = s->trim_at / 64;
        for (uint64_t used = s->used[w]; used; used &= used - 1)
            trimmed += trim(s, w * 64 + (uint32_t)__builtin_ctzll(used));
        s->trim_at = s->trim_at + 64 < s->max_slots ? s->trim_at + 64 : 0;
    }
}

void xt_app_rings_trim(struct xt_app *a)
{
    if (a->now_us - a->trimmed_us < TRIM_EVERY)
        return;
    a->trimmed_us = a->now_us;
    for (uint32_t n = 0; n < a->sessions_high; n++)
        if (a->sessions[n] && !a->sessions[n]->ended)
            trim_some(a->sessions[n]);
    if (a->retire_at && a->now_us >= a->retire_at)
        xt_app_retired(a);
}

/* ---- after a death ---- */

/* No ring is replaced by one of its own size: the record's tells which of the two it uses. A send ring that was replaced is just free
 * space now, for the requests that pointed into it died with the process. */
static void end_change(struct xt_pslot *p, struct xt_prare *r, const struct xt_conn *c)
{
    if (r->rx_new.size && c && c->rx_size == r->rx_new.size)
        replace_rx(p, r);
    if (r->tx_new.size && c && c->tx_size == r->tx_new.size)
        replace(&p->tx, &r->tx_new);
    r->rx_new.size = r->tx_new.size = 0;
}

void xt_app_rings_revive(struct xt_session *s, uint32_t i, const struct xt_conn *c)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_slot *sh = &s->slots[i];
    if (xt_ledger_has_rare(p))
        end_change(p, &s->rare[i], c);
    if (p->kind != XT_SLOT_LISTEN && p->rx.size && p->tx.size) {
        tell_rx(s, i);
        tell_tx(p, sh);
    }
    p->tune = (struct xt_tune){0};
    if ((atomic_load(&sh->tx_lock) & INT32_MAX) == XT_LOCK_DAEMON)
        xt_app_unlock(&sh->tx_lock);
}
