/* SPDX-License-Identifier: Apache-2.0
 * corners: programs that use sockets where few do: before and after main(), in signal handlers, in odd processes. It says what it
 * saw, a line for each thing; on the kernel's TCP and on xtcp's that must be the same.
 *
 *   corners SCENARIO ADDR PORT     against corners.py, which takes a command line on each connection:
 *     echo               sends back what comes
 *     note NAME          writes all that comes to a file of that name
 *     sum                answers "COUNT SUM\n" when all has come: bytes, and what they add up to
 *     flood N            sends N bytes, of which byte i is i % 251
 *     call PORT N        connects N times to that port where the command came from, sends "k" and closes */
#ifndef CORNERS_H
#define CORNERS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdnoreturn.h>

#include "tests/e2e/say.h"

extern struct sockaddr_in peer_addr;

/* Where ADDR PORT is; -1 when they are none. */
int parse_peer(const char *addr, const char *port);
/* A connection to the peer that has got the command; -1 when it failed. */
int try_dial(const char *command);
int dial(const char *command); /* ends the program when it failed */
noreturn void fail(const char *what);
void send_all(int s, const void *data, size_t len);
void recv_all(int s, void *data, size_t len);
void check(const char *what, int ok); /* "what: ok", or what is not */
/* Shuts the sending side; "what: <what the peer says of it>" */
void say_sum(const char *what, int s);
/* A child's end as a number: exit status, or 128 and the signal. */
int end_of(int pid);

/* ---- the scenarios ---- */
void corner_start(void);
void corner_stdio(void);
void corner_storm(void);
void corner_same(void);
void corner_close(void);
void corner_jump(void);
void corner_spawn(void);
void corner_accept(void);
void corner_symbols(void);
void corner_stacks(void);
void corner_numbers(void);
void corner_atfork(void);
void corner_strict(void);
void corner_exit(void);

#endif
