/* SPDX-License-Identifier: Apache-2.0
 * The control plane with the real application layer and stack, but no device and no second thread: the test takes turns between the
 * control loop and the data plane until the answer is there. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/app/internal.h"
#include "daemon/base/log.h"
#include "daemon/ctl/internal.h"
#include "daemon/ctl/netif.h"
#include "daemon/ctl/settings.h"

#define TURNS 10000 /* without an answer by then, there will be none */
#define NOBODY 65534

static struct xt_ctl *ctl;
static struct xt_app *app;
static struct xt_stack *stack;
static void *state;
static char dir[64];
static struct xt_config config;
static uint8_t reply_buf[XT_CTL_MAX];
static struct xt_msg_in in;
static struct xt_msg_anc anc;

static int no_tx(void *arg, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen, const struct iovec *iov,
                 unsigned niov)
{
    return 0;
}

static struct xt_stack *host_stack(void *arg)
{
    return stack;
}

static void host_counters(void *arg, xt_ctl_put *put, void *put_arg)
{
    put(put_arg, "device", "rx_frames", 42, "frames received");
}

static void make_stack(void)
{
    struct xt_stack_ops ops = {0};
    struct xt_stack_cfg sc;
    uint8_t key[32] = {1};
    xt_config_stack(&config, &sc);
    state = calloc(1, xt_stack_state_size(sc.max_conns));
    xt_app_stack_ops(app, &ops);
    ops.tx = no_tx;
    cr_assert_eq(xt_stack_new(&stack, &sc, &ops, state, key, 1000000), 0);
    xt_app_set_stack(app, stack);
}

static void setup(void)
{
    char err[256];
    struct xt_app_cfg ac = {.max_slots = 64, .max_sessions = 4, .arena = 1 << 24};
    xt_log_set_level(XT_LOG_ERROR);
    strcpy(dir, "/tmp/xtctl-XXXXXX");
    cr_assert(mkdtemp(dir));
    xt_config_default(&config);
    cr_assert_eq(xt_config_set(&config, "address", "10.77.0.2/24", err, sizeof err), 0);
    strcpy(config.interface, "veth0");
    snprintf(config.socket, sizeof config.socket, "%s/a/b/sock", dir);
    xt_netif_derive_mac((const uint8_t[6]){2}, config.address.addr, config.mac);
    config.mtu = 1500;
    config.max_connections = 64;
    cr_assert_eq(xt_app_new(&app, &ac), 0);
    make_stack();
    struct xt_ctl_cfg cc = {.app = app,
                            .host = {.stack = host_stack, .counters = host_counters},
                            .config = config,
                            .settings_fd = xt_settings_new(),
                            .listen_fd = xt_ctl_listen(config.socket, err, sizeof err),
                            .epoch = 3,
                            .restarts = 2};
    cr_assert_geq(cc.listen_fd, 0, "%s", err);
    cr_assert_eq(xt_ctl_new(&ctl, &cc), 0);
}

static void turn(void)
{
    uv_run(xt_ctl_loop(ctl), UV_RUN_NOWAIT);
    xt_app_poll(app, 1000000);
    xt_app_flush(app);
}

static void teardown(void)
{
    char path[128];
    for (int i = 0; i < 50; i++)
        turn();
    close(ctl->cfg.settings_fd);
    xt_ctl_free(ctl);
    xt_app_free(app);
    xt_stack_free(stack);
    free(state);
    unlink(config.socket);
    snprintf(path, sizeof path, "%s/a/b", dir);
    rmdir(path);
    snprintf(path, sizeof path, "%s/a", dir);
    rmdir(path);
    cr_expect_eq(rmdir(dir), 0);
}

TestSuite(server, .init = setup, .fini = teardown);

static int dial(void)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strcpy(sun.sun_path, config.socket);
    cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof sun), 0);
    return fd;
}

/* The next reply on `fd`: its length, 0 at end of file, -EAGAIN when none comes. */
static ssize_t answer(int fd)
{
    for (int i = 0; i < TURNS; i++) {
        turn();
        ssize_t n = xt_msg_recv(fd, reply_buf, sizeof reply_buf, &anc, MSG_DONTWAIT);
        if (n != -EAGAIN) {
            in.n = 0;
            if (n > 0)
                xt_msg_parse(&in, reply_buf, (size_t)n);
            return n;
        }
    }
    return -EAGAIN;
}

