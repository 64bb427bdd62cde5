/* SPDX-License-Identifier: Apache-2.0
 * What a ledger's layout (ledger_layout.h) is made of. */
#ifndef XT_APP_LEDGER_PARTS_H
#define XT_APP_LEDGER_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "daemon/app/arena.h"
#include "daemon/app/tune.h"
#include "daemon/tcp/parts.h"
#include "daemon/wire/ipopt.h"
#include "proto/xt_shm.h"

#define XT_LEDGER_MAGIC 0x474c5458u /* "XTLG" */
#define XT_PROC_WORDS (XT_MAX_PROCS / 64)

enum { XT_WAITER_FREE, XT_WAITER_LIVE };

enum xt_slot_kind {
    XT_SLOT_FREE,
    XT_SLOT_FRESH, /* made or bound; no connection */
    XT_SLOT_LISTEN,
    XT_SLOT_CONN, /* has a connection record */
    XT_SLOT_DEAD, /* had one; the descriptor, perhaps unread data, are all that is left */
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

#endif
