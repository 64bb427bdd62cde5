/* SPDX-License-Identifier: Apache-2.0
 * Who looks for news again and again yields the processor in between. Where somebody computes there, each yield is a
 * turn of his, milliseconds long, while a thread that sleeps gets the processor as soon as it is woken. So after two such
 * yields nobody spins for a while, twice as long each time that the next attempt ends in the same way. A program on xtcp
 * that is busy with what the others wait for is none of those: the longer its turns, the more there is for all at once. */
#ifndef XT_HOG_H
#define XT_HOG_H

#include <stdbool.h>
#include <stdint.h>

enum {
    XT_HOG_US = 2000,            /* who runs that long at a time computes, and does not give way */
    XT_HOG_SOCKET = 16,          /* unless he does something with a socket each so many microseconds */
    XT_HOG_HABIT_US = 20 * 1000, /* once is no habit: twice within that time it is */
    XT_HOG_PAUSE_US = 16 * 1000,
    XT_HOG_PAUSE_MAX_US = 1024 * 1000,
};

/* All zeros at first. Times in microseconds, of one clock that starts anywhere but does not go back. */
struct xt_hog {
    uint64_t until; /* the end of the last pause */
    uint64_t last;  /* the end of the last such yield */
    uint32_t pause_us;
};

/* A yield lasted from `from` to `to`; `sockets`: what xt_global.ran of this processor has grown by meanwhile. */
static inline void xt_hog_yielded(struct xt_hog *h, uint64_t from, uint64_t to, uint32_t sockets)
{
    if (to - from < XT_HOG_US || (uint64_t)sockets * XT_HOG_SOCKET >= to - from)
        return;
    bool habit = h->last && from - h->last < XT_HOG_HABIT_US;
    h->last = to;
    if (!habit)
        return;
    if (!h->pause_us || from > h->until + h->pause_us)
        h->pause_us = XT_HOG_PAUSE_US;
    else if (h->pause_us < XT_HOG_PAUSE_MAX_US)
        h->pause_us *= 2;
    h->until = to + h->pause_us;
}

/* True: do not spin. */
static inline bool xt_hog_near(const struct xt_hog *h, uint64_t now)
{
    return now < h->until;
}

#endif