static void begin(struct xt_msg_out *o, const char *op)
{
    static char buf[1024];
    xt_msg_begin(o, buf, sizeof buf);
    xt_msg_str(o, "op", op);
}

static ssize_t ask_with(int fd, struct xt_msg_out *o, const int *fds, unsigned nfds)
{
    ssize_t n = xt_msg_end(o);
    cr_assert_gt(n, 0);
    cr_assert_eq(xt_msg_send(fd, o->buf, (size_t)n, fds, nfds, 0), 0);
    return answer(fd);
}

static ssize_t ask(int fd, const char *op)
{
    struct xt_msg_out o;
    begin(&o, op);
    return ask_with(fd, &o, NULL, 0);
}

static bool ok(void)
{
    bool b = false;
    return xt_msg_get_bool(&in, "ok", &b) == 0 && b;
}

static uint64_t num(const char *key)
{
    uint64_t u = UINT64_MAX;
    xt_msg_get_uint(&in, key, &u);
    return u;
}

static int attach(uint64_t abi)
{
    struct xt_msg_out o;
    int fd = dial();
    begin(&o, "attach");
    xt_msg_uint(&o, "abi", abi);
    xt_msg_str(&o, "comm", "test");
    cr_assert_gt(ask_with(fd, &o, NULL, 0), 0);
    return fd;
}

static uint64_t sessions(void)
{
    for (int i = 0; i < 200; i++)
        turn();
    return xt_app_stats(app)->sessions;
}

/* No session is left, as soon as what clients have sent is closed: other threads do that. */
static bool none_left(void)
{
    for (int i = 0; i < TURNS && sessions(); i++)
        poll(NULL, 0, 1);
    return sessions() == 0;
}

Test(server, attach_gives_three_descriptors)
{
    struct stat region;
    int fd = attach(XT_ABI_VERSION);
    cr_assert(ok());
    cr_expect_eq(anc.nfds, 3u);
    cr_expect_eq(num("abi"), XT_ABI_VERSION);
    cr_expect_eq(num("proc"), 0u);
    cr_expect(fstat(anc.fd[0], &region) == 0 && region.st_size > 0);
    cr_expect(fcntl(anc.fd[0], F_GET_SEALS) & F_SEAL_SHRINK);
    xt_msg_anc_close(&anc);
    cr_expect_eq(sessions(), 1u);
    cr_expect(ask(fd, "attach") > 0 && num("errno") == EISCONN, "once is enough");
    close(fd);
    cr_expect_eq(sessions(), 0u, "a closed connection ends the session");
}

Test(server, another_abi_is_refused_in_words)
{
    char why[256] = "";
    int fd = attach(XT_ABI_VERSION + 7);
    cr_expect_not(ok());
    cr_expect_eq(num("errno"), EPROTONOSUPPORT);
    xt_msg_get_str(&in, "error", why, sizeof why);
    char versions[2][16];
    snprintf(versions[0], sizeof versions[0], "version %u,", XT_ABI_VERSION + 7);
    snprintf(versions[1], sizeof versions[1], "has %u:", XT_ABI_VERSION);
    cr_expect(strstr(why, versions[0]) && strstr(why, versions[1]), "%s", why);
    cr_expect_eq(anc.nfds, 0u);
    cr_expect(none_left());
    close(fd);
}

Test(server, session_limit)
{
    int fd[5];
    for (int i = 0; i < 5; i++) {
        fd[i] = attach(XT_ABI_VERSION);
        cr_expect_eq(ok(), i < 4);
        if (i == 4)
            cr_expect_eq(num("errno"), ENOBUFS);
        xt_msg_anc_close(&anc);
    }
    close(fd[0]);
    cr_expect_eq(sessions(), 3u);
    int again = attach(XT_ABI_VERSION);
    cr_expect(ok(), "a place that was left is given again");
    xt_msg_anc_close(&anc);
    close(again);
    for (int i = 1; i < 5; i++)
        close(fd[i]);
}

