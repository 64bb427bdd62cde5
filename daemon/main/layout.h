/* SPDX-License-Identifier: Apache-2.0
 * Layouts of what is kept for the next stack process, and how that of the release before is read. Release n knows its own layouts and
 * those of n-1; any other is refused. A layout changes like this:
 *
 * 1. layout_before.h gets it as it is now, under names that end in _before.
 * 2. It changes, and its version counts up: XT_STATE_VERSION with struct xt_conn (daemon/tcp/record.h) or anything it is made of,
 *    XT_LEDGER_VERSION with struct xt_ledger or struct xt_pslot (daemon/app/ledger_layout.h).
 * 3. state_before.c or ledger_before.c copies what is the same and works out what is not; where only the other one has changed,
 *    everything is the same.
 *
 * The test unit-layouts fails until its list says so; the daemon that tests/chaos/upgrade.sh upgrades from is made with layout_before.h.
 * The first page of a state memfd (kept.h) is the same in all releases.
 *
 * The interface of the programs' libraries (proto/xt_shm.h) is not among these: it lies in memory that running programs have mapped, by
 * libraries that know no other, so it cannot be turned into another one. */
#ifndef XT_MAIN_LAYOUT_H
#define XT_MAIN_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/main/notify.h"
#include "daemon/stack/stack.h"

struct xt_tcp_sockopt;
struct xt_tcp_sockopt_before;

enum xt_layout {
    XT_LAYOUT_STATE,  /* of a state memfd (kept.h): connection records */
    XT_LAYOUT_LEDGER, /* of a client's ledger */
};

/* Whose layout is it? Returns 0: ours; 1: that of the release before; -EPROTO with words in `err`: another one's. */
int xt_layout_check(enum xt_layout what, int fd, char *err, size_t errlen);

/* Bytes of all that stands behind the first page of a state memfd, by what xt_layout_check() has returned: equal parts for `shards`
 * stacks of `max_conns` connections each. */
size_t xt_layout_state_size(int whose, uint32_t max_conns, uint32_t shards);

/* Makes of each thing that has the layout of the release before one that has ours, in `h` and in the keeper's store. A process that
 * dies in the middle of it, or before it is ready where the keeper can go back, leaves what another one can begin with. Before anything
 * else is done with them. Returns 0, also for what cannot be read, which stays as it is; or a negative errno. */
int xt_layout_renew(struct xt_handed *h);

/* ---- of the release before: return a memfd of our layout that tells the same, or a negative errno. `fd` and what is in it stay, but for
 * the count of starts. ---- */

int xt_state_read_before(int fd);
struct xt_state_places xt_state_places_before(uint32_t max_conns);
int xt_ledger_read_before(int fd);

/* What both have. */
struct xt_tcp_sockopt xt_sockopt_read_before(const struct xt_tcp_sockopt_before *o);

#endif
