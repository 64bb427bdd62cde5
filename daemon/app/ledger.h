/* SPDX-License-Identifier: Apache-2.0
 * What the daemon must know of a session after its stack process has died, beside the client's region: a memfd of its own that only
 * xtcpd maps. It holds nothing that can be found out otherwise: lists, free space, counters are made again (revive.c).
 *
 *   struct xt_ledger | struct xt_pslot for each slot | struct xt_prare for each slot
 *
 * All are sparse: a page costs memory once something in it was used. */
#ifndef XT_APP_LEDGER_H
#define XT_APP_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/app/ledger_layout.h"

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

#endif