Test(server, waiters)
{
    int fd = dial();
    cr_expect(ask(fd, "waiter") > 0 && num("errno") == ENOTCONN);
    close(fd);
    fd = attach(XT_ABI_VERSION);
    xt_msg_anc_close(&anc);
    for (uint64_t i = 0; i < 3; i++) {
        cr_assert_gt(ask(fd, "waiter"), 0);
        cr_expect(ok() && anc.nfds == 1);
        xt_msg_anc_close(&anc);
    }
    close(fd);
}

/* The child's connection stands for itself: the session ends with the last of the family. */
Test(server, fork_joins_the_family)
{
    struct xt_msg_out o;
    int fd = attach(XT_ABI_VERSION), sv[2];
    xt_msg_anc_close(&anc);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    begin(&o, "fork");
    cr_assert_gt(ask_with(fd, &o, &sv[1], 1), 0);
    cr_expect(ok());
    cr_expect_eq(num("proc"), 1u);
    close(sv[1]);
    close(fd);
    cr_expect_eq(sessions(), 1u, "the fork is still there");
    begin(&o, "hello");
    xt_msg_str(&o, "comm", "child");
    ssize_t n = xt_msg_end(&o);
    cr_assert_eq(xt_msg_send(sv[0], o.buf, (size_t)n, NULL, 0, 0), 0);
    cr_expect(ask(sv[0], "waiter") > 0 && ok(), "hello has no reply: the next one is the waiter's");
    xt_msg_anc_close(&anc);
    close(sv[0]);
    cr_expect(none_left());
}

Test(server, fork_that_lies_is_disconnected)
{
    struct xt_msg_out o;
    int fd = attach(XT_ABI_VERSION), sv[2];
    xt_msg_anc_close(&anc);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    begin(&o, "fork");
    cr_expect(ask_with(fd, &o, &sv[1], 1) > 0 && num("errno") == EBADMSG);
    cr_expect_leq(answer(fd), 0);
    cr_expect(none_left());
    close(fd);
    close(sv[0]);
    close(sv[1]);
}

/* A client that makes its end blocking, through a descriptor that it kept, does not stop the control thread. */
Test(server, blocking_fork_end_does_not_block_us)
{
    struct xt_msg_out o;
    int fd = attach(XT_ABI_VERSION), sv[2];
    xt_msg_anc_close(&anc);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    begin(&o, "fork");
    cr_assert(ask_with(fd, &o, &sv[1], 1) > 0 && ok());
    fcntl(sv[1], F_SETFL, 0);
    cr_expect(ask(sv[0], "waiter") > 0 && ok());
    xt_msg_anc_close(&anc);
    close(sv[0]);
    close(sv[1]);
    close(fd);
    cr_expect(none_left());
}

Test(server, malformed_gets_an_error_and_the_door)
{
    static const char *const bad[] = {"x", "\x90", "\x80", "\x81\xa2op\x90"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd = dial();
        cr_assert_eq(xt_msg_send(fd, bad[i], strlen(bad[i]), NULL, 0, 0), 0);
        cr_expect(answer(fd) > 0 && num("errno") == EBADMSG, "case %zu", i);
        cr_expect_leq(answer(fd), 0, "case %zu", i);
        close(fd);
    }
    int fd = dial();
    cr_expect(ask(fd, "dance") > 0 && num("errno") == EOPNOTSUPP);
    cr_expect(ask(fd, "flush-time-wait") > 0 && ok(), "an unknown request is no offence");
    close(fd);
}

Test(server, unwanted_descriptors_are_closed)
{
    struct xt_msg_out o;
    int fd = dial(), p[2];
    char byte;
    cr_assert_eq(pipe(p), 0);
    begin(&o, "flush-time-wait");
    cr_expect(ask_with(fd, &o, &p[1], 1) > 0 && ok());
    close(p[1]);
    cr_expect_eq(read(p[0], &byte, 1), 0, "no copy of the writing end is left");
    close(p[0]);
    close(fd);
}

