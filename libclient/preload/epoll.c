/* SPDX-License-Identifier: Apache-2.0
 * The epoll calls. An epoll descriptor is a real one and the kernel serves its own descriptors in it; a set of xtcp
 * sockets is added beside it when the first one comes, and the set's waiter is then one more member of the kernel's. */
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "libclient/preload/epoll_nest.h"
#include "libclient/preload/epoll_share.h"
#include "libclient/preload/preload.h"

#define EVENTS_MAX (INT_MAX / (int)sizeof(struct epoll_event))
#define LOOK_CALLS 16  /* the kernel's share is looked at at least once in so many calls ... */
#define LOOK_NS 100000 /* ... or after this time, however busy the xtcp sockets are */

/* ---- epoll_create, epoll_ctl ---- */

static int created(int epfd)
{
    if (epfd >= 0 && (unsigned)epfd < XP_FDS && !xp_bystander)
        xp_put(epfd, xp_word(XP_EPOLL, 0, 0, 0));
    return epfd;
}

XP_EXPORT int epoll_create(int size)
{
    xp_kept_make_room(0);
    return created(xp_real.epoll_create(size));
}

XP_EXPORT int epoll_create1(int flags)
{
    xp_kept_make_room(0);
    return created(xp_real.epoll_create1(flags));
}
XP_ALIAS(epoll_create1);

/* The kernel answers for its descriptors; remembered is only that there are some. */
static int ctl_kernel(int epfd, uint64_t ew, int op, int fd, struct epoll_event *ev)
{
    int rc = xp_real.epoll_ctl(epfd, op, fd, ev);
    struct xp_set *s;
    if (rc < 0 || op != EPOLL_CTL_ADD || xp_kind(ew) != XP_EPOLL || (xp_flags(ew) & XP_F_HASKERN))
        return rc;
    xp_set_flags(epfd, XP_F_HASKERN);
    s = xp_set_of(xp_get(epfd));
    if (s) {
        xp_set_lock(s);
        s->l->has_kernel = true;
        xp_set_unlock(s);
    }
    return rc;
}

static int set_ctl(struct xp_set *s, int epfd, int op, int fd, uint64_t w, const struct epoll_event *ev)
{
    int rc = s->l->halves && s->fork_gen != xp_fork_gen ? xp_set_adopt(s, epfd) : 0;
    if (rc < 0)
        return rc;
    xp_shared_tend(s);
    switch (op) {
    case EPOLL_CTL_ADD:
        if (xp_kind(w) == XP_XTCP)
            XP_EACH_CTX(c, w)
        rc = rc < 0 ? rc : xp_set_watch(s, epfd, (unsigned)c);
        if (rc == 0)
            rc = xp_set_add(s, fd, w, ev);
        if (rc == 0 && (rc = xp_set_begin_half(s, epfd, fd)) < 0)
            xp_set_del(s, fd);
        xp_set_flags(fd, XP_F_INSET);
        break;
    case EPOLL_CTL_MOD:
        rc = xp_set_mod(s, fd, ev);
        if (rc == 0)
            xp_set_half_mod(s, epfd, xp_set_find(s, fd));
        break;
    case EPOLL_CTL_DEL:
        xp_set_end_half(s, fd);
        return xp_set_del(s, fd);
    default:
        return -EINVAL;
    }
    if (rc == 0 && s->l->watched && (s->l->sleepers || xp_set_held(s)))
        xp_set_kick(s); /* whoever sleeps must look at it */
    return rc;
}

/* The kernel serves an undecided socket; the set remembers it for the day it moves. */
static int ctl_undecided(struct xp_set *s, int epfd, int op, int fd, uint64_t w, struct epoll_event *ev)
{
    int rc = xp_real.epoll_ctl(epfd, op, fd, ev) < 0 ? -errno : 0;
    if (rc == 0)
        set_ctl(s, epfd, op, fd, w, ev);
    return rc;
}

/* The rules of EPOLLEXCLUSIVE. */
static bool is_allowed(int op, const struct epoll_event *ev)
{
    static const uint32_t exclusive = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
    if (op == EPOLL_CTL_DEL || !(ev->events & EPOLLEXCLUSIVE))
        return true;
    return op != EPOLL_CTL_MOD && (op != EPOLL_CTL_ADD || !(ev->events & ~exclusive));
}

static bool is_epoll(int epfd, int fd)
{
    return xp_real.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL) == 0 || errno == ENOENT;
}

