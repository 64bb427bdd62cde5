/* SPDX-License-Identifier: Apache-2.0
 * Clients that would have the daemon wait, spin or fall. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/ctl/server.h"

TestSuite(liar, .init = server_setup, .fini = server_teardown);

/* A connection of the kernel's TCP with bytes that nobody takes: its last close waits for them. */
static int lingering(int *peer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger day = {1, 86400};
    socklen_t len = sizeof a;
    static char bytes[65536];
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(l, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(listen(l, 1), 0);
    cr_assert_eq(getsockname(l, (struct sockaddr *)&a, &len), 0);
    cr_assert_eq(connect(s, (struct sockaddr *)&a, sizeof a), 0);
    *peer = accept(l, NULL, NULL);
    close(l);
    while (send(s, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    cr_assert_eq(setsockopt(s, SOL_SOCKET, SO_LINGER, &day, sizeof day), 0);
    return s;
}

Test(liar, descriptors_that_are_slow_to_close, .timeout = 250)
{
    struct xt_msg_out o;
    int peer[2], fd = dial(), s = lingering(&peer[0]);
    turn();
    /* With a request, and with one that is never read because of it. */
    cr_assert_eq(xt_msg_send(fd, "x", 1, &s, 1, 0), 0);
    close(s);
    s = lingering(&peer[1]);
    begin(&o, "rules");
    cr_assert_gt(xt_msg_end(&o), 0);
    cr_assert_eq(xt_msg_send(fd, o.buf, o.len, &s, 1, 0), 0);
    close(s);
    cr_expect(answer(fd) > 0 && num("errno") == EBADMSG);
    close(fd);
    fd = dial();
    cr_expect(ask(fd, "rules") > 0 && ok());
    close(fd);
    close(peer[0]);
    close(peer[1]);
}

/* A fork's end whose open file the client has too: there is always something to read, and we never get it. */
Test(liar, end_that_hides_what_it_has)
{
    struct xt_msg_out o;
    int fd = attach(XT_ABI_VERSION), sv[2], far = 1 << 20;
    xt_msg_anc_close(&anc);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    begin(&o, "fork");
    cr_assert(ask_with(fd, &o, &sv[1], 1) > 0 && ok());
    cr_assert_eq(setsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &far, sizeof far), 0);
    ssize_t n = ask(sv[0], "waiter");
    cr_expect(n <= 0 && n != -EAGAIN, "it is disconnected: %zd", n);
    cr_expect(ask(fd, "waiter") > 0 && ok());
    xt_msg_anc_close(&anc);
    close(sv[0]);
    close(sv[1]);
    close(fd);
    cr_expect(none_left());
}

Test(liar, who_says_nothing_is_disconnected)
{
    int silent = dial(), speaks = dial();
    cr_expect(ask(speaks, "rules") > 0 && ok());
    uint64_t last = 0;
    const struct xt_client *cl;
    LIST_FOREACH(cl, &ctl->clients, link)
    last = cl->since_us > last ? cl->since_us : last;
    xt_client_drop_silent(ctl, last);
    cr_expect_eq(ctl->nclients, 2);
    xt_client_drop_silent(ctl, last + XT_CTL_SILENCE_US);
    cr_expect_eq(ctl->nclients, 1);
    cr_expect_leq(answer(silent), 0);
    cr_expect(ask(speaks, "rules") > 0 && ok());
    close(silent);
    close(speaks);
}

/* The doorbell is an eventfd whose open file the client has too: one that is full, and blocking, stops who writes to it. */
Test(liar, doorbell_that_is_full, .timeout = 250)
{
    uint64_t full = UINT64_MAX - 1;
    int fd = attach(XT_ABI_VERSION), bell = dup(anc.fd[1]);
    struct liar l = {.fd = fd};
    struct stat st;
    cr_assert(ok() && fstat(anc.fd[0], &st) == 0);
    l.size = (size_t)st.st_size;
    l.base = mmap(NULL, l.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, anc.fd[0], 0);
    cr_assert_neq((void *)l.base, MAP_FAILED);
    xt_msg_anc_close(&anc);
    cr_assert_eq(write(bell, &full, sizeof full), (ssize_t)sizeof full);
    cr_assert_eq(fcntl(bell, F_SETFL, 0), 0);
    claim_to_be_over(&l, 3);
    atomic_store(&xt_app_global(app)->sleeping, 1);
    int a = export(fd, 3, true);
    cr_expect_geq(a, 0);
    close(a);
    close(bell);
    liar_stop(&l);
    cr_expect(none_left());
}

/* Nobody is there any more to be told of the end that was made: the session ends in the midst of it. */
Test(liar, export_whose_answer_cannot_be_sent)
{
    struct xt_msg_out o;
    struct liar l;
    liar_start(&l);
    claim_to_be_over(&l, 3);
    begin(&o, "export");
    xt_msg_uint(&o, "slot", 3);
    xt_msg_bool(&o, "now", true);
    cr_assert_gt(xt_msg_end(&o), 0);
    cr_assert_eq(xt_msg_send(l.fd, o.buf, o.len, NULL, 0, 0), 0);
    liar_stop(&l);
    cr_expect(none_left());
}

static int nkept;

static int count_store(const char *name, int fd)
{
    nkept++;
    return 0;
}

static int count_forget(const char *name)
{
    nkept--;
    return 0;
}

Test(liar, nothing_of_a_liar_is_kept)
{
    struct liar l;
    ctl->cfg.keep.store = count_store;
    ctl->cfg.keep.forget = count_forget;
    nkept = 0;
    liar_start(&l);
    cr_assert(ask(l.fd, "waiter") > 0 && ok());
    xt_msg_anc_close(&anc);
    cr_expect_eq(nkept, 6, "region, doorbell, ledger, control connection, a pipe's ends");
    xt_app_liar(LIST_FIRST(&ctl->clients)->session, "word", 3);
    cr_expect_leq(answer(l.fd), 0);
    cr_expect_eq(nkept, 0);
    liar_stop(&l);
    cr_expect(none_left());
}

/* A command of the client's first waiter. */
static int command(struct liar *l, uint32_t op, uint32_t slot)
{
    const struct xt_region *r = (void *)l->base;
    struct xt_waiter *box = (void *)(l->base + r->waiters_off);
    uint32_t seq = atomic_load(&box->cmd_seq) + 1;
    box->op = op;
    box->slot = slot;
    box->addr = xt_addr_v4(htonl(0x0a4d0001));
    box->port = 7;
    atomic_store(&box->cmd_seq, seq);
    xt_bitmap_set((xt_bitword *)(void *)(l->base + r->cmd_off), 0);
    for (int i = 0; i < TURNS && atomic_load(&box->done_seq) != seq; i++)
        turn();
    return box->result;
}

static void close_it(void *arg, struct xt_conn *c)
{
    if (c->slot == *(uint32_t *)arg)
        xt_stack_close(stack, c, 1000000);
}

/* What a client that is gone has written about its socket keeps the relay from ever seeing that all is over. */
Test(liar, export_of_a_socket_that_never_has_news)
{
    struct liar l;
    liar_start(&l);
    cr_assert(ask(l.fd, "waiter") > 0 && ok() && num("waiter") == 0);
    xt_msg_anc_close(&anc);
    const struct xt_region *r = (void *)l.base;
    uint32_t slot = (uint32_t)command(&l, XT_OP_SOCKET, 0);
    cr_assert_eq(command(&l, XT_OP_CONNECT, slot), 0);
    for (uint32_t cursor = 0; xt_stack_each(stack, &cursor, UINT32_MAX, close_it, &slot);)
        ;
    turn();
    atomic_store(&l.slots[slot].cond, XT_COND_CONNECTED);
    int a = export(l.fd, slot, true);
    cr_assert_geq(a, 0);
    atomic_store(&l.slots[slot].cond, XT_COND_CONNECTING);
    atomic_store(&l.slots[slot].subs, 0);
    struct xt_waiter *relays = (struct xt_waiter *)(void *)(l.base + r->waiters_off) + 1;
    atomic_store(&relays->done_seq, 1000);
    close(a);
    liar_stop(&l);
    cr_expect(none_left());
}

/* What it claims to hold is no socket, of which the data plane could tell how it is. */
static void export_nothing(bool end_goes_first)
{
    struct liar l;
    liar_start(&l);
    claim_to_hold(&l, 3);
    atomic_store(&l.slots[3].cond, XT_COND_CONNECTED | XT_COND_CONNECTING);
    int a = export(l.fd, 3, true);
    cr_assert_geq(a, 0);
    if (end_goes_first)
        close(a);
    liar_stop(&l);
    for (int i = 0; i < TURNS && ctl->nclients; i++)
        turn();
    if (!end_goes_first)
        close(a);
    cr_expect(none_left());
}

Test(liar, export_of_no_socket_that_connects_for_ever)
{
    export_nothing(true);
    export_nothing(false);
}
