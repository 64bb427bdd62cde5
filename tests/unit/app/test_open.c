/* SPDX-License-Identifier: Apache-2.0
 * Sockets made in advance, and connects that are asked for by a mark: what comes of them, and what a successor makes of them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/app/kept.h"

static struct kept old, k;

static void setup(void)
{
    kept_start(&old);
}

TestSuite(open, .init = setup);

static const uint32_t *spares(const struct kept *of)
{
    return (const uint32_t *)(const void *)of->s->waiters[of->waiter].data;
}

/* A new socket, `more` beside it. */
static uint32_t new_socket(struct kept *of, uint64_t more)
{
    kept_ask(of, XT_OP_SOCKET, 0, 0, more);
    kept_run(of, 1000);
    MUST(kept_answer(of) >= 0);
    return (uint32_t)kept_answer(of);
}

/* As the library does it. */
static void mark(struct kept *of, uint32_t i, uint16_t port)
{
    struct xt_slot *sl = &of->s->slots[i];
    sl->remote_port = port;
    atomic_store(&sl->state, XT_SYN_SENT);
    atomic_store(&sl->cond, XT_COND_CONNECTING);
    atomic_fetch_or(&sl->want, (uint32_t)XT_WANT_CONNECT);
    xt_bitmap_set(of->s->dirty, i);
}

/* Connections that have come since the two of the fixture. */
static uint32_t come(const struct kept *of)
{
    return atomic_load(&of->s->slots[of->l].acc_head) - 1;
}

static uint32_t cond(const struct kept *of, uint32_t i)
{
    return atomic_load(&of->s->slots[i].cond);
}

static bool wanted(const struct kept *of, uint32_t i)
{
    return atomic_load(&of->s->slots[i].want) & XT_WANT_CONNECT;
}

Test(open, a_mark_connects)
{
    uint32_t i = new_socket(&old, 0);
    mark(&old, i, KEPT_PORT);
    kept_run(&old, 100000);
    cr_expect_eq(cond(&old, i), XT_COND_CONNECTED);
    cr_expect_not(wanted(&old, i));
    cr_expect_neq(old.s->slots[i].local_port, 0);
    cr_expect_eq(old.s->slots[i].remote_port, KEPT_PORT);
    cr_expect_eq(old.s->ps[i].kind, XT_SLOT_CONN);
}

Test(open, one_that_cannot_be_is_one_that_failed)
{
    uint32_t i = new_socket(&old, 0);
    atomic_fetch_or(&old.s->slots[i].subs, 1ULL << (old.waiter % 64));
    mark(&old, i, 0);
    kept_run(&old, 1000);
    cr_expect_eq(cond(&old, i), XT_COND_ERROR | XT_COND_RDHUP | XT_COND_WRSHUT | XT_COND_HUP);
    cr_expect_eq(atomic_load(&old.s->slots[i].so_error), ECONNREFUSED);
    cr_expect(xt_bitmap_any(xt_app_ready(old.s, old.waiter)));
    cr_expect_not(wanted(&old, i));
    old.s->slots[i].so_error = 0;
    kept_ask(&old, XT_OP_CONNECT, i, KEPT_PORT, 0); /* as on Linux it may be tried again */
    kept_run(&old, 100000);
    cr_expect_eq(cond(&old, i), XT_COND_CONNECTED);
}

/* With no connection to be had, the error is that of connect(). */
Test(open, a_full_table_is_told)
{
    uint32_t last = 0;
    for (unsigned n = 0; n < 10; n++)
        mark(&old, last = new_socket(&old, 0), KEPT_PORT);
    kept_run(&old, 1000);
    cr_expect_eq(atomic_load(&old.s->slots[last].so_error), ENOBUFS);
    cr_expect(cond(&old, last) & XT_COND_ERROR);
}

