/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/main/keeper_internal.h"

/* ---- the child ---- */

static bool set_number(const char *name, long value)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    return setenv(name, text, 1) == 0;
}

/* Descriptors go out of the way of those that are handed over. */
static int move_away(const struct keeper *k, int fd, int how)
{
    return fcntl(fd, how, XT_FDSTORE_FIRST + (int)k->store.n);
}

static bool set_environment(const struct keeper *k, pid_t keeper, int feed)
{
    return setenv("NOTIFY_SOCKET", k->cfg.notify_path, 1) == 0 && set_number(XT_ENV_KEEPER, keeper) &&
           set_number(XT_ENV_RESTARTS, (long)k->starts) && set_number(XT_ENV_CRASHES, (long)k->crashes) &&
           set_number(XT_ENV_CRASHED, k->crashed) && (feed < 0 || set_number(XT_ENV_STANDBY, feed));
}

static void child_main(struct keeper *k, pid_t keeper, int image, const char *path, int feed)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper) /* it died before the line above took effect */
        _exit(XT_EXIT_FAILED);
    xt_oom_restore(k->oom_score);
    sigprocmask(SIG_SETMASK, &k->old_mask, NULL);
    if (feed >= 0)
        feed = move_away(k, feed, F_DUPFD);
    image = move_away(k, image, F_DUPFD_CLOEXEC);
    int rc = set_environment(k, keeper, feed) ? xt_fdstore_hand_over(&k->store) : -ENOMEM;
    if (rc < 0) {
        xt_log_error("keeper: cannot hand over descriptors: %s", strerror(-rc));
        _exit(XT_EXIT_FAILED);
    }
    k->cfg.argv[0] = (char *)path;
    fexecve(image, k->cfg.argv, environ);
    xt_log_error("keeper: cannot run %s: %s", path, strerror(errno));
    _exit(XT_EXIT_FAILED);
}

pid_t xt_keeper_spawn(struct keeper *k, int image, const char *path, int feed)
{
    pid_t self = getpid(), pid = fork();
    if (pid == 0)
        child_main(k, self, image, path, feed);
    if (pid > 0)
        k->starts++;
    return pid;
}

void xt_keeper_start(struct keeper *k)
{
    k->served = k->hung = false;
    k->started_us = k->cfg.now_us();
    k->due_us = k->started_us + k->cfg.start_us;
    pid_t pid = xt_keeper_spawn(k, k->image, k->path, -1);
    if (pid < 0) {
        xt_log_error("keeper: cannot start the stack process: %s", strerror(errno));
        k->due_us = k->started_us + xt_backoff_died(&k->backoff, 0);
        return;
    }
    k->child = pid;
}

static void finish(struct keeper *k, int code)
{
    k->done = true;
    k->exit_code = code;
}

/* Who was killed from outside has not crashed: no pause, unless it never got as far as to serve, which is no calm life however long. */
static void schedule_restart(struct keeper *k, bool killed)
{
    uint64_t now = k->cfg.now_us();
    uint64_t lived = k->served ? now - k->started_us : 0;
    uint64_t wait = killed && k->served ? 0 : xt_backoff_died(&k->backoff, lived);
    k->crashed = !killed;
    k->crashes += k->crashed;
    k->due_us = now + wait;
    xt_log_warn("keeper: starting the stack process again in %llu ms with %u kept descriptors",
                (unsigned long long)wait / 1000, k->store.n);
}

/* ---- notifications ---- */

