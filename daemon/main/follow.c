/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/follow.h"

#include <sched.h>

static void go_to(struct xt_follow *f, int cpu)
{
    cpu_set_t may, one;
    if (cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof may, &may) < 0 || !CPU_ISSET((size_t)cpu, &may))
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) < 0)
        return;
    sched_setaffinity(0, sizeof may, &may); /* there by now, and free to be moved away */
    f->moves++;
}

void xt_follow(struct xt_follow *f, struct xt_app *app, uint64_t now)
{
    if (f->yielded_at) {
        f->shared |= now - f->yielded_at >= XT_FOLLOW_AWAY_US;
        xt_hog_yielded(&f->hog, f->yielded_at, now, 0); /* without the shard nobody gets far with sockets */
        f->yielded_at = 0;
    }
    if (now < f->look_at || !f->on)
        return;
    struct xt_app_waits w;
    xt_app_waits(app, &w);
    int cpu = xt_follow_choose(f, now, sched_getcpu(), w.cpu, f->shared || w.shared);
    f->look_at = now + XT_FOLLOW_LOOK_US;
    f->shared = false;
    if (cpu >= 0)
        go_to(f, cpu);
}

void xt_follow_yield(struct xt_follow *f, uint64_t now)
{
    f->yielded_at = now;
    sched_yield(); /* who wants this core may be the one that makes the work */
}
