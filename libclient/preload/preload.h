/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files of libxtcp-preload.so, which gives unmodified programs xtcp's sockets in place of the kernel's.
 *
 * socket() makes a kernel socket ("undecided"). At bind, connect or listen the rules decide: either it stays a kernel
 * socket for ever, or an xtcp socket takes its options and its descriptor number, which from then on is a placeholder: a
 * copy of one AF_UNIX stream end that is shut down both ways, so that a write that is not interposed fails with EPIPE
 * instead of vanishing. A socket bound to the wildcard address is both: see both.h. A descriptor that leaves this library's care (exec, spawn, SCM_RIGHTS, the standard descriptors, on
 * which libc's stdio works unseen) becomes an exported end instead, which any program can use: see inherit.c.
 *
 * Environment: XTCP_SOCKET (the daemon's control socket), XTCP_FALLBACK=kernel (without a daemon use the kernel's TCP and say
 * nothing), XTCP_RULES (which sockets are whose: proto/xt_rules.h), XTCP_LOG=debug (each decision on stderr). The exec family hands these and LD_PRELOAD on, and XTCP_FDS (where the next program looks for what it inherits). */
#ifndef XP_PRELOAD_H
#define XP_PRELOAD_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "libclient/preload/addr.h"
#include "libclient/preload/bare.h"
#include "libclient/preload/kept.h"
#include "libclient/preload/real.h"
#include "libclient/preload/spread.h"
#include "libclient/preload/table.h"
#include "libclient/xtcp.h"

#define XP_EXPORT __attribute__((visibility("default")))
#define XP_TLS __thread __attribute__((tls_model("initial-exec")))

/* The interposed functions under a name that only this library has: its files call them so, as the plain names are bound
 * to the real functions for libxtcp's sake (see wrap.c). XP_ALIAS follows the definition. */
/* clang-format off */
#define XP_CALL_LIST(X) \
    X(close) X(read) X(write) X(readv) X(writev) X(recv) X(recvfrom) X(sendto) X(recvmsg) X(sendmsg) X(accept4) \
    X(connect) X(bind) X(listen) X(shutdown) X(getsockopt) X(setsockopt) X(getsockname) X(getpeername) X(dup) \
    X(dup2) X(dup3) X(fcntl) X(ioctl) X(poll) X(ppoll) X(select) X(pselect) X(close_range) X(send) X(sendmmsg) \
    X(recvmmsg) X(preadv2) X(pwritev2) X(accept) X(socket) X(sendfile) X(splice) X(epoll_create1) X(epoll_ctl) \
    X(epoll_pwait) X(epoll_pwait2)
/* clang-format on */
#define X(name) extern __typeof__(name) xp_call_##name;
XP_CALL_LIST(X)
#undef X
#define XP_ALIAS(name) extern __typeof__(name) xp_call_##name __attribute__((alias(#name)))

/* Turns a negative errno into -1 and errno. */
static inline long xp_ret(long r)
{
    if (r < 0) {
        errno = (int)-r;
        return -1;
    }
    return r;
}

/* To the end of the block this thread cannot be cancelled. What is a cancellation point in Linux is one here, but only where it begins
 * and where it sleeps: never by what it calls with locks held, or half-way. */
#define XP_NO_CANCEL() int xp_cancel_state __attribute__((unused, cleanup(xp_cancel_again))) = xp_no_cancel()
static inline int xp_no_cancel(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}
static inline void xp_cancel_again(const int *before)
{
    pthread_setcancelstate(*before, NULL);
}

/* ---- ctx.c: attachment, fork, log ---- */

extern struct xtcp *xp_ctxs[XP_CTXS];
/* Set in a child that is not a process of the family (vfork, or a fork the daemon refused): descriptors are then what the
 * kernel says they are, and nothing that this process does touches the parent's sockets. */
extern bool xp_bystander;
extern unsigned xp_fork_gen; /* counts forks on the way from the first process to this one */

