/* SPDX-License-Identifier: Apache-2.0
 * Programs that attach, and who is let in. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/ctl/server.h"

TestSuite(server, .init = server_setup, .fini = server_teardown);

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

/* Who attaches by the other end of the pair is of the family of the connection that the pair came by. */
Test(server, beside_makes_a_session_of_the_same_family)
{
    struct xt_msg_out o;
    struct xt_kin first, second;
    const struct xt_client *cl;
    int fd = attach(XT_ABI_VERSION), sv[2];
    xt_msg_anc_close(&anc);
    xt_session_kin(LIST_FIRST(&ctl->clients)->session, &first);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    begin(&o, "beside");
    xt_msg_uint(&o, "shard", 0);
    cr_assert_gt(ask_with(fd, &o, &sv[1], 1), 0);
    cr_expect(ok() && num("shard") == 0);
    close(sv[1]);
    cr_expect_eq(sessions(), 1u);
    begin(&o, "attach");
    xt_msg_uint(&o, "abi", XT_ABI_VERSION);
    xt_msg_str(&o, "comm", "again");
    cr_assert_gt(ask_with(sv[0], &o, NULL, 0), 0);
    cr_expect(ok() && anc.nfds == 3);
    xt_msg_anc_close(&anc);
    cr_expect_eq(sessions(), 2u);
    LIST_FOREACH(cl, &ctl->clients, link)
    {
        xt_session_kin(cl->session, &second);
        cr_expect_eq(second.family, first.family);
    }
    close(fd);
    cr_expect_eq(sessions(), 1u);
    close(sv[0]);
    cr_expect(none_left());
}

Test(server, beside_that_lies_is_disconnected)
{
    static const struct {
        int attached, fds;
        uint64_t shard;
    } bad[] = {{0, 1, 0}, {1, 0, 0}, {1, 1, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct xt_msg_out o;
        int fd = bad[i].attached ? attach(XT_ABI_VERSION) : dial(), sv[2];
        if (bad[i].attached)
            xt_msg_anc_close(&anc);
        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
        begin(&o, "beside");
        xt_msg_uint(&o, "shard", bad[i].shard);
        cr_expect(ask_with(fd, &o, &sv[1], (unsigned)bad[i].fds) > 0 && num("errno") == EBADMSG, "case %zu", i);
        cr_expect_leq(answer(fd), 0, "case %zu", i);
        cr_expect(none_left());
        close(fd);
        close(sv[0]);
        close(sv[1]);
    }
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

Test(server, unread_descriptors_are_closed, .timeout = 250)
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

/* One that goes without its watch would not see the interface made anew: for want of descriptors it had better not start. */
Test(server, does_not_start_without_a_look_at_the_interface)
{
    struct xt_ctl other = {.cfg = {.config = config}};
    struct rlimit was, none;
    cr_assert_eq(uv_loop_init(&other.loop), 0);
    getrlimit(RLIMIT_NOFILE, &was);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = was.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    cr_expect_eq(xt_link_start(&other), -EMFILE);
    setrlimit(RLIMIT_NOFILE, &was);
    cr_expect_eq(xt_link_start(&other), 0);
    cr_expect_str_eq(xt_link_state(&other), "removed");
    xt_link_stop(&other);
    uv_run(&other.loop, UV_RUN_DEFAULT);
    cr_expect_eq(uv_loop_close(&other.loop), 0);
}

static rlim_t next_descriptor(void)
{
    int fd = dup(STDIN_FILENO);
    close(fd);
    return (rlim_t)fd;
}

Test(server, who_comes_when_no_descriptor_is_left_is_answered)
{
    struct rlimit was, full;
    int fd = dial(), other = dial();
    getrlimit(RLIMIT_NOFILE, &was);
    full = (struct rlimit){.rlim_cur = next_descriptor(), .rlim_max = was.rlim_max};
    setrlimit(RLIMIT_NOFILE, &full);
    cr_expect(ask(fd, "flush-time-wait") > 0 && ok());
    cr_expect_eq(ask(other, "flush-time-wait"), -EAGAIN, "there was only one");
    close(fd);
    ssize_t n;
    while ((n = answer(other)) == -EAGAIN)
        ;
    cr_expect(n > 0 && ok(), "the next one has its turn");
    setrlimit(RLIMIT_NOFILE, &was);
    close(other);
    while (ctl->spare < 0)
        turn();
}

static bool is_waiting(const struct xt_client *cl)
{
    char byte;
    return recv(cl->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* One that takes a way round by the data plane, too: a successor finds it where it was. */
Test(server, a_request_stays_until_it_is_answered)
{
    struct xt_msg_out o;
    int fd = attach(XT_ABI_VERSION);
    const struct xt_client *cl = LIST_FIRST(&ctl->clients);
    xt_msg_anc_close(&anc);
    begin(&o, "settle");
    ssize_t n = xt_msg_end(&o);
    cr_assert_eq(xt_msg_send(fd, o.buf, (size_t)n, NULL, 0, 0), 0);
    while (!cl->job)
        uv_run(xt_ctl_loop(ctl), UV_RUN_NOWAIT);
    cr_expect(is_waiting(cl));
    cr_expect(answer(fd) > 0 && ok());
    cr_expect_not(is_waiting(cl));
    cr_expect(ask(fd, "settle") > 0 && ok());
    close(fd);
    cr_expect(none_left());
}
