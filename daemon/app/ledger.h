/* SPDX-License-Identifier: Apache-2.0
 * What the daemon must know of a session after its stack process has died, beside the client's region: a memfd of its own that only
 * xtcpd maps. It holds nothing that can be found out otherwise: lists, free space, counters are made again (revive.c).
 *
 *   struct xt_ledger | struct xt_pslot for each slot
 *
 * Both are sparse: a page costs memory once something in it was used. */
#ifndef XT_APP_LEDGER_H
#define XT_APP_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "proto/xt_shm.h"

#define XT_LEDGER_MAGIC 0x474c5458u /* "XTLG" */
#define XT_LEDGER_VERSION 6u

#define XT_PROC_WORDS (XT_MAX_PROCS / 64)

struct xt_pslot;

enum { XT_WAITER_FREE, XT_WAITER_LIVE };

struct xt_pwaiter {
    _Atomic uint32_t state; /* FREE to LIVE by [ctl], back by [data] */
    uint32_t proc;
    int rfd, wfd;      /* wake-up pipe; the client has rfd. Numbers of the stack process that runs */
    uint32_t cmd_seen; /* sequence number of the last command taken */
    uint32_t made_seq; /* the command that made slot `made` */
    uint32_t made;
    uint32_t rsv;
};

#define XT_LEDGER_EXPORTS 1024u

/* Which way bytes of an exported socket are going just now. */
enum { XT_MOVE_NONE, XT_MOVE_IN, XT_MOVE_OUT };

/* A socket that is relayed, or may be, for holders of a plain kernel descriptor; [ctl] alone writes it. Bytes are moved by
 * recvmmsg() and sendmmsg(), for the kernel writes to `h` how many they were: a process that dies before it can count them leaves
 * that here. */
struct xt_pexport {
    uint32_t slot; /* plus 1; 0: the entry is free. Stored last */
    bool listener, wanted;
    uint8_t moving; /* XT_MOVE_* */
    uint64_t ino;   /* of the holders' end */
    uint64_t at;    /* the ring's counter before the move */
    struct mmsghdr h;
    struct iovec iov[2];
};

struct xt_ledger {
    uint32_t magic, version;
    uint32_t slot_size; /* sizeof(struct xt_pslot) */
    uint32_t id, index; /* of the session */
    uint32_t max_slots;
    uint64_t arena; /* bytes */
    int32_t pid;
    uint32_t uid;
    char comm[24];
    /* Bitmaps. Index taken: set by [ctl], cleared by [data] when nothing of the proc is left. */
    _Atomic uint64_t procs_used[XT_PROC_WORDS];
    _Atomic uint64_t procs_live[XT_PROC_WORDS]; /* its hold bits count: likewise, cleared at its death */
    _Atomic uint32_t waiters_high;
    _Atomic uint32_t relay; /* waiter and proc of the daemon's own (xt_ledger_relay()), 0: none; written by [ctl] */
    uint32_t slots_high;    /* no slot from here on was ever used */
    int32_t lied;           /* errno why the client was dropped, 0: it was not */
    uint32_t low_ports;     /* may it have ports below 1024, though it is not root's? */
    struct xt_pwaiter waiter[XT_MAX_WAITERS];
    struct xt_pexport export[XT_LEDGER_EXPORTS];
};

/* A relay's waiter and proc in one word. */
static inline uint32_t xt_ledger_relay(uint32_t waiter, uint32_t proc)
{
    return waiter * XT_MAX_PROCS + proc + 1;
}
static inline uint32_t xt_ledger_relay_waiter(uint32_t relay)
{
    return (relay - 1) / XT_MAX_PROCS;
}
static inline uint32_t xt_ledger_relay_proc(uint32_t relay)
{
    return (relay - 1) % XT_MAX_PROCS;
}

static inline bool xt_ledger_is_live(const struct xt_ledger *l, uint32_t proc)
{
    return atomic_load_explicit(&l->procs_live[proc / 64], memory_order_acquire) >> (proc % 64) & 1;
}

/* Makes an empty ledger: `*fd` is its memfd, sealed. Returns 0 or a negative errno. */
int xt_ledger_new(struct xt_ledger **out, int *fd, uint32_t max_slots);

/* Maps one that another stack process has left. Returns 0, or -EPROTO when it is not one or has another layout. */
int xt_ledger_open(struct xt_ledger **out, int fd);

void xt_ledger_close(struct xt_ledger *l);

struct xt_pslot *xt_ledger_slots(struct xt_ledger *l);

#endif