/* The context to make new sockets in, attaching when need be; -ENETDOWN after a line on stderr, -EAGAIN when the program shall
 * have the kernel's socket instead, or -ENOMEM, -ENOBUFS, -EMFILE, -ENFILE. */
int xp_attach(void);
/* The same without a word when there is no daemon. */
void xp_attach_quietly(void);
/* The context beside `ctx` that is served by that shard, attached when there is none. -errno. */
int xp_attach_beside(unsigned ctx, uint32_t shard);
/* Joins the family of an inherited end: the word of its socket here, or 0. */
uint64_t xp_join(int fd);
/* Debug line on stderr when XTCP_LOG=debug. Keeps errno. */
void xp_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Moves a descriptor of the library's own out of the program's way and marks it; returns its new number (or the old). */
int xp_make_own(int fd);
/* Closes one of the library's own. */
void xp_disown(int fd);
/* Replaces `fd` by a placeholder, or makes one at the lowest free number (fd -1). Returns the descriptor or -errno. */
int xp_placeholder(int fd, bool cloexec);
/* What fork() does around the system call, for forks that do not go through libc. */
void xp_fork_prepare(void);
void xp_fork_parent(void);
void xp_fork_child(void);
void xp_stand_by(void); /* becomes a bystander */
/* A lock that fork() knows, for what is seldom done. */
void xp_ctx_lock(void);
void xp_ctx_unlock(void);
void xp_sigpipe(void);

/* ---- guard.c: the locks that close() may need, from signal handlers too ---- */

#define XP_LOCK_INIT PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP
void xp_lock(pthread_mutex_t *lock);
void xp_unlock(pthread_mutex_t *lock);
/* Whether this thread has it, or is about to take it. */
bool xp_holds(const pthread_mutex_t *lock);
/* In the child of a fork, whose thread is another than the one that has locked. */
void xp_unlock_child(pthread_mutex_t *lock);
/* True when the caller is a signal handler that has interrupted this thread with a lock held: `fd` is closed when it has none. */
bool xp_close_later(int fd);

/* ---- exec.c ---- */

/* One of our variables: as the environment has it now, or, in a program that has cleaned that, had it at the start. NULL: empty
 * or not there. */
const char *xp_setting(const char *name);

/* ---- inherit.c: sockets over exec ---- */

/* What is to be done before the first use of a descriptor (XP_F_CLAIM): an inherited end is claimed, a kept number
 * given up, a kernel socket put beneath a bare one. */
void xp_claim(int fd);
/* All of them, or all that listen, while this process may still do so. */
void xp_claim_all(bool listeners);
/* The socket of word `w`, whose mask says XTCP_MOVED, is relayed from now on, or its kernel's half alone: all its descriptors in
 * this process become kernel descriptors. */
void xp_go_over(uint64_t w);
/* The same, if `w` is a connected socket that is not relayed yet: code that we do not see is about to use `fd`. */
void xp_expose(int fd);
/* Descriptors in a message that is sent: what is an xtcp socket becomes one that another program can use. And one received. */
void xp_before_send(const struct msghdr *msg);
void xp_after_receive(const struct msghdr *msg);
/* Before exec: what the new program inherits. Returns one more than the highest such descriptor above 2, or 0. */
int xp_before_exec(void);
/* End points of a relayed descriptor. -errno. */
int xp_relay_name(int fd, bool remote, struct sockaddr_in *out);

/* A relayed descriptor that libxtcp still knows. */
static inline bool xp_relay_known(uint64_t w)
{
    return xp_kind(w) == XP_RELAY && xp_ctxno(w) != XP_CTX_NONE && !xp_bystander;
}

/* The word of a descriptor that is about to be used. */
static inline uint64_t xp_look(int fd)
{
    uint64_t w = xp_get(fd);
    if (__builtin_expect((w & XP_F_CLAIM) != 0, 0)) {
        xp_claim(fd);
        w = xp_get(fd);
    }
    return w;
}

