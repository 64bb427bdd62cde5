/* SPDX-License-Identifier: Apache-2.0
 * The epoll calls. An epoll descriptor is a real one and the kernel serves its own descriptors in it; a set of xtcp
 * sockets is added beside it when the first one comes, and the set's waiter is then one more member of the kernel's. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "libclient/preload/epoll_nest.h"
#include "libclient/preload/preload.h"

#define MAX_SETS 4096
#define EVENTS_MAX (INT_MAX / (int)sizeof(struct epoll_event))
#define LOOK_CALLS 16  /* the kernel's share is looked at at least once in so many calls ... */
#define LOOK_NS 100000 /* ... or after this time, however busy the xtcp sockets are */

/* Memory of sets is used again but never given back, so that a thread which still waits in a closed one finds a lock. */
static struct xp_set *sets[MAX_SETS];
static _Atomic unsigned nsets;
static pthread_mutex_t sets_lock = PTHREAD_MUTEX_INITIALIZER;

void xp_sets_lock(void)
{
    xp_nest_lock();
    pthread_mutex_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++)
        pthread_mutex_lock(&sets[i]->lock);
}

void xp_sets_unlock(void)
{
    for (unsigned i = 0; i < nsets; i++)
        pthread_mutex_unlock(&sets[i]->lock);
    pthread_mutex_unlock(&sets_lock);
    xp_nest_unlock();
}

/* A recursive lock is its thread's, and the child's thread is another. */
void xp_sets_unlock_child(void)
{
    for (unsigned i = 0; i < nsets; i++)
        xp_set_lock_init(sets[i]);
    pthread_mutex_unlock(&sets_lock);
    xp_nest_unlock();
}

struct xp_set *xp_set_at(unsigned i)
{
    return i < nsets ? sets[i] : NULL;
}

struct xp_set *xp_set_of(uint64_t w)
{
    return xp_kind(w) == XP_EPOLL && xp_value(w) && !xp_bystander ? sets[xp_value(w) - 1] : NULL;
}

/* A set not in use, with sets_lock held; its index or -ENOMEM. */
static int set_alloc(void)
{
    unsigned i;
    for (i = 0; i < nsets; i++)
        if (sets[i]->fds == 0 && sets[i]->sleepers == 0 && sets[i]->pollers == 0)
            break;
    if (i == MAX_SETS)
        return -ENOMEM;
    if (i == nsets) {
        sets[i] = calloc(1, sizeof *sets[i]);
        if (!sets[i])
            return -ENOMEM;
    }
    xp_set_init(sets[i]);
    sets[i]->fork_gen = xp_fork_gen;
    sets[i]->fds = 1;
    if (i == nsets)
        nsets++;
    return (int)i;
}

/* The set behind an epoll descriptor, made when there is none. NULL: no memory. */
struct xp_set *xp_set_make(int epfd)
{
    uint64_t w;
    int i = -1;
    pthread_mutex_lock(&sets_lock);
    w = xp_get(epfd);
    if (xp_kind(w) != XP_EPOLL || xp_value(w) == 0) {
        i = set_alloc();
        if (i >= 0) {
            /* One that we have not seen being made may hold anything already. */
            sets[i]->has_kernel = xp_kind(w) != XP_EPOLL || (xp_flags(w) & XP_F_HASKERN);
            w = xp_word(XP_EPOLL, 0, xp_flags(w), (uint32_t)i + 1);
            xp_put(epfd, w);
        }
    }
    pthread_mutex_unlock(&sets_lock);
    return xp_set_of(w);
}

uint64_t xp_epoll_share(int fd)
{
    struct xp_set *s = xp_set_make(fd);
    if (!s)
        return 0;
    pthread_mutex_lock(&s->lock);
    s->fds++;
    pthread_mutex_unlock(&s->lock);
    return xp_get(fd);
}

void xp_set_kick(struct xp_set *s)
{
    uint64_t one = 1;
    if (xp_real.write(s->kick, &one, sizeof one) < 0)
        xp_debug("epoll: eventfd %d: %s", s->kick, strerror(errno));
}

/* ---- fork: a set used on in a child ---- */

