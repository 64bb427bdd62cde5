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
#include "daemon/ctl/foreign.h"
#include "daemon/ctl/keep.h"

#define MAX_OF_ALL 8192u

/* ---- ends ---- */

static void on_home_closed(uv_handle_t *h)
{
    struct xt_exporter *x = h->data;
    if (--x->open_handles == 0)
        free(x);
}

void xt_export_end_relay(struct xt_ctl *c, struct xt_relay *r)
{
    struct xt_msg m = {
        .type = XT_MSG_PROC_GONE, .arg = r->proc, .shard = xt_session_shard(r->session), .ptr = r->session};
    xt_keep_forget_waiter(c, r->session, r->waiter);
    xt_relay_close(r);
    xt_ctl_post(c, &m);
}

/* `ended`: the session is over, its memory is about to go. The relay's pipe is watched no more before it is closed here: others (the
 * keeper) may have it open a while longer, and what epoll told of it then would be taken for news of whoever has its number next. */
static void home_close(struct xt_exporter *x, bool ended)
{
    x->closing = true;
    LIST_REMOVE(x, link);
    uv_close((uv_handle_t *)&x->news, on_home_closed);
    uv_close((uv_handle_t *)&x->retry, on_home_closed);
    if (ended) {
        xt_keep_forget_waiter(x->ctl, x->relay.session, x->relay.waiter);
        xt_relay_forget(&x->relay);
    } else {
        xt_export_end_relay(x->ctl, &x->relay);
    }
}

static void on_export_closed(uv_handle_t *h)
{
    struct xt_export *e = h->data;
    const struct xt_ctl *c = h->loop->data; /* the home may be gone */
    xt_foreign_close(c->foreign, e->b);     /* with what was sent and not read */
    free(e);
}

static void unkeep(const struct xt_export *e, char what)
{
    xt_keep_forget_export(e->home->ctl, e->home->relay.session, what, e->slot);
}

void xt_export_drop_kept(struct xt_export *e)
{
    if (e->kept < 0)
        return;
    unkeep(e, XT_KEEP_HOLDERS);
    close(e->kept);
    e->kept = -1;
}

static void drop_beside(struct xt_export *e)
{
    if (e->beside < 0)
        return;
    unkeep(e, XT_KEEP_BESIDE);
    xt_foreign_close(e->home->ctl->foreign, e->beside);
    e->beside = -1;
}

void xt_export_close(struct xt_export *e, bool ended)
{
    struct xt_exporter *x = e->home;
    if (e->closing)
        return;
    e->closing = true;
    e->entry->slot = 0;
    if (!ended)
        xt_relay_release(&x->relay, e->slot);
    xt_export_drop_kept(e);
    drop_beside(e);
    unkeep(e, XT_KEEP_EXPORT);
    LIST_REMOVE(e, link);
    x->n--;
    x->ctl->nexports--;
    uv_close((uv_handle_t *)&e->poll, on_export_closed);
}

/* Closes the exporter with its last socket. Not from within a walk over its exports. It may be closed already: a client whose answer
 * cannot be sent is gone at once. */
void xt_export_settle(struct xt_exporter *x)
{
    if (x->n == 0 && !x->closing)
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
    struct xt_exporter *x = xt_export_find_home(c, s);
    struct xt_export *e, *next;
    if (!x || xt_export_has_client(c, s))
        return;
    x->left = true;
    for (e = LIST_FIRST(&x->exports); e; e = next) {
        next = LIST_NEXT(e, link);
        xt_export_left(e);
    }
    xt_export_settle(x);
}

/* ---- making ---- */

struct xt_exporter *xt_export_find_home(struct xt_ctl *c, const struct xt_session *s)
{
    struct xt_exporter *x;
    LIST_FOREACH(x, &c->exporters, link)
    if (x->relay.session == s)
        return x;
    return NULL;
}

bool xt_export_has_client(struct xt_ctl *c, const struct xt_session *s)
{
    const struct xt_client *cl;
    LIST_FOREACH(cl, &c->clients, link)
    if (cl->session == s)
        return true;
    return false;
}

struct xt_exporter *xt_export_new_home(struct xt_ctl *c, const struct xt_relay *r)
{
    struct xt_exporter *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->relay = *r;
    x->ctl = c;
    x->open_handles = 2;
    x->retry_ms = XT_EXPORT_RETRY_MS;
    x->news.data = x->retry.data = x;
    LIST_INIT(&x->exports);
    uv_timer_init(&c->loop, &x->retry);
    uv_poll_init(&c->loop, &x->news, x->relay.fd);
    xt_export_start(x);
    LIST_INSERT_HEAD(&c->exporters, x, link);
    return x;
}

