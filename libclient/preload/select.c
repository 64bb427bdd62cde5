/* SPDX-License-Identifier: Apache-2.0
 * select: poll by other words. */
#include "libclient/preload/preload.h"

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
        if (wanted(s, fd) && (xp_poll_ours(fd, &w, &set) || (xp_kind(w) == XP_EPOLL && !xp_bystander)))
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