Test(open, a_command_that_comes_after_finds_it_done)
{
    uint32_t i = new_socket(&old, 0);
    mark(&old, i, KEPT_PORT);
    kept_ask(&old, XT_OP_INFO, i, 0, 0);
    xt_app_cmd(old.s, old.waiter); /* the mark was not looked at yet */
    cr_expect_eq(kept_answer(&old), 0);
    cr_expect_neq(old.s->slots[i].local_port, 0);
    cr_expect_not(wanted(&old, i));
}

Test(open, a_mark_on_what_is_no_new_socket_does_nothing)
{
    uint16_t port = old.s->slots[old.a].local_port;
    mark(&old, old.l, KEPT_PORT);
    mark(&old, old.a, KEPT_PORT);
    kept_run(&old, 100000);
    cr_expect_eq(old.s->lied, 0);
    cr_expect_eq(old.s->ps[old.l].kind, XT_SLOT_LISTEN);
    cr_expect_eq(xt_stack_conn(old.stack, old.s->ps[old.a].conn)->local.port, port);
    cr_expect_not(wanted(&old, old.a));
}

Test(open, one_that_is_let_go_first_is_not_connected)
{
    uint32_t i = new_socket(&old, 0);
    mark(&old, i, KEPT_PORT);
    atomic_fetch_and(&xt_app_hold(old.s, 0)[0], ~(1ULL << i));
    kept_run(&old, 100000);
    cr_expect_eq(old.s->ps[i].kind, XT_SLOT_FREE);
    cr_expect_eq(come(&old), 0);
}

/* ---- a stack process that dies ---- */

Test(open, a_successor_finds_the_mark)
{
    uint32_t i = new_socket(&old, 0);
    mark(&old, i, KEPT_PORT);
    kept_take_up(&k, &old);
    cr_expect(cond(&k, i) & (XT_COND_CONNECTING | XT_COND_CONNECTED), "never shown as it was before");
    kept_run(&k, 100000);
    cr_expect_eq(cond(&k, i), XT_COND_CONNECTED);
    cr_expect_eq(come(&k), 1);
}

/* Between its words and its mark. */
Test(open, a_successor_takes_no_word_back)
{
    uint32_t i = new_socket(&old, 0);
    atomic_store(&old.s->slots[i].cond, XT_COND_CONNECTING);
    kept_take_up(&k, &old);
    cr_expect_eq(cond(&k, i), XT_COND_CONNECTING);
    mark(&k, i, KEPT_PORT);
    kept_run(&k, 100000);
    cr_expect_eq(cond(&k, i), XT_COND_CONNECTED);
}

Test(open, done_and_not_said_is_not_done_twice)
{
    uint32_t i = new_socket(&old, 0);
    mark(&old, i, KEPT_PORT);
    kept_run(&old, 100000);
    uint16_t port = old.s->slots[i].local_port;
    atomic_fetch_or(&old.s->slots[i].want, (uint32_t)XT_WANT_CONNECT);
    kept_take_up(&k, &old);
    kept_run(&k, 100000);
    cr_expect_eq(k.s->slots[i].local_port, port);
    cr_expect_eq(cond(&k, i), XT_COND_CONNECTED);
    cr_expect_not(wanted(&k, i));
    cr_expect_eq(come(&k), 1);
}

/* It died within the connect: the record is put back as it was before, or is nobody's yet. */
static void half_begun(bool attached)
{
    uint32_t i = new_socket(&old, 0);
    mark(&old, i, KEPT_PORT);
    xt_app_connect_wanted(old.s, i);
    struct xt_conn *c = xt_app_conn(old.s, &old.s->ps[i]);
    MUST(c != NULL);
    c->state = XT_CLOSED;
    c->slot = attached ? i : UINT32_MAX;
    atomic_store(&old.s->slots[i].cond, XT_COND_CONNECTING);
    atomic_fetch_or(&old.s->slots[i].want, (uint32_t)XT_WANT_CONNECT);
    kept_take_up(&k, &old);
    cr_expect(cond(&k, i) & (XT_COND_CONNECTING | XT_COND_CONNECTED), "never shown as over");
    kept_run(&k, 100000);
    cr_expect_eq(cond(&k, i), XT_COND_CONNECTED);
    cr_expect_not(wanted(&k, i));
    cr_expect_eq(come(&k), 1);
}