/* Copies the kernel's members of `from` that are not the library's own into `to`, as /proc tells them. */
static void copy_members(int from, int to)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", from);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        int fd;
        unsigned events;
        unsigned long long data;
        if (sscanf(line, "tfd: %d events: %x data: %llx", &fd, &events, &data) != 3 || xp_kind(xp_get(fd)) == XP_OWN)
            continue;
        struct epoll_event ev = {.events = events, .data.u64 = data};
        xp_real.epoll_ctl(to, EPOLL_CTL_ADD, fd, &ev);
    }
    if (f)
        xp_real.fclose(f);
}

/* ---- the waiter ---- */

static uint64_t new_tag(const struct xp_set *s)
{
    uint64_t x = (uintptr_t)s ^ (uint64_t)getpid() << 32 ^ (uint64_t)xp_now_ns();
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

static int add_own(int epfd, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event ev = {.events = events | EPOLLET, .data.u64 = data};
    return xp_real.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* Puts the descriptors that end a sleep into the kernel's set: first that of the set itself, then those of a context. */
int xp_set_wire(struct xp_set *s, int epfd)
{
    s->kick = xp_make_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    s->tag = new_tag(s);
    return add_own(epfd, s->kick, EPOLLIN, s->tag);
}

static int wire_context(struct xp_set *s, int epfd, unsigned ctx)
{
    int rc = add_own(epfd, xtcp_waiter_fd(s->w[ctx]), EPOLLIN, s->tag + 1 + 2 * ctx);
    return rc < 0 ? rc : add_own(epfd, xtcp_control_fd(xp_ctxs[ctx]), 0, s->tag + 2 + 2 * ctx);
}

/* After a fork the kernel's object is shared with the parent, whose waiter it wakes: the child makes a copy of its own. The
 * waiters themselves are the child's by now (see xtcp_fork_child). */
int xp_set_adopt(struct xp_set *s, int epfd)
{
    int cloexec = xp_real.fcntl(epfd, F_GETFD), fresh = xp_real.epoll_create1(EPOLL_CLOEXEC), old = s->kick, rc;
    s->fork_gen = xp_fork_gen;
    s->sleepers = 0;
    if (fresh < 0)
        return -errno;
    copy_members(epfd, fresh);
    xp_set_halves_again(s, fresh);
    xp_real.dup3(fresh, epfd, cloexec > 0 ? O_CLOEXEC : 0);
    xp_real.close(fresh);
    if (!s->watched)
        return 0;
    rc = xp_set_wire(s, epfd);
    xp_disown(old);
    xp_set_all_ready(s);
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (s->w[i] && rc == 0)
            rc = wire_context(s, epfd, i);
    return rc;
}

/* Gives the set a waiter of context `ctx`. With s->lock held. */
static int set_watch(struct xp_set *s, int epfd, unsigned ctx)
{
    struct xtcp_waiter *w;
    int rc = s->fork_gen != xp_fork_gen ? xp_set_adopt(s, epfd) : 0;
    if (rc < 0 || s->w[ctx])
        return rc;
    rc = xtcp_waiter_new(xp_ctxs[ctx], &w);
    if (rc < 0)
        return rc == -ENOBUFS ? -ENOSPC : rc;
    if (!s->watched)
        rc = xp_set_wire(s, epfd);
    xp_set_use_waiter(s, w, ctx);
    return rc < 0 ? rc : wire_context(s, epfd, ctx);
}

int xp_set_fd(const struct xp_set *s)
{
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1))
        if (xp_set_of(xp_get(fd)) == s)
            return fd;
    return -1;
}

/* ---- what the rest of the library tells ---- */

/* Before its member goes. A kernel's object that is still the parent's is not ours to change. */
static int own_object(const struct xp_set *s)
{
    return s->halves && s->fork_gen == xp_fork_gen ? xp_set_fd(s) : -1;
}

static void drop_half(struct xp_set *s, int fd)
{
    struct xp_item *it = xp_set_find(s, fd);
    if (it)
        xp_set_half_del(s, own_object(s), it);
}

static int add_half(struct xp_set *s, int epfd, int fd)
{
    struct xp_item *it = xp_set_find(s, fd);
    int rc = xp_set_half_add(s, epfd, it);
    if (rc == 0 && it->half >= 0) {
        xp_set_flags(epfd, XP_F_HASKERN);
        s->has_kernel = true;
    }
    return rc;
}

