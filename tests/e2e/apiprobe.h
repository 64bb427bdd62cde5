/* SPDX-License-Identifier: Apache-2.0
 * apiprobe: what a TCP socket answers in every state a program can bring it to, one line for each check. The output on the
 * kernel's TCP is the reference; the output under the preload must be the same.
 *
 *   apiprobe peer ADDR PORT             the other side: serves one prober, then exits
 *   apiprobe run ADDR PORT OWN OWNPORT [KIND | -KIND]  probes (only, all but KIND) against that peer, which reaches us at OWN
 *
 * The prober's first connection carries commands, a line each, answered by a line ("ok ..."):
 *   accept            take the next connection; answers its number
 *   connect IP PORT   connect to the prober; answers its number
 *   send N BYTES | oob N | fin N | rst N | close N | read N BYTES | eof N (reads until end of file, answers the count)
 *   end N   reads until it can't; answers why: 0 for end of file, or an errno */
#ifndef APIPROBE_H
#define APIPROBE_H

#include <stddef.h>
#include <sys/types.h>

#include "tests/e2e/say.h"

int probe_peer(const char *addr, int port);

/* ---- for the scenarios ---- */

#define PATIENCE_MS 20000 /* that the functions which wait have */

/* Runs a command at the peer; returns the number of its answer. Ends the program when the peer fails. */
int peer(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A connection to the peer, *n: its number there. */
int dial(int *n);
/* A listener on OWN, and the peer's connection to it. */
int listener(void);
int peer_dials(void);
/* All that the peer sent before has arrived when this returns: something sent later has. */
void settle(void);
/* "name: IN|OUT": what poll tells now. */
void say_mask(const char *name, int fd);
/* "name: 5" or "name: EPIPE". */
void say_ret(const char *name, long ret);
/* Waits (seconds at most, for a test that hangs) until poll tells all of `events`. */
void until(int fd, int events);
/* Waits (seconds at most) until the thread (or process) that has stored its number there sleeps, and not for a moment's lock. */
void until_asleep(const _Atomic pid_t *tid);
const char *events_text(unsigned events);

/* ---- scenarios, in the files of their kind ---- */
void probe_states(void);
void probe_io(void);
void probe_epoll(void);
void probe_misc(void);
void probe_close(void);
void probe_urgent(void);
void probe_block(void);
void probe_calls(void);
void probe_copy(void);
void probe_ready(void);
void probe_mux(void);
void probe_nest(void);
void probe_sets(void);
void probe_shared(void);
void probe_passed_on(char **number); /* in the program that is executed */
void probe_waits(void);
void probe_async(void);
void probe_cancel(void);
void probe_opts(void);
void probe_notsent(void);
void probe_unspec(void);
void probe_linger(void);
void probe_zerocopy(void);
void probe_stamp(void);
void probe_numbers(void);

extern const char *peer_addr, *own_addr;
extern int peer_port, own_port;

#endif