/* The same before a call on the kernel's descriptor, whose word says little. */
static inline void xp_settle(int fd)
{
    uint64_t w = xp_get(fd);
    if (xp_kind(w) == XP_KEPT || xp_is_bare(w))
        xp_claim(fd);
}

/* True when `fd` is an xtcp socket to be served here; *w is its word. */
static inline bool xp_is_xtcp(int fd, uint64_t *w)
{
    *w = xp_look(fd);
    return xp_kind(*w) == XP_XTCP && !xp_bystander;
}
static inline struct xtcp *xp_x(uint64_t w)
{
    return xp_ctxs[xp_ctxno(w)];
}
static inline int xp_sock(uint64_t w)
{
    return (int)xp_value(w);
}
/* What poll() says of an xtcp socket now. When xtcpd has gone, the kernel's half goes on alone. */
static inline unsigned xp_mask(uint64_t w)
{
    unsigned m = xp_flags(w) & XP_F_BOTH && !xtcp_alive(xp_x(w)) ? XTCP_MOVED : xtcp_mask(xp_x(w), xp_sock(w));
    return __builtin_expect(!xp_spreading || m == XTCP_MOVED, 1) ? m : m | xp_spread_mask(w);
}

/* ---- confine.c ---- */

/* This process is about to shut itself in: its connections become kernel descriptors. */
void xp_confined(void);

/* ---- sock.c ---- */

/* A kernel TCP socket that another process made, and that is not bound yet, is to be decided here. */
void xp_adopt(int fd);

/* ---- sockopt.c ---- */

/* What an undecided socket's word says of options set: those whose defaults do no harm when they are set, for a socket of which
 * nobody here knows what was set. */
uint32_t xp_plain_options(void);
/* Has SO_BINDTODEVICE named an interface that xtcp has not? The kernel takes what it is given by name or by number. */
bool xp_on_another_device(int fd, uint64_t w, const struct xtcp *x);
/* Gives socket `s` of `x` the options that the undecided `fd` of word `w` was given. */
void xp_carry_options(int fd, uint64_t w, struct xtcp *x, int s);
/* Gives socket `t` of `y` what `s` of `x` has. */
void xp_copy_options(struct xtcp *x, int s, struct xtcp *y, int t);
/* Those of a relayed descriptor. -errno. */
int xp_relay_getsockopt(int fd, uint64_t w, int level, int name, void *val, socklen_t *len);
int xp_relay_setsockopt(int fd, uint64_t w, int level, int name, const void *val, socklen_t len);
/* getsockopt for struct timeval options, in ms; 0: none. */
int xp_timeo_ms(uint64_t w, int name);

/* ---- async.c: SIGIO and SIGURG ---- */

int xp_set_async(int fd, uint64_t w, bool on); /* -errno */
int xp_async_fcntl(int fd, uint64_t w, int cmd, void *arg);
int xp_async_ioctl(int fd, uint64_t w, unsigned long req, void *arg);
/* What kernel descriptor `from` had becomes `fd`'s. */
void xp_async_carry(int fd, uint64_t w, int from);
/* Kernel descriptor `fd` takes over from the xtcp socket of word `w`. */
void xp_async_leave(int fd, uint64_t w);

/* ---- accept.c ---- */

/* accept4() on a kernel socket. -errno. */
int xp_accept_kernel(int fd, struct sockaddr *addr, socklen_t *alen, int flags);

/* ---- fdops.c ---- */

/* The program's descriptor is gone or about to be: drops what the table knows, not the kernel's descriptor. */
void xp_release(int fd);
/* `nfd` is a new copy of `fd`. */
void xp_copied(int fd, int nfd);

/* ---- io.c: -errno, no SIGPIPE ---- */
ssize_t xp_recvv(uint64_t w, const struct iovec *iov, int n, int flags);
/* For a call that connects `fd` to `addr`: true when it is an xtcp socket, perhaps from now on; *w is then its word, *in the
 * address, *rc 0 or a negative errno. False: it is the kernel's. */
