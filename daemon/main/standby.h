/* SPDX-License-Identifier: Apache-2.0
 * A candidate for an upgrade: a stack process that runs beside the one that serves. */
#ifndef XT_MAIN_STANDBY_H
#define XT_MAIN_STANDBY_H

#include <stdint.h>

#include "daemon/main/notify.h"

/* The descriptor by which the keeper tells this process, a candidate, when to take over; -1: it is none. */
int xt_standby_feed(void);

/* Can this program read all that is handed over? The state is to be that of `shards` stacks of `max_conns` connections
 * each. Changes nothing. Returns 0, or -EPROTO with words in `err`. */
int xt_standby_check(struct xt_handed *h, uint32_t max_conns, uint32_t shards, char *err, size_t errlen);

/* Tells the keeper that this process is able to take over, and follows in `h` what the old one keeps until it stands still. Returns
 * 0 when this process is to take over, or a negative errno. */
int xt_standby_wait(int feed, struct xt_handed *h);

#endif