XP_EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    xp_kept_close(epfd);
    uint64_t ew = xp_get(epfd), w;
    struct xp_set *s;
    int rc;
    XP_NO_CANCEL();
    xp_is_xtcp(fd, &w);
    if (xp_kind(w) == XP_EPOLL && xp_kind(ew) == XP_EPOLL && !xp_bystander && fd != epfd)
        return (int)xp_ret(xp_nest_ctl(epfd, op, fd, ev));
    if ((xp_kind(w) != XP_XTCP && xp_kind(w) != XP_UNDECIDED) || xp_bystander)
        return ctl_kernel(epfd, ew, op, fd, ev);
    if (xp_kind(ew) != XP_EPOLL && !is_epoll(epfd, fd))
        return xp_real.epoll_ctl(epfd, op, fd, ev);
    if (!ev && op != EPOLL_CTL_DEL)
        return (int)xp_ret(-EFAULT);
    if (!is_allowed(op, ev))
        return (int)xp_ret(-EINVAL);
    s = xp_set_make(epfd);
    if (!s)
        return (int)xp_ret(-ENOMEM);
    xp_set_lock(s);
    if (xp_kind(w) == XP_XTCP)
        rc = set_ctl(s, epfd, op, fd, w, ev);
    else
        rc = ctl_undecided(s, epfd, op, fd, w, ev);
    xp_set_unlock(s);
    xp_nest_watched(s);
    return (int)xp_ret(rc);
}
XP_ALIAS(epoll_ctl);

/* ---- epoll_wait ---- */

/* What the kernel's set has. Returns how many events, or -errno. */
static int kernel_events(int epfd, struct epoll_event *evs, int max, const struct timespec *timeout,
                         const sigset_t *mask)
{
    int ms = -1, r;
    if (timeout && (timeout->tv_nsec % 1000000 == 0 || !xp_real.epoll_pwait2))
        ms = timeout->tv_sec >= INT_MAX / 1000 ? INT_MAX
                                               : (int)(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000);
    if (timeout && ms < 0)
        r = xp_real.epoll_pwait2(epfd, evs, max, timeout, mask);
    else if (mask)
        r = xp_real.epoll_pwait(epfd, evs, max, ms, mask);
    else
        r = xp_real.epoll_wait(epfd, evs, max, ms);
    return r < 0 ? -errno : r;
}

/* Takes the library's own events out of the kernel's answer; returns how many stay. */
static int drop_own(struct xp_set *s, struct epoll_event *evs, int r)
{
    int n = 0;
    XP_NO_CANCEL();
    for (int i = 0; i < r; i++) {
        uint64_t own = evs[i].data.u64 - s->l->tag;
        if (own > XP_TAG_NEST + XP_FDS) {
            evs[n++] = evs[i];
        } else if (own > XP_TAG_NEST) {
            struct xp_item *it;
            xp_set_lock(s);
            if ((it = xp_set_find(s, (int)(own - XP_TAG_NEST - 1))))
                xp_set_touch(s, it);
            xp_set_unlock(s);
        } else if (own && own % 2 == 0) { /* a control connection */
            xtcp_check(xp_ctxs[own / 2 - 1]);
            xp_set_lock(s);
            if (s->l->shared && !xtcp_alive(xp_ctxs[own / 2 - 1]))
                s->l->shared->lost |= 1u << (own / 2 - 1); /* others are to look too */
            xp_set_all_ready(s);
            xp_set_unlock(s);
        }
    }
    return n;
}

/* Looks at the kernel's share without waiting, when it is its turn or `always`. */
static int look_kernel(struct xp_set *s, int epfd, struct epoll_event *evs, int max, bool always)
{
    static const struct timespec now;
    int r;
    if (!s->l->has_kernel && s->l->nundecided == 0)
        return 0;
    if (!always && ++s->calls < LOOK_CALLS && xp_now_ns() - s->looked_ns < LOOK_NS)
        return 0;
    r = kernel_events(epfd, evs, max, &now, NULL);
    s->calls = 0;
    s->looked_ns = xp_now_ns();
    return r < 0 ? r : drop_own(s, evs, r);
}

