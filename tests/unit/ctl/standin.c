/* SPDX-License-Identifier: Apache-2.0
 * Stands in for the stack process in the keeper's tests: argv[1] says how it behaves, argv[2] names a file that it appends a
 * line to at each start. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/main/keeper.h"
#include "daemon/main/notify.h"

#define STANDIN_PIPE 100 /* held by "outlives" */

static sigset_t stop_set;

static void block_stop(void)
{
    sigemptyset(&stop_set);
    sigaddset(&stop_set, SIGTERM);
    sigaddset(&stop_set, SIGHUP);
    sigprocmask(SIG_BLOCK, &stop_set, NULL);
}

static int wait_signal(void)
{
    int sig;
    sigwait(&stop_set, &sig);
    return sig;
}

static int start_number(void)
{
    const char *text = getenv(XT_ENV_RESTARTS);
    return text ? atoi(text) : -1;
}

static void note(const char *path, const char *line)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || dprintf(fd, "%s\n", line) < 0)
        _exit(9);
    close(fd);
}

/* Counts its lives in a memfd that only the keeper holds between them; dies by SIGKILL until the fourth. */
static int count_lives(const char *log)
{
    struct xt_handed h;
    char line[64];
    unsigned lives = 0, handed;
    if (xt_handed_read(&h) < 0)
        return 9;
    int fd = xt_handed_take(&h, "lives");
    int named = xt_handed_take(&h, "other");
    handed = h.n;
    xt_handed_free(&h);
    if (fd < 0) {
        fd = memfd_create("lives", MFD_CLOEXEC);
        xt_notify_store("lives", fd);
        xt_notify_store("lives", fd); /* the same file again: kept once */
        xt_notify_store("other", fd);
        xt_notify("READY=1\nSTATUS=first");
    } else if (pread(fd, &lives, sizeof lives, 0) != (ssize_t)sizeof lives) {
        return 9;
    }
    lives++;
    if (pwrite(fd, &lives, sizeof lives, 0) != (ssize_t)sizeof lives)
        return 9;
    snprintf(line, sizeof line, "start %d lives %u handed %u other %d", start_number(), lives, handed, named >= 0);
    note(log, line);
    if (lives == 2)
        xt_notify_forget("other");
    if (lives < 4)
        kill(getpid(), SIGKILL);
    kill(getppid(), SIGTERM);
    return wait_signal() == SIGTERM ? 0 : 9;
}

/* Serves and is killed four times, then crashes once. */
static int killed_and_crashed(const char *log)
{
    char line[64];
    int n = start_number();
    snprintf(line, sizeof line, "start %d crashes %s crashed %s", n, getenv(XT_ENV_CRASHES), getenv(XT_ENV_CRASHED));
    note(log, line);
    xt_notify("READY=1");
    if (n < 4)
        kill(getpid(), SIGKILL);
    if (n == 4)
        abort();
    kill(getppid(), SIGTERM);
    return wait_signal() == SIGTERM ? 0 : 9;
}

/* Notes both its own and the keeper's place in the order in which the kernel ends processes when memory is short. */
static int notes_scores(const char *log)
{
    char path[2][64] = {"/proc/self/oom_score_adj"}, line[64] = "";
    snprintf(path[1], sizeof path[1], "/proc/%d/oom_score_adj", getppid());
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(path[i], "re");
        char *at = line + strlen(line);
        if (!f || !fgets(at, (int)sizeof line / 2, f))
            return 9;
        fclose(f);
        at[strcspn(at, "\n")] = i ? 0 : ' ';
    }
    note(log, line);
    return xt_notify("READY=1") == 0 ? 0 : 9;
}

static void hang(const char *log)
{
    note(log, "hangs");
    kill(getppid(), SIGHUP); /* the keeper looks at its clock */
    for (;;)
        pause();
}

/* Crashes, then does not get ready twice, then serves. */
static int crashes_and_hangs(const char *log)
{
    char line[64];
    int n = start_number();
    snprintf(line, sizeof line, "start %d crashes %s crashed %s", n, getenv(XT_ENV_CRASHES), getenv(XT_ENV_CRASHED));
    note(log, line);
    if (n == 1 || n == 2)
        hang(log);
    xt_notify("READY=1");
    if (n == 0)
        abort();
    kill(getppid(), SIGTERM);
    return wait_signal() == SIGTERM ? 0 : 9;
}

/* Wants to be replaced; what replaces it hangs when it has been told to go on. A third start serves. */
static int upgrades_to_one_that_hangs(const char *log)
{
    int answer[2], n = start_number();
    const char *feed = getenv(XT_ENV_STANDBY);
    char text[256];
    sigset_t quiet;
    note(log, feed ? "candidate" : "serves");
    if (feed) {
        xt_notify(XT_SAY_STANDBY);
        if (read(atoi(feed), text, sizeof text) == 4)
            hang(log);
        return 9;
    }
    xt_notify("READY=1");
    if (n > 0) {
        kill(getppid(), SIGTERM);
        return wait_signal() == SIGTERM ? 0 : 9;
    }
    sigemptyset(&quiet);
    sigaddset(&quiet, SIGUSR1);
    sigprocmask(SIG_BLOCK, &quiet, NULL);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, answer) || xt_notify_send(XT_SAY_UPGRADE, &answer[1], 1) < 0)
        return 9;
    sigwait(&quiet, &n);
    xt_notify(XT_SAY_QUIET);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 9;
    const char *how = argv[1], *log = argv[2];
    block_stop();
    if (strcmp(how, "lives") == 0)
        return count_lives(log);
    if (strcmp(how, "killed") == 0)
        return killed_and_crashed(log);
    if (strcmp(how, "scores") == 0)
        return notes_scores(log);
    if (strcmp(how, "crashes-and-hangs") == 0)
        return crashes_and_hangs(log);
    if (strcmp(how, "upgrade-hangs") == 0)
        return upgrades_to_one_that_hangs(log);
    if (strcmp(how, "hangs") == 0)
        hang(log);
    note(log, how);
    if (strcmp(how, "config-error") == 0)
        return XT_EXIT_CONFIG;
    if (strcmp(how, "crash-at-once") == 0)
        abort();
    if (strcmp(how, "ends-by-itself") == 0)
        return xt_notify("READY=1") == 0 ? 0 : 9;
    if (strcmp(how, "reload") == 0) {
        xt_notify("READY=1");
        kill(getppid(), SIGHUP);
        if (wait_signal() != SIGHUP)
            return 9;
        kill(getppid(), SIGINT);
        return wait_signal() == SIGTERM ? 0 : 9;
    }
    if (strcmp(how, "crashes") == 0) {
        xt_notify("READY=1");
        if (start_number() < 2)
            abort();
        kill(getppid(), SIGTERM);
        return wait_signal() == SIGTERM ? 0 : 9;
    }
    if (strcmp(how, "stubborn") == 0) {
        xt_notify("READY=1");
        kill(getppid(), SIGTERM);
        wait_signal();
        kill(getppid(), SIGTERM); /* the second one: the keeper loses patience */
        for (;;)
            pause();
    }
    if (strcmp(how, "outlives") == 0) { /* its keeper will be killed: it must go too */
        if (write(STANDIN_PIPE, "", 1) != 1)
            return 9;
        for (;;)
            pause();
    }
    return 9;
}
