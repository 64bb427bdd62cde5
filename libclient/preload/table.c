/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/table.h"

#define GROUP 64u /* descriptors for each bit of the summary */

_Atomic uint64_t xp_table[XP_FDS];

/* A bit for each group that ever held a word: lets scans pass over a million empty ones. */
static _Atomic uint64_t summary[XP_FDS / GROUP / 64];
static _Atomic uint16_t refs[XP_CTXS][XT_BITMAP_MAX];

void xp_put(int fd, uint64_t w)
{
    unsigned group = (unsigned)fd / GROUP;
    if ((unsigned)fd >= XP_FDS)
        return;
    if (w && !(atomic_load_explicit(&summary[group / 64], memory_order_relaxed) >> (group % 64) & 1))
        atomic_fetch_or(&summary[group / 64], 1ULL << (group % 64));
    atomic_store_explicit(&xp_table[fd], w, memory_order_release);
}

uint64_t xp_take(int fd)
{
    /* The plain load keeps descriptors that are not ours from dirtying the page. */
    return xp_get(fd) ? atomic_exchange(&xp_table[fd], 0) : 0;
}

bool xp_swap(int fd, uint64_t *was, uint64_t w)
{
    return (unsigned)fd < XP_FDS && atomic_compare_exchange_strong(&xp_table[fd], was, w);
}

void xp_set_flags(int fd, unsigned flags)
{
    if ((unsigned)fd < XP_FDS && xp_get(fd))
        atomic_fetch_or(&xp_table[fd], flags);
}

void xp_clear_flags(int fd, unsigned flags)
{
    if ((unsigned)fd < XP_FDS && xp_get(fd))
        atomic_fetch_and(&xp_table[fd], ~(uint64_t)flags);
}

int xp_next(int fd)
{
    for (unsigned i = fd < 0 ? 0 : (unsigned)fd; i < XP_FDS;) {
        unsigned group = i / GROUP;
        uint64_t bits = atomic_load_explicit(&summary[group / 64], memory_order_acquire) >> (group % 64);
        if (bits == 0) {
            i = (group / 64 + 1) * 64 * GROUP;
        } else if (!(bits & 1)) {
            i = (group + (unsigned)__builtin_ctzll(bits)) * GROUP;
        } else {
            for (unsigned end = (group + 1) * GROUP; i < end; i++)
                if (xp_get((int)i))
                    return (int)i;
        }
    }
    return -1;
}

void xp_ref(unsigned ctx, uint32_t sock)
{
    atomic_fetch_add(&refs[ctx][sock], 1);
}

bool xp_unref(unsigned ctx, uint32_t sock)
{
    return atomic_fetch_sub(&refs[ctx][sock], 1) == 1;
}

unsigned xp_refs(unsigned ctx, uint32_t sock)
{
    return atomic_load(&refs[ctx][sock]);
}
