/* SPDX-License-Identifier: Apache-2.0
 * Killed in the midst of a change of rings, at any instruction. A victim does the change, step by step under ptrace; each time that
 * a store of it shows in the memory that outlives it, a successor takes that memory up as it is: no byte may be lost or wrong, and
 * what was asked for is answered. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/app/kept.h"

#define MORE 200000u /* bytes that still go through the connection after it */

struct change {
    void (*prepare)(struct kept *k);
    void (*run)(struct kept *k);   /* what the victim does */
    void (*check)(struct kept *k); /* of the successor, at once */
    unsigned least;                /* states of memory that must be seen, or the test sees nothing */
};

/* ---- the successor ---- */

static void go_on(struct kept *k)
{
    struct xt_slot *a = &k->s->slots[k->a], *b = &k->s->slots[k->b];
    uint64_t goal = atomic_load(&a->tx_head) + MORE;
    while (atomic_load(&a->tx_head) < goal) {
        kept_write(k, UINT32_MAX);
        kept_run(k, 500000);
        MUST(k->s->lied == 0);
        MUST(k->s->ps[k->a].kind == XT_SLOT_CONN);
        MUST(k->s->ps[k->b].kind == XT_SLOT_CONN);
        MUST(kept_read(k, UINT64_MAX) > 0);
    }
    for (unsigned n = 0; n < 100 && atomic_load(&b->rx_tail) < atomic_load(&a->tx_head); n++) {
        kept_run(k, 500000);
        kept_read(k, UINT64_MAX);
    }
    MUST(atomic_load(&b->rx_tail) == atomic_load(&a->tx_head));
}

static void succeed(const struct kept *old, const struct change *ch)
{
    struct kept k;
    kept_take_up(&k, old);
    MUST(k.s->lied == 0);
    MUST(xt_app_stats(k.app)->strays == 0);
    ch->check(&k);
    go_on(&k);
}

/* True when a successor gets along with the memory as it is, which is then as before. */
static bool survives(struct kept *k, const struct change *ch)
{
    int status;
    kept_save(k);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        succeed(k, ch);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    kept_restore(k);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- the victim ---- */

static pid_t start_victim(struct kept *k, const struct change *ch)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(77);
        raise(SIGSTOP);
        ch->run(k);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFSTOPPED(status))
        return pid;
    cr_skip_test("no process may be traced here");
    return -1;
}

