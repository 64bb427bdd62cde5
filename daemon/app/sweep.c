/* SPDX-License-Identifier: Apache-2.0
 * Death: of a process (its holds, locks and waiters), of a client (its sockets), of a liar. What takes long is done in bounded
 * parts, a part in each round. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"
#include "daemon/base/log.h"

#define LOCK_WAITERS 0x80000000u

void xt_app_session_begin(struct xt_app *a, struct xt_session *s, void (*on_end)(void *))
{
    s->on_end = on_end;
    a->sessions[s->index] = s;
    if (s->index >= a->sessions_high)
        a->sessions_high = s->index + 1;
    a->stats.sessions++;
    if (a->bell_add)
        a->bell_add(a->bell_arg, s->doorbell, s->id);
}

static void start_sweep(struct xt_session *s)
{
    s->sweeping = true;
    s->sweep_at = 0;
}

bool xt_app_any_live(const struct xt_session *s)
{
    for (uint32_t k = 0; k < XT_PROC_WORDS; k++)
        if (atomic_load(&s->l->procs_live[k]))
            return true;
    return false;
}

/* A process that has died may have been the only one that was woken for a connection. */
static void tell_others(struct xt_session *s)
{
    for (uint32_t i = s->listeners; i != XT_NO_PSLOT; i = xt_app_rare(s, i)->next_listener)
        if (xt_app_rare(s, i)->acc_head != xt_app_rare(s, i)->acc_tail)
            xt_app_changed(s, i, true);
}

void xt_app_proc_gone(struct xt_app *a, struct xt_session *s, uint32_t proc)
{
    bool known = false;
    for (uint32_t n = 0; n < a->sessions_high && !known; n++) /* a session that has ended is compared, never followed */
        known = a->sessions[n] == s;
    if (!known || proc >= XT_MAX_PROCS || !xt_ledger_is_live(s->l, proc))
        return;
    atomic_fetch_and(&s->l->procs_live[proc / 64], ~(1ULL << (proc % 64)));
    s->reap[proc / 64] |= 1ULL << (proc % 64);
    if (!xt_app_any_live(s))
        s->ended = true;
    xt_bitmap_repair(s->dirty, s->max_slots);
    xt_bitmap_repair(s->cmd, XT_MAX_WAITERS);
    tell_others(s);
    start_sweep(s);
}

void xt_app_liar(struct xt_session *s, const char *what, uint32_t slot)
{
    if (s->lied)
        return;
    s->lied = s->l->lied = EPROTO;
    s->ended = true;
    s->app->stats.liars++;
    xt_log_limited(XT_LOG_WARN, "client %s (pid %d): impossible %s of socket %u: dropped", s->comm, (int)s->pid, what,
                   slot);
    atomic_store(&s->region->dead, (uint32_t)s->lied);
    for (uint32_t w = 0; w < atomic_load(&s->l->waiters_high); w++)
        xt_app_touch(s, w);
    start_sweep(s);
}

