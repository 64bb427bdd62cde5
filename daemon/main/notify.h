/* SPDX-License-Identifier: Apache-2.0
 * The stack process's side of the fd-store protocol; its keeper may be xtcpd's own or systemd. Without one, nothing is kept. */
#ifndef XT_MAIN_NOTIFY_H
#define XT_MAIN_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/main/fdstore.h"

/* Connects to the keeper, for a process that is going to lose the right to find its socket. Returns 0 or a negative errno. */
int xt_notify_open(void);

/* Tells the keeper, as sd_notify(3): "READY=1", "STATUS=...". Returns 0, or a negative errno; 0 without a keeper. */
int xt_notify(const char *text);
/* With at most XT_NOTIFY_FDS descriptors. */
#define XT_NOTIFY_FDS 2
int xt_notify_send(const char *text, const int *fds, unsigned nfds);

/* Lets the keeper hold a copy of `fd` under that name; xt_notify_forget() drops all of that name. Returned as above. */
int xt_notify_store(const char *name, int fd);
int xt_notify_forget(const char *name);
/* Puts `fd` in the place of what it keeps under that name. At any moment it keeps the old one, or the new one under that name, or under
 * that name and XT_NOTIFY_NEXT, or both of these: who is handed one of the latter takes it. */
#define XT_NOTIFY_NEXT ".next"
int xt_notify_replace(const char *name, int fd);
/* The rest of it, where `fd` is kept under the second name. */
int xt_notify_settle(const char *name, int fd);

/* Returns when the keeper has done all that it was told so far, as sd_notify_barrier(3): 0, -ETIMEDOUT after `ms` milliseconds, or
 * another negative errno. */
int xt_notify_barrier(int ms);

/* What was handed over at start. Removes LISTEN_* from the environment and makes the descriptors close-on-exec. */
struct xt_handed {
    unsigned n, cap, at; /* at: where the last one was found */
    struct xt_handed_fd {
        int fd; /* -1: taken */
        char name[XT_FDSTORE_NAME_MAX];
    } * item;
};

/* Reads LISTEN_FDS and its like. Returns 0 (also when nothing was handed over) or -ENOMEM. */
int xt_handed_read(struct xt_handed *h);
/* One more, taken over in every case; all of a name closed. Returns 0, or -ENOMEM. */
int xt_handed_add(struct xt_handed *h, const char *name, int fd);
void xt_handed_drop(struct xt_handed *h, const char *name);
/* `fd`, taken over, in the place of the first descriptor of that name, which is closed. There must be one. */
void xt_handed_replace(struct xt_handed *h, const char *name, int fd);
/* The first descriptor of that name, now the caller's; -1 for none. */
int xt_handed_take(struct xt_handed *h, const char *name);
/* Likewise, but it stays where it is. */
int xt_handed_peek(struct xt_handed *h, const char *name);
/* The next name from `*cursor` on that begins with `first` and was not taken; NULL at the end. */
const char *xt_handed_next(const struct xt_handed *h, char first, unsigned *cursor);
/* Closes what nobody took. */
void xt_handed_free(struct xt_handed *h);

#endif
