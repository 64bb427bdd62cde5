/* SPDX-License-Identifier: Apache-2.0
 * The stack process's side of the fd-store protocol; its keeper may be xtcpd's own or systemd. Without one, nothing is kept. */
#ifndef XT_MAIN_NOTIFY_H
#define XT_MAIN_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>

/* Tells the keeper, as sd_notify(3): "READY=1", "STATUS=...". Returns 0, or a negative errno; 0 without a keeper. */
int xt_notify(const char *text);

/* Lets the keeper hold a copy of `fd` under that name; xt_notify_forget() drops all of that name. Returned as above. */
int xt_notify_store(const char *name, int fd);
int xt_notify_forget(const char *name);

/* What was handed over at start. Removes LISTEN_* from the environment and makes the descriptors close-on-exec. */
struct xt_handed {
    unsigned n, at; /* at: where the last one was found */
    char *names;    /* the copy that `name` points into */
    struct xt_handed_fd {
        int fd; /* -1: taken */
        const char *name;
    } * item;
};

/* Reads LISTEN_FDS and its like. Returns 0 (also when nothing was handed over) or -ENOMEM. */
int xt_handed_read(struct xt_handed *h);
/* The first descriptor of that name, now the caller's; -1 for none. */
int xt_handed_take(struct xt_handed *h, const char *name);
/* The next name from `*cursor` on that begins with `first` and was not taken; NULL at the end. */
const char *xt_handed_next(const struct xt_handed *h, char first, unsigned *cursor);
/* Closes what nobody took. */
void xt_handed_free(struct xt_handed *h);

#endif
