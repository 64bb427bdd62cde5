/* SPDX-License-Identifier: Apache-2.0
 * What the release before has left is read: every field arrives, what was left stays as it was, and what cannot be is refused record by
 * record, as in a layout of our own. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/app/ledger.h"
#include "daemon/main/kept.h"
#include "daemon/main/layout.h"
#include "daemon/main/layout_before.h"
#include "daemon/stack/stack.h"
#include "daemon/tcp/board.h"
#include "daemon/tcp/due.h"

#define CONNS 8u
#define SLOTS 16u
#define NOW (5000ull << 32) /* microseconds */

/* ---- all fields ---- */

/* clang-format off */
#define SAME_CONN(F) \
    F(index) F(gen) F(listener) F(session) F(slot) F(flags) F(local) F(remote) F(state) F(ca_state) F(snd_wscale) \
    F(rcv_wscale) F(err) F(soft_err) F(rx_head) F(rx_tail) F(tx_head) F(tx_una) F(rx_size) F(tx_size) \
    F(iss) F(snd_una) F(snd_nxt) F(snd_wnd) F(snd_wl1) F(snd_wl2) F(snd_wnd_max) F(snd_sml) F(irs) F(rcv_nxt) F(rcv_adv) \
    F(rcv_fin) F(last_ack_sent) F(ts_recent) F(ts_recent_ms) F(cwnd) F(ssthresh) F(cc_acked) F(recover) F(rack_tick) \
    F(rack_end) F(rack_rtt) F(rack_fack) F(tlp_end) F(srtt) F(rttvar) F(rto) F(min_rtt) F(rtt_seq) F(data_rcv_ms) \
    F(t_rcv_ms) F(t_snd_ms) F(t_progress_ms) F(cflags) F(mss_local) F(mss_peer) F(mss_path) \
    F(mss_probe) F(mss_bad) F(mss_eff) F(rcv_mss) F(dupacks) F(pending) F(fo_len) F(fo) F(opts) F(backoff) F(timeouts) \
    F(probes) F(keep_probes) F(quick) F(challenged) F(n_ooo) F(n_sent) F(ooo_acks) F(recovery) F(reo_mult) \
    F(reo_persist) F(n_recent) F(ecn) F(cc) F(dupthresh) F(ip_optlen) F(n_seam)
#define LESS_CONN(F) F(rtt_start) F(segs_out) F(segs_in) F(pace_next) /* of fewer bytes */
#define TIMERS_CONN(F) F(timers) F(due) F(due_high)
#define LISTS_CONN(F) F(ooo) F(recent) F(sent) F(seam) F(mark)
#define SAME_TALLY(F) \
    F(data_segs_in) F(data_segs_out) F(busy_since_ms) F(busy_ms) F(rto_since_ms) F(rate_bytes) F(rate_us) \
    F(busy) F(rate_limited)
#define SAME_RATE(F) \
    F(delivered) F(delivered_us) F(first_us) F(last_end) F(limited_until) F(n) F(limited) F(mark_limited) F(mark_again)
#define SELDOM_CONN(F) \
    F(ccs) F(bytes_retrans) F(rx_urg) F(tx_urg) F(dsack) F(retrans) F(prr_fs) F(prr_delivered) F(prr_out) F(undo_cwnd) F(undo_ssthresh) F(rxt_ms) F(reo_round) \
    F(ecn_recover) F(probe_ms) F(challenge_ms) F(pmtu_ms) F(probe_end) F(undo_rtx)
#define SELDOM_TALLY(F) \
    F(delivered_ce) F(dsacks) F(reord_seen) F(ooo_segs) F(rwnd_ms) F(sndbuf_ms) F(rto_ms) F(rtos) F(rto_spells) \
    F(reordering)
#define BITS_OPT(F) F(nodelay) F(cork) F(keepalive) F(recverr) F(fragment) F(quickack)
#define SAME_OPT(F) \
    F(tos) F(ttl) F(min_ttl) F(keep_cnt) F(cc) F(defer) F(syn_retries) F(keep_idle) F(keep_intvl) F(user_timeout) \
    F(linger2) F(window_clamp) F(pacing_max)
#define SAME_SLOT(F) \
    F(kind) F(queued) F(changed) F(news) F(urgent) F(pending) F(orphan) F(bound) F(left) F(arrived) F(rx_fixed) \
    F(tx_fixed) F(cold) F(holder) F(conn) F(conn_gen) F(cond) F(gen) F(linger) F(rx_head) F(rx_tail) F(tx_head) \
    F(tx_tail) F(sndbuf) F(rcvbuf) F(next) F(prev_listener)
