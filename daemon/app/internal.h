/* SPDX-License-Identifier: Apache-2.0
 * What the files of daemon/app share. Everything here is the daemon's private memory; what clients can write is reached only
 * through struct xt_session's pointers into the region, is loaded once and checked against the copies in struct xt_pslot. */
#ifndef XT_APP_INTERNAL_H
#define XT_APP_INTERNAL_H

#include <pthread.h>
#include <string.h>
#include <sys/queue.h>

#include "daemon/app/app.h"
#include "daemon/app/arena.h"
#include "daemon/app/ledger.h"
#include "daemon/app/tune.h"

#define XT_DIRTY_BUDGET 2048u /* dirty slots of a session in one round */
#define XT_CMD_BUDGET 128u    /* commands of a session in one round */
#define XT_SWEEP_BUDGET 1024u /* slots looked at in one round after a death */
#define XT_CLOSE_BUDGET 256u  /* sockets closed in one round after a death */
#define XT_TRIM_BUDGET 256u   /* sockets whose pages are given back in one round */
#define XT_QUEUE_LEN 1024u    /* messages between control thread and data plane, each way */
#define XT_NO_PSLOT UINT32_MAX
#define XT_RING_MIN 16384u /* what a socket gets at least when room is short */

/* A user that has sessions. They are counted anew from the ledgers by each stack process. */
struct xt_user {
    LIST_ENTRY(xt_user) link; /* [ctl], as the next two */
    uid_t uid;
    uint32_t clients;
    _Atomic uint32_t sockets; /* [data] writes what follows */
    struct xt_budget memory;
    _Atomic uint64_t refused;
    /* Until when its connects so far would last, one after the other at the rate it may have. */
    _Atomic uint64_t connects_us;
};

#define XT_WATCHED_WAITERS 8

struct xt_session {
    struct xt_app *app;
    struct xt_user *user;
    uint32_t id, index;            /* id: generation << 16 | index + 1 */
    void (*on_end)(void *session); /* run by [ctl] when nothing uses the session any more */
    pid_t pid;
    uid_t uid;
    char comm[24];
    int memfd, doorbell, ledger_fd;

    struct xt_ledger *l;
    uint8_t *base;
    uint64_t size;
    struct xt_region *region;
    struct xt_proc *procs;
    struct xt_waiter *waiters;
    struct xt_slot *slots;
    struct xt_rare *rares;
    xt_bitword *cmd, *dirty;
    uint64_t hold_off, hold_stride, ready_off, ready_stride;
    uint32_t max_slots;

    struct xt_pwaiter *pw;                 /* in the ledger */
    uint64_t touched[XT_MAX_WAITERS / 64]; /* waiters to be woken at the next flush */
    bool in_touched;
    uint64_t again[XT_MAX_WAITERS / 64]; /* waiters whose next command may be one that was carried out already */

    struct xt_pslot *ps;   /* in the ledger */
    struct xt_prare *rare; /* likewise: xt_app_rare() */
    uint64_t *used;        /* bitmap: kind != FREE */
    uint32_t nused, hint;
    uint32_t listeners; /* first of the list, XT_NO_PSLOT: none */
    struct xt_arena arena;

    struct {
        uint32_t waits, shared;
    } waited[XT_WATCHED_WAITERS]; /* the first waiters' counts as last looked at */

    bool sweeping;
    uint32_t sweep_at;
    uint64_t reap[XT_PROC_WORDS]; /* procs that are being taken apart */
    uint32_t trim_at;             /* slot that the next look for idle rings begins with */
    uint32_t nretired;            /* of xt_app.retired */
    bool ended;                   /* no proc is left, or the client lied */
    bool revive;                  /* left by another stack process, not yet taken up by this one's data plane */
    int lied;                     /* errno why it was dropped, 0: it was not */
};

/* A single-producer, single-consumer queue of messages. */
struct xt_msgq {
    struct xt_msg m[XT_QUEUE_LEN];
    _Atomic uint32_t head, tail;
};

struct xt_changed {
    struct xt_session *s;
    uint32_t slot;
    uint32_t arrived; /* connections that the listener has had since it was last published */
};

/* A send ring that was replaced while the device may still have requests that point into it. */
struct xt_retired {
    struct xt_session *s;
    struct xt_extent e;
    uint64_t round;
};

