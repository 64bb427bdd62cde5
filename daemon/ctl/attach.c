/* SPDX-License-Identifier: Apache-2.0
 * Programs that attach, and their forks: see proto/xt_ctl.h for the messages. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "daemon/base/log.h"
#include "daemon/ctl/export.h"
#include "daemon/ctl/internal.h"
#include "daemon/ctl/keep.h"

/* Makes the session and its first proc. It takes part in the data plane once posted. */
static int make_session(struct xt_client *cl, const char *comm)
{
    struct xt_app *app = cl->ctl->cfg.app;
    struct xt_session *s;
    int rc = cl->kin.family ? xt_session_new_kin(app, &cl->kin, cl->pid, comm, &s)
                            : xt_session_new(app, cl->pid, cl->uid, comm, &s);
    if (rc < 0)
        return rc;
    if (!cl->kin.family && xt_privilege_low_ports(cl))
        xt_session_allow_low_ports(s);
    int proc = xt_session_add_proc(s, cl->pid);
    if (proc < 0) {
        xt_session_free(s);
        return proc;
    }
    cl->session = s;
    cl->proc = (uint32_t)proc;
    xt_keep_session(cl);
    struct xt_msg m = {.type = XT_MSG_SESSION, .shard = xt_session_shard(s), .ptr = s, .done = xt_ctl_session_ended};
    xt_ctl_post(cl->ctl, &m);
    return 0;
}

bool xt_attach_abi(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    uint64_t abi;
    char comm[24];
    if (xt_msg_get_uint(r->msg, "abi", &abi) < 0 || xt_msg_get_str(r->msg, "comm", comm, sizeof comm) < 0) {
        xt_client_error(cl, -EBADMSG, "attach wants \"abi\" and \"comm\"");
        xt_client_drop(cl, "a malformed attach");
        return false;
    }
    if (abi != XT_ABI_VERSION) {
        xt_client_error(cl, -EPROTONOSUPPORT,
                        "the library has interface version %llu, xtcpd has %u: install the same release",
                        (unsigned long long)abi, XT_ABI_VERSION);
        return false;
    }
    return true;
}

void xt_attach_welcome(struct xt_client *cl, uint32_t slot, int beside)
{
    int fds[4] = {xt_session_memfd(cl->session), xt_session_doorbell(cl->session),
                  xt_app_global_ro(xt_session_app(cl->session)), beside};
    struct xt_msg_out o;
    xt_client_begin(cl, &o);
    xt_msg_uint(&o, "abi", XT_ABI_VERSION);
    xt_msg_uint(&o, "session", xt_session_id(cl->session));
    xt_msg_uint(&o, "proc", cl->proc);
    xt_msg_str(&o, "rules", cl->ctl->cfg.config.rules);
    xt_msg_str(&o, "interface", cl->ctl->cfg.config.interface);
    if (xt_app_shards(cl->ctl->cfg.app) > 1) {
        xt_msg_uint(&o, "shards", xt_app_shards(cl->ctl->cfg.app));
        xt_msg_uint(&o, "shard", xt_session_shard(cl->session));
    }
    if (slot != XT_NO_SLOT)
        xt_msg_uint(&o, "slot", slot);
    xt_client_send(cl, &o, fds, beside >= 0 ? 4 : 3);
}

void xt_attach_attach(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    char comm[24] = "";
    if (cl->session && cl->revived) { /* it was attached, but perhaps not answered */
        xt_attach_welcome(cl, XT_NO_SLOT, -1);
        return;
    }
    if (cl->session) {
        xt_client_error(cl, -EISCONN, "this connection is attached already");
        return;
    }
    if (!xt_attach_abi(r))
        return;
    xt_msg_get_str(r->msg, "comm", comm, sizeof comm);
    int rc = make_session(cl, comm);
    if (rc < 0) {
        xt_client_error(cl, rc, "cannot make a session: %s", strerror(-rc));
        return;
    }
    xt_attach_welcome(cl, XT_NO_SLOT, -1);
    xt_log_debug("control: pid %d (%s) uid %u attached", cl->pid, comm, cl->uid);
}

void xt_attach_waiter(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    struct xt_msg_out o;
    int fd = -1;
    int index = cl->session ? xt_session_add_waiter(cl->session, cl->proc, &fd) : -ENOTCONN;
    if (index < 0) {
        xt_client_error(cl, index, "cannot make a waiter: %s", strerror(-index));
        return;
    }
    xt_keep_waiter(cl->ctl, cl->session, (uint32_t)index);
    xt_client_begin(cl, &o);
    xt_msg_uint(&o, "waiter", (uint64_t)index);
    xt_client_send(cl, &o, &fd, 1);
}

/* Of several shards, others than the client's may have what a port waits for. */
static void settle(struct xt_job *j)
{
    if (xt_app_shards(j->ctl->cfg.app) > 1)
        xt_app_settle_closes(xt_job_app(j));
}