#define LESS_SLOT(F) F(pending_error) F(pending_soft) F(moved) F(moved_us) /* of fewer bytes */
#define EXTENTS_SLOT(F) F(rx) F(tx)
#define SAME_RARE(F) \
    F(local) F(claim) F(any_local) F(maxseg) F(acc_first) F(acc_last) F(acc_head) F(acc_tail) F(backlog) F(syn_recv) \
    F(next_listener) F(fo) F(ipopt) F(rx_urg) F(tx_urg) F(rx_switch)
#define EXTENTS_RARE(F) F(rx_new) F(tx_new) F(rx_old)
#define SAME_WAITER(F) F(state) F(proc) F(rfd) F(wfd) F(cmd_seen) F(made_seq) F(made)
/* clang-format on */

/* A field that stands in no list is not looked at: what the lists leave out of a struct is known, and is padding. */
#define SIZE_CONN(f) +sizeof(((struct xt_conn *)0)->f)
#define SIZE_OPT(f) +sizeof(((struct xt_tcp_sockopt *)0)->f)
#define SIZE_SLOT(f) +sizeof(((struct xt_pslot *)0)->f)
#define SIZE_RARE(f) +sizeof(((struct xt_prare *)0)->f)
#define SIZE_WAITER(f) +sizeof(((struct xt_pwaiter *)0)->f)
#define SIZE_SELDOM(f) +sizeof(((struct xt_seldom *)0)->f)
#define SIZE_TALLY(f) +sizeof(((struct xt_tally *)0)->f)
#define SIZE_RATE(f) +sizeof(((struct xt_rate *)0)->f)
#define SIZE_TALLY_SELDOM(f) +sizeof(((struct xt_tally_seldom *)0)->f)
#define APART (2 * sizeof(int32_t) + 2 * sizeof(uint8_t)) /* board, seldom, has_seldom, urg */
#define OPT sizeof(struct xt_tcp_sockopt)
static_assert(sizeof(struct xt_conn) == 0 SAME_CONN(SIZE_CONN) LESS_CONN(SIZE_CONN) LISTS_CONN(SIZE_CONN)
                                                TIMERS_CONN(SIZE_CONN) +
                                            sizeof(struct xt_tally) + sizeof(struct xt_rate) + APART + OPT + 10,
              "all fields of xt_conn");
static_assert(sizeof(struct xt_tally) == 2 SAME_TALLY(SIZE_TALLY) + sizeof(uint32_t), "all fields of xt_tally");
static_assert(sizeof(struct xt_rate) == 0 SAME_RATE(SIZE_RATE), "all fields of xt_rate");
static_assert(sizeof(struct xt_seldom) == 0 SELDOM_CONN(SIZE_SELDOM) + sizeof(struct xt_tally_seldom) + 6,
              "all fields of xt_seldom");
static_assert(sizeof(struct xt_tally_seldom) == 2 SELDOM_TALLY(SIZE_TALLY_SELDOM), "all fields of xt_tally_seldom");
static_assert(sizeof(struct xt_tcp_sockopt) == 1 SAME_OPT(SIZE_OPT) + 2, "all fields of xt_tcp_sockopt");
static_assert(sizeof(struct xt_pslot) == 0 SAME_SLOT(SIZE_SLOT) LESS_SLOT(SIZE_SLOT) EXTENTS_SLOT(SIZE_SLOT) + OPT +
                                             sizeof(struct xt_tune) + sizeof(bool),
              "all fields of xt_pslot");
static_assert(sizeof(struct xt_prare) == 0 SAME_RARE(SIZE_RARE) EXTENTS_RARE(SIZE_RARE) + 6, "all fields of xt_prare");
static_assert(sizeof(struct xt_pwaiter) == 0 SAME_WAITER(SIZE_WAITER), "all fields of xt_pwaiter");