Test(open, a_connect_undone_is_begun_anew)
{
    half_begun(true);
}

Test(open, a_connect_that_reached_no_record_is_begun_anew)
{
    half_begun(false);
}

/* ---- sockets in advance ---- */

static void expect_spares(const struct kept *of, uint32_t n)
{
    cr_assert_eq(spares(of)[0], n);
    for (uint32_t m = 1; m <= n; m++) {
        cr_expect_eq(of->s->ps[spares(of)[m]].kind, XT_SLOT_FRESH);
        cr_expect(xt_app_holds(of->s, 0, spares(of)[m]));
    }
}

Test(open, sockets_in_advance_are_held)
{
    uint32_t used = old.s->nused;
    new_socket(&old, 3);
    expect_spares(&old, 3);
    cr_expect_eq(old.s->nused, used + 4);
}

Test(open, there_are_no_more_in_advance_than_can_be)
{
    new_socket(&old, UINT64_MAX);
    cr_expect_eq(old.s->nused, 16, "all slots that there are");
    cr_expect_eq(spares(&old)[0], old.s->nused - 4);
    kept_ask(&old, XT_OP_SOCKET, 0, 0, 0);
    kept_run(&old, 1000);
    cr_expect_eq(kept_answer(&old), -ENOBUFS);
}

Test(open, in_advance_and_not_answered_is_not_done_twice)
{
    uint32_t i = new_socket(&old, 3), used = old.s->nused;
    struct xt_waiter *box = &old.s->waiters[old.waiter];
    atomic_store(&box->done_seq, atomic_load(&box->done_seq) - 1);
    for (uint32_t m = 1; m <= 3; m++) /* it had died before it held them */
        atomic_fetch_and(&xt_app_hold(old.s, 0)[0], ~(1ULL << spares(&old)[m]));
    kept_take_up(&k, &old);
    kept_run(&k, 1000);
    cr_expect_eq(kept_answer(&k), (int)i);
    cr_expect_eq(k.s->nused, used);
    expect_spares(&k, 3);
}

/* ---- TCP_NODELAY ---- */

Test(open, nodelay_counts_from_the_next_bytes_on_and_for_children)
{
    struct xt_slot *a = &old.s->slots[old.a];
    cr_expect_eq(xt_stack_conn(old.stack, old.s->ps[old.a].conn)->opt.nodelay, 0);
    atomic_fetch_or(&a->want, (uint32_t)XT_WANT_NODELAY);
    kept_write(&old, 10);
    kept_run(&old, 1000);
    cr_expect_eq(xt_stack_conn(old.stack, old.s->ps[old.a].conn)->opt.nodelay, 1);
    atomic_fetch_and(&a->want, ~(uint32_t)XT_WANT_NODELAY);
    kept_write(&old, 10);
    kept_run(&old, 1000);
    cr_expect_eq(xt_stack_conn(old.stack, old.s->ps[old.a].conn)->opt.nodelay, 0);

    atomic_fetch_or(&old.s->slots[old.l].want, (uint32_t)XT_WANT_NODELAY);
    uint32_t i = new_socket(&old, 0);
    mark(&old, i, KEPT_PORT);
    kept_run(&old, 100000);
    const uint32_t *ring = (const uint32_t *)(const void *)(old.s->base + xt_page_off(old.s->slots[old.l].tx_page));
    uint32_t child = ring[atomic_load(&old.s->slots[old.l].acc_head) - 1];
    cr_expect_eq(xt_stack_conn(old.stack, old.s->ps[child].conn)->opt.nodelay, 1);
    cr_expect(atomic_load(&old.s->slots[child].want) & XT_WANT_NODELAY);
    cr_expect_eq(xt_stack_conn(old.stack, old.s->ps[i].conn)->opt.nodelay, 0);
}
