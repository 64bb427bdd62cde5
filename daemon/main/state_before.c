/* SPDX-License-Identifier: Apache-2.0
 * A state memfd of the release before. Whether a record can be is asked of the new one (tcp/sound.c), as of any that is kept; what is
 * read here to find the way is checked here. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/crash.h"
#include "daemon/main/kept.h"
#include "daemon/main/layout.h"
#include "daemon/main/layout_before.h"
#include "daemon/stack/stack.h"
#include "daemon/tcp/board.h"
#include "daemon/tcp/due.h"

#define NO_BOARD_AT_ALL 1 /* as a distance: the record that says so is refused */

struct xt_tcp_sockopt xt_sockopt_read_before(const struct xt_tcp_sockopt_before *o)
{
    return (struct xt_tcp_sockopt){
        .nodelay = o->nodelay,
        .cork = o->cork,
        .keepalive = o->keepalive,
        .recverr = o->recverr,
        .fragment = o->fragment,
        .quickack = o->quickack,
        .tos = o->tos,
        .ttl = o->ttl,
        .min_ttl = o->min_ttl,
        .keep_cnt = o->keep_cnt,
        .cc = o->cc,
        .defer = o->defer,
        .syn_retries = o->syn_retries,
        .keep_idle = (uint16_t)o->keep_idle,
        .keep_intvl = (uint16_t)o->keep_intvl,
        .linger2 = (uint16_t)o->linger2, /* XT_LINGER2_NONE was all ones, too */
        .user_timeout = o->user_timeout,
        .window_clamp = o->window_clamp,
        .pacing_max = o->pacing_max,
    };
}