static int gather(struct xp_set *s, struct epoll_event *evs, int max)
{
    int n = 0;
    uint64_t last = 0;
    XP_NO_CANCEL();
    for (;;) {
        uint64_t moved;
        bool nested = s->l->nests || xp_set_held(s);
        if (nested)
            xp_nest_lock();
        xp_set_lock(s);
        xp_shared_tend(s);
        if (xp_set_held(s))
            xp_set_refresh(s);
        else
            xp_set_news(s);
        n += xp_set_collect(s, evs + n, max - n);
        if (s->l->ready && (s->l->sleepers || s->l->pollers))
            xp_set_kick(s); /* more than this thread can carry */
        moved = s->moved;
        s->moved = 0;
        xp_set_unlock(s);
        if (nested)
            xp_nest_tell(s);
        if (!moved || moved == last)
            return n;
        xp_go_over(moved); /* takes it out of all sets */
        last = moved;
    }
}

/* A thread's sleep in a set. */
struct nap {
    struct xp_set *set;
    unsigned life, fork_gen;
    bool watched; /* the set was when it ended: an event may be one of the library's own */
};

/* It ends, perhaps because the thread is cancelled. What it took from the waiters must not leave other sleepers unwatched. */
static void wake_up(void *arg)
{
    struct nap *nap = arg;
    struct xp_set *s = nap->set;
    XP_NO_CANCEL();
    if (nap->fork_gen != xp_fork_gen)
        return; /* a signal handler has forked: this set counts no sleepers of the parent's */
    xp_set_lock(s);
    s->l->sleepers--;
    s->naps--;
    nap->watched = s->l->watched;
    if (s->life == nap->life) {
        for (unsigned i = 0; i < XP_CTXS; i++)
            if (s->w[i])
                xtcp_waiter_done(s->w[i]);
        if ((s->l->sleepers || xp_set_held(s)) && xp_set_prepare(s))
            xp_set_kick(s);
    } else if (s->naps == 0 && s->l->watched && !s->l->shared) {
        xp_set_drop_waiters(s);
    }
    xp_set_unlock(s);
}

/* Spinning is for one family; with more, news of the others would come late. And for who reads the wake-up pipe. */
static bool spin(const struct xp_set *s)
{
    if (s->relies)
        return false;
    struct xtcp_waiter *only = NULL;
    unsigned n = 0;
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (xp_set_waiter(s, i)) {
            only = s->w[i];
            n++;
        }
    return n == 1 && xtcp_waiter_spin(only);
}

/* True when there are news already. The waiters of a shared list can change hands meanwhile. */
static bool prepare(struct xp_set *s)
{
    bool news;
    if (!s->l->shared)
        return xp_set_prepare(s);
    XP_NO_CANCEL();
    xp_set_lock(s);
    xp_shared_tend(s);
    news = xp_set_prepare(s) || (s->l->ready && !s->l->nests && xp_set_any(s));
    xp_set_unlock(s);
    return news;
}

static int nap(struct nap *nap, int epfd, struct epoll_event *evs, int max, const struct timespec *timeout,
               const sigset_t *mask)
{
    struct xp_set *s = nap->set;
    int r;
    if (nap->watched && ((!mask && spin(s)) || prepare(s)))
        return 0;
    if (!s->relies)
        return kernel_events(epfd, evs, max, timeout, mask);
    r = kernel_events(epfd, evs, max, xp_shared_patience(timeout), mask);
    s->ticked = r == 0;
    return r;
}

/* Also in a set that has no xtcp socket yet: who adds the first one finds this thread counted, and it leaves as all others do. */
static int sleep_in_kernel(struct xp_set *s, int epfd, struct epoll_event *evs, int max, const struct timespec *timeout,
                           const sigset_t *mask)
{
    struct nap n = {.set = s, .fork_gen = xp_fork_gen};
    int r;
    xp_set_lock(s);
    n.life = s->life;
    n.watched = s->l->watched;
    s->l->sleepers++;
    s->naps++;
    xp_set_unlock(s);
    pthread_cleanup_push(wake_up, &n);
    r = nap(&n, epfd, evs, max, timeout, mask);
    pthread_cleanup_pop(1);
    return r < 0 || !n.watched ? r : drop_own(s, evs, r);
}

static int wait_set(struct xp_set *s, int epfd, struct epoll_event *evs, int max, const struct timespec *timeout,
                    const sigset_t *mask)
{
    int64_t end = xp_deadline(timeout);
    bool at_once = timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0;
    unsigned life = s->life;
    struct timespec ts;
    for (;;) {
        int k = look_kernel(s, epfd, evs, (max + 1) / 2, false), n;
        if (k < 0)
            return k;
        n = xp_set_halves_merge(s, epfd, evs, k, k + gather(s, evs + k, max - k));
        if (n > 0)
            return n;
        if (at_once) {
            k = look_kernel(s, epfd, evs, max, true);
            return xp_set_halves_merge(s, epfd, evs, k, k);
        }
        k = sleep_in_kernel(s, epfd, evs, max, xp_left(end, &ts), mask);
        if (k < 0)
            return k;
        if (s->life != life)
            return -EBADF;
        n = xp_set_halves_merge(s, epfd, evs, k, k + gather(s, evs + k, max - k));
        if (n > 0 || (end != INT64_MAX && xp_now_ns() >= end))
            return n;
    }
}

