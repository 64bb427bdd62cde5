/* SPDX-License-Identifier: Apache-2.0
 * xtcpd: reads the configuration, then is the keeper or, as its child or with --no-keeper, the stack process. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/base/time.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/netif.h"
#include "daemon/main/confine.h"
#include "daemon/main/keeper.h"
#include "daemon/main/stack_process.h"
#include "proto/xt_ctl.h"

#define START_PATIENCE_US UINT64_C(30000000) /* programs often give up after a minute */
#define STOP_PATIENCE_US UINT64_C(5000000)
#define UPGRADE_PATIENCE_US UINT64_C(10000000)

static int complain(const char *err)
{
    fprintf(stderr, "%sxtcpd: %s\n", xt_log_mark(XT_LOG_ERROR), err);
    return XT_EXIT_CONFIG;
}

/* A path beside the control socket. */
static void beside(const struct xt_config *c, const char *suffix, char *out, size_t size)
{
    snprintf(out, size, "%s%s", c->socket, suffix);
}

/* False when the file was removed by a daemon that ended between our open and our lock. */
static bool still_at(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* One xtcpd for each control socket: the lock is held for this process's life. Returns its descriptor or a negative errno. */
static int lock_socket(const struct xt_config *c, char *err, size_t errlen)
{
    char path[sizeof c->socket + 16];
    int rc = xt_ctl_make_parents(c->socket);
    beside(c, ".lock", path, sizeof path);
    int fd = rc < 0 ? rc : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        rc = rc < 0 ? rc : -errno;
        snprintf(err, errlen, "cannot make %s: %s (set another place with --socket)", path, strerror(-rc));
        return rc;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && still_at(fd, path))
        return fd;
    snprintf(err, errlen, "another xtcpd serves %s: stop it, or set another with --socket", c->socket);
    close(fd);
    return -EADDRINUSE;
}

/* What an orderly end leaves nothing of. The lock file goes last, still locked. */
static void remove_files(const struct xt_config *c)
{
    char path[sizeof c->socket + 16];
    unlink(c->socket);
    beside(c, ".keeper", path, sizeof path); /* of a keeper that was killed */
    unlink(path);
    beside(c, ".lock", path, sizeof path);
    unlink(path);
}

static int run_keeper(const struct xt_config *c, char **argv)
{
    char exe[4096], notify[sizeof c->socket + 16];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n > 0) {
        exe[n] = 0;
        argv[0] = exe;
    }
    beside(c, ".keeper", notify, sizeof notify);
    struct xt_keeper_cfg kc = {.argv = argv,
                               .notify_path = notify,
                               .now_us = xt_time_us,
                               .backoff_us = c->restart_backoff,
                               .start_us = START_PATIENCE_US,
                               .stop_us = STOP_PATIENCE_US,
                               .upgrade_us = UPGRADE_PATIENCE_US};
    return xt_keeper_run(&kc);
}

/* The kernel forgets the death signal when it runs a file with capabilities: ask again. False: the keeper is dead already. */
static bool follow_keeper(pid_t keeper)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return getppid() == keeper;
}

static int run(const struct xt_start *st, struct xt_handed *h, const struct xt_config *c)
{
    const char *keeper = getenv(XT_ENV_KEEPER);
    char err[512];
    if (keeper && getppid() == (pid_t)strtol(keeper, NULL, 10))
        return follow_keeper((pid_t)strtol(keeper, NULL, 10)) ? xt_stack_process_run(st, h, c) : XT_EXIT_FAILED;
    if (xt_handed_peek(h, "packet") < 0 && xt_netif_check_rights(err, sizeof err) < 0)
        return complain(err);
    if (xt_confine_check(c, err, sizeof err) < 0)
        return complain(err);
    int lock = lock_socket(c, err, sizeof err);
    if (lock < 0)
        return complain(err);
    int claim = xt_netif_claim(c, err, sizeof err);
    if (claim < 0) {
        remove_files(c);
        close(lock);
        return complain(err);
    }
    if (!st->cmdline->no_keeper)
        unsetenv("NOTIFY_SOCKET"); /* the keeper's own is set for the child */
    int code = st->cmdline->no_keeper ? xt_stack_process_run(st, h, c) : run_keeper(c, st->argv);
    remove_files(c);
    close(claim);
    close(lock);
    return code;
}

int main(int argc, char **argv)
{
    struct xt_cmdline cl;
    struct xt_config c;
    struct xt_start st = {.cmdline = &cl, .argc = argc, .argv = argv};
    struct xt_handed handed;
    char err[512];
    xt_log_begin();
    prctl(PR_SET_NAME, "xtcpd"); /* run by descriptor, it would be called by a number */
    if (xt_config_scan(&cl, argc, argv, err, sizeof err) < 0)
        return complain(err);
    if (cl.help) {
        xt_config_help(stdout);
        return XT_EXIT_OK;
    }
    if (cl.version) {
        printf("xtcpd " XT_VERSION "\n");
        return XT_EXIT_OK;
    }
    if (cl.print_config) {
        if (xt_config_build(&c, &cl, argc, argv, err, sizeof err) < 0)
            return complain(err);
        xt_config_print(&c, stdout);
        return XT_EXIT_OK;
    }
    if (xt_handed_read(&handed) < 0) {
        complain("no memory for what the keeper hands over");
        return XT_EXIT_FAILED;
    }
    if (xt_effective_settings(&st, &handed, &c, err, sizeof err) < 0)
        return complain(err);
    xt_log_set_level((enum xt_log_level)c.log_level);
    int code = run(&st, &handed, &c);
    xt_handed_free(&handed);
    return code;
}