static void settled(struct xt_job *j, struct xt_client *cl)
{
    struct xt_msg_out o;
    xt_export_look(j->ctl);
    xt_client_begin(cl, &o);
    xt_msg_uint(&o, "settled", 1);
    xt_client_send(cl, &o, NULL, 0);
}

/* By way of the data plane: when it answers it has taken note of the processes that are gone. */
void xt_attach_settle(struct xt_request *r)
{
    struct xt_job *j = xt_job_new(r->client->ctl, r->client, sizeof *j, settle, settled);
    if (j)
        xt_job_start(j);
}

static bool sock_int_is(int fd, int opt, int want)
{
    int v;
    socklen_t len = sizeof v;
    return getsockopt(fd, SOL_SOCKET, opt, &v, &len) == 0 && v == want;
}

/* One end of a connected pair, as promised; its other end may be anybody's. */
static bool is_pair_end(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    return sock_int_is(fd, SO_DOMAIN, AF_UNIX) && sock_int_is(fd, SO_TYPE, SOCK_SEQPACKET) &&
           getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

/* The child whose end of the pair this is already: the stack process died before it had answered. */
static struct xt_client *made_before(const struct xt_client *cl, int fd)
{
    struct xt_client *other;
    struct stat want, have;
    if (!cl->revived || fstat(fd, &want) < 0)
        return NULL;
    LIST_FOREACH(other, &cl->ctl->clients, link)
    if (other->session == cl->session && fstat(other->fd, &have) == 0 && have.st_ino == want.st_ino &&
        have.st_dev == want.st_dev)
        return other;
    return NULL;
}

static void answer_fork(struct xt_client *cl, uint32_t proc)
{
    struct xt_msg_out o;
    xt_client_begin(cl, &o);
    xt_msg_uint(&o, "proc", proc);
    xt_client_send(cl, &o, NULL, 0);
}

void xt_attach_fork(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    if (!cl->session || r->anc->nfds != 1 || !is_pair_end(r->anc->fd[0])) {
        xt_client_error(cl, -EBADMSG, "fork wants an attached process and one end of a socket pair");
        xt_client_drop(cl, "a malformed fork");
        return;
    }
    struct xt_client *child = made_before(cl, r->anc->fd[0]);
    if (child) {
        answer_fork(cl, child->proc);
        return;
    }
    int proc = xt_session_add_proc(cl->session, 0);
    if (proc < 0) {
        xt_client_error(cl, proc, "cannot add a process: %s", strerror(-proc));
        return;
    }
    int fd = r->anc->fd[0];
    r->anc->fd[0] = -1;
    child = xt_client_new(cl->ctl, fd, 0, cl->uid, cl->gid);
    if (!child) {
        struct xt_msg m = {.type = XT_MSG_PROC_GONE,
                           .arg = (uint32_t)proc,
                           .shard = xt_session_shard(cl->session),
                           .ptr = cl->session};
        xt_ctl_post(cl->ctl, &m);
        xt_client_error(cl, -ENOBUFS, "too many processes are attached");
        return;
    }
    child->session = cl->session;
    child->proc = (uint32_t)proc;
    xt_keep_client(child);
    answer_fork(cl, child->proc);
}

/* It comes over a connection that is attached, so there is no doubt whose family it is. The stack process that dies before there is an
 * attach leaves nothing of it. */
void xt_attach_beside(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    uint64_t shard;
    if (!cl->session || r->anc->nfds != 1 || !is_pair_end(r->anc->fd[0]) ||
        xt_msg_get_uint(r->msg, "shard", &shard) < 0 || shard >= xt_app_shards(cl->ctl->cfg.app)) {
        xt_client_error(cl, -EBADMSG, "beside wants an attached process, a shard and one end of a socket pair");
        xt_client_drop(cl, "a malformed beside");
        return;
    }
    int fd = r->anc->fd[0];
    r->anc->fd[0] = -1;
    struct xt_client *other = xt_client_new(cl->ctl, fd, cl->pid, cl->uid, cl->gid);
    if (!other) {
        xt_client_error(cl, -ENOBUFS, "too many processes are attached");
        return;
    }
    xt_session_kin(cl->session, &other->kin);
    other->kin.shard = (uint32_t)shard;
    struct xt_msg_out o;
    xt_client_begin(cl, &o);
    xt_msg_uint(&o, "shard", shard);
    xt_client_send(cl, &o, NULL, 0);
}

/* No reply: the child is in the middle of fork(). */
void xt_attach_hello(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    char comm[24] = "?";
    xt_msg_get_str(r->msg, "comm", comm, sizeof comm);
    if (r->anc->has_cred)
        cl->pid = r->anc->pid;
    xt_log_debug("control: pid %d (%s) is a fork that attached", cl->pid, comm);
}