/* A child that inherited the set makes it its own first. */
static int wait_watched(struct xp_set *s, int epfd, struct epoll_event *evs, int max, const struct timespec *timeout,
                        const sigset_t *mask)
{
    if (s->fork_gen != xp_fork_gen) {
        XP_NO_CANCEL();
        xp_set_lock(s);
        int rc = s->fork_gen != xp_fork_gen ? xp_set_adopt(s, epfd) : 0;
        xp_set_unlock(s);
        if (rc < 0)
            return rc;
    }
    return wait_set(s, epfd, evs, max, timeout, mask);
}

/* For a program that gives no place for events. */
static int wait_nowhere(struct xp_set *s, int epfd, const struct timespec *timeout, const sigset_t *mask)
{
    struct epoll_event ev;
    int r = wait_watched(s, epfd, &ev, 1, timeout, mask);
    return r > 0 ? -EFAULT : r;
}

/* A set without xtcp sockets is the kernel's alone, and one is made here only to count who sleeps in it. Who does not sleep may all the
 * same find the first socket added meanwhile, and what was to wake others for it. */
static int wait_kernel(int epfd, struct epoll_event *evs, int max, const struct timespec *timeout, const sigset_t *mask)
{
    bool at_once = timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0;
    struct xp_set *s = at_once || xp_bystander ? NULL : xp_set_make(epfd);
    int r;
    if (s)
        return sleep_in_kernel(s, epfd, evs, max, timeout, mask);
    r = kernel_events(epfd, evs, max, timeout, mask);
    s = xp_set_of(xp_get(epfd));
    return r > 0 && s && s->l->watched ? drop_own(s, evs, r) : r;
}

/* An xtcp socket may come while a thread sleeps in it: what wakes the thread then may be nothing for the program. */
static int wait_any(int epfd, struct epoll_event *evs, int max, const struct timespec *timeout, const sigset_t *mask)
{
    int64_t end;
    struct timespec ts;
    uint64_t w;
    pthread_testcancel();
    xp_is_xtcp(epfd, &w); /* which claims a set that was inherited */
    if (max <= 0 || max > EVENTS_MAX || (timeout && !xp_is_time(timeout)))
        return -EINVAL;
    end = xp_deadline(timeout);
    for (;;) {
        struct xp_set *s = xp_set_of(xp_get(epfd));
        int r;
        if (s && s->l->watched)
            return evs ? wait_watched(s, epfd, evs, max, timeout, mask) : wait_nowhere(s, epfd, timeout, mask);
        r = wait_kernel(epfd, evs, max, timeout, mask);
        s = xp_set_of(xp_get(epfd));
        if (r != 0 || !s || !s->l->watched)
            return r;
        timeout = xp_left(end, &ts);
    }
}

XP_EXPORT int epoll_pwait2(int epfd, struct epoll_event *evs, int max, const struct timespec *timeout,
                           const sigset_t *mask)
{
    if (xp_kind(xp_look(epfd)) != XP_EPOLL)
        return xp_real.epoll_pwait2(epfd, evs, max, timeout, mask);
    return (int)xp_ret(wait_any(epfd, evs, max, timeout, mask));
}
XP_ALIAS(epoll_pwait2);

XP_EXPORT int epoll_pwait(int epfd, struct epoll_event *evs, int max, int timeout, const sigset_t *mask)
{
    struct timespec ts = {.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L};
    if (xp_kind(xp_look(epfd)) != XP_EPOLL)
        return xp_real.epoll_pwait(epfd, evs, max, timeout, mask);
    return (int)xp_ret(wait_any(epfd, evs, max, timeout < 0 ? NULL : &ts, mask));
}
XP_ALIAS(epoll_pwait);

XP_EXPORT int epoll_wait(int epfd, struct epoll_event *evs, int max, int timeout)
{
    if (xp_kind(xp_look(epfd)) != XP_EPOLL)
        return xp_real.epoll_wait(epfd, evs, max, timeout);
    return epoll_pwait(epfd, evs, max, timeout, NULL);
}
