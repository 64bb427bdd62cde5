/* SPDX-License-Identifier: Apache-2.0
 * What a stack finds that takes over from one that died: a change that was interrupted is put back, what had closed is free, what
 * cannot be is dropped alone, and what is deadly is kept out. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/stack/internal.h"
#include "tests/unit/stack/net.h"

static struct net n;
static struct host *a = &n.h[0], *b = &n.h[1];
static struct xt_conn *ca, *cb;

static void open_pair(void)
{
    b->accepted = NULL;
    cr_assert(ca = host_connect(a, 2, 80, n.now, NULL));
    net_pump(&n);
    cr_assert(cb = b->accepted);
    cr_assert_eq(ca->state, XT_ESTABLISHED);
}

static void setup(void)
{
    net_init(&n);
    cr_assert(host_listen(b, 80, true, n.now));
    open_pair();
}

static void teardown(void)
{
    net_fini(&n);
}

/* As if its process had died: private memory is gone, the state region stays. */
static void take_over(struct host *h, bool crashed)
{
    xt_stack_free(h->s);
    h->cfg.crashed = crashed;
    host_start(h, n.now);
}

static void scribble(struct xt_conn *c)
{
    c->snd_una += 1000;
    c->rcv_nxt += 17;
    c->state = XT_LAST_ACK;
    c->rx_head += 17;
    c->n_ooo = 0;
}

TestSuite(undo, .init = setup, .fini = teardown);

Test(undo, an_interrupted_change_is_put_back)
{
    const struct xt_conn before = *ca;
    xt_conn_begin(a->s, ca);
    scribble(ca);
    take_over(a, false);
    cr_assert_eq(memcmp(ca, &before, sizeof before), 0);
    cr_assert_eq(xt_stack_conn(a->s, ca->index), ca);
}

Test(undo, a_whole_change_stays)
{
    xt_conn_begin(a->s, ca);
    ca->opt.tos = 0x40;
    xt_conn_end(a->s);
    take_over(a, false);
    cr_assert_eq(ca->opt.tos, 0x40);
}

Test(undo, boards_are_put_back_too)
{
    struct xt_board *board = &a->s->boards[3];
    ca->n_ooo = 2;
    ca->ooo[0] = (struct xt_range){ca->rcv_nxt + 10, ca->rcv_nxt + 20};
    ca->ooo[1] = (struct xt_range){ca->rcv_nxt + 30, ca->rcv_nxt + 40};
    xt_board_lend(ca, board);
    const struct xt_range second = board->ooo[1];
    xt_conn_begin(a->s, ca);
    memset(board->ooo, 0xff, 8 * sizeof *board->ooo);
    ca->n_ooo = 8;
    take_over(a, false);
    cr_assert_eq(ca->n_ooo, 2);
    cr_assert_eq(memcmp(&xt_ooo_list(ca)[1], &second, sizeof second), 0);
}

Test(undo, what_is_seldom_needed_is_put_back_too)
{
    xt_seldom(ca)->undo_cwnd = 12345;
    xt_conn_begin(a->s, ca);
    xt_seldom(ca)->undo_cwnd = 1;
    take_over(a, false);
    cr_assert_eq(xt_seldom_of(ca)->undo_cwnd, 12345);
    ca->has_seldom = 0;
    xt_conn_begin(a->s, ca);
    xt_seldom(ca)->undo_cwnd = 1;
    take_over(a, false);
    cr_assert_eq(xt_seldom_of(ca)->undo_cwnd, 0, "it was not in use");
}

Test(undo, what_had_closed_is_free)
{
    uint32_t i = ca->index;
    ca->state = XT_CLOSED; /* its application was not told any more */
    take_over(a, false);
    cr_assert_null(xt_stack_conn(a->s, i));
    cr_assert_eq(host_connect(a, 2, 80, n.now, NULL)->index, i, "the record serves again");
}

Test(undo, a_record_that_cannot_be_costs_itself_alone)
{
    struct xt_conn *bad = ca;
    open_pair();
    bad->index += 5;
    take_over(a, false);
    cr_assert_eq(xt_stack_stats(a->s)->records_bad, 1);
    cr_assert_eq(bad->err, ECONNABORTED);
    cr_assert_not(bad->flags & XT_CONN_USED);
    cr_assert_eq(xt_stack_conn(a->s, ca->index), ca);
}

Test(undo, two_records_of_one_flow)
{
    struct xt_conn *twin = ca;
    open_pair();
    twin->local = ca->local;
    twin->remote = ca->remote;
    take_over(a, false);
    cr_assert_eq(xt_stack_stats(a->s)->records_bad, 1);
}

