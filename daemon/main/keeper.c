/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/keeper.h"

#include <errno.h>
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
#include "daemon/main/backoff.h"
#include "daemon/main/fdstore.h"
#include "proto/xt_msg.h"

struct keeper {
    struct xt_keeper_cfg cfg;
    struct xt_fdstore store;
    struct xt_backoff backoff;
    int signals, notify;
    sigset_t old_mask;
    pid_t child; /* 0: none runs */
    unsigned starts, crashes;
    bool crashed; /* the last one did */
    uint64_t started_us;
    uint64_t due_us; /* without a child: when the next one starts; while stopping: when patience ends */
    bool was_ready;  /* some child has said READY=1 */
    bool served;     /* this one has */
    bool stopping;
    bool done;
    int exit_code;
};

/* ---- the child ---- */

static void set_number(const char *name, long value)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    setenv(name, text, 1);
}

static void child_main(struct keeper *k, pid_t keeper)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper) /* it died before the line above took effect */
        _exit(XT_EXIT_FAILED);
    sigprocmask(SIG_SETMASK, &k->old_mask, NULL);
    setenv("NOTIFY_SOCKET", k->cfg.notify_path, 1);
    set_number(XT_ENV_KEEPER, keeper);
    set_number(XT_ENV_RESTARTS, (long)k->starts);
    set_number(XT_ENV_CRASHES, (long)k->crashes);
    set_number(XT_ENV_CRASHED, k->crashed);
    int rc = xt_fdstore_hand_over(&k->store);
    if (rc < 0) {
        xt_log_error("keeper: cannot hand over descriptors: %s", strerror(-rc));
        _exit(XT_EXIT_FAILED);
    }
    execv(k->cfg.argv[0], k->cfg.argv);
    execv("/proc/self/exe", k->cfg.argv); /* the file has moved since */
    xt_log_error("keeper: cannot run %s: %s", k->cfg.argv[0], strerror(errno));
    _exit(XT_EXIT_FAILED);
}

static void start_child(struct keeper *k)
{
    pid_t self = getpid(), pid = fork();
    if (pid == 0)
        child_main(k, self);
    k->started_us = k->cfg.now_us();
    k->due_us = UINT64_MAX;
    if (pid < 0) {
        xt_log_error("keeper: cannot start the stack process: %s", strerror(errno));
        k->due_us = k->started_us + XT_BACKOFF_MAX_US;
        return;
    }
    k->child = pid;
    k->starts++;
}

static void finish(struct keeper *k, int code)
{
    k->done = true;
    k->exit_code = code;
}

/* Who was killed from outside has not crashed: no pause, unless it never got as far as to serve. */
static void schedule_restart(struct keeper *k, bool killed)
{
    uint64_t now = k->cfg.now_us();
    uint64_t wait = killed && k->served ? 0 : xt_backoff_died(&k->backoff, now - k->started_us);
    k->crashed = !killed;
    k->crashes += k->crashed;
    k->due_us = now + wait;
    k->served = false;
    xt_log_warn("keeper: starting the stack process again in %llu ms with %u kept descriptors",
                (unsigned long long)wait / 1000, k->store.n);
}

/* ---- notifications ---- */

static void take_message(struct keeper *k, char *text, struct xt_msg_anc *anc)
{
    const char *name = "stored";
    bool store = false, removal = false;
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strcmp(line, "FDSTORE=1") == 0)
            store = true;
        else if (strcmp(line, "FDSTOREREMOVE=1") == 0)
            removal = true;
        else if (strncmp(line, "FDNAME=", 7) == 0)
            name = line + 7;
        else if (strcmp(line, "READY=1") == 0)
            k->was_ready = k->served = true;
        else if (strncmp(line, "STATUS=", 7) == 0)
            xt_log_debug("keeper: status: %s", line + 7);
    }
    if (removal)
        xt_fdstore_remove(&k->store, name);
    for (unsigned i = 0; store && i < anc->nfds; i++) {
        int rc = xt_fdstore_add(&k->store, name, anc->fd[i]);
        anc->fd[i] = -1;
        if (rc < 0)
            xt_log_error("keeper: descriptor '%s' is not kept: %s", name, strerror(-rc));
    }
}

/* The socket's file admits only its owner, and of what comes only the child's counts. */
static void take_notifications(struct keeper *k)
{
    char text[4096];
    struct xt_msg_anc anc;
    for (;;) {
        ssize_t n = xt_msg_recv(k->notify, text, sizeof text - 1, &anc, MSG_DONTWAIT);
        if (n == -EAGAIN || (n < 0 && n != -EMSGSIZE))
            return;
        if (n >= 0 && anc.has_cred && anc.pid == k->child) {
            text[n] = 0;
            take_message(k, text, &anc);
        }
        xt_msg_anc_close(&anc);
    }
}

static void child_died(struct keeper *k, int status)
{
    take_notifications(k); /* what it sent before it died still counts */
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
        schedule_restart(k, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void reap(struct keeper *k)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == k->child)
            child_died(k, status);
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
    if (k->cfg.now_us() < k->due_us)
        return;
    k->due_us = UINT64_MAX;
    if (!k->stopping) {
        start_child(k);
        return;
    }
    xt_log_warn("keeper: the stack process does not stop: ending it");
    signal_child(k, SIGKILL);
}

static int poll_timeout(const struct keeper *k)
{
    if (k->due_us == UINT64_MAX)
        return -1;
    uint64_t now = k->cfg.now_us();
    return now >= k->due_us ? 0 : (int)((k->due_us - now + 999) / 1000);
}

static void loop(struct keeper *k)
{
    struct pollfd p[2] = {{.fd = k->signals, .events = POLLIN}, {.fd = k->notify, .events = POLLIN}};
    start_child(k);
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
    raise_limits();
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
    sigprocmask(SIG_SETMASK, &k->old_mask, NULL);
    free(k);
    return code;
}
