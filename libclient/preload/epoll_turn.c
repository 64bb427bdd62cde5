/* SPDX-License-Identifier: Apache-2.0
 * The waiters of a shared list. News of a socket is to be taken once, by one of the processes, so there is one waiter of each context. */
#include <sys/epoll.h>

#include "libclient/preload/epoll_nest.h"
#include "libclient/preload/epoll_share.h"
#include "libclient/preload/preload.h"

/* This process looks at the waiter no more, or gives its own back. */
static void let_go(struct xp_set *s, int epfd, unsigned ctx)
{
    struct xtcp_waiter *w = s->w[ctx];
    s->w[ctx] = NULL;
    s->turn[ctx] = 0;
    if (w && s->mine[ctx]) {
        xp_real.epoll_ctl(epfd, EPOLL_CTL_DEL, xtcp_waiter_fd(w), NULL);
        xtcp_waiter_free(w);
    } else if (w) {
        xtcp_waiter_forget(w);
    }
    s->mine[ctx] = false;
}

static void each_sock(struct xp_set *s, unsigned ctx, struct xtcp_waiter *w, void (*fn)(struct xtcp_waiter *w, int s))
{
    for (uint32_t sock = 0; sock < s->l->sock_cap; sock++)
        for (const struct xp_item *it = s->l->by_sock[sock]; it; it = it->same_sock)
            XP_EACH_CTX(c, it->word)
    if ((unsigned)c == ctx)
        fn(w, xp_sock_in(it->word, c));
}

/* This process makes the waiter of context `ctx` from now on. Of the one before it what is news yet is taken; what came after its
 * end is not known, so all members are looked at. */
static int take_over(struct xp_set *s, unsigned ctx)
{
    struct xp_shared_waiter *sw = &s->l->shared->w[ctx];
    struct xtcp_waiter *w;
    int epfd = xp_set_fd(s);
    bool lived = s->w[ctx] && xtcp_waiter_lives(xp_ctxs[ctx], &sw->name);
    int rc = xtcp_waiter_new(xp_ctxs[ctx], &w);
    if (rc < 0)
        return rc == -ENOBUFS ? -ENOSPC : rc;
    each_sock(s, ctx, w, xtcp_waiter_sub);
    if (lived) {
        each_sock(s, ctx, s->w[ctx], xtcp_waiter_unsub);
        xp_set_news(s);
    }
    let_go(s, epfd, ctx);
    sw->name.number = UINT32_MAX;
    sw->turn++;
    xtcp_waiter_share(w, &sw->name);
    s->w[ctx] = w;
    s->turn[ctx] = sw->turn;
    s->mine[ctx] = true;
    s->l->watched = true;
    if (!lived)
        xp_set_all_ready(s);
    if (s->l->sleepers)
        xtcp_waiter_prepare(w); /* as in xp_set_watch() */
    return xp_set_wire_context(s, epfd, ctx);
}

static void look_at(struct xp_set *s, unsigned ctx)
{
    const struct xp_shared_waiter *sw = &s->l->shared->w[ctx];
    int epfd = xp_set_fd(s);
    let_go(s, epfd, ctx);
    if (xtcp_waiter_lives(xp_ctxs[ctx], &sw->name) && xtcp_waiter_view(xp_ctxs[ctx], &sw->name, &s->w[ctx]) < 0)
        s->w[ctx] = NULL;
    s->turn[ctx] = sw->turn;
    xp_set_wire_control(s, epfd, ctx);
}

static void tend(struct xp_set *s, unsigned ctx)
{
    const struct xp_shared_waiter *sw = &s->l->shared->w[ctx];
    if (s->l->shared->lost >> ctx & 1 || s->ticked)
        xtcp_check(xp_ctxs[ctx]);
    if (!xtcp_alive(xp_ctxs[ctx]))
        return;
    if (s->turn[ctx] != sw->turn)
        look_at(s, ctx);
    if (s->mine[ctx])
        return;
    /* News that no byte has announced: nobody reads the pipe, and it is full. */
    if (!s->w[ctx] || !xtcp_waiter_lives(xp_ctxs[ctx], &sw->name) || (s->ticked && xtcp_waiter_pending(s->w[ctx])))
        take_over(s, ctx);
}

/* By another process's waiter, that is, or in a set within. */
static bool relies(const struct xp_set *s)
{
    const struct xp_shared *sh = s->l->shared;
    const struct xp_set *inner;
    for (unsigned ctx = 0; sh && ctx < sh->nctx; ctx++)
        if (sh->w[ctx].turn && !s->mine[ctx])
            return true;
    for (const struct xp_item *it = s->l->nests; it; it = it->same_sock)
        if ((inner = xp_set_inner(s, it)) && relies(inner))
            return true;
    return false;
}

void xp_shared_tend(struct xp_set *s)
{
    const struct xp_shared *sh = s->l->shared;
    if (!sh && !s->l->nests)
        return;
    for (unsigned ctx = 0; sh && ctx < sh->nctx; ctx++)
        if (sh->w[ctx].turn)
            tend(s, ctx);
    for (struct xp_item *it = s->l->nests; it && s->ticked; it = it->same_sock)
        xp_set_touch(s, it);
    s->relies = relies(s);
    s->ticked = false;
}

int xp_shared_watch(struct xp_set *s, unsigned ctx)
{
    xp_shared_tend(s);
    return s->w[ctx] ? 0 : take_over(s, ctx);
}

void xp_shared_child(struct xp_set *s)
{
    for (unsigned ctx = 0; ctx < XP_CTXS; ctx++) {
        if (s->w[ctx])
            xtcp_waiter_forget(s->w[ctx]);
        s->w[ctx] = NULL;
        s->turn[ctx] = 0;
        s->mine[ctx] = false;
    }
    s->depth = s->naps = 0;
    s->fork_gen = xp_fork_gen;
}

void xp_shared_close(struct xp_set *s, int epfd)
{
    for (unsigned ctx = 0; ctx < s->l->shared->nctx; ctx++) {
        if (s->mine[ctx] && s->turn[ctx] == s->l->shared->w[ctx].turn)
            s->l->shared->w[ctx].name.number = UINT32_MAX;
        if (s->turn[ctx])
            xp_real.epoll_ctl(epfd, EPOLL_CTL_DEL, xtcp_control_fd(xp_ctxs[ctx]), NULL);
        let_go(s, epfd, ctx);
    }
    if (s->l->watched && s->l->sleepers)
        xp_set_kick(s); /* whoever it wakes makes a waiter; without sockets of ours nobody looks for it */
}
