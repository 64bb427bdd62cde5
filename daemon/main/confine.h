/* SPDX-License-Identifier: Apache-2.0
 * What the stack process may do, less with each step: as a user of its own once files are open that want more, without capabilities once
 * the packet socket is, and with the system calls that it makes and no others once it serves. */
#ifndef XT_MAIN_CONFINE_H
#define XT_MAIN_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/ctl/config.h"

/* Is there such a user? Returns 0, or -ENOENT with words in `err`. */
int xt_confine_check(const struct xt_config *c, char *err, size_t errlen);

/* Before threads are made: becomes the user, if `own_user` and it is root now, and keeps the capabilities for the packet socket alone.
 * Returns 0, or a negative errno, which has been logged. */
int xt_confine_user(const struct xt_config *c, bool own_user);

/* The calling thread needs its capabilities no more. */
void xt_confine_thread(void);

/* All threads. Says in the log what is in effect. Returns as above: then the process must not serve. */
int xt_confine_calls(const struct xt_config *c);

#endif
