/* SPDX-License-Identifier: Apache-2.0
 * Client sessions, their sockets and doorbells. Two threads meet here:
 *   control thread: makes sessions, procs and waiters (functions marked [ctl]) and posts messages;
 *   data plane:     owns the sockets and calls everything marked [data].
 * They share one single-producer queue each way and the waiter table of a session (written by [ctl], atomics). */
#ifndef XT_APP_H
#define XT_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/stack/stack.h"
#include "proto/xt_shm.h"

struct xt_app;
struct xt_session;

struct xt_app_cfg {
    uint32_t max_slots;              /* sockets of one client; XT_MAX_SLOTS */
    uint32_t max_sessions;           /* 4096 */
    uint64_t arena;                  /* bytes of ring space in a region (virtual until touched); 16 GiB */
    uint32_t sndbuf, rcvbuf;         /* ring sizes at first, bytes, powers of two; 64 KiB each */
    uint32_t sndbuf_max, rcvbuf_max; /* how far they grow with use; 4 MiB, 8 MiB */
    uint64_t buf_idle_us;            /* empty rings unused for so long give their pages back; 10 s */
    uint32_t bufmax;                 /* limit of SO_SNDBUF and SO_RCVBUF; 16 MiB */
    uint32_t somaxconn;              /* 4096 */
    uint32_t spin_us;                /* clients' spin before sleeping; 50 */
    int global_fd;                   /* of the last stack process, taken over; 0 or less: none */
    struct xt_app *first;            /* NULL: this is the first or only one; another: of the next shard beside it */
};

/* Each shard has its own, made in their order; sessions are spread over them, each with all its sockets in one. Quotas and the numbers
 * of sessions are common to all. Functions that say [first] want the first one and see to the others. The first is freed last.
 * `global_fd`: memfd of struct xt_global; clients get it by xt_app_global_ro(), open for reading only. */
int xt_app_new(struct xt_app **out, const struct xt_app_cfg *cfg);
void xt_app_free(struct xt_app *a);
int xt_app_global_fd(const struct xt_app *a);
int xt_app_global_ro(const struct xt_app *a);
struct xt_global *xt_app_global(struct xt_app *a);
/* [first] How many there are; the one of a shard. */
uint32_t xt_app_shards(const struct xt_app *a);
struct xt_app *xt_app_shard(struct xt_app *a, uint32_t shard);
/* A connection's number for people: unique among all shards. */
uint32_t xt_app_conn_id(const struct xt_app *a, const struct xt_conn *c);

/* Binds app and stack to each other; `xt_app_stack_ops` gives event, admit and need_bufs (tx is the shard's). Before threads. */
void xt_app_stack_ops(struct xt_app *a, struct xt_stack_ops *ops);
void xt_app_set_stack(struct xt_app *a, struct xt_stack *s);

/* ---- [ctl] ---- */

/* What one user may have in all its programs together; 0: no limit. Root may have all. */
struct xt_quota {
    uint32_t clients, sockets;
    uint32_t connects; /* in a second, and as many at once */
    uint64_t memory;   /* bytes of buffers */
};
/* From now on; who has more keeps it. */
void xt_app_set_quota(struct xt_app *a, const struct xt_quota *q);

struct xt_user_info {
    uid_t uid;
    uint32_t clients, sockets;
    uint64_t memory, refused;
};
/* Fills in at most `max` users that have clients. Returns how many there are. */
unsigned xt_app_users(const struct xt_app *a, struct xt_user_info *out, unsigned max);

/* [first] Makes a session: memfd, mapped, sealed (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), doorbell eventfd. It takes part once posted.
 * Returns 0 or -ENOMEM, -EMFILE, -ENOBUFS (max_sessions, or the user's quota). */
int xt_session_new(struct xt_app *a, pid_t pid, uid_t uid, const char *comm, struct xt_session **out);
/* One more for the programs of another one, in another shard: its listeners may have the ports of theirs. What it may do goes by that
 * one. -EINVAL: there is no such shard. */
struct xt_kin {
    uint32_t family; /* as xt_session_kin() has it; 0: of no other */
    uint32_t shard;
    uid_t uid;
    bool low_ports;
};
int xt_session_new_kin(struct xt_app *a, const struct xt_kin *kin, pid_t pid, const char *comm,
                       struct xt_session **out);
void xt_session_kin(const struct xt_session *s, struct xt_kin *out);
/* Its sockets may have ports below 1024, as root's may. Before it is posted. */
void xt_session_allow_low_ports(struct xt_session *s);
uint32_t xt_session_id(const struct xt_session *s);
/* The app that has it, and that one's shard. */
struct xt_app *xt_session_app(const struct xt_session *s);
uint32_t xt_session_shard(const struct xt_session *s);
uid_t xt_session_uid(const struct xt_session *s);
int xt_session_memfd(const struct xt_session *s);
int xt_session_doorbell(const struct xt_session *s);
/* A process joins the family (the first one, or a fork about to happen). Returns its index or -ENOBUFS. */
int xt_session_add_proc(struct xt_session *s, pid_t pid);
/* A waiter for a proc: returns its index, `*fd` is the eventfd to be passed to the client (borrowed), or -ENOBUFS, -EMFILE. */
int xt_session_add_waiter(struct xt_session *s, uint32_t proc, int *fd);

/* ---- [ctl], across stack processes ---- */

