/* SPDX-License-Identifier: Apache-2.0
 * A line of what a probe has found, at once. */
#ifndef SAY_H
#define SAY_H

void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
