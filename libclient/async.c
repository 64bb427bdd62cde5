/* SPDX-License-Identifier: Apache-2.0
 * Signals about a socket. A waiter that never counts as awake is subscribed to nothing but that socket, and the daemon writes a
 * byte to its pipe for all news. The kernel raises the signal: the pipe has O_ASYNC and an owner, and so the owner, the
 * signal's number and who may signal whom are the kernel's affair. */
#include <fcntl.h>
#include <unistd.h>

#include "libclient/internal.h"

/* This process's waiter of that kind, or NULL. */
static struct xtcp_waiter *find(struct xtcp *x, uint32_t kind)
{
    for (uint32_t k = 0; k < XTCP_WAITER_WORDS; k++)
        for (uint64_t v = atomic_load(&x->made[k]); v; v &= v - 1) {
            struct xtcp_waiter *w = &x->waiters[k * 64 + (uint32_t)__builtin_ctzll(v)];
            if (w->async == kind && w->epoch == x->epoch)
                return w;
        }
    return NULL;
}

static uint32_t kind_of(int s, bool urgent)
{
    return XT_ASYNC((uint32_t)s) | (urgent ? XT_ASYNC_URGENT : 0);
}

XTCP_API int xtcp_async_fd(struct xtcp *x, int s, bool urgent, bool make)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    struct xtcp_waiter *w = find(x, kind_of(s, urgent));
    if (w || !make)
        return w ? w->fd : -ENOENT;
    int rc = xtcp_waiter_new(x, &w);
    if (rc < 0)
        return rc;
    w->async = kind_of(s, urgent);
    atomic_store(&w->sh->async, w->async);
    atomic_fetch_or(&sl->oflags, (uint32_t)XT_OFLAG_SIGNALS);
    xtcp_waiter_sub(w, s);
    return w->fd;
}

static void drain(const struct xtcp_waiter *w)
{
    char buf[256];
    while (read(w->fd, buf, sizeof buf) == sizeof buf)
        continue;
}

void xtcp_async_drain(struct xtcp *x, int s)
{
    int saved = errno;
    XTCP_NO_CANCEL();
    for (int urgent = 0; urgent < 2; urgent++) {
        const struct xtcp_waiter *w = find(x, kind_of(s, urgent));
        if (w)
            drain(w);
    }
    errno = saved;
}

void xtcp_async_end(struct xtcp *x, int s)
{
    XTCP_NO_CANCEL();
    int saved = errno;
    for (int urgent = 0; urgent < 2; urgent++) {
        struct xtcp_waiter *w = find(x, kind_of(s, urgent));
        if (!w)
            continue;
        fcntl(w->fd, F_SETFL, O_NONBLOCK);
        fcntl(w->fd, F_SETOWN, 0);
        fcntl(w->fd, F_SETSIG, 0);
        atomic_store(&w->sh->async, 0);
        drain(w);
        w->owed = 1; /* the daemon may just be writing one */
        w->async = 0;
        xtcp_waiter_free(w);
    }
    errno = saved;
}