/* What the apps of all shards share. [ctl] */
struct xt_app_common {
    struct xt_app *app[XT_CREW_MAX];
    uint32_t n, turn; /* turn: whose the next session is */
    bool *index_used; /* by session index */
    uint32_t next_gen;
    LIST_HEAD(, xt_user) users;
    struct { /* struct xt_quota; [data] reads it too */
        _Atomic uint32_t clients, sockets, connects;
        _Atomic uint64_t memory;
    } quota;
};

struct xt_app {
    struct xt_app_cfg cfg;
    struct xt_global *global;
    int global_fd, global_ro;
    struct xt_stack *stack;
    uint64_t now_us;

    struct xt_msgq to_data, to_ctl;
    int data_fd, ctl_fd;

    uint32_t shard;
    struct xt_app_common *common;

    /* [data] */
    struct xt_session **sessions; /* by index; NULL: none */
    uint32_t sessions_high;
    struct xt_changed *changed;
    uint32_t nchanged, cap_changed;
    struct xt_session **touched;
    uint32_t ntouched;
    struct {
        uint32_t conn, gen;
    } * doomed; /* connections to abort outside of the stack's callbacks */
    uint32_t ndoomed, cap_doomed;
    struct xt_msg *returns; /* messages that found the queue to [ctl] full */
    uint32_t nreturns, cap_returns;
    struct xt_retired *retired; /* oldest first */
    uint32_t nretired, cap_retired;
    uint64_t round;      /* counts xt_app_poll() */
    uint64_t trimmed_us; /* when idle rings were last looked for */
    uint64_t retire_at;  /* when retired listeners end; 0: there are none */
    void (*bell_add)(void *arg, int fd, uint32_t session);
    void (*bell_remove)(void *arg, int fd, uint32_t session);
    void *bell_arg;
    struct xt_app_stats stats;
};

/* In the application layer's half of xt_conn.flags: a child that its listener counts as half open, and no more. */
#define XT_APP_CF_COUNTED 0x10000u
#define XT_APP_CF_DONE 0x20000u

static inline xt_bitword *xt_app_hold(const struct xt_session *s, uint32_t proc)
{
    return (xt_bitword *)(void *)(s->base + s->hold_off + proc * s->hold_stride);
}

static inline bool xt_app_holds(const struct xt_session *s, uint32_t proc, uint32_t i)
{
    return atomic_load(&xt_app_hold(s, proc)[i / 64]) >> (i % 64) & 1;
}

static inline xt_bitword *xt_app_ready(const struct xt_session *s, uint32_t waiter)
{
    return (xt_bitword *)(void *)(s->base + s->ready_off + waiter * s->ready_stride);
}

/* The session with that id, or NULL. */
struct xt_session *xt_app_session(struct xt_app *a, uint32_t id);

static inline bool xt_app_is_used(const struct xt_session *s, uint32_t i)
{
    return i < s->max_slots && s->ps[i].kind != XT_SLOT_FREE;
}

/* The session of a connection that has a slot, or NULL: a half-open child names its listener's session before it has one. */
static inline struct xt_session *xt_app_owner_of(struct xt_app *a, const struct xt_conn *c)
{
    struct xt_session *s = xt_app_session(a, c->session);
    return s && xt_app_is_used(s, c->slot) && s->ps[c->slot].conn == c->index ? s : NULL;
}

/* What few slots have; empty where the slot has nothing of it. */
static inline const struct xt_prare *xt_app_rare(const struct xt_session *s, uint32_t i)
{
    static const struct xt_prare none;
    return xt_ledger_has_rare(&s->ps[i]) ? &s->rare[i] : &none;
}

/* For writing: the slot has it from now on. What a life of the slot before has left is never seen. */
static inline struct xt_prare *xt_app_rare_own(struct xt_session *s, uint32_t i)
{
    if (!xt_ledger_has_rare(&s->ps[i])) {
        memset(&s->rare[i], 0, sizeof s->rare[i]);
        atomic_signal_fence(memory_order_seq_cst);
        xt_ledger_say_rare(&s->ps[i]);
        atomic_signal_fence(memory_order_seq_cst);
    }
    return &s->rare[i];
}

static inline void xt_app_show_local(struct xt_slot *sh, const struct xt_endpoint *e)
{
    sh->local_be = xt_addr_to_v4(&e->addr);
    sh->local_port = e->port;
}

