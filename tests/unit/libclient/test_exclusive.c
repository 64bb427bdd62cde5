/* SPDX-License-Identifier: Apache-2.0
 * Waiters that wait exclusively for connections of one listener: each wakes one of them, and none is lost with the one that was
 * woken. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/libclient/pair.h"

#define EXCLUSIVE 3

struct crowd {
    struct pair p;
    struct xtcp_waiter *w[EXCLUSIVE + 1]; /* the last, which is told last, is not exclusive */
};

static void ignore(void *arg, uint32_t s)
{
}

static struct xtcp_waiter *waiter(struct pair *p, bool exclusive)
{
    struct xtcp_waiter *w;
    cr_assert_eq(xtcp_waiter_new(p->x, &w), 0);
    xtcp_waiter_sub(w, p->l);
    xtcp_waiter_exclusive(w, p->l, exclusive);
    return w;
}

/* Looks at what there is, and sleeps. */
static void doze_off(struct xtcp_waiter *w)
{
    do {
        xtcp_waiter_done(w);
        xtcp_waiter_take(w, ignore, NULL);
    } while (xtcp_waiter_prepare(w));
}

static bool is_woken(const struct xtcp_waiter *w, int timeout)
{
    struct pollfd f = {.fd = xtcp_waiter_fd(w), .events = POLLIN};
    return poll(&f, 1, timeout) == 1;
}

static void crowd_up(struct crowd *c)
{
    pair_start(&c->p, NULL);
    for (unsigned i = 0; i <= EXCLUSIVE; i++) {
        c->w[i] = waiter(&c->p, i < EXCLUSIVE);
        doze_off(c->w[i]);
    }
}

/* A connection comes. How many of those that wait exclusively are awake when all have been told? */
static unsigned awake_after_one(struct crowd *c)
{
    unsigned n = 0;
    doze_off(c->w[EXCLUSIVE]);
    pair_connect_new(&c->p);
    cr_assert(is_woken(c->w[EXCLUSIVE], -1));
    for (unsigned i = 0; i < EXCLUSIVE; i++)
        n += is_woken(c->w[i], 0);
    return n;
}

static void accept_all(struct crowd *c)
{
    int s;
    while ((s = xtcp_accept(c->p.x, c->p.l, NULL, NULL, MSG_DONTWAIT)) >= 0)
        xtcp_close(c->p.x, s);
    cr_assert_eq(s, -EAGAIN);
}

Test(exclusive, a_connection_wakes_one)
{
    struct crowd c;
    crowd_up(&c);
    for (unsigned round = 0; round < 5; round++) {
        cr_assert_eq(awake_after_one(&c), 1, "round %u", round);
        accept_all(&c);
        for (unsigned i = 0; i < EXCLUSIVE; i++)
            doze_off(c.w[i]);
    }
    pair_stop(&c.p);
}

/* The one that was woken does not sleep again: the next connection is for another. */
Test(exclusive, the_next_wakes_another)
{
    struct crowd c;
    crowd_up(&c);
    for (unsigned n = 1; n <= EXCLUSIVE; n++)
        cr_assert_eq(awake_after_one(&c), n);
    for (unsigned i = 0; i < EXCLUSIVE; i++)
        doze_off(c.w[i]);
    cr_assert_eq(awake_after_one(&c), 1, "they sleep again");
    accept_all(&c);
    pair_stop(&c.p);
}

/* One that is awake when a connection comes finds it before it sleeps. */
Test(exclusive, who_is_awake_is_told)
{
    struct crowd c;
    crowd_up(&c);
    xtcp_waiter_done(c.w[0]);
    cr_assert_eq(awake_after_one(&c), 1);
    cr_assert(xtcp_waiter_prepare(c.w[0]), "it must not sleep");
    accept_all(&c);
    pair_stop(&c.p);
}

/* The one that was woken wants no connections any more, and says so. */
Test(exclusive, who_leaves_passes_it_on)
{
    struct crowd c;
    unsigned woken = 0;
    crowd_up(&c);
    cr_assert_eq(awake_after_one(&c), 1);
    while (!is_woken(c.w[woken], 0))
        woken++;
    xtcp_waiter_unsub(c.w[woken], c.p.l);
    xtcp_waiter_done(c.w[woken]);
    for (unsigned i = 0; i < EXCLUSIVE; i++)
        cr_assert(i == woken || is_woken(c.w[i], -1));
    accept_all(&c);
    pair_stop(&c.p);
}

/* A process that sleeps exclusively, and is woken for the connection, is killed with kill -9 before it accepts it. */
Test(exclusive, who_dies_leaves_it_to_the_next)
{
    struct pair p;
    int sync[2];
    char c;
    pair_start(&p, NULL);
    cr_assert_eq(pipe(sync), 0);
    cr_assert_eq(xtcp_fork_prepare(p.x), 0);
    pid_t pid = fork();
    if (pid == 0) {
        xtcp_fork_child(p.x);
        struct xtcp_waiter *w = waiter(&p, true);
        doze_off(w);
        (void)!write(sync[1], "", 1);
        is_woken(w, -1);
        (void)!write(sync[1], "", 1);
        for (;;)
            pause();
    }
    xtcp_fork_parent(p.x);
    cr_assert_eq(read(sync[0], &c, 1), 1);
    struct xtcp_waiter *w = waiter(&p, true); /* made later: the child's is the first to be woken */
    doze_off(w);
    pair_connect_new(&p);
    cr_assert_eq(read(sync[0], &c, 1), 1);
    cr_assert_not(is_woken(w, 0));
    kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_assert(is_woken(w, -1));
    int s = xtcp_accept(p.x, p.l, NULL, NULL, MSG_DONTWAIT);
    cr_assert_geq(s, 0);
    pair_stop(&p);
}