#define COPY(f)                                        \
    static_assert(sizeof to->f == sizeof from->f, #f); \
    memcpy((void *)&to->f, (const void *)&from->f, sizeof to->f);
#define ASSIGN(f) to->f = from->f;

#define EXTENT(f)                        \
    to->f.off = xt_extent_off(&from->f); \
    to->f.size = from->f.size;

static void opt_to_before(struct xt_tcp_sockopt_before *to, const struct xt_tcp_sockopt *from)
{
    BITS_OPT(ASSIGN)
    SAME_OPT(ASSIGN)
}

#define TALLY(f) to->tally.f = from->tally.f;
#define RATE(f) to->rate.f = from->rate.f;

static uint32_t full_segments(const struct xt_conn *c)
{
    return (c->snd_nxt - c->snd_una + c->mss_eff - 1) / c->mss_eff;
}

/* Its lists are those of the record. */
static void conn_to_before(struct xt_conn_before *to, const struct xt_conn *from)
{
    SAME_CONN(COPY)
    LESS_CONN(ASSIGN)
    for (unsigned t = 0; t < XT_TIMERS; t++)
        to->timer[t] = xt_timer_on(from, t) ? xt_timer_at(from, t, NOW) - 1 : 0; /* between two units */
    SAME_TALLY(TALLY)
    to->tally.delivered = from->tally.segs_once - (from->n_sent ? full_segments(from) : 0);
    SAME_RATE(RATE)
    opt_to_before(&to->opt, &from->opt);
    if (from->state == XT_LISTEN) {
        to->fo_listen = from->fo_listen;
        return;
    }
    memcpy(to->ooo, from->ooo, sizeof from->ooo);
    memcpy(to->sack_recent, from->recent, sizeof from->recent);
    memcpy(to->sent, from->sent, sizeof from->sent);
    memcpy(to->seam, from->seam, sizeof from->seam);
    memcpy(to->rate.mark, from->mark, sizeof from->mark);
}

static void conn_seldom_to_before(struct xt_conn_before *to, const struct xt_seldom *from)
{
    SELDOM_CONN(COPY)
    SELDOM_TALLY(TALLY)
}

static void slot_to_before(struct xt_pslot_before *to, const struct xt_pslot *from)
{
    SAME_SLOT(COPY)
    LESS_SLOT(ASSIGN)
    EXTENTS_SLOT(EXTENT)
    opt_to_before(&to->opt, &from->opt);
}

static void rare_to_before(struct xt_pslot_before *to, const struct xt_prare *from)
{
    SAME_RARE(COPY)
    EXTENTS_RARE(EXTENT)
}

static void waiter_to_before(struct xt_pwaiter_before *to, const struct xt_pwaiter *from)
{
    SAME_WAITER(COPY)
}

/* Values that are all different from each other, and none of them zero. */
static void scribble(void *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)p)[i] = (uint8_t)(1 + rand() % 255);
}

#define SCRIBBLE_INTO(f) scribble((void *)&s->f, sizeof s->f);

static void some_options(struct xt_tcp_sockopt *s)
{
    SAME_OPT(SCRIBBLE_INTO)
    s->nodelay = rand() % 2 != 0;
    s->cork = rand() % 2 != 0;
    s->keepalive = rand() % 2 != 0;
    s->recverr = rand() % 2 != 0;
    s->fragment = rand() % 2 != 0;
    s->quickack = rand() % 3 & 3u;
}

static void some_conn(struct xt_conn *s)
{
    memset(s, 0, sizeof *s);
    SAME_CONN(SCRIBBLE_INTO)
    LESS_CONN(SCRIBBLE_INTO)
    LISTS_CONN(SCRIBBLE_INTO)
    s->timers = (uint32_t)rand() % (1u << XT_TIMERS);
    for (unsigned t = 0; t < XT_TIMERS; t++)
        if (xt_timer_on(s, t))
            xt_timer_set(s, t, NOW + (uint64_t)rand() * XT_DUE_UNIT);
    scribble(&s->tally, sizeof s->tally);
    scribble(&s->rate, sizeof s->rate);
    s->state = XT_ESTABLISHED;
    s->n_ooo = XT_OOO_MAX;
    s->n_recent = XT_RECENT_MAX;
    s->n_sent = XT_SENT_MAX;
    s->n_seam = XT_SEAM_MAX;
    s->rate.n = XT_MARK_MAX;
    some_options(&s->opt);
}

static void some_slot(struct xt_pslot *s)
{
    memset(s, 0, sizeof *s);
    SAME_SLOT(SCRIBBLE_INTO)
    LESS_SLOT(SCRIBBLE_INTO)
    EXTENTS_SLOT(SCRIBBLE_INTO) /* sizes and counts do not matter here */
    s->kind = XT_SLOT_CONN;
    s->queued = s->news = s->pending = s->arrived = s->tx_fixed = true;
    s->changed = s->urgent = s->orphan = s->rx_fixed = s->cold = s->bound = false;
    atomic_store(&s->left, true);
    some_options(&s->opt);
}

static void some_rare(struct xt_prare *s)
{
    memset(s, 0, sizeof *s);
    SAME_RARE(SCRIBBLE_INTO)
    EXTENTS_RARE(SCRIBBLE_INTO)
    s->any_local = true;
}

/* ---- a state of the release before ---- */

static struct xt_kept before, after;
static struct xt_state_places a, b;
static struct xt_conn made[CONNS];
static struct xt_seldom made_seldom[CONNS];
static char err[256];

