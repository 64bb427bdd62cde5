/* SPDX-License-Identifier: Apache-2.0
 * Listeners that take part no more in the listening of another one: what is in their queues may be accepted for a while, by a successor's
 * clients, too. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/unit/app/kept.h"

#define SECOND 1000000u

/* A connection that nobody has accepted. Returns its slot. */
static uint32_t call(struct kept *k)
{
    kept_ask(k, XT_OP_SOCKET, 0, 0, 0);
    kept_run(k, 1000);
    uint32_t i = (uint32_t)kept_answer(k);
    kept_ask(k, XT_OP_CONNECT, i, KEPT_PORT, 0);
    kept_run(k, 1000);
    cr_assert_eq(kept_answer(k), 0);
    kept_run(k, SECOND / 10);
    cr_assert_eq(atomic_load(&k->s->slots[i].state), XT_ESTABLISHED);
    return i;
}

static uint32_t waiting(const struct kept *k)
{
    const struct xt_slot *l = &k->s->slots[k->l];
    return atomic_load(&l->acc_head) - atomic_load(&l->acc_tail);
}

Test(retire, a_queue_is_kept_for_a_while_and_no_longer)
{
    struct kept old, k;
    kept_start(&old);
    xt_ledger_set_family(old.s->l, old.s->id);
    uint32_t i = call(&old);
    xt_app_retire(old.app, old.s->id, KEPT_PORT);
    kept_run(&old, SECOND);
    cr_expect_eq(waiting(&old), 1);
    kept_take_up(&k, &old);
    kept_run(&k, SECOND / 2);
    kept_run(&k, SECOND / 2); /* time has passed when it is looked at once more */
    cr_expect_eq(k.s->ps[k.l].kind, XT_SLOT_LISTEN, "ended with the process");
    cr_expect_eq(waiting(&k), 1);
    cr_expect_eq(atomic_load(&k.s->slots[i].state), XT_ESTABLISHED);
    kept_run(&k, 3 * SECOND);
    cr_expect_neq(k.s->ps[k.l].kind, XT_SLOT_LISTEN);
    cr_expect_eq(atomic_load(&k.s->slots[i].so_error), ECONNRESET);
    kept_end(&k);
}
