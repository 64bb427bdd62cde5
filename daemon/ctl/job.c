/* SPDX-License-Identifier: Apache-2.0
 * Requests that need the data plane: work there in short pieces, answer here. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/ctl/internal.h"

static void on_data_plane(void *arg)
{
    struct xt_job *j = arg;
    j->more = false;
    j->work(j);
}

static void post(struct xt_job *j);

static void on_return(void *arg)
{
    struct xt_job *j = arg;
    struct xt_client *cl = j->client;
    bool wanted = cl || !j->reply, next = !j->more && !j->one && j->shard + 1 < xt_app_shards(j->ctl->cfg.app);
    if (wanted && (j->more || next)) {
        j->shard += next;
        post(j);
        return;
    }
    if (cl) {
        cl->job = NULL;
        j->reply(j, cl);
        xt_client_resume(cl);
    }
    LIST_REMOVE(j, link);
    free(j);
}

static void post(struct xt_job *j)
{
    struct xt_msg m = {.type = XT_MSG_CALL, .shard = j->shard, .ptr = j, .fn = on_data_plane, .done = on_return};
    xt_ctl_post(j->ctl, &m);
}

void *xt_job_new(struct xt_ctl *c, struct xt_client *cl, size_t size, void (*work)(struct xt_job *),
                 void (*reply)(struct xt_job *, struct xt_client *))
{
    struct xt_job *j = calloc(1, size);
    if (!j) {
        if (cl)
            xt_client_error(cl, -ENOMEM, "no memory for the request");
        return NULL;
    }
    j->ctl = c;
    j->client = cl;
    j->work = work;
    j->reply = reply;
    LIST_INSERT_HEAD(&c->jobs, j, link);
    if (cl)
        cl->job = j;
    return j;
}

struct xt_stack *xt_job_stack(const struct xt_job *j)
{
    return j->ctl->cfg.host.stack(j->ctl->cfg.host.arg, j->shard);
}

struct xt_app *xt_job_app(const struct xt_job *j)
{
    return xt_app_shard(j->ctl->cfg.app, j->shard);
}

void xt_job_start(struct xt_job *j)
{
    post(j);
}