static void parse(struct xt_notice *out, char *text)
{
    *out = (struct xt_notice){.name = "stored"};
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strcmp(line, "FDSTORE=1") == 0)
            out->store = true;
        else if (strcmp(line, "FDSTOREREMOVE=1") == 0)
            out->removal = true;
        else if (strncmp(line, "FDNAME=", 7) == 0)
            out->name = line + 7;
        else if (strcmp(line, "READY=1") == 0)
            out->ready = true;
        else if (strcmp(line, XT_SAY_UPGRADE) == 0)
            out->upgrade = true;
        else if (strncmp(line, XT_SAY_PATH, strlen(XT_SAY_PATH)) == 0)
            out->path = line + strlen(XT_SAY_PATH);
        else if (strcmp(line, XT_SAY_STANDBY) == 0)
            out->standby = true;
        else if (strcmp(line, XT_SAY_QUIET) == 0)
            out->quiet = true;
        else if (strncmp(line, XT_SAY_REFUSED, strlen(XT_SAY_REFUSED)) == 0)
            out->refused = line + strlen(XT_SAY_REFUSED);
        else if (strncmp(line, "STATUS=", 7) == 0)
            xt_log_debug("keeper: status: %s", line + 7);
    }
}

/* Of the stack process. */
static void take_message(struct keeper *k, const struct xt_notice *n, struct xt_msg_anc *anc)
{
    if (n->ready) {
        k->was_ready = k->served = true;
        if (!k->stopping)
            k->due_us = UINT64_MAX;
    }
    if (n->removal) {
        xt_fdstore_remove(&k->store, n->name);
        xt_upgrade_changed(k, n->name, -1);
    }
    for (unsigned i = 0; n->store && i < anc->nfds; i++) {
        xt_upgrade_changed(k, n->name, anc->fd[i]);
        int rc = xt_fdstore_add(&k->store, n->name, anc->fd[i]);
        anc->fd[i] = -1;
        if (rc < 0)
            xt_log_error("keeper: descriptor '%s' is not kept: %s", n->name, strerror(-rc));
    }
    if (n->store && anc->cut)
        xt_log_error("keeper: descriptor '%s' is not kept: %s", n->name, strerror(EMFILE));
    if (n->upgrade && k->served)
        xt_upgrade_begin(k, n, anc);
    if (n->quiet)
        xt_upgrade_quiet(k);
}

/* The socket's file admits only its owner, and of what comes only the child's and the candidate's counts. */
static void take_notifications(struct keeper *k)
{
    char text[4096];
    struct xt_notice notice;
    struct xt_msg_anc anc;
    for (;;) {
        ssize_t n = xt_msg_recv(k->notify, text, sizeof text - 1, &anc, MSG_DONTWAIT);
        if (n == -EAGAIN || (n < 0 && n != -EMSGSIZE))
            return;
        if (n >= 0 && anc.has_cred && anc.pid > 0) {
            text[n] = 0;
            parse(&notice, text);
            if (anc.pid == k->child)
                take_message(k, &notice, &anc);
            else if (anc.pid == k->up.candidate)
                xt_upgrade_heard(k, &notice, &anc);
        }
        xt_msg_anc_close(&anc);
    }
}

static void child_died(struct keeper *k, int status)
{
    xt_upgrade_cancel(k, "the running stack process ended meanwhile");
    k->child = 0;
    if (WIFSIGNALED(status))
        xt_log(k->stopping ? XT_LOG_INFO : XT_LOG_ERROR, "keeper: the stack process was ended by signal %d (%s)",
               WTERMSIG(status), strsignal(WTERMSIG(status)));
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : XT_EXIT_FAILED;
    if (k->stopping)
        finish(k, WIFEXITED(status) ? code : XT_EXIT_OK);
    else if (!k->was_ready || (WIFEXITED(status) && code == XT_EXIT_OK))
        finish(k, code); /* what cannot start once will not start the second time */
    else
        schedule_restart(k, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !k->hung);
}

static void candidate_died(struct keeper *k, int status)
{
    char how[64];
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof how, "ended with code %d", WEXITSTATUS(status));
    xt_upgrade_candidate_died(k, how);
}

static void reap(struct keeper *k)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        take_notifications(k); /* what it sent before it died still counts */
        if (pid == k->child)
            child_died(k, status);
        else if (pid == k->up.candidate)
            candidate_died(k, status);
        else if (pid == k->up.old)
            k->up.old = 0;
    }
}

