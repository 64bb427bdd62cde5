/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/watchdog.h"

#include <stdlib.h>
#include <unistd.h>

#include "daemon/main/notify.h"

static void on_data_plane(void *arg)
{
    (void)arg; /* that it runs there is what counts */
}

static void ping(struct xt_watchdog *w);

static void on_return(void *arg)
{
    struct xt_watchdog *w = arg;
    w->away = false;
    w->shard = (w->shard + 1) % xt_app_shards(w->app);
    if (w->shard)
        ping(w);
    else
        xt_notify("WATCHDOG=1");
}

/* Where it finds no room, the timer tries again. */
static void ping(struct xt_watchdog *w)
{
    struct xt_msg m = {.type = XT_MSG_CALL, .ptr = w, .fn = on_data_plane, .done = on_return};
    w->away = xt_app_post(xt_app_shard(w->app, w->shard), &m) == 0;
}

static void on_timer(uv_timer_t *h)
{
    struct xt_watchdog *w = h->data;
    if (!w->away)
        ping(w);
}

/* Three pings in the time after which the keeper loses patience; 0: it has no watchdog, or not for this process. */
static uint64_t period_ms(void)
{
    const char *pid = getenv("WATCHDOG_PID"), *usec = getenv("WATCHDOG_USEC");
    if (!usec || (pid && strtol(pid, NULL, 10) != getpid()))
        return 0;
    uint64_t ms = strtoull(usec, NULL, 10) / 3000;
    return ms ? ms : 1;
}

void xt_watchdog_start(struct xt_watchdog *w, uv_loop_t *loop, struct xt_app *app)
{
    uint64_t ms = period_ms();
    w->app = app;
    w->timer.data = ms ? w : NULL;
    if (!ms)
        return;
    uv_timer_init(loop, &w->timer);
    uv_timer_start(&w->timer, on_timer, 0, ms);
}

void xt_watchdog_stop(struct xt_watchdog *w)
{
    if (w->timer.data)
        uv_close((uv_handle_t *)&w->timer, NULL);
}
