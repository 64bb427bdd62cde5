/* SPDX-License-Identifier: Apache-2.0
 * Listeners with a kernel's half in epoll sets. The kernel watches a copy of the half, made for this member, under the member's own
 * events and data: what it reports is the program's event as it stands. In a shared list all processes have to know it by one
 * number, so it is the half itself, for the first member of the socket. */
#include "libclient/preload/both.h"
#include "libclient/preload/epoll_share.h"
#include "libclient/preload/preload.h"

/* As the member is armed now. */
static struct epoll_event wanted(const struct xp_item *it)
{
    return (struct epoll_event){.events = it->disarmed ? EPOLLONESHOT : it->events, .data = it->data};
}

int xp_set_half_add(struct xp_set *s, int epfd, struct xp_item *it)
{
    int half = xp_half(it->word), rc;
    struct epoll_event ev = wanted(it);
    if (half < 0 || it->half >= 0 || !xp_half_listens(it->word))
        return 0;
    if (!s->l->shared)
        half = xp_make_own(xp_real.fcntl(half, F_DUPFD_CLOEXEC, 0));
    if (half < 0)
        return -errno;
    if (epfd >= 0 && xp_real.epoll_ctl(epfd, EPOLL_CTL_ADD, half, &ev) < 0) {
        rc = -errno;
        if (s->l->shared)
            return rc == -EEXIST ? 0 : rc;
        xp_disown(half);
        return rc;
    }
    it->half = half;
    it->next_half = s->l->halves;
    s->l->halves = it;
    return 0;
}

void xp_set_half_mod(const struct xp_set *s, int epfd, const struct xp_item *it)
{
    struct epoll_event ev;
    if (!it || it->half < 0)
        return;
    ev = wanted(it);
    xp_real.epoll_ctl(epfd, EPOLL_CTL_MOD, it->half, &ev);
}

/* The kernel forgets a member by itself only with the last descriptor of the socket, and others have some. */
void xp_set_half_del(struct xp_set *s, int epfd, struct xp_item *it)
{
    struct xp_item **p = &s->l->halves;
    if (it->half < 0)
        return;
    if (epfd >= 0)
        xp_real.epoll_ctl(epfd, EPOLL_CTL_DEL, it->half, NULL);
    if (!s->l->shared)
        xp_disown(it->half);
    it->half = -1;
    while (*p != it)
        p = &(*p)->next_half;
    *p = it->next_half;
}

void xp_set_halves_again(const struct xp_set *s, int epfd)
{
    for (const struct xp_item *it = s->l->halves; it; it = it->next_half) {
        struct epoll_event ev = wanted(it);
        xp_real.epoll_ctl(epfd, EPOLL_CTL_ADD, it->half, &ev);
    }
}

static struct xp_item *half_with(const struct xp_set *s, uint64_t data)
{
    struct xp_item *it = s->l->halves;
    while (it && it->data.u64 != data)
        it = it->next_half;
    return it;
}

/* EPOLLONESHOT counts for both: the half that has not fired is disarmed. */
static void fired(const struct xp_set *s, int epfd, struct xp_item *it)
{
    if (!(it->events & EPOLLONESHOT))
        return;
    it->disarmed = true;
    xp_set_half_mod(s, epfd, it);
}

static int merge(const struct xp_set *s, int epfd, struct epoll_event *evs, int k, int n)
{
    for (int i = 0; i < n; i++) {
        struct xp_item *it = half_with(s, evs[i].data.u64);
        if (!it)
            continue;
        fired(s, epfd, it);
        for (int j = k > i ? k : n; j < n; j++) {
            if (evs[j].data.u64 != evs[i].data.u64)
                continue;
            evs[i].events |= evs[j].events;
            evs[j] = evs[--n];
            break;
        }
    }
    return n;
}

int xp_set_halves_merge(struct xp_set *s, int epfd, struct epoll_event *evs, int k, int n)
{
    if (n <= 0 || !s->l->halves)
        return n;
    XP_NO_CANCEL();
    xp_set_lock(s);
    n = merge(s, epfd, evs, k, n);
    xp_set_unlock(s);
    return n;
}