static int open_notify(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int on = 1, fd;
    if (strlen(path) >= sizeof sun.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(sun.sun_path, path);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    unlink(path);
    mode_t old = umask(0077);
    int rc = bind(fd, (struct sockaddr *)&sun, sizeof sun);
    umask(old);
    if (rc < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* ---- signals and time ---- */

static void signal_child(struct keeper *k, int sig)
{
    if (k->child)
        kill(k->child, sig);
}

static void stop(struct keeper *k)
{
    if (k->stopping) {
        signal_child(k, SIGKILL);
        return;
    }
    k->stopping = true;
    xt_upgrade_cancel(k, "xtcpd is being stopped");
    if (!k->child) {
        finish(k, XT_EXIT_OK);
        return;
    }
    signal_child(k, SIGTERM);
    k->due_us = k->cfg.now_us() + k->cfg.stop_us;
}

static void take_signals(struct keeper *k)
{
    struct signalfd_siginfo si;
    while (read(k->signals, &si, sizeof si) == (ssize_t)sizeof si) {
        if (si.ssi_signo == SIGCHLD)
            reap(k);
        else if (si.ssi_signo == SIGHUP)
            signal_child(k, SIGHUP);
        else
            stop(k);
    }
}

static int open_signals(struct keeper *k)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, &k->old_mask);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void on_time(struct keeper *k)
{
    xt_upgrade_on_time(k);
    if (k->cfg.now_us() < k->due_us)
        return;
    k->due_us = UINT64_MAX;
    if (!k->child) {
        xt_keeper_start(k);
        return;
    }
    k->hung = !k->stopping;
    xt_log_warn("keeper: the stack process does not %s: ending it", k->hung ? "get ready to serve" : "stop");
    signal_child(k, SIGKILL);
}

static int poll_timeout(const struct keeper *k)
{
    uint64_t due = k->due_us;
    if (k->up.phase != XT_UPGRADE_NONE && k->up.due_us < due)
        due = k->up.due_us;
    if (due == UINT64_MAX)
        return -1;
    uint64_t now = k->cfg.now_us();
    return now >= due ? 0 : (int)((due - now + 999) / 1000);
}

static void loop(struct keeper *k)
{
    struct pollfd p[2] = {{.fd = k->signals, .events = POLLIN}, {.fd = k->notify, .events = POLLIN}};
    xt_keeper_start(k);
    while (!k->done) {
        if (poll(p, 2, poll_timeout(k)) < 0 && errno != EINTR)
            break;
        take_notifications(k);
        take_signals(k);
        if (!k->done)
            on_time(k);
    }
}

/* Each client costs several descriptors, here and in the stack process, which inherits the limit. */
static void raise_limits(void)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
        return;
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
}

int xt_keeper_run(const struct xt_keeper_cfg *cfg)
{
    struct keeper *k = calloc(1, sizeof *k);
    if (!k)
        return XT_EXIT_FAILED;
    k->cfg = *cfg;
    k->exit_code = XT_EXIT_FAILED;
    k->backoff.max_us = cfg->backoff_us;
    k->up.image = k->up.feed = k->up.answer = -1;
    snprintf(k->path, sizeof k->path, "%s", cfg->argv[0]);
    k->image = open(k->path, O_PATH | O_CLOEXEC);
    raise_limits();
    xt_oom_spare(k->oom_score);
    k->signals = open_signals(k);
    k->notify = open_notify(cfg->notify_path);
    if (k->signals < 0 || k->notify < 0) {
        xt_log_error("keeper: cannot make %s: %s", cfg->notify_path, strerror(errno));
    } else {
        loop(k);
        unlink(cfg->notify_path);
    }
    int code = k->exit_code;
    xt_fdstore_clear(&k->store);
    close(k->notify);
    close(k->signals);
    close(k->image);
    sigprocmask(SIG_SETMASK, &k->old_mask, NULL);
    free(k);
    return code;
}
