/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/epoll_set.h"

#include <stdlib.h>
#include <string.h>

#include "libclient/preload/epoll_share.h"
#include "libclient/preload/preload.h"

void xp_set_lock_init(struct xp_set *s)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE); /* a set can be in another by more ways than one */
    pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

void xp_set_init(struct xp_set *s)
{
    unsigned life = s->life + 1;
    memset(s, 0, sizeof *s);
    xp_set_lock_init(s);
    s->life = life;
    s->l = &s->own;
    s->l->ready_tail = &s->l->ready;
    s->l->kick = -1;
    s->l->tag = xp_set_new_tag(s);
}

bool xp_item_is_xtcp(const struct xp_item *it)
{
    return xp_kind(it->word) == XP_XTCP;
}

bool xp_item_is_set(const struct xp_item *it)
{
    return it->nest || xp_kind(it->word) == XP_EPOLL;
}

static void enqueue(struct xp_set *s, struct xp_item *it)
{
    if (it->link)
        return;
    it->next = NULL;
    it->link = s->l->ready_tail;
    *s->l->ready_tail = it;
    s->l->ready_tail = &it->next;
}

static void dequeue(struct xp_set *s, struct xp_item *it)
{
    if (!it->link)
        return;
    *it->link = it->next;
    if (it->next)
        it->next->link = it->link;
    else
        s->l->ready_tail = it->link;
    it->link = NULL;
}

/* The arrays of a shared list have room for all from the start. */
static int grow(const struct xp_list *l, struct xp_item ***array, uint32_t *cap, uint32_t index)
{
    uint32_t want = *cap ? *cap : 64;
    struct xp_item **a;
    if (index < *cap)
        return 0;
    if (l->shared) {
        *cap = index + 1;
        return 0;
    }
    while (want <= index)
        want *= 2;
    a = realloc(*array, want * sizeof *a);
    if (!a)
        return -ENOMEM;
    memset(a + *cap, 0, (want - *cap) * sizeof *a);
    *array = a;
    *cap = want;
    return 0;
}

struct xp_item *xp_set_find(const struct xp_set *s, int fd)
{
    struct xp_item *it = (uint32_t)fd < s->l->fd_cap ? s->l->by_fd[fd] : NULL;
    while (it && s->l->shared && !xp_shared_is(s, it, fd))
        it = it->same_fd;
    return it;
}

/* Socket numbers are a context's own: items of several may have the same. How many are of this very socket? */
static unsigned items_of(const struct xp_set *s, uint64_t word)
{
    unsigned n = 0;
    for (const struct xp_item *it = s->l->by_sock[xp_value(word)]; it; it = it->same_sock)
        n += xp_ctxno(it->word) == xp_ctxno(word);
    return n;
}

static void subscribe(struct xp_set *s, const struct xp_item *it)
{
    bool alone = !s->l->shared && (it->events & EPOLLEXCLUSIVE) && (it->events & EPOLLIN) && items_of(s, it->word) == 1;
    XP_EACH_CTX(c, it->word)
    {
        struct xtcp_waiter *w = s->w[c];
        if (!w)
            continue;
        xtcp_waiter_sub(w, xp_sock_in(it->word, c));
        if (alone)
            s->l->exclusive = true; /* before the look: pairs with xp_set_not_exclusive() */
        xtcp_waiter_exclusive(w, xp_sock_in(it->word, c), alone && !s->l->parents && !s->l->pollers);
    }
}

void xp_set_subscribe(struct xp_set *s, uint64_t word)
{
    for (const struct xp_item *it = xp_value(word) < s->l->sock_cap ? s->l->by_sock[xp_value(word)] : NULL; it;
         it = it->same_sock)
        if (xp_ctxno(it->word) == xp_ctxno(word))
            subscribe(s, it);
}

static void not_exclusive(const struct xp_set *s, const struct xp_item *it)
{
    XP_EACH_CTX(c, it->word)
    if (s->w[c])
        xtcp_waiter_exclusive(s->w[c], xp_sock_in(it->word, c), false);
}