Test(server, unread_descriptors_are_closed, .timeout = 60)
{
    int fd = dial(), p[2];
    char byte;
    cr_assert_eq(pipe(p), 0);
    turn();
    cr_assert_eq(xt_msg_send(fd, "x", 1, NULL, 0, 0), 0); /* for which it is disconnected */
    cr_assert_eq(xt_msg_send(fd, "", 0, &p[1], 1, 0), 0);
    cr_assert_eq(xt_msg_send(fd, "", 0, &p[1], 1, 0), 0);
    cr_expect(answer(fd) > 0 && num("errno") == EBADMSG);
    turn();
    close(p[1]);
    cr_expect_eq(read(p[0], &byte, 1), 0, "no copy of the writing end is left");
    close(p[0]);
    close(fd);
}

/* One that asks and never reads is dropped rather than waited for. */
Test(server, client_that_does_not_read)
{
    struct xt_msg_out o;
    int fd = dial(), rc = 0;
    begin(&o, "config");
    ssize_t n = xt_msg_end(&o);
    for (int i = 0; i < TURNS && rc == 0; i++) {
        rc = xt_msg_send(fd, o.buf, (size_t)n, NULL, 0, MSG_DONTWAIT);
        if (rc == -EAGAIN)
            rc = 0;
        turn();
    }
    cr_expect_eq(rc, -EPIPE);
    close(fd);
}

Test(server, administration_needs_the_right)
{
    int fd = dial();
    turn();
    struct xt_client *cl = LIST_FIRST(&ctl->clients);
    cr_assert(cl);
    cr_expect(xt_client_is_admin(cl));
    cl->uid = NOBODY;
    cl->gid = NOBODY;
    if (geteuid() != NOBODY)
        cr_expect(ask(fd, "status") > 0 && num("errno") == EPERM);
    ctl->admin_gid = NOBODY;
    cr_expect(ask(fd, "status") > 0 && num("errno") != EPERM, "a member of the group");
    close(fd);
}

/* An attached connection is inherited by forks, which may have given up the rights it was opened with. */
Test(server, attached_connections_do_not_administer)
{
    int fd = attach(XT_ABI_VERSION);
    xt_msg_anc_close(&anc);
    cr_expect(ask(fd, "status") > 0 && num("errno") == EPERM);
    close(fd);
}

Test(server, config_set)
{
    static const struct {
        const char *name, *value;
        uint64_t err; /* UINT64_MAX: none */
    } cases[] = {
        {"socket", "/tmp/other", EBUSY},
        {"mls", "5s", ENOENT},
        {"msl", "5", EINVAL},
        {"gateway", "10.99.0.1", EINVAL},
    };
    int fd = dial();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct xt_msg_out o;
        begin(&o, "config-set");
        xt_msg_str(&o, "name", cases[i].name);
        xt_msg_str(&o, "value", cases[i].value);
        cr_expect_gt(ask_with(fd, &o, NULL, 0), 0);
        cr_expect_eq(num("errno"), cases[i].err, "%s", cases[i].name);
    }
    close(fd);
}

Test(server, reload_takes_what_may_change)
{
    char err[256];
    struct xt_config fresh = config;
    cr_assert_eq(xt_config_set(&fresh, "msl", "5s", err, sizeof err), 0);
    cr_assert_eq(xt_config_set(&fresh, "client-spin", "77us", err, sizeof err), 0);
    cr_assert_eq(xt_config_set(&fresh, "log-level", "error", err, sizeof err), 0);
    cr_assert_eq(xt_config_set(&fresh, "ttl", "9", err, sizeof err), 0);
    xt_ctl_reload(ctl, &fresh);
    for (int i = 0; i < 50; i++)
        turn();
    cr_expect_eq(xt_stack_cfg(stack)->tcp.msl, 5000000u);
    cr_expect_eq(xt_app_global(app)->spin_us, 77u);
    cr_expect_eq(xt_stack_cfg(stack)->ttl, 64);
    cr_assert_eq(xt_settings_read(ctl->cfg.settings_fd, &fresh), 0); /* the next stack process has the same */
    cr_expect_eq(fresh.tcp.msl, 5000000u);
    cr_expect_eq(fresh.ttl, 64);
}

/* ---- connections ---- */

static uint32_t listen_on(uint16_t port)
{
    struct xt_endpoint local = {xt_addr_v4(inet_addr("10.77.0.2")), port};
    struct xt_conn *c;
    cr_assert_eq(xt_stack_bind(stack, &local, false), 0);
    cr_assert_eq(xt_stack_listen(stack, &local, false, 1000000, &c), 0);
    return c->index;
}

