/* SPDX-License-Identifier: Apache-2.0
 * Ring space of one region: extents of power-of-two sizes. Some freed extents of each size stay populated for the next
 * sockets, for as long as there are such; the memory of the others goes back to the kernel at once (a hole is punched). Not
 * thread-safe. */
#ifndef XT_APP_ARENA_H
#define XT_APP_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/app/ring_parts.h"

#define XT_ARENA_MIN_SHIFT 12
#define XT_ARENA_MAX_SHIFT 30
#define XT_ARENA_CLASSES (XT_ARENA_MAX_SHIFT - XT_ARENA_MIN_SHIFT + 1)
#define XT_ARENA_WARM (16u << 20) /* bytes of a size kept populated, ... */
#define XT_ARENA_WARM_MAX 256u    /* ... and extents */

/* What arenas have handed out together, and may. Written by one thread, read by any. */
struct xt_budget {
    _Atomic uint64_t used, limit; /* bytes; no limit: 0 */
};

struct xt_arena {
    int fd;
    bool cold;                /* punch everything that is freed: nobody will use it again */
    uint64_t top, end;        /* never used yet: [top, end) */
    uint64_t *used_bytes;     /* a counter of bytes handed out, shared by all arenas */
    struct xt_budget *budget; /* shared by those of one user; NULL: none */
    struct {
        uint64_t *off;
        uint32_t n, cap, warm; /* the last `warm` entries are populated */
        uint32_t least;        /* the fewest of these since the last xt_arena_settle() */
    } free[XT_ARENA_CLASSES];
};

/* May `size` bytes more be handed out? */
bool xt_budget_has(const struct xt_budget *b, uint64_t size);

/* Manages bytes [off, off + len) of the memfd `fd` (borrowed); off is a multiple of the page size. */
void xt_arena_init(struct xt_arena *a, int fd, uint64_t off, uint64_t len, uint64_t *used_bytes);
void xt_arena_fini(struct xt_arena *a);

/* An extent of `size` bytes (a power of two, 4 KiB to 1 GiB); its contents are undefined. False: no room, or beyond the
 * budget. */
bool xt_arena_alloc(struct xt_arena *a, uint32_t size, struct xt_extent *out);

/* Takes note of `n` extents that were handed out by another arena over the same bytes; sorts them. Once, right after
 * xt_arena_init(). False: they cannot have been, or no memory. */
bool xt_arena_adopt(struct xt_arena *a, struct xt_extent *e, uint32_t n);

/* Gives an extent back and clears *e; one of size 0 is fine. */
void xt_arena_release(struct xt_arena *a, struct xt_extent *e);

/* Gives the memory of an extent in use back to the kernel; it reads as zeros then. */
void xt_arena_trim(struct xt_arena *a, const struct xt_extent *e);

/* Bytes that were never handed out. */
static inline uint64_t xt_arena_room(const struct xt_arena *a)
{
    return a->end - a->top;
}

/* Gives the memory of some extents back that stayed warm since the last call, and that nobody took. */
void xt_arena_settle(struct xt_arena *a);

/* Gives the memory of the extents kept warm back to the kernel, and of all that are freed later. */
void xt_arena_cool(struct xt_arena *a);

#endif
