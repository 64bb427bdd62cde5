/* SPDX-License-Identifier: Apache-2.0
 * The life of a connection's record: made, driven, told of, freed. */
#include <errno.h>
#include <string.h>

#include "daemon/base/crash.h"
#include "daemon/base/macros.h"
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"
#include "daemon/tcp/due.h"

void xt_conn_end_time_wait(struct xt_stack *s, struct xt_conn *c)
{
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    struct xt_seg reply;
    int has_reply;
    xt_conn_after(s, c, xt_tcp_abort(c, &ctx, &reply, &has_reply));
}

/* Does it only wait for its end? In FIN_WAIT2 that of another one, who may take his time, and nobody is there to be told. */
static bool is_over(const struct xt_conn *c)
{
    return c->state == XT_TIME_WAIT || (c->state == XT_FIN_WAIT2 && (c->cflags & XT_CF_ORPHAN));
}

/* The table is full: the oldest of those that are over goes. RFC 9293 wants all of its two MSL for TIME_WAIT (MUST-13), but nobody to
 * be refused for it either; Linux keeps a bounded number of both, too (net.ipv4.tcp_max_tw_buckets). */
static void make_room(struct xt_stack *s)
{
    if (!s->over.head)
        return;
    struct xt_conn *c = &s->conns[s->over.head - 1];
    ++*(c->state == XT_TIME_WAIT ? &s->stats.time_wait_dropped : &s->stats.fin_wait2_dropped);
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    xt_timer_set_due(c, XT_TIMER_WAIT, s->now);
    xt_conn_after(s, c, xt_tcp_timer(c, &ctx));
}

static uint32_t take_index(struct xt_stack *s)
{
    if (!s->free_head && s->hdr->high_water >= s->hdr->max_conns)
        make_room(s);
    if (s->free_head) {
        uint32_t i = s->free_head - 1;
        s->free_head = s->side[i].next;
        return i;
    }
    return s->hdr->high_water < s->hdr->max_conns ? s->hdr->high_water++ : XT_NO_CONN;
}

static void give_index(struct xt_stack *s, uint32_t i)
{
    s->side[i] = (struct xt_side){.next = s->free_head};
    s->free_head = i + 1;
}

static bool is_listener(const struct xt_conn *c)
{
    return c->remote.port == 0;
}

struct xt_conn *xt_conn_new(struct xt_stack *s, const struct xt_endpoint *local, const struct xt_endpoint *remote,
                            uint32_t flags)
{
    uint32_t i = take_index(s);
    if (i == XT_NO_CONN)
        return NULL;
    struct xt_conn *c = &s->conns[i];
    uint32_t gen = c->gen + 1;
    s->side[i] = (struct xt_side){0};
    xt_tcp_init(c, local, remote, &s->cfg.tcp);
    xt_seldom_attach(c, &s->seldoms[i]);
    XT_CRASH_POINT();
    c->index = i;
    c->gen = gen ? gen : 1;
    c->listener = XT_NO_CONN;
    c->session = 0;
    c->slot = UINT32_MAX;
    c->flags = flags;
    if (!is_listener(c)) {
        struct xt_flow flow = xt_flow_of(local, remote);
        if (xt_flowmap_add(&s->flows, &flow, i) != 0) {
            c->flags = 0;
            give_index(s, i);
            return NULL;
        }
        xt_ports_conn_add(s, c);
    }
    c->flags = flags | XT_CONN_USED;
    XT_CRASH_POINT();
    return c;
}

struct xt_tcp_ctx xt_conn_ctx(struct xt_stack *s, const struct xt_conn *c)
{
    return (struct xt_tcp_ctx){.now_us = s->now,
                               .now_ms = s->now_ms,
                               .cfg = c->flags & XT_CONN_LOCAL ? &s->local_tcp : &s->cfg.tcp,
                               .stats = &s->tcp_stats,
                               .rx = s->side[c->index].rx};
}

