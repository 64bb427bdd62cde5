/* SPDX-License-Identifier: Apache-2.0
 * Control messages: one msgpack map in one datagram (see xt_ctl.h). Nothing here allocates or keeps state, so it may be used in
 * a process's earliest and latest moments. Thread-safe as far as the objects are the caller's own.
 *
 * Reading takes flat maps only (string keys; values nil, boolean, integer, double, string, binary): that is all a request or a
 * reply to an attaching client holds, and it bounds the work that a hostile sender can cause. Nested replies for
 * administration are read with msgpack-c itself, by a tool that trusts the daemon. */
#ifndef XT_MSG_H
#define XT_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define XT_MSG_KEYS 32   /* pairs in a flat map that is read */
#define XT_MSG_DEPTH 8   /* of containers in a map that is written */
#define XT_MSG_FDS_MAX 8 /* descriptors that one datagram carries */

/* ---- reading ---- */

enum xt_val_type { XT_VAL_NIL, XT_VAL_BOOL, XT_VAL_UINT, XT_VAL_INT, XT_VAL_DOUBLE, XT_VAL_STR, XT_VAL_BIN };

/* XT_VAL_INT is negative: everything from zero up is XT_VAL_UINT. Strings point into the message, without a NUL. */
struct xt_val {
    enum xt_val_type type;
    uint32_t len;
    union {
        bool b;
        uint64_t u;
        int64_t i;
        double d;
        const char *s;
    };
};

struct xt_msg_in {
    unsigned n;
    struct {
        struct xt_val key, val;
    } pair[XT_MSG_KEYS];
};

/* Reads a whole datagram; `m` points into `buf` afterwards. Returns 0, or -EBADMSG for anything but one flat map. */
int xt_msg_parse(struct xt_msg_in *m, const void *buf, size_t len);

/* The first value with that key, or NULL. */
const struct xt_val *xt_msg_find(const struct xt_msg_in *m, const char *key);

/* Each returns 0, -ENOENT (no such key) or -EBADMSG (another type; too long or with a NUL inside). `*out` is only written on 0. */
int xt_msg_get_uint(const struct xt_msg_in *m, const char *key, uint64_t *out);
int xt_msg_get_bool(const struct xt_msg_in *m, const char *key, bool *out);
int xt_msg_get_str(const struct xt_msg_in *m, const char *key, char *out, size_t size); /* NUL-terminated copy */

/* True when the key's value is the string `text`. */
bool xt_msg_is(const struct xt_msg_in *m, const char *key, const char *text);

/* ---- writing ---- */

/* A message under construction in the caller's buffer. What does not fit sets `full`; the rest is then ignored and
 * xt_msg_end() says so. Containers count their members themselves. */
struct xt_msg_out {
    uint8_t *buf;
    size_t size, len;
    bool full;
    unsigned depth;
    struct {
        size_t at; /* of the container's header */
        uint16_t n;
    } open[XT_MSG_DEPTH];
};

/* Starts a message: opens the outermost map. */
void xt_msg_begin(struct xt_msg_out *o, void *buf, size_t size);

/* One member: with its key in a map, with key NULL in an array. Strings must be valid; a NULL string is written as nil. */
void xt_msg_uint(struct xt_msg_out *o, const char *key, uint64_t v);
void xt_msg_int(struct xt_msg_out *o, const char *key, int64_t v);
void xt_msg_bool(struct xt_msg_out *o, const char *key, bool v);
void xt_msg_str(struct xt_msg_out *o, const char *key, const char *s);
void xt_msg_bin(struct xt_msg_out *o, const char *key, const void *p, size_t len);

/* Containers as members; each is closed by xt_msg_close(). */
void xt_msg_map(struct xt_msg_out *o, const char *key);
void xt_msg_array(struct xt_msg_out *o, const char *key);
void xt_msg_close(struct xt_msg_out *o);

/* Closes what is open. Returns the message's length, or -EMSGSIZE. */
ssize_t xt_msg_end(struct xt_msg_out *o);

/* ---- moving ---- */

/* Who sent a datagram (SCM_CREDENTIALS, when SO_PASSCRED is set on the socket) and what came with it. */
struct xt_msg_anc {
    int fd[XT_MSG_FDS_MAX]; /* owned by the receiver, close-on-exec */
    unsigned nfds;
    bool cut; /* there were some, but this process has no room for them */
    bool has_cred;
    pid_t pid;
    uid_t uid;
};

/* One datagram with `nfds` (at most XT_MSG_FDS_MAX) descriptors; restarts after EINTR, never raises SIGPIPE. `flags` as of sendmsg().
 * Returns 0 or a negative errno of sendmsg(); -EINVAL for too many descriptors. */
int xt_msg_send(int sock, const void *buf, size_t len, const int *fds, unsigned nfds, int flags);

/* One datagram. Returns its length, 0 at end of file, or a negative errno of recvmsg(); -EMSGSIZE when it was truncated, or carried
 * too many descriptors (those that came are closed). One whose descriptors did not all fit into this process comes without them, and
 * `anc->cut` says so. */
ssize_t xt_msg_recv(int sock, void *buf, size_t size, struct xt_msg_anc *anc, int flags);

/* Closes the descriptors in `anc` that nobody has taken (entries set to -1 are skipped). */
void xt_msg_anc_close(struct xt_msg_anc *anc);

/* The same two for who must not wait: the close of a descriptor may take as long as its owner likes. They are given to drop(). */
typedef void xt_msg_drop(void *arg, int fd);
ssize_t xt_msg_recv_drop(int sock, void *buf, size_t size, struct xt_msg_anc *anc, int flags, xt_msg_drop *drop,
                         void *arg);
void xt_msg_anc_drop(struct xt_msg_anc *anc, xt_msg_drop *drop, void *arg);
/* Bytes of a stream, to where `h` says; descriptors that come along are dropped. Returns how many, which the kernel has written to
 * h->msg_len, 0 at end of file, or a negative errno. */
struct mmsghdr;
ssize_t xt_msg_recv_bytes(int sock, struct mmsghdr *h, int flags, xt_msg_drop *drop, void *arg);

#endif
