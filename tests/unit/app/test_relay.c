/* SPDX-License-Identifier: Apache-2.0
 * What the relay of exported sockets is told of their other holders. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "daemon/app/relay.h"
#include "tests/unit/app/kept.h"

/* Process `proc` closes the socket; true when the relay hears of it. */
static bool told_when_left(struct kept *k, const struct xt_relay *r, uint32_t proc, uint32_t slot)
{
    uint64_t bit = 1ULL << slot;
    xt_bitword *ready = &xt_app_ready(k->s, r->waiter)[65]; /* the first word of the lowest level */
    atomic_fetch_and(ready, ~bit);
    atomic_fetch_and(&xt_app_hold(k->s, proc)[0], ~bit);
    xt_bitmap_set(k->s->dirty, slot);
    kept_run(k, 1000);
    return atomic_load(ready) & bit;
}

/* A process that is sent an exported socket may join before the relay has looked what the sender's close leaves it with. */
Test(relay, hears_of_each_last_holder)
{
    struct kept k;
    struct xt_relay r;
    kept_start(&k);
    MUST(xt_relay_open(&r, k.s) == 0);
    int joins = xt_session_add_proc(k.s, getpid());
    MUST(joins > 0);
    xt_relay_hold(&r, k.a);
    cr_assert(told_when_left(&k, &r, 0, k.a));
    xt_relay_share(&r, (uint32_t)joins, k.a);
    cr_assert_not(xt_relay_alone(&r, k.a));
    cr_assert(told_when_left(&k, &r, (uint32_t)joins, k.a));
    cr_assert(xt_relay_alone(&r, k.a));
    xt_relay_forget(&r);
    kept_end(&k);
}