static ssize_t ask_list(int fd, uint64_t states)
{
    struct xt_msg_out o;
    begin(&o, "list");
    xt_msg_uint(&o, "states", states);
    return ask_with(fd, &o, NULL, 0);
}

/* Nested replies are xtcpctl's to read; here the text in them will do. */
static bool says(ssize_t n, const char *text)
{
    return n > 0 && memmem(reply_buf, (size_t)n, text, strlen(text));
}

Test(server, list_show_and_close)
{
    struct xt_msg_out o;
    int fd = dial();
    uint32_t id = listen_on(8080);
    ssize_t n = ask_list(fd, 0);
    cr_expect(says(n, "LISTEN") && says(n, "10.77.0.2:8080"));
    n = ask_list(fd, 1u << XT_ESTABLISHED);
    cr_expect(n > 0 && !says(n, "LISTEN"));
    n = ask(fd, "status");
    cr_expect(says(n, "10.77.0.2/24") && says(n, "states"));
    for (int round = 0; round < 2; round++) {
        begin(&o, "show");
        xt_msg_uint(&o, "id", id);
        n = ask_with(fd, &o, NULL, 0);
        cr_expect(round == 0 ? says(n, "10.77.0.2:8080") : num("errno") == ENOENT);
        begin(&o, "close");
        xt_msg_uint(&o, "id", id);
        n = ask_with(fd, &o, NULL, 0);
        cr_expect(round == 0 ? ok() : num("errno") == ENOENT);
    }
    begin(&o, "show");
    xt_msg_uint(&o, "id", 1u << 31);
    cr_expect(ask_with(fd, &o, NULL, 0) > 0 && num("errno") == ENOENT, "far beyond the table");
    close(fd);
}

Test(server, stats_have_every_counter)
{
    int fd = dial();
    ssize_t n = ask(fd, "stats");
#define X(name, text) cr_expect(says(n, #name) && says(n, text));
    XT_TCP_STATS(X)
    XT_STACK_STATS(X)
#undef X
    cr_expect(says(n, "rx_frames") && says(n, "liars"));
    close(fd);
}

/* The asker goes before the data plane has answered. */
Test(server, asker_that_leaves)
{
    struct xt_msg_out o;
    int fd = dial();
    begin(&o, "status");
    ssize_t n = xt_msg_end(&o);
    cr_assert_eq(xt_msg_send(fd, o.buf, (size_t)n, NULL, 0, 0), 0);
    while (LIST_EMPTY(&ctl->jobs))
        uv_run(xt_ctl_loop(ctl), UV_RUN_NOWAIT);
    struct xt_client *cl = LIST_FIRST(&ctl->clients);
    xt_client_close(cl);
    close(fd);
    for (int i = 0; i < 50; i++)
        turn();
    cr_expect(LIST_EMPTY(&ctl->jobs));
    cr_expect_eq(ctl->nclients, 0u);
}

Test(server, groups)
{
    char err[256] = "";
    gid_t gid;
    cr_expect(xt_ctl_find_group("", &gid, err, sizeof err) == 0 && gid == (gid_t)-1);
    cr_expect(xt_ctl_find_group("root", &gid, err, sizeof err) == 0 && gid == 0);
    cr_expect_eq(xt_ctl_find_group("no-such-group", &gid, err, sizeof err), -ENOENT);
    cr_expect(strstr(err, "no-such-group"), "%s", err);
}

/* ---- socket ---- */

Test(server, socket_and_its_place)
{
    char err[256];
    struct stat st;
    cr_expect(stat(config.socket, &st) == 0 && (st.st_mode & 0777) == 0666);
    cr_expect(xt_ctl_listens_at(ctl->cfg.listen_fd, config.socket));
    cr_expect_not(xt_ctl_listens_at(ctl->cfg.listen_fd, "/tmp/elsewhere"));
    cr_expect_not(xt_ctl_listens_at(0, config.socket));
    cr_expect_eq(xt_ctl_listen("relative", err, sizeof err), -EINVAL);
    cr_expect_eq(xt_ctl_listen("/etc/passwd", err, sizeof err), -EEXIST);
    cr_expect_eq(access("/etc/passwd", F_OK), 0);
}

