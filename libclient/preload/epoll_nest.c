/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/epoll_nest.h"

#include <pthread.h>

#include "libclient/preload/epoll_share.h"
#include "libclient/preload/preload.h"

static pthread_mutex_t nest_lock = XP_LOCK_INIT;

void xp_nest_lock(void)
{
    xp_lock(&nest_lock);
}

void xp_nest_unlock(void)
{
    xp_unlock(&nest_lock);
}

void xp_nest_unlock_child(void)
{
    xp_unlock_child(&nest_lock);
}

/* ---- a set becomes one that is served here ---- */

static int tag_ctl(struct xp_set *s, int epfd, int op, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = s->l->tag + XP_TAG_NEST + 1 + (unsigned)fd};
    return xp_real.epoll_ctl(epfd, op, fd, &ev) < 0 ? -errno : 0;
}

static void take(struct xp_set *s, struct xp_item *it)
{
    int epfd = xp_set_fd(s);
    if (epfd < 0 || it->taken || (s->l->kick < 0 && xp_set_wire(s, epfd) < 0))
        return;
    s->l->watched = true;
    if (tag_ctl(s, epfd, EPOLL_CTL_MOD, it->fd) < 0)
        return;
    xp_set_take(s, it);
    xp_set_kick(s);
}

static void watched(struct xp_set *inner)
{
    struct xp_set *s;
    for (unsigned i = 0; (s = xp_set_at(i)); i++) {
        bool before;
        xp_set_lock(s);
        before = s->l->watched;
        for (uint32_t fd = 0; fd < s->l->fd_cap; fd++)
            for (struct xp_item *it = s->l->by_fd[fd]; it; it = it->same_fd)
                if (xp_item_is_set(it) && xp_set_inner(s, it) == inner)
                    take(s, it);
        xp_set_unlock(s);
        if (!before && s->l->watched && s->l->parents)
            watched(s);
    }
}

void xp_nest_watched(struct xp_set *s)
{
    if (!s->l->parents || !s->l->watched)
        return;
    XP_NO_CANCEL();
    xp_nest_lock();
    watched(s);
    xp_nest_unlock();
}

/* The kernel knows all rules, loops too, so it is asked first. */
static int add(struct xp_set *s, int epfd, int fd, struct epoll_event *ev)
{
    struct xp_set *inner = xp_set_make(fd);
    int rc = inner && xp_real.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, ev) == 0 ? 0 : inner ? -errno : -ENOMEM;
    if (rc == 0)
        rc = xp_set_add(s, fd, xp_get(fd), ev);
    struct xp_item *it = rc == 0 ? xp_set_find(s, fd) : NULL;
    if (!it)
        return rc;
    if (!s->l->shared)
        it->nest = inner;
    inner->l->parents++;
    xp_set_not_exclusive(inner);
    xp_set_flags(fd, XP_F_INSET);
    if (inner->l->watched)
        take(s, it);
    return 0;
}

static int change(struct xp_set *s, int epfd, int op, int fd, struct epoll_event *ev)
{
    struct xp_item *it = xp_set_find(s, fd);
    if (op == EPOLL_CTL_MOD && it && it->taken && ev && !(ev->events & EPOLLEXCLUSIVE)) {
        xp_set_mod(s, fd, ev);
        if (s->l->sleepers || xp_set_held(s))
            xp_set_kick(s);
        return 0;
    }
    if (xp_real.epoll_ctl(epfd, op, fd, ev) < 0)
        return -errno;
    return op == EPOLL_CTL_DEL ? xp_set_del(s, fd) : xp_set_mod(s, fd, ev);
}

int xp_nest_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    XP_NO_CANCEL();
    struct xp_set *s = xp_set_make(epfd);
    bool before;
    int rc;
    if (!s)
        return -ENOMEM;
    xp_nest_lock();
    xp_set_lock(s);
    before = s->l->watched;
    rc = op == EPOLL_CTL_ADD ? add(s, epfd, fd, ev) : change(s, epfd, op, fd, ev);
    xp_set_unlock(s);
    if (!before && s->l->watched && s->l->parents)
        watched(s);
    xp_nest_unlock();
    return rc;
}

/* ---- what is true of a set ---- */

