/* SPDX-License-Identifier: Apache-2.0
 * Waiters that several processes of a family use: each can see and take what the daemon writes for a waiter, but only the process
 * that has made one reads its wake-up pipe, and it ends with that process. */
#include <poll.h>

#include "libclient/internal.h"

static const struct xt_proc *proc_of(const struct xtcp *x, uint32_t proc)
{
    return (const struct xt_proc *)(void *)(x->base + x->region->procs_off) + proc;
}

XTCP_API bool xtcp_can_share(const struct xtcp *x)
{
    return xtcp_alive(x);
}

XTCP_API void xtcp_waiter_share(struct xtcp_waiter *w, struct xtcp_waiter_name *out)
{
    xtcp_waiter_fd(w); /* it may be the parent's still */
    w->shared = true;
    atomic_store(&w->sh->family, 1);
    *out = (struct xtcp_waiter_name){w->number, w->x->proc, proc_of(w->x, w->x->proc)->pid};
}

XTCP_API bool xtcp_waiter_lives(const struct xtcp *x, const struct xtcp_waiter_name *name)
{
    const struct xt_waiter *sh = &x->boxes[name->number];
    return name->number < XT_MAX_WAITERS && name->proc < XT_MAX_PROCS && atomic_load((_Atomic uint32_t *)&sh->live) &&
           sh->proc == name->proc && atomic_load((_Atomic uint32_t *)&sh->family) &&
           proc_of(x, name->proc)->pid == name->pid;
}

XTCP_API int xtcp_waiter_view(struct xtcp *x, const struct xtcp_waiter_name *name, struct xtcp_waiter **out)
{
    struct xtcp_waiter *w = xtcp_waiter_blank(x);
    if (!w)
        return -ENOBUFS;
    w->number = name->number;
    w->sh = &x->boxes[name->number];
    w->ready = (xt_bitword *)(void *)(x->base + x->region->ready_off + name->number * x->region->ready_stride);
    w->epoch = x->epoch;
    w->start = xtcp_start(x);
    w->spin_score = 15;
    w->user = w->shared = true;
    *out = w;
    return 0;
}

XTCP_API void xtcp_waiter_forget(struct xtcp_waiter *w)
{
    xtcp_waiter_drop(w);
}

XTCP_API uint32_t xtcp_gen(const struct xtcp *x, int s)
{
    return (uint32_t)s < x->max_slots ? __atomic_load_n(&x->slots[s].gen, __ATOMIC_RELAXED) : 0;
}

XTCP_API bool xtcp_is_shared(const struct xtcp *x, int s)
{
    return xtcp_others_hold(x, s);
}

XTCP_API unsigned xtcp_mask_of(struct xtcp *x, int s, uint32_t gen)
{
    if ((uint32_t)s >= x->max_slots || xtcp_gen(x, s) != gen || (!xtcp_slot(x, s) && !xtcp_others_hold(x, s)))
        return XTCP_GONE;
    unsigned mask = xtcp_slot_mask(x, &x->slots[s]);
    return mask & XTCP_MOVED && !xtcp_slot(x, s) ? 0 : mask; /* only who holds it can do something about that */
}

XTCP_API uint64_t xtcp_history(const struct xtcp *x, int s, bool space)
{
    struct xt_slot *sl = &x->slots[s];
    bool connection = !(atomic_load(&sl->cond) & XT_COND_LISTEN);
    const uint64_t parts[] = {
        xtcp_alive(x),
        atomic_load(&sl->cond),
        atomic_load(&sl->rx_head),
        atomic_load(&sl->rx_urg),
        connection && !space ? 0 : atomic_load(&sl->acc_head), /* or tx_sent */
        (uint32_t)atomic_load(&sl->so_error),
        xtcp_has_completions(x, sl),
        connection && space ? atomic_load(&sl->tx_tail) : 0,
    };
    uint64_t h = xtcp_gen(x, s);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        h = (h ^ parts[i]) * 0x9e3779b97f4a7c15ULL;
        h ^= h >> 29;
    }
    return h | 1; /* never what nobody has taken */
}
