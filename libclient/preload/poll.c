/* SPDX-License-Identifier: Apache-2.0
 * poll over any mix of xtcp sockets and kernel descriptors. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/preload/both.h"
#include "libclient/preload/poll_job.h"

#define ON_STACK 128 /* descriptors */

bool xp_poll_ours(int fd, uint64_t *w, struct xp_set **set)
{
    *set = NULL;
    return xp_is_xtcp(fd, w) || (*set = xp_epoll_served(*w));
}

static short answer(const struct pollfd *p, unsigned mask)
{
    return (short)(mask & ((unsigned short)p->events | POLLERR | POLLHUP));
}

int xp_job_look(struct xp_job *j)
{
    int ready = 0;
    for (nfds_t i = 0; i < j->n; i++) {
        struct pollfd *p = &j->fds[i];
        struct xp_set *set;
        uint64_t w;
        if (xp_poll_ours(p->fd, &w, &set)) {
            unsigned m = set ? xp_epoll_mask(set) : xp_mask(w);
            j->moved |= (m & XTCP_MOVED) != 0;
            p->revents = answer(p, set || j->kfds[i].fd < 0 ? m : m | (unsigned short)j->kfds[i].revents);
            ready += p->revents != 0;
        }
    }
    return ready;
}

int xp_job_look_kernel(struct xp_job *j, nfds_t extra, const struct timespec *timeout, const sigset_t *mask)
{
    int r = xp_real.ppoll(j->kfds, j->n + extra, timeout, mask), ready = 0;
    if (r < 0)
        return -errno;
    for (nfds_t i = 0; i < j->n; i++) {
        struct xp_set *set;
        uint64_t w;
        if (xp_poll_ours(j->fds[i].fd, &w, &set)) {
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
static nfds_t split(struct xp_job *j)
{
    nfds_t found = 0;
    for (nfds_t i = 0; i < j->n; i++) {
        struct xp_set *set;
        uint64_t w;
        j->kfds[i] = j->fds[i];
        if (j->fds[i].fd < 0)
            continue;
        bool ours = xp_poll_ours(j->fds[i].fd, &w, &set);
        j->sets |= xp_kind(w) == XP_EPOLL;
        if (ours) {
            j->kfds[i].fd = set ? j->fds[i].fd : xp_half(w);
            j->kfds[i].revents = 0;
            j->nhalves += !set && j->kfds[i].fd >= 0;
            j->nkernel += !set && j->kfds[i].fd >= 0;
            found++;
            if (!set)
                XP_EACH_CTX(c, w)
            j->in[c] |= xtcp_alive(xp_ctxs[c]);
        } else {
            j->nkernel++;
        }
    }
    return found;
}

static int poll_mixed(struct xp_job *j, const struct timespec *timeout, const sigset_t *mask)
{
    static const struct timespec now;
    int64_t end = xp_deadline(timeout);
    int ready = xp_job_look(j), r = 0, saved = errno;
    if (j->moved)
        return -EREMOTE;
    if (j->nkernel || (mask && ready == 0)) {
        r = xp_job_look_kernel(j, 0, &now, ready ? NULL : mask);
        if (r < 0)
            return r;
    } else {
        for (nfds_t i = 0; i < j->n; i++)
            if (j->fds[i].fd < 0)
                j->fds[i].revents = 0;
    }
    if (ready + r > 0 || (timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0))
        return ready + r;
    ready = xp_job_sleep(j, end, mask);
    errno = saved;
    return ready;
}

/* Is the poll ours? A set counts even while it is the kernel's alone: xtcp sockets may come into it. */
static bool is_ours(struct pollfd *fds, nfds_t n)
{
    struct xp_set *set;
    uint64_t w;
    for (nfds_t i = 0; fds && i < n; i++)
        if (xp_poll_ours(fds[i].fd, &w, &set) || (xp_kind(w) == XP_EPOLL && !xp_bystander))
            return true;
    return false;
}

static void go_over_moved(struct xp_job *j)
{
    uint64_t w;
    for (nfds_t i = 0; i < j->n; i++)
        if (xp_is_xtcp(j->fds[i].fd, &w) && xp_mask(w) & XTCP_MOVED)
            xp_go_over(w);
}

/* One that both halves of a socket tell of counts once. */
static int count_ready(const struct xp_job *j)
{
    int n = 0;
    for (nfds_t i = 0; i < j->n; i++)
        n += j->fds[i].revents != 0;
    return n;
}

int xp_poll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    struct pollfd stack[ON_STACK + XP_JOB_EXTRA], *kfds = stack;
    struct timespec ts;
    int rc;
    pthread_testcancel();
    XP_NO_CANCEL();
    if (timeout && !xp_is_time(timeout))
        return -EINVAL;
    if (n > ON_STACK) {
        kfds = malloc((n + XP_JOB_EXTRA) * sizeof *kfds);
        if (!kfds)
            return -ENOMEM;
    }
    int64_t end = xp_deadline(timeout);
    for (;;) {
        struct xp_job j = {.fds = fds, .kfds = kfds, .n = n, .cancel = xp_cancel_state};
        j.heap = kfds != stack ? kfds : NULL;
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

XP_EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    struct timespec ts = {.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L};
    if (!is_ours(fds, n))
        return xp_real.poll(fds, n, timeout);
    return (int)xp_ret(xp_poll(fds, n, timeout < 0 ? NULL : &ts, NULL));
}
XP_ALIAS(poll);

XP_EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    if (!is_ours(fds, n))
        return xp_real.ppoll(fds, n, timeout, mask);
    return (int)xp_ret(xp_poll(fds, n, timeout, mask));
}
XP_ALIAS(ppoll);