static struct xt_conn_before *old_record(uint32_t i)
{
    return (struct xt_conn_before *)(void *)((uint8_t *)before.stack + a.records) + i;
}

static struct xt_conn *new_record(uint32_t i)
{
    return (struct xt_conn *)(void *)((uint8_t *)after.stack + b.records) + i;
}

static void state_before(void)
{
    struct xt_state_sizes sizes = xt_stack_sizes(CONNS);
    a = xt_state_places_before(CONNS);
    b = xt_stack_places(&sizes);
    cr_assert_eq(xt_kept_new(&before, xt_layout_state_size(1, CONNS, 1)), 0);
    before.page->epoch = 41;
    before.page->running = 1;
    scribble(&before.page->place, sizeof before.page->place);
    *(struct xt_state_hdr *)before.stack = (struct xt_state_hdr){.magic = XT_STATE_MAGIC,
                                                                 .version = XT_STATE_BEFORE,
                                                                 .max_conns = CONNS,
                                                                 .record_size = sizeof(struct xt_conn_before),
                                                                 .records_off = (uint32_t)a.records,
                                                                 .board_size = sizeof(struct xt_board_before),
                                                                 .high_water = CONNS};
    for (uint32_t i = 0; i < CONNS; i++) {
        some_conn(&made[i]);
        scribble(&made_seldom[i], sizeof made_seldom[i]);
        conn_to_before(old_record(i), &made[i]);
        conn_seldom_to_before(old_record(i), &made_seldom[i]);
    }
    scribble((uint8_t *)before.stack + a.ipopts, a.end - a.ipopts);
}

static void convert(void)
{
    int fd = xt_state_read_before(before.fd);
    cr_assert_geq(fd, 0, "%s", strerror(-fd));
    cr_assert_eq(xt_layout_check(XT_LAYOUT_STATE, fd, err, sizeof err), 0, "%s", err);
    cr_assert_eq(xt_kept_open(&after, fd, xt_stack_state_size(CONNS), err, sizeof err), 0, "%s", err);
}

#define EXPECT_SAME(f) cr_expect_eq(memcmp((const void *)&got->f, (const void *)&want->f, sizeof got->f), 0, #f);
#define EXPECT_BITS(f) cr_expect_eq(got->f, want->f, #f);

static void expect_options(const struct xt_tcp_sockopt *got, const struct xt_tcp_sockopt *want)
{
    BITS_OPT(EXPECT_BITS)
    SAME_OPT(EXPECT_SAME)
}

#define EXPECT_TALLY(f) cr_expect_eq(got->tally.f, want->tally.f, #f);
#define EXPECT_RATE(f) cr_expect_eq(got->rate.f, want->rate.f, #f);

/* All but the lists. */
static void expect_conn(const struct xt_conn *got, const struct xt_conn *want)
{
    SAME_CONN(EXPECT_SAME)
    LESS_CONN(EXPECT_SAME)
    TIMERS_CONN(EXPECT_SAME)
    SAME_TALLY(EXPECT_TALLY)
    SAME_RATE(EXPECT_RATE)
    expect_options(&got->opt, &want->opt);
}

static void expect_lists(const struct xt_conn *got, const struct xt_conn *want)
{
    LISTS_CONN(EXPECT_SAME)
}

static void expect_conn_seldom(const struct xt_seldom *got, const struct xt_seldom *want)
{
    cr_assert_neq(got, want);
    SELDOM_CONN(EXPECT_SAME)
    SELDOM_TALLY(EXPECT_TALLY)
}

TestSuite(layout, .init = state_before);

Test(layout, every_field_of_a_record_arrives)
{
    convert();
    for (uint32_t i = 0; i < CONNS; i++) {
        expect_conn(new_record(i), &made[i]);
        expect_lists(new_record(i), &made[i]);
        cr_assert_eq(new_record(i)->has_seldom, 1);
        cr_assert_eq(new_record(i)->urg, XT_URG_RX | XT_URG_TX);
        expect_conn_seldom(xt_seldom_of(new_record(i)), &made_seldom[i]);
        cr_expect_eq((const uint8_t *)xt_seldom_of(new_record(i)),
                     (uint8_t *)after.stack + b.seldoms + i * sizeof(struct xt_seldom));
        cr_expect_eq(new_record(i)->board, 0);
    }
    cr_expect_eq(memcmp((uint8_t *)after.stack + b.ipopts, (uint8_t *)before.stack + a.ipopts, a.end - a.ipopts), 0);
    struct xt_kept_page page = *before.page;
    cr_expect_eq(page.epoch, 42); /* this start counts */
    page.size = after.page->size;
    cr_expect_eq(memcmp(after.page, &page, sizeof page), 0);
}

