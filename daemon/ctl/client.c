/* SPDX-License-Identifier: Apache-2.0
 * A connection to the control socket: its life, its identity and its replies. The socket's open file may be shared with the
 * client (a fork's end comes from it), so its flags are not trusted: every call says MSG_DONTWAIT. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/crash.h"
#include "daemon/base/log.h"
#include "daemon/base/time.h"
#include "daemon/ctl/export.h"
#include "daemon/ctl/foreign.h"
#include "daemon/ctl/internal.h"
#include "daemon/ctl/keep.h"

#define MOST_VAIN 64 /* looks for a message that is said to be there */

static void drop_fd(void *ctl, int fd)
{
    xt_foreign_close(((struct xt_ctl *)ctl)->foreign, fd);
}

/* The kernel would close the descriptors in messages that nobody has read together with `fd`, and have us wait for it: there are to be
 * none. */
static void close_read_out(struct xt_ctl *c, int fd)
{
    struct xt_msg_anc anc;
    bool more = true;
    shutdown(fd, SHUT_RDWR); /* and none comes after */
    while (more) {
        ssize_t n = xt_msg_recv_drop(fd, c->in, sizeof c->in, &anc, MSG_DONTWAIT, drop_fd, c);
        more = n > 0 || n == -EMSGSIZE || (n == 0 && anc.has_cred); /* an empty message is not the end */
        if (n >= 0)
            xt_msg_anc_drop(&anc, drop_fd, c);
    }
    close(fd);
}

static void on_closed(uv_handle_t *h)
{
    struct xt_client *cl = h->data;
    close_read_out(cl->ctl, cl->fd);
    free(cl);
}

void xt_client_close(struct xt_client *cl)
{
    if (cl->closing)
        return;
    cl->closing = true;
    LIST_REMOVE(cl, link);
    cl->ctl->nclients--;
    if (cl->job)
        cl->job->client = NULL;
    if (cl->session) {
        struct xt_msg m = {
            .type = XT_MSG_PROC_GONE, .arg = cl->proc, .shard = xt_session_shard(cl->session), .ptr = cl->session};
        XT_CRASH_POINT();
        xt_keep_forget_client(cl);
        XT_CRASH_POINT();
        xt_ctl_post(cl->ctl, &m);
        xt_export_client_gone(cl->ctl, cl->session);
    }
    uv_close((uv_handle_t *)&cl->poll, on_closed);
}

void xt_client_drop(struct xt_client *cl, const char *why)
{
    if (!cl->closing) {
        cl->ctl->dropped++;
        xt_log_limited(XT_LOG_WARN, "control: pid %d uid %u is disconnected: %s", cl->pid, cl->uid, why);
    }
    xt_client_close(cl);
}

/* A program's request stays in its socket until it has been answered: should this process die before, its successor finds it
 * there. All requests of programs may be carried out twice. */
static void request_done(struct xt_client *cl)
{
    struct xt_ctl *c = cl->ctl;
    struct xt_msg_anc again;
    char byte;
    XT_CRASH_POINT();
    if (xt_msg_recv_drop(cl->fd, &byte, sizeof byte, &again, MSG_DONTWAIT | MSG_TRUNC, drop_fd, c) >= 0)
        xt_msg_anc_drop(&again, drop_fd, c);
}

static void take_request(struct xt_client *cl, ssize_t n, struct xt_msg_anc *anc)
{
    xt_request_handle(cl, cl->ctl->in, (size_t)n, anc);
    cl->revived = false;
    cl->spoke = true;
    if (!cl->job)
        request_done(cl);
}

/* The open file of a fork's end is the client's too: it may take what it has sent, or have us look behind it (SO_PEEK_OFF). Then there
 * is something to read whenever we ask, and nothing when we read. */
static void found_nothing(struct xt_client *cl)
{
    if (++cl->vain == MOST_VAIN)
        xt_client_drop(cl, "it takes its messages back");
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    struct xt_client *cl = h->data;
    struct xt_ctl *c = cl->ctl;
    if (status < 0) {
        xt_client_close(cl);
        return;
    }
    for (unsigned i = 0; i < XT_CTL_BURST && !cl->closing && !cl->job; i++) {
        struct xt_msg_anc anc;
        ssize_t n = xt_msg_recv_drop(cl->fd, c->in, sizeof c->in, &anc, MSG_DONTWAIT | MSG_PEEK, drop_fd, c);
        if (n == -EAGAIN && i == 0)
            found_nothing(cl);
        if (n == -EAGAIN)
            return;
        cl->vain = 0;
        if (n == -EMSGSIZE)
            xt_client_drop(cl, "a message too long");
        else if (n <= 0)
            xt_client_close(cl);
        else
            take_request(cl, n, &anc);
        xt_msg_anc_drop(&anc, drop_fd, c);
    }
    if (!cl->closing && cl->job)
        uv_poll_stop(&cl->poll);
}

