/* SPDX-License-Identifier: Apache-2.0
 * The control loop: accepts connections, carries messages to the data plane and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/base/time.h"
#include "daemon/ctl/export.h"
#include "daemon/ctl/foreign.h"
#include "daemon/ctl/internal.h"
#include "daemon/ctl/keep.h"

#define RETRY_MS 5
#define ACCEPT_PAUSE_MS 100

static void on_retry(uv_timer_t *h);
static void on_connection(uv_poll_t *h, int status, int events);

/* ---- to the data plane ---- */

static bool posted(struct xt_ctl *c, const struct xt_msg *m)
{
    return xt_app_post(xt_app_shard(c->cfg.app, m->shard), m) == 0;
}

void xt_ctl_post(struct xt_ctl *c, const struct xt_msg *m)
{
    if (STAILQ_EMPTY(&c->waiting) && posted(c, m))
        return;
    struct xt_waiting_msg *w = malloc(sizeof *w);
    if (!w)
        xt_log_no_memory("a message"); /* without it a dead client's memory would stay for ever */
    w->msg = *m;
    STAILQ_INSERT_TAIL(&c->waiting, w, link);
    uv_timer_start(&c->retry, on_retry, RETRY_MS, RETRY_MS);
}

static void post_waiting(struct xt_ctl *c)
{
    struct xt_waiting_msg *w;
    while ((w = STAILQ_FIRST(&c->waiting)) && posted(c, &w->msg)) {
        STAILQ_REMOVE_HEAD(&c->waiting, link);
        free(w);
    }
}

static int make_spare(struct xt_ctl *c)
{
    if (c->spare < 0)
        c->spare = eventfd(0, EFD_CLOEXEC);
    return c->spare < 0 ? -errno : 0;
}

static void on_retry(uv_timer_t *h)
{
    struct xt_ctl *c = h->data;
    post_waiting(c);
    if (!uv_is_active((uv_handle_t *)&c->listener))
        uv_poll_start(&c->listener, UV_READABLE, on_connection);
    if (STAILQ_EMPTY(&c->waiting) && make_spare(c) == 0)
        uv_timer_stop(h);
}

/* Whose messages xt_app_ctl_run() hands out just now: it gives xt_ctl_session_ended() the session alone. */
static _Thread_local struct xt_ctl *taking;

static void take_news(struct xt_ctl *c)
{
    taking = c;
    xt_app_ctl_run(c->cfg.app);
    taking = NULL;
}

void xt_ctl_session_ended(void *s)
{
    struct xt_client *cl, *next;
    for (cl = LIST_FIRST(&taking->clients); cl; cl = next) {
        next = LIST_NEXT(cl, link);
        if (cl->session != s)
            continue;
        xt_keep_forget_client(cl);
        cl->session = NULL; /* its proc is gone with it */
        xt_log_debug("control: pid %d uid %u is disconnected: its session was ended by the data plane", cl->pid,
                     cl->uid);
        xt_client_close(cl);
    }
    xt_export_session_ended(taking, s);
    xt_keep_forget_session(taking, s);
    xt_session_free(s);
}

static void on_news(uv_poll_t *h, int status, int events)
{
    struct xt_ctl *c = h->data;
    take_news(c);
    post_waiting(c);
}

/* ---- connections ---- */

bool xt_ctl_is_want(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;
}

static void admit(struct xt_ctl *c, int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        close(fd);
    else
        xt_client_new(c, fd, cred.pid, cred.uid, cred.gid);
}