/* All but the number of starts: whoever made it can go on with it. */
Test(layout, what_was_left_stays)
{
    size_t size = before.page->size;
    void *was = malloc(size);
    memcpy(was, before.page, size);
    convert();
    before.page->epoch--;
    cr_expect_eq(memcmp(was, before.page, size), 0);
}

Test(layout, what_is_not_in_use_stays_untouched)
{
    memset(&made_seldom[1], 0, sizeof made_seldom[1]);
    conn_seldom_to_before(old_record(1), &made_seldom[1]);
    convert();
    cr_expect_eq(new_record(1)->has_seldom, 0);
}

static int64_t distance_before(uint32_t i, uint32_t board)
{
    return (int64_t)(a.boards - a.records + board * sizeof(struct xt_board_before) - i * sizeof(struct xt_conn_before));
}

static void expect_on_board(const struct xt_board *got, const struct xt_conn_before *c,
                            const struct xt_board_before *board)
{
    cr_expect_eq(memcmp(got->sent, board ? board->sent : c->sent, c->n_sent * sizeof *got->sent), 0);
    cr_expect_eq(memcmp(got->ooo, board ? board->ooo : c->ooo, c->n_ooo * sizeof *got->ooo), 0);
    cr_expect_eq(memcmp(got->recent, c->sack_recent, c->n_recent * sizeof *got->recent), 0);
    cr_expect_eq(memcmp(got->seam, c->seam, c->n_seam * sizeof *got->seam), 0);
    cr_expect_eq(memcmp(got->mark, c->rate.mark, c->rate.n * sizeof *got->mark), 0);
}

Test(layout, a_board_comes_along)
{
    struct xt_board_before *boards = (struct xt_board_before *)(void *)((uint8_t *)before.stack + a.boards);
    scribble(boards, a.ipopts - a.boards);
    old_record(1)->board = distance_before(1, 3);
    old_record(1)->n_sent = XT_SENT_BOARD_BEFORE;
    old_record(1)->n_ooo = XT_OOO_BOARD_BEFORE;
    old_record(2)->board = distance_before(0, 0); /* from record 0 it would be one */
    old_record(3)->board = -5;
    old_record(4)->board = distance_before(4, 100000);
    old_record(5)->board = distance_before(5, 4); /* not needed any more */
    convert();
    const struct xt_board *all = (const struct xt_board *)(void *)((uint8_t *)after.stack + b.boards);
    cr_expect_eq(xt_board_of(new_record(1)), &all[1], "that of its number");
    expect_on_board(&all[1], old_record(1), &boards[3]);
    for (uint32_t i = 2; i < 5; i++)
        cr_expect_neq(((const char *)xt_board_of(new_record(i)) - (const char *)all) % (int)sizeof *all, 0, "%u", i);
    cr_expect_eq(new_record(5)->board, 0);
    cr_expect_eq(memcmp(new_record(5)->sent, boards[4].sent, XT_SENT_MAX * sizeof *boards->sent), 0);
}

Test(layout, what_no_record_has_room_for_goes_to_a_board)
{
    for (uint32_t i = 0; i < 5; i++) {
        struct xt_conn_before *c = old_record(i);
        scribble(c->ooo, sizeof c->ooo);
        scribble(c->sent, sizeof c->sent);
        scribble(c->seam, sizeof c->seam);
        scribble(c->sack_recent, sizeof c->sack_recent);
        scribble(c->rate.mark, sizeof c->rate.mark);
    }
    old_record(0)->n_sent = XT_SENT_BEFORE;
    old_record(1)->n_ooo = XT_OOO_BEFORE;
    old_record(2)->n_recent = XT_RECENT_BEFORE;
    old_record(3)->n_seam = XT_SEAM_BEFORE;
    old_record(4)->rate.n = XT_MARKS_BEFORE;
    old_record(5)->n_sent = XT_SENT_BEFORE + 1; /* it can't be */
    convert();
    const struct xt_board *all = (const struct xt_board *)(void *)((uint8_t *)after.stack + b.boards);
    for (uint32_t i = 0; i < 5; i++) {
        cr_expect_eq(xt_board_of(new_record(i)), &all[i]);
        expect_on_board(&all[i], old_record(i), NULL);
    }
    cr_expect_neq(((const char *)xt_board_of(new_record(5)) - (const char *)all) % (int)sizeof *all, 0);
}

