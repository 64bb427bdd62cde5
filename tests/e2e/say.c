/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/say.h"

#include <stdarg.h>
#include <stdio.h>

void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}
