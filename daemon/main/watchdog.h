/* SPDX-License-Identifier: Apache-2.0
 * The keeper's watchdog (sd_notify(3), WATCHDOG=1): a ping goes from the control thread over all shards of the data plane and back, so when either
 * hangs, none leaves. */
#ifndef XT_MAIN_WATCHDOG_H
#define XT_MAIN_WATCHDOG_H

#include <stdbool.h>
#include <uv.h>

#include "daemon/app/app.h"

struct xt_watchdog {
    uv_timer_t timer;   /* data: NULL while it does not run */
    struct xt_app *app; /* the first shard's */
    uint32_t shard;     /* where the ping is */
    bool away;          /* it has not come back */
};

/* Runs if the keeper wants it (WATCHDOG_USEC). */
void xt_watchdog_start(struct xt_watchdog *w, uv_loop_t *loop, struct xt_app *app);
void xt_watchdog_stop(struct xt_watchdog *w);

#endif
