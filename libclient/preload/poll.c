/* SPDX-License-Identifier: Apache-2.0
 * poll and select over any mix of xtcp sockets and kernel descriptors. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/preload/both.h"
#include "libclient/preload/preload.h"

#define ON_STACK 128 /* descriptors */
#define EXTRA (2 * XP_CTXS)
#define HELD 16   /* sets to sleep on in one poll */
#define TICK_MS 1 /* how often to look when there is no waiter to sleep on: too many threads, too few descriptors */

/* Each thread's own waiters, by context, made when it first sleeps in poll(). */
static XP_TLS struct {
    struct xtcp_waiter *w[XP_CTXS];
    bool busy; /* a signal handler interrupted a poll() and calls poll() itself: it must not share the waiters */
} mine;

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

static void thread_exit(void *arg)
{
    for (unsigned i = 0; i < XP_CTXS; i++) {
        if (mine.w[i] && !xp_bystander)
            xtcp_waiter_free(mine.w[i]);
        mine.w[i] = NULL;
    }
}

static void make_key(void)
{
    pthread_key_create(&exit_key, thread_exit);
}

static struct xtcp_waiter *thread_waiter(unsigned ctx)
{
    if (mine.w[ctx])
        return mine.w[ctx];
    if (xtcp_waiter_new(xp_ctxs[ctx], &mine.w[ctx]) < 0)
        return NULL;
    pthread_once(&exit_once, make_key);
    pthread_setspecific(exit_key, &mine);
    return mine.w[ctx];
}

struct job {
    struct pollfd *fds; /* the caller's */
    struct pollfd
        *kfds; /* for the kernel: n entries with xtcp sockets blanked or their halves, then waiters, controls */
    nfds_t n, nkernel, nhalves;
    bool in[XP_CTXS];               /* the living contexts of these sockets */
    struct xtcp_waiter *w[XP_CTXS]; /* and what to sleep on for them */
    nfds_t extra;                   /* entries of kfds for that */
    struct xp_set *held[HELD];      /* sets among the descriptors, for the time of a sleep */
    unsigned nheld;
    bool sets;   /* there are some */
    bool tick;   /* a waiter is missing */
    bool nested; /* a signal handler's: its waiters are its own */
    bool moved;  /* one of the sockets is relayed since: it is the kernel's to poll */
};

/* What is served here: an xtcp socket, or (*set) a set with some. */
static bool is_ours(int fd, uint64_t *w, struct xp_set **set)
{
    *set = NULL;
    return xp_is_xtcp(fd, w) || (*set = xp_epoll_served(*w));
}

static short answer(const struct pollfd *p, unsigned mask)
{
    return (short)(mask & ((unsigned short)p->events | POLLERR | POLLHUP));
}

static int look_xtcp(struct job *j)
{
    int ready = 0;
    for (nfds_t i = 0; i < j->n; i++) {
        struct pollfd *p = &j->fds[i];
        struct xp_set *set;
        uint64_t w;
        if (is_ours(p->fd, &w, &set)) {
            unsigned m = set ? xp_epoll_mask(set) : xp_mask(w);
            j->moved |= (m & XTCP_MOVED) != 0;
            p->revents = answer(p, set || j->kfds[i].fd < 0 ? m : m | (unsigned short)j->kfds[i].revents);
            ready += p->revents != 0;
        }
    }
    return ready;
}

/* Asks the kernel about its share and copies what it says. Returns how many of these are ready, or -errno. */
static int look_kernel(struct job *j, nfds_t extra, const struct timespec *timeout, const sigset_t *mask)
{
    int r = xp_real.ppoll(j->kfds, j->n + extra, timeout, mask), ready = 0;
    if (r < 0)
        return -errno;
    for (nfds_t i = 0; i < j->n; i++) {
        struct xp_set *set;
        uint64_t w;
        if (is_ours(j->fds[i].fd, &w, &set)) {
            if (set || j->kfds[i].fd < 0)
                continue;
            j->fds[i].revents |= answer(&j->fds[i], (unsigned short)j->kfds[i].revents);
            ready += j->fds[i].revents != 0;
            continue;
        }
        j->fds[i].revents = j->kfds[i].fd < 0 ? 0 : j->kfds[i].revents;
        ready += j->fds[i].revents != 0;
    }
    return ready;
}

