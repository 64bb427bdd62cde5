/* SPDX-License-Identifier: Apache-2.0
 * A planned change of the stack process to another binary. The candidate starts beside the old process, with all that is kept, and
 * says whether it can take over; only then the old one is asked to stand still between two passes of its loop. What the
 * candidate has changed in the store counts once it is ready, so until then the old binary can go on from what it left. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/main/keeper_internal.h"

#define FEED_ROOM (8 << 20) /* what clients may come and go while the candidate starts */

static void answer(struct keeper *k, const char *text)
{
    if (k->up.answer >= 0)
        (void)!send(k->up.answer, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Nothing is left of it but what became the keeper's. */
static void finish(struct keeper *k)
{
    struct xt_upgrade *u = &k->up;
    for (unsigned i = 0; i < u->nops; i++)
        close_fd(&u->op[i].fd);
    close_fd(&u->image);
    close_fd(&u->feed);
    close_fd(&u->answer);
    free(u->op);
    u->op = NULL;
    u->nops = u->cap = 0;
    u->candidate = u->old = 0;
    u->phase = XT_UPGRADE_NONE;
}

void xt_upgrade_cancel(struct keeper *k, const char *why)
{
    struct xt_upgrade *u = &k->up;
    if (u->phase == XT_UPGRADE_NONE)
        return;
    xt_log_error("keeper: no upgrade: %s", why);
    if (u->candidate)
        kill(u->candidate, SIGKILL);
    answer(k, why);
    finish(k);
}

/* An old process that may stand still already does not know how far the candidate came: another one of its binary goes on. */
static void fail(struct keeper *k, const char *why)
{
    bool stands = k->up.phase == XT_UPGRADE_QUIETING || k->up.phase == XT_UPGRADE_TAKING;
    pid_t old = k->up.phase == XT_UPGRADE_TAKING ? k->up.old : k->child;
    xt_upgrade_cancel(k, why);
    if (!stands)
        return;
    if (old)
        kill(old, SIGKILL);
    k->child = 0;
    k->crashed = false;
    xt_keeper_start(k);
}

/* ---- the start ---- */

static const char *image_fault(int fd)
{
    struct stat sb;
    if (fd < 0)
        return "the binary cannot be opened";
    if (fstat(fd, &sb) < 0 || !S_ISREG(sb.st_mode))
        return "the binary is not a regular file";
    if (!(sb.st_mode & 0111))
        return "the binary is not executable";
    return NULL;
}

void xt_upgrade_begin(struct keeper *k, const struct xt_notice *n, struct xt_msg_anc *anc)
{
    struct xt_upgrade *u = &k->up;
    int pair[2];
    if (u->phase != XT_UPGRADE_NONE || k->stopping || anc->nfds == 0 || anc->nfds > 2) {
        static const char busy[] = "another upgrade is under way";
        if (anc->nfds)
            (void)!send(anc->fd[anc->nfds - 1], busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        return;
    }
    u->answer = anc->fd[anc->nfds - 1];
    u->image = anc->nfds == 2 ? anc->fd[0] : open(k->path, O_PATH | O_CLOEXEC);
    anc->fd[0] = anc->fd[anc->nfds - 1] = -1;
    snprintf(u->path, sizeof u->path, "%s", n->path && anc->nfds == 2 ? n->path : k->path);
    const char *fault = image_fault(u->image);
    if (!fault && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        fault = strerror(errno);
    if (fault) {
        answer(k, fault);
        finish(k);
        return;
    }
    int room = FEED_ROOM;
    u->feed = pair[0];
    setsockopt(u->feed, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    u->phase = XT_UPGRADE_STARTING;
    u->due_us = k->cfg.now_us() + k->cfg.upgrade_us;
    u->candidate = xt_keeper_spawn(k, u->image, u->path, pair[1]);
    close(pair[1]);
    if (u->candidate < 0) {
        u->candidate = 0;
        fail(k, "the new process cannot be started");
    }
}

void xt_upgrade_changed(struct keeper *k, const char *name, int fd)
{
    char text[XT_FDSTORE_NAME_MAX + 32];
    if (k->up.phase != XT_UPGRADE_STARTING && k->up.phase != XT_UPGRADE_QUIETING)
        return;
    int n = snprintf(text, sizeof text, "FDSTORE%s=1\nFDNAME=%s", fd < 0 ? "REMOVE" : "", name);
    int rc = xt_msg_send(k->up.feed, text, (size_t)n, &fd, fd >= 0, MSG_DONTWAIT);
    /* It does not look, or cannot be told. Of one that is dead SIGCHLD tells. */
    if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET)
        fail(k, "the new process does not follow what the old one does");
}

/* ---- the hand-over ---- */

void xt_upgrade_quiet(struct keeper *k)
{
    struct xt_upgrade *u = &k->up;
    if (u->phase != XT_UPGRADE_QUIETING)
        return;
    u->phase = XT_UPGRADE_TAKING;
    u->old = k->child;
    k->child = 0;
    k->due_us = UINT64_MAX;
    u->due_us = k->cfg.now_us() + k->cfg.upgrade_us;
    if (xt_msg_send(u->feed, "GO=1", 4, NULL, 0, MSG_DONTWAIT) < 0)
        fail(k, "the new process does not listen");
}

/* The candidate is the stack process now. */
static void commit(struct keeper *k)
{
    struct xt_upgrade *u = &k->up;
    char text[48];
    for (unsigned i = 0; i < u->nops; i++) {
        if (u->op[i].fd < 0)
            xt_fdstore_remove(&k->store, u->op[i].name);
        else if (xt_fdstore_add(&k->store, u->op[i].name, u->op[i].fd) < 0)
            xt_log_error("keeper: descriptor '%s' is not kept", u->op[i].name);
        u->op[i].fd = -1;
    }
    if (u->old)
        kill(u->old, SIGKILL);
    k->child = u->candidate;
    k->crashed = false;
    k->started_us = k->cfg.now_us();
    close_fd(&k->image);
    k->image = u->image;
    u->image = -1;
    memcpy(k->path, u->path, sizeof k->path);
    xt_log_info("keeper: upgraded to %s, process %d", u->path, k->child);
    snprintf(text, sizeof text, "ok %d", k->child);
    answer(k, text);
    finish(k);
}

static bool make_room(struct xt_upgrade *u)
{
    if (u->nops < u->cap)
        return true;
    unsigned cap = u->cap ? 2 * u->cap : 64;
    void *op = cap > 4 * XT_FDSTORE_MAX ? NULL : realloc(u->op, cap * sizeof *u->op);
    if (!op)
        return false;
    u->op = op;
    u->cap = cap;
    return true;
}

/* Not yet: an old binary must find what it knows. */
static void put_off(struct keeper *k, const struct xt_notice *n, struct xt_msg_anc *anc)
{
    struct xt_upgrade *u = &k->up;
    bool add = n->store && anc->nfds;
    if (!xt_fdstore_name_ok(n->name) || !make_room(u)) {
        fail(k, "the new process has too much to keep");
        return;
    }
    u->op[u->nops].fd = add ? anc->fd[0] : -1;
    snprintf(u->op[u->nops].name, sizeof u->op[0].name, "%s", n->name);
    if (add)
        anc->fd[0] = -1;
    u->nops++;
}

void xt_upgrade_heard(struct keeper *k, const struct xt_notice *n, struct xt_msg_anc *anc)
{
    struct xt_upgrade *u = &k->up;
    if (n->refused) {
        char why[512];
        snprintf(why, sizeof why, "the new xtcpd refuses: %s", n->refused);
        fail(k, why);
        return;
    }
    if (n->standby && u->phase == XT_UPGRADE_STARTING) {
        u->phase = XT_UPGRADE_QUIETING;
        u->due_us = k->cfg.now_us() + k->cfg.upgrade_us;
        if (k->child)
            kill(k->child, SIGUSR1);
    }
    if (u->phase == XT_UPGRADE_TAKING && (n->store || n->removal))
        put_off(k, n, anc);
    if (u->phase == XT_UPGRADE_TAKING && n->ready)
        commit(k);
}

/* ---- what goes wrong ---- */

void xt_upgrade_candidate_died(struct keeper *k, const char *how)
{
    char why[256];
    if (k->up.phase == XT_UPGRADE_STARTING)
        snprintf(why, sizeof why, "the new process %s before it could tell whether it can take over: is it an xtcpd?",
                 how);
    else
        snprintf(why, sizeof why, "the new process %s when it took over: the old binary goes on", how);
    k->up.candidate = 0;
    fail(k, why);
}

void xt_upgrade_on_time(struct keeper *k)
{
    static const char *const late[] = {
        [XT_UPGRADE_STARTING] = "the new process did not tell in time whether it can take over",
        [XT_UPGRADE_QUIETING] = "the old process did not come to a quiet point in time: its binary was started again",
        [XT_UPGRADE_TAKING] = "the new process did not become ready in time: the old binary goes on",
    };
    if (k->up.phase != XT_UPGRADE_NONE && k->cfg.now_us() >= k->up.due_us)
        fail(k, late[k->up.phase]);
}
