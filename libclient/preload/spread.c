/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/spread.h"

#include <stdlib.h>
#include <string.h>

#include "libclient/preload/preload.h"

/* What is known by the number of a socket counts for one life of that number only (xtcp_gen()); so nothing of it is taken back when it is
 * closed: who waits for others goes on to know it. */
struct spread {
    uint32_t gen;
    int backlog;
    _Atomic bool begun; /* they listen, as far as this process is concerned */
    struct {
        int sock; /* -1: none */
        uint32_t gen;
    } sibling[XP_CTXS];
};

bool xp_spreading;

static struct spread *_Atomic spreads[XP_CTXS][XT_BITMAP_MAX];
static _Atomic uint64_t mains[XP_CTXS][XT_BITMAP_MAX]; /* word of the socket that one is a sibling of */

static struct spread *of(uint64_t w)
{
    struct spread *p = xp_spreading && xp_ctxno(w) < XP_CTXS
                           ? atomic_load_explicit(&spreads[xp_ctxno(w)][xp_value(w)], memory_order_acquire)
                           : NULL;
    return p && p->gen == xtcp_gen(xp_x(w), xp_sock(w)) ? p : NULL;
}

bool xp_is_spread(uint64_t w)
{
    return of(w) != NULL;
}

static bool is_there(const struct spread *p, unsigned ctx)
{
    return p->sibling[ctx].sock >= 0 && xtcp_gen(xp_ctxs[ctx], p->sibling[ctx].sock) == p->sibling[ctx].gen;
}

static int next_from(const struct spread *p, int ctx)
{
    for (; ctx < (int)XP_CTXS; ctx++)
        if (is_there(p, (unsigned)ctx))
            return ctx;
    return -1;
}

int xp_spread_next(uint64_t w, int ctx)
{
    const struct spread *p = of(w);
    return p ? next_from(p, ctx == (int)xp_ctxno(w) ? 0 : ctx + 1) : -1;
}

int xp_spread_sock(uint64_t w, int ctx)
{
    const struct spread *p = of(w);
    return p && is_there(p, (unsigned)ctx) ? p->sibling[ctx].sock : -1;
}

uint64_t xp_spread_main(unsigned ctx, uint32_t sock)
{
    uint64_t w = atomic_load_explicit(&mains[ctx][sock], memory_order_acquire);
    return w && xp_spread_sock(w, (int)ctx) == (int)sock ? w : 0;
}

unsigned xp_spread_mask(uint64_t w)
{
    const struct spread *p = of(w);
    unsigned m = 0;
    for (int c = p ? next_from(p, 0) : -1; c >= 0; c = next_from(p, c + 1))
        if (xtcp_alive(xp_ctxs[c]))
            m |= xtcp_mask_of(xp_ctxs[c], p->sibling[c].sock, p->sibling[c].gen) & (POLLIN | POLLRDNORM);
    return m;
}

uint64_t xp_spread_history(uint64_t w)
{
    const struct spread *p = of(w);
    uint64_t sum = 0;
    for (int c = p ? next_from(p, 0) : -1; c >= 0; c = next_from(p, c + 1))
        sum += xtcp_history(xp_ctxs[c], p->sibling[c].sock, false);
    return sum;
}

/* ---- making them ---- */

static int bind_like(struct xtcp *x, int s, struct xtcp *y, int t)
{
    struct sockaddr_in in = {0};
    socklen_t len = sizeof in;
    int rc = xtcp_getsockname(x, s, (struct sockaddr *)&in, &len);
    return rc < 0 ? rc : xtcp_bind(y, t, (struct sockaddr *)&in, sizeof in);
}

static void make(struct spread *p, uint64_t w, unsigned ctx)
{
    struct xtcp *y = xp_ctxs[ctx];
    int t = xtcp_socket(y), rc = t;
    if (t >= 0) {
        xp_copy_options(xp_x(w), xp_sock(w), y, t);
        rc = bind_like(xp_x(w), xp_sock(w), y, t);
    }
    if (rc < 0) {
        xp_debug("listener not in all shards: %s", strerror(-rc));
        if (t >= 0)
            xtcp_close(y, t);
        return;
    }
    p->sibling[ctx].gen = xtcp_gen(y, t);
    p->sibling[ctx].sock = t;
    atomic_store_explicit(&mains[ctx][t], w, memory_order_release);
}

