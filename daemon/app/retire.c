/* SPDX-License-Identifier: Apache-2.0
 * Listeners that took part in the listening of another one, in another shard, and are to do so no more. */
#include "daemon/app/internal.h"
#include "daemon/base/crash.h"

/* So long those who know them may accept what is in their queues. */
#define GRACE_US (2 * 1000000)

/* Calls fn() for each socket of the sessions of a family (0: any) that is bound and does not connect. */
static void each_bound(struct xt_app *a, uint32_t family, void (*fn)(struct xt_session *s, uint32_t i, uint16_t port),
                       uint16_t port)
{
    for (uint32_t n = 0; n < a->sessions_high; n++) {
        struct xt_session *s = a->sessions[n];
        uint32_t whose = s && !s->ended ? xt_ledger_family(s->l) : 0;
        if (!whose || (family && whose != family))
            continue;
        for (uint32_t w = 0; w < xt_bitmap_words0(s->max_slots); w++)
            for (uint64_t used = s->used[w]; used; used &= used - 1) {
                uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(used);
                if (s->ps[i].bound && (s->ps[i].kind == XT_SLOT_LISTEN || s->ps[i].kind == XT_SLOT_FRESH))
                    fn(s, i, port);
            }
    }
}

void xt_app_retire_soon(struct xt_app *a)
{
    a->retire_at = a->now_us + GRACE_US;
}

static void retire(struct xt_session *s, uint32_t i, uint16_t port)
{
    const struct xt_pslot *p = &s->ps[i];
    if (xt_app_rare(s, i)->local.port != port)
        return;
    xt_app_rare_own(s, i)->claim |= XT_APP_CLAIM_RETIRED;
    XT_CRASH_POINT();
    if (p->kind == XT_SLOT_LISTEN)
        xt_stack_retire(s->app->stack, xt_app_conn(s, p));
    xt_app_retire_soon(s->app);
}

void xt_app_retire(struct xt_app *a, uint32_t family, uint16_t port)
{
    each_bound(a, family, retire, port);
}

/* Who has not accepted them by now may never do so: their peers are told. */
static void end(struct xt_session *s, uint32_t i, uint16_t unused)
{
    struct xt_pslot *p = &s->ps[i];
    if (p->kind != XT_SLOT_LISTEN || !(xt_app_rare(s, i)->claim & XT_APP_CLAIM_RETIRED))
        return;
    xt_app_listener_end(s, i);
    p->cond = 0;
    xt_app_changed(s, i, true);
}

void xt_app_retired(struct xt_app *a)
{
    a->retire_at = 0;
    each_bound(a, 0, end, 0);
}
