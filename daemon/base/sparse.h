/* SPDX-License-Identifier: Apache-2.0
 * An array in shared memory of which few entries are in use at a time: pages without any cost nothing as long as nobody has written to
 * them. Those that were written to and hold no entry in use any more go back to the system after a while, in which none of their
 * entries has come out of use: an array whose entries come and go all the time keeps what it needs. What an entry holds is lost
 * when it is not in use. Not thread-safe. */
#ifndef XT_BASE_SPARSE_H
#define XT_BASE_SPARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xt_sparse {
    uint8_t *pages;         /* the first whole page stands at 4096 from here; what lies before it is never given back */
    uint32_t size, skew;    /* bytes of an entry; entry 0 begins at `pages` + skew */
    uint32_t count, npages; /* entries; pages, the last one whole */
    uint32_t at, high;      /* words of the bitmaps: where the turn goes on, and from where on all are 0 */
    uint64_t *left,
        *left_before; /* a bit for each page that an entry has left since the turn began; in the one before */
};

/* For `count` entries of `size` bytes from `base` on; `size` 0: it does nothing. Returns 0 or -ENOMEM. */
int xt_sparse_init(struct xt_sparse *sp, void *base, uint32_t size, uint32_t count);
void xt_sparse_fini(struct xt_sparse *sp);

/* Entry `i` is in use no more. */
void xt_sparse_left(struct xt_sparse *sp, uint32_t i);

/* A part of a turn: gives back what was left in the turn before and neither since, nor is in use. True: there is more to do. Else the
 * turn is over, and the next one should begin after a while if `*again`. */
bool xt_sparse_turn(struct xt_sparse *sp, bool (*in_use)(void *arg, uint32_t i), void *arg, bool *again);

#endif