void xp_spread_begin(uint64_t w, int backlog)
{
    struct xtcp *x = xp_x(w);
    uint32_t own, n = xtcp_shards(x, &own);
    int s = xp_sock(w), saved = errno;
    struct spread *p;
    if (n < 2 || xp_sets_are_shared || xtcp_get_async(x, s) || xtcp_is_shared(x, s))
        return;
    XP_NO_CANCEL();
    if (xp_is_spread(w) || !(p = calloc(1, sizeof *p))) {
        errno = saved;
        return;
    }
    w = xp_word(XP_XTCP, xp_ctxno(w), xp_flags(w) & XP_F_INET6, xp_value(w));
    p->gen = xtcp_gen(x, s);
    p->backlog = backlog;
    for (unsigned c = 0; c < XP_CTXS; c++)
        p->sibling[c].sock = -1;
    for (uint32_t shard = 0; shard < n; shard++) {
        int c = shard == own ? -1 : xp_attach_beside(xp_ctxno(w), shard);
        if (c >= 0)
            make(p, w, (unsigned)c);
    }
    atomic_store_explicit(&spreads[xp_ctxno(w)][s], p, memory_order_release); // NOLINT(clang-analyzer-unix.Malloc)
    xp_spreading = true;
    xp_sets_spread(w);
    errno = saved;
}

/* A sibling that another process has let listen already is left as it is. */
static void begin(struct spread *p, uint64_t w)
{
    int on = 0;
    socklen_t len = sizeof on;
    if (atomic_load_explicit(&p->begun, memory_order_relaxed) ||
        xtcp_getsockopt(xp_x(w), xp_sock(w), SOL_SOCKET, SO_ACCEPTCONN, &on, &len) < 0 || !on)
        return;
    XP_NO_CANCEL();
    atomic_store_explicit(&p->begun, true, memory_order_relaxed);
    for (int c = next_from(p, 0); c >= 0; c = next_from(p, c + 1)) {
        on = 0;
        if (xtcp_getsockopt(xp_ctxs[c], p->sibling[c].sock, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && !on)
            xtcp_listen(xp_ctxs[c], p->sibling[c].sock, p->backlog);
    }
}

void xp_spread_again(uint64_t w, int backlog)
{
    struct spread *p = of(w);
    if (!p)
        return;
    XP_NO_CANCEL();
    p->backlog = backlog;
    for (int c = next_from(p, 0); c >= 0 && atomic_load(&p->begun); c = next_from(p, c + 1))
        xtcp_listen(xp_ctxs[c], p->sibling[c].sock, backlog);
}

/* ---- what happens to them ---- */

void xp_spread_setsockopt(uint64_t w, int level, int name, const void *val, socklen_t len)
{
    const struct spread *p = of(w);
    for (int c = p ? next_from(p, 0) : -1; c >= 0; c = next_from(p, c + 1))
        xtcp_setsockopt(xp_ctxs[c], p->sibling[c].sock, level, name, val, len);
}

void xp_spread_close(uint64_t w)
{
    const struct spread *p = of(w);
    for (int c = p ? next_from(p, 0) : -1; c >= 0; c = next_from(p, c + 1))
        xtcp_close(xp_ctxs[c], p->sibling[c].sock);
}

void xp_spread_end(uint64_t w)
{
    struct spread *p = of(w);
    if (!p)
        return;
    XP_NO_CANCEL();
    for (int c = next_from(p, 0); c >= 0; c = next_from(p, c + 1)) {
        xtcp_shutdown(xp_ctxs[c], p->sibling[c].sock, SHUT_RDWR);
        xtcp_close(xp_ctxs[c], p->sibling[c].sock);
    }
    p->gen--; /* it has none any more; other threads may look at it just now, so it stays */
}

/* What the listener says counts; a sibling that has ended only has no connections. */
static bool is_answer(int r)
{
    return r >= 0 || r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM || r == -EFAULT;
}

int xp_spread_accept(uint64_t w, struct sockaddr *addr, socklen_t *alen, int flags,
                     int (*accept_xtcp)(uint64_t, struct sockaddr *, socklen_t *, int))
{
    static _Atomic unsigned turn;
    struct spread *p = of(w);
    if (!p)
        return accept_xtcp(w, addr, alen, flags);
    begin(p, w);
    unsigned first = atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed) % XP_CTXS;
    for (unsigned i = 0; i < XP_CTXS; i++) {
        unsigned c = (first + i) % XP_CTXS;
        int t = c == xp_ctxno(w) ? xp_sock(w) : p->sibling[c].sock, r;
        if (t < 0 || !(xtcp_mask(xp_ctxs[c], t) & POLLIN) || (c != xp_ctxno(w) && !is_there(p, c)))
            continue;
        r = accept_xtcp(xp_word(XP_XTCP, c, xp_flags(w) & XP_F_INET6, (uint32_t)t), addr, alen, flags);
        if (is_answer(r))
            return r;
    }
    return accept_xtcp(w, addr, alen, flags);
}