/* ---- exported sockets ---- */

/* A client's own view of its region, to lie in. */
struct liar {
    int fd;
    uint8_t *base;
    size_t size;
    struct xt_slot *slots;
};

static void liar_start(struct liar *l)
{
    struct stat st;
    l->fd = attach(XT_ABI_VERSION);
    cr_assert(ok() && fstat(anc.fd[0], &st) == 0);
    l->size = (size_t)st.st_size;
    void *p = mmap(NULL, l->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, anc.fd[0], 0);
    cr_assert_neq(p, MAP_FAILED);
    l->base = p;
    l->slots = (struct xt_slot *)(void *)(l->base + ((struct xt_region *)p)->slots_off);
    xt_msg_anc_close(&anc);
}

static void liar_stop(struct liar *l)
{
    close(l->fd);
    munmap(l->base, l->size);
}

static void claim_to_hold(struct liar *l, uint32_t slot)
{
    const struct xt_region *r = (void *)l->base;
    atomic_fetch_or(&((xt_bitword *)(void *)(l->base + r->hold_off))[slot / 64], 1ULL << (slot % 64));
}

static void claim_to_be_over(struct liar *l, uint32_t slot)
{
    const struct xt_region *r = (void *)l->base;
    struct xt_slot *slots = (void *)(l->base + r->slots_off);
    claim_to_hold(l, slot);
    atomic_store(&slots[slot].cond, XT_COND_HUP);
}

/* The end that stands for the slot, or -1. */
static int export(int fd, uint64_t slot, bool now)
{
    struct xt_msg_out o;
    begin(&o, "export");
    xt_msg_uint(&o, "slot", slot);
    xt_msg_bool(&o, "now", now);
    cr_assert_gt(ask_with(fd, &o, NULL, 0), 0);
    return ok() && anc.nfds == 1 ? anc.fd[0] : -1;
}

static bool hangs_up(int fd)
{
    struct pollfd p = {.fd = fd};
    for (int i = 0; i < TURNS; i++) {
        turn();
        if (poll(&p, 1, 0) > 0 && p.revents & POLLHUP)
            return true;
    }
    return false;
}

static uint64_t ask_with_end(int fd, const char *op, int end)
{
    struct xt_msg_out o;
    begin(&o, op);
    xt_msg_uint(&o, "abi", XT_ABI_VERSION);
    xt_msg_str(&o, "comm", "test");
    cr_assert_gt(ask_with(fd, &o, &end, end >= 0), 0);
    return ok() ? 0 : num("errno");
}

Test(server, export_is_for_holders)
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

Test(server, claim_and_join_want_a_true_end)
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
Test(server, exported_end_outlives_its_program)
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

Test(server, join_is_a_process_more)
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

/* Rings as no honest client has them: the socket ends, the daemon does not read or write outside of the region. */
Test(server, relay_of_impossible_rings)
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
        sl->rx_off = lies[i].rx_off ? lies[i].rx_off : arena;
        sl->tx_off = lies[i].tx_off ? lies[i].tx_off : arena;
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
Test(server, relay_of_a_client_that_holds_on)
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

/* ---- clients that would have the daemon wait, spin or fall ---- */

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

Test(server, descriptors_that_are_slow_to_close, .timeout = 60)
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
Test(server, end_that_hides_what_it_has)
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

Test(server, who_says_nothing_is_disconnected)
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
Test(server, doorbell_that_is_full, .timeout = 60)
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
Test(server, export_whose_answer_cannot_be_sent)
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

Test(server, nothing_of_a_liar_is_kept)
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

/* What a client that is gone has written about its socket keeps the relay from ever seeing that all is over. */
Test(server, export_of_a_socket_that_never_has_news)
{
    struct liar l;
    liar_start(&l);
    cr_assert(ask(l.fd, "waiter") > 0 && ok() && num("waiter") == 0);
    xt_msg_anc_close(&anc);
    const struct xt_region *r = (void *)l.base;
    uint32_t slot = (uint32_t)command(&l, XT_OP_SOCKET, 0);
    cr_assert_eq(command(&l, XT_OP_CONNECT, slot), 0);
    xt_stack_close(stack, xt_stack_conn(stack, l.slots[slot].conn), 1000000);
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