void xt_app_unlock(_Atomic uint32_t *lock)
{
    if (atomic_exchange(lock, 0) & LOCK_WAITERS)
        syscall(SYS_futex, lock, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static bool is_reaped(const struct xt_session *s, uint32_t proc)
{
    return s->reap[proc / 64] >> (proc % 64) & 1;
}

/* A lock that a dead process held. */
static void free_lock(const struct xt_session *s, _Atomic uint32_t *lock)
{
    uint32_t v = atomic_load_explicit(lock, memory_order_relaxed);
    uint32_t owner = XT_LOCK_PROC(v);
    if (owner >= XT_MAX_PROCS || !is_reaped(s, owner) || !atomic_compare_exchange_strong(lock, &v, 0))
        return;
    if (v & LOCK_WAITERS)
        syscall(SYS_futex, lock, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Slots of one word of the bitmap: frees locks and ends what nobody holds. Returns how many were closed. */
static unsigned sweep_word(struct xt_session *s, uint32_t w)
{
    unsigned closed = 0;
    for (uint64_t used = s->used[w]; used; used &= used - 1) {
        uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(used);
        struct xt_pslot *p = &s->ps[i];
        free_lock(s, &s->slots[i].rx_lock);
        free_lock(s, &s->slots[i].tx_lock);
        if (p->kind == XT_SLOT_FREE || p->orphan)
            continue;
        if (p->kind == XT_SLOT_LISTEN && !s->lied && !xt_app_listener_sync(s, i))
            return closed;
        if (!s->ended && (p->queued || xt_app_slot_held(s, i))) {
            if (!p->queued)
                xt_app_slot_tell_relay(s, i);
            continue;
        }
        if (p->queued && xt_app_is_used(s, p->prev_listener) && s->ps[p->prev_listener].kind == XT_SLOT_LISTEN)
            continue; /* goes with its listener */
        xt_app_slot_release(s, i);
        closed++;
    }
    return closed;
}

static void free_waiters(struct xt_session *s)
{
    for (uint32_t w = 0; w < atomic_load(&s->l->waiters_high); w++) {
        struct xt_pwaiter *pw = &s->pw[w];
        if (atomic_load(&pw->state) != XT_WAITER_LIVE || !is_reaped(s, pw->proc))
            continue;
        atomic_store(&s->waiters[w].live, 0);
        XT_CRASH_POINT();
        close(pw->rfd);
        close(pw->wfd);
        atomic_store_explicit(&pw->state, XT_WAITER_FREE, memory_order_release);
    }
}

/* Nothing of the dead processes is left: their places may be taken again. */
static void free_procs_of(struct xt_session *s, uint32_t k)
{
    for (uint64_t m = s->reap[k]; m; m &= m - 1) {
        uint32_t proc = k * 64 + (uint32_t)__builtin_ctzll(m);
        xt_bitword *hold = xt_app_hold(s, proc);
        for (uint32_t w = 0; w < xt_bitmap_words0(s->max_slots); w++)
            if (atomic_load_explicit(&hold[w], memory_order_relaxed))
                atomic_store_explicit(&hold[w], 0, memory_order_relaxed);
        XT_CRASH_POINT();
        atomic_store(&s->procs[proc].state, XT_PROC_FREE);
    }
    atomic_fetch_and_explicit(&s->l->procs_used[k], ~s->reap[k], memory_order_release);
    s->reap[k] = 0;
}

bool xt_app_sweep(struct xt_session *s)
{
    uint32_t words = (uint32_t)xt_bitmap_words0(s->max_slots), seen = 0;
    unsigned closed = 0;
    while (s->sweep_at < words && seen < XT_SWEEP_BUDGET && closed < XT_CLOSE_BUDGET) {
        uint32_t w = s->sweep_at++;
        if (s->used[w]) {
            closed += sweep_word(s, w);
            seen += 64;
        }
    }
    if (s->sweep_at < words)
        return true;
    free_waiters(s);
    for (uint32_t k = 0; k < XT_PROC_WORDS; k++)
        if (s->reap[k])
            free_procs_of(s, k);
    s->sweeping = false;
    if (s->ended)
        xt_arena_cool(&s->arena);
    return true;
}

void xt_app_sessions_finish(struct xt_app *a)
{
    for (uint32_t n = 0; n < a->sessions_high; n++) {
        struct xt_session *s = a->sessions[n];
        if (!s || !s->ended || s->sweeping || s->nused || s->nretired || s->in_touched)
            continue;
        a->sessions[n] = NULL;
        while (a->sessions_high && !a->sessions[a->sessions_high - 1])
            a->sessions_high--;
        if (a->bell_remove)
            a->bell_remove(a->bell_arg, s->doorbell, s->id);
        a->stats.sessions_ended++;
        a->stats.sessions--;
        struct xt_msg m = {.type = XT_MSG_SESSION_END, .ptr = s, .done = s->on_end};
        xt_app_return(a, &m);
    }
}
