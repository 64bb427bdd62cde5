/* SPDX-License-Identifier: Apache-2.0
 * Sockets whose descriptor leaves the library's care: exec, children without the library, stdio inside libc. Such a
 * descriptor is one end `a` of an AF_UNIX stream pair that is made here; the other end `b` stays here, and the kernel counts
 * the holders of `a` (the last one gone is a hang-up on `b`). From then on the daemon holds the socket, as one more process
 * of the session, and moves its bytes between `b` and the rings as soon as the rings' users have let go or the holders of
 * `a` have begun to use it. `b` is bound to a name that tells the end points, so getpeername(a) tells whoever gets `a`.
 *
 * As long as processes that use the rings hold the socket too, a copy of `a` is kept for them to change over to. */
#include "daemon/ctl/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/rand.h"
#include "daemon/ctl/export_internal.h"
#include "daemon/ctl/keep.h"

#define MAX_OF_SESSION 1024u
#define MAX_OF_ALL 8192u

/* ---- ends ---- */

static void on_home_closed(uv_handle_t *h)
{
    struct xt_exporter *x = h->data;
    if (--x->open_handles == 0)
        free(x);
}

/* `ended`: the session is over, its memory is about to go. */
static void home_close(struct xt_exporter *x, bool ended)
{
    LIST_REMOVE(x, link);
    if (ended) {
        xt_relay_forget(&x->relay);
    } else {
        struct xt_msg m = {.type = XT_MSG_PROC_GONE, .arg = x->relay.proc, .ptr = x->relay.session};
        xt_relay_close(&x->relay);
        xt_ctl_post(x->ctl, &m);
    }
    uv_close((uv_handle_t *)&x->news, on_home_closed);
    uv_close((uv_handle_t *)&x->retry, on_home_closed);
}

static void on_export_closed(uv_handle_t *h)
{
    struct xt_export *e = h->data;
    close(e->b);
    free(e);
}

void xt_export_drop_kept(struct xt_export *e)
{
    if (e->kept >= 0)
        close(e->kept);
    e->kept = -1;
}

void xt_export_close(struct xt_export *e, bool ended)
{
    struct xt_exporter *x = e->home;
    if (e->closing)
        return;
    e->closing = true;
    if (!ended)
        xt_relay_release(&x->relay, e->slot);
    xt_export_drop_kept(e);
    if (e->beside >= 0)
        close(e->beside);
    LIST_REMOVE(e, link);
    x->n--;
    x->ctl->nexports--;
    uv_close((uv_handle_t *)&e->poll, on_export_closed);
}

/* Closes the exporter with its last socket. Not from within a walk over its exports. */
void xt_export_settle(struct xt_exporter *x)
{
    if (x->n == 0)
        home_close(x, false);
}

void xt_export_session_ended(struct xt_ctl *c, const struct xt_session *s)
{
    struct xt_exporter *x, *next;
    for (x = LIST_FIRST(&c->exporters); x; x = next) {
        next = LIST_NEXT(x, link);
        if (x->relay.session != s)
            continue;
        while (!LIST_EMPTY(&x->exports))
            xt_export_close(LIST_FIRST(&x->exports), true);
        home_close(x, true);
    }
}

void xt_export_end(struct xt_ctl *c)
{
    while (!LIST_EMPTY(&c->exporters))
        xt_export_session_ended(c, LIST_FIRST(&c->exporters)->relay.session);
}

/* The data plane tells it of each socket, if it is one: what a client says that it holds may be none. */
void xt_export_client_gone(struct xt_ctl *c, const struct xt_session *s)
{
    struct xt_exporter *x;
    const struct xt_client *cl;
    struct xt_export *e, *next;
    LIST_FOREACH(x, &c->exporters, link)
    if (x->relay.session == s)
        break;
    if (!x)
        return;
    LIST_FOREACH(cl, &c->clients, link)
    if (cl->session == s)
        return;
    x->left = true;
    for (e = LIST_FIRST(&x->exports); e; e = next) {
        next = LIST_NEXT(e, link);
        xt_export_drop_kept(e);
        xt_export_activate(e);
    }
    xt_export_settle(x);
}

/* ---- making ---- */