void xp_set_refresh(struct xp_set *s)
{
    xp_shared_tend(s);
    do {
        for (unsigned i = 0; i < XP_CTXS; i++)
            if (s->w[i])
                xtcp_waiter_done(s->w[i]);
        if (xp_set_news(s))
            s->l->untold = true;
    } while (xp_set_prepare(s));
}

/* Is the kernel's object readable for another reason than the library's own descriptors? */
static bool kernel_ready(struct xp_set *s, int epfd)
{
    struct pollfd p = {.fd = epfd, .events = POLLIN};
    uint64_t count;
    if (epfd < 0 || xp_real.poll(&p, 1, 0) <= 0)
        return false;
    if (s->l->sleepers == 0)
        (void)!xp_real.read(s->l->kick, &count, sizeof count);
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (s->w[i]) {
            xtcp_check(xp_ctxs[i]);
            if (!xtcp_alive(xp_ctxs[i]))
                xp_real.epoll_ctl(epfd, EPOLL_CTL_DEL, xtcp_control_fd(xp_ctxs[i]), NULL);
        }
    return (s->l->has_kernel || s->l->nundecided || s->l->halves) && xp_real.poll(&p, 1, 0) > 0;
}

static bool is_ready(struct xp_set *s)
{
    bool any, untold = s->l->untold;
    s->l->untold = false;
    if (s->fork_gen != xp_fork_gen && xp_set_adopt(s, xp_set_fd(s)) < 0)
        return false;
    xp_set_refresh(s);
    for (struct xp_item *it = s->l->nests; it; it = it->same_sock)
        xp_set_touch(s, it);
    any = xp_set_any(s);
    if (!any && kernel_ready(s, xp_set_fd(s)))
        any = true;
    if (s->l->untold && s->l->ready && s->l->sleepers)
        xp_set_kick(s);
    s->l->untold |= untold;
    return any;
}

uint32_t xp_set_nested_mask(struct xp_set *s, const struct xp_item *it)
{
    struct xp_set *inner = xp_set_inner(s, it);
    bool foreign, any;
    if (!inner)
        return 0;
    xp_set_lock(inner);
    foreign = inner->fork_gen != xp_fork_gen;
    any = is_ready(inner);
    xp_set_unlock(inner);
    if (foreign) /* its object is another since */
        tag_ctl(s, xp_set_fd(s), EPOLL_CTL_ADD, it->fd);
    return any ? EPOLLIN | EPOLLRDNORM : 0;
}

static void tell(struct xp_set *inner, const struct xp_set *but)
{
    struct xp_set *s;
    for (unsigned i = 0; (s = xp_set_at(i)); i++) {
        bool found = false;
        if (s == but || !s->l->nests)
            continue;
        xp_set_lock(s);
        for (struct xp_item *it = s->l->nests; it; it = it->same_sock)
            if (xp_set_inner(s, it) == inner) {
                xp_set_touch(s, it);
                found = true;
            }
        if (found && (s->l->sleepers || xp_set_held(s)))
            xp_set_kick(s);
        xp_set_unlock(s);
    }
}

void xp_nest_tell(struct xp_set *s)
{
    struct xp_set *k;
    for (unsigned i = 0; (k = xp_set_at(i)); i++) {
        if (!k->l->untold)
            continue;
        k->l->untold = false;
        if (k->l->parents)
            tell(k, s);
    }
    xp_nest_unlock();
}

/* ---- in poll() ---- */

struct xp_set *xp_epoll_served(uint64_t w)
{
    struct xp_set *s = xp_kind(w) == XP_EPOLL ? xp_set_of(w) : NULL;
    return s && s->l->watched ? s : NULL;
}

unsigned xp_epoll_mask(struct xp_set *s)
{
    bool any;
    XP_NO_CANCEL();
    xp_nest_lock();
    xp_set_lock(s);
    any = is_ready(s);
    if (any && s->l->pollers > 1)
        xp_set_kick(s);
    xp_set_unlock(s);
    xp_nest_tell(s);
    return any ? POLLIN | POLLRDNORM : 0;
}

void xp_epoll_hold(struct xp_set *s, bool on)
{
    xp_set_lock(s);
    s->l->pollers += on ? 1 : -1u;
    s->polls += on ? 1 : -1u;
    xp_set_unlock(s);
    if (on)
        xp_set_not_exclusive(s);
}
