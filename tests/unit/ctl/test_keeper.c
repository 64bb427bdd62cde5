/* SPDX-License-Identifier: Apache-2.0
 * The keeper, with a stand-in for the stack process: what is kept, when it starts again, how it stops. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/base/time.h"
#include "daemon/main/backoff.h"
#include "daemon/main/fdstore.h"
#include "daemon/main/keeper_internal.h"
#include "daemon/main/oom.h"

#define STANDIN_PIPE 100
#define PATIENCE_US UINT64_C(1000000000000)

static char dir[64], log_path[128], notify_path[128];

static void make_dir(void)
{
    strcpy(dir, "/tmp/xtkeeper-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    snprintf(notify_path, sizeof notify_path, "%s/notify", dir);
    xt_log_set_level(XT_LOG_ERROR);
}

static void remove_dir(void)
{
    unlink(log_path);
    cr_expect_eq(access(notify_path, F_OK), -1, "the notification socket is left behind");
    unlink(notify_path);
    cr_expect_eq(rmdir(dir), 0);
}

/* A clock that runs a thousand times as fast: pauses pass at once, their order stays. */
static uint64_t fast_clock(void)
{
    return xt_time_us() * 1000;
}

/* Time stands still: whoever waits, waits for ever. */
static uint64_t no_clock(void)
{
    return 1000000;
}

static uint64_t longest_pause = PATIENCE_US;

static int keep_by(const char *how, uint64_t (*now_us)(void))
{
    char *argv[] = {KEEPER_STANDIN, (char *)how, log_path, NULL};
    struct xt_keeper_cfg cfg = {.argv = argv,
                                .notify_path = notify_path,
                                .now_us = now_us,
                                .backoff_us = longest_pause,
                                .start_us = PATIENCE_US,
                                .stop_us = PATIENCE_US,
                                .upgrade_us = PATIENCE_US};
    return xt_keeper_run(&cfg);
}

static int keep(const char *how)
{
    return keep_by(how, fast_clock);
}

