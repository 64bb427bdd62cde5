/* SPDX-License-Identifier: Apache-2.0
 * The effective settings, kept for the next stack process in a memfd: one that died is succeeded by one with the same settings,
 * whatever the configuration file says by then. Text, so that another release can read them. Not thread-safe. */
#ifndef XT_CTL_SETTINGS_H
#define XT_CTL_SETTINGS_H

#include "daemon/ctl/config.h"

/* A memfd without settings yet. Returns it or a negative errno. */
int xt_settings_new(void);

/* All settings of `c`, in place of those before: who dies in the middle leaves the old ones. Returns 0 or a negative errno. */
int xt_settings_write(int fd, const struct xt_config *c);

/* Defaults, then what is kept; a setting that this release does not know or take is left out and logged. Returns 0, or -EPROTO when
 * none are kept. */
int xt_settings_read(int fd, struct xt_config *c);

#endif
