/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ctl/keep.h"

#include <stdio.h>
#include <string.h>

#include "daemon/app/relay.h"
#include "daemon/base/crash.h"
#include "daemon/base/log.h"
#include "daemon/ctl/export.h"
#include "daemon/ctl/internal.h"

void xt_keep_name(char out[XT_KEEP_NAME], char what, uint32_t id, uint32_t n)
{
    int len = snprintf(out, XT_KEEP_NAME, "%c%08x", what, id);
    if (!strchr("lmb", what))
        snprintf(out + len, XT_KEEP_NAME - (size_t)len, ".%u", n);
}

static void keep(const struct xt_ctl *c, char what, uint32_t id, uint32_t n, int fd)
{
    char name[XT_KEEP_NAME];
    if (!c->cfg.keep.store)
        return;
    xt_keep_name(name, what, id, n);
    XT_CRASH_POINT();
    int rc = c->cfg.keep.store(name, fd);
    XT_CRASH_POINT();
    if (rc < 0)
        xt_log_limited(XT_LOG_WARN, "control: the keeper does not take %s: %s", name, strerror(-rc));
}

static void forget(const struct xt_ctl *c, char what, uint32_t id, uint32_t n)
{
    char name[XT_KEEP_NAME];
    if (!c->cfg.keep.forget)
        return;
    xt_keep_name(name, what, id, n);
    c->cfg.keep.forget(name);
    XT_CRASH_POINT();
}

void xt_keep_session(struct xt_client *cl)
{
    const struct xt_session *s = cl->session;
    uint32_t id = xt_session_id(s);
    keep(cl->ctl, XT_KEEP_REGION, id, 0, xt_session_memfd(s));
    keep(cl->ctl, XT_KEEP_DOORBELL, id, 0, xt_session_doorbell(s));
    xt_keep_client(cl);
    keep(cl->ctl, XT_KEEP_LEDGER, id, 0, xt_session_ledger(s)); /* last: it is what the rest is looked for by */
}

void xt_keep_client(struct xt_client *cl)
{
    keep(cl->ctl, XT_KEEP_CONTROL, xt_session_id(cl->session), cl->proc, cl->fd);
}

/* In this order, and forgotten in the opposite one: see take_waiters() in daemon/app/session.c. */
void xt_keep_waiter(const struct xt_ctl *c, const struct xt_session *s, uint32_t waiter)
{
    uint32_t proc, id = xt_session_id(s);
    int rfd, wfd;
    if (!xt_session_waiter(s, waiter, &proc, &rfd, &wfd))
        return;
    keep(c, XT_KEEP_READER, id, waiter, rfd);
    keep(c, XT_KEEP_WRITER, id, waiter, wfd);
}

void xt_keep_forget_waiter(const struct xt_ctl *c, const struct xt_session *s, uint32_t waiter)
{
    forget(c, XT_KEEP_WRITER, xt_session_id(s), waiter);
    forget(c, XT_KEEP_READER, xt_session_id(s), waiter);
}

void xt_keep_export(const struct xt_ctl *c, const struct xt_session *s, char what, uint32_t slot, int fd)
{
    keep(c, what, xt_session_id(s), slot, fd);
}

void xt_keep_forget_export(const struct xt_ctl *c, const struct xt_session *s, char what, uint32_t slot)
{
    forget(c, what, xt_session_id(s), slot);
}

static void forget_waiters(const struct xt_ctl *c, const struct xt_session *s, uint32_t proc)
{
    uint32_t of;
    int rfd, wfd;
    for (uint32_t w = 0; w < XT_MAX_WAITERS; w++)
        if (xt_session_waiter(s, w, &of, &rfd, &wfd) && of == proc)
            xt_keep_forget_waiter(c, s, w);
}

void xt_keep_forget_client(struct xt_client *cl)
{
    forget(cl->ctl, XT_KEEP_CONTROL, xt_session_id(cl->session), cl->proc);
    forget_waiters(cl->ctl, cl->session, cl->proc);
}

void xt_keep_forget_session(struct xt_ctl *c, const struct xt_session *s)
{
    uint32_t id = xt_session_id(s);
    forget(c, XT_KEEP_LEDGER, id, 0);
    forget(c, XT_KEEP_REGION, id, 0);
    forget(c, XT_KEEP_DOORBELL, id, 0);
}

/* ---- the next stack process ---- */

void xt_ctl_adopt(struct xt_ctl *c, struct xt_session *s, int (*take)(void *arg, uint32_t id, char what, uint32_t n),
                  void *arg)
{
    for (uint32_t proc = 0; (proc = xt_session_next_proc(s, proc)) < XT_MAX_PROCS; proc++) {
        if (xt_relay_is_proc(s, proc))
            continue;
        int fd = take(arg, xt_session_id(s), XT_KEEP_CONTROL, proc);
        if (fd >= 0) {
            struct xt_client *cl = xt_client_revive(c, fd, xt_session_proc_pid(s, proc), xt_session_uid(s));
            cl->session = s;
            cl->proc = proc;
        } else {
            forget_waiters(c, s, proc); /* the last stack process may not have come to that */
            struct xt_msg m = {.type = XT_MSG_PROC_GONE, .arg = proc, .shard = xt_session_shard(s), .ptr = s};
            xt_ctl_post(c, &m);
        }
    }
    xt_export_adopt(c, s, take, arg);
}
