/* SPDX-License-Identifier: Apache-2.0
 * Which settings a stack process has: those of the one before it that died, else those of the file and the command line. */
#ifndef XT_MAIN_EFFECTIVE_H
#define XT_MAIN_EFFECTIVE_H

#include "daemon/ctl/config.h"
#include "daemon/main/notify.h"

/* How the process was started. */
struct xt_start {
    const struct xt_cmdline *cmdline;
    int argc;
    char **argv;
};

/* Checked, by xt_netif_check() too. Returns 0, or a negative errno with words in `err`. */
int xt_effective_settings(const struct xt_start *st, struct xt_handed *h, struct xt_config *out, char *err,
                          size_t errlen);

/* Sees to it that they are kept for the next one. Returns their memfd; -1 when there is none, which is logged. */
int xt_effective_keep(struct xt_handed *h, const struct xt_config *c);

/* A line in the log: what serves, and where. `start` counts the starts of the stack process. */
void xt_effective_say(const struct xt_config *c, uint32_t start);

#endif
