/* SPDX-License-Identifier: Apache-2.0
 * What administrators ask. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/ctl/settings.h"
#include "tests/unit/ctl/server.h"

TestSuite(admin, .init = server_setup, .fini = server_teardown);

Test(admin, administration_needs_the_right)
{
    int fd = dial();
    turn();
    struct xt_client *cl = LIST_FIRST(&ctl->clients);
    cr_assert(cl);
    cr_expect(xt_privilege_admin(cl));
    cl->uid = NOBODY;
    cl->gid = NOBODY;
    if (geteuid() != NOBODY)
        cr_expect(ask(fd, "status") > 0 && num("errno") == EPERM);
    ctl->admin_gid = NOBODY;
    cr_expect(ask(fd, "status") > 0 && num("errno") != EPERM, "a member of the group");
    close(fd);
}

/* An attached connection is inherited by forks, which may have given up the rights it was opened with. */
Test(admin, attached_connections_do_not_administer)
{
    int fd = attach(XT_ABI_VERSION);
    xt_msg_anc_close(&anc);
    cr_expect(ask(fd, "status") > 0 && num("errno") == EPERM);
    close(fd);
}

Test(admin, config_set)
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

Test(admin, reload_takes_what_may_change)
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

Test(admin, list_show_and_close)
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

Test(admin, stats_have_every_counter)
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
Test(admin, asker_that_leaves)
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

Test(admin, groups)
{
    char err[256] = "";
    gid_t gid;
    cr_expect(xt_ctl_find_group("", &gid, err, sizeof err) == 0 && gid == (gid_t)-1);
    cr_expect(xt_ctl_find_group("root", &gid, err, sizeof err) == 0 && gid == 0);
    cr_expect_eq(xt_ctl_find_group("no-such-group", &gid, err, sizeof err), -ENOENT);
    cr_expect(strstr(err, "no-such-group"), "%s", err);
}