Test(layout, the_record_that_was_being_changed_arrives)
{
    struct xt_undo *to, *from = (struct xt_undo *)(void *)((uint8_t *)before.stack + a.undo);
    struct xt_conn was;
    struct xt_seldom seldom;
    uint8_t *copy = (uint8_t *)from + offsetof(struct xt_undo, before);
    struct xt_conn_before *c = (struct xt_conn_before *)(void *)copy;
    some_conn(&was);
    scribble(&seldom, sizeof seldom);
    memset(from, 0, offsetof(struct xt_undo, before));
    from->suspect = 3;
    from->suspect_gen = 4;
    from->deaths = 1;
    from->quarantined = 2;
    atomic_store(&from->record, 6);
    was.n_sent = 100;
    conn_to_before(c, &was);
    conn_seldom_to_before(c, &seldom);
    c->board = distance_before(5, 1);
    scribble(c + 1, sizeof(struct xt_board_before));
    convert();
    to = (struct xt_undo *)(void *)((uint8_t *)after.stack + b.undo);
    cr_expect_eq(memcmp(to, from, offsetof(struct xt_undo, before)), 0);
    expect_on_board(&to->board, c, (const struct xt_board_before *)(const void *)(c + 1));
    cr_expect_eq(
        to->before.board,
        xt_board_distance(new_record(5), (const struct xt_board *)(void *)((uint8_t *)after.stack + b.boards) + 5));
    cr_expect_eq(to->before.seldom, new_record(5)->seldom);
    expect_conn(&to->before, &was);
    expect_conn_seldom(&to->seldom.was, &seldom);
}

/* ---- a stack goes on from it ---- */

static int no_device(void *arg, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen,
                     const struct iovec *iov, unsigned niov)
{
    return 0;
}

static void no_application(void *arg, struct xt_conn *c, uint32_t events)
{
}

static struct xt_stack *stack_over(void *state)
{
    static const uint8_t key[32] = "only a test knows this key";
    struct xt_stack_cfg sc = {.mac = {2}, .addr = htonl(0x0a090001), .prefix = 24, .mtu = 1500, .max_conns = CONNS};
    struct xt_stack_ops ops = {.tx = no_device, .event = no_application};
    struct xt_stack *s;
    sc.port_min = 32768;
    sc.port_max = 60999;
    xt_tcp_cfg_default(&sc.tcp);
    cr_assert_eq(xt_stack_new(&s, &sc, &ops, state, key, 1000000), 0);
    return s;
}

static void listener(void *arg, struct xt_conn *c)
{
    uint64_t *ports = arg;
    cr_expect_eq(c->state, XT_LISTEN);
    *ports |= 1ULL << (c->local.port - 7000);
}

static uint64_t listeners(struct xt_stack *s)
{
    uint64_t ports = 0;
    for (uint32_t cursor = 0; xt_stack_each(s, &cursor, UINT32_MAX, listener, &ports);)
        ;
    return ports;
}

Test(layout, damaged_records_are_refused_one_by_one)
{
    void *own = calloc(1, xt_stack_state_size(CONNS));
    struct xt_stack *s = stack_over(own);
    for (uint16_t i = 0; i < 5; i++) {
        struct xt_endpoint at = {xt_addr_v4(htonl(0x0a090001)), (uint16_t)(7000 + i)};
        struct xt_conn *c;
        cr_assert_eq(xt_stack_listen(s, &at, 0, 1000000, &c), 0);
    }
    cr_assert_eq(listeners(s), 0x1f);
    struct xt_state_hdr *h = before.stack;
    h->high_water = ((struct xt_state_hdr *)own)->high_water;
    for (uint32_t i = 0; i < h->high_water; i++)
        conn_to_before(old_record(i), (struct xt_conn *)(void *)((uint8_t *)own + b.records) + i);
    old_record(1)->state = XT_NSTATES;
    old_record(3)->fo_listen.nkeys = XT_FO_KEYS + 1;
    old_record(4)->board = 64;
    convert();
    struct xt_stack *next = stack_over(after.stack);
    cr_expect_eq(listeners(next), 0x05);
    cr_expect_eq(xt_stack_stats(next)->records_bad, 3);
    xt_stack_free(next);
    xt_stack_free(s);
    free(own);
}