void xp_set_not_exclusive(struct xp_set *s)
{
    if (!s->l->exclusive)
        return;
    xp_set_lock(s);
    s->l->exclusive = false;
    for (uint32_t sock = 0; sock < s->l->sock_cap; sock++)
        for (const struct xp_item *it = s->l->by_sock[sock]; it; it = it->same_sock)
            if (it->events & EPOLLEXCLUSIVE)
                not_exclusive(s, it);
    xp_set_unlock(s);
}

static int link_sock(struct xp_set *s, struct xp_item *it)
{
    uint32_t sock = xp_value(it->word);
    int rc = grow(s->l, &s->l->by_sock, &s->l->sock_cap, sock);
    if (rc < 0)
        return rc;
    it->same_sock = s->l->by_sock[sock];
    s->l->by_sock[sock] = it;
    s->l->nxtcp++;
    subscribe(s, it);
    enqueue(s, it);
    return 0;
}

static void unlink_sock(struct xp_set *s, struct xp_item *it)
{
    uint32_t sock = xp_value(it->word);
    struct xp_item **p = &s->l->by_sock[sock];
    while (*p != it)
        p = &(*p)->same_sock;
    *p = it->same_sock;
    s->l->nxtcp--;
    if (items_of(s, it->word) == 0)
        XP_EACH_CTX(c, it->word)
    if (s->w[c])
        xtcp_waiter_unsub(s->w[c], xp_sock_in(it->word, c));
    dequeue(s, it);
}

void xp_set_calm(struct xp_set *s, struct xp_item *it)
{
    dequeue(s, it);
}

void xp_set_touch(struct xp_set *s, struct xp_item *it)
{
    if (xp_item_is_xtcp(it) || it->taken)
        enqueue(s, it);
}

void xp_set_take(struct xp_set *s, struct xp_item *it)
{
    it->taken = true;
    it->same_sock = s->l->nests;
    s->l->nests = it;
    s->l->nundecided--;
    enqueue(s, it);
}

static void unlink_nest(struct xp_set *s, struct xp_item *it)
{
    struct xp_item **p = &s->l->nests;
    struct xp_set *inner = xp_set_inner(s, it);
    if (inner)
        inner->l->parents--;
    if (!it->taken) {
        s->l->nundecided--;
        return;
    }
    while (*p != it)
        p = &(*p)->same_sock;
    *p = it->same_sock;
    dequeue(s, it);
}

static void unlink_fd(struct xp_set *s, struct xp_item *it)
{
    struct xp_item **p = it->fd >= 0 ? &s->l->by_fd[it->fd] : NULL;
    while (p && *p && *p != it)
        p = &(*p)->same_fd;
    if (p && *p)
        *p = it->same_fd;
}

/* Members go in signal handlers too, which must not call free(). */
static void item_free(struct xp_set *s, struct xp_item *it)
{
    it->used = false;
    it->next = s->l->spare;
    s->l->spare = it;
}

struct xp_item *xp_set_item(struct xp_set *s)
{
    struct xp_item *it = s->l->spare;
    if (!it)
        return s->l->shared ? xp_shared_item(s->l) : malloc(sizeof *it);
    s->l->spare = it->next;
    return it;
}

int xp_set_link(struct xp_set *s, struct xp_item *it)
{
    int rc = it->fd < 0 ? 0 : grow(s->l, &s->l->by_fd, &s->l->fd_cap, (uint32_t)it->fd);
    if (rc == 0 && xp_item_is_xtcp(it))
        rc = link_sock(s, it);
    if (rc < 0)
        return rc;
    if (!xp_item_is_xtcp(it))
        s->l->nundecided++;
    if (it->fd < 0)
        return 0;
    it->same_fd = s->l->shared ? s->l->by_fd[it->fd] : NULL;
    s->l->by_fd[it->fd] = it;
    return 0;
}

