/* SPDX-License-Identifier: Apache-2.0
 * Sockets that are handed to programs which know nothing of xtcp. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/ctl/export_internal.h"
#include "tests/unit/ctl/server.h"

TestSuite(export, .init = server_setup, .fini = server_teardown);

Test(export, export_is_for_holders)
{
    struct liar l;
    int fd = dial();
    cr_expect_eq(export(fd, 0, true), -1, "not attached");
    close(fd);
    liar_start(&l);
    const uint64_t slots[] = {0, 63, 64, 65536, UINT32_MAX, UINT64_MAX};
    for (unsigned i = 0; i < sizeof slots / sizeof slots[0]; i++)
        cr_expect(export(l.fd, slots[i], true) == -1 && num("errno") == EBADF, "slot %llu",
                  (unsigned long long)slots[i]);
    liar_stop(&l);
    cr_expect(none_left());
}

Test(export, claim_and_join_want_a_true_end)
{
    int pair[2], fd = dial();
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    cr_expect_eq(ask_with_end(fd, "claim", -1), ENOENT);
    cr_expect_eq(ask_with_end(fd, "claim", pair[0]), ENOENT);
    cr_expect_eq(ask_with_end(fd, "join", pair[0]), ENOENT);
    cr_expect_eq(ask_with_end(fd, "join", fd), ENOENT);
    close(fd);
    close(pair[0]);
    close(pair[1]);
}

/* Its name says where it leads; the last holder gone ends it, and with it the session that it kept. */
Test(export, exported_end_outlives_its_program)
{
    struct liar l;
    struct sockaddr_un un;
    socklen_t len = sizeof un;
    liar_start(&l);
    claim_to_hold(&l, 3);
    int a = export(l.fd, 3, false), again = export(l.fd, 3, false);
    cr_assert(a >= 0 && again >= 0);
    cr_assert_eq(getpeername(a, (struct sockaddr *)&un, &len), 0);
    cr_expect_eq(strncmp(un.sun_path + 1, "xtcp/3/", 7), 0, "%s", un.sun_path + 1);
    liar_stop(&l);
    cr_expect_eq(sessions(), 1u);
    close(again);
    close(a);
    cr_expect(none_left());
}

Test(export, join_is_a_process_more)
{
    struct liar l;
    liar_start(&l);
    claim_to_hold(&l, 3);
    int a = export(l.fd, 3, false), fd = dial();
    cr_assert_geq(a, 0);
    cr_expect_eq(ask_with_end(fd, "join", a), 0u);
    cr_expect(anc.nfds == 3 && num("slot") == 3 && num("proc") == 2);
    xt_msg_anc_close(&anc);
    liar_stop(&l);
    close(a);
    cr_expect_eq(sessions(), 1u, "it holds the family together");
    close(fd);
    cr_expect(none_left());
    /* Once relayed, the rings are nobody's to join. */
    liar_start(&l);
    claim_to_be_over(&l, 3);
    a = export(l.fd, 3, true);
    fd = dial();
    cr_expect_eq(ask_with_end(fd, "join", a), EREMOTE);
    cr_expect_eq(ask_with_end(fd, "claim", a), 0u);
    close(fd);
    close(a);
    liar_stop(&l);
    cr_expect(none_left());
}

/* The stack process has died before it answered: the next one finds the request again, and that it was carried out. */
Test(export, join_once_more)
{
    struct liar l;
    liar_start(&l);
    claim_to_hold(&l, 3);
    int a = export(l.fd, 3, false), fd = dial();
    cr_assert_eq(ask_with_end(fd, "join", a), 0u);
    xt_msg_anc_close(&anc);
    LIST_FIRST(&ctl->clients)->revived = true;
    cr_expect_eq(ask_with_end(fd, "join", a), 0u);
    cr_expect(anc.nfds == 3 && num("slot") == 3 && num("proc") == 2);
    xt_msg_anc_close(&anc);
    liar_stop(&l);
    close(a);
    close(fd);
    cr_expect(none_left());
}

/* What the keeper was told, in order: its other end and what stood beside it forgotten, a wait for it. */
static char told[16];

static int fake_forget(const char *name)
{
    size_t n = strlen(told);
    if (n < sizeof told - 1 && (name[0] == XT_KEEP_HOLDERS || name[0] == XT_KEEP_BESIDE))
        told[n] = name[0];
    return 0;
}

