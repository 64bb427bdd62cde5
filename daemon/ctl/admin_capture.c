/* SPDX-License-Identifier: Apache-2.0
 * "capture": {op, id: uint, end: bool} gives {ok, frames: bin, lost: uint, offset_us: uint}: what was captured since the last
 * question with that id (struct xt_capture_rec), how many frames found no room, and what makes its times those of the calendar.
 * With `end` it was the last question: another capture may begin. Without, that is so two seconds after it. */
#include <errno.h>
#include <time.h>

#include "daemon/base/time.h"
#include "daemon/ctl/internal.h"

#define BATCH 49152 /* bytes: fit into one message */

struct capture {
    struct xt_job job;
    uint64_t id, lost;
    int got; /* bytes of all shards, or a negative errno */
    bool end;
    uint8_t frames[BATCH];
};

static void work(struct xt_job *j)
{
    struct capture *c = (struct capture *)j;
    uint64_t lost = 0;
    if (c->got < 0)
        return;
    size_t at = (size_t)c->got;
    int n = xt_stack_capture(xt_job_stack(j), c->id, c->frames + at, sizeof c->frames - at, &lost, xt_time_us());
    c->lost += lost;
    c->got = n < 0 ? n : c->got + n;
    if (c->end)
        xt_stack_capture_end(xt_job_stack(j), c->id);
}

static uint64_t offset_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * XT_US_PER_S + (uint64_t)ts.tv_nsec / 1000 - xt_time_us();
}

static void reply(struct xt_job *j, struct xt_client *cl)
{
    const struct capture *c = (struct capture *)j;
    struct xt_msg_out o;
    if (c->got < 0) {
        xt_client_error(cl, c->got,
                        c->got == -EBUSY ? "another capture is going on (one that was killed ends after 2 s)"
                                         : "no memory for a capture");
        return;
    }
    xt_client_begin(cl, &o);
    xt_msg_uint(&o, "lost", c->lost);
    xt_msg_uint(&o, "offset_us", offset_us());
    xt_msg_bin(&o, "frames", c->frames, (size_t)c->got);
    xt_client_send(cl, &o, NULL, 0);
}

void xt_admin_capture(struct xt_request *r)
{
    uint64_t id;
    if (xt_msg_get_uint(r->msg, "id", &id) < 0) {
        xt_client_error(r->client, -EINVAL, "capture takes \"id\": any number, the same in each request");
        return;
    }
    struct capture *c = xt_job_new(r->client->ctl, r->client, sizeof *c, work, reply);
    if (!c)
        return;
    c->id = id;
    xt_msg_get_bool(r->msg, "end", &c->end);
    xt_job_start(&c->job);
}
