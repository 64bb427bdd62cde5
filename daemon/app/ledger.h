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
#include <stdint.h>
#include <sys/types.h>

#include "proto/xt_shm.h"

#define XT_LEDGER_MAGIC 0x474c5458u /* "XTLG" */
#define XT_LEDGER_VERSION 2u

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

struct xt_ledger {
    uint32_t magic, version;
    uint32_t slot_size; /* sizeof(struct xt_pslot) */
    uint32_t id, index; /* of the session */
    uint32_t max_slots;
    uint64_t arena; /* bytes */
    int32_t pid;
    uint32_t uid;
    char comm[24];
    _Atomic uint64_t procs_used; /* index taken: set by [ctl], cleared by [data] when nothing of the proc is left */
    _Atomic uint64_t procs_live; /* its hold bits count: likewise, cleared at its death */
    _Atomic uint32_t waiters_high;
    _Atomic uint32_t relay; /* (waiter + 1) << 8 | proc of the daemon's own (relay.h), 0: none; written by [ctl] */
    uint32_t slots_high;    /* no slot from here on was ever used */
    int32_t lied;           /* errno why the client was dropped, 0: it was not */
    struct xt_pwaiter waiter[XT_MAX_WAITERS];
};

/* Makes an empty ledger: `*fd` is its memfd, sealed. Returns 0 or a negative errno. */
int xt_ledger_new(struct xt_ledger **out, int *fd, uint32_t max_slots);

/* Maps one that another stack process has left. Returns 0, or -EPROTO when it is not one or has another layout. */
int xt_ledger_open(struct xt_ledger **out, int fd);

void xt_ledger_close(struct xt_ledger *l);

struct xt_pslot *xt_ledger_slots(struct xt_ledger *l);

#endif