static int fake_barrier(int ms)
{
    told[strlen(told)] = '|';
    return 0;
}

/* Who asks for it to be settled binds again next: the keeper must have let go, too. */
Test(export, settled_when_the_keeper_has_let_go)
{
    struct liar l;
    struct xt_msg_out o;
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    liar_start(&l);
    claim_to_hold(&l, 3);
    begin(&o, "export");
    xt_msg_uint(&o, "slot", 3);
    cr_assert(ask_with(l.fd, &o, pair, 1) > 0 && ok());
    xt_msg_anc_close(&anc);
    ctl->cfg.keep.forget = fake_forget;
    ctl->cfg.keep.barrier = fake_barrier;
    atomic_store((xt_bitword *)(void *)(l.base + ((struct xt_region *)(void *)l.base)->hold_off), 0);
    cr_expect(ask(l.fd, "settle") > 0 && ok());
    const char want[] = {XT_KEEP_HOLDERS, '|', XT_KEEP_BESIDE, '|', 0};
    cr_expect_str_eq(told, want);
    liar_stop(&l);
    close(pair[0]);
    close(pair[1]);
    cr_expect(none_left());
}

/* A keeper, or the candidate of an upgrade, that lets go of a relay's pipe much later than it is told to. */
static int held[2];

static int slow_store(const char *name, int fd)
{
    if (name[0] == XT_KEEP_READER || name[0] == XT_KEEP_WRITER)
        held[name[0] == XT_KEEP_WRITER] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    return 0;
}

static int slow_forget(const char *name)
{
    return 0;
}

/* Its descriptor's number may be a client's by then, who would be told of what comes through that pipe. */
Test(export, nothing_more_is_heard_of_a_relay_that_has_ended)
{
    struct liar l;
    struct pollfd loop = {.fd = uv_backend_fd(xt_ctl_loop(ctl)), .events = POLLIN};
    ctl->cfg.keep.store = slow_store;
    ctl->cfg.keep.forget = slow_forget;
    liar_start(&l);
    claim_to_hold(&l, 3);
    int a = export(l.fd, 3, false);
    cr_assert(a >= 0 && held[0] > 0 && held[1] > 0);
    liar_stop(&l);
    close(a);
    cr_assert(none_left());
    cr_assert_eq(write(held[1], "x", 1), 1);
    turn();
    cr_expect_eq(poll(&loop, 1, 0), 0, "the loop is woken again and again");
    close(held[0]);
    close(held[1]);
}

/* Rings as no honest client has them: the socket ends, the daemon does not read or write outside of the region. */
Test(export, relay_of_impossible_rings)
{
    static const struct {
        uint64_t rx_off, tx_off, rx_head, rx_tail, tx_head, tx_tail;
        uint32_t rx_size, tx_size;
    } lies[] = {
        {.rx_size = 4096, .rx_head = 1ULL << 40},
        {.rx_size = 4095, .rx_head = 10},
        {.rx_size = 4096, .rx_head = 10, .rx_off = 1ULL << 40},
        {.rx_size = 4096, .rx_head = 10, .rx_off = UINT64_MAX - 5},
        {.rx_size = 1u << 31, .rx_head = 10, .rx_off = 1u << 23},
        {.rx_head = 10},
        {.rx_size = 4096, .rx_tail = 1},
        {.tx_size = 4096, .tx_head = 4097},
        {.tx_size = 4096, .tx_tail = 1},
        {.tx_size = 12288},
        {.tx_size = 4096, .tx_off = UINT64_MAX},
        {.tx_size = 4096, .tx_off = 1ULL << 40},
    };
    for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct liar l;
        liar_start(&l);
        struct xt_slot *sl = &l.slots[7];
        const uint64_t arena = ((const struct xt_region *)(const void *)l.base)->arena_off;
        claim_to_hold(&l, 7);
        sl->rx_page = (uint32_t)((lies[i].rx_off ? lies[i].rx_off : arena) >> 12);
        sl->tx_page = (uint32_t)((lies[i].tx_off ? lies[i].tx_off : arena) >> 12);
        sl->rx_size = lies[i].rx_size;
        sl->tx_size = lies[i].tx_size;
        atomic_store(&sl->rx_head, lies[i].rx_head);
        atomic_store(&sl->rx_tail, lies[i].rx_tail);
        atomic_store(&sl->tx_head, lies[i].tx_head);
        atomic_store(&sl->tx_tail, lies[i].tx_tail);
        atomic_store(&sl->cond, XT_COND_CONNECTED);
        int a = export(l.fd, 7, true);
        cr_assert_geq(a, 0);
        cr_expect(hangs_up(a), "case %u", i);
        close(a);
        liar_stop(&l);
        cr_expect(none_left(), "case %u", i);
    }
}

