/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ctl/server.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/ctl/netif.h"
#include "daemon/ctl/settings.h"

struct xt_ctl *ctl;
struct xt_app *app;
struct xt_stack *stack;
struct xt_config config;
uint8_t reply_buf[XT_CTL_MAX];
struct xt_msg_in in;
struct xt_msg_anc anc;
static void *state;
static char dir[64];

static int no_tx(void *arg, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen, const struct iovec *iov,
                 unsigned niov)
{
    return 0;
}

static struct xt_stack *host_stack(void *arg, uint32_t shard)
{
    return stack;
}

static void host_counters(void *arg, uint32_t shard, xt_ctl_put *put, void *put_arg)
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

void server_setup(void)
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
                            .owner = geteuid(),
                            .epoch = 3,
                            .restarts = 2};
    cr_assert_geq(cc.listen_fd, 0, "%s", err);
    cr_assert_eq(xt_ctl_new(&ctl, &cc), 0);
}

void turn(void)
{
    uv_run(xt_ctl_loop(ctl), UV_RUN_NOWAIT);
    xt_app_poll(app, 1000000);
    xt_app_flush(app);
}

void server_teardown(void)
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

int dial(void)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strcpy(sun.sun_path, config.socket);
    cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof sun), 0);
    return fd;
}

/* The next reply on `fd`: its length, 0 at end of file, -EAGAIN when none comes. */
ssize_t answer(int fd)
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

void begin(struct xt_msg_out *o, const char *op)
{
    static char buf[1024];
    xt_msg_begin(o, buf, sizeof buf);
    xt_msg_str(o, "op", op);
}

ssize_t ask_with(int fd, struct xt_msg_out *o, const int *fds, unsigned nfds)
{
    ssize_t n = xt_msg_end(o);
    cr_assert_gt(n, 0);
    cr_assert_eq(xt_msg_send(fd, o->buf, (size_t)n, fds, nfds, 0), 0);
    return answer(fd);
}

ssize_t ask(int fd, const char *op)
{
    struct xt_msg_out o;
    begin(&o, op);
    return ask_with(fd, &o, NULL, 0);
}

bool ok(void)
{
    bool b = false;
    return xt_msg_get_bool(&in, "ok", &b) == 0 && b;
}

uint64_t num(const char *key)
{
    uint64_t u = UINT64_MAX;
    xt_msg_get_uint(&in, key, &u);
    return u;
}

int attach(uint64_t abi)
{
    struct xt_msg_out o;
    int fd = dial();
    begin(&o, "attach");
    xt_msg_uint(&o, "abi", abi);
    xt_msg_str(&o, "comm", "test");
    cr_assert_gt(ask_with(fd, &o, NULL, 0), 0);
    return fd;
}

uint64_t sessions(void)
{
    for (int i = 0; i < 200; i++)
        turn();
    return xt_app_stats(app)->sessions;
}

/* No session is left, as soon as what clients have sent is closed: other threads do that. */
bool none_left(void)
{
    for (int i = 0; i < TURNS && sessions(); i++)
        poll(NULL, 0, 1);
    return sessions() == 0;
}

/* Nested replies are xtcpctl's to read; here the text in them will do. */
bool says(ssize_t n, const char *text)
{
    return n > 0 && memmem(reply_buf, (size_t)n, text, strlen(text));
}

/* ---- a client that lies ---- */

void liar_start(struct liar *l)
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

void liar_stop(struct liar *l)
{
    close(l->fd);
    munmap(l->base, l->size);
}

void claim_to_hold(struct liar *l, uint32_t slot)
{
    const struct xt_region *r = (void *)l->base;
    atomic_fetch_or(&((xt_bitword *)(void *)(l->base + r->hold_off))[slot / 64], 1ULL << (slot % 64));
}

void claim_to_be_over(struct liar *l, uint32_t slot)
{
    const struct xt_region *r = (void *)l->base;
    struct xt_slot *slots = (void *)(l->base + r->slots_off);
    claim_to_hold(l, slot);
    atomic_store(&slots[slot].cond, XT_COND_HUP);
}

/* The end that stands for the slot, or -1. */
int export(int fd, uint64_t slot, bool now)
{
    struct xt_msg_out o;
    begin(&o, "export");
    xt_msg_uint(&o, "slot", slot);
    xt_msg_bool(&o, "now", now);
    cr_assert_gt(ask_with(fd, &o, NULL, 0), 0);
    return ok() && anc.nfds == 1 ? anc.fd[0] : -1;
}

bool hangs_up(int fd)
{
    struct pollfd p = {.fd = fd};
    for (int i = 0; i < TURNS; i++) {
        turn();
        if (poll(&p, 1, 0) > 0 && p.revents & POLLHUP)
            return true;
    }
    return false;
}

uint64_t ask_with_end(int fd, const char *op, int end)
{
    struct xt_msg_out o;
    begin(&o, op);
    xt_msg_uint(&o, "abi", XT_ABI_VERSION);
    xt_msg_str(&o, "comm", "test");
    cr_assert_gt(ask_with(fd, &o, &end, end >= 0), 0);
    return ok() ? 0 : num("errno");
}
