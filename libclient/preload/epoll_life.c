/* SPDX-License-Identifier: Apache-2.0
 * The epoll sets of this process: how they begin, get waiters, go on in a child and end, and what other calls do to their members. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "libclient/preload/epoll_nest.h"
#include "libclient/preload/epoll_share.h"
#include "libclient/preload/preload.h"

#define MAX_SETS 65536

/* Memory of sets is used again but never given back, so that a thread which still waits in a closed one finds a lock. */
static struct xp_set *sets[MAX_SETS];
static _Atomic unsigned nsets;
static pthread_mutex_t sets_lock = XP_LOCK_INIT;

void xp_sets_lock(void)
{
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1))
        if (xp_kind(xp_get(fd)) == XP_EPOLL)
            xp_set_make(fd);
    xp_nest_lock();
    xp_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        sets[i]->busy = xp_holds(&sets[i]->lock);
        xp_lock(&sets[i]->lock);
    }
}

bool xp_sets_are_shared;

void xp_sets_share(void)
{
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1)) {
        const struct xp_set *s = xp_kind(xp_get(fd)) == XP_EPOLL ? xp_set_of(xp_get(fd)) : NULL;
        if (s && !s->l->shared && !s->busy && s->fork_gen == xp_fork_gen)
            xp_set_share((struct xp_set *)s, fd);
        xp_sets_are_shared |= s && s->l->shared;
    }
}

void xp_sets_unlock(void)
{
    for (unsigned i = 0; i < nsets; i++)
        xp_unlock(&sets[i]->lock);
    xp_unlock(&sets_lock);
    xp_nest_unlock();
}

/* A recursive lock is its thread's, and the child's thread is another; who slept is in the parent. */
void xp_sets_unlock_child(void)
{
    for (unsigned i = 0; i < nsets; i++) {
        if (sets[i]->l->shared) {
            xp_shared_child(sets[i]);
        } else {
            sets[i]->l->sleepers = 0;
            sets[i]->l->pollers = 0;
        }
        sets[i]->naps = sets[i]->polls = 0;
        xp_set_lock_init(sets[i]);
        xp_unlock_child(&sets[i]->lock);
    }
    xp_unlock_child(&sets_lock);
    xp_nest_unlock_child();
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
        if (sets[i]->fds == 0 && sets[i]->naps == 0 && sets[i]->polls == 0)
            break;
    if (i == MAX_SETS)
        return -ENOMEM;
    if (i == nsets) {
        sets[i] = calloc(1, sizeof *sets[i]);
        if (!sets[i])
            return -ENOMEM;
    }
    xp_set_unmap(sets[i]);
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
    xp_lock(&sets_lock);
    w = xp_get(epfd);
    if (xp_kind(w) != XP_EPOLL || xp_value(w) == 0) {
        i = set_alloc();
        if (i >= 0) {
            /* One that we have not seen being made may hold anything already. */
            sets[i]->l->has_kernel = xp_kind(w) != XP_EPOLL || (xp_flags(w) & XP_F_HASKERN);
            w = xp_word(XP_EPOLL, 0, xp_flags(w), (uint32_t)i + 1);
            xp_put(epfd, w);
        }
    }
    xp_unlock(&sets_lock);
    return xp_set_of(w);
}

uint64_t xp_epoll_share(int fd)
{
    struct xp_set *s = xp_set_make(fd);
    if (!s)
        return 0;
    xp_set_lock(s);
    s->fds++;
    xp_set_unlock(s);
    return xp_get(fd);
}

void xp_set_kick(struct xp_set *s)
{
    uint64_t one = 1;
    if (xp_real.write(s->l->kick, &one, sizeof one) < 0)
        xp_debug("epoll: eventfd %d: %s", s->l->kick, strerror(errno));
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

uint64_t xp_set_new_tag(const struct xp_set *s)
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
    s->l->kick = xp_make_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return s->l->kick < 0 ? -errno : add_own(epfd, s->l->kick, EPOLLIN, s->l->tag);
}

int xp_set_wire_control(struct xp_set *s, int epfd, unsigned ctx)
{
    int rc = add_own(epfd, xtcp_control_fd(xp_ctxs[ctx]), 0, s->l->tag + 2 + 2 * ctx);
    return rc == -EEXIST ? 0 : rc;
}