/* Returns how many are xtcp sockets. */
static nfds_t split(struct job *j)
{
    nfds_t found = 0;
    for (nfds_t i = 0; i < j->n; i++) {
        struct xp_set *set;
        uint64_t w;
        j->kfds[i] = j->fds[i];
        if (j->fds[i].fd < 0)
            continue;
        if (is_ours(j->fds[i].fd, &w, &set)) {
            j->kfds[i].fd = set ? j->fds[i].fd : xp_half(w);
            j->kfds[i].revents = 0;
            j->nhalves += !set && j->kfds[i].fd >= 0;
            j->nkernel += !set && j->kfds[i].fd >= 0;
            found++;
            j->sets |= set != NULL;
            if (!set && xtcp_alive(xp_x(w)))
                j->in[xp_ctxno(w)] = true;
        } else {
            j->nkernel++;
        }
    }
    return found;
}

static void subscribe(struct job *j, void (*fn)(struct xtcp_waiter *w, int s))
{
    for (nfds_t i = 0; i < j->n; i++) {
        uint64_t w;
        if (xp_is_xtcp(j->fds[i].fd, &w) && j->w[xp_ctxno(w)])
            fn(j->w[xp_ctxno(w)], xp_sock(w));
    }
}

static void hold(struct job *j)
{
    for (nfds_t i = 0; i < j->n; i++) {
        struct xp_set *set;
        uint64_t w;
        if (!is_ours(j->fds[i].fd, &w, &set) || !set)
            continue;
        if (j->nheld == HELD) {
            j->tick = true;
            return;
        }
        xp_epoll_hold(set, true);
        j->held[j->nheld++] = set;
    }
}

static void watch(struct job *j)
{
    j->nested = mine.busy;
    mine.busy = true;
    for (unsigned i = 0; i < XP_CTXS; i++) {
        if (!j->in[i])
            continue;
        if (!j->nested)
            j->w[i] = thread_waiter(i);
        else if (xtcp_waiter_new(xp_ctxs[i], &j->w[i]) < 0)
            j->w[i] = NULL;
        if (!j->w[i]) {
            j->tick = true;
            continue;
        }
        struct pollfd *k = &j->kfds[j->n + j->extra];
        k[0] = (struct pollfd){.fd = xtcp_waiter_fd(j->w[i]), .events = POLLIN};
        k[1] = (struct pollfd){.fd = xtcp_control_fd(xp_ctxs[i])};
        j->extra += 2;
    }
    subscribe(j, xtcp_waiter_sub);
    if (j->sets)
        hold(j);
}

static void unwatch(struct job *j)
{
    subscribe(j, xtcp_waiter_unsub);
    for (unsigned i = 0; i < XP_CTXS && j->nested; i++)
        if (j->w[i])
            xtcp_waiter_free(j->w[i]);
    mine.busy = j->nested;
    while (j->nheld)
        xp_epoll_hold(j->held[--j->nheld], false);
}

static void forget_news(void *arg, uint32_t s)
{
}

static void forget_all_news(struct job *j)
{
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (j->w[i])
            xtcp_waiter_take(j->w[i], forget_news, NULL);
}

/* True when there are news already. */
static bool prepare(struct job *j)
{
    bool news = false;
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (j->w[i] && xtcp_waiter_prepare(j->w[i]))
            news = true;
    return news;
}

/* Spinning is for one family; with more, news of the others would come late. */
static bool spin(struct job *j)
{
    for (unsigned i = 0; i < XP_CTXS && j->extra == 2 && !j->sets; i++)
        if (j->w[i])
            return xtcp_waiter_spin(j->w[i]);
    return false;
}

static bool passed(int64_t end)
{
    return end != INT64_MAX && xp_now_ns() >= end;
}

static int sleep_in_kernel(struct job *j, int64_t end, const sigset_t *mask)
{
    struct timespec ts, tick = {.tv_nsec = TICK_MS * 1000000L};
    const struct timespec *left = xp_left(end, &ts);
    int r = -EINVAL;
    if (!j->tick)
        r = look_kernel(j, j->extra, left, mask);
    if (r != -EINVAL)
        return r;
    /* Too many for RLIMIT_NOFILE, perhaps, and without ours they are not. */
    for (nfds_t i = j->n; i < j->n + j->extra; i++)
        j->kfds[i].revents = 0;
    if (!left || left->tv_sec > 0 || left->tv_nsec > tick.tv_nsec)
        left = &tick;
    return look_kernel(j, 0, left, mask);
}