void xp_sets_half(int fd, bool on)
{
    pthread_mutex_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        struct xp_set *s = sets[i];
        pthread_mutex_lock(&s->lock);
        if (!on)
            drop_half(s, fd);
        else if (xp_set_find(s, fd))
            add_half(s, s->fork_gen == xp_fork_gen ? xp_set_fd(s) : -1, fd);
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&sets_lock);
}

static _Atomic unsigned orphans; /* ever made */

void xp_sets_closed(int fd, bool copies)
{
    pthread_mutex_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        struct xp_set *s = sets[i];
        pthread_mutex_lock(&s->lock);
        if (s->nundecided)
            s->has_kernel = true; /* it may stay there as a kernel socket */
        if (!copies)
            drop_half(s, fd);
        if (!copies)
            xp_set_del(s, fd);
        else if (xp_set_orphan(s, fd) == 0)
            orphans++;
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&sets_lock);
}

void xp_sets_gone(uint64_t w)
{
    if (!orphans)
        return;
    pthread_mutex_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        pthread_mutex_lock(&sets[i]->lock);
        xp_set_gone(sets[i], own_object(sets[i]), w);
        pthread_mutex_unlock(&sets[i]->lock);
    }
    pthread_mutex_unlock(&sets_lock);
}

/* Puts a member that was ours into the kernel's set, as it was asked for here. */
static void give_to_kernel(struct xp_set *s, int fd, const struct xp_item *it)
{
    struct epoll_event ev = {.events = it->disarmed ? EPOLLONESHOT : it->events, .data = it->data};
    int epfd = xp_set_fd(s);
    if (epfd < 0)
        return;
    xp_real.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
    xp_set_flags(epfd, XP_F_HASKERN);
    s->has_kernel = true;
}

void xp_sets_relayed(int fd)
{
    pthread_mutex_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        struct xp_set *s = sets[i];
        const struct xp_item *it;
        pthread_mutex_lock(&s->lock);
        if ((it = xp_set_find(s, fd))) {
            give_to_kernel(s, fd, it);
            drop_half(s, fd);
            xp_set_del(s, fd);
            if (s->watched && s->sleepers)
                xp_set_kick(s);
        }
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&sets_lock);
}

void xp_sets_moved(int fd, uint64_t w)
{
    pthread_mutex_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        struct xp_set *s = sets[i];
        int epfd;
        pthread_mutex_lock(&s->lock);
        if (xp_set_find(s, fd) && (epfd = xp_set_fd(s)) >= 0 && set_watch(s, epfd, xp_ctxno(w)) == 0 &&
            xp_set_move(s, fd, w) == 0) {
            xp_real.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
            add_half(s, epfd, fd);
            xp_set_kick(s);
        }
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++)
        xp_nest_watched(sets[i]);
}

static void drop_waiters(struct xp_set *s)
{
    for (unsigned i = 0; i < XP_CTXS; i++) {
        if (s->w[i])
            xtcp_waiter_free(s->w[i]);
        s->w[i] = NULL;
    }
    xp_disown(s->kick);
    s->watched = false;
    s->kick = -1;
}

void xp_epoll_closed(uint64_t w)
{
    struct xp_set *s = xp_set_of(w);
    if (!s)
        return;
    pthread_mutex_lock(&sets_lock);
    pthread_mutex_lock(&s->lock);
    if (s->fork_gen != xp_fork_gen)
        s->sleepers = 0; /* they were the parent's threads */
    if (--s->fds == 0) {
        xp_set_clear(s);
        s->life++;
        if (s->watched && s->sleepers == 0)
            drop_waiters(s);
        else if (s->watched)
            xp_set_kick(s); /* the last of them drops them */
    }
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&sets_lock);
}

/* ---- epoll_create, epoll_ctl ---- */

static int created(int epfd)
{
    if (epfd >= 0 && (unsigned)epfd < XP_FDS && !xp_bystander)
        xp_put(epfd, xp_word(XP_EPOLL, 0, 0, 0));
    return epfd;
}

XP_EXPORT int epoll_create(int size)
{
    return created(xp_real.epoll_create(size));
}

XP_EXPORT int epoll_create1(int flags)
{
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
    if (s)
        s->has_kernel = true;
    return rc;
}

