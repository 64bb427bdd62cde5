/* SPDX-License-Identifier: Apache-2.0
 * The stack process: data plane and control plane. */
#ifndef XT_MAIN_STACK_PROCESS_H
#define XT_MAIN_STACK_PROCESS_H

#include "daemon/main/effective.h"

/* Serves until SIGTERM or SIGINT, at first with the settings `c`, from xt_effective_settings(). Takes over what was handed over.
 * Returns an exit code (daemon/main/keeper.h). */
int xt_stack_process_run(const struct xt_start *st, struct xt_handed *h, const struct xt_config *c);

#endif
