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

#define CONNS 8u
#define SLOTS 16u

/* ---- all fields ---- */

/* clang-format off */
#define SAME_CONN(F) \
    F(index) F(gen) F(listener) F(session) F(slot) F(flags) F(local) F(remote) F(state) F(ca_state) F(snd_wscale) \
    F(rcv_wscale) F(err) F(soft_err) F(rx_head) F(rx_tail) F(tx_head) F(tx_una) F(rx_size) F(tx_size) F(timer) \
    F(rx_urg) F(tx_urg) F(pace_next) F(rtt_start) F(bytes_sent) F(bytes_retrans) F(segs_out) F(segs_in) F(iss) \
    F(snd_una) F(snd_nxt) F(snd_wnd) F(snd_wl1) F(snd_wl2) F(snd_wnd_max) F(snd_sml) F(irs) F(rcv_nxt) F(rcv_adv) \
    F(rcv_fin) F(last_ack_sent) F(ts_recent) F(ts_recent_ms) F(cwnd) F(ssthresh) F(cc_acked) F(recover) F(prr_fs) \
    F(prr_delivered) F(prr_out) F(rack_tick) F(rack_end) F(rack_rtt) F(rack_fack) F(reo_round) F(tlp_end) \
    F(undo_cwnd) F(undo_ssthresh) F(rxt_ms) F(srtt) F(rttvar) F(rto) F(min_rtt) F(rtt_seq) F(isn_floor) \
    F(challenge_ms) F(data_rcv_ms) F(t_rcv_ms) F(t_snd_ms) F(t_progress_ms) F(probe_ms) F(retrans) F(cflags) \
    F(ecn_recover) F(pmtu_ms) F(probe_end) F(sack_recent) F(dsack) F(mss_local) F(mss_peer) F(mss_path) F(mss_probe) \
    F(mss_bad) F(mss_eff) F(rcv_mss) F(dupacks) F(undo_rtx) F(pending) F(fo_len) F(fo) F(opts) F(backoff) \
    F(timeouts) F(probes) F(keep_probes) F(quick) F(challenged) F(n_ooo) F(n_sent) F(ooo_acks) F(recovery) \
    F(reo_mult) F(reo_persist) F(n_recent) F(ecn) F(cc) F(dupthresh) F(ip_optlen) F(ooo) F(sent) F(seam) F(n_seam) \
    F(tally) F(rate) F(ccs)
#define BITS_OPT(F) F(nodelay) F(cork) F(keepalive) F(recverr) F(fragment) F(quickack)
#define SAME_OPT(F) \
    F(tos) F(ttl) F(min_ttl) F(keep_cnt) F(cc) F(defer) F(syn_retries) F(keep_idle) F(keep_intvl) F(user_timeout) \
    F(linger2) F(window_clamp) F(pacing_max)
#define SAME_SLOT(F) \
    F(kind) F(queued) F(changed) F(news) F(urgent) F(pending) F(orphan) F(bound) F(left) F(arrived) F(rx_fixed) \
    F(tx_fixed) F(cold) F(holder) F(conn) F(conn_gen) F(cond) F(gen) F(linger) F(rx_head) F(rx_tail) F(tx_head) \
    F(tx_tail) F(rx_urg) F(tx_urg) F(rx_switch) F(sndbuf) F(rcvbuf) F(next) F(prev_listener)
#define LESS_SLOT(F) F(pending_error) F(pending_soft) F(moved) F(moved_us) /* of fewer bytes */
#define EXTENTS_SLOT(F) F(rx) F(tx) F(rx_old)
#define SAME_RARE(F) \
    F(local) F(claim) F(any_local) F(maxseg) F(acc_first) F(acc_last) F(acc_head) F(acc_tail) F(backlog) F(syn_recv) \
    F(next_listener) F(fo) F(ipopt)
#define EXTENTS_RARE(F) F(rx_new) F(tx_new)
#define SAME_WAITER(F) F(state) F(proc) F(rfd) F(wfd) F(cmd_seen) F(made_seq) F(made)
/* clang-format on */

/* A field that stands in no list is not looked at: what the lists leave out of a struct is known, and is padding. */
#define SIZE_CONN(f) +sizeof(((struct xt_conn *)0)->f)
#define SIZE_OPT(f) +sizeof(((struct xt_tcp_sockopt *)0)->f)
#define SIZE_SLOT(f) +sizeof(((struct xt_pslot *)0)->f)
#define SIZE_RARE(f) +sizeof(((struct xt_prare *)0)->f)
#define SIZE_WAITER(f) +sizeof(((struct xt_pwaiter *)0)->f)
#define BOARD sizeof(int64_t)
#define OPT sizeof(struct xt_tcp_sockopt)
static_assert(sizeof(struct xt_conn) == 0 SAME_CONN(SIZE_CONN) + BOARD + OPT + 2, "all fields of xt_conn");
static_assert(sizeof(struct xt_tcp_sockopt) == 1 SAME_OPT(SIZE_OPT) + 2, "all fields of xt_tcp_sockopt");
static_assert(sizeof(struct xt_pslot) == 0 SAME_SLOT(SIZE_SLOT) LESS_SLOT(SIZE_SLOT) EXTENTS_SLOT(SIZE_SLOT) + OPT +
                                             sizeof(struct xt_tune) + sizeof(bool),
              "all fields of xt_pslot");