/* The stores are seen in this order by who maps the region after this process has died: it was one thread that made them. */
struct xt_tcp_ctx xt_conn_begin(struct xt_stack *s, const struct xt_conn *c)
{
    s->undo->before = *c;
    xt_seldom_keep(&s->undo->seldom, c);
    if (c->board)
        xt_board_copy(&s->undo->board, xt_board_of(c), c);
    XT_CRASH_POINT();
    atomic_store_explicit(&s->undo->record, c->index + 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst); /* no store to the record may come before that one */
    XT_CRASH_POINT_OF(c->local.port);
    return xt_conn_ctx(s, c);
}

void xt_conn_end(struct xt_stack *s)
{
    atomic_store_explicit(&s->undo->record, 0, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst); /* what follows comes after that */
}

void xt_conn_adopt_child(struct xt_stack *s, struct xt_conn *child, uint32_t listener)
{
    struct xt_side *d = &s->side[child->index], *l = &s->side[listener];
    child->listener = listener;
    d->sib_prev = 0;
    d->sib_next = l->child;
    if (l->child)
        s->side[l->child - 1].sib_prev = child->index + 1;
    l->child = child->index + 1;
}

/* No child of its listener any more: it is open (the application knows it now) or gone. */
static void leave_listener(struct xt_stack *s, const struct xt_conn *c)
{
    struct xt_side *d = &s->side[c->index];
    if (c->listener == XT_NO_CONN)
        return;
    if (d->sib_next)
        s->side[d->sib_next - 1].sib_prev = d->sib_prev;
    if (d->sib_prev)
        s->side[d->sib_prev - 1].sib_next = d->sib_next;
    else if (s->side[c->listener].child == c->index + 1)
        s->side[c->listener].child = d->sib_next;
    d->sib_prev = d->sib_next = 0;
}

/* Connections that were not open yet end with their listener: nobody would ever accept them. */
static void end_listener(struct xt_stack *s, struct xt_conn *l)
{
    xt_ports_listener_remove(s, l);
    while (s->side[l->index].child) {
        struct xt_conn *child = &s->conns[s->side[l->index].child - 1];
        leave_listener(s, child);
        xt_stack_abort(s, child, s->now);
    }
}

/* Nobody holds it, and it keeps memory for as long as its peer likes to acknowledge nothing. */
static void count_orphan(struct xt_stack *s, const struct xt_conn *c)
{
    bool waits = c->state == XT_FIN_WAIT1 || c->state == XT_CLOSING || c->state == XT_LAST_ACK;
    bool orphan = waits && (c->cflags & XT_CF_ORPHAN);
    s->norphans += orphan;
    s->norphans -= s->side[c->index].orphan;
    s->side[c->index].orphan = orphan;
}

static void end(struct xt_stack *s, struct xt_conn *c, uint32_t events)
{
    uint32_t i = c->index;
    s->norphans -= s->side[i].orphan;
    xt_wheel_cancel(&s->wheel, i);
    xt_list_remove(s, i);
    if (is_listener(c)) {
        end_listener(s, c);
    } else {
        xt_flowmap_remove(&s->flows, i);
        xt_ports_conn_remove(s, c);
        leave_listener(s, c);
    }
    XT_CRASH_POINT();
    s->ops.event(s->ops.arg, c, events);
    XT_CRASH_POINT();
    xt_board_end(s, c);
    if (xt_seldom_begun(c))
        xt_sparse_seldom(s, i);
    c->flags = 0;
    XT_CRASH_POINT();
    give_index(s, i);
}

void xt_conn_ready(struct xt_stack *s, struct xt_conn *c)
{
    if (s->side[c->index].list == XT_LIST_OVER)
        xt_list_remove(s, c->index);
    if (s->side[c->index].list == XT_LIST_NONE)
        xt_list_append(s, &s->ready, XT_LIST_READY, c->index);
}

void xt_conn_rests(struct xt_stack *s, const struct xt_conn *c)
{
    if (is_over(c) && s->side[c->index].list == XT_LIST_NONE)
        xt_list_append(s, &s->over, XT_LIST_OVER, c->index);
}