/* Fields from `first` to `last` are the same in both, and nothing else stands between them. */
#define SAME(to, from, first, last)                                                                             \
    do {                                                                                                        \
        const size_t len = offsetof(struct xt_conn, last) + sizeof(to)->last - offsetof(struct xt_conn, first); \
        static_assert(offsetof(struct xt_conn, last) - offsetof(struct xt_conn, first) ==                       \
                              offsetof(struct xt_conn_before, last) - offsetof(struct xt_conn_before, first) && \
                          sizeof(to)->last == sizeof(from)->last,                                               \
                      #first " to " #last);                                                                     \
        memcpy(&(to)->first, &(from)->first, len);                                                              \
    } while (0)

static void read_timers(struct xt_conn *to, const struct xt_conn_before *from)
{
    for (unsigned t = 0; t < XT_TIMERS; t++)
        if (from->timer[t])
            xt_timer_set(to, t, from->timer[t]);
}

static void read_numbers(struct xt_conn *to, const struct xt_conn_before *from)
{
    SAME(to, from, index, tx_size);
    to->opt = xt_sockopt_read_before(&from->opt);
    read_timers(to, from);
    to->pace_next = (uint32_t)from->pace_next;
    to->urg = (uint8_t)((from->rx_urg ? XT_URG_RX : 0) | (from->tx_urg ? XT_URG_TX : 0));
    if (from->rtt_start)
        to->rtt_start = (uint32_t)from->rtt_start ? (uint32_t)from->rtt_start : UINT32_MAX;
    to->segs_out = (uint32_t)from->segs_out;
    to->segs_in = (uint32_t)from->segs_in;
    SAME(to, from, iss, recover);
    SAME(to, from, rack_tick, rack_fack);
    to->tlp_end = from->tlp_end;
    SAME(to, from, srtt, rtt_seq);
    SAME(to, from, data_rcv_ms, t_progress_ms);
    to->cflags = from->cflags;
    SAME(to, from, mss_local, dupacks);
    SAME(to, from, pending, challenged);
    SAME(to, from, ooo_acks, reo_persist);
    SAME(to, from, ecn, cc);
    to->dupthresh = from->dupthresh;
    to->ip_optlen = from->ip_optlen;
}

/* What is in flight counts as full segments. */
static uint32_t in_flight(const struct xt_conn_before *c)
{
    return c->n_sent && c->mss_eff ? (c->snd_nxt - c->snd_una + c->mss_eff - 1) / c->mss_eff : 0;
}

static void read_tally(struct xt_tally *to, const struct xt_conn_before *c)
{
    const struct xt_tally_before *from = &c->tally;
    to->data_segs_in = from->data_segs_in;
    to->data_segs_out = from->data_segs_out;
    to->segs_once = from->delivered + in_flight(c);
    to->busy_since_ms = from->busy_since_ms;
    to->busy_ms = from->busy_ms;
    to->rto_since_ms = from->rto_since_ms;
    to->rate_bytes = from->rate_bytes;
    to->rate_us = from->rate_us;
    to->busy = from->busy;
    to->rate_limited = from->rate_limited;
}

static void read_rate(struct xt_rate *to, const struct xt_rate_before *from)
{
    to->delivered = from->delivered;
    to->delivered_us = from->delivered_us;
    to->first_us = from->first_us;
    to->last_end = from->last_end;
    to->limited_until = from->limited_until;
    to->n = from->n;
    to->limited = from->limited;
    to->mark_limited = from->mark_limited;
    to->mark_again = from->mark_again;
}

static void read_seldom(struct xt_seldom *to, const struct xt_conn_before *from)
{
    memcpy(&to->ccs, &from->ccs, sizeof to->ccs);
    static_assert(sizeof to->ccs == sizeof from->ccs, "ccs");
    to->bytes_retrans = from->bytes_retrans;
    to->rx_urg = from->rx_urg;
    to->tx_urg = from->tx_urg;
    to->dsack = from->dsack;
    to->retrans = from->retrans;
    to->prr_fs = from->prr_fs;
    to->prr_delivered = from->prr_delivered;
    to->prr_out = from->prr_out;
    to->undo_cwnd = from->undo_cwnd;
    to->undo_ssthresh = from->undo_ssthresh;
    to->rxt_ms = from->rxt_ms;
    to->reo_round = from->reo_round;
    to->ecn_recover = from->ecn_recover;
    to->probe_ms = from->probe_ms;
    to->challenge_ms = from->challenge_ms;
    to->pmtu_ms = from->pmtu_ms;
    to->probe_end = from->probe_end;
    to->undo_rtx = from->undo_rtx;
    to->tally = (struct xt_tally_seldom){.delivered_ce = from->tally.delivered_ce,
                                         .dsacks = from->tally.dsacks,
                                         .reord_seen = from->tally.reord_seen,
                                         .ooo_segs = from->tally.ooo_segs,
                                         .rwnd_ms = from->tally.rwnd_ms,
                                         .sndbuf_ms = from->tally.sndbuf_ms,
                                         .rto_ms = from->tally.rto_ms,
                                         .rtos = from->tally.rtos,
                                         .rto_spells = from->tally.rto_spells,
                                         .reordering = from->tally.reordering};
}

struct regions {
    uint8_t *from, *to;
    struct xt_state_places a, b;
};

/* Where in ours the parts of record `i` are. */
struct parts {
    struct xt_conn *conn;
    struct xt_seldom *seldom;
    struct xt_board *board;
};

static struct parts parts_of(const struct regions *r, uint32_t i)
{
    return (struct parts){(struct xt_conn *)(void *)(r->to + r->b.records) + i,
                          (struct xt_seldom *)(void *)(r->to + r->b.seldoms) + i,
                          (struct xt_board *)(void *)(r->to + r->b.boards) + i};
}

/* The board that record `i` says it has. NULL: there is none. */
static const struct xt_board_before *old_board(const struct regions *r, const struct xt_conn_before *c, uint32_t i)
{
    size_t off = r->a.records + i * sizeof *c + (size_t)c->board - r->a.boards;
    if (off >= r->a.ipopts - r->a.boards || off % sizeof(struct xt_board_before) != 0 ||
        off + sizeof(struct xt_board_before) > r->a.ipopts - r->a.boards)
        return NULL;
    return (const struct xt_board_before *)(const void *)(r->from + r->a.boards + off);
}

static bool lists_fit(const struct xt_conn_before *c)
{
    return c->n_sent <= (c->board ? XT_SENT_BOARD_BEFORE : XT_SENT_BEFORE) &&
           c->n_ooo <= (c->board ? XT_OOO_BOARD_BEFORE : XT_OOO_BEFORE) && c->n_recent <= XT_RECENT_BEFORE &&
           c->n_seam <= XT_SEAM_BEFORE && c->rate.n <= XT_MARKS_BEFORE;
}

static bool lists_are_short(const struct xt_conn *c)
{
    return c->n_sent <= XT_SENT_MAX && c->n_ooo <= XT_OOO_MAX && c->n_recent <= XT_RECENT_MAX &&
           c->n_seam <= XT_SEAM_MAX && c->rate.n <= XT_MARK_MAX;
}

/* Lists stand in the record, or else on `board`: there is one for each record. */
static void read_lists(struct xt_conn *to, struct xt_board *board, const struct xt_conn_before *from,
                       const struct xt_flight *sent, const struct xt_range *ooo)
{
    to->n_sent = from->n_sent;
    to->n_ooo = from->n_ooo;
    to->n_recent = from->n_ooo ? from->n_recent : 0;
    to->n_seam = from->n_seam;
    bool fit = lists_are_short(to);
    memcpy(fit ? to->sent : board->sent, sent, to->n_sent * sizeof *sent);
    memcpy(fit ? to->ooo : board->ooo, ooo, to->n_ooo * sizeof *ooo);
    memcpy(fit ? to->recent : board->recent, from->sack_recent, to->n_recent * sizeof *to->recent);
    memcpy(fit ? to->seam : board->seam, from->seam, to->n_seam * sizeof *to->seam);
    memcpy(fit ? to->mark : board->mark, from->rate.mark, to->rate.n * sizeof *to->mark);
}

static bool is_zero(const uint8_t *p, size_t n)
{
    while (n && !p[n - 1])
        n--;
    return n == 0;
}

/* All of one record, to `to`; parts of it lie, or will lie, at `at`. `old`: what stands on its board. */
static void read_record(struct parts to, struct parts at, const struct xt_conn_before *from,
                        const struct xt_board_before *old)
{
    struct xt_conn *c = to.conn;
    struct xt_seldom seldom = {0};
    read_numbers(c, from);
    read_tally(&c->tally, from);
    read_rate(&c->rate, &from->rate);
    c->seldom = xt_seldom_distance(at.conn, at.seldom);
    if (from->state == XT_LISTEN)
        c->fo_listen = from->fo_listen;
    else if (from->state < XT_ESTABLISHED && from->n_ooo == 0)
        c->fo_cookie = from->fo_cookie;
    read_seldom(&seldom, from);
    c->has_seldom = !is_zero((const uint8_t *)&seldom, sizeof seldom);
    if (c->has_seldom)
        *to.seldom = seldom;
    if (!lists_fit(from) || (from->board && !old) || (from->board && from->state == XT_LISTEN)) {
        c->board = NO_BOARD_AT_ALL;
    } else if (from->state != XT_LISTEN) {
        read_lists(c, to.board, from, old ? old->sent : from->sent, old ? old->ooo : from->ooo);
        c->board = lists_are_short(c) ? 0 : xt_board_distance(at.conn, at.board);
    }
}

/* The copy of the record that was being changed. */
static void read_undo(const struct regions *r, uint32_t high_water)
{
    const uint8_t *from = r->from + r->a.undo;
    struct xt_undo *to = (struct xt_undo *)(void *)(r->to + r->b.undo);
    memcpy(to, from, offsetof(struct xt_undo, before));
    uint32_t i = atomic_load(&to->record);
    if (i == 0 || i > high_water)
        return;
    const struct xt_conn_before *c = (const void *)(from + offsetof(struct xt_undo, before));
    const struct xt_board_before *board = (const void *)(c + 1);
    struct parts copy = {&to->before, &to->seldom.was, &to->board};
    read_record(copy, parts_of(r, i - 1), c, c->board && old_board(r, c, i - 1) ? board : NULL);
}

static void read_stack(const struct regions *r)
{
    const struct xt_state_hdr *h = (const struct xt_state_hdr *)(const void *)r->from;
    read_undo(r, h->high_water);
    const struct xt_conn_before *c = (const void *)(r->from + r->a.records);
    for (uint32_t i = 0; i < h->high_water; i++)
        read_record(parts_of(r, i), parts_of(r, i), &c[i], c[i].board ? old_board(r, &c[i], i) : NULL);
    XT_CRASH_POINT();
    memcpy(r->to + r->b.ipopts, r->from + r->a.ipopts, (r->a.end - r->a.ipopts) / h->max_conns * h->high_water);
    struct xt_state_hdr *out = (struct xt_state_hdr *)(void *)r->to;
    *out = *h;
    out->version = XT_STATE_VERSION;
    out->record_size = sizeof(struct xt_conn);
    out->board_size = sizeof(struct xt_board);
    out->records_off = (uint32_t)r->b.records;
}

/* The start that this is counts in both: should the old one be gone back to, programs see that it is yet another. */
static void read_page(struct xt_kept *to, const struct xt_kept *from)
{
    uint64_t size = to->page->size;
    *to->page = *from->page;
    to->page->size = size;
    to->page->epoch--; /* xt_kept_open() counts */
}

struct xt_state_places xt_state_places_before(uint32_t max_conns)
{
    struct xt_state_sizes sizes = {.undo = offsetof(struct xt_undo, before) + sizeof(struct xt_conn_before) +
                                           sizeof(struct xt_board_before),
                                   .record = sizeof(struct xt_conn_before),
                                   .board = sizeof(struct xt_board_before),
                                   .max_conns = max_conns,
                                   .boards = xt_board_count_before(max_conns)};
    return xt_stack_places(&sizes);
}

/* How many stacks of so many connections there are in a memfd of such a size; 0: it is another one. */
static uint32_t shards_of(int fd, uint32_t max_conns)
{
    struct stat sb;
    uint32_t n = fstat(fd, &sb) < 0 ? 0 : XT_CREW_MAX;
    while (n && (uint64_t)sb.st_size != XT_KEPT_PAGE + xt_layout_state_size(1, max_conns, n))
        n--;
    return n;
}

static bool is_readable(const struct xt_state_hdr *h)
{
    return h->max_conns && h->max_conns < XT_NO_CONN && h->high_water <= h->max_conns &&
           h->board_size == sizeof(struct xt_board_before);
}

/* Of each shard's stack, but for one that never began. */
static int read_stacks(const struct xt_kept *from, const struct xt_kept *to, uint32_t max_conns, uint32_t shards)
{
    struct xt_state_sizes sizes = xt_stack_sizes(max_conns);
    struct regions r = {.a = xt_state_places_before(max_conns), .b = xt_stack_places(&sizes)};
    for (uint32_t k = 0; k < shards; k++) {
        r.from = (uint8_t *)from->stack + k * (xt_layout_state_size(1, max_conns, shards) / shards);
        r.to = (uint8_t *)to->stack + k * (xt_layout_state_size(0, max_conns, shards) / shards);
        const struct xt_state_hdr *h = (const struct xt_state_hdr *)(const void *)r.from;
        if (h->magic == 0)
            continue;
        if (!is_readable(h) || h->max_conns != max_conns)
            return -EPROTO;
        read_stack(&r);
    }
    return 0;
}

int xt_state_read_before(int fd)
{
    struct xt_state_hdr h;
    struct xt_kept from, to;
    char err[256];
    if (pread(fd, &h, sizeof h, XT_KEPT_PAGE) != (ssize_t)sizeof h || !is_readable(&h))
        return -EPROTO;
    uint32_t shards = shards_of(fd, h.max_conns);
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return -errno;
    int rc = xt_kept_open(&from, own, xt_layout_state_size(1, h.max_conns, shards), err, sizeof err);
    if (rc < 0)
        return rc;
    rc = xt_kept_new(&to, xt_layout_state_size(0, h.max_conns, shards));
    if (rc == 0) {
        read_page(&to, &from);
        rc = read_stacks(&from, &to, h.max_conns, shards);
        if (rc == 0 && (rc = fcntl(to.fd, F_DUPFD_CLOEXEC, 0)) < 0)
            rc = -errno;
        xt_kept_close(&to);
    }
    xt_kept_close(&from);
    return rc;
}
