/* SPDX-License-Identifier: Apache-2.0
 * Commands of a client that changes what they are about while they are carried out. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>

#include "tests/unit/app/kept.h"

#define PORT 7001

static uint32_t new_socket(struct kept *k)
{
    kept_ask(k, XT_OP_SOCKET, 0, 0, 0);
    kept_run(k, 1000);
    MUST(kept_answer(k) >= 0);
    return (uint32_t)kept_answer(k);
}

static void let_go(struct kept *k, uint32_t i)
{
    atomic_fetch_and(&xt_app_hold(k->s, 0)[0], ~(1ULL << i));
    xt_bitmap_set(k->s->dirty, i);
}

/* To find its port free, bind looks what has been closed: the socket that has it, and the very one that is to be bound. */
Test(command, bind_of_a_socket_that_is_let_go)
{
    struct kept k;
    kept_start(&k);
    uint32_t has = new_socket(&k), i = new_socket(&k);
    kept_ask(&k, XT_OP_BIND, has, PORT, 0);
    kept_run(&k, 1000);
    cr_assert_eq(kept_answer(&k), 0);
    let_go(&k, i);
    let_go(&k, has);
    kept_ask(&k, XT_OP_BIND, i, PORT, 0);
    kept_run(&k, 1000);
    cr_expect_eq(kept_answer(&k), -EBADF);
    cr_expect_eq(k.s->ps[i].kind, XT_SLOT_FREE);
    cr_expect_not(k.s->ps[i].bound);
    i = new_socket(&k);
    kept_ask(&k, XT_OP_BIND, i, PORT, 0);
    kept_run(&k, 1000);
    cr_expect_eq(kept_answer(&k), 0, "nobody has the port");
    kept_end(&k);
}

static int set_option(struct kept *k, uint32_t i, uint64_t name, uint64_t v)
{
    k->s->waiters[k->waiter].arg[1] = v;
    kept_ask(k, XT_OP_SETOPT, i, 0, name);
    kept_run(k, 1000);
    return kept_answer(k);
}

/* What few sockets have stands where it stood for the one before. */
Test(command, a_socket_has_nothing_of_the_one_before)
{
    struct kept k;
    kept_start(&k);
    uint32_t i = new_socket(&k);
    cr_expect_not(k.s->ps[i].rare, "it has nothing of the kind");
    cr_assert_eq(set_option(&k, i, XT_SO_MAXSEG, 600), 0);
    cr_assert_eq(set_option(&k, i, XT_SO_FASTOPEN, 5), 0);
    cr_expect_eq(xt_app_rare(k.s, i)->maxseg, 600);
    let_go(&k, i);
    kept_run(&k, 1000);
    cr_assert_eq(new_socket(&k), i);
    cr_expect_eq(xt_app_rare(k.s, i)->maxseg, 0);
    cr_assert_eq(set_option(&k, i, XT_SO_FASTOPEN_NO_COOKIE, 1), 0);
    cr_expect(xt_app_rare(k.s, i)->fo.no_cookie);
    cr_expect_eq(xt_app_rare(k.s, i)->fo.limit, 0);
    cr_expect_eq(xt_app_rare(k.s, i)->maxseg, 0);
    kept_end(&k);
}

/* Neither a connection that was opened nor one that was accepted needs more than its slots. */
Test(command, a_connection_has_nothing_rare)
{
    struct kept k;
    kept_start(&k);
    cr_expect(k.s->ps[k.l].rare);
    cr_expect_not(k.s->ps[k.a].rare);
    cr_expect_not(k.s->ps[k.b].rare);
    kept_end(&k);
}

/* Who sets TCP_NOTSENT_LOWAT and asks at once what is ready must not be faster than the news. */
Test(command, an_option_that_changes_what_is_true_is_news_before_its_answer)
{
    struct kept k;
    kept_start(&k);
    cr_assert_not(xt_bitmap_any(xt_app_ready(k.s, k.waiter)));
    atomic_fetch_or(&k.s->slots[k.a].subs, 1ULL << (k.waiter % 64));
    kept_ask(&k, XT_OP_SETOPT, k.a, 0, XT_SO_NOTSENT_LOWAT);
    xt_app_cmd(k.s, k.waiter);
    cr_expect_eq(kept_answer(&k), 0);
    cr_expect(xt_bitmap_any(xt_app_ready(k.s, k.waiter)));
    kept_end(&k);
}

/* What arrived in the same pass, and is not published yet, comes with the end that follows it: who is told of the end by the answer
 * must not miss it. */
Test(command, a_shutdown_does_not_tell_of_an_end_before_the_last_bytes)
{
    struct kept k;
    kept_start(&k);
    struct xt_slot *b = &k.s->slots[k.b];
    cr_assert_eq(kept_write(&k, 100), 100u);
    kept_ask(&k, XT_OP_SHUTDOWN, k.a, 0, SHUT_WR);
    xt_app_poll(k.app, k.now);
    xt_stack_output(k.stack, k.now);
    xt_stack_output(k.stack, k.now);
    cr_assert(k.s->ps[k.b].cond & XT_COND_RDHUP, "the end has come");
    cr_assert_eq(atomic_load(&b->rx_head), 0u, "but is not published");
    kept_ask(&k, XT_OP_SHUTDOWN, k.b, 0, SHUT_WR);
    xt_app_poll(k.app, k.now);
    cr_assert_eq(kept_answer(&k), 0);
    cr_expect(atomic_load(&b->cond) & XT_COND_WRSHUT);
    cr_expect_eq(atomic_load(&b->rx_head), 100u);
    kept_end(&k);
}
