/* SPDX-License-Identifier: Apache-2.0
 * Fork. The child's place with the daemon is made before the fork happens, and holds all that the parent holds, so that a parent
 * that exits at once loses nothing. */
#include <sys/socket.h>
#include <unistd.h>

#include "libclient/internal.h"

static _Atomic uint64_t *hold_of(struct xtcp *x, uint32_t proc)
{
    return (void *)(x->base + x->region->hold_off + proc * x->region->hold_stride);
}

XTCP_API int xtcp_fork_prepare(struct xtcp *x)
{
    int pair[2];
    XTCP_NO_CANCEL();
    x->child_ctl = -1;
    if (!xtcp_alive(x))
        return -ECONNABORTED;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return errno == ENFILE ? -EMFILE : -errno;
    int proc = xtcp_request(x, "fork", "proc", pair[1], NULL);
    close(pair[1]);
    if (proc < 0 || (uint32_t)proc >= XT_MAX_PROCS) {
        close(pair[0]);
        return proc < 0 ? proc : -EPROTO;
    }
    _Atomic uint64_t *to = hold_of(x, (uint32_t)proc);
    for (size_t w = 0; w < xt_bitmap_words0(x->max_slots); w++) {
        uint64_t v = atomic_load(&x->hold[w]);
        if (v)
            atomic_store(&to[w], v);
    }
    x->child_ctl = xtcp_fd_high(pair[0]);
    x->child_proc = proc;
    return 0;
}

XTCP_API void xtcp_fork_parent(struct xtcp *x)
{
    XTCP_NO_CANCEL();
    /* The child has its own copy. Without a child the daemon sees the end of the connection and forgets the place. */
    if (x->child_ctl >= 0)
        close(x->child_ctl);
    x->child_ctl = -1;
}

/* Other threads of the parent may have opened or closed sockets between _prepare and fork: this process's own list decides. */
static void settle_holds(struct xtcp *x)
{
    for (size_t w = 0; w < xt_bitmap_words0(x->max_slots); w++) {
        uint64_t known = atomic_load(&x->known[w]), held = atomic_load(&x->hold[w]);
        if (known == held)
            continue;
        atomic_store(&x->hold[w], known);
        for (uint64_t gone = held & ~known; gone; gone &= gone - 1)
            xtcp_mark(x, (int)(w * 64) + __builtin_ctzll(gone));
    }
}

XTCP_API void xtcp_fork_child(struct xtcp *x)
{
    XTCP_NO_CANCEL();
    xtcp_waiters_after_fork(x);
    xtcp_spares_after_fork(x);
    if (x->child_ctl < 0) {
        x->epoch++;
        atomic_store(&x->lost, true);
        return;
    }
    int ctl = x->child_ctl;
    x->child_ctl = -1;
    if (xtcp_become(x, ctl, (uint32_t)x->child_proc) < 0) {
        atomic_store(&x->lost, true);
        return;
    }
    settle_holds(x);
}