/* A lock that is never let go, bits and words changed all the time: nobody else is disturbed. */
Test(export, relay_of_a_client_that_holds_on)
{
    struct liar l;
    int other;
    liar_start(&l);
    struct xt_slot *sl = &l.slots[7];
    claim_to_hold(&l, 7);
    atomic_store(&sl->rx_lock, 1);
    int a = export(l.fd, 7, true);
    cr_assert_geq(a, 0);
    cr_expect_eq(write(a, "x", 1), 1);
    other = attach(XT_ABI_VERSION);
    cr_expect(ok());
    xt_msg_anc_close(&anc);
    const struct xt_region *r = (void *)l.base;
    memset(l.base + r->waiters_off, 0xff, sizeof(struct xt_waiter) * 2);
    memset(l.base + r->ready_off, 0xff, 4096);
    memset(l.base + r->hold_off, 0xff, 8192);
    cr_expect(ask(other, "waiter") > 0 && ok());
    xt_msg_anc_close(&anc);
    close(a);
    close(other);
    liar_stop(&l);
    cr_expect(none_left());
}

/* Of the exported socket: what another stack process finds of it, with the holders' end or without. */
static struct {
    int b, kept;
} left;

static int take_left(void *arg, uint32_t id, char what, uint32_t n)
{
    return what == XT_KEEP_EXPORT ? left.b : what == XT_KEEP_HOLDERS ? left.kept : -1;
}

/* Killed when the keeper had forgotten the holders' end, and before the ledger said that the socket is to be relayed: nobody else would
 * ever say so. */
Test(export, relayed_when_nobody_is_left_to_change_over)
{
    for (int with_holders = 0; with_holders < 2; with_holders++) {
        struct liar l;
        liar_start(&l);
        struct xt_session *s = app->sessions[0];
        claim_to_hold(&l, 3);
        s->ps[3].kind = XT_SLOT_DEAD;
        atomic_store(&l.slots[3].cond, XT_COND_CONNECTED);
        int a = export(l.fd, 3, false);
        cr_assert_geq(a, 0);
        const struct xt_pexport entry = s->l->export[0];
        const struct xt_export *e = LIST_FIRST(&LIST_FIRST(&ctl->exporters)->exports);
        left.b = dup(e->b);
        left.kept = with_holders ? dup(e->kept) : -1;
        xt_export_session_ended(ctl, s);
        s->l->export[0] = entry;
        xt_export_adopt(ctl, s, take_left, NULL);
        cr_expect_eq(s->l->export[0].wanted, !with_holders);
        s->ps[3].kind = XT_SLOT_FREE;
        close(a);
        liar_stop(&l);
        cr_expect(none_left());
    }
}

/* The last holder goes with something unread, and has written before: the kernel tells of the one as an error, once, before it gives
 * out the other. */
Test(export, what_was_written_comes_after_an_error)
{
    struct liar l;
    liar_start(&l);
    struct xt_slot *sl = &l.slots[7];
    const struct xt_region *r = (const void *)l.base;
    claim_to_hold(&l, 7);
    sl->rx_page = (uint32_t)(r->arena_off >> 12);
    sl->tx_page = sl->rx_page + 1;
    sl->rx_size = sl->tx_size = 4096;
    atomic_store(&sl->rx_head, 10);
    atomic_store(&sl->cond, XT_COND_CONNECTED);
    int a = export(l.fd, 7, true);
    cr_assert_geq(a, 0);
    while (atomic_load(&sl->rx_tail) < 10)
        turn();
    atomic_store((xt_bitword *)(void *)(l.base + r->hold_off), 0);
    cr_assert(ask(l.fd, "settle") > 0 && ok());
    cr_assert_eq(write(a, "hello", 5), 5);
    close(a);
    for (int i = 0; i < TURNS && atomic_load(&sl->tx_head) < 5; i++)
        turn();
    cr_expect_eq(atomic_load(&sl->tx_head), 5u);
    cr_expect_eq(memcmp(l.base + xt_page_off(sl->tx_page), "hello", 5), 0);
    liar_stop(&l);
    cr_expect(none_left());
}