/* Tells of the events; false when the record is gone, be it by what the application did when told. */
static bool tell(struct xt_stack *s, struct xt_conn *c, uint32_t events)
{
    uint32_t gen = c->gen;
    if ((c->fo & XT_FO_PENDING) && c->state != XT_SYN_RECV)
        xt_fastopen_left(s, c);
    if (events & XT_EV_CLOSED) {
        end(s, c, events & ~(uint32_t)(XT_EV_ACK_NOW | XT_EV_ADVISE));
        return false;
    }
    const uint32_t other_state = XT_EV_CONNECTED | XT_EV_FASTOPEN | XT_EV_STATE | XT_EV_TIME_WAIT;
    if ((events & other_state) && c->listener != XT_NO_CONN && (c->state != XT_SYN_RECV || (c->fo & XT_FO_CHILD)))
        leave_listener(s, c);
    if (events & XT_EV_CONNECTED)
        xt_overload_met(s, c);
    if (events & XT_EV_ACK_NOW)
        xt_out_conn(s, c);
    if (events & XT_EV_ADVISE)
        xt_arp_doubt(s, s->side[c->index].nexthop, s->side[c->index].neigh);
    events &= ~(uint32_t)(XT_EV_ACK_NOW | XT_EV_ADVISE);
    if (events)
        s->ops.event(s->ops.arg, c, events);
    return c->gen == gen && (c->flags & XT_CONN_USED);
}

static bool after(struct xt_stack *s, struct xt_conn *c, uint32_t events, uint64_t earliest)
{
    XT_CRASH_POINT_OF(c->local.port);
    xt_conn_end(s);
    XT_CRASH_POINT();
    if (!tell(s, c, events))
        return false;
    count_orphan(s, c);
    uint64_t deadline = xt_tcp_deadline(c, s->now);
    xt_wheel_set(&s->wheel, c->index, XT_MAX(deadline, earliest));
    if (xt_tcp_wants_output(c))
        xt_conn_ready(s, c);
    xt_conn_rests(s, c);
    return true;
}

bool xt_conn_after(struct xt_stack *s, struct xt_conn *c, uint32_t events)
{
    return after(s, c, events, 0);
}

void xt_conn_after_timer(struct xt_stack *s, struct xt_conn *c, uint32_t events)
{
    after(s, c, events, s->now + 1);
}

void xt_conn_fail(struct xt_stack *s, struct xt_conn *c, int err)
{
    struct xt_seg reply;
    int has_reply;
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    uint32_t ev = xt_tcp_abort(c, &ctx, &reply, &has_reply);
    c->err = err;
    xt_conn_after(s, c, ev | XT_EV_ERROR | XT_EV_CLOSED);
}

/* RFC 6191 from the other side: with time stamps, and a second after the end, what is left of the old connection in the
 * network or at the peer cannot be taken for the new one's. */
bool xt_conn_may_recycle(const struct xt_stack *s, uint32_t i)
{
    const struct xt_conn *c = &s->conns[i];
    return c->state == XT_TIME_WAIT && (c->opts & XT_OPT_TS) &&
           xt_tcp_deadline(c, s->now) + XT_US_PER_S <= s->now + 2 * s->cfg.tcp.msl;
}

uint32_t xt_conn_recycle(struct xt_stack *s, uint32_t i)
{
    struct xt_conn *c = &s->conns[i];
    uint32_t floor = c->snd_nxt + 65537; /* beyond any window without scaling that the peer may still remember */
    s->stats.time_wait_recycled++;
    xt_conn_end_time_wait(s, c);
    return floor;
}