static int set_ctl(struct xp_set *s, int epfd, int op, int fd, uint64_t w, const struct epoll_event *ev)
{
    int rc = s->halves && s->fork_gen != xp_fork_gen ? xp_set_adopt(s, epfd) : 0;
    if (rc < 0)
        return rc;
    switch (op) {
    case EPOLL_CTL_ADD:
        rc = xp_kind(w) == XP_XTCP ? set_watch(s, epfd, xp_ctxno(w)) : 0;
        if (rc == 0)
            rc = xp_set_add(s, fd, w, ev);
        if (rc == 0 && (rc = add_half(s, epfd, fd)) < 0)
            xp_set_del(s, fd);
        xp_set_flags(fd, XP_F_INSET);
        break;
    case EPOLL_CTL_MOD:
        rc = xp_set_mod(s, fd, ev);
        if (rc == 0)
            xp_set_half_mod(s, epfd, xp_set_find(s, fd));
        break;
    case EPOLL_CTL_DEL:
        drop_half(s, fd);
        return xp_set_del(s, fd);
    default:
        return -EINVAL;
    }
    /* Whoever sleeps must look at it; always for the first socket, as nobody counts as a sleeper before it. */
    if (rc == 0 && s->watched && (s->sleepers || xp_set_held(s) || s->nxtcp == 1))
        xp_set_kick(s);
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
    uint64_t ew = xp_get(epfd), w;
    struct xp_set *s;
    int rc;
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
    pthread_mutex_lock(&s->lock);
    if (xp_kind(w) == XP_XTCP)
        rc = set_ctl(s, epfd, op, fd, w, ev);
    else
        rc = ctl_undecided(s, epfd, op, fd, w, ev);
    pthread_mutex_unlock(&s->lock);
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
    for (int i = 0; i < r; i++) {
        uint64_t own = evs[i].data.u64 - s->tag;
        if (own > XP_TAG_NEST + XP_FDS) {
            evs[n++] = evs[i];
        } else if (own > XP_TAG_NEST) {
            struct xp_item *it;
            pthread_mutex_lock(&s->lock);
            if ((it = xp_set_find(s, (int)(own - XP_TAG_NEST - 1))))
                xp_set_touch(s, it);
            pthread_mutex_unlock(&s->lock);
        } else if (own && own % 2 == 0) { /* a control connection */
            xtcp_check(xp_ctxs[own / 2 - 1]);
            pthread_mutex_lock(&s->lock);
            xp_set_all_ready(s);
            pthread_mutex_unlock(&s->lock);
        }
    }
    return n;
}

/* Looks at the kernel's share without waiting, when it is its turn or `always`. */
static int look_kernel(struct xp_set *s, int epfd, struct epoll_event *evs, int max, bool always)
{
    static const struct timespec now;
    int r;
    if (!s->has_kernel && s->nundecided == 0)
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
    for (;;) {
        uint64_t moved;
        bool nested = s->nests || xp_set_held(s);
        if (nested)
            xp_nest_lock();
        pthread_mutex_lock(&s->lock);
        if (xp_set_held(s))
            xp_set_refresh(s);
        else
            xp_set_news(s);
        n += xp_set_collect(s, evs + n, max - n);
        if (s->ready && (s->sleepers || s->pollers))
            xp_set_kick(s); /* more than this thread can carry */
        moved = s->moved;
        s->moved = 0;
        pthread_mutex_unlock(&s->lock);
        if (nested)
            xp_nest_tell(s);
        if (!moved || moved == last)
            return n;
        xp_go_over(moved); /* takes it out of all sets */
        last = moved;
    }
}

/* The waiters of a daemon that has gone have no news: its end comes as an event of its control connection. */
static struct xtcp_waiter *waiter_at(const struct xp_set *s, unsigned i)
{
    return s->w[i] && xtcp_alive(xp_ctxs[i]) ? s->w[i] : NULL;
}

/* True when there are news already. */
bool xp_set_prepare(const struct xp_set *s)
{
    bool news = false;
    for (unsigned i = 0; i < XP_CTXS; i++) {
        struct xtcp_waiter *w = waiter_at(s, i);
        if (w && xtcp_waiter_prepare(w))
            news = true;
    }
    return news;
}

