/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/sparse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
#define AT_ONCE 4u /* words of 64 pages that are given back before others have their turn */

int xt_sparse_init(struct xt_sparse *sp, void *base, uint32_t size, uint32_t count)
{
    memset(sp, 0, sizeof *sp);
    uint32_t in = (uint32_t)((uintptr_t)base % PAGE);
    sp->skew = in ? in : PAGE;
    sp->pages = (uint8_t *)base - sp->skew;
    sp->size = size;
    sp->count = count;
    sp->npages = (uint32_t)(((uint64_t)count * size + sp->skew) / PAGE);
    sp->left = calloc(sp->npages / 64 + 2, sizeof *sp->left);
    sp->left_before = calloc(sp->npages / 64 + 2, sizeof *sp->left);
    return sp->left && sp->left_before ? 0 : -ENOMEM;
}

void xt_sparse_fini(struct xt_sparse *sp)
{
    free(sp->left);
    free(sp->left_before);
    sp->left = sp->left_before = NULL;
}

void xt_sparse_left(struct xt_sparse *sp, uint32_t i)
{
    uint64_t from = (uint64_t)i * sp->size + sp->skew;
    if (!sp->size)
        return;
    uint32_t first = (uint32_t)(from / PAGE), last = (uint32_t)((from + sp->size - 1) / PAGE);
    for (uint32_t p = first; p <= last; p++)
        sp->left[p / 64] |= 1ULL << (p % 64);
    if (sp->high <= last / 64)
        sp->high = last / 64 + 1;
}

static bool is_free(const struct xt_sparse *sp, uint32_t page, bool (*in_use)(void *arg, uint32_t i), void *arg)
{
    uint64_t from = (uint64_t)page * PAGE, to = from + PAGE;
    if (page == 0 || page >= sp->npages)
        return false;
    uint32_t i = from < sp->skew ? 0 : (uint32_t)((from - sp->skew) / sp->size);
    for (; i < sp->count && (uint64_t)i * sp->size + sp->skew < to; i++)
        if (in_use(arg, i))
            return false;
    return true;
}

/* Failure only means that the memory stays. */
static void give_back(const struct xt_sparse *sp, uint32_t page, uint32_t n)
{
    (void)!madvise(sp->pages + (size_t)page * PAGE, (size_t)n * PAGE, MADV_REMOVE);
}

static void give_word(const struct xt_sparse *sp, uint32_t w, uint64_t pages, bool (*in_use)(void *arg, uint32_t i),
                      void *arg)
{
    uint32_t first = w * 64, run = 0;
    for (uint32_t k = 0; k < 64; k++) {
        if (pages >> k & 1 && is_free(sp, first + k, in_use, arg)) {
            run++;
        } else if (run) {
            give_back(sp, first + k - run, run);
            run = 0;
        }
    }
    if (run)
        give_back(sp, first + 64 - run, run);
}

bool xt_sparse_turn(struct xt_sparse *sp, bool (*in_use)(void *arg, uint32_t i), void *arg, bool *again)
{
    *again = false;
    for (unsigned done = 0; sp->at < sp->high; sp->at++) {
        uint64_t pages = sp->left_before[sp->at] & ~sp->left[sp->at];
        if (!pages)
            continue;
        if (done++ == AT_ONCE)
            return true;
        give_word(sp, sp->at, pages, in_use, arg);
        sp->left_before[sp->at] &= ~pages;
    }
    uint64_t *t = sp->left_before, high = 0;
    sp->left_before = sp->left;
    sp->left = t;
    for (uint32_t w = 0; w < sp->high; w++) {
        sp->left[w] = 0;
        if (sp->left_before[w])
            high = w + 1;
    }
    sp->high = (uint32_t)high;
    sp->at = 0;
    *again = high != 0;
    return false;
}