Test(undo, the_second_crash_in_a_row_ends_it)
{
    struct xt_conn *deadly = ca;
    open_pair();
    xt_conn_begin(a->s, deadly);
    take_over(a, true);
    cr_assert_eq(deadly->state, XT_ESTABLISHED, "once may be chance");
    xt_conn_begin(a->s, deadly);
    take_over(a, true);
    cr_assert_not(deadly->flags & XT_CONN_USED);
    cr_assert_eq(deadly->err, ECONNABORTED);
    cr_assert_eq(xt_stack_stats(a->s)->quarantined, 1);
    cr_assert_eq(xt_stack_conn(a->s, ca->index), ca, "the other lives");
    take_over(a, true);
    cr_assert_eq(xt_stack_stats(a->s)->quarantined, 1, "counted once");
}

Test(undo, kills_and_crashes_elsewhere_do_not_count)
{
    struct xt_conn *first = ca;
    open_pair();
    for (unsigned i = 0; i < 3; i++) {
        xt_conn_begin(a->s, first);
        take_over(a, false);
    }
    for (unsigned i = 0; i < 3; i++) {
        xt_conn_begin(a->s, i % 2 ? first : ca);
        take_over(a, true);
    }
    cr_assert_eq(xt_stack_stats(a->s)->quarantined, 0);
    cr_assert_eq(first->state, XT_ESTABLISHED);
}

/* ---- at any instant ---- */

static void check_record(void *arg, struct xt_conn *c)
{
    unsigned round = *(unsigned *)arg;
    cr_assert_lt(c->state, XT_NSTATES, "round %u", round);
    cr_assert_leq(c->tx_una, c->tx_head, "round %u", round);
    cr_assert_leq(c->tx_head - c->tx_una, RING, "round %u", round);
    cr_assert_leq(c->rx_tail, c->rx_head, "round %u", round);
    cr_assert_leq(c->rx_head - c->rx_tail, RING, "round %u", round);
    cr_assert_geq((int32_t)(c->snd_nxt - c->snd_una), 0, "round %u", round);
    const struct xt_flight *f = xt_sent_list(c);
    cr_assert_leq(c->n_sent, xt_sent_room(c), "round %u", round);
    for (unsigned i = 1; i < c->n_sent; i++)
        cr_assert_geq((int32_t)(f[i].end - f[i - 1].end), 0, "round %u", round);
    const struct xt_range *r = xt_ooo_list(c);
    cr_assert_leq(c->n_ooo, xt_ooo_room(c), "round %u", round);
    for (unsigned i = 0; i < c->n_ooo; i++)
        cr_assert_gt((int32_t)(r[i].right - r[i].left), 0, "round %u", round);
}

static void work_for_ever(void)
{
    static uint8_t buf[RING];
    n.bad = true;
    for (;;) {
        host_write(a, ca, buf, RING, n.now);
        host_write(b, cb, buf, 5000, n.now);
        net_pump(&n);
        host_read(b, cb, buf, 20000, n.now);
        host_read(a, ca, buf, RING, n.now);
        net_run(&n, 2000);
    }
}

/* A process drives both ends over a bad line and is killed; what it leaves makes sense, whenever that was. */
Test(killed, at_any_instant, .timeout = 250)
{
    unsigned seed = 1;
    printf("killed at any instant: seed %u\n", seed);
    for (unsigned round = 0; round < 150; round++) {
        size_t size = xt_stack_state_size(MAX_CONNS);
        n.now = 1000000;
        n.drop = n.mark = n.bad = false;
        n.seed = seed + round;
        for (unsigned i = 0; i < 2; i++) {
            host_cfg(&n.h[i], i + 1);
            n.h[i].state = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            host_start(&n.h[i], n.now);
        }
        host_listen(b, 80, true, n.now);
        open_pair();
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* else it would outlive a test that is ended */
            work_for_ever();
        }
        struct timespec some = {.tv_nsec = rand_r(&seed) % 3000000};
        nanosleep(&some, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        for (unsigned i = 0; i < 2; i++) {
            uint32_t cursor = 0, amid = atomic_load(&n.h[i].s->undo->record);
            take_over(&n.h[i], false);
            const struct xt_undo *u = n.h[i].s->undo;
            if (amid && u->before.state != XT_CLOSED)
                cr_assert_eq(memcmp(&n.h[i].s->conns[amid - 1], &u->before, sizeof u->before), 0, "round %u", round);
            xt_stack_each(n.h[i].s, &cursor, UINT32_MAX, check_record, &round);
            cr_assert_eq(xt_stack_stats(n.h[i].s)->records_bad, 0);
            void *state = n.h[i].state;
            n.h[i].state = NULL;
            host_stop(&n.h[i]);
            munmap(state, size);
        }
    }
}
