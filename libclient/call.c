/* SPDX-License-Identifier: Apache-2.0
 * Commands through a waiter's mailbox, marks and doorbells. */
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "libclient/internal.h"

XTCP_API bool xtcp_check(struct xtcp *x)
{
    struct pollfd p = {.fd = x->ctl};
    int saved = errno;
    XTCP_NO_CANCEL();
    if (!atomic_load(&x->lost) && poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL))
        atomic_store(&x->lost, true);
    errno = saved;
    return xtcp_alive(x);
}

void xtcp_kick(struct xtcp *x)
{
    /* Pairs with the fence in the daemon between raising `sleeping` and its last look at the bitmaps. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit((_Atomic uint32_t *)&x->global->sleeping, memory_order_relaxed))
        return;
    int saved = errno;
    uint64_t one = 1;
    XTCP_NO_CANCEL();
    (void)!write(x->doorbell, &one, sizeof one);
    errno = saved;
}

void xtcp_mark(struct xtcp *x, int s)
{
    xt_bitmap_set(x->dirty, (uint32_t)s);
    xtcp_kick(x);
}

static bool answered(const struct xtcp_waiter *w, uint32_t seq)
{
    return (int32_t)(atomic_load_explicit(&w->sh->done_seq, memory_order_acquire) - seq) >= 0;
}

#define PATIENCE_NS 8000 /* most answers come before that, when the daemon is awake */

/* Spins while that pays, as xtcp_waiter_spin() does: with more to do than cores, who spins keeps the daemon from answering. */
static bool spin_for_answer(struct xtcp_waiter *w, uint32_t seq)
{
    uint64_t begin = xtcp_now_ns(), now = begin, most = (uint64_t)w->x->global->spin_us * 1000;
    bool got = answered(w, seq);
    if (got || !most || xt_hog_near(&w->hog, begin / 1000) || (w->call_score < 4 && ++w->call_skip % 16))
        return got;
    while (!got && now - begin < most) {
        for (unsigned n = 0; n < 32 && !got; n++) {
            __builtin_ia32_pause();
            got = answered(w, seq);
        }
        if (!got && now - begin > PATIENCE_NS)
            sched_yield(); /* the daemon may want this very core */
        now = xtcp_now_ns();
    }
    if (now - begin < most)
        w->call_score = w->call_score < 14 ? (uint8_t)(w->call_score + 2) : 15;
    else
        w->call_score = w->call_score > 3 ? (uint8_t)(w->call_score - 3) : 0;
    return got;
}

static int wait_for_answer(struct xtcp_waiter *w, uint32_t seq)
{
    if (spin_for_answer(w, seq))
        return 0;
    while (!answered(w, seq)) {
        if (!xtcp_alive(w->x))
            return -ECONNABORTED;
        atomic_store(&w->sh->sleeping, 1);
        atomic_thread_fence(memory_order_seq_cst); /* pairs with the daemon's, between done_seq and `sleeping` */
        if (!answered(w, seq))
            xtcp_waiter_sleep(w, XTCP_FOREVER);
        xtcp_waiter_done(w);
    }
    return 0;
}

/* The command before was one that nobody waited for: it must be out of the mailbox. */
static int wait_for_last(struct xtcp_waiter *w, uint32_t seq)
{
    if (answered(w, seq))
        return 0;
    xtcp_kick(w->x);
    return wait_for_answer(w, seq);
}

/* Puts a command into the mailbox; *seq is its number. */
static int post(struct xtcp_waiter *w, const struct xtcp_cmd *c, uint32_t *seq)
{
    struct xt_waiter *box = w->sh;
    *seq = atomic_load_explicit(&box->cmd_seq, memory_order_relaxed);
    int rc = wait_for_last(w, *seq);
    if (rc < 0)
        return rc;
    box->op = c->op;
    box->slot = (uint32_t)c->slot;
    box->addr = c->addr;
    box->port = c->port;
    box->arg[0] = c->arg[0];
    box->arg[1] = c->arg[1];
    if (c->in)
        memcpy(box->data, c->in, c->in_len);
    atomic_store_explicit(&box->cmd_seq, ++*seq, memory_order_release); /* pairs with the daemon's acquire */
    xt_bitmap_set(w->x->cmd, w->number);
    return 0;
}

/* Posts it in a waiter of this thread, which is the caller's to put back when this returns 0. */
static int begin(struct xtcp *x, const struct xtcp_cmd *c, struct xtcp_waiter **w, uint32_t *seq)
{
    int rc = xtcp_waiter_get(x, w);
    if (rc < 0)
        return rc;
    rc = post(*w, c, seq);
    if (rc < 0)
        xtcp_waiter_put(*w);
    return rc;
}

int xtcp_call(struct xtcp *x, struct xtcp_cmd *c)
{
    struct xtcp_waiter *w;
    uint32_t seq;
    XTCP_NO_CANCEL();
    int rc = begin(x, c, &w, &seq);
    if (rc < 0)
        return rc;
    xtcp_kick(x);
    rc = wait_for_answer(w, seq);
    if (rc == 0) {
        rc = w->sh->result;
        if (c->data && rc >= 0)
            memcpy(c->data, w->sh->data, c->data_len < sizeof w->sh->data ? c->data_len : sizeof w->sh->data);
    }
    xtcp_waiter_put(w);
    return rc;
}

int xtcp_tell(struct xtcp *x, const struct xtcp_cmd *c, bool now)
{
    struct xtcp_waiter *w;
    uint32_t seq;
    XTCP_NO_CANCEL();
    int rc = begin(x, c, &w, &seq);
    if (rc < 0)
        return rc;
    if (now)
        xtcp_kick(x);
    xtcp_waiter_put(w);
    return 0;
}