/* Who comes when no descriptor is left gets the spare one: to be told so is better than to wait for an answer. */
static int accept_one(struct xt_ctl *c)
{
    int fd = accept4(c->cfg.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 || c->spare < 0 || (errno != EMFILE && errno != ENFILE))
        return fd;
    close(c->spare);
    c->spare = -1;
    uv_timer_start(&c->retry, on_retry, ACCEPT_PAUSE_MS, ACCEPT_PAUSE_MS);
    return accept4(c->cfg.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void on_connection(uv_poll_t *h, int status, int events)
{
    struct xt_ctl *c = h->data;
    for (unsigned i = 0; i < XT_CTL_BURST; i++) {
        int fd = accept_one(c);
        if (fd >= 0) {
            admit(c, fd);
            continue;
        }
        if (xt_ctl_is_want(errno)) {
            /* The connection stays in the queue and would wake us again and again: look later. */
            xt_log_limited(XT_LOG_ERROR, "control: cannot accept: %s", strerror(errno));
            uv_poll_stop(&c->listener);
            uv_timer_start(&c->retry, on_retry, ACCEPT_PAUSE_MS, ACCEPT_PAUSE_MS);
        }
        return;
    }
}

static void on_silence(uv_timer_t *h)
{
    xt_client_drop_silent(h->data, xt_time_us());
}

/* ---- life ---- */

static int init_loop(struct xt_ctl *c)
{
    int rc = uv_loop_init(&c->loop);
    if (rc < 0)
        return rc;
    c->loop.data = c;
    uv_timer_init(&c->loop, &c->retry);
    uv_timer_init(&c->loop, &c->silence);
    uv_timer_start(&c->silence, on_silence, XT_CTL_SILENCE_US / 1000, XT_CTL_SILENCE_US / 1000);
    c->retry.data = c->silence.data = c->listener.data = c->news.data = c;
    rc = uv_poll_init(&c->loop, &c->listener, c->cfg.listen_fd);
    if (rc == 0)
        rc = uv_poll_start(&c->listener, UV_READABLE, on_connection);
    if (rc == 0)
        rc = uv_poll_init(&c->loop, &c->news, xt_app_ctl_fd(c->cfg.app));
    if (rc == 0)
        rc = uv_poll_start(&c->news, UV_READABLE, on_news);
    return rc;
}

int xt_ctl_new(struct xt_ctl **out, const struct xt_ctl_cfg *cfg)
{
    struct xt_ctl *c = calloc(1, sizeof *c);
    int rc = c && (c->foreign = xt_foreign_new()) ? 0 : -ENOMEM;
    if (rc == 0) {
        c->cfg = *cfg;
        c->spare = -1;
        c->started_us = xt_time_us();
        LIST_INIT(&c->clients);
        LIST_INIT(&c->jobs);
        STAILQ_INIT(&c->waiting);
        LIST_INIT(&c->exporters);
        xt_privilege_apply(c);
    }
    if (rc == 0)
        rc = init_loop(c);
    if (rc == 0)
        rc = xt_link_start(c);
    if (rc == 0)
        rc = make_spare(c);
    if (rc < 0) {
        close(cfg->listen_fd);
        if (c && c->foreign)
            xt_foreign_free(c->foreign);
        free(c);
        return rc;
    }
    *out = c;
    return 0;
}

uv_loop_t *xt_ctl_loop(struct xt_ctl *c)
{
    return &c->loop;
}

void xt_ctl_run(struct xt_ctl *c)
{
    uv_run(&c->loop, UV_RUN_DEFAULT);
}

void xt_ctl_stop(struct xt_ctl *c)
{
    uv_stop(&c->loop);
}

void xt_ctl_free(struct xt_ctl *c)
{
    struct xt_client *cl;
    struct xt_waiting_msg *w;
    struct xt_job *j;
    take_news(c); /* what the data plane said before it ended */
    while ((cl = LIST_FIRST(&c->clients)))
        xt_client_close(cl);
    xt_export_end(c);
    uv_close((uv_handle_t *)&c->listener, NULL);
    uv_close((uv_handle_t *)&c->news, NULL);
    uv_close((uv_handle_t *)&c->retry, NULL);
    uv_close((uv_handle_t *)&c->silence, NULL);
    xt_link_stop(c);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    uv_loop_close(&c->loop);
    xt_foreign_free(c->foreign);
    while ((w = STAILQ_FIRST(&c->waiting))) {
        STAILQ_REMOVE_HEAD(&c->waiting, link);
        free(w);
    }
    while ((j = LIST_FIRST(&c->jobs))) {
        LIST_REMOVE(j, link);
        free(j);
    }
    close(c->cfg.listen_fd);
    if (c->spare >= 0)
        close(c->spare);
    free(c);
}