int xp_set_add(struct xp_set *s, int fd, uint64_t word, const struct epoll_event *ev)
{
    struct xp_item *it;
    int rc;
    if (xp_set_find(s, fd))
        return -EEXIST;
    it = xp_set_item(s);
    if (!it)
        return -ENOMEM;
    *it = (struct xp_item){.fd = fd, .half = -1, .word = word, .events = ev->events, .data = ev->data};
    if (s->l->shared)
        xp_shared_name(s, it);
    rc = xp_set_link(s, it);
    if (rc < 0)
        item_free(s, it);
    else
        it->used = true;
    return rc; // NOLINT(clang-analyzer-unix.Malloc): it is linked, or spare
}

int xp_set_mod(struct xp_set *s, int fd, const struct epoll_event *ev)
{
    struct xp_item *it = xp_set_find(s, fd);
    if (!it)
        return -ENOENT;
    if (it->events & EPOLLEXCLUSIVE)
        return -EINVAL;
    it->events = ev->events;
    it->data = ev->data;
    it->disarmed = false;
    xp_set_touch(s, it);
    return 0;
}

void xp_set_remove(struct xp_set *s, struct xp_item *it)
{
    it->used = false;
    unlink_fd(s, it);
    if (xp_item_is_xtcp(it))
        unlink_sock(s, it);
    else if (xp_item_is_set(it))
        unlink_nest(s, it);
    else
        s->l->nundecided--;
    xp_set_half_del(s, -1, it);
    item_free(s, it);
}

int xp_set_del(struct xp_set *s, int fd)
{
    struct xp_item *it = xp_set_find(s, fd);
    if (!it)
        return -ENOENT;
    xp_set_remove(s, it);
    return 0;
}

int xp_set_orphan(struct xp_set *s, int fd)
{
    struct xp_item *it = xp_set_find(s, fd);
    if (!it || !xp_item_is_xtcp(it))
        return -ENOENT;
    if (s->l->shared)
        return 0; /* it is found by the socket too */
    s->l->by_fd[fd] = NULL;
    it->fd = -1;
    return 0;
}

static bool is_orphan_of(const struct xp_item *it, uint64_t word)
{
    return it->fd < 0 && xp_ctxno(it->word) == xp_ctxno(word);
}

void xp_set_gone(struct xp_set *s, int epfd, uint64_t word)
{
    struct xp_item *next, *it = xp_value(word) < s->l->sock_cap ? s->l->by_sock[xp_value(word)] : NULL;
    for (; it; it = next) {
        next = it->same_sock;
        if (is_orphan_of(it, word)) {
            unlink_sock(s, it);
            xp_set_half_del(s, epfd, it);
            item_free(s, it);
        }
    }
}

int xp_set_move(struct xp_set *s, int fd, uint64_t word)
{
    struct xp_item *it = xp_set_find(s, fd);
    int rc;
    if (!it || xp_item_is_xtcp(it) || xp_item_is_set(it))
        return -ENOENT;
    it->word = word;
    if (s->l->shared)
        xp_shared_name(s, it);
    rc = link_sock(s, it);
    if (rc == 0)
        s->l->nundecided--;
    return rc;
}

void xp_set_clear(struct xp_set *s)
{
    for (uint32_t fd = 0; fd < s->l->fd_cap; fd++)
        if (s->l->by_fd[fd])
            xp_set_del(s, (int)fd);
    for (uint32_t sock = 0; sock < s->l->sock_cap; sock++)
        while (s->l->by_sock[sock])
            xp_set_gone(s, -1, s->l->by_sock[sock]->word);
    while (s->l->spare)
        free(xp_set_item(s));
    free(s->l->by_fd);
    free(s->l->by_sock);
    s->l->by_fd = s->l->by_sock = NULL;
    s->l->fd_cap = s->l->sock_cap = 0;
}

struct news {
    struct xp_set *s;
    unsigned ctx;
};