/* Enters the record of an earlier stack into all that is private. */
static int revive(struct xt_stack *s, struct xt_conn *c)
{
    struct xt_flow flow = xt_flow_of(&c->local, &c->remote);
    if (is_listener(c)) {
        xt_ports_listener_add(s, c);
    } else {
        if (xt_flowmap_add(&s->flows, &flow, c->index) != 0)
            return -EPROTO;
        if (!xt_board_claim(s, c)) {
            xt_flowmap_remove(&s->flows, c->index);
            return -EPROTO;
        }
        xt_ports_conn_add(s, c);
        if (c->state == XT_SYN_RECV && !(c->fo & XT_FO_CHILD) && c->listener < s->hdr->high_water &&
            s->conns[c->listener].state == XT_LISTEN)
            xt_conn_adopt_child(s, c, c->listener);
    }
    if (c->state >= XT_ESTABLISHED)
        xt_overload_met(s, c);
    xt_conn_after(s, c, 0);
    return 0;
}

static void put_back(const struct xt_stack *s, struct xt_conn *c, const struct xt_undo *u)
{
    *c = u->before;
    xt_seldom_put_back(c, &s->seldoms[c - s->conns], &u->seldom);
    if (c->board && xt_board_is_one(s, c))
        xt_board_copy(xt_board_of(c), &u->board, c);
}

/* What is not taken over. The application finds the reason in the record; the peer gets a reset for what it sends next. */
static void drop(struct xt_conn *c)
{
    c->state = XT_CLOSED;
    c->err = ECONNABORTED;
}

/* The last stack process has crashed while it changed record `i` (index plus 1; 0: none). Was that once too often? */
static bool is_deadly(struct xt_stack *s, uint32_t i)
{
    struct xt_undo *u = s->undo;
    uint32_t gen = i ? s->conns[i - 1].gen : 0;
    bool same = i && u->suspect == i && u->suspect_gen == gen;
    u->deaths = same ? u->deaths + 1 : i != 0;
    u->suspect = i;
    u->suspect_gen = gen;
    return u->deaths >= XT_QUARANTINE;
}

/* The change that the last stack process was in the middle of. */
static void undo(struct xt_stack *s)
{
    uint32_t i = atomic_load(&s->undo->record);
    if (i > s->hdr->high_water)
        i = 0;
    if (i)
        put_back(s, &s->conns[i - 1], s->undo);
    if (i == 0)
        i = atomic_load(&s->undo->reviving);
    if (i > s->hdr->high_water)
        i = 0;
    if (s->cfg.crashed && is_deadly(s, i)) {
        drop(&s->conns[i - 1]);
        s->undo->quarantined++;
        s->undo->deaths = s->undo->suspect = 0;
    }
    s->stats.quarantined = s->undo->quarantined;
    xt_conn_end(s);
}

static bool is_sound(const struct xt_stack *s, const struct xt_conn *c, uint32_t i)
{
    if (c->index != i || is_listener(c) != (c->state == XT_LISTEN) || !xt_seldom_is_at(c, &s->seldoms[i]) ||
        !xt_board_is_one(s, c) || !xt_tcp_is_sound(c))
        return false;
    return (c->listener == XT_NO_CONN || c->listener < s->hdr->high_water) &&
           (!c->ip_optlen || s->ipopts[i].o.len == c->ip_optlen);
}

/* Free, or closed when its application was not told any more, or one that cannot be. */
static bool is_alive(struct xt_stack *s, struct xt_conn *c, uint32_t i)
{
    if (!(c->flags & XT_CONN_USED) || c->state == XT_CLOSED)
        return false;
    atomic_store_explicit(&s->undo->reviving, i + 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    if (is_sound(s, c, i) && revive(s, c) == 0)
        return true;
    drop(c);
    s->stats.records_bad++;
    return false;
}

void xt_conn_rebuild(struct xt_stack *s)
{
    undo(s);
    for (uint32_t i = s->hdr->high_water; i-- > 0;) {
        struct xt_conn *c = &s->conns[i];
        if (!is_alive(s, c, i)) {
            c->flags = 0;
            c->index = i;
            give_index(s, i);
            xt_sparse_seldom(s, i);
        }
    }
    atomic_store(&s->undo->reviving, 0);
    xt_boards_rebuild(s);
    xt_fastopen_rebuild(s);
}