/* What a socket of the session claims of its port, for the stack. */
static inline uint64_t xt_app_claim(const struct xt_session *s, uint64_t claim)
{
    uint32_t family = xt_ledger_family(s->l);
    return (claim & XT_CLAIM_REUSE) | (claim & XT_CLAIM_SHARE ? xt_claim_share(s->uid) : 0) |
           (s->app->common->n > 1 ? xt_claim_family(family ? family : s->id) : 0);
}

/* Beside what was claimed: a socket that is to get no new connections. */
#define XT_APP_CLAIM_RETIRED 0x80u

/* The connection of a slot, or NULL. */
static inline struct xt_conn *xt_app_conn(const struct xt_session *s, const struct xt_pslot *p)
{
    return p->conn == XT_NO_CONN ? NULL : xt_stack_conn(s->app->stack, p->conn);
}

/* Its streams begin anew. */
static inline void xt_app_no_urgent(struct xt_session *s, uint32_t i)
{
    if (xt_ledger_has_rare(&s->ps[i]))
        s->rare[i].rx_urg = s->rare[i].tx_urg = 0;
}

/* All that was stored to the slot before is there when its kind is: to whoever finds the ledger after this process has died. */
static inline void xt_app_slot_kind(struct xt_pslot *p, uint8_t kind)
{
    atomic_signal_fence(memory_order_seq_cst);
    p->kind = kind;
    atomic_signal_fence(memory_order_seq_cst);
}

/* ---- user.c: quotas ---- */

/* [ctl] A session more of that user; NULL: no memory. And one less. */
struct xt_user *xt_user_join(struct xt_app *a, uid_t uid);
void xt_user_leave(struct xt_user *u);
/* [ctl] */
bool xt_user_may_attach(struct xt_app *a, uid_t uid);
/* [data] May it have one more? */
bool xt_user_has_socket(const struct xt_session *s);
bool xt_user_has_memory(const struct xt_session *s);
/* Likewise, and counts it. */
bool xt_user_take_connect(struct xt_session *s);
void xt_user_count_sockets(struct xt_session *s, int32_t n);
/* It was refused something for its quota: counted and logged. */
void xt_user_refused_socket(struct xt_session *s);
void xt_user_refused_memory(struct xt_session *s);

/* ---- slot.c: sockets ---- */

/* A new slot of kind FRESH, or -ENOBUFS. */
int xt_app_slot_new(struct xt_session *s, uint32_t *out);
/* Gives the slot back: rings, reservation, index. It must have no connection any more. */
void xt_app_slot_free(struct xt_session *s, uint32_t i);
/* Publishes end points and ring geometry. */
void xt_app_slot_show(struct xt_session *s, uint32_t i, const struct xt_conn *c);
/* Gives the slot's rings to the connection, and the connection to the slot. */
void xt_app_slot_attach(struct xt_session *s, uint32_t i, struct xt_conn *c);
/* Takes what the client has written since: returns false when it lied (the session is then dropped). */
bool xt_app_slot_pull(struct xt_session *s, uint32_t i);
/* A dirty slot: pulls, then ends the socket if nobody holds it. */
void xt_app_slot_dirty(struct xt_session *s, uint32_t i);
bool xt_app_slot_held(const struct xt_session *s, uint32_t i);
/* Does a process other than `proc` hold it? Also [ctl]. */
bool xt_app_slot_held_by_other(const struct xt_session *s, uint32_t i, uint32_t proc);
/* Tells the relay once when it is the only holder left. */
void xt_app_slot_tell_relay(struct xt_session *s, uint32_t i);
/* Nobody holds the socket any more: closes the connection; the slot is freed by xt_app_slot_reap() at the next flush after
 * the connection needs its rings no more. */
void xt_app_slot_release(struct xt_session *s, uint32_t i);
bool xt_app_slot_reap(struct xt_session *s, uint32_t i);
/* The connection goes on without owner and rings. */
void xt_app_slot_detach(struct xt_session *s, uint32_t i, struct xt_conn *c);

/* ---- disconnect.c: sockets that are used anew ---- */

/* After a failed connect, or a connection that was given up, the socket is as new, but for its options, its local end point and
 * an error that nobody has been told of yet (0: none). */
void xt_app_slot_fresh(struct xt_session *s, uint32_t i, int32_t err);
/* XT_OP_DISCONNECT; `again`: perhaps for the second time. 0, -ECONNABORTED or -EREMOTE. */
int xt_app_disconnect(struct xt_session *s, uint32_t i, bool again);

/* ---- rings.c: sizes and memory of rings ---- */

