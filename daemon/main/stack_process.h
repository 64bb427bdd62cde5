/* SPDX-License-Identifier: Apache-2.0
 * The stack process: data plane and control plane. */
#ifndef XT_MAIN_STACK_PROCESS_H
#define XT_MAIN_STACK_PROCESS_H

#include "daemon/ctl/config.h"

struct xt_stack_process_cfg {
    struct xt_config config; /* checked, by xt_netif_check() too */
    const struct xt_cmdline *cmdline;
    int argc; /* the command line, for a reload */
    char **argv;
};

/* Serves until SIGTERM or SIGINT. Returns an exit code (daemon/main/keeper.h). */
int xt_stack_process_run(const struct xt_stack_process_cfg *cfg);

#endif
