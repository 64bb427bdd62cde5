/* SPDX-License-Identifier: Apache-2.0
 * The sleep of poll(): on the waiters of this thread and the kernel's descriptors together. */
#include <pthread.h>
#include <stdlib.h>

#include "libclient/preload/epoll_nest.h"
#include "libclient/preload/epoll_share.h"
#include "libclient/preload/poll_job.h"

#define TICK_MS 1 /* how often to look when there is no waiter to sleep on: too many threads, too few descriptors */

/* Each thread's own waiters, by context, made when it first sleeps in poll(). */
static XP_TLS struct {
    struct xtcp_waiter *w[XP_CTXS];
    bool busy;      /* a signal handler interrupted a poll() and calls poll() itself: it must not share the waiters */
    uint32_t jumps; /* when it became busy: a jump may have left that poll() */
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

static void subscribe(struct xp_job *j, void (*fn)(struct xtcp_waiter *w, int s))
{
    for (nfds_t i = 0; i < j->n; i++) {
        uint64_t w;
        if (!xp_is_xtcp(j->fds[i].fd, &w))
            continue;
        XP_EACH_CTX(c, w)
        if (j->w[c])
            fn(j->w[c], xp_sock_in(w, c));
    }
}

/* Those without xtcp sockets too: the first one may come during the sleep. */
static void hold(struct xp_job *j)
{
    for (nfds_t i = 0; i < j->n; i++) {
        struct xp_set *set = xp_kind(xp_get(j->fds[i].fd)) == XP_EPOLL ? xp_set_make(j->fds[i].fd) : NULL;
        if (!set)
            continue;
        if (j->nheld == XP_JOB_HELD) {
            j->tick = true;
            return;
        }
        xp_epoll_hold(set, true);
        j->held[j->nheld++] = set;
        j->relies |= set->relies;
    }
}

static void watch(struct xp_job *j)
{
    bool was_left = mine.busy && mine.jumps != xtcp_jumps();
    for (unsigned i = 0; i < XP_CTXS && was_left; i++)
        if (mine.w[i])
            xtcp_waiter_done(mine.w[i]);
    j->nested = mine.busy && !was_left;
    j->fork_gen = xp_fork_gen;
    mine.busy = true;
    mine.jumps = xtcp_jumps();
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

static void unwatch(struct xp_job *j)
{
    subscribe(j, xtcp_waiter_unsub);
    for (unsigned i = 0; i < XP_CTXS && j->nested; i++)
        if (j->w[i])
            xtcp_waiter_free(j->w[i]);
    mine.busy = j->nested;
    while (j->nheld && j->fork_gen == xp_fork_gen)
        xp_epoll_hold(j->held[--j->nheld], false);
}

static void forget_news(void *arg, uint32_t s)
{
}

static void forget_all_news(struct xp_job *j)
{
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (j->w[i])
            xtcp_waiter_take(j->w[i], forget_news, NULL);
}

/* True when there are news already. */
static bool prepare(struct xp_job *j)
{
    bool news = false;
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (j->w[i] && xtcp_waiter_prepare(j->w[i]))
            news = true;
    return news;
}

/* Spinning is for one family; with more, news of the others would come late. */
static bool spin(struct xp_job *j)
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

static int sleep_in_kernel(struct xp_job *j, int64_t end, const sigset_t *mask)
{
    struct timespec ts, tick = {.tv_nsec = TICK_MS * 1000000L};
    const struct timespec *left = xp_left(end, &ts);
    int r = -EINVAL;
    if (j->relies)
        left = xp_shared_patience(left);
    if (!j->tick)
        r = xp_job_look_kernel(j, j->extra, left, mask);
    if (r != -EINVAL)
        return r;
    /* Too many for RLIMIT_NOFILE, perhaps, and without ours they are not. */
    for (nfds_t i = j->n; i < j->n + j->extra; i++)
        j->kfds[i].revents = 0;
    if (!left || left->tv_sec > 0 || left->tv_nsec > tick.tv_nsec)
        left = &tick;
    return xp_job_look_kernel(j, 0, left, mask);
}

/* The thread is cancelled in its sleep. */
static void give_up(void *arg)
{
    struct xp_job *j = arg;
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (j->w[i])
            xtcp_waiter_done(j->w[i]);
    forget_all_news(j);
    unwatch(j);
    free(j->heap);
}

static int sleep_cancellably(struct xp_job *j, int64_t end, const sigset_t *mask)
{
    int r;
    pthread_cleanup_push(give_up, j);
    pthread_setcancelstate(j->cancel, NULL);
    r = sleep_in_kernel(j, end, mask);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cleanup_pop(0);
    return r;
}

/* One sleep: ready kernel descriptors, 0, or -errno. */
static int doze(struct xp_job *j, int64_t end, const sigset_t *mask)
{
    int r = prepare(j) ? 0 : sleep_cancellably(j, end, mask);
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

static int until_ready(struct xp_job *j, int64_t end, const sigset_t *mask)
{
    bool spun = false;
    for (;;) {
        int ready = xp_job_look(j), r = 0;
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
            ready = xp_job_look(j);
            if (j->moved)
                return -EREMOTE;
        } else if (j->nkernel) {
            static const struct timespec now;
            r = xp_job_look_kernel(j, 0, &now, NULL);
        }
        if (ready || r > 0 || passed(end))
            return ready + (r > 0 ? r : 0);
    }
}

int xp_job_sleep(struct xp_job *j, int64_t end, const sigset_t *mask)
{
    watch(j);
    int ready = until_ready(j, end, mask);
    unwatch(j);
    return ready;
}