/* Three shards: one that was busy, one that never began, and one whose records are other ones. */
Test(layout, each_shard_has_its_own)
{
    struct xt_kept one = before;
    size_t part = xt_layout_state_size(1, CONNS, 3) / 3, size = xt_layout_state_size(0, CONNS, 3);
    cr_assert_eq(xt_kept_new(&before, 3 * part), 0);
    before.page->epoch = 41;
    memcpy(before.stack, one.stack, xt_layout_state_size(1, CONNS, 1));
    uint8_t *third = (uint8_t *)before.stack + 2 * part;
    memcpy(third, one.stack, xt_layout_state_size(1, CONNS, 1));
    ((struct xt_conn_before *)(void *)(third + a.records))->gen = made[0].gen + 1;
    int fd = xt_state_read_before(before.fd);
    cr_assert_geq(fd, 0, "%s", strerror(-fd));
    cr_assert_eq(xt_kept_open(&after, fd, size, err, sizeof err), 0, "%s", err);
    cr_expect_eq(after.page->epoch, 42);
    expect_conn(new_record(CONNS - 1), &made[CONNS - 1]);
    cr_expect_eq(new_record(0)->gen, made[0].gen);
    after.stack = (uint8_t *)after.stack + size / 3;
    cr_expect_eq(((const struct xt_state_hdr *)after.stack)->magic, 0);
    after.stack = (uint8_t *)after.stack + size / 3;
    expect_conn(new_record(CONNS - 1), &made[CONNS - 1]);
    cr_expect_eq(new_record(0)->gen, made[0].gen + 1);
    ((struct xt_state_hdr *)(void *)third)->high_water = CONNS + 1;
    cr_expect_eq(xt_state_read_before(before.fd), -EPROTO);
    xt_kept_close(&one);
}

Test(layout, a_header_that_cannot_be_is_refused)
{
    struct xt_state_hdr *h = before.stack;
    h->high_water = CONNS + 1;
    cr_expect_eq(xt_state_read_before(before.fd), -EPROTO);
    h->high_water = CONNS;
    h->max_conns++;
    cr_expect_eq(xt_state_read_before(before.fd), -EPROTO);
    h->max_conns = 0;
    cr_expect_eq(xt_state_read_before(before.fd), -EPROTO);
}

/* ---- ledgers ---- */

#define OLD_SLOTS XT_ALIGN_4096(sizeof(struct xt_ledger_before))
#define XT_ALIGN_4096(n) (((n) + 4095) & ~(size_t)4095)

static struct xt_ledger_before *old;
static int old_fd;

static void ledger_before(void)
{
    size_t size = OLD_SLOTS + SLOTS * sizeof(struct xt_pslot_before);
    old_fd = memfd_create("before", MFD_CLOEXEC);
    cr_assert_eq(ftruncate(old_fd, (off_t)size), 0);
    old = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, old_fd, 0);
    cr_assert_neq(old, MAP_FAILED);
    scribble(old, offsetof(struct xt_ledger_before, waiter));
    old->magic = XT_LEDGER_MAGIC;
    old->version = XT_LEDGER_BEFORE;
    old->slot_size = sizeof(struct xt_pslot_before);
    old->max_slots = SLOTS;
    old->slots_high = SLOTS - 1;
    atomic_store(&old->waiters_high, 3);
}

static struct xt_pslot_before *old_slot(uint32_t i)
{
    return (struct xt_pslot_before *)(void *)((uint8_t *)old + OLD_SLOTS) + i;
}

static void expect_slot(const struct xt_pslot *got, const struct xt_pslot *want)
{
    SAME_SLOT(EXPECT_SAME)
    LESS_SLOT(EXPECT_SAME)
    EXTENTS_SLOT(EXPECT_SAME)
    expect_options(&got->opt, &want->opt);
    cr_expect_eq(got->rare, want->rare);
}

static void expect_rare(const struct xt_prare *got,
                        const struct xt_prare *want){SAME_RARE(EXPECT_SAME) EXTENTS_RARE(EXPECT_SAME)}

/* Each thing that only few slots have, alone. */
Test(layout, what_is_rare_is_noticed)
{
    static const struct xt_pslot_before rare[] = {
        {.kind = XT_SLOT_LISTEN}, {.bound = true},          {.maxseg = 1},
        {.rx_new = {4096, 4096}}, {.tx_new = {0, 4096}},    {.fo = {.limit = 1}},
        {.fo = {.nkeys = 1}},     {.fo = {.no_cookie = 1}}, {.ipopt = {.len = 4}},
    };
    struct xt_ledger *l;
    ledger_before();
    for (uint32_t i = 0; i < sizeof rare / sizeof *rare; i++)
        *old_slot(i) = rare[i];
    int fd = xt_ledger_read_before(old_fd);
    cr_assert_eq(xt_ledger_open(&l, fd), 0);
    for (uint32_t i = 0; i < SLOTS; i++)
        cr_expect_eq(xt_ledger_slots(l)[i].rare, i < sizeof rare / sizeof *rare, "%u", i);
}