static int home_of(struct xt_ctl *c, struct xt_session *s, struct xt_exporter **out)
{
    struct xt_exporter *x;
    LIST_FOREACH(x, &c->exporters, link)
    if (x->relay.session == s) {
        *out = x;
        return 0;
    }
    x = calloc(1, sizeof *x);
    if (!x)
        return -ENOMEM;
    int rc = xt_relay_open(&x->relay, s);
    if (rc < 0) {
        free(x);
        return rc;
    }
    x->ctl = c;
    x->open_handles = 2;
    x->retry_ms = XT_EXPORT_RETRY_MS;
    x->news.data = x->retry.data = x;
    LIST_INIT(&x->exports);
    uv_timer_init(&c->loop, &x->retry);
    uv_poll_init(&c->loop, &x->news, x->relay.fd);
    xt_export_start(x);
    LIST_INSERT_HEAD(&c->exporters, x, link);
    *out = x;
    return 0;
}

/* Names `b` "xtcp/<epoch>/<random>/<c or l>/<local>/<remote>", abstract. */
static int name_end(const struct xt_export *e)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct xt_endpoint local, remote;
    char l[XT_ENDPOINT_TEXT], r[XT_ENDPOINT_TEXT];
    uint64_t token;
    xt_random_bytes(&token, sizeof token);
    xt_relay_names(&e->home->relay, e->slot, &local, &remote);
    xt_text_endpoint(&local, l, sizeof l);
    xt_text_endpoint(&remote, r, sizeof r);
    int n = snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "xtcp/%u/%016llx/%c/%s/%s", e->home->ctl->cfg.epoch,
                     (unsigned long long)token, e->listener ? 'l' : 'c', l, r);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    return n >= (int)sizeof un.sun_path - 1                    ? -ENAMETOOLONG
           : bind(e->b, (const struct sockaddr *)&un, len) < 0 ? -errno
                                                               : 0;
}

static int make_ends(struct xt_export *e)
{
    int pair[2];
    struct stat st;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return errno == ENFILE ? -EMFILE : -errno;
    e->b = pair[0];
    e->kept = pair[1];
    int flags = fcntl(e->kept, F_GETFL);
    if (!xt_relay_nonblock(&e->home->relay, e->slot))
        fcntl(e->kept, F_SETFL, flags & ~O_NONBLOCK);
    int rc = fstat(e->kept, &st) < 0 ? -errno : name_end(e);
    e->ino = st.st_ino;
    return rc;
}

static int export_new(struct xt_exporter *x, uint32_t slot, struct xt_export **out)
{
    struct xt_export *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    e->home = x;
    e->slot = slot;
    e->b = e->kept = e->beside = -1;
    e->listener = !(xt_relay_cond(&x->relay, slot) & (XT_COND_CONNECTED | XT_COND_CONNECTING | XT_COND_HUP));
    int rc = make_ends(e);
    if (rc == 0)
        rc = uv_poll_init(&x->ctl->loop, &e->poll, e->b);
    if (rc < 0) {
        xt_export_drop_kept(e);
        if (e->b >= 0)
            close(e->b);
        free(e);
        return rc;
    }
    e->poll.data = e;
    xt_relay_hold(&x->relay, slot);
    LIST_INSERT_HEAD(&x->exports, e, link);
    x->n++;
    x->ctl->nexports++;
    xt_export_watch(e, e->listener ? UV_PRIORITIZED : UV_READABLE);
    *out = e;
    return 0;
}

static int find_or_make(struct xt_client *cl, uint32_t slot, struct xt_export **out)
{
    struct xt_ctl *c = cl->ctl;
    struct xt_exporter *x;
    int rc = home_of(c, cl->session, &x);
    if (rc < 0)
        return rc;
    LIST_FOREACH(*out, &x->exports, link)
    if ((*out)->slot == slot)
        return (*out)->kept >= 0 ? 0 : -ENOENT;
    rc = x->n >= MAX_OF_SESSION || c->nexports >= MAX_OF_ALL ? -ENOBUFS : export_new(x, slot, out);
    xt_export_settle(x);
    return rc;
}

/* ---- requests ---- */

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
    int rc = find_or_make(cl, (uint32_t)slot, &e);
    if (rc < 0) {
        xt_client_error(cl, rc, "cannot export the socket: %s", strerror(-rc));
        return;
    }
    struct xt_msg_out o;
    int kept = e->kept;
    if (e->listener && e->beside < 0 && r->anc->nfds == 1) {
        e->beside = r->anc->fd[0];
        r->anc->fd[0] = -1;
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
    if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
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

/* Who has `a`, and is the user whose the family is, may be of the family: it could as well trace its processes. */
void xt_export_join(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    struct xt_export *e = r->anc->nfds == 1 ? find_by_end(cl->ctl, r->anc->fd[0]) : NULL;
    if (is_refused(cl, e))
        return;
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