void xt_client_resume(struct xt_client *cl)
{
    cl->job = NULL;
    if (cl->closing)
        return;
    request_done(cl);
    uv_poll_start(&cl->poll, UV_READABLE, on_readable);
}

/* One user may not take all places: half of them are left to others. */
static bool has_room(struct xt_ctl *c, uid_t uid)
{
    unsigned limit = 2 * c->cfg.config.max_clients + 64, own = 0;
    struct xt_client *cl;
    if (c->nclients >= limit)
        return uid == 0 && c->nclients < limit + 16;
    if (uid == 0 || c->nclients < limit / 2)
        return true;
    LIST_FOREACH(cl, &c->clients, link)
    own += cl->uid == uid;
    return own < limit / 2;
}

static struct xt_client *make(struct xt_ctl *c, int fd, pid_t pid, uid_t uid, gid_t gid)
{
    int on = 1;
    struct xt_client *cl = calloc(1, sizeof *cl);
    if (!cl || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
        uv_poll_init(&c->loop, &cl->poll, fd) < 0) {
        free(cl);
        return NULL;
    }
    cl->ctl = c;
    cl->fd = fd;
    cl->pid = pid;
    cl->uid = uid;
    cl->gid = gid;
    cl->since_us = xt_time_us();
    cl->poll.data = cl;
    LIST_INSERT_HEAD(&c->clients, cl, link);
    c->nclients++;
    uv_poll_start(&cl->poll, UV_READABLE, on_readable);
    return cl;
}

struct xt_client *xt_client_new(struct xt_ctl *c, int fd, pid_t pid, uid_t uid, gid_t gid)
{
    struct xt_client *cl = has_room(c, uid) ? make(c, fd, pid, uid, gid) : NULL;
    if (!cl) {
        xt_log_limited(XT_LOG_WARN, "control: no room for pid %d uid %u", pid, uid);
        close(fd);
    }
    return cl;
}

struct xt_client *xt_client_revive(struct xt_ctl *c, int fd, pid_t pid, uid_t uid)
{
    struct xt_client *cl = make(c, fd, pid, uid, (gid_t)-1);
    if (!cl)
        xt_log_no_memory("a client that is taken over");
    cl->revived = true;
    return cl;
}

void xt_client_drop_silent(struct xt_ctl *c, uint64_t now_us)
{
    struct xt_client *cl, *next;
    for (cl = LIST_FIRST(&c->clients); cl; cl = next) {
        next = LIST_NEXT(cl, link);
        if (!cl->session && !cl->spoke && now_us - cl->since_us >= XT_CTL_SILENCE_US)
            xt_client_drop(cl, "it has said nothing");
    }
}

/* ---- replies ---- */

static void begin(struct xt_client *cl, struct xt_msg_out *o, bool ok)
{
    xt_msg_begin(o, cl->ctl->out, sizeof cl->ctl->out);
    xt_msg_bool(o, "ok", ok);
    if (cl->numbered)
        xt_msg_uint(o, "n", cl->number);
}

void xt_client_begin(struct xt_client *cl, struct xt_msg_out *o)
{
    begin(cl, o, true);
}

void xt_client_send(struct xt_client *cl, struct xt_msg_out *o, const int *fds, unsigned nfds)
{
    if (cl->closing)
        return;
    ssize_t n = xt_msg_end(o);
    if (n < 0) {
        xt_client_error(cl, (int)n, "the reply does not fit into one message");
        return;
    }
    int rc = xt_msg_send(cl->fd, o->buf, (size_t)n, fds, nfds, MSG_DONTWAIT);
    if (rc == -EAGAIN)
        xt_client_drop(cl, "it does not read its replies");
    else if (rc < 0)
        xt_client_close(cl);
}

void xt_client_ok(struct xt_client *cl)
{
    struct xt_msg_out o;
    xt_client_begin(cl, &o);
    xt_client_send(cl, &o, NULL, 0);
}

void xt_client_error(struct xt_client *cl, int rc, const char *fmt, ...)
{
    char text[512];
    struct xt_msg_out o;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (xt_ctl_is_want(-rc)) /* programs get an errno, which few of them say */
        xt_log_limited(XT_LOG_WARN, "control: refused to pid %d uid %u: %s", cl->pid, cl->uid, text);
    begin(cl, &o, false);
    xt_msg_uint(&o, "errno", (uint64_t)-rc);
    xt_msg_str(&o, "error", text);
    xt_client_send(cl, &o, NULL, 0);
}
