/* SPDX-License-Identifier: Apache-2.0
 * A state memfd of the release before. Whether a record can be is asked of the new one (tcp/sound.c), as of any that is kept; what is
 * read here to find the way is checked here. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/crash.h"
#include "daemon/main/kept.h"
#include "daemon/main/layout.h"
#include "daemon/main/layout_before.h"
#include "daemon/stack/stack.h"
#include "daemon/tcp/board.h"

#define NO_BOARD_AT_ALL 1 /* as a distance: the record that says so is refused */

/* Fields from `first` up to before `end` are the same in both. */
#define SAME(to, from, first, end)                                                                             \
    do {                                                                                                       \
        static_assert(offsetof(struct xt_conn, end) - offsetof(struct xt_conn, first) ==                       \
                          offsetof(struct xt_conn_before, end) - offsetof(struct xt_conn_before, first),       \
                      #first " to " #end);                                                                     \
        memcpy(&(to)->first, &(from)->first, offsetof(struct xt_conn, end) - offsetof(struct xt_conn, first)); \
    } while (0)

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

static void read_record(struct xt_conn *to, const struct xt_conn_before *from)
{
    SAME(to, from, index, opt);
    to->opt = xt_sockopt_read_before(&from->opt);
    SAME(to, from, timer, ccs);
    memcpy(&to->ccs, &from->ccs, sizeof to->ccs);
}

struct regions {
    uint8_t *from, *to;
    struct xt_state_places a, b;
};

static size_t place_of(const struct xt_state_places *p, uint32_t i, size_t record)
{
    return p->records + i * record;
}

/* A record says how far away its board is, and all distances change. With `copy` what stands on it comes, too. */
static void read_board(const struct regions *r, struct xt_conn *c, uint32_t i, bool copy)
{
    size_t was = place_of(&r->a, i, sizeof(struct xt_conn_before)), is = place_of(&r->b, i, sizeof(struct xt_conn));
    size_t off = was + (size_t)c->board - r->a.boards;
    if (!c->board)
        return;
    if (off >= r->a.ipopts - r->a.boards || off % sizeof(struct xt_board) != 0 ||
        off + sizeof(struct xt_board) > r->a.ipopts - r->a.boards) {
        c->board = NO_BOARD_AT_ALL;
        return;
    }
    if (copy)
        memcpy(r->to + r->b.boards + off, r->from + r->a.boards + off, sizeof(struct xt_board));
    c->board = (int64_t)(r->b.boards + off) - (int64_t)is;
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
    from += offsetof(struct xt_undo, before);
    read_record(&to->before, (const struct xt_conn_before *)(const void *)from);
    read_board(r, &to->before, i - 1, false);
    memcpy(&to->board, from + sizeof(struct xt_conn_before), sizeof to->board);
}

static void read_stack(const struct regions *r)
{
    const struct xt_state_hdr *h = (const struct xt_state_hdr *)(const void *)r->from;
    read_undo(r, h->high_water);
    for (uint32_t i = 0; i < h->high_water; i++) {
        size_t was = place_of(&r->a, i, sizeof(struct xt_conn_before)), is = place_of(&r->b, i, sizeof(struct xt_conn));
        struct xt_conn *c = (struct xt_conn *)(void *)(r->to + is);
        read_record(c, (const struct xt_conn_before *)(const void *)(r->from + was));
        read_board(r, c, i, true);
    }
    XT_CRASH_POINT();
    memcpy(r->to + r->b.ipopts, r->from + r->a.ipopts, (r->a.end - r->a.ipopts) / h->max_conns * h->high_water);
    struct xt_state_hdr *out = (struct xt_state_hdr *)(void *)r->to;
    *out = *h;
    out->version = XT_STATE_VERSION;
    out->record_size = sizeof(struct xt_conn);
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

int xt_state_read_before(int fd)
{
    struct xt_state_hdr h;
    struct xt_kept from, to;
    char err[256];
    if (pread(fd, &h, sizeof h, XT_KEPT_PAGE) != (ssize_t)sizeof h || h.max_conns == 0 || h.max_conns >= XT_NO_CONN ||
        h.high_water > h.max_conns || h.board_size != sizeof(struct xt_board))
        return -EPROTO;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return -errno;
    int rc = xt_kept_open(&from, own, xt_layout_state_size(1, h.max_conns), err, sizeof err);
    if (rc < 0)
        return rc;
    rc = xt_kept_new(&to, xt_layout_state_size(0, h.max_conns));
    if (rc == 0) {
        read_page(&to, &from);
        read_stack(&(struct regions){.from = from.stack,
                                     .to = to.stack,
                                     .a = xt_stack_places(h.max_conns, sizeof(struct xt_conn_before)),
                                     .b = xt_stack_places(h.max_conns, sizeof(struct xt_conn))});
        rc = fcntl(to.fd, F_DUPFD_CLOEXEC, 0);
        if (rc < 0)
            rc = -errno;
        xt_kept_close(&to);
    }
    xt_kept_close(&from);
    return rc;
}
