/* SPDX-License-Identifier: Apache-2.0
 * What clients ask of exported sockets: to make one, to have its bytes relayed, to join its family. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/ctl/export_internal.h"
#include "daemon/ctl/keep.h"

void xt_export_export(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    struct xt_export *e;
    uint64_t slot = 0;
    bool now = false;
    if (!cl->session || xt_msg_get_uint(r->msg, "slot", &slot) < 0 || slot > UINT32_MAX ||
        !xt_relay_client_holds(cl->session, cl->proc, (uint32_t)slot)) {
        xt_client_error(cl, -EBADF, "export wants an attached process and a socket that it holds");
        return;
    }
    xt_msg_get_bool(r->msg, "now", &now);
    int rc = xt_export_make(cl->ctl, cl->session, (uint32_t)slot, &e);
    if (rc < 0) {
        xt_client_error(cl, rc, "cannot export the socket: %s", strerror(-rc));
        return;
    }
    struct xt_msg_out o;
    int kept = e->kept;
    if (e->listener && e->beside < 0 && r->anc->nfds == 1) {
        e->beside = r->anc->fd[0];
        r->anc->fd[0] = -1;
        xt_keep_export(cl->ctl, cl->session, XT_KEEP_BESIDE, e->slot, e->beside);
    }
    xt_client_begin(cl, &o);
    xt_msg_uint(&o, "slot", slot);
    xt_client_send(cl, &o, &kept, 1);
    if (now)
        xt_export_activate(e);
    xt_export_settle(e->home);
}

static struct xt_export *find_by_end(struct xt_ctl *c, int fd)
{
    struct stat st;
    struct xt_exporter *x;
    struct xt_export *e;
    int domain;
    socklen_t len = sizeof domain;
    /* Of a file, fstat() could wait for who serves the file system. */
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX || fstat(fd, &st) < 0)
        return NULL;
    LIST_FOREACH(x, &c->exporters, link)
    LIST_FOREACH(e, &x->exports, link)
    if (e->ino == st.st_ino)
        return e;
    return NULL;
}

/* Who has `a` may have the socket's bytes: they are relayed from now on. */
void xt_export_claim(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    struct xt_export *e = r->anc->nfds == 1 ? find_by_end(cl->ctl, r->anc->fd[0]) : NULL;
    if (!e) {
        xt_client_error(cl, -ENOENT, "claim wants the descriptor of an exported socket");
        return;
    }
    struct xt_msg_out o;
    xt_client_begin(cl, &o);
    xt_msg_uint(&o, "slot", e->slot);
    xt_client_send(cl, &o, NULL, 0);
    struct xt_exporter *x = e->home;
    xt_export_activate(e);
    xt_export_settle(x);
}

static bool is_refused(struct xt_client *cl, const struct xt_export *e)
{
    const struct xt_session *s = e ? e->home->relay.session : NULL;
    int rc = !e                                             ? -ENOENT
             : e->wanted                                    ? -EREMOTE
             : cl->session && cl->session != s              ? -EXDEV
             : !cl->session && cl->uid != xt_session_uid(s) ? -EPERM
                                                            : 0;
    if (rc < 0)
        xt_client_error(cl, rc, "cannot join the family of this descriptor: %s", strerror(-rc));
    return rc < 0;
}

struct retiring {
    struct xt_job job;
    uint32_t family;
    uint16_t port;
};

static void retire(struct xt_job *j)
{
    const struct retiring *r = (const struct retiring *)(const void *)j;
    xt_app_retire(xt_job_app(j), r->family, r->port);
}

/* Who joins knows nothing of the listeners that the family has on the same port in other shards, and those who do may accept no more:
 * all new connections are to come to this one. */
static void gather(const struct xt_client *cl, const struct xt_export *e)
{
    struct xt_endpoint local, remote;
    struct xt_kin kin;
    struct retiring *r =
        e->listener && xt_app_shards(cl->ctl->cfg.app) > 1 ? xt_job_new(cl->ctl, NULL, sizeof *r, retire, NULL) : NULL;
    if (!r)
        return;
    xt_session_kin(e->home->relay.session, &kin);
    xt_relay_names(&e->home->relay, e->slot, &local, &remote);
    r->family = kin.family;
    r->port = local.port;
    xt_job_start(&r->job);
}

/* Who has `a`, and is the user whose the family is, may be of the family: it could as well trace its processes. */
void xt_export_join(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    struct xt_export *e = r->anc->nfds == 1 ? find_by_end(cl->ctl, r->anc->fd[0]) : NULL;
    if (is_refused(cl, e))
        return;
    gather(cl, e);
    if (cl->session && cl->revived && xt_msg_find(r->msg, "abi")) { /* it has joined, but perhaps was not answered */
        xt_relay_share(&e->home->relay, cl->proc, e->slot);
        xt_attach_welcome(cl, e->slot, e->beside);
        return;
    }
    if (cl->session) {
        struct xt_msg_out o;
        xt_relay_share(&e->home->relay, cl->proc, e->slot);
        xt_client_begin(cl, &o);
        xt_msg_uint(&o, "slot", e->slot);
        xt_client_send(cl, &o, &e->beside, e->beside >= 0);
        return;
    }
    int proc = xt_attach_abi(r) ? xt_session_add_proc(e->home->relay.session, cl->pid) : -EPROTONOSUPPORT;
    if (proc == -EPROTONOSUPPORT)
        return;
    if (proc < 0) {
        xt_client_error(cl, proc, "cannot add a process: %s", strerror(-proc));
        return;
    }
    cl->session = e->home->relay.session;
    cl->proc = (uint32_t)proc;
    xt_keep_client(cl);
    e->home->left = false;
    xt_relay_share(&e->home->relay, cl->proc, e->slot);
    xt_attach_welcome(cl, e->slot, e->beside);
}
