/* SPDX-License-Identifier: Apache-2.0
 * A timer stands at the level of the highest 6-bit digit in which its tick differs from the wheel's, in the slot of its own
 * digit there. So all timers of a level come after all timers of the levels below, and a slot never mixes rounds. */
#include "daemon/base/wheel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* First tick at whose start the deadline has passed. */
static uint64_t tick_of(uint64_t deadline)
{
    const uint64_t mask = (1u << XT_WHEEL_TICK_SHIFT) - 1;
    return (deadline >> XT_WHEEL_TICK_SHIFT) + ((deadline & mask) != 0);
}

static uint32_t slot_of(const struct xt_wheel *w, uint64_t tick)
{
    if (tick <= w->tick)
        return XT_WHEEL_DUE;
    unsigned level = (63u - (unsigned)__builtin_clzll(tick ^ w->tick)) / XT_WHEEL_BITS;
    unsigned digit = (unsigned)(tick >> (level * XT_WHEEL_BITS)) & (XT_WHEEL_SLOTS - 1);
    return level * XT_WHEEL_SLOTS + digit;
}

static void link_timer(struct xt_wheel *w, uint32_t i, uint32_t slot)
{
    struct xt_wheel_timer *t = &w->timers[i];
    t->slot = slot + 1;
    t->prev = XT_WHEEL_NONE;
    t->next = w->head[slot];
    if (t->next != XT_WHEEL_NONE)
        w->timers[t->next].prev = i;
    w->head[slot] = i;
    if (slot != XT_WHEEL_DUE) {
        w->occupied[slot / XT_WHEEL_SLOTS] |= 1ULL << (slot % XT_WHEEL_SLOTS);
        w->levels |= 1u << (slot / XT_WHEEL_SLOTS);
    }
}

static void mark_empty(struct xt_wheel *w, uint32_t slot)
{
    if (slot == XT_WHEEL_DUE)
        return;
    uint32_t level = slot / XT_WHEEL_SLOTS;
    w->occupied[level] &= ~(1ULL << (slot % XT_WHEEL_SLOTS));
    if (!w->occupied[level])
        w->levels &= ~(1u << level);
}

static void unlink_timer(struct xt_wheel *w, uint32_t i)
{
    struct xt_wheel_timer *t = &w->timers[i];
    uint32_t slot = (uint32_t)t->slot - 1;
    if (t->next != XT_WHEEL_NONE)
        w->timers[t->next].prev = t->prev;
    if (t->prev != XT_WHEEL_NONE)
        w->timers[t->prev].next = t->next;
    else if ((w->head[slot] = t->next) == XT_WHEEL_NONE)
        mark_empty(w, slot);
    t->slot = 0;
}

int xt_wheel_init(struct xt_wheel *w, uint32_t count, uint64_t now_us)
{
    memset(w, 0, sizeof *w);
    memset(w->head, 0xff, sizeof w->head);
    w->timers = calloc(count ? count : 1, sizeof *w->timers);
    if (!w->timers)
        return -ENOMEM;
    w->count = count;
    w->tick = now_us >> XT_WHEEL_TICK_SHIFT;
    return 0;
}

void xt_wheel_fini(struct xt_wheel *w)
{
    free(w->timers);
    w->timers = NULL;
    w->count = 0;
}

void xt_wheel_set(struct xt_wheel *w, uint32_t i, uint64_t deadline_us)
{
    struct xt_wheel_timer *t = &w->timers[i];
    if (deadline_us == UINT64_MAX) {
        xt_wheel_cancel(w, i);
        return;
    }
    if (deadline_us > XT_WHEEL_LAST)
        deadline_us = XT_WHEEL_LAST;
    uint32_t slot = slot_of(w, tick_of(deadline_us));
    t->deadline = deadline_us;
    if (t->slot == slot + 1)
        return;
    if (t->slot)
        unlink_timer(w, i);
    link_timer(w, i, slot);
}

void xt_wheel_cancel(struct xt_wheel *w, uint32_t i)
{
    if (w->timers[i].slot)
        unlink_timer(w, i);
}

uint64_t xt_wheel_deadline(const struct xt_wheel *w, uint32_t i)
{
    return w->timers[i].slot ? w->timers[i].deadline : UINT64_MAX;
}

/* The first slot that is not empty, and the tick at which it begins; the wheel must not be empty. */
static uint32_t first_slot(const struct xt_wheel *w, uint64_t *tick)
{
    unsigned level = (unsigned)__builtin_ctz(w->levels);
    unsigned digit = (unsigned)__builtin_ctzll(w->occupied[level]);
    unsigned shift = level * XT_WHEEL_BITS;
    uint64_t above = shift + XT_WHEEL_BITS < 64 ? w->tick >> (shift + XT_WHEEL_BITS) << (shift + XT_WHEEL_BITS) : 0;
    *tick = above | (uint64_t)digit << shift;
    return level * XT_WHEEL_SLOTS + digit;
}

/* The wheel has come to the start of `slot`: its timers move to lower levels or become due. */
static void cascade(struct xt_wheel *w, uint32_t slot)
{
    uint32_t i = w->head[slot];
    w->head[slot] = XT_WHEEL_NONE;
    mark_empty(w, slot);
    while (i != XT_WHEEL_NONE) {
        uint32_t next = w->timers[i].next;
        link_timer(w, i, slot_of(w, tick_of(w->timers[i].deadline)));
        i = next;
    }
}

uint32_t xt_wheel_pop(struct xt_wheel *w, uint64_t now_us)
{
    uint64_t now = now_us >> XT_WHEEL_TICK_SHIFT, tick;
    while (w->head[XT_WHEEL_DUE] == XT_WHEEL_NONE && w->levels) {
        uint32_t slot = first_slot(w, &tick);
        if (tick > now)
            break;
        w->tick = tick;
        cascade(w, slot);
    }
    uint32_t i = w->head[XT_WHEEL_DUE];
    if (i != XT_WHEEL_NONE)
        unlink_timer(w, i);
    else if (now > w->tick)
        w->tick = now;
    return i;
}

uint64_t xt_wheel_next(const struct xt_wheel *w)
{
    uint64_t tick;
    if (w->head[XT_WHEEL_DUE] != XT_WHEEL_NONE)
        return 0;
    if (!w->levels)
        return UINT64_MAX;
    first_slot(w, &tick);
    return tick > UINT64_MAX >> XT_WHEEL_TICK_SHIFT ? UINT64_MAX - 1 : tick << XT_WHEEL_TICK_SHIFT;
}