static_assert(sizeof(struct xt_prare) == 0 SAME_RARE(SIZE_RARE) EXTENTS_RARE(SIZE_RARE) + 2, "all fields of xt_prare");
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

static void conn_to_before(struct xt_conn_before *to, const struct xt_conn *from)
{
    SAME_CONN(COPY)
    opt_to_before(&to->opt, &from->opt);
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
    a = xt_stack_places(CONNS, sizeof(struct xt_conn_before));
    b = xt_stack_places(CONNS, sizeof(struct xt_conn));
    cr_assert_eq(xt_kept_new(&before, xt_layout_state_size(1, CONNS)), 0);
    before.page->epoch = 41;
    before.page->running = 1;
    scribble(&before.page->place, sizeof before.page->place);
    *(struct xt_state_hdr *)before.stack = (struct xt_state_hdr){.magic = XT_STATE_MAGIC,
                                                                 .version = XT_STATE_BEFORE,
                                                                 .max_conns = CONNS,
                                                                 .record_size = sizeof(struct xt_conn_before),
                                                                 .records_off = (uint32_t)a.records,
                                                                 .board_size = sizeof(struct xt_board),
                                                                 .high_water = CONNS};
    for (uint32_t i = 0; i < CONNS; i++) {
        some_conn(&made[i]);
        conn_to_before(old_record(i), &made[i]);
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

/* All but the board. */
static void expect_conn(const struct xt_conn *got, const struct xt_conn *want)
{
    SAME_CONN(EXPECT_SAME)
    expect_options(&got->opt, &want->opt);
}

TestSuite(layout, .init = state_before);

Test(layout, every_field_of_a_record_arrives)
{
    convert();
    for (uint32_t i = 0; i < CONNS; i++)
        expect_conn(new_record(i), &made[i]);
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

Test(layout, a_board_comes_along)
{
    uint8_t *boards = (uint8_t *)before.stack + a.boards;
    int64_t first = (int64_t)(a.boards - a.records), size = sizeof(struct xt_board);
    scribble(boards, a.ipopts - a.boards);
    old_record(1)->board = first - (int64_t)sizeof(struct xt_conn_before) + 3 * size;
    old_record(2)->board = first; /* from record 0 it would be one */
    old_record(3)->board = -5;
    old_record(4)->board = first - 4 * (int64_t)sizeof(struct xt_conn_before) + 100000 * size;
    convert();
    const struct xt_board *got = xt_board_of(new_record(1));
    cr_expect_eq((const uint8_t *)got, (uint8_t *)after.stack + b.boards + 3 * size);
    cr_expect_eq(memcmp(got, boards + 3 * size, sizeof *got), 0);
    for (uint32_t i = 2; i < 5; i++)
        cr_expect_neq((new_record(i)->board + (int64_t)(b.records + i * sizeof(struct xt_conn)) - (int64_t)b.boards) %
                          size,
                      0, "board of record %u", i);
}

Test(layout, the_record_that_was_being_changed_arrives)
{
    struct xt_undo *to, *from = (struct xt_undo *)(void *)((uint8_t *)before.stack + a.undo);
    struct xt_conn was;
    uint8_t *copy = (uint8_t *)from + offsetof(struct xt_undo, before);
    some_conn(&was);
    *from = (struct xt_undo){.suspect = 3, .suspect_gen = 4, .deaths = 1, .quarantined = 2};
    atomic_store(&from->record, 6);
    conn_to_before((struct xt_conn_before *)(void *)copy, &was);
    ((struct xt_conn_before *)(void *)copy)->board =
        (int64_t)(a.boards - a.records - 5 * sizeof(struct xt_conn_before) + sizeof(struct xt_board));
    scribble(copy + sizeof(struct xt_conn_before), sizeof(struct xt_board));
    convert();
    to = (struct xt_undo *)(void *)((uint8_t *)after.stack + b.undo);
    cr_expect_eq(memcmp(to, from, offsetof(struct xt_undo, before)), 0);
    cr_expect_eq(memcmp(&to->board, copy + sizeof(struct xt_conn_before), sizeof to->board), 0);
    cr_expect_eq(to->before.board,
                 (int64_t)(b.boards - b.records - 5 * sizeof(struct xt_conn) + sizeof(struct xt_board)));
    expect_conn(&to->before, &was);
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
