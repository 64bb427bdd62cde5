/* SPDX-License-Identifier: Apache-2.0
 * The list of what is in flight, against a model that keeps a state for each byte. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tcp/sent.h"

#define SPAN 4096u
#define UNA 0xfffff800u /* the numbers wrap on the way */

struct model {
    uint8_t state[SPAN];
    uint32_t una, nxt;
};

struct tally {
    struct xt_sent_news news;
    uint32_t bytes;
};

static void seen(struct xt_sent_news *news, const struct xt_flight *s, uint32_t bytes, uint32_t end)
{
    (void)end;
    cr_assert_neq(s->state, XT_SENT_SACKED);
    ((struct tally *)news)->bytes += bytes;
}

static void check_shape(const struct xt_conn *c)
{
    uint32_t left = c->snd_una;
    cr_assert_leq(c->n_sent, xt_sent_room(c));
    for (unsigned i = 0; i < c->n_sent; left = xt_sent_list(c)[i++].end)
        cr_assert_gt((int32_t)(xt_sent_list(c)[i].end - left), 0, "entry %u of %u is empty", i, c->n_sent);
    cr_assert_eq(left, c->snd_nxt);
}

/* `exact`: the list was never full. Otherwise it may have forgotten, but not invented, a SACK. */
static void compare(const struct xt_conn *c, const struct model *m, bool exact)
{
    for (uint32_t o = m->una; o < m->nxt; o++) {
        unsigned i = 0;
        while ((int32_t)(xt_sent_list(c)[i].end - (UNA + o)) <= 0)
            i++;
        unsigned is = xt_sent_list(c)[i].state, want = m->state[o];
        if (exact)
            cr_assert_eq(is, want, "byte %u is %u, not %u", o, is, want);
        else if (is == XT_SENT_SACKED)
            cr_assert_eq(want, XT_SENT_SACKED, "byte %u was never SACKed", o);
    }
}

static uint32_t pick(uint32_t below)
{
    return (uint32_t)rand() % below;
}

static void step(struct xt_conn *c, struct model *m, uint64_t now, uint32_t unit, bool exact)
{
    struct tally t = {.news.seen = seen};
    uint32_t flight = m->nxt - m->una, l = m->una, r = m->nxt, want = 0;
    if (flight > 0) {
        l = m->una + pick(flight) / unit * unit;
        r = l + (1 + pick(4)) * unit;
        r = r < m->nxt ? r : m->nxt;
    }
    switch (pick(6)) {
    case 0:
    case 1: {
        uint32_t n = (1 + pick(4)) * unit;
        if (m->nxt + n > SPAN)
            return;
        xt_sent_put(c, UNA + m->nxt, UNA + m->nxt + n, now);
        memset(m->state + m->nxt, XT_SENT_FLIGHT, n);
        m->nxt += n;
        c->snd_nxt = UNA + m->nxt;
        return;
    }
    case 2: {
        if (l == r || memchr(m->state + l, XT_SENT_SACKED, r - l))
            return;
        xt_sent_put(c, UNA + l, UNA + r, now);
        memset(m->state + l, XT_SENT_AGAIN, r - l);
        return;
    }
    case 3:
        if (l == r)
            return;
        xt_sent_sack(c, UNA + l, UNA + r, &t.news);
        memset(m->state + l, XT_SENT_SACKED, r - l);
        cr_assert_eq(t.bytes, t.news.delivered);
        return;
    case 4:
        xt_sent_lose(c, XT_SENT_ALL_FLIGHT, UNA + l, UNA + r);
        for (uint32_t o = l; o < r; o++)
            m->state[o] += m->state[o] == XT_SENT_FLIGHT || m->state[o] == XT_SENT_AGAIN ? 2 : 0;
        return;
    default:
        if (pick(4) || l == m->una)
            return;
        for (uint32_t o = m->una; o < l; o++)
            want += m->state[o] != XT_SENT_SACKED;
        c->snd_una = UNA + l;
        xt_sent_ack(c, UNA + m->una, UNA + l, &t.news);
        m->una = l;
        cr_assert_eq(t.bytes, t.news.delivered);
        if (exact)
            cr_assert_eq(t.bytes, want);
    }
}

Test(sent, agrees_with_a_state_for_each_byte)
{
    unsigned lent = 0;
    srand(11);
    printf("sent: seed 11\n");
    for (int run = 0; run < 300; run++) {
        struct xt_conn c = {.snd_una = UNA, .snd_nxt = UNA};
        struct model m = {0};
        struct xt_board board;
        bool exact = true, lend = run % 2;
        uint64_t now = 1000000;
        for (int i = 0; i < 200; i++) {
            now += pick(3) * 1000;
            step(&c, &m, now, 16, exact);
            if (lend && xt_board_wanted(&c))
                xt_board_lend(&c, &board);
            else if (xt_board_spare(&c))
                cr_assert_eq(xt_board_back(&c), &board);
            exact &= c.n_sent + 2u <= xt_sent_room(&c);
            check_shape(&c);
            compare(&c, &m, exact);
        }
        lent += c.board != 0;
    }
    cr_assert_gt(lent, 20, "only %u of 150 runs ended with a board", lent);
}

/* A long flight sent bit by bit takes about sixteen entries for each round trip, never under an earlier time. */
Test(sent, a_long_flight_stays_short)
{
    struct xt_conn c = {.snd_una = 0, .snd_nxt = 0, .srtt = 16000};
    struct xt_board board;
    xt_board_lend(&c, &board);
    uint64_t now = 1000000;
    for (uint32_t i = 0; i < 1000; i++, now += 16) {
        xt_sent_put(&c, i * 100, i * 100 + 100, now);
        c.snd_nxt = i * 100 + 100;
        unsigned at = 0;
        while (xt_sent_list(&c)[at].end < c.snd_nxt)
            at++;
        cr_assert_geq(xt_sent_diff(xt_sent_list(&c)[at].tick, xt_sent_tick(now)), 0);
    }
    cr_assert_leq(c.n_sent, 20);
    cr_assert_geq(c.n_sent, 12);
}
