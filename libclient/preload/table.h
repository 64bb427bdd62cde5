/* SPDX-License-Identifier: Apache-2.0
 * What each descriptor of this process is. One atomic word for each number, in zero-initialised memory that is touched only
 * where descriptors are; so it works before constructors, in signal handlers and without a lock, and a descriptor that
 * is nobody's business costs one load.
 * Word: bits 0-3 kind, 4-7 context, 8-20 flags, 32-63 value (socket number, options set so far, or epoll set). */
#ifndef XP_TABLE_H
#define XP_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/xt_bitmap.h"

#define XP_FDS (1u << 20) /* descriptors from here on are always the kernel's */
#define XP_CTX_NONE 15u   /* a descriptor of no context */
#define XP_CTXS 14u       /* daemons this process has been attached to, one after the other, or shards of one */

enum xp_kind {
    XP_KERNEL,    /* not ours: the value of an empty word */
    XP_UNDECIDED, /* a kernel TCP socket that no rule has looked at yet; value: XP_OPT_* set so far */
    XP_XTCP,      /* a placeholder; value: xtcp socket number */
    XP_EPOLL,     /* value: epoll set + 1, 0: none yet */
    XP_OWN,       /* the library's own: hidden from the program's closes */
    XP_KEPT,      /* closed, but its number and placeholder are kept for the next socket: see kept.h */
    XP_RELAY, /* an end that the daemon relays; the kernel serves it. Context XP_CTX_NONE: inherited, else as XP_XTCP */
};

enum {
    XP_F_INET6 = 1 << 8,     /* the program asked for AF_INET6 */
    XP_F_V6ONLY = 1 << 9,    /* IPV6_V6ONLY is set */
    XP_F_DUPED = 1 << 10,    /* undecided, and another descriptor shares it */
    XP_F_INSET = 1 << 11,    /* is or was in an epoll set */
    XP_F_HASKERN = 1 << 12,  /* an epoll descriptor that kernel descriptors were added to */
    XP_F_STREAM = 1 << 13,   /* a stdio stream was opened on it */
    XP_F_PAIR = 1 << 14,     /* an xtcp socket whose descriptor is an exported end already, no placeholder */
    XP_F_CLAIM = 1 << 15,    /* an inherited end that is to be claimed before its first use */
    XP_F_BOTH = 1 << 16,     /* an xtcp socket with a kernel's half: see both.h */
    XP_F_PLAIN = 1 << 17,    /* beneath it is an untouched placeholder, of which it is known ... */
    XP_F_CLOEXEC = 1 << 18,  /* ... whether it has FD_CLOEXEC: its number may be kept */
    XP_F_BARE = 1 << 19,     /* undecided, and beneath it is a placeholder: see bare.h */
    XP_F_NONBLOCK = 1 << 20, /* of a bare one: O_NONBLOCK */
};

extern _Atomic uint64_t xp_table[XP_FDS];

static inline uint64_t xp_word(enum xp_kind kind, unsigned ctx, unsigned flags, uint32_t value)
{
    return (uint64_t)value << 32 | flags | ctx << 4 | (unsigned)kind;
}
static inline enum xp_kind xp_kind(uint64_t w)
{
    return (enum xp_kind)(w & 0xf);
}
static inline unsigned xp_ctxno(uint64_t w)
{
    return (unsigned)(w >> 4) & 0xf;
}
static inline unsigned xp_flags(uint64_t w)
{
    return (unsigned)w & 0x1fff00;
}
static inline uint32_t xp_value(uint64_t w)
{
    return (uint32_t)(w >> 32);
}

static inline bool xp_is_bare(uint64_t w)
{
    return xp_kind(w) == XP_UNDECIDED && xp_flags(w) & XP_F_BARE;
}

static inline uint64_t xp_get(int fd)
{
    return (unsigned)fd < XP_FDS ? atomic_load_explicit(&xp_table[fd], memory_order_acquire) : 0;
}

/* fd must be below XP_FDS for anything but a zero word. */
void xp_put(int fd, uint64_t w);
/* Clears the word and returns what it was. */
uint64_t xp_take(int fd);
/* From *was, which becomes what it is, to `w`: true when it was. */
bool xp_swap(int fd, uint64_t *was, uint64_t w);
void xp_set_flags(int fd, unsigned flags);
void xp_clear_flags(int fd, unsigned flags);
/* The first descriptor >= fd with a word that is not zero, or -1. */
int xp_next(int fd);

/* Descriptors of this process for an xtcp socket. xp_unref is true for the last one. */
void xp_ref(unsigned ctx, uint32_t sock);
bool xp_unref(unsigned ctx, uint32_t sock);
unsigned xp_refs(unsigned ctx, uint32_t sock);

#endif
