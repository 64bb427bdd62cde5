/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/state/tap.h"

#include <stdio.h>

static int checks, failures;

void tap_check(bool ok, const char *name, const char *why)
{
    printf("%s %d - %s\n", ok ? "ok" : "not ok", ++checks, name);
    if (!ok && why)
        printf("#   %s\n", why);
    failures += !ok;
}

int tap_end(void)
{
    printf("1..%d\n# %d passed, %d failed\n", checks, checks - failures, failures);
    return failures || !checks;
}