static int home_of(struct xt_ctl *c, struct xt_session *s, struct xt_exporter **out)
{
    struct xt_relay r;
    *out = xt_export_find_home(c, s);
    if (*out)
        return 0;
    int rc = xt_relay_open(&r, s);
    if (rc < 0)
        return rc;
    xt_keep_waiter(c, s, r.waiter);
    *out = xt_export_new_home(c, &r);
    if (!*out)
        xt_export_end_relay(c, &r);
    return *out ? 0 : -ENOMEM;
}

/* Names `b` "xtcp/<epoch>/<random>/<c or l>/<local>/<remote>", abstract. */
static int name_end(const struct xt_exporter *x, uint32_t slot, bool listener, int b)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct xt_endpoint local, remote;
    char l[XT_ENDPOINT_TEXT], r[XT_ENDPOINT_TEXT];
    uint64_t token;
    xt_random_bytes(&token, sizeof token);
    xt_relay_names(&x->relay, slot, &local, &remote);
    xt_text_endpoint(&local, l, sizeof l);
    xt_text_endpoint(&remote, r, sizeof r);
    int n = snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "xtcp/%u/%016llx/%c/%s/%s", x->ctl->cfg.epoch,
                     (unsigned long long)token, listener ? 'l' : 'c', l, r);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    return n >= (int)sizeof un.sun_path - 1                 ? -ENAMETOOLONG
           : bind(b, (const struct sockaddr *)&un, len) < 0 ? -errno
                                                            : 0;
}

/* pair[0] is `b`, pair[1] `a`. */
static int make_ends(const struct xt_exporter *x, uint32_t slot, bool listener, int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return errno == ENFILE ? -EMFILE : -errno;
    int flags = fcntl(pair[1], F_GETFL);
    if (!xt_relay_nonblock(&x->relay, slot))
        fcntl(pair[1], F_SETFL, flags & ~O_NONBLOCK);
    int rc = name_end(x, slot, listener, pair[0]);
    if (rc < 0) {
        close(pair[0]);
        close(pair[1]);
    }
    return rc;
}

struct xt_export *xt_export_new(struct xt_exporter *x, struct xt_pexport *entry, uint32_t slot, int b, int kept)
{
    struct xt_export *e = calloc(1, sizeof *e);
    if (!e || uv_poll_init(&x->ctl->loop, &e->poll, b) < 0) {
        close(b);
        if (kept >= 0)
            close(kept);
        free(e);
        return NULL;
    }
    e->poll.data = e;
    e->home = x;
    e->entry = entry;
    e->slot = slot;
    e->b = b;
    e->kept = kept;
    e->beside = -1;
    LIST_INSERT_HEAD(&x->exports, e, link);
    x->n++;
    x->ctl->nexports++;
    return e;
}

/* The entry counts from its slot on; who dies before that leaves descriptors that nobody asks for. */
static void write_entry(struct xt_export *e)
{
    const struct xt_exporter *x = e->home;
    struct stat st = {0};
    fstat(e->kept, &st);
    e->ino = st.st_ino;
    *e->entry = (struct xt_pexport){.listener = e->listener, .ino = st.st_ino};
    xt_keep_export(x->ctl, x->relay.session, XT_KEEP_EXPORT, e->slot, e->b);
    xt_keep_export(x->ctl, x->relay.session, XT_KEEP_HOLDERS, e->slot, e->kept);
    atomic_signal_fence(memory_order_seq_cst);
    e->entry->slot = e->slot + 1;
}

static int export_new(struct xt_exporter *x, uint32_t slot, struct xt_export **out)
{
    bool listener = !(xt_relay_cond(&x->relay, slot) & (XT_COND_CONNECTED | XT_COND_CONNECTING | XT_COND_HUP));
    struct xt_pexport *entry = x->ctl->nexports < MAX_OF_ALL ? xt_relay_entry(&x->relay) : NULL;
    int pair[2], rc = entry ? make_ends(x, slot, listener, pair) : -ENOBUFS;
    if (rc < 0)
        return rc;
    *out = xt_export_new(x, entry, slot, pair[0], pair[1]);
    if (!*out)
        return -ENOMEM;
    (*out)->listener = listener;
    xt_relay_hold(&x->relay, slot);
    write_entry(*out);
    xt_export_watch(*out, listener ? UV_PRIORITIZED : UV_READABLE);
    return 0;
}

int xt_export_make(struct xt_ctl *c, struct xt_session *s, uint32_t slot, struct xt_export **out)
{
    struct xt_exporter *x;
    int rc = home_of(c, s, &x);
    if (rc < 0)
        return rc;
    LIST_FOREACH(*out, &x->exports, link)
    if ((*out)->slot == slot)
        return (*out)->kept >= 0 ? 0 : -ENOENT;
    rc = export_new(x, slot, out);
    xt_export_settle(x);
    return rc;
}
