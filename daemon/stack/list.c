/* SPDX-License-Identifier: Apache-2.0
 * Lists of connections by index: the ready list, those that are over, each neighbour's waiters. A connection is on one of them at most. */
#include "daemon/stack/internal.h"

void xt_list_append(struct xt_stack *s, struct xt_list *l, uint16_t id, uint32_t i)
{
    struct xt_side *d = &s->side[i];
    d->list = id;
    d->next = 0;
    d->prev = l->tail;
    if (l->tail)
        s->side[l->tail - 1].next = i + 1;
    else
        l->head = i + 1;
    l->tail = i + 1;
}

void xt_list_prepend(struct xt_stack *s, struct xt_list *l, uint16_t id, uint32_t i)
{
    struct xt_side *d = &s->side[i];
    d->list = id;
    d->prev = 0;
    d->next = l->head;
    if (l->head)
        s->side[l->head - 1].prev = i + 1;
    else
        l->tail = i + 1;
    l->head = i + 1;
}

static struct xt_list *list_of(struct xt_stack *s, uint16_t id)
{
    if (id == XT_LIST_READY)
        return &s->ready;
    return id == XT_LIST_OVER ? &s->over : &s->neigh[id - XT_LIST_NEIGH].waiters;
}

void xt_list_remove(struct xt_stack *s, uint32_t i)
{
    struct xt_side *d = &s->side[i];
    if (d->list == XT_LIST_NONE)
        return;
    struct xt_list *l = list_of(s, d->list);
    if (d->prev)
        s->side[d->prev - 1].next = d->next;
    else
        l->head = d->next;
    if (d->next)
        s->side[d->next - 1].prev = d->prev;
    else
        l->tail = d->prev;
    d->prev = d->next = 0;
    d->list = XT_LIST_NONE;
}