bool xp_to_connect(int fd, const struct sockaddr *addr, socklen_t len, uint64_t *w, struct sockaddr_in *in, int *rc);
ssize_t xp_sendv(uint64_t w, const struct iovec *iov, int n, int flags);

/* ---- poll.c ---- */

/* poll() over any mix; *timeout counts down; NULL: for ever. -errno. */
int xp_poll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
struct xp_set;
/* What is served here: an xtcp socket, or (*set) a set with some; *w is its word. */
bool xp_poll_ours(int fd, uint64_t *w, struct xp_set **set);
/* Sleeps until `events` are true of one descriptor: 0, -EAGAIN after timeout_ms (0: never), -EINTR. */
int xp_wait_fd(int fd, short events, int timeout_ms);

/* ---- epoll_life.c: what the rest tells the sets ---- */
extern bool xp_sets_are_shared; /* with other processes, who may have put any descriptor there */
static inline bool xp_in_set(uint64_t w)
{
    return xp_flags(w) & XP_F_INSET || xp_sets_are_shared;
}
/* A member is closed, or has become a kernel socket for ever. With copies of it left it stays in the sets, as in the kernel, until
 * xp_sets_gone() tells that the last is closed. */
void xp_sets_closed(int fd, bool copies);
void xp_sets_gone(uint64_t w);
void xp_sets_moved(int fd, uint64_t w);   /* an undecided member is about to become the xtcp socket of word w */
void xp_sets_relayed(int fd);             /* an xtcp member is the kernel's now */
void xp_sets_spread(uint64_t w);          /* a socket that may be in sets has got siblings */
void xp_sets_half(int fd, bool on);       /* the kernel's half of an xtcp member is to be watched too, or no more */
void xp_epoll_closed(int fd, uint64_t w); /* one descriptor of a set is about to be closed */
uint64_t xp_epoll_share(int fd);          /* the word for a copy of an epoll descriptor */
/* The set behind an epoll descriptor, if xtcp sockets are in it. For poll(): what is true of it; and around a sleep on its descriptor,
 * before the last look, that the thread does so. */
struct xp_set *xp_epoll_served(uint64_t w);
unsigned xp_epoll_mask(struct xp_set *s) __attribute__((nonnull));
void xp_epoll_hold(struct xp_set *s, bool on);
/* ---- epoll_pass.c: sets that reach other programs ---- */
/* Before exec, when the sockets are ready for it: a file for the next program that says what is in the sets it inherits, or -1.
 * And that program's view: the file, if it is one; an inherited socket has been claimed; the members of a set are to be. */
int xp_sets_before_exec(void);
void xp_sets_inherited(int file);
void xp_sets_claimed(int fd);
void xp_set_claim(int epfd);
/* A set is about to go in a message: its connections are the kernel's from now on. */
void xp_set_before_send(int epfd);

/* Around a fork. Before it, sets become shared with the child, when their sockets can be. */
void xp_sets_share(void);
void xp_sets_lock(void);
void xp_sets_unlock(void);
void xp_sets_unlock_child(void);

/* ---- time ---- */

static inline int64_t xp_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}
static inline bool xp_is_time(const struct timespec *ts)
{
    return ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < 1000000000;
}
/* The end of a time-out from now on, INT64_MAX for none; and the time left, as ppoll() wants it. */
static inline int64_t xp_deadline(const struct timespec *timeout)
{
    if (!timeout || timeout->tv_sec > 9000000000LL)
        return INT64_MAX;
    return xp_now_ns() + timeout->tv_sec * 1000000000LL + timeout->tv_nsec;
}
static inline const struct timespec *xp_left(int64_t deadline, struct timespec *ts)
{
    int64_t ns;
    if (deadline == INT64_MAX)
        return NULL;
    ns = deadline - xp_now_ns();
    if (ns < 0)
        ns = 0;
    *ts = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return ts;
}

#endif
