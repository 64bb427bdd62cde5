/* SPDX-License-Identifier: Apache-2.0
 * A network namespace for one test: 10.0.0.1 on its loopback interface, so that the rules give connections to it to the
 * (fake) xtcp. */
#ifndef PRELOAD_LAB_H
#define PRELOAD_LAB_H

#define LAB_ADDR "10.0.0.1"

/* Test initialiser. */
void lab_up(void);
/* A listener on LAB_ADDR, *port: the port it got. */
int lab_listen(int *port);
int lab_connect(int port);
/* A connection, both ends held by this process. */
void lab_pair(int fds[2]);

#endif