static bool step(pid_t pid)
{
    int status;
    cr_assert_eq(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    waitpid(pid, &status, 0);
    cr_assert(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WIFSTOPPED(status), "status %x", status);
    return WIFSTOPPED(status);
}

static void kill_at_each_store(const struct change *ch)
{
    struct kept k;
    unsigned steps = 0, states = 0;
    kept_start(&k);
    ch->prepare(&k);
    pid_t pid = start_victim(&k, ch);
    for (bool alive = true; alive; steps++) {
        if (!states || kept_changed(&k)) {
            cr_assert(survives(&k, ch), "killed after %u instructions, %u stores", steps, states);
            states++;
        }
        alive = step(pid);
    }
    printf("%u instructions, %u states of memory\n", steps, states);
    cr_assert_geq(states, ch->least);
    kept_end(&k);
}

/* ---- changes ---- */

static void fill_both(struct kept *k)
{
    for (unsigned n = 0; n < 5; n++) { /* rings wrap, both are full, some is in flight */
        kept_write(k, UINT32_MAX);
        kept_run(k, 300000);
        kept_read(k, n < 4 ? 3000 : 1000);
    }
    kept_write(k, UINT32_MAX);
    kept_run(k, 300000);
    xt_app_slot_dirty(k->s, k->b);
}

static struct xt_conn *conn(const struct kept *k, uint32_t slot)
{
    return xt_app_conn(k->s, &k->s->ps[slot]);
}

/* Something came out of order; what comes in order is not there yet. */
#define GAP 500u
#define BEYOND 1000u

static void prepare_rx(struct kept *k)
{
    fill_both(k);
    MUST(kept_read(k, 2000) == 2000);
    MUST(xt_app_slot_pull(k->s, k->b));
    struct xt_conn *c = conn(k, k->b);
    const struct xt_pslot *p = &k->s->ps[k->b];
    MUST(xt_stack_bufs(k->stack, c).rx - k->s->base >= 0);
    c->ooo[0] = (struct xt_range){c->rcv_nxt + GAP, c->rcv_nxt + GAP + BEYOND};
    c->n_ooo = 1;
    for (uint64_t at = c->rx_head + GAP; at < c->rx_head + GAP + BEYOND; at++)
        k->s->base[xt_extent_off(&p->rx) + (at & (p->rx.size - 1))] = kept_byte(at);
}

static void run_rx(struct kept *k)
{
    xt_app_rx_grow(k->s, k->b, conn(k, k->b), 4 * KEPT_RING);
}

static void check_rx(struct kept *k)
{
    const struct xt_pslot *p = &k->s->ps[k->b];
    const struct xt_conn *c = conn(k, k->b);
    MUST(c != NULL);
    MUST(c->n_ooo == 1);
    for (uint64_t at = c->rx_head + GAP; at < c->rx_head + GAP + BEYOND; at++)
        MUST(k->s->base[xt_extent_off(&p->rx) + (at & (p->rx.size - 1))] == kept_byte(at));
    MUST(xt_app_rare(k->s, k->b)->rx_new.size == 0);
    MUST(p->rx.size == (xt_app_rare(k->s, k->b)->rx_old.size ? 4 * KEPT_RING : KEPT_RING));
}

Test(kill, receive_ring_grows, .timeout = 200)
{
    kill_at_each_store(&(struct change){prepare_rx, run_rx, check_rx, 30});
}

/* Nothing is unread: the old ring goes at once. */
static void prepare_empty(struct kept *k)
{
    fill_both(k);
    while (kept_read(k, UINT64_MAX))
        kept_run(k, 300000);
}

static void check_empty(struct kept *k)
{
    const struct xt_pslot *p = &k->s->ps[k->b];
    MUST(xt_app_rare(k->s, k->b)->rx_old.size == 0);
    MUST(p->rx.size == KEPT_RING || p->rx.size == 4 * KEPT_RING);
}

Test(kill, empty_receive_ring_grows, .timeout = 200)
{
    kill_at_each_store(&(struct change){prepare_empty, run_rx, check_empty, 20});
}

/* The reader comes to the end of the old ring, which is freed. */
static void prepare_consumed(struct kept *k)
{
    prepare_empty(k);
    kept_write(k, UINT32_MAX);
    kept_run(k, 300000);
    run_rx(k);
    kept_write(k, UINT32_MAX);
    kept_run(k, 300000);
    MUST(kept_read(k, UINT64_MAX) > 0);
    k->now += 1000000;
}

static void run_consumed(struct kept *k)
{
    xt_app_poll(k->app, k->now);
}

static void check_nothing(struct kept *k)
{
    MUST(xt_app_rare(k->s, k->b)->rx_new.size == 0);
}

Test(kill, old_receive_ring_is_freed, .timeout = 200)
{
    kill_at_each_store(&(struct change){prepare_consumed, run_consumed, check_nothing, 10});
}

/* The peer's ring is full; what waits in the send ring goes round its end. It is little: each byte that is copied is a state. */
static void prepare_tx(struct kept *k)
{
    MUST(kept_write(k, KEPT_RING - 40) == KEPT_RING - 40);
    kept_run(k, 300000);
    MUST(kept_read(k, UINT64_MAX) == KEPT_RING - 40);
    kept_run(k, 300000);
    MUST(kept_write(k, KEPT_RING) == KEPT_RING);
    kept_run(k, 10000000);
    MUST(kept_write(k, 100) == 100);
    kept_run(k, 300000);
    MUST(conn(k, k->a)->tx_head - conn(k, k->a)->tx_una >= 100);
    atomic_store(&k->s->slots[k->a].tx_lock, 1);
    kept_ask(k, XT_OP_GROW_TX, k->a, 0, 0);
}

static void run_tx(struct kept *k)
{
    xt_app_cmd(k->s, k->waiter);
}

/* The caller, who has waited for the answer, finds a larger ring with all that was in it. */
static void check_tx(struct kept *k)
{
    xt_app_poll(k->app, k->now);
    MUST(kept_answer(k) == 0);
    MUST(k->s->slots[k->a].tx_size > KEPT_RING);
    MUST(k->s->slots[k->a].tx_size == k->s->ps[k->a].tx.size);
    MUST(k->s->slots[k->a].tx_page == k->s->ps[k->a].tx.page);
    MUST(k->s->slots[k->a].tx_lock == 1);
    atomic_store(&k->s->slots[k->a].tx_lock, 0);
}

Test(kill, send_ring_grows, .timeout = 200)
{
    kill_at_each_store(&(struct change){prepare_tx, run_tx, check_tx, 12});
}

static void prepare_idle(struct kept *k)
{
    prepare_empty(k);
    kept_run(k, 100000);
    k->app->now_us = k->now += 100000;
    xt_app_rings_trim(k->app); /* sees that it is quiet */
    k->app->now_us = k->now += 100000000;
}

static void run_trim(struct kept *k)
{
    xt_app_rings_trim(k->app);
}

static void check_idle(struct kept *k)
{
    MUST(k->s->slots[k->a].tx_lock == 0);
    MUST(k->s->slots[k->b].tx_lock == 0);
}

Test(kill, idle_rings_are_trimmed, .timeout = 200)
{
    kill_at_each_store(&(struct change){prepare_idle, run_trim, check_idle, 4});
}

/* The connection is given up with data on its way, and the socket connects anew. */
static void prepare_disconnect(struct kept *k)
{
    MUST(kept_write(k, 100) == 100);
    kept_ask(k, XT_OP_DISCONNECT, k->a, 0, 0);
}

static void check_disconnect(struct kept *k)
{
    struct xt_slot *a = &k->s->slots[k->a];
    kept_run(k, 100000);
    MUST(kept_answer(k) == 0);
    MUST(k->s->ps[k->a].kind == XT_SLOT_FRESH);
    MUST(atomic_load(&a->cond) == 0 && atomic_load(&a->state) == XT_CLOSED);
    MUST(atomic_load(&a->so_error) == ECONNRESET);
    kept_connect(k);
}

Test(kill, a_connection_is_given_up, .timeout = 200)
{
    kill_at_each_store(&(struct change){prepare_disconnect, run_tx, check_disconnect, 20});
}
