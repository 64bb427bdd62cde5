/* SPDX-License-Identifier: Apache-2.0
 * The keeper: the parent process. It starts the stack process, keeps the descriptors that must outlive it and starts it again when
 * it dies. It reads nothing that a client or the network can write. Single-threaded; blocks the signals it handles. */
#ifndef XT_MAIN_KEEPER_H
#define XT_MAIN_KEEPER_H

#include <stdint.h>

/* Set for the stack process by the keeper, beside those of the fd-store protocol. */
#define XT_ENV_KEEPER "XTCPD_KEEPER"     /* pid of the keeper */
#define XT_ENV_RESTARTS "XTCPD_RESTARTS" /* how often it was started before */
#define XT_ENV_CRASHES "XTCPD_CRASHES"   /* how often it ended in another way than by SIGKILL */
#define XT_ENV_CRASHED "XTCPD_CRASHED"   /* 1: the last time it did */
#define XT_ENV_STANDBY "XTCPD_STANDBY" /* a candidate for an upgrade: the descriptor that tells it when to take over */

/* Notifications beyond sd_notify(3)'s. By the stack process: it wants to be replaced, with the binary (unless that at its own path
 * is meant) and a socket for the answer, which is "ok PID" or the reason why not; after SIGUSR1: it stands still. By a candidate:
 * it is able to take over, or not. */
#define XT_SAY_UPGRADE "X_XTCPD_UPGRADE=1"
#define XT_SAY_PATH "X_XTCPD_PATH="
#define XT_SAY_QUIET "X_XTCPD_QUIET=1"
#define XT_SAY_STANDBY "X_XTCPD_STANDBY=1"
#define XT_SAY_REFUSED "X_XTCPD_REFUSED="

/* Exit codes, the stack process's and the keeper's own. */
enum { XT_EXIT_OK, XT_EXIT_FAILED, XT_EXIT_CONFIG };

struct xt_keeper_cfg {
    char **argv;              /* of the stack process; argv[0] is its path */
    const char *notify_path;  /* where the notification socket is made; a leftover is replaced */
    uint64_t (*now_us)(void); /* monotonic clock */
    uint64_t backoff_us;      /* the longest pause before a stack process that dies early again and again is started */
    uint64_t start_us;        /* patience until READY=1 */
    uint64_t stop_us;         /* with an orderly stop */
    uint64_t upgrade_us;      /* and with each step of an upgrade */
};

/* Runs until SIGTERM or SIGINT, or until the stack process ends by itself: with 0, or before it was ever ready. SIGHUP is passed on.
 * A second SIGTERM or SIGINT ends the stack process at once. Returns an exit code. */
int xt_keeper_run(const struct xt_keeper_cfg *cfg);

#endif
