/* SPDX-License-Identifier: Apache-2.0
 * Who may do what. The peer is another user's as far as the control plane knows. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/ctl/server.h"

TestSuite(privilege, .init = server_setup, .fini = server_teardown);

/* A connection of that user and group. */
static int dial_as(uid_t uid, gid_t gid)
{
    int fd = dial();
    turn();
    struct xt_client *cl = LIST_FIRST(&ctl->clients);
    cr_assert(cl);
    cl->uid = uid;
    cl->gid = gid;
    return fd;
}

static void set(const char *name, const char *value)
{
    char err[256];
    struct xt_config fresh = ctl->cfg.config;
    cr_assert_eq(xt_config_set(&fresh, name, value, err, sizeof err), 0, "%s", err);
    xt_ctl_reload(ctl, &fresh);
    turn();
}

static int attach_as(uid_t uid, gid_t gid)
{
    struct xt_msg_out o;
    int fd = dial_as(uid, gid);
    begin(&o, "attach");
    xt_msg_uint(&o, "abi", XT_ABI_VERSION);
    xt_msg_str(&o, "comm", "test");
    cr_assert_gt(ask_with(fd, &o, NULL, 0), 0);
    if (ok())
        xt_msg_anc_close(&anc);
    return fd;
}

/* Who attaches now. */
static bool may_have_low_ports(uid_t uid, gid_t gid)
{
    int fd = attach_as(uid, gid);
    cr_assert(ok());
    bool may = LIST_FIRST(&ctl->clients)->session->l->low_ports;
    close(fd);
    cr_assert(none_left());
    return may;
}

Test(privilege, low_ports)
{
    cr_expect_not(may_have_low_ports(4242, 4242));
    cr_expect(may_have_low_ports(0, 0));
    set("low-ports", "user 4242, group 77 ,user root");
    cr_expect(may_have_low_ports(4242, 4242));
    cr_expect(may_have_low_ports(4243, 77));
    cr_expect_not(may_have_low_ports(4243, 4242));
    set("low-ports", "all");
    cr_expect(may_have_low_ports(4243, 4243));
    set("low-ports", "root");
    cr_expect_not(may_have_low_ports(4243, 4243));
}

Test(privilege, low_ports_as_text)
{
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {"", 0},
        {"root", 0},
        {" group 0 , user 1", 0},
        {"user", -EINVAL},
        {"users 1", -EINVAL},
        {"everybody", -EINVAL},
        {"user no-such-user", -ENOENT},
        {"group no-such-group", -ENOENT},
        {"user 4294967295", -ENOENT}, /* "no user" to the kernel */
    };
    char err[256];
    struct xt_low_ports low;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(xt_low_ports_parse(cases[i].text, &low, err, sizeof err), cases[i].rc, "%s", cases[i].text);
}

/* A name that nobody has is refused where it is set, and gives nobody a right where it was let through. */
Test(privilege, names_that_are_gone)
{
    struct xt_msg_out o;
    int fd = dial();
    begin(&o, "config-set");
    xt_msg_str(&o, "name", "low-ports");
    xt_msg_str(&o, "value", "user no-such-user");
    cr_expect_gt(ask_with(fd, &o, NULL, 0), 0);
    cr_expect_neq(num("errno"), UINT64_MAX);
    close(fd);
    set("low-ports", "user no-such-user");
    cr_expect_not(may_have_low_ports(4242, 4242));
}

Test(privilege, administration_by_group)
{
    static const char *const ops[] = {"status", "list", "users", "stats", "config"};
    for (int member = 0; member < 2; member++) {
        set("admin-group", member ? "77" : "");
        for (unsigned i = 0; i < sizeof ops / sizeof ops[0]; i++) {
            int fd = dial_as(4242, 77);
            ssize_t n = ask(fd, ops[i]);
            cr_expect(n > 0 && (num("errno") == EPERM) == !member, "%s", ops[i]);
            close(fd);
        }
        int fd = dial_as(4242, 77);
        cr_expect(ask(fd, "upgrade") > 0 && num("errno") == EPERM, "root alone may");
        close(fd);
    }
}

Test(privilege, quotas)
{
    int fd[3], admin = dial();
    set("user-clients", "2");
    for (unsigned i = 0; i < 3; i++) {
        fd[i] = attach_as(4242, 4242);
        cr_expect_eq(ok(), i < 2);
    }
    cr_expect_eq(num("errno"), ENOBUFS);
    ssize_t n = ask(admin, "users");
    cr_expect(says(n, "uid") && says(n, "refused") && says(n, "limits"));
    struct xt_user_info u;
    cr_expect_eq(xt_app_users(app, &u, 1), 1u);
    cr_expect(u.uid == 4242 && u.clients == 2 && u.refused == 1);
    for (unsigned i = 0; i < 3; i++)
        close(fd[i]);
    cr_expect(none_left());
    cr_expect_eq(xt_app_users(app, &u, 1), 0u);
    close(admin);
}
