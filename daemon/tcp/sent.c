/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/sent.h"

#include <string.h>

#include "daemon/tcp/seq.h"

static void erase(struct xt_conn *c, unsigned i, unsigned n)
{
    if (i + n < c->n_sent)
        memmove(&xt_sent_list(c)[i], &xt_sent_list(c)[i + n], (c->n_sent - i - n) * sizeof(struct xt_flight));
    c->n_sent = (uint8_t)(c->n_sent - n);
}

/* Makes room for one more by joining the two neighbours of one state that left closest to each other. */
static bool compact(struct xt_conn *c)
{
    unsigned best = 0;
    int32_t least = INT32_MAX;
    for (unsigned i = 0; i + 1 < c->n_sent; i++) {
        if (xt_sent_list(c)[i].state != xt_sent_list(c)[i + 1].state)
            continue;
        int32_t d = xt_sent_diff(xt_sent_list(c)[i + 1].tick, xt_sent_list(c)[i].tick);
        d = d < 0 ? -d : d;
        if (d < least) {
            least = d;
            best = i;
        }
    }
    if (least == INT32_MAX)
        return false;
    if (xt_sent_diff(xt_sent_list(c)[best].tick, xt_sent_list(c)[best + 1].tick) > 0)
        xt_sent_list(c)[best + 1].tick = xt_sent_list(c)[best].tick;
    erase(c, best, 1);
    return true;
}

/* The entry that holds `seq`; n_sent when it lies beyond the end. */
static unsigned find(const struct xt_conn *c, uint32_t seq)
{
    unsigned i = 0;
    while (i < c->n_sent && xt_seq_le(xt_sent_list(c)[i].end, seq))
        i++;
    return i;
}

/* Room for two boundaries more, as far as that can be had. Before the first of them is drawn: it would look like two
 * neighbours that may be joined. */
static void reserve(struct xt_conn *c)
{
    while (c->n_sent + 2u > xt_sent_room(c) && compact(c))
        ;
}

/* Sees to it that a stretch begins at `seq`. False when the list is full: it does not. */
static bool split(struct xt_conn *c, uint32_t seq)
{
    unsigned i = find(c, seq);
    if (i == c->n_sent || xt_seq_ge(xt_sent_left(c, i), seq))
        return true;
    if (c->n_sent == xt_sent_room(c))
        return false;
    memmove(&xt_sent_list(c)[i + 1], &xt_sent_list(c)[i], (c->n_sent - i) * sizeof(struct xt_flight));
    xt_sent_list(c)[i].end = seq;
    c->n_sent++;
    return true;
}

/* New data, at the end. */
static void append(struct xt_conn *c, uint32_t right, uint32_t tick)
{
    unsigned n = c->n_sent;
    struct xt_flight *last = n > 0 ? &xt_sent_list(c)[n - 1] : NULL;
    if (last && last->state == XT_SENT_FLIGHT) {
        /* The stretch before tells when this one began. */
        bool close = n > 1 && last[-1].state == XT_SENT_FLIGHT &&
                     (uint32_t)xt_sent_diff(tick, last[-1].tick) < c->srtt / XT_SENT_JOIN_PART;
        if (close || last->tick == tick) {
            last->end = right;
            last->tick = tick & 0x1fffffff;
            return;
        }
    }
    if (last && n == xt_sent_room(c) && !compact(c)) {
        /* The last one is SACKed or sent again, which is not known of what joins it. */
        last->end = right;
        last->tick = tick & 0x1fffffff;
        last->state = XT_SENT_AGAIN;
        return;
    }
    xt_sent_list(c)[c->n_sent++] = (struct xt_flight){.end = right, .tick = tick & 0x1fffffff, .state = XT_SENT_FLIGHT};
}

/* [left, to), all of it in the list. */
static __attribute__((noinline)) void put_again(struct xt_conn *c, uint32_t left, uint32_t to, uint32_t tick)
{
    reserve(c);
    split(c, left);
    split(c, to);
    unsigned i = find(c, left), j = i;
    while (j + 1 < c->n_sent && xt_seq_lt(xt_sent_list(c)[j].end, to))
        j++;
    xt_sent_list(c)[j].tick = tick & 0x1fffffff;
    xt_sent_list(c)[j].state = XT_SENT_AGAIN;
    erase(c, i, j - i);
}

void xt_sent_put(struct xt_conn *c, uint32_t left, uint32_t right, uint64_t now_us)
{
    uint32_t tick = xt_sent_tick(now_us), end = c->n_sent > 0 ? xt_sent_list(c)[c->n_sent - 1].end : left;
    if (xt_seq_lt(left, end))
        put_again(c, left, xt_seq_min(right, end), tick);
    if (xt_seq_gt(right, end) || c->n_sent == 0)
        append(c, right, tick);
}

