/* SPDX-License-Identifier: Apache-2.0
 * Descriptors that must outlive the stack process, by name: the keeper's side of the protocol that systemd uses (sd_notify(3),
 * FDSTORE=1; sd_listen_fds(3)). Several may share a name. Not thread-safe. */
#ifndef XT_MAIN_FDSTORE_H
#define XT_MAIN_FDSTORE_H

#include <stdbool.h>
#include <stddef.h>

#define XT_FDSTORE_MAX 8192    /* their names must fit into one variable of the environment: 128 KiB */
#define XT_FDSTORE_NAME_MAX 64 /* bytes, NUL included */
#define XT_FDSTORE_FIRST 3     /* where a process finds what is handed to it */

struct xt_fdstore {
    unsigned n;
    struct {
        int fd;
        char name[XT_FDSTORE_NAME_MAX];
    } item[XT_FDSTORE_MAX];
};

/* Letters, digits and -_. only, as they are joined with ':'. */
bool xt_fdstore_name_ok(const char *name);

/* Keeps `fd` (taken over in every case). One that is kept under that name already is closed and counts as kept.
 * Returns 0, -EINVAL (name) or -ENOSPC. */
int xt_fdstore_add(struct xt_fdstore *s, const char *name, int fd);

/* Closes all of that name; returns how many. */
unsigned xt_fdstore_remove(struct xt_fdstore *s, const char *name);

void xt_fdstore_clear(struct xt_fdstore *s);

/* In a child just before exec: puts the descriptors to XT_FDSTORE_FIRST and on, not close-on-exec, and sets LISTEN_FDS, LISTEN_FDNAMES
 * and LISTEN_PID. Returns 0 or a negative errno. */
int xt_fdstore_hand_over(const struct xt_fdstore *s);

#endif
