/* SPDX-License-Identifier: Apache-2.0
 * The io_uring of the data plane. What goes by it passes the list of system calls by, so it has a list of its own. */
#ifndef XT_MAIN_URING_H
#define XT_MAIN_URING_H

#include <liburing.h>

/* Makes a ring for the calling thread alone that carries out what the data plane asks for and refuses all else with EACCES, for good.
 * Returns 0 or a negative errno. */
int xt_uring_open(struct io_uring *ring, unsigned entries);

#endif
