/* SPDX-License-Identifier: Apache-2.0
 * What the scenarios of several processes share. */
#ifndef APIPROBE_SHARED_H
#define APIPROBE_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/e2e/apiprobe.h"

int ctl(int ep, int op, int fd, uint32_t events, uint64_t data);
/* How many events there are, and the first. */
void say_wait(const char *name, int ep, int timeout);
void take_all(int fd);

/* A child that does a step each time it is told to, and says when it has. */
struct child {
    pid_t pid;
    int to, from;
};
/* `steps` in a child, which is to say done() between them. */
struct child begin(void (*steps)(void *arg, int fd[2]), void *arg);
void step(const struct child *c);
void done(int fd[2]);
void end(const struct child *c, bool kill_it);

void probe_passed(void); /* sets that are passed on; a part of probe_shared() */

#endif
