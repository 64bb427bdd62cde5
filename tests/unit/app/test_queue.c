/* SPDX-License-Identifier: Apache-2.0
 * What waited when the stack process died still waits for its successor, once: connections that nobody has accepted, commands without
 * an answer. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/app/kept.h"

#define PORT 7000
#define QUEUED 2u

static struct kept old, k;

static void connect_one(void)
{
    kept_ask(&old, XT_OP_SOCKET, 0, 0, 0);
    kept_run(&old, 1000);
    MUST(kept_answer(&old) >= 0);
    kept_ask(&old, XT_OP_CONNECT, (uint32_t)kept_answer(&old), PORT, 0);
    kept_run(&old, 100000);
    MUST(kept_answer(&old) == 0);
}

static void setup(void)
{
    kept_start(&old);
}

TestSuite(queue, .init = setup);

/* Slots in the listener's ring, as its program sees them. */
static unsigned waiting(const struct kept *kept, uint32_t out[8])
{
    const struct xt_slot *l = &kept->s->slots[kept->l];
    const uint32_t *ring = (const uint32_t *)(const void *)(kept->s->base + xt_page_off(l->tx_page));
    uint32_t at = atomic_load(&l->acc_tail), n = atomic_load(&l->acc_head) - at;
    cr_assert_leq(n, 8);
    for (uint32_t i = 0; i < n; i++)
        out[i] = ring[(at + i) & (kept->s->ps[kept->l].tx.size / sizeof *ring - 1)];
    return n;
}

static void accept_all(void)
{
    uint32_t slot[8], n = waiting(&k, slot);
    struct xt_slot *l = &k.s->slots[k.l];
    for (uint32_t i = 0; i < n; i++)
        atomic_fetch_or(&xt_app_hold(k.s, 0)[slot[i] / 64], 1ULL << (slot[i] % 64));
    atomic_store(&l->acc_tail, atomic_load(&l->acc_head));
    xt_bitmap_set(k.s->dirty, k.l);
    kept_run(&k, 100000);
    cr_expect_eq(k.s->lied, 0);
    for (uint32_t i = 0; i < n; i++) {
        cr_expect_eq(k.s->ps[slot[i]].kind, XT_SLOT_CONN);
        cr_expect_not(k.s->ps[slot[i]].queued);
    }
}

static void take_up_and_expect(const uint32_t *want)
{
    uint32_t got[8];
    kept_take_up(&k, &old);
    kept_run(&k, 100000);
    cr_expect_eq(k.s->lied, 0);
    cr_expect_eq(xt_app_stats(k.app)->strays, 0);
    cr_assert_eq(waiting(&k, got), QUEUED);
    cr_expect_arr_eq(got, want, QUEUED * sizeof *want, "their order stays");
    /* The daemon's own list says the same: by it they end with their listener. */
    cr_expect_eq(xt_app_rare(k.s, k.l)->acc_first, want[0]);
    cr_expect_eq(k.s->ps[want[0]].next, want[1]);
    cr_expect_eq(xt_app_rare(k.s, k.l)->acc_last, want[1]);
    accept_all();
    cr_expect_eq(xt_app_rare(k.s, k.l)->acc_first, XT_NO_PSLOT);
}

Test(queue, connections_wait_on_in_their_order)
{
    uint32_t want[8];
    for (unsigned i = 0; i < QUEUED; i++)
        connect_one();
    cr_assert_eq(waiting(&old, want), QUEUED);
    take_up_and_expect(want);
}

Test(queue, one_that_was_not_told_of_yet_is_told_of)
{
    uint32_t want[8];
    for (unsigned i = 0; i < QUEUED; i++)
        connect_one();
    cr_assert_eq(waiting(&old, want), QUEUED);
    /* The last one's place was not counted any more. */
    old.s->ps[want[1]].pending = true;
    xt_app_rare_own(old.s, old.l)->acc_head--;
    atomic_fetch_sub(&old.s->slots[old.l].acc_head, 1);
    take_up_and_expect(want);
}

/* One that is half open keeps its place in the backlog, and one that is not has none. */
Test(queue, half_open_connections_are_counted_anew)
{
    xt_app_rare_own(old.s, old.l)->syn_recv = 3;
    xt_app_conn(old.s, &old.s->ps[old.b])->flags &= ~XT_APP_CF_DONE;
    kept_take_up(&k, &old);
    cr_expect_eq(xt_app_rare(k.s, k.l)->syn_recv, 1);
}

Test(queue, a_command_that_was_not_begun_is_done)
{
    kept_ask(&old, XT_OP_SOCKET, 0, 0, 0);
    kept_take_up(&k, &old);
    kept_run(&k, 1000);
    cr_assert_geq(kept_answer(&k), 0);
    cr_expect(xt_app_is_used(k.s, (uint32_t)kept_answer(&k)));
}

Test(queue, a_command_that_was_done_and_not_answered_is_not_done_twice)
{
    kept_ask(&old, XT_OP_SOCKET, 0, 0, 0);
    kept_run(&old, 1000);
    int made = kept_answer(&old);
    uint32_t used = old.s->nused;
    struct xt_waiter *box = &old.s->waiters[old.waiter];
    atomic_store(&box->done_seq, atomic_load(&box->done_seq) - 1);
    box->result = -1;
    kept_take_up(&k, &old);
    kept_run(&k, 1000);
    cr_expect_eq(kept_answer(&k), made);
    cr_expect_eq(k.s->nused, used);
}

static int32_t open_result(const struct kept *of)
{
    int32_t rc;
    memcpy(&rc, of->s->waiters[of->waiter].data, sizeof rc);
    return rc;
}

Test(queue, an_open_that_was_done_and_not_answered_is_not_done_twice)
{
    kept_ask(&old, XT_OP_OPEN, 0, xt_app_rare(old.s, old.l)->local.port, 0);
    kept_run(&old, 100000);
    int made = kept_answer(&old);
    cr_assert_geq(made, 0);
    cr_assert_eq(open_result(&old), 0);
    cr_assert(atomic_load(&old.s->slots[made].cond) & XT_COND_CONNECTED);
    uint32_t used = old.s->nused;
    struct xt_waiter *box = &old.s->waiters[old.waiter];
    atomic_store(&box->done_seq, atomic_load(&box->done_seq) - 1);
    memset(box->data, 0xff, sizeof box->data);
    kept_take_up(&k, &old);
    kept_run(&k, 1000);
    cr_expect_eq(kept_answer(&k), made);
    cr_expect_eq(open_result(&k), 0);
    cr_expect_eq(k.s->nused, used);
}

Test(queue, an_option_of_a_socket_that_was_closed_meanwhile_is_not_set)
{
    const struct xt_pslot *p = &old.s->ps[old.a];
    struct xt_waiter *box = &old.s->waiters[old.waiter];
    box->arg[1] = 1;
    kept_ask(&old, XT_OP_SETOPT, old.a, (uint16_t)(p->gen + 1), XT_SO_NODELAY);
    kept_run(&old, 1000);
    cr_expect_eq(kept_answer(&old), 0);
    cr_expect_eq(p->opt.nodelay, 0);
    kept_ask(&old, XT_OP_SETOPT, old.a, (uint16_t)p->gen, XT_SO_NODELAY);
    kept_run(&old, 1000);
    cr_expect_eq(p->opt.nodelay, 1);
}
