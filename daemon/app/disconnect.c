/* SPDX-License-Identifier: Apache-2.0
 * Sockets that are used anew: after a connect that failed, and after connect() to no address family, which Linux takes in any state. */
#include <errno.h>

#include "daemon/app/internal.h"
#include "daemon/base/crash.h"

void xt_app_slot_fresh(struct xt_session *s, uint32_t i, int32_t err)
{
    struct xt_pslot *p = &s->ps[i];
    struct xt_slot *sh = &s->slots[i];
    p->pending_error = (int16_t)err;
    p->pending_soft = 0;
    p->cond = 0;
    p->rx_head = p->rx_tail = p->tx_head = p->tx_tail = 0;
    xt_app_no_urgent(s, i);
    XT_CRASH_POINT();
    xt_app_slot_kind(p, XT_SLOT_FRESH);
    XT_CRASH_POINT();
    atomic_store(&sh->rx_head, 0);
    atomic_store(&sh->rx_tail, 0);
    atomic_store(&sh->tx_head, 0);
    atomic_store(&sh->tx_tail, 0);
    atomic_store(&sh->tx_urg, 0);
    atomic_store(&sh->rx_urg, 0);
    atomic_store(&sh->rx_told, 0);
    atomic_store(&sh->urg_read, 0);
    if (atomic_load(&sh->more) & XT_MORE_RARE)
        atomic_store(&s->rares[i].stamp.upto, 0);
    atomic_store(&sh->so_error, (int16_t)err);
    p->pending_error = 0;
    atomic_store(&sh->soft_error, 0);
    atomic_store(&sh->state, XT_CLOSED);
    atomic_store_explicit(&sh->cond, 0, memory_order_release);
}

/* What the program is to be told: that its connection was reset (ABORT says it so), or else what it has not been told before. */
static int32_t error_of(const struct xt_session *s, uint32_t i)
{
    int32_t err = s->ps[i].pending_error ? s->ps[i].pending_error : atomic_load(&s->slots[i].so_error);
    return err == ECONNABORTED ? ECONNRESET : err;
}

/* The port is shown still, free or not, and the address that the program has chosen. */
static void show_unconnected(struct xt_session *s, uint32_t i)
{
    const struct xt_pslot *p = &s->ps[i];
    if (!p->bound || xt_app_rare(s, i)->any_local)
        s->slots[i].local_be = 0;
    s->slots[i].remote_be = 0;
    s->slots[i].remote_port = 0;
}

int xt_app_disconnect(struct xt_session *s, uint32_t i, bool again)
{
    struct xt_app *a = s->app;
    struct xt_pslot *p = &s->ps[i];
    if (p->kind == XT_SLOT_FRESH && !again)
        return 0;
    if (atomic_load(&s->slots[i].tx_lock) == XT_LOCK_RELAY)
        return -EREMOTE; /* the relay has the rings */
    if (!xt_app_slot_pull(s, i))
        return -ECONNABORTED;
    struct xt_conn *c = xt_app_conn(s, p);
    bool deferred = p->cond & XT_COND_DEFERRED; /* as if it had never been */
    XT_CRASH_POINT();
    if (p->kind == XT_SLOT_LISTEN) {
        xt_app_listener_end(s, i);
    } else if (c && c->state == XT_TIME_WAIT) {
        xt_app_slot_detach(s, i, c);
    } else if (c) {
        xt_stack_send_now(a->stack, c, a->now_us); /* on Linux it would have left by now */
        xt_stack_abort(a->stack, c, a->now_us);
    }
    XT_CRASH_POINT();
    xt_app_rings_drop(s, i);
    xt_app_slot_fresh(s, i, deferred ? 0 : error_of(s, i));
    show_unconnected(s, i);
    xt_app_changed(s, i, true);
    return 0;
}
