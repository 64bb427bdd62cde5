/* SPDX-License-Identifier: Apache-2.0
 * The control plane: a libuv loop on the control socket. Programs attach here; xtcpctl asks here. All of it runs on one thread
 * (whoever calls xt_ctl_run()); the data plane is reached by messages only. */
#ifndef XT_CTL_CTL_H
#define XT_CTL_CTL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "daemon/app/app.h"
#include "daemon/ctl/config.h"

struct xt_ctl;

/* Takes one counter: a group ("device"), a name, its value and what it means. Strings must be constants. */
typedef void xt_ctl_put(void *put_arg, const char *group, const char *name, uint64_t value, const char *text);

/* What the control plane must know of the data plane. Both functions are called on the data plane, by the thread of that shard, and must
 * be short. */
struct xt_ctl_host {
    struct xt_stack *(*stack)(void *arg, uint32_t shard);
    void (*counters)(void *arg, uint32_t shard, xt_ctl_put *put,
                     void *put_arg); /* those that no other layer has; may be NULL */
    void *arg;
};

/* The keeper's descriptor store, and its way to another binary. Each returns 0 or a negative errno; NULL: there is none. */
struct xt_ctl_keep {
    int (*store)(const char *name, int fd);
    int (*forget)(const char *name);
    int (*barrier)(int ms); /* until all that is done, or so long */
    /* `fds`: the binary at `path` (left out when path is "": the one in use, as it lies on the disk now), then the socket that gets
     * the answer. Borrowed. */
    int (*upgrade)(const char *path, const int *fds, unsigned nfds);
};

struct xt_ctl_cfg {
    struct xt_app *app; /* the first shard's */
    struct xt_ctl_host host;
    struct xt_config config; /* effective values */
    int settings_fd;         /* where they are kept (settings.h), -1: nowhere; borrowed */
    int listen_fd;           /* SOCK_SEQPACKET, taken over */
    uid_t owner;             /* who started it: may administer, as root may */
    uint32_t epoch;          /* counts starts of the stack process */
    uint32_t restarts;       /* of them, those by this keeper */
    uint32_t crashes;        /* of those, the ones after a crash */
    struct xt_ctl_keep keep;
};

/* Returns 0 or a negative errno; `listen_fd` is then closed. */
int xt_ctl_new(struct xt_ctl **out, const struct xt_ctl_cfg *cfg);

/* Gives a session that xt_session_open() has made its control connections back; a proc without one is gone. */
void xt_ctl_adopt(struct xt_ctl *c, struct xt_session *s, int (*take)(void *arg, uint32_t id, char what, uint32_t n),
                  void *arg);

/* For xt_app_on_end(): the data plane has done with the session `s`. Only from xt_app_ctl_run(). */
void xt_ctl_session_ended(void *s);

/* Serves until xt_ctl_stop(), which must be called on the same thread (from a handle of xt_ctl_loop()). */
void xt_ctl_run(struct xt_ctl *c);
void xt_ctl_stop(struct xt_ctl *c);
uv_loop_t *xt_ctl_loop(struct xt_ctl *c);

/* After the data plane has ended. Handles that others put on the loop must be closed already. */
void xt_ctl_free(struct xt_ctl *c);

/* Takes what may change at run time from `fresh` (a checked configuration) and logs what would need a restart. */
void xt_ctl_reload(struct xt_ctl *c, const struct xt_config *fresh);

/* Group name to id. Returns 0, or -ENOENT with words in `err`; "" gives (gid_t)-1. Not thread-safe. */
int xt_ctl_find_group(const char *name, gid_t *out, char *err, size_t errlen);

/* Makes the control socket: directories 0755, the socket 0666 (who may do what is decided for each request). A leftover socket is
 * replaced: the caller has made sure that nobody serves it. Returns the descriptor or a negative errno with words in `err`. */
int xt_ctl_listen(const char *path, char *err, size_t errlen);

/* Makes the directories above `path` that are missing, 0755. Returns 0 or a negative errno. */
int xt_ctl_make_parents(const char *path);

/* True when `fd` is the control socket of that path and the path still leads to it. */
bool xt_ctl_listens_at(int fd, const char *path);

#endif
