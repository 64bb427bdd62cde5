/* SPDX-License-Identifier: Apache-2.0
 * Which processor the shard's thread runs on. Where there are more threads to run than processors, a program and its shard do
 * best on one: they take turns there, each finds what the other has left in its caches and finds more of it at once, and neither
 * spins for the other on a processor that a third one wants. The scheduler does not see that, so the shard goes to the program that
 * waits for it most. It stays free to be moved away: where the two are better apart the scheduler finds an idle processor for one
 * of them, and each time that this comes soon the next attempt comes later. */
#ifndef XT_FOLLOW_H
#define XT_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/app/app.h"
#include "proto/xt_hog.h"

enum {
    XT_FOLLOW_LOOK_US = 1000,  /* from look to look */
    XT_FOLLOW_PAUSE_US = 1000, /* between two moves at first */
    XT_FOLLOW_PAUSE_MAX_US = 1 << 20,
    XT_FOLLOW_SETTLED = 8, /* looks in a row at which both were on one processor: the move was right */
    XT_FOLLOW_AWAY_US = 4, /* a yield and a pass without work take that long only when somebody else runs meanwhile */
};

struct xt_follow {
    bool on;
    bool shared;         /* somebody else ran on this processor since the last look */
    uint64_t yielded_at; /* 0: it has not yielded since its last pass */
    uint64_t look_at;    /* the next look */
    uint64_t not_before; /* the next move */
    uint32_t pause_us;
    uint32_t settled;
    struct xt_hog hog; /* where somebody computes, taking turns does not work */
    uint64_t moves;
};

static inline void xt_follow_init(struct xt_follow *f, bool on)
{
    *f = (struct xt_follow){.on = on, .pause_us = XT_FOLLOW_PAUSE_US};
}

/* What a look leads to. `here` is the shard's processor, `there` the program's (-1: there is no such program), `shared`: others ran on one
 * of the two since the last look. Returns the processor to go to, -1 for none. */
static inline int xt_follow_choose(struct xt_follow *f, uint64_t now, int here, int there, bool shared)
{
    if (there < 0)
        return -1;
    if (here == there) {
        if (++f->settled >= XT_FOLLOW_SETTLED)
            f->pause_us = XT_FOLLOW_PAUSE_US;
        return -1;
    }
    f->settled = 0;
    if (!shared || now < f->not_before || xt_hog_near(&f->hog, now))
        return -1;
    f->not_before = now + f->pause_us;
    if (f->pause_us < XT_FOLLOW_PAUSE_MAX_US)
        f->pause_us *= 2;
    return there;
}

/* Once a pass, on the shard's thread; `now` in microseconds. */
void xt_follow(struct xt_follow *f, struct xt_app *app, uint64_t now);
/* Instead of sched_yield(), when the pass that began at `now` found no work. */
void xt_follow_yield(struct xt_follow *f, uint64_t now);

#endif
