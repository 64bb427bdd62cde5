/* SPDX-License-Identifier: Apache-2.0
 * Sets that reach programs which have not made them. The kernel's object goes by itself, with its own members; of ours the next
 * program finds a list in a file. It has them claimed, and puts them into the set, before it first uses the set or one of them: most
 * sets are inherited by mistake, and the parent goes on using its sockets. Who gets a set in a message gets no list: what is in it
 * is relayed from then on, and the kernel's. */
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "libclient/preload/epoll_nest.h"
#include "libclient/preload/epoll_share.h"
#include "libclient/preload/preload.h"

#define MAGIC 0x7878746373657473ULL

struct member {
    int epfd, fd; /* -1: done */
    uint32_t events;
    uint32_t rsv;
    uint64_t data;
};

struct passed {
    uint64_t magic;
    struct member m[];
};

/* ---- before exec ---- */

static int file = -1; /* the one of the exec before, which may have failed */

static void put(const void *p, size_t len)
{
    uint64_t magic = MAGIC;
    if (file < 0) {
        file = xp_make_own(memfd_create("xtcp-sets", MFD_CLOEXEC));
        if (file < 0)
            return;
        xp_real.fcntl(file, F_SETFD, 0);
        put(&magic, sizeof magic);
    }
    if (xp_real.write(file, p, len) != (ssize_t)len)
        xp_debug("epoll: the next program will not know all members");
}

static bool goes(int fd)
{
    int flags = xp_real.fcntl(fd, F_GETFD);
    return flags >= 0 && !(flags & FD_CLOEXEC);
}

static void put_members(struct xp_set *s, int epfd)
{
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1)) {
        uint64_t w = xp_get(fd);
        const struct xp_item *it;
        if (xp_kind(w) != XP_XTCP || !(xp_flags(w) & XP_F_PAIR) || !goes(fd))
            continue;
        if (!xp_set_lock_soon(s)) {
            xp_debug(
                "epoll: the next program will not know the members of descriptor %d, which another one is at work on",
                epfd);
            return;
        }
        if ((it = xp_set_find(s, fd)))
            put(&(struct member){epfd, fd, it->disarmed ? EPOLLONESHOT : it->events, 0, it->data.u64},
                sizeof(struct member));
        xp_set_unlock(s);
    }
}

static struct passed *got; /* what this program has inherited */
static size_t ngot;

int xp_sets_before_exec(void)
{
    if (file >= 0)
        xp_disown(file);
    file = -1;
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1)) {
        struct xp_set *s = xp_set_of(xp_get(fd));
        if (s && goes(fd))
            put_members(s, fd);
    }
    for (size_t i = 0; i < ngot; i++)
        if (got->m[i].fd >= 0)
            put(&got->m[i], sizeof got->m[i]);
    return file;
}

/* ---- in the next program ---- */

void xp_sets_inherited(int fd)
{
    struct stat st;
    void *p = fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof *got
                  ? mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)
                  : MAP_FAILED;
    if (p == MAP_FAILED)
        return;
    if (((struct passed *)p)->magic != MAGIC) {
        munmap(p, (size_t)st.st_size);
        return;
    }
    xp_real.close(fd);
    got = p;
    ngot = ((size_t)st.st_size - sizeof *got) / sizeof got->m[0];
    for (size_t i = 0; i < ngot; i++) {
        int epfd = got->m[i].epfd;
        if ((unsigned)epfd < XP_FDS && xp_kind(xp_get(epfd)) == XP_KERNEL)
            xp_put(epfd, xp_word(XP_EPOLL, 0, XP_F_HASKERN | XP_F_CLAIM, 0));
    }
}

void xp_sets_claimed(int fd)
{
    for (size_t i = 0; i < ngot; i++) {
        struct member *m = &got->m[i];
        struct epoll_event ev = {.events = m->events, .data.u64 = m->data};
        if (m->fd != fd)
            continue;
        m->fd = -1;
        if (xp_kind(xp_get(m->epfd)) == XP_EPOLL)
            xp_call_epoll_ctl(m->epfd, EPOLL_CTL_ADD, fd, &ev);
    }
}

void xp_set_claim(int epfd)
{
    uint64_t w;
    for (size_t i = 0; i < ngot; i++)
        if (got->m[i].epfd == epfd && got->m[i].fd >= 0)
            xp_is_xtcp(got->m[i].fd, &w);
}

/* ---- SCM_RIGHTS ---- */

/* Who gets the set knows nothing of the library's own descriptors in it. */
static void take_own_out(struct xp_set *s, int epfd)
{
    if (s->l->shared || s->l->nxtcp || s->l->sleepers || !s->l->watched || s->fork_gen != xp_fork_gen)
        return;
    for (unsigned i = 0; i < XP_CTXS; i++)
        if (s->w[i]) {
            xp_real.epoll_ctl(epfd, EPOLL_CTL_DEL, xtcp_waiter_fd(s->w[i]), NULL);
            xp_real.epoll_ctl(epfd, EPOLL_CTL_DEL, xtcp_control_fd(xp_ctxs[i]), NULL);
        }
    xp_real.epoll_ctl(epfd, EPOLL_CTL_DEL, s->l->kick, NULL);
    xp_set_drop_waiters(s);
}

void xp_set_before_send(int epfd)
{
    struct xp_set *s = xp_set_of(xp_get(epfd));
    for (int fd = xp_next(0); s && fd >= 0; fd = xp_next(fd + 1)) {
        bool member;
        if (xp_kind(xp_get(fd)) != XP_XTCP)
            continue;
        xp_set_lock(s);
        member = xp_set_find(s, fd) != NULL;
        xp_set_unlock(s);
        if (member)
            xp_expose(fd);
    }
    if (!s)
        return;
    xp_set_lock(s);
    take_own_out(s, epfd);
    xp_set_unlock(s);
}
