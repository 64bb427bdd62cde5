/* SPDX-License-Identifier: Apache-2.0
 * Named checks in the Test Anything Protocol, which meson counts one by one. */
#ifndef XT_TEST_TAP_H
#define XT_TEST_TAP_H

#include <stdbool.h>

/* Prints one check; `why` (may be NULL) is shown when it failed. */
void tap_check(bool ok, const char *name, const char *why);

/* Prints the plan; returns the exit status: 0 when all checks were right and there was at least one. */
int tap_end(void);

#endif