static const char *log_text(void)
{
    static char text[1024];
    FILE *f = fopen(log_path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    if (f)
        fclose(f);
    return text;
}

Test(keeper, keeps_descriptors_over_restarts, .init = make_dir, .fini = remove_dir)
{
    cr_expect_eq(keep("lives"), XT_EXIT_OK);
    cr_expect_str_eq(log_text(), "start 0 lives 1 handed 0 other 0\n"
                                 "start 1 lives 2 handed 2 other 1\n"
                                 "start 2 lives 3 handed 1 other 0\n"
                                 "start 3 lives 4 handed 1 other 0\n");
}

/* Who was killed after it served has a successor at once, however often; only a crash counts as one, and the first costs no time. */
Test(keeper, kills_are_no_crashes, .init = make_dir, .fini = remove_dir, .timeout = 250)
{
    cr_expect_eq(keep_by("killed", no_clock), XT_EXIT_OK);
    cr_expect_str_eq(log_text(), "start 0 crashes 0 crashed 0\n"
                                 "start 1 crashes 0 crashed 0\n"
                                 "start 2 crashes 0 crashed 0\n"
                                 "start 3 crashes 0 crashed 0\n"
                                 "start 4 crashes 0 crashed 0\n"
                                 "start 5 crashes 1 crashed 1\n");
}

/* The longest pause may be none: then no time need pass. */
Test(keeper, pauses_no_longer_than_it_may, .init = make_dir, .fini = remove_dir, .timeout = 250)
{
    longest_pause = 0;
    cr_expect_eq(keep_by("crashes", no_clock), XT_EXIT_OK);
    cr_expect_str_eq(log_text(), "crashes\ncrashes\ncrashes\n");
}

/* All patience ends with each line of the log that says "hangs". */
static uint64_t jumping_clock(void)
{
    uint64_t t = xt_time_us();
    for (const char *at = log_text(); (at = strstr(at, "hangs\n")); at++)
        t += PATIENCE_US;
    return t;
}

/* One that does not get ready is ended and has crashed; the next one waits, and longer each time, whatever the time that was lost. */
Test(keeper, ends_a_start_that_hangs, .init = make_dir, .fini = remove_dir, .timeout = 250)
{
    uint64_t began = xt_time_us();
    cr_expect_eq(keep_by("crashes-and-hangs", jumping_clock), XT_EXIT_OK);
    cr_expect_geq(xt_time_us() - began, 3 * XT_BACKOFF_FIRST_US);
    cr_expect_str_eq(log_text(), "start 0 crashes 0 crashed 0\n"
                                 "start 1 crashes 1 crashed 1\n"
                                 "hangs\n"
                                 "start 2 crashes 2 crashed 1\n"
                                 "hangs\n"
                                 "start 3 crashes 3 crashed 1\n");
}

Test(keeper, gives_up_when_the_first_start_hangs, .init = make_dir, .fini = remove_dir, .timeout = 250)
{
    cr_expect_eq(keep_by("hangs", jumping_clock), XT_EXIT_FAILED);
    cr_expect_str_eq(log_text(), "hangs\n");
}

Test(keeper, old_binary_goes_on_when_the_new_one_hangs, .init = make_dir, .fini = remove_dir, .timeout = 250)
{
    cr_expect_eq(keep_by("upgrade-hangs", jumping_clock), XT_EXIT_OK);
    cr_expect_str_eq(log_text(), "serves\ncandidate\nhangs\nserves\n");
}

Test(keeper, gives_up_when_the_first_start_fails, .init = make_dir, .fini = remove_dir)
{
    cr_expect_eq(keep("config-error"), XT_EXIT_CONFIG);
    cr_expect_eq(keep("crash-at-once"), XT_EXIT_FAILED);
    cr_expect_str_eq(log_text(), "config-error\ncrash-at-once\n");
}

Test(keeper, ends_with_a_child_that_ends_by_itself, .init = make_dir, .fini = remove_dir)
{
    cr_expect_eq(keep("ends-by-itself"), XT_EXIT_OK);
    cr_expect_str_eq(log_text(), "ends-by-itself\n");
}

Test(keeper, passes_on_hangup_and_interrupt, .init = make_dir, .fini = remove_dir)
{
    cr_expect_eq(keep("reload"), XT_EXIT_OK);
}

Test(keeper, second_stop_ends_a_stubborn_child, .init = make_dir, .fini = remove_dir)
{
    cr_expect_eq(keep("stubborn"), XT_EXIT_OK);
}

Test(keeper, program_that_cannot_run, .init = make_dir, .fini = remove_dir)
{
    char *argv[] = {"/nonexistent/xtcpd", "config-error", log_path, NULL};
    struct xt_keeper_cfg cfg = {.argv = argv, .notify_path = "/nonexistent/notify", .now_us = fast_clock};
    cr_expect_eq(xt_keeper_run(&cfg), XT_EXIT_FAILED);
}

/* The stand-in holds the writing end of a pipe: a byte tells that it runs, end of file that it is gone. */
Test(keeper, child_goes_when_the_keeper_is_killed, .init = make_dir)
{
    int p[2];
    char byte;
    cr_assert_eq(pipe(p), 0);
    pid_t keeper = fork();
    if (keeper == 0) {
        dup2(p[1], STANDIN_PIPE);
        close(p[0]);
        close(p[1]);
        _exit(keep("outlives"));
    }
    close(p[1]);
    cr_assert_eq(read(p[0], &byte, 1), 1);
    kill(keeper, SIGKILL);
    cr_expect_eq(read(p[0], &byte, 1), 0);
    waitpid(keeper, NULL, 0);
    unlink(notify_path);
    remove_dir();
}

/* Where memory is short the kernel is to end the stack process, not the keeper, if that has the privilege to ask for it. */
Test(keeper, is_spared_when_memory_is_short, .init = make_dir, .fini = remove_dir)
{
    char want[64], own[XT_OOM_SCORE] = "";
    xt_oom_spare(own);
    bool privileged = *own;
    xt_oom_restore(own);
    if (!privileged)
        cr_skip_test("no CAP_SYS_RESOURCE");
    snprintf(want, sizeof want, "%d -1000\n", atoi(own));
    cr_expect_eq(keep("scores"), XT_EXIT_OK);
    cr_expect_str_eq(log_text(), want);
}

/* Stands for the process's score: the kernel's goes below what it was for the privileged only. */
static int score_file(void)
{
    int fd = open(log_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool ok = write(fd, "7\n", 2) == 2 && unshare(CLONE_NEWNS) == 0 &&
              mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
              mount(log_path, "/proc/self/oom_score_adj", NULL, MS_BIND, NULL) == 0;
    return ok ? fd : -1;
}

static bool begins(int fd, const char *want)
{
    char text[64] = "";
    return pread(fd, text, sizeof text - 1, 0) > 0 && strncmp(text, want, strlen(want)) == 0;
}

static int spare_and_restore(void)
{
    char was[XT_OOM_SCORE];
    int fd = score_file();
    if (fd < 0)
        return 77;
    xt_oom_spare(was);
    bool spared = begins(fd, "-1000") && strcmp(was, "7\n") == 0;
    xt_oom_restore(was);
    return spared && begins(fd, "7\n") ? 0 : 1;
}

static int spare_without_privilege(void)
{
    char was[XT_OOM_SCORE], text[256] = "";
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {0};
    int said = memfd_create("said", MFD_CLOEXEC);
    if (syscall(SYS_capset, &head, caps) < 0 || dup2(said, STDERR_FILENO) < 0)
        return 2;
    xt_log_set_level(XT_LOG_INFO);
    xt_oom_spare(was);
    xt_oom_restore(was); /* says nothing: there is nothing to restore */
    return !*was && pread(said, text, sizeof text - 1, 0) > 0 &&
                   strstr(text, "not spared when memory is short: Permission denied")
               ? 0
               : 1;
}

static int in_child(int (*f)(void))
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(f());
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(oom, is_spared_and_its_child_is_not, .init = make_dir, .fini = remove_dir)
{
    int rc = in_child(spare_and_restore);
    if (rc == 77)
        cr_skip_test("nothing can be mounted");
    cr_expect_eq(rc, 0);
}

Test(oom, the_log_tells_of_a_refusal)
{
    cr_expect_eq(in_child(spare_without_privilege), 0);
}

/* ---- what the candidate of an upgrade is told ---- */

static void unprivileged_with_files(rlim_t n)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {0};
    struct rlimit lim = {n, n};
    cr_assert(syscall(SYS_capset, &head, caps) == 0 && setrlimit(RLIMIT_NOFILE, &lim) == 0);
}

/* The kernel lets an unprivileged user have only so many descriptors under way. A client that the candidate has not been told of would
 * wait for ever. */
Test(keeper, no_upgrade_by_who_cannot_be_told_of_a_client)
{
    struct keeper *k = calloc(1, sizeof *k);
    int pair[2], fd = memfd_create("x", MFD_CLOEXEC);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    k->up = (struct xt_upgrade){.phase = XT_UPGRADE_STARTING, .image = -1, .feed = pair[0], .answer = -1};
    for (int i = 0; i < 40; i++)
        xt_upgrade_changed(k, "client", fd);
    cr_expect_eq(k->up.phase, XT_UPGRADE_STARTING);
    unprivileged_with_files(30);
    xt_upgrade_changed(k, "client", fd);
    cr_expect_eq(k->up.phase, XT_UPGRADE_NONE);
    close(pair[1]);
    close(fd);
    free(k);
}

/* ---- parts ---- */

Test(backoff, first_at_once_then_doubling_to_the_limit)
{
    static const uint64_t want[] = {0, 100000, 200000, 400000, 800000, 1600000, 3200000, 5000000, 5000000};
    struct xt_backoff b = {.max_us = 5000000};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        cr_expect_eq(xt_backoff_died(&b, 9999999), want[i], "death %zu", i);
    cr_expect_eq(xt_backoff_died(&b, XT_BACKOFF_CALM_US), 0, "after a long life");
    cr_expect_eq(xt_backoff_died(&b, 0), XT_BACKOFF_FIRST_US);
    b = (struct xt_backoff){.max_us = 1000};
    cr_expect_eq(xt_backoff_died(&b, 0), 0);
    cr_expect_eq(xt_backoff_died(&b, 0), 1000, "never longer than the limit");
}

Test(fdstore, names)
{
    cr_expect(xt_fdstore_name_ok("state"));
    cr_expect(xt_fdstore_name_ok("client-12.mem_fd"));
    cr_expect_not(xt_fdstore_name_ok(""));
    cr_expect_not(xt_fdstore_name_ok("a:b"));
    cr_expect_not(xt_fdstore_name_ok("a b"));
    cr_expect_not(xt_fdstore_name_ok("0123456789012345678901234567890123456789012345678901234567890123"));
}

Test(fdstore, bounds_and_ownership)
{
    struct xt_fdstore *s = calloc(1, sizeof *s);
    int fd = memfd_create("x", MFD_CLOEXEC);
    cr_expect_eq(xt_fdstore_add(s, "bad:name", dup(fd)), -EINVAL);
    cr_expect_eq(xt_fdstore_add(s, "a", dup(fd)), 0);
    cr_expect_eq(xt_fdstore_add(s, "a", dup(fd)), 0);
    cr_expect_eq(s->n, 1, "the same file under the same name is kept once");
    cr_expect_eq(xt_fdstore_add(s, "a", memfd_create("y", MFD_CLOEXEC)), 0);
    cr_expect_eq(xt_fdstore_add(s, "b", dup(fd)), 0);
    cr_expect_eq(s->n, 3);
    int kept = s->item[0].fd;
    cr_expect_eq(xt_fdstore_remove(s, "a"), 2u);
    cr_expect_eq(fcntl(kept, F_GETFD), -1);
    cr_expect_str_eq(s->item[0].name, "b");
    s->n = XT_FDSTORE_MAX;
    int surplus = memfd_create("z", MFD_CLOEXEC);
    for (unsigned i = 1; i < s->n; i++)
        strcpy(s->item[i].name, "filler");
    cr_expect_eq(xt_fdstore_add(s, "c", surplus), -ENOSPC);
    cr_expect_eq(fcntl(surplus, F_GETFD), -1, "taken over in every case");
    s->n = 1;
    xt_fdstore_clear(s);
    free(s);
}