/* Rings for a slot: as configured, or smaller when the arena is short of room. False: no memory. */
bool xt_app_slot_rings(struct xt_session *s, uint32_t i);
void xt_app_rings_release(struct xt_session *s, uint32_t i);
/* Likewise of a slot that lives on: what the device is still to send stays where it is until it has. */
void xt_app_rings_drop(struct xt_session *s, uint32_t i);
/* The reader has consumed up to p->rx_tail: frees an old ring that is read, and makes the ring larger if that would help. */
void xt_app_rx_consumed(struct xt_session *s, uint32_t i, struct xt_conn *c);
/* Frees the old ring if it is read. */
void xt_app_rx_old_read(struct xt_session *s, uint32_t i);
/* Changes the receive ring to one of `size` bytes if it is larger and there is room. */
void xt_app_rx_grow(struct xt_session *s, uint32_t i, struct xt_conn *c, uint32_t size);
/* The send ring that would suit now, bytes; 0: as it is. */
uint32_t xt_app_tx_goal(const struct xt_session *s, const struct xt_pslot *p, const struct xt_conn *c);
/* XT_OP_GROW_TX: returns 0, also when nothing changes. */
int xt_app_tx_grow(struct xt_session *s, uint32_t i, struct xt_conn *c);
/* A slot that another stack process has left: finishes the change of a ring that its record `c` (NULL: none) knows of, forgets one
 * that it does not, says so to the client, and frees a lock that the dead process had. */
void xt_app_rings_revive(struct xt_session *s, uint32_t i, const struct xt_conn *c);
/* Stores the rings' places and sizes to the slot once more, as they are. */
void xt_app_rings_show(struct xt_session *s, uint32_t i);
/* Frees send rings that nothing points to any more; once in each round. */
void xt_app_rings_settle(struct xt_app *a);
/* Looks at some slots for rings that are empty and idle, and gives their pages back. */
void xt_app_rings_trim(struct xt_app *a);

/* ---- bufopt.c: socket options of buffers ---- */

/* `wanted` bytes, perhaps with XT_BUF_FORCE. Each returns what the program has got, within the limits. */
int xt_app_set_sndbuf(struct xt_session *s, uint32_t i, uint64_t wanted);
int xt_app_set_rcvbuf(struct xt_session *s, uint32_t i, uint64_t wanted);
int xt_app_set_rcvlowat(struct xt_session *s, uint32_t i, uint64_t wanted);

/* ---- accept.c: listeners ---- */

/* Gives the slot its accept ring; its record is p->conn. False: no room. */
bool xt_app_listener_begin(struct xt_session *s, uint32_t i);
/* Takes note of what clients have accepted; sockets that nobody holds then are released. False: the client lied. */
bool xt_app_listener_sync(struct xt_session *s, uint32_t i);
/* Ends the accept queue: its connections are aborted. */
void xt_app_listener_end(struct xt_session *s, uint32_t i);
/* The listener's session and slot for a passively opened connection; false: it is gone. */
bool xt_app_listener_of(struct xt_app *a, const struct xt_conn *c, struct xt_session **s, uint32_t *i);
/* Gives a child that has no slot one of its listener's session. */
bool xt_app_child_adopt(struct xt_app *a, struct xt_conn *c);
/* A child is ESTABLISHED: puts it into the accept queue. */
void xt_app_child_ready(struct xt_app *a, struct xt_conn *c);
/* A child was made in SYN_RECV; dies before it was ESTABLISHED. */
void xt_app_child_new(struct xt_app *a, struct xt_conn *c);
void xt_app_child_lost(struct xt_app *a, struct xt_conn *c);
bool xt_app_admit(void *arg, const struct xt_conn *listener);
bool xt_app_admit_open(void *arg, const struct xt_conn *listener);

/* ---- connect.c ---- */

/* Connects a socket; `flags`: XT_CONNECT_*, `again`: perhaps for the second time. Returns 0, the room for data in a SYN that waits for
 * it, or a negative errno. */
int xt_app_connect(struct xt_session *s, uint32_t i, const struct xt_endpoint *to, uint64_t flags, bool again);
/* Does what XT_WANT_CONNECT asks for, if it is set; the outcome, an error too, comes as an event. */
void xt_app_connect_wanted(struct xt_session *s, uint32_t i);
/* Something was refused: return `rc`, or the errno for it, when who it was and why stands in the log or the counters. xt_app_refused():
 * what the stack has said to a new connection or listener. */
