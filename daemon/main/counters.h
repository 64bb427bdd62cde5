/* SPDX-License-Identifier: Apache-2.0
 * Counters of the data-plane loop and of the packet device, for "stats". */
#ifndef XT_MAIN_COUNTERS_H
#define XT_MAIN_COUNTERS_H

#include "daemon/ctl/ctl.h"

/* As `counters` of struct xt_ctl_host; `arg` has the struct xt_shard of each shard. */
void xt_main_counters(void *arg, uint32_t shard, xt_ctl_put *put, void *put_arg);

#endif