int xp_set_wire_context(struct xp_set *s, int epfd, unsigned ctx)
{
    int rc = add_own(epfd, xtcp_waiter_fd(s->w[ctx]), EPOLLIN, s->l->tag + 1 + 2 * ctx);
    return rc < 0 ? rc : xp_set_wire_control(s, epfd, ctx);
}

/* After a fork the kernel's object is shared with the parent, whose waiter it wakes: the child makes a copy of its own. The
 * waiters themselves are the child's by now (see xtcp_fork_child). */
int xp_set_adopt(struct xp_set *s, int epfd)
{
    int cloexec = xp_real.fcntl(epfd, F_GETFD), fresh = xp_real.epoll_create1(EPOLL_CLOEXEC), old = s->l->kick, rc;
    s->fork_gen = xp_fork_gen;
    if (fresh < 0)
        return -errno;
    copy_members(epfd, fresh);
    xp_set_halves_again(s, fresh);
    xp_real.dup3(fresh, epfd, cloexec > 0 ? O_CLOEXEC : 0);
    xp_real.close(fresh);
    s->l->kick = -1;
    if (old >= 0)
        xp_disown(old);
    if (!s->l->watched)
        return 0;
    rc = xp_set_wire(s, epfd);
    xp_set_all_ready(s);
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (s->w[i] && rc == 0)
            rc = xp_set_wire_context(s, epfd, i);
    return rc;
}

/* Gives the set a waiter of context `ctx`, unless that daemon has gone: then there is no news but what its sockets say by themselves.
 * With s->lock held. */
int xp_set_watch(struct xp_set *s, int epfd, unsigned ctx)
{
    struct xtcp_waiter *w = NULL;
    int rc = s->fork_gen != xp_fork_gen ? xp_set_adopt(s, epfd) : 0;
    if (rc == 0 && s->l->shared && ctx >= s->l->shared->nctx)
        rc = xp_set_leave(s, epfd); /* a daemon that the others do not know */
    if (rc == 0 && s->l->shared)
        return xp_shared_watch(s, ctx);
    if (rc < 0 || s->w[ctx])
        return rc;
    rc = xtcp_waiter_new(xp_ctxs[ctx], &w);
    if (rc < 0 && rc != -ECONNABORTED)
        return rc == -ENOBUFS ? -ENOSPC : rc;
    rc = s->l->kick < 0 ? xp_set_wire(s, epfd) : 0;
    xp_set_use_waiter(s, w, ctx);
    if (w && s->l->sleepers)
        xtcp_waiter_prepare(w); /* they have not; and the kick for what is true already may be another thread's */
    return rc < 0 || !w ? rc : xp_set_wire_context(s, epfd, ctx);
}

/* The waiters of a daemon that has gone have no news: its end comes as an event of its control connection. */
struct xtcp_waiter *xp_set_waiter(const struct xp_set *s, unsigned i)
{
    return s->w[i] && xtcp_alive(xp_ctxs[i]) ? s->w[i] : NULL;
}

/* True when there are news already. */
bool xp_set_prepare(const struct xp_set *s)
{
    bool news = false;
    for (unsigned i = 0; i < XP_CTXS; i++) {
        struct xtcp_waiter *w = xp_set_waiter(s, i);
        if (w && xtcp_waiter_prepare(w))
            news = true;
    }
    return news;
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
    return s->l->halves && s->fork_gen == xp_fork_gen ? xp_set_fd(s) : -1;
}

void xp_set_end_half(struct xp_set *s, int fd)
{
    struct xp_item *it = xp_set_find(s, fd);
    if (it)
        xp_set_half_del(s, own_object(s), it);
}

int xp_set_begin_half(struct xp_set *s, int epfd, int fd)
{
    struct xp_item *it = xp_set_find(s, fd);
    int rc = it ? xp_set_half_add(s, epfd, it) : -ENOENT; /* closed just now by another thread */
    if (rc == 0 && it->half >= 0) {
        xp_set_flags(epfd, XP_F_HASKERN);
        s->l->has_kernel = true;
    }
    return rc;
}

static bool has_socket(const struct xp_set *s, uint64_t w)
{
    for (const struct xp_item *it = xp_value(w) < s->l->sock_cap ? s->l->by_sock[xp_value(w)] : NULL; it;
         it = it->same_sock)
        if (xp_ctxno(it->word) == xp_ctxno(w))
            return true;
    return false;
}