Test(layout, every_field_of_a_ledger_arrives)
{
    struct xt_ledger *l;
    struct xt_pslot slot[SLOTS] = {0};
    struct xt_prare rare[SLOTS] = {0};
    struct xt_pwaiter waiter[3];
    struct xt_pexport export;
    ledger_before();
    for (uint32_t i = 0; i < SLOTS - 1; i++) {
        some_slot(&slot[i]);
        slot[i].rare = i % 2;
        if (slot[i].rare)
            some_rare(&rare[i]);
        slot_to_before(old_slot(i), &slot[i]);
        rare_to_before(old_slot(i), &rare[i]);
    }
    scribble(waiter, sizeof waiter);
    for (uint32_t i = 0; i < 3; i++)
        waiter_to_before(&old->waiter[i], &waiter[i]);
    memset(&export, 0, sizeof export);
    export = (struct xt_pexport){.slot = 5, .listener = true, .moving = XT_MOVE_OUT, .ino = 77, .at = 1234567};
    memcpy(&old->export[9], &export, sizeof export);
    int fd = xt_ledger_read_before(old_fd);
    cr_assert_geq(fd, 0);
    cr_assert_eq(xt_ledger_open(&l, fd), 0);
    cr_expect_eq(l->version, XT_LEDGER_VERSION);
    cr_expect_eq(l->slot_size, sizeof(struct xt_pslot));
    cr_expect_eq(memcmp((char *)l + 12, (char *)old + 12, offsetof(struct xt_ledger, waiter) - 12), 0);
    cr_expect_eq(memcmp(l->waiter, waiter, sizeof waiter), 0);
    cr_expect_eq(memcmp(&l->export[9], &export, sizeof export), 0);
    cr_expect_eq(l->export[8].slot, 0);
    for (uint32_t i = 0; i < SLOTS; i++) {
        expect_slot(&xt_ledger_slots(l)[i], &slot[i]);
        expect_rare(&xt_ledger_rares(l)[i], &rare[i]);
    }
}

Test(layout, a_ledger_that_cannot_be_is_refused)
{
    ledger_before();
    old->slots_high = SLOTS + 1;
    cr_expect_eq(xt_ledger_read_before(old_fd), -EPROTO);
    old->slots_high = SLOTS;
    old->max_slots++;
    cr_expect_eq(xt_ledger_read_before(old_fd), -EPROTO);
}

/* ---- all that is handed over ---- */

static bool is_ours(struct xt_handed *h, enum xt_layout what, const char *name)
{
    return xt_layout_check(what, xt_handed_peek(h, name), err, sizeof err) == 0;
}

Test(layout, what_is_handed_over_is_made_new)
{
    struct xt_handed h = {0};
    struct xt_ledger *own;
    int own_fd;
    ledger_before();
    cr_assert_eq(xt_ledger_new(&own, &own_fd, SLOTS), 0);
    int own_was = own_fd;
    xt_handed_add(&h, "l00010001", dup(old_fd));
    xt_handed_add(&h, "state", dup(before.fd));
    xt_handed_add(&h, "l00010002", own_fd);
    cr_assert_eq(xt_layout_renew(&h), 0);
    cr_expect(is_ours(&h, XT_LAYOUT_STATE, "state"));
    cr_expect(is_ours(&h, XT_LAYOUT_LEDGER, "l00010001"));
    cr_expect_eq(xt_handed_peek(&h, "l00010002"), own_was);
    cr_expect_eq(h.n, 3);
    xt_handed_free(&h);
}

/* Who died while it changed one for the other: the keeper has both, or the new one under its name for a while. */
Test(layout, a_change_that_was_begun_is_ended)
{
    struct xt_handed h = {0};
    int fd = xt_state_read_before(before.fd);
    xt_handed_add(&h, "state", dup(before.fd));
    xt_handed_add(&h, "state.next", fd);
    xt_handed_add(&h, "packet", dup(0));
    cr_assert_eq(xt_layout_renew(&h), 0);
    cr_expect_eq(xt_handed_peek(&h, "state"), fd);
    cr_expect_eq(xt_handed_peek(&h, "state.next"), -1);
    cr_expect_geq(xt_handed_peek(&h, "packet"), 0);
    xt_handed_free(&h);
}

/* What cannot be read is not this function's to refuse: it stays, and who takes it up says so. */
Test(layout, what_cannot_be_read_stays)
{
    struct xt_handed h = {0};
    int fd = dup(before.fd);
    ((struct xt_state_hdr *)before.stack)->high_water = UINT32_MAX;
    xt_handed_add(&h, "state", fd);
    cr_assert_eq(xt_layout_renew(&h), 0);
    cr_expect_eq(xt_handed_peek(&h, "state"), fd);
    xt_handed_free(&h);
}