void xt_sent_ack(struct xt_conn *c, uint32_t una, uint32_t ack, struct xt_sent_news *news)
{
    unsigned i = 0;
    uint32_t left = una;
    for (; i < c->n_sent && xt_seq_lt(left, ack); i++) {
        const struct xt_flight *s = &xt_sent_list(c)[i];
        uint32_t end = xt_seq_min(s->end, ack);
        if (s->state != XT_SENT_SACKED) {
            news->delivered += end - left;
            news->seen(news, s, end - left, end);
        }
        left = s->end;
        if (xt_seq_gt(s->end, ack))
            break;
    }
    erase(c, 0, i);
}

/* Neighbours at or around entry `i` that are SACKed become one. */
static void join_sacked(struct xt_conn *c, unsigned i)
{
    while (i + 1 < c->n_sent && xt_sent_list(c)[i + 1].state == XT_SENT_SACKED)
        erase(c, i, 1);
    while (i > 0 && xt_sent_list(c)[i - 1].state == XT_SENT_SACKED)
        erase(c, --i, 1);
}

void xt_sent_sack(struct xt_conn *c, uint32_t left, uint32_t right, struct xt_sent_news *news)
{
    for (unsigned i = find(c, left); i < c->n_sent && xt_seq_lt(left, right); i = find(c, left)) {
        uint32_t end = xt_seq_min(xt_sent_list(c)[i].end, right);
        if (xt_sent_list(c)[i].state != XT_SENT_SACKED) {
            reserve(c);
            end = xt_seq_min(xt_sent_list(c)[find(c, left)].end, right);
            if (!split(c, left) || !split(c, end))
                return;
            i = find(c, left);
            struct xt_flight *s = &xt_sent_list(c)[i];
            news->delivered += end - left;
            news->seen(news, s, end - left, end);
            s->state = XT_SENT_SACKED;
            join_sacked(c, i);
        }
        left = end;
    }
}

uint32_t xt_sent_lose(struct xt_conn *c, unsigned states, uint32_t left, uint32_t right)
{
    uint32_t bytes = 0;
    if (!xt_seq_lt(left, right))
        return 0;
    reserve(c);
    split(c, left);
    split(c, right);
    for (unsigned i = find(c, left); i < c->n_sent && xt_seq_lt(xt_sent_left(c, i), right); i++) {
        struct xt_flight *s = &xt_sent_list(c)[i];
        if (!(states & XT_SENT_ALL_FLIGHT & XT_SENT_BIT(s->state)))
            continue;
        s->state = s->state == XT_SENT_FLIGHT ? XT_SENT_LOST : XT_SENT_LOST_AGAIN;
        bytes += s->end - xt_sent_left(c, i);
    }
    return bytes;
}

void xt_sent_unlose(struct xt_conn *c)
{
    for (unsigned i = 0; i < c->n_sent; i++) {
        if (xt_sent_list(c)[i].state == XT_SENT_LOST)
            xt_sent_list(c)[i].state = XT_SENT_FLIGHT;
        else if (xt_sent_list(c)[i].state == XT_SENT_LOST_AGAIN)
            xt_sent_list(c)[i].state = XT_SENT_AGAIN;
    }
}

void xt_sent_unsack(struct xt_conn *c)
{
    for (unsigned i = 0; i < c->n_sent; i++)
        if (xt_sent_list(c)[i].state == XT_SENT_SACKED)
            xt_sent_list(c)[i].state = XT_SENT_AGAIN; /* it may have been, and no conclusion is to be drawn from it */
}

uint32_t xt_sent_bytes(const struct xt_conn *c, unsigned states)
{
    uint32_t sum = 0, left = c->snd_una;
    for (unsigned i = 0; i < c->n_sent; left = xt_sent_list(c)[i++].end)
        if (states & XT_SENT_BIT(xt_sent_list(c)[i].state))
            sum += xt_sent_list(c)[i].end - left;
    return sum;
}

bool xt_sent_find(const struct xt_conn *c, unsigned states, uint32_t from, uint32_t *left, uint32_t *right)
{
    unsigned i = find(c, from);
    while (i < c->n_sent && !(states & XT_SENT_BIT(xt_sent_list(c)[i].state)))
        i++;
    if (i == c->n_sent)
        return false;
    *left = xt_seq_max(from, xt_sent_left(c, i));
    while (i + 1 < c->n_sent && (states & XT_SENT_BIT(xt_sent_list(c)[i + 1].state)))
        i++;
    *right = xt_sent_list(c)[i].end;
    return true;
}

bool xt_sent_is_sacked(const struct xt_conn *c, uint32_t seq)
{
    unsigned i = find(c, seq);
    return i < c->n_sent && xt_sent_list(c)[i].state == XT_SENT_SACKED;
}

uint32_t xt_sent_sack_top(const struct xt_conn *c)
{
    for (unsigned i = c->n_sent; i-- > 0;)
        if (xt_sent_list(c)[i].state == XT_SENT_SACKED)
            return xt_sent_list(c)[i].end;
    return c->snd_una;
}
