/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/app/arena.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE 16u /* extents of a size that xt_arena_settle() gives back in one call */

void xt_arena_init(struct xt_arena *a, int fd, uint64_t off, uint64_t len, uint64_t *used_bytes)
{
    memset(a, 0, sizeof *a);
    a->fd = fd;
    a->top = off;
    a->end = off + len;
    a->used_bytes = used_bytes;
}

void xt_arena_fini(struct xt_arena *a)
{
    for (unsigned k = 0; k < XT_ARENA_CLASSES; k++)
        free(a->free[k].off);
    memset(a->free, 0, sizeof a->free);
}

static unsigned class_of(uint32_t size)
{
    return (unsigned)__builtin_ctz(size) - XT_ARENA_MIN_SHIFT;
}

/* The hole reads as zeros; its pages are free for others. Failure only means that memory comes back later. */
static void punch(struct xt_arena *a, uint64_t off, unsigned k)
{
    (void)!fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
                     (off_t)1 << (k + XT_ARENA_MIN_SHIFT));
}

static bool pop(struct xt_arena *a, unsigned k, uint64_t *off)
{
    if (!a->free[k].n)
        return false;
    *off = a->free[k].off[--a->free[k].n];
    if (a->free[k].warm)
        a->free[k].warm--;
    if (a->free[k].least > a->free[k].warm)
        a->free[k].least = a->free[k].warm;
    return true;
}

/* At least one: it may be a transfer's that has just ended and begins again. */
static uint32_t most_warm(unsigned k)
{
    uint32_t n = XT_ARENA_WARM >> (k + XT_ARENA_MIN_SHIFT);
    return n > XT_ARENA_WARM_MAX ? XT_ARENA_WARM_MAX : n ? n : 1;
}

/* Gives back the memory of the `n` extents that have waited longest. */
static void cool(struct xt_arena *a, unsigned k, uint32_t n)
{
    for (; n > 0 && a->free[k].warm; n--, a->free[k].warm--)
        punch(a, a->free[k].off[a->free[k].n - a->free[k].warm], k);
}

/* Puts an extent on the list of its size. Without memory for the list, the extent is lost to the arena until the region ends. */
static void push(struct xt_arena *a, unsigned k, uint64_t off, bool warm)
{
    if (!warm || a->cold)
        punch(a, off, k);
    if (a->free[k].n == a->free[k].cap) {
        uint32_t cap = a->free[k].cap ? a->free[k].cap * 2 : 16;
        uint64_t *v = realloc(a->free[k].off, cap * sizeof *v);
        if (!v) {
            punch(a, off, k);
            return;
        }
        a->free[k].off = v;
        a->free[k].cap = cap;
    }
    a->free[k].off[a->free[k].n++] = off;
    if (!warm || a->cold) {
        a->free[k].warm = 0;
    } else if (++a->free[k].warm > most_warm(k)) {
        cool(a, k, 1);
    }
}

/* Splits the smallest larger free extent. */
static bool split(struct xt_arena *a, unsigned k, uint64_t *off)
{
    unsigned from = k + 1;
    while (from < XT_ARENA_CLASSES && !a->free[from].n)
        from++;
    if (from >= XT_ARENA_CLASSES || !pop(a, from, off))
        return false;
    while (from-- > k)
        push(a, from, *off + (1ULL << (from + XT_ARENA_MIN_SHIFT)), false);
    return true;
}

static void count(struct xt_arena *a, int64_t bytes)
{
    *a->used_bytes += (uint64_t)bytes;
    if (a->budget)
        atomic_fetch_add_explicit(&a->budget->used, (uint64_t)bytes, memory_order_relaxed);
}

bool xt_budget_has(const struct xt_budget *b, uint64_t size)
{
    uint64_t limit = atomic_load_explicit(&b->limit, memory_order_relaxed);
    return !limit || atomic_load_explicit(&b->used, memory_order_relaxed) + size <= limit;
}

bool xt_arena_alloc(struct xt_arena *a, uint32_t size, struct xt_extent *out)
{
    unsigned k = class_of(size);
    uint64_t off;
    if (a->budget && !xt_budget_has(a->budget, size))
        return false;
    if (!pop(a, k, &off)) {
        if (a->end - a->top >= size) {
            off = a->top;
            a->top += size;
        } else if (!split(a, k, &off)) {
            return false;
        }
    }
    xt_extent_move(out, off);
    atomic_signal_fence(memory_order_seq_cst); /* an extent in a ledger is one as soon as it has a size */
    out->size = size;
    count(a, size);
    return true;
}

void xt_arena_release(struct xt_arena *a, struct xt_extent *e)
{
    if (!e->size)
        return;
    unsigned k = class_of(e->size);
    count(a, -(int64_t)e->size);
    e->size = 0;
    atomic_signal_fence(memory_order_seq_cst);
    push(a, k, xt_extent_off(e), true);
    xt_extent_move(e, 0);
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = xt_extent_off(a), y = xt_extent_off(b);
    return x < y ? -1 : x > y;
}

/* The space between two extents becomes free ones, the largest first. */
static void fill_gap(struct xt_arena *a, uint64_t off, uint64_t end)
{
    for (unsigned k = XT_ARENA_CLASSES; k-- > 0;)
        for (uint64_t size = 1ULL << (k + XT_ARENA_MIN_SHIFT); end - off >= size; off += size)
            push(a, k, off, false);
}

bool xt_arena_adopt(struct xt_arena *a, struct xt_extent *e, uint32_t n)
{
    uint64_t top = a->top;
    for (uint32_t i = 0; i < n; i++)
        count(a, e[i].size); /* whatever they are: each will be released */
    qsort(e, n, sizeof *e, by_offset);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t off = xt_extent_off(&e[i]);
        uint32_t size = e[i].size;
        if (size & (size - 1) || size < 1u << XT_ARENA_MIN_SHIFT || off < top || off > a->end || a->end - off < size)
            return false;
        fill_gap(a, top, off);
        top = off + size;
    }
    a->top = top;
    return true;
}

void xt_arena_trim(struct xt_arena *a, const struct xt_extent *e)
{
    if (e->size)
        punch(a, xt_extent_off(e), class_of(e->size));
}

void xt_arena_cool(struct xt_arena *a)
{
    a->cold = true;
    for (unsigned k = 0; k < XT_ARENA_CLASSES; k++)
        cool(a, k, a->free[k].warm);
}

void xt_arena_settle(struct xt_arena *a)
{
    for (unsigned k = 0; k < XT_ARENA_CLASSES; k++) {
        uint32_t n = (a->free[k].least + 3) / 4;
        cool(a, k, n < SETTLE ? n : SETTLE);
        a->free[k].least = a->free[k].warm;
    }
}