/* One sleep: ready kernel descriptors, 0, or -errno. */
static int doze(struct job *j, int64_t end, const sigset_t *mask)
{
    int r = prepare(j) ? 0 : sleep_in_kernel(j, end, mask);
    const struct pollfd *k = &j->kfds[j->n];
    for (unsigned i = 0; i < XP_CTXS; i++) {
        if (!j->w[i])
            continue;
        if (r >= 0 && k[1].revents)
            xtcp_check(xp_ctxs[i]);
        k += 2;
        xtcp_waiter_done(j->w[i]);
    }
    forget_all_news(j);
    return r;
}

static int sleep_until_ready(struct job *j, int64_t end, const sigset_t *mask)
{
    bool spun = false;
    for (;;) {
        int ready = look_xtcp(j), r = 0;
        if (j->moved)
            return -EREMOTE;
        if (ready == 0 && !spun && !mask) {
            spun = true;
            if (spin(j)) {
                forget_all_news(j);
                continue;
            }
        }
        if (ready == 0) {
            r = doze(j, end, mask);
            if (r < 0)
                return r;
            ready = look_xtcp(j);
            if (j->moved)
                return -EREMOTE;
        } else if (j->nkernel) {
            static const struct timespec now;
            r = look_kernel(j, 0, &now, NULL);
        }
        if (ready || r > 0 || passed(end))
            return ready + (r > 0 ? r : 0);
    }
}

static int poll_mixed(struct job *j, const struct timespec *timeout, const sigset_t *mask)
{
    static const struct timespec now;
    int64_t end = xp_deadline(timeout);
    int ready = look_xtcp(j), r = 0, saved = errno;
    if (j->moved)
        return -EREMOTE;
    if (j->nkernel || (mask && ready == 0)) {
        r = look_kernel(j, 0, &now, ready ? NULL : mask);
        if (r < 0)
            return r;
    } else {
        for (nfds_t i = 0; i < j->n; i++)
            if (j->fds[i].fd < 0)
                j->fds[i].revents = 0;
    }
    if (ready + r > 0 || (timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0))
        return ready + r;
    watch(j);
    ready = sleep_until_ready(j, end, mask);
    unwatch(j);
    errno = saved;
    return ready;
}

enum { NONE, SETS, OURS };

/* What there is among the descriptors: sets that may get xtcp sockets at any time, or what is served here already. */
static int kinds(struct pollfd *fds, nfds_t n)
{
    struct xp_set *set;
    int found = NONE;
    uint64_t w;
    for (nfds_t i = 0; fds && i < n; i++) {
        if (is_ours(fds[i].fd, &w, &set))
            return OURS;
        if (xp_kind(w) == XP_EPOLL)
            found = SETS;
    }
    return found;
}

static void go_over_moved(struct job *j)
{
    uint64_t w;
    for (nfds_t i = 0; i < j->n; i++)
        if (xp_is_xtcp(j->fds[i].fd, &w) && xp_mask(w) & XTCP_MOVED)
            xp_go_over(w);
}

/* One that both halves of a socket tell of counts once. */
static int count_ready(const struct job *j)
{
    int n = 0;
    for (nfds_t i = 0; i < j->n; i++)
        n += j->fds[i].revents != 0;
    return n;
}

int xp_poll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    struct pollfd stack[ON_STACK + EXTRA], *kfds = stack;
    struct timespec ts;
    int rc;
    if (timeout && !xp_is_time(timeout))
        return -EINVAL;
    if (n > ON_STACK) {
        kfds = malloc((n + EXTRA) * sizeof *kfds);
        if (!kfds)
            return -ENOMEM;
    }
    int64_t end = xp_deadline(timeout);
    for (;;) {
        struct job j = {.fds = fds, .kfds = kfds, .n = n};
        split(&j);
        rc = poll_mixed(&j, timeout, mask);
        if (rc > 0 && j.nhalves)
            rc = count_ready(&j);
        if (rc != -EREMOTE)
            break;
        go_over_moved(&j);
        timeout = xp_left(end, &ts);
    }
    if (kfds != stack)
        free(kfds);
    return rc;
}

int xp_wait_fd(int fd, short events, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    struct timespec ts = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    int rc = xp_poll(&p, 1, timeout_ms > 0 ? &ts : NULL, NULL);
    return rc < 0 ? rc : rc == 0 ? -EAGAIN : 0;
}