/* What of a session must be kept for the next stack process: the ledger, and what goes by its id and these letters. */
enum {
    XT_KEEP_LEDGER = 'l',
    XT_KEEP_REGION = 'm',
    XT_KEEP_DOORBELL = 'b',
    XT_KEEP_READER = 'r', /* of waiter n: the pipe's ends */
    XT_KEEP_WRITER = 'w',
    XT_KEEP_CONTROL = 'c', /* of proc n: the control connection; the control plane's */
    XT_KEEP_EXPORT = 'e',  /* of exported socket n, likewise: the daemon's end, */
    XT_KEEP_HOLDERS = 'h', /* the holders' end while it is kept for the family, */
    XT_KEEP_BESIDE = 's',  /* and what goes with a listener */
};
int xt_session_ledger(const struct xt_session *s);
/* Procs in use, a bit for each; and what pid a proc says it has. */
/* The first place of a process from `proc` on that is taken, or XT_MAX_PROCS. */
uint32_t xt_session_next_proc(const struct xt_session *s, uint32_t proc);
pid_t xt_session_proc_pid(const struct xt_session *s, uint32_t proc);
/* Waiter `w` and its descriptors (borrowed). False: there is none. */
bool xt_session_waiter(const struct xt_session *s, uint32_t w, uint32_t *proc, int *rfd, int *wfd);

/* [first] Makes a session of what another stack process has left; before the data plane starts. Takes `ledger_fd` over. take() gives the
 * descriptors of session `id` by the letters above, or -1. Returns 0; -EPROTO when it cannot be used; or another negative errno. */
int xt_session_open(struct xt_app *a, int ledger_fd, int (*take)(void *arg, uint32_t id, char what, uint32_t n),
                    void *arg, struct xt_session **out);
/* [first] Who is told when a session ends that xt_session_open() has made. */
void xt_app_on_end(struct xt_app *a, void (*on_end)(void *session));

enum xt_msg_type {
    XT_MSG_SESSION,   /* ctl to data: session begins (ptr: struct xt_session) */
    XT_MSG_PROC_GONE, /* ctl to data: proc `arg` of session `ptr` has died or detached; the last one ends the session */
    XT_MSG_CALL,      /* ctl to data: run fn(arg) on the data plane, then send it back as XT_MSG_RETURN */
    XT_MSG_RETURN,    /* data to ctl */
    XT_MSG_SESSION_END, /* data to ctl: nothing uses session `ptr` any more: xt_session_free() it */
};

struct xt_msg {
    enum xt_msg_type type;
    uint32_t arg;
    uint32_t shard; /* for the sender's use */
    void *ptr;
    void (*fn)(void *ptr);   /* XT_MSG_CALL: run on the data plane, must be short */
    void (*done)(void *ptr); /* XT_MSG_RETURN: run on the control thread */
};

/* Returns 0 or -EAGAIN when the queue is full. Wakes the data plane. */
int xt_app_post(struct xt_app *a, const struct xt_msg *m);
/* [first] Runs what the data plane has sent; call when xt_app_ctl_fd() (an eventfd) is readable. */
void xt_app_ctl_run(struct xt_app *a);
int xt_app_ctl_fd(const struct xt_app *a);
void xt_session_free(struct xt_session *s);

/* ---- [data] ---- */

/* Takes up the sessions that xt_session_open() has made, with their connections; resets connections that belong to none. Before
 * the first frame is taken. */
void xt_app_revive(struct xt_app *a, uint64_t now_us);

/* Takes messages, commands and dirty slots of every session. True when there was anything. */
bool xt_app_poll(struct xt_app *a, uint64_t now_us);
/* Publishes what stack events have left (readiness, wake-ups): once at the end of a batch. */
void xt_app_flush(struct xt_app *a);
/* How the programs' threads have waited since the last look, by their own account. */
struct xt_app_waits {
    int cpu; /* processor of the one that waited most; -1: none had two thirds of all waits, or it is not known */
    uint32_t shared; /* how often somebody else ran on the processor of one that waited */
};
void xt_app_waits(struct xt_app *a, struct xt_app_waits *out);
/* About to sleep: raises xt_global.sleeping and looks again. True: do not sleep. Cancel with xt_app_awake(). */
bool xt_app_prepare_sleep(struct xt_app *a);
void xt_app_awake(struct xt_app *a);
/* Descriptors that wake the data plane: its message eventfd, and each session's doorbell as sessions come and go (callbacks
 * run on the data plane, so that the shard can add and remove polls of its io_uring). */
int xt_app_data_fd(const struct xt_app *a);
/* From any thread: wakes the data plane if it sleeps; what it is to find was stored before. */
void xt_app_wake(struct xt_app *a);
void xt_app_on_doorbell(struct xt_app *a, void (*add)(void *arg, int fd, uint32_t session),
                        void (*remove)(void *arg, int fd, uint32_t session), void *arg);

/* Takes note of all closes and deaths that it can know of. */
void xt_app_settle_closes(struct xt_app *a);
/* The listeners on a port, of sessions of a family that xt_session_new_kin() has made, get no new connections any more. */
void xt_app_retire(struct xt_app *a, uint32_t family, uint16_t port);

/* For `xtcpctl list`: who owns a connection; "" and 0 for none. */
struct xt_owner {
    pid_t pid;
    uid_t uid;
    char comm[24];
};
void xt_app_owner(struct xt_app *a, const struct xt_conn *c, struct xt_owner *out);

/* Up to where the program has read, which the record learns only when that matters to the window. For display. */
uint64_t xt_app_rx_tail(struct xt_app *a, const struct xt_conn *c);

struct xt_app_stats {
    uint64_t sessions, sessions_ended, liars, commands, wakeups, doorbells, accepts, backlog_drops;
    uint64_t sessions_revived, strays; /* at start: clients taken over; connections without one, which were reset */
    uint64_t bytes_mapped;             /* ring bytes handed out now */
    uint64_t rx_grown, tx_grown, rings_trimmed;
    uint64_t quota_clients, quota_sockets, quota_memory, quota_connects; /* refused for the user's quota */
};
const struct xt_app_stats *xt_app_stats(const struct xt_app *a);

#endif