int xt_app_used_up(const struct xt_session *s, const char *what, const char *setting, int rc);
int xt_app_no_memory(struct xt_session *s);
int xt_app_refused(const struct xt_session *s, int rc);

/* retire.c: it is time for that. */
void xt_app_retire_soon(struct xt_app *a);
void xt_app_retired(struct xt_app *a);

/* ---- cmd.c ---- */

void xt_app_cmd(struct xt_session *s, uint32_t waiter);
/* Fast Open keys of a listener (xt_op). */
int xt_app_cmd_fo_keys(struct xt_session *s, uint32_t i, uint64_t set, struct xt_waiter *box);
/* Fast Open's part of XT_OP_SETOPT: 0, -EINVAL (too late), -EOPNOTSUPP (switched off). */
int xt_app_fo_option(struct xt_session *s, uint32_t i, uint64_t name, uint64_t v);
/* stamp.c: the bytes before `upto` arrive now. */
void xt_app_stamp(struct xt_stamp *stamp, uint64_t upto);

/* ipopt.c: IP_OPTIONS. `raw` is the client's. Returns 0 or -EINVAL. */
int xt_app_set_ip_options(struct xt_session *s, uint32_t i, const volatile uint8_t *raw, uint64_t len);
/* Writes the options to `out` (XT_IPOPT_MAX bytes); returns how many bytes. */
int xt_app_get_ip_options(const struct xt_session *s, uint32_t i, uint8_t *out);

/* ---- info.c, option.c ---- */

void xt_app_info(const struct xt_session *s, uint32_t i, struct xt_tcp_info_abi *o);
/* Sets an option (enum xt_opt) of a socket; `data` is the client's. Returns 0 or a negative errno. */
int xt_app_set_option(struct xt_session *s, uint32_t i, uint64_t name, uint64_t v, const volatile uint8_t *data);
/* XT_WANT_NODELAY, of a socket and its connection (NULL: none). */
void xt_app_take_nodelay(struct xt_session *s, uint32_t i, struct xt_conn *c);
/* Copies a slot's options to its connection. */
void xt_app_opts_apply(const struct xt_session *s, uint32_t i, struct xt_conn *c);

/* ---- event.c: from the stack to the slots ---- */

void xt_app_event(void *arg, struct xt_conn *c, uint32_t events);
bool xt_app_need_bufs(void *arg, struct xt_conn *c);
/* Puts the slot on the list of slots to publish; `news`: its subscribers are told. */
void xt_app_changed(struct xt_session *s, uint32_t i, bool news);
/* Tells all who wait at the slot to look at it, now: before the answer of the command that is carried out. */
void xt_app_tell(struct xt_session *s, uint32_t i);
/* A connection has come into the listener's queue. */
void xt_app_arrived(struct xt_session *s, uint32_t i);
/* The waiter is woken at the next flush if it sleeps. */
void xt_app_touch(struct xt_session *s, uint32_t waiter);
/* Aborts a connection later, outside of the stack's callbacks. */
void xt_app_doom(struct xt_app *a, const struct xt_conn *c);
void xt_app_run_doomed(struct xt_app *a);
/* Stores what has changed into the slots and marks the ready bitmaps of their subscribers: O(changed slots). */
void xt_app_publish(struct xt_app *a);
/* One slot, at once: who has asked for the change looks at it when it has its answer. Conditions come with all that happened before
 * them, so they are never stored alone. */
void xt_app_publish_now(struct xt_session *s, uint32_t i);

/* ---- session.c, sweep.c: life and death of clients ---- */

void xt_app_session_begin(struct xt_app *a, struct xt_session *s, void (*on_end)(void *));
void xt_app_proc_gone(struct xt_app *a, struct xt_session *s, uint32_t proc);
/* Drops a client that lied about `what`: all its connections are aborted. */
void xt_app_liar(struct xt_session *s, const char *what, uint32_t slot);
/* Frees a lock whatever its owner and wakes all who wait, for one of them takes it. */
void xt_app_unlock(_Atomic uint32_t *lock);
/* A bounded part of what a death leaves to be done. True when there was any. */
bool xt_app_sweep(struct xt_session *s);
bool xt_app_any_live(const struct xt_session *s);
/* Ended sessions that nothing uses any more go back to [ctl]. */
void xt_app_sessions_finish(struct xt_app *a);
void xt_app_return(struct xt_app *a, const struct xt_msg *m);

#endif