/* Ends a thread's sleep. What it took from the waiters must not leave other sleepers unwatched. */
static void woken(struct xp_set *s, unsigned life)
{
    pthread_mutex_lock(&s->lock);
    s->sleepers--;
    if (s->life == life) {
        for (unsigned i = 0; i < XP_CTXS; i++)
            if (s->w[i])
                xtcp_waiter_done(s->w[i]);
        if ((s->sleepers || xp_set_held(s)) && xp_set_prepare(s))
            xp_set_kick(s);
    } else if (s->sleepers == 0 && s->watched) {
        drop_waiters(s);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Spinning is for one family; with more, news of the others would come late. */
static bool spin(const struct xp_set *s)
{
    struct xtcp_waiter *only = NULL;
    unsigned n = 0;
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (waiter_at(s, i)) {
            only = s->w[i];
            n++;
        }
    return n == 1 && xtcp_waiter_spin(only);
}

static int sleep_in_kernel(struct xp_set *s, int epfd, struct epoll_event *evs, int max, int64_t end,
                           const sigset_t *mask)
{
    struct timespec ts;
    unsigned life;
    int r = 0;
    pthread_mutex_lock(&s->lock);
    life = s->life;
    s->sleepers++;
    pthread_mutex_unlock(&s->lock);
    if ((mask || !spin(s)) && !xp_set_prepare(s))
        r = kernel_events(epfd, evs, max, xp_left(end, &ts), mask);
    woken(s, life);
    return r < 0 ? r : drop_own(s, evs, r);
}

static int wait_set(struct xp_set *s, int epfd, struct epoll_event *evs, int max, const struct timespec *timeout,
                    const sigset_t *mask)
{
    int64_t end = xp_deadline(timeout);
    bool at_once = timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0;
    unsigned life = s->life;
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
        k = sleep_in_kernel(s, epfd, evs, max, end, mask);
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
        pthread_mutex_lock(&s->lock);
        int rc = s->fork_gen != xp_fork_gen ? xp_set_adopt(s, epfd) : 0;
        pthread_mutex_unlock(&s->lock);
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

/* A set without xtcp sockets is the kernel's alone; but one may come while a thread sleeps in it. */
static int wait_any(int epfd, struct epoll_event *evs, int max, const struct timespec *timeout, const sigset_t *mask)
{
    int64_t end;
    struct timespec ts;
    if (max <= 0 || max > EVENTS_MAX || (timeout && !xp_is_time(timeout)))
        return -EINVAL;
    end = xp_deadline(timeout);
    for (;;) {
        struct xp_set *s = xp_set_of(xp_get(epfd));
        int r, n = 0;
        if (s && s->watched)
            return evs ? wait_watched(s, epfd, evs, max, timeout, mask) : wait_nowhere(s, epfd, timeout, mask);
        r = kernel_events(epfd, evs, max, timeout, mask);
        s = xp_set_of(xp_get(epfd));
        if (r < 0 || !s || !s->watched)
            return r;
        n = drop_own(s, evs, r);
        if (n > 0 || (end != INT64_MAX && xp_now_ns() >= end))
            return n;
        timeout = xp_left(end, &ts);
    }
}

XP_EXPORT int epoll_pwait2(int epfd, struct epoll_event *evs, int max, const struct timespec *timeout,
                           const sigset_t *mask)
{
    if (xp_kind(xp_get(epfd)) != XP_EPOLL)
        return xp_real.epoll_pwait2(epfd, evs, max, timeout, mask);
    return (int)xp_ret(wait_any(epfd, evs, max, timeout, mask));
}
XP_ALIAS(epoll_pwait2);

XP_EXPORT int epoll_pwait(int epfd, struct epoll_event *evs, int max, int timeout, const sigset_t *mask)
{
    struct timespec ts = {.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L};
    if (xp_kind(xp_get(epfd)) != XP_EPOLL)
        return xp_real.epoll_pwait(epfd, evs, max, timeout, mask);
    return (int)xp_ret(wait_any(epfd, evs, max, timeout < 0 ? NULL : &ts, mask));
}
XP_ALIAS(epoll_pwait);

XP_EXPORT int epoll_wait(int epfd, struct epoll_event *evs, int max, int timeout)
{
    if (xp_kind(xp_get(epfd)) != XP_EPOLL)
        return xp_real.epoll_wait(epfd, evs, max, timeout);
    return epoll_pwait(epfd, evs, max, timeout, NULL);
}