void xp_sets_spread(uint64_t w)
{
    xp_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        struct xp_set *s = sets[i];
        int epfd;
        xp_set_lock(s);
        if (has_socket(s, w) && (epfd = xp_set_fd(s)) >= 0) {
            XP_EACH_CTX(c, w)
            xp_set_watch(s, epfd, (unsigned)c);
            xp_set_subscribe(s, w);
            xp_set_kick(s);
        }
        xp_set_unlock(s);
    }
    xp_unlock(&sets_lock);
}

void xp_sets_half(int fd, bool on)
{
    xp_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        struct xp_set *s = sets[i];
        xp_set_lock(s);
        if (!on)
            xp_set_end_half(s, fd);
        else if (xp_set_find(s, fd))
            xp_set_begin_half(s, s->fork_gen == xp_fork_gen ? xp_set_fd(s) : -1, fd);
        xp_set_unlock(s);
    }
    xp_unlock(&sets_lock);
}

static _Atomic unsigned orphans; /* ever made */

void xp_sets_closed(int fd, bool copies)
{
    xp_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        struct xp_set *s = sets[i];
        xp_set_lock(s);
        if (s->l->nundecided)
            s->l->has_kernel = true; /* it may stay there as a kernel socket */
        if (!copies)
            xp_set_end_half(s, fd);
        if (!copies)
            xp_set_del(s, fd);
        else if (xp_set_orphan(s, fd) == 0)
            orphans++;
        xp_set_unlock(s);
    }
    xp_unlock(&sets_lock);
}

void xp_sets_gone(uint64_t w)
{
    if (!orphans)
        return;
    xp_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        xp_set_lock(sets[i]);
        if (!sets[i]->l->shared) /* there it shows when it is looked at */
            xp_set_gone(sets[i], own_object(sets[i]), w);
        xp_set_unlock(sets[i]);
    }
    xp_unlock(&sets_lock);
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
    s->l->has_kernel = true;
}

void xp_sets_relayed(int fd)
{
    xp_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        struct xp_set *s = sets[i];
        const struct xp_item *it;
        xp_set_lock(s);
        xp_shared_tend(s);
        if ((it = xp_set_find(s, fd))) {
            give_to_kernel(s, fd, it);
            xp_set_end_half(s, fd);
            xp_set_del(s, fd);
            if (s->l->watched && s->l->sleepers)
                xp_set_kick(s);
        }
        xp_set_unlock(s);
    }
    xp_unlock(&sets_lock);
}

void xp_sets_moved(int fd, uint64_t w)
{
    xp_lock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++) {
        struct xp_set *s = sets[i];
        int epfd;
        xp_set_lock(s);
        if (xp_set_find(s, fd) && (epfd = xp_set_fd(s)) >= 0 && xp_set_watch(s, epfd, xp_ctxno(w)) == 0 &&
            xp_set_move(s, fd, w) == 0) {
            xp_real.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
            xp_set_begin_half(s, epfd, fd);
            xp_set_kick(s);
        }
        xp_set_unlock(s);
    }
    xp_unlock(&sets_lock);
    for (unsigned i = 0; i < nsets; i++)
        xp_nest_watched(sets[i]);
}

void xp_set_drop_waiters(struct xp_set *s)
{
    for (unsigned i = 0; i < XP_CTXS; i++) {
        if (s->w[i])
            xtcp_waiter_free(s->w[i]);
        s->w[i] = NULL;
    }
    if (s->l->kick >= 0)
        xp_disown(s->l->kick);
    s->l->watched = false;
    s->l->kick = -1;
}

void xp_epoll_closed(int fd, uint64_t w)
{
    struct xp_set *s = xp_set_of(w);
    if (!s)
        return;
    xp_lock(&sets_lock);
    xp_set_lock(s);
    if (--s->fds == 0 && s->l->shared) {
        xp_shared_close(s, fd);
        xp_disown(s->l->kick);
        s->life++;
    } else if (s->fds == 0) {
        xp_set_clear(s);
        s->life++;
        if (s->l->watched && s->l->sleepers == 0)
            xp_set_drop_waiters(s);
        else if (s->l->watched)
            xp_set_kick(s); /* the last of them drops them */
    }
    xp_set_unlock(s);
    xp_unlock(&sets_lock);
}
