/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/epoll_share.h"

#include <string.h>
#include <sys/mman.h>

#include "libclient/preload/both.h"
#include "libclient/preload/epoll_nest.h"
#include "libclient/preload/preload.h"

#define ITEMS 131072u
#define SIZE (sizeof(struct xp_shared) + ITEMS * sizeof(struct xp_item))

/* ---- what an item is known by ---- */

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    return xp_real.getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

void xp_shared_name(const struct xp_set *s, struct xp_item *it)
{
    const struct xp_set *inner = it->nest ? it->nest : xp_set_of(it->word);
    if (xp_item_is_xtcp(it))
        it->who = xtcp_gen(xp_x(it->word), xp_sock(it->word));
    else if (xp_item_is_set(it))
        it->who = inner ? inner->l->tag : 0;
    else
        it->who = cookie_of(it->fd);
    it->nest = NULL;
}

bool xp_shared_is(const struct xp_set *s, const struct xp_item *it, int fd)
{
    uint64_t w = xp_get(fd);
    if (xp_item_is_xtcp(it))
        return (xp_kind(w) == XP_XTCP || xp_kind(w) == XP_RELAY) && xp_ctxno(w) == xp_ctxno(it->word) &&
               xp_value(w) == xp_value(it->word) && it->who == xtcp_gen(xp_x(it->word), xp_sock(it->word));
    if (xp_item_is_set(it))
        return xp_set_of(w) && xp_set_of(w)->l->tag == it->who;
    return it->who == cookie_of(fd);
}

static uint32_t shared_mask(const struct xp_item *it)
{
    struct xtcp *x = xp_x(it->word);
    int sock = xp_sock(it->word);
    uint32_t m = xtcp_mask_of(x, sock, (uint32_t)it->who);
    /* Only others hold it; when they have ended, and xtcpd does not know yet, there is nothing to tell. */
    if (m != XTCP_GONE && m & (it->events | EPOLLERR | EPOLLHUP) && xtcp_mask(x, sock) & POLLNVAL &&
        xtcp_settle(x) == 0)
        m = xtcp_mask_of(x, sock, (uint32_t)it->who);
    if (m == XTCP_GONE || !(xp_flags(it->word) & XP_F_BOTH) || xtcp_alive(x))
        return m;
    return xp_half(it->word) >= 0 ? XTCP_MOVED : 0; /* the half goes on alone, where it is */
}

uint32_t xp_shared_mask(const struct xp_item *it)
{
    uint32_t m = shared_mask(it);
    return !xp_spreading || m & (XTCP_GONE | XTCP_MOVED) ? m : m | xp_spread_mask(it->word);
}

struct xp_set *xp_set_inner(const struct xp_set *s, const struct xp_item *it)
{
    struct xp_set *inner = it->nest;
    for (unsigned i = 0; !inner && s->l->shared && (inner = xp_set_at(i)); i++)
        if (inner->l->tag != it->who || inner->fds == 0)
            inner = NULL;
    return inner;
}

struct xp_item *xp_shared_item(struct xp_list *l)
{
    return l->shared->nitems < ITEMS ? &l->shared->items[l->shared->nitems++] : NULL;
}

/* ---- from one list to another ---- */

static void copy_item(struct xp_set *s, int epfd, struct xp_set *from, struct xp_item *old)
{
    struct xp_item *it = xp_set_item(s);
    if (!it)
        return;
    *it = (struct xp_item){.fd = old->fd, .half = -1, .word = old->word, .events = old->events, .data = old->data};
    it->told = old->told;
    it->nest = xp_item_is_set(old) ? xp_set_inner(from, old) : NULL;
    it->disarmed = old->disarmed;
    if (s->l->shared)
        xp_shared_name(s, it);
    if (xp_set_link(s, it) < 0)
        return;
    it->used = true;
    if (old->taken)
        xp_set_take(s, it);
    else if (xp_item_is_xtcp(it) && !old->link)
        xp_set_calm(s, it);
    if (old->half < 0)
        return;
    if (s->l->shared)
        xp_set_half_del(from, epfd, old); /* all know it by the number of the half itself */
    xp_set_half_add(s, epfd, it);
}

static void copy_items(struct xp_set *s, int epfd, struct xp_set *from)
{
    const struct xp_list *l = from->l;
    for (uint32_t fd = 0; fd < l->fd_cap; fd++)
        for (struct xp_item *it = l->by_fd[fd]; it; it = it->same_fd)
            copy_item(s, epfd, from, it);
    for (uint32_t sock = 0; sock < l->sock_cap; sock++)
        for (struct xp_item *it = l->by_sock[sock]; it; it = it->same_sock)
            if (it->fd < 0)
                copy_item(s, epfd, from, it);
}