static void on_news(void *arg, uint32_t sock)
{
    const struct news *n = arg;
    uint64_t spread = xp_spreading ? xp_spread_main(n->ctx, sock) : 0;
    unsigned ctx = spread ? xp_ctxno(spread) : n->ctx;
    if (spread)
        sock = xp_value(spread);
    struct xp_item *it = sock < n->s->l->sock_cap ? n->s->l->by_sock[sock] : NULL;
    for (; it; it = it->same_sock)
        if (xp_ctxno(it->word) == ctx)
            enqueue(n->s, it);
}

bool xp_set_news(struct xp_set *s)
{
    struct news n = {.s = s};
    bool any = false;
    for (; n.ctx < XP_CTXS; n.ctx++)
        if (s->w[n.ctx] && xtcp_waiter_pending(s->w[n.ctx]))
            any |= xtcp_waiter_take(s->w[n.ctx], on_news, &n) > 0;
    return any;
}

static uint64_t history(const struct xp_item *it)
{
    uint64_t h = xtcp_history(xp_x(it->word), xp_sock(it->word), it->events & EPOLLOUT);
    return xp_spreading ? h + 2 * xp_spread_history(it->word) : h;
}

void xp_set_all_ready(struct xp_set *s)
{
    for (uint32_t sock = 0; sock < s->l->sock_cap; sock++)
        for (struct xp_item *it = s->l->by_sock[sock]; it; it = it->same_sock)
            if (!(it->events & EPOLLET) || it->told != history(it))
                enqueue(s, it);
    for (struct xp_item *it = s->l->nests; it; it = it->same_sock)
        enqueue(s, it);
}

static uint32_t mask_of(struct xp_set *s, const struct xp_item *it)
{
    if (xp_item_is_set(it))
        return xp_set_nested_mask(s, it);
    return s->l->shared ? xp_shared_mask(it) : xp_mask(it->word);
}

bool xp_set_any(struct xp_set *s)
{
    struct xp_item *next, *it = s->l->ready;
    for (; it; it = next) {
        uint32_t m = it->disarmed ? 0 : mask_of(s, it);
        if (m & (it->events | EPOLLERR | EPOLLHUP | XTCP_MOVED))
            return true;
        next = it->next;
        dequeue(s, it);
        if (m & XTCP_GONE)
            xp_set_remove(s, it);
    }
    return false;
}

void xp_set_use_waiter(struct xp_set *s, struct xtcp_waiter *w, unsigned ctx)
{
    s->w[ctx] = w;
    s->l->watched = true;
    for (uint32_t sock = 0; sock < s->l->sock_cap; sock++)
        for (struct xp_item *it = s->l->by_sock[sock]; it; it = it->same_sock)
            XP_EACH_CTX(c, it->word)
    if ((unsigned)c == ctx)
        subscribe(s, it);
    xp_set_all_ready(s);
}

int xp_set_collect(struct xp_set *s, struct epoll_event *evs, int max)
{
    int n = 0;
    struct xp_item *last = NULL; /* the first item put back: everything from there on has been looked at */
    while (n < max && s->l->ready && s->l->ready != last) {
        struct xp_item *it = s->l->ready;
        uint32_t m;
        dequeue(s, it);
        if (it->disarmed)
            continue;
        if ((it->events & EPOLLET) && xp_item_is_xtcp(it))
            it->told = history(it); /* before the look: what comes after it is told again rather than not */
        m = mask_of(s, it);
        if (m & XTCP_GONE) {
            xp_set_remove(s, it);
            continue;
        }
        if (m & XTCP_MOVED) {
            s->moved = it->word;
            enqueue(s, it);
            break;
        }
        m &= it->events | EPOLLERR | EPOLLHUP;
        if (m == 0)
            continue;
        evs[n++] = (struct epoll_event){.events = m, .data = it->data};
        if (it->events & EPOLLONESHOT) {
            it->disarmed = true;
        } else if (!(it->events & EPOLLET)) {
            enqueue(s, it);
            if (!last)
                last = it;
        }
    }
    return n;
}
