/* SPDX-License-Identifier: Apache-2.0
 * Shared by the keeper's files only. */
#ifndef XT_MAIN_KEEPER_INTERNAL_H
#define XT_MAIN_KEEPER_INTERNAL_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "daemon/main/backoff.h"
#include "daemon/main/fdstore.h"
#include "daemon/main/keeper.h"
#include "daemon/main/oom.h"
#include "proto/xt_msg.h"

#define XT_KEEPER_PATH 1024

/* What one notification says, as far as a keeper wants to know. Strings point into it. */
struct xt_notice {
    bool store, removal, ready, upgrade, standby, quiet;
    const char *name, *path, *refused; /* `refused` NULL: it was not */
};

enum xt_upgrade_phase {
    XT_UPGRADE_NONE,
    XT_UPGRADE_STARTING, /* the candidate looks at what is kept, the old process serves */
    XT_UPGRADE_QUIETING, /* the candidate waits, the old process comes to a quiet point */
    XT_UPGRADE_TAKING,   /* the old process stands still, the candidate takes over */
};

/* A planned change to another binary. */
struct xt_upgrade {
    enum xt_upgrade_phase phase;
    pid_t candidate, old;      /* old: while TAKING */
    int image;                 /* the candidate's binary */
    int feed;                  /* SOCK_SEQPACKET to the candidate: changes of the store, then GO */
    int answer;                /* SOCK_SEQPACKET to who asked */
    char path[XT_KEEPER_PATH]; /* of the binary, as it was asked for */
    uint64_t due_us;           /* when patience ends */
    unsigned nops, cap;        /* changes of the store by the candidate: they count once it is ready */
    struct {
        int fd; /* -1: remove */
        char name[XT_FDSTORE_NAME_MAX];
    } * op;
};

struct keeper {
    struct xt_keeper_cfg cfg;
    struct xt_fdstore store;
    struct xt_backoff backoff;
    struct xt_upgrade up;
    int image; /* the binary in use: a restart runs it, whatever lies at its path by then */
    char path[XT_KEEPER_PATH];
    int signals, notify;
    sigset_t old_mask;
    char oom_score[XT_OOM_SCORE]; /* the child's */
    pid_t child;                  /* 0: none runs */
    unsigned starts, crashes;
    bool crashed; /* the last one did */
    uint64_t started_us;
    uint64_t due_us; /* of the next start when there is no child; else when patience with its start or end is over */
    bool was_ready;  /* some child has said READY=1 */
    bool served;     /* this one has */
    bool hung;       /* it never will: the keeper has ended it, and it counts as crashed */
    bool stopping;
    bool done;
    int exit_code;
};

/* ---- keeper.c ---- */

/* Forks and runs `image`; in the child `feed` (or -1) is left open and named by XT_ENV_STANDBY. Returns its pid or -1. */
pid_t xt_keeper_spawn(struct keeper *k, int image, const char *path, int feed);
/* Starts the stack process again, from the binary in use. */
void xt_keeper_start(struct keeper *k);

/* ---- keeper_upgrade.c ---- */

/* The stack process asks for it. Takes the descriptors: the answer's socket, and before it the binary, unless it is the one at the
 * path of the one in use. */
void xt_upgrade_begin(struct keeper *k, const struct xt_notice *n, struct xt_msg_anc *anc);
/* A notification of the candidate. */
void xt_upgrade_heard(struct keeper *k, const struct xt_notice *n, struct xt_msg_anc *anc);
/* The old stack process stands still. */
void xt_upgrade_quiet(struct keeper *k);
/* The old stack process has changed the store: the candidate is told. `fd` -1: removed. */
void xt_upgrade_changed(struct keeper *k, const char *name, int fd);
/* The candidate has ended; `how` says in which way. */
void xt_upgrade_candidate_died(struct keeper *k, const char *how);
/* Ends an upgrade under way: the candidate is killed, who asked is told. */
void xt_upgrade_cancel(struct keeper *k, const char *why);
void xt_upgrade_on_time(struct keeper *k);

#endif