/* Sparse, and under mlockall(MCL_FUTURE) too: what is inaccessible is not populated. */
static struct xp_shared *map(void)
{
    void *p = mmap(NULL, SIZE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    munlock(p, SIZE);
    if (mprotect(p, SIZE, PROT_READ | PROT_WRITE) < 0) {
        munmap(p, SIZE);
        return NULL;
    }
    madvise(p, SIZE, MADV_DONTDUMP);
    return p;
}

/* An empty list with all else as in `from`. */
static void empty_as(struct xp_list *l, const struct xp_list *from)
{
    *l = *from;
    l->nxtcp = l->nundecided = 0;
    l->fd_cap = l->sock_cap = 0;
    l->by_fd = l->by_sock = NULL;
    l->halves = l->nests = l->spare = l->ready = NULL;
    l->ready_tail = &l->ready;
}

/* What was copied is used again some day: nothing is freed here, which may be in a signal handler. */
static void put_aside(struct xp_list *l)
{
    for (uint32_t sock = 0; sock < l->sock_cap; sock++)
        while (l->by_sock[sock]) {
            struct xp_item *it = l->by_sock[sock];
            l->by_sock[sock] = it->same_sock;
            it->next = l->spare;
            l->spare = it;
        }
    for (uint32_t fd = 0; fd < l->fd_cap; fd++) {
        if (l->by_fd[fd] && !xp_item_is_xtcp(l->by_fd[fd])) {
            l->by_fd[fd]->next = l->spare;
            l->spare = l->by_fd[fd];
        }
        l->by_fd[fd] = NULL;
    }
}

void xp_set_share(struct xp_set *s, int epfd)
{
    struct xp_set before;
    struct xp_shared *sh;
    if (xp_shared_begin() < 0 || (s->l->kick < 0 && xp_set_wire(s, epfd) < 0) || !(sh = map()))
        return;
    xp_set_not_exclusive(s);
    before = *s;
    before.l = &before.own;
    empty_as(&sh->list, &s->own);
    sh->list.by_fd = sh->by_fd;
    sh->list.by_sock = sh->by_sock;
    sh->list.shared = sh;
    for (unsigned ctx = 0; ctx < XP_CTXS && xp_ctxs[ctx]; ctx++) {
        sh->nctx = ctx + 1;
        if (!s->w[ctx] || !xtcp_alive(xp_ctxs[ctx]))
            continue;
        xtcp_waiter_share(s->w[ctx], &sh->w[ctx].name);
        sh->w[ctx].turn = s->turn[ctx] = 1;
        s->mine[ctx] = true;
    }
    s->l = &sh->list;
    copy_items(s, epfd, &before);
    put_aside(&s->own);
    s->own.halves = s->own.nests = NULL;
}

/* The waiters that this process needs for itself. */
static int own_waiters(struct xp_set *s, const struct xp_shared *sh)
{
    for (unsigned ctx = 0; ctx < sh->nctx; ctx++) {
        struct xtcp_waiter *w;
        if (!sh->w[ctx].turn || !xtcp_alive(xp_ctxs[ctx]))
            continue;
        if (xtcp_waiter_new(xp_ctxs[ctx], &w) < 0)
            return -ENOSPC;
        xp_set_use_waiter(s, w, ctx);
    }
    return 0;
}

int xp_set_leave(struct xp_set *s, int epfd)
{
    struct xp_shared *sh = s->l->shared;
    struct xp_set before = *s;
    int rc;
    xp_shared_close(s, epfd);
    empty_as(&s->own, &sh->list);
    s->own.shared = NULL;
    s->own.by_fd = before.own.by_fd;
    s->own.by_sock = before.own.by_sock;
    s->own.fd_cap = before.own.fd_cap;
    s->own.sock_cap = before.own.sock_cap;
    s->own.spare = before.own.spare;
    s->own.sleepers = s->naps;
    s->own.pollers = s->polls;
    sh->list.sleepers -= s->naps;
    sh->list.pollers -= s->polls;
    s->l = &s->own;
    s->relies = false;
    copy_items(s, -1, &before);
    rc = own_waiters(s, sh);
    xp_shared_unlock(sh);
    return rc < 0 ? rc : xp_set_adopt(s, epfd);
}

void xp_set_unmap(struct xp_set *s)
{
    if (s->l && s->l->shared)
        munmap(s->l->shared, SIZE);
}

static void mend_item(struct xp_list *l, struct xp_item *it)
{
    it->link = NULL;
    if (it->fd >= 0) {
        it->same_fd = l->by_fd[it->fd];
        l->by_fd[it->fd] = it;
    }
    if (xp_item_is_xtcp(it)) {
        it->same_sock = l->by_sock[xp_value(it->word)];
        l->by_sock[xp_value(it->word)] = it;
        l->nxtcp++;
    } else if (it->taken) {
        it->same_sock = l->nests;
        l->nests = it;
    } else {
        l->nundecided++;
        return;
    }
    if (it->half >= 0) {
        it->next_half = l->halves;
        l->halves = it;
    }
    it->next = NULL;
    it->link = l->ready_tail;
    *l->ready_tail = it;
    l->ready_tail = &it->next;
}

void xp_shared_mend(struct xp_shared *sh)
{
    struct xp_list *l = &sh->list, as_it_was = *l;
    memset(sh->by_fd, 0, l->fd_cap * sizeof sh->by_fd[0]);
    memset(sh->by_sock, 0, l->sock_cap * sizeof sh->by_sock[0]);
    empty_as(l, &as_it_was);
    l->by_fd = sh->by_fd;
    l->by_sock = sh->by_sock;
    l->fd_cap = as_it_was.fd_cap;
    l->sock_cap = as_it_was.sock_cap;
    for (unsigned i = 0; i < sh->nitems; i++) {
        struct xp_item *it = &sh->items[i];
        if (it->used) {
            mend_item(l, it);
            continue;
        }
        it->next = l->spare;
        l->spare = it;
    }
    for (unsigned ctx = 0; ctx < sh->nctx; ctx++)
        sh->w[ctx].name.number = UINT32_MAX; /* somebody makes another */
}