/* While it sleeps on sets that are the kernel's alone an xtcp socket may come into one: that ends the sleep. */
static int poll_kernel(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, int kind)
{
    int64_t end = kind == SETS ? xp_deadline(timeout) : 0;
    struct timespec ts;
    int r = xp_real.ppoll(fds, n, timeout, mask);
    if (kind != SETS || r <= 0 || kinds(fds, n) != OURS)
        return r;
    return (int)xp_ret(xp_poll(fds, n, xp_left(end, &ts), mask));
}

XP_EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    struct timespec ts = {.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L};
    int kind = kinds(fds, n);
    if (kind == NONE)
        return xp_real.poll(fds, n, timeout);
    if (kind == SETS)
        return poll_kernel(fds, n, timeout < 0 ? NULL : &ts, NULL, kind);
    return (int)xp_ret(xp_poll(fds, n, timeout < 0 ? NULL : &ts, NULL));
}
XP_ALIAS(poll);

XP_EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    int kind = kinds(fds, n);
    if (kind != OURS)
        return poll_kernel(fds, n, timeout, mask, kind);
    return (int)xp_ret(xp_poll(fds, n, timeout, mask));
}
XP_ALIAS(ppoll);

/* ---- select ---- */

struct sets {
    int n;
    fd_set *in, *out, *ex;
};

static short wanted(const struct sets *s, int fd)
{
    return (short)((s->in && FD_ISSET(fd, s->in) ? POLLIN : 0) | (s->out && FD_ISSET(fd, s->out) ? POLLOUT : 0) |
                   (s->ex && FD_ISSET(fd, s->ex) ? POLLPRI : 0));
}

static bool select_any_xtcp(const struct sets *s)
{
    struct xp_set *set;
    uint64_t w;
    for (int fd = xp_next(0); fd >= 0 && fd < s->n; fd = xp_next(fd + 1))
        if (is_ours(fd, &w, &set) && wanted(s, fd))
            return true;
    return false;
}

static int keep(fd_set *set, int fd, bool on)
{
    if (!set || !FD_ISSET(fd, set))
        return 0;
    if (!on)
        FD_CLR(fd, set);
    return on;
}

/* Writes the answer into the sets as the kernel maps poll masks to select; returns the number of bits. */
static int select_answer(struct sets *s, const struct pollfd *fds, nfds_t n)
{
    int bits = 0;
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].revents & POLLNVAL)
            return -EBADF;
    for (nfds_t i = 0; i < n; i++) {
        int fd = fds[i].fd, r = fds[i].revents;
        bits += keep(s->in, fd, (r & (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)) != 0);
        bits += keep(s->out, fd, (r & (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)) != 0);
        bits += keep(s->ex, fd, (r & POLLPRI) != 0);
    }
    return bits;
}

static int select_xtcp(struct sets *s, const struct timespec *timeout, const sigset_t *mask)
{
    struct pollfd fds[FD_SETSIZE];
    nfds_t n = 0;
    int rc;
    if (s->n < 0)
        return -EINVAL;
    for (int fd = 0; fd < s->n && fd < FD_SETSIZE; fd++)
        if (wanted(s, fd))
            fds[n++] = (struct pollfd){.fd = fd, .events = wanted(s, fd)};
    rc = xp_poll(fds, n, timeout, mask);
    return rc < 0 ? rc : select_answer(s, fds, n);
}

XP_EXPORT int select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *timeout)
{
    struct sets s = {n, in, out, ex};
    struct timespec ts;
    int64_t end;
    int rc;
    if (!select_any_xtcp(&s))
        return xp_real.select(n, in, out, ex, timeout);
    if (timeout)
        ts = (struct timespec){.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000,
                               .tv_nsec = timeout->tv_usec % 1000000 * 1000L};
    end = xp_deadline(timeout ? &ts : NULL);
    rc = select_xtcp(&s, timeout ? &ts : NULL, NULL);
    if (timeout && rc != -EINVAL && xp_left(end, &ts))
        *timeout = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
    return (int)xp_ret(rc);
}
XP_ALIAS(select);

XP_EXPORT int pselect(int n, fd_set *in, fd_set *out, fd_set *ex, const struct timespec *timeout, const sigset_t *mask)
{
    struct sets s = {n, in, out, ex};
    if (!select_any_xtcp(&s))
        return xp_real.pselect(n, in, out, ex, timeout, mask);
    return (int)xp_ret(select_xtcp(&s, timeout, mask));
}
XP_ALIAS(pselect);
