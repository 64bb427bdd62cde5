/* SPDX-License-Identifier: Apache-2.0
 * libxtcp: TCP sockets served by xtcpd over shared memory.
 *
 * A context is one attachment of this process to a daemon; most programs have one. A socket is a small non-negative number,
 * valid in every process of the family (this process and its forks). All functions are thread-safe unless they say
 * otherwise and return a negative errno on failure; none sets errno or raises a signal. Once the daemon has gone, calls on
 * sockets fail with -ECONNABORTED; see xtcp_alive(). accept says so once: then the listener is one that nobody connects to.
 * Blocking follows the socket's O_NONBLOCK flag (xtcp_set_nonblock) and MSG_DONTWAIT. A blocking call spins briefly, then
 * sleeps in the kernel; -EINTR when a signal handler ran, unless all handlers have SA_RESTART and there is no time-out.
 *
 * Every call on a socket gives -EBADF when this process does not hold `s`. Sizes are bytes. Addresses are struct sockaddr_in. What is
 * passed in is the caller's and may go when the call returns; strings that are returned live as long as the context. Descriptors that
 * are returned are the context's, not to be closed, unless it says otherwise. */
#ifndef XTCP_H
#define XTCP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sock_extended_err; /* linux/errqueue.h */
struct xtcp;              /* a context */
struct xtcp_waiter;       /* something to sleep on */

/* Attaches to the daemon at `path` (NULL: $XTCP_SOCKET, else /run/xtcp/xtcpd.sock).
 * -ENOENT, -ECONNREFUSED: no daemon; -EPROTONOSUPPORT: another ABI version (xtcp_strerror_attach() has the words);
 * -EACCES: not allowed; -EMFILE, -ENOMEM. */
int xtcp_attach(struct xtcp **out, const char *path);

/* Text of the last failed xtcp_attach() of this thread, one line, never NULL; valid until that thread's next one. */
const char *xtcp_strerror_attach(void);

/* Closes every socket of this process and the context, which is freed: no other thread may be using it, and waiters, whichever are
 * left, are gone with it. */
void xtcp_detach(struct xtcp *x);

/* False once the daemon has gone or has dropped this client: all its sockets are then dead. */
bool xtcp_alive(const struct xtcp *x);

/* Looks whether the daemon is still there: for when xtcp_control_fd() has reported something. Then as xtcp_alive(). */
bool xtcp_check(struct xtcp *x);

/* Control descriptor: reports POLLHUP when the daemon goes. For poll sets only. */
int xtcp_control_fd(const struct xtcp *x);

/* The daemon's own IPv4 address. */
void xtcp_own_addr(const struct xtcp *x, struct sockaddr_in *out);

/* Bytes of address space that the attachment takes. */
size_t xtcp_footprint(const struct xtcp *x);

/* The network interface that its sockets use. */
const char *xtcp_interface(const struct xtcp *x);

/* Which sockets the daemon's configuration would have programs put on xtcp (proto/xt_rules.h). */
const char *xtcp_rules(const struct xtcp *x);

/* How many data-plane threads the daemon has, and which of them serves this context. One more context, served by another one, where
 * a listener may have the port of one in this context: -EINVAL (no such thread) or as xtcp_attach(). */
uint32_t xtcp_shards(const struct xtcp *x, uint32_t *shard);
int xtcp_attach_beside(struct xtcp *x, uint32_t shard, struct xtcp **out);
/* Does a process beside this one hold the socket, or may one come to (by an exported descriptor)? */
bool xtcp_is_shared(const struct xtcp *x, int s);

/* A new stream socket, or -ENOBUFS, -EMFILE. */
int xtcp_socket(struct xtcp *x);

/* IPv4 addresses only (or IPv4-mapped IPv6): else -EAFNOSUPPORT. As bind(2), listen(2), connect(2), accept4(2). `flags` of
 * accept: SOCK_NONBLOCK, MSG_DONTWAIT. accept returns the new socket; *alen is in and out as with accept(2). */
int xtcp_bind(struct xtcp *x, int s, const struct sockaddr *addr, socklen_t alen);
/* Returns when xtcpd has let go of what nobody holds any more: 0 or a negative errno. Bind and listen do so themselves before they answer
 * EADDRINUSE. */
int xtcp_settle(struct xtcp *x);
int xtcp_listen(struct xtcp *x, int s, int backlog);
int xtcp_connect(struct xtcp *x, int s, const struct sockaddr *addr, socklen_t alen);
/* A new non-blocking socket that connects, by one command: *s is the socket, -EINPROGRESS the answer of a connect under way. When
 * connect refuses, *s is a socket all the same; it is not touched when there is none (as xtcp_socket()). To an end point that this
 * process has reached before it does not wait for xtcpd: what connect would refuse is then an error of the socket (SO_ERROR). */
int xtcp_open(struct xtcp *x, const struct sockaddr *addr, socklen_t alen, int *s);
int xtcp_accept(struct xtcp *x, int s, struct sockaddr *addr, socklen_t *alen, int flags);

/* As sendmsg(2) and recvmsg(2) for a stream: return how many bytes, which may be fewer than asked for. `n` is the number of pieces.
 * Threads may use one socket at the same time; a call's bytes stay together only if it is not cut short. Flags of send:
 * MSG_DONTWAIT, MSG_MORE, MSG_OOB, MSG_ZEROCOPY, MSG_NOSIGNAL (implied); of receive: MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL,
 * MSG_TRUNC, MSG_OOB. -EPIPE after shutdown or close by the peer, -ECONNRESET, -ETIMEDOUT, -EAGAIN. 0 from receive is end of file. */
ssize_t xtcp_sendv(struct xtcp *x, int s, const struct iovec *iov, int n, int flags);
ssize_t xtcp_recvv(struct xtcp *x, int s, const struct iovec *iov, int n, int flags);
ssize_t xtcp_send(struct xtcp *x, int s, const void *buf, size_t len, int flags);
ssize_t xtcp_recv(struct xtcp *x, int s, void *buf, size_t len, int flags);

/* Takes the oldest entry of the socket's error queue (MSG_ERRQUEUE), as recvmsg(2) gives it: what sends with MSG_ZEROCOPY are over.
 * xtcp_recv() with MSG_ERRQUEUE takes it too, and returns 0. -EAGAIN: there is none. `out` may be NULL. */
int xtcp_errqueue(struct xtcp *x, int s, struct sock_extended_err *out);

/* As sendmsg(2) with a destination: with MSG_FASTOPEN (RFC 7413) it connects, with data in the SYN when the peer's cookie is known.
 * Errors of connect besides; -EINPROGRESS: nothing was sent, the connect is under way; -EISCONN; -EALREADY; -EOPNOTSUPP where the
 * daemon has Fast Open switched off. Without MSG_FASTOPEN the address is not looked at. */
ssize_t xtcp_sendto(struct xtcp *x, int s, const struct iovec *iov, int n, int flags, const struct sockaddr *addr,
                    socklen_t alen);

/* Zero copy. reserve: up to two pieces of free send ring, returns bytes (0: full); commit sends the first `n` of them.
 * peek: up to two pieces of unread data, returns bytes (0: none now; -ESHUTDOWN: end of file); consume gives the first `n`
 * back. Never block. The pieces are the ring itself, and not to be touched any more after commit or consume. A second piece that is
 * not needed has length 0; where 0 is returned there are none, and `iov` is not written. Errors as of send and receive; -EINVAL: `n`
 * is more than there is.
 * One thread for each direction of a socket; where others may use the socket too, or export it, the calls are put between hold_ring
 * and release_ring, with nothing else on the socket in between: 0, -EREMOTE (relayed), -EAGAIN (this very thread has it),
 * -ECONNABORTED. */
int xtcp_hold_ring(struct xtcp *x, int s, bool tx);
void xtcp_release_ring(struct xtcp *x, int s, bool tx);
ssize_t xtcp_reserve(struct xtcp *x, int s, struct iovec iov[2]);
int xtcp_commit(struct xtcp *x, int s, size_t n);
ssize_t xtcp_peek(struct xtcp *x, int s, struct iovec iov[2]);
int xtcp_consume(struct xtcp *x, int s, size_t n);

int xtcp_shutdown(struct xtcp *x, int s, int how);

/* This process's hold on the socket ends. The connection is closed when no process holds it: queued data is still sent. */
int xtcp_close(struct xtcp *x, int s);

/* SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP options with Linux's meaning and values; -ENOPROTOOPT for what is not known. */
int xtcp_setsockopt(struct xtcp *x, int s, int level, int name, const void *val, socklen_t len);
int xtcp_getsockopt(struct xtcp *x, int s, int level, int name, void *val, socklen_t *len);
int xtcp_getsockname(struct xtcp *x, int s, struct sockaddr *addr, socklen_t *alen);
int xtcp_getpeername(struct xtcp *x, int s, struct sockaddr *addr, socklen_t *alen);

/* O_NONBLOCK of the open description, shared by all processes that hold the socket. */
int xtcp_set_nonblock(struct xtcp *x, int s, bool on);
bool xtcp_get_nonblock(struct xtcp *x, int s);

/* O_ASYNC, likewise, as a flag only. The signals come from a descriptor of this process that has something to read at each news of
 * the socket (at each arrival of urgent data): for fcntl() with O_ASYNC, F_SETOWN, F_SETSIG. It lives until the last close of the
 * socket here. -ENOENT: none, and `make` is false; -ENOBUFS. */
int xtcp_set_async(struct xtcp *x, int s, bool on);
bool xtcp_get_async(struct xtcp *x, int s);
int xtcp_async_fd(struct xtcp *x, int s, bool urgent, bool make);

/* Unread bytes (FIONREAD) and bytes not yet acknowledged (SIOCOUTQ), or a negative errno. */
int xtcp_inq(struct xtcp *x, int s);
int xtcp_outq(struct xtcp *x, int s);
/* What recvmsg(2) tells with TCP_INQ set: unread bytes, one more when there is an end of file to be read. -ENOENT: it is not set. */
int xtcp_inq_hint(struct xtcp *x, int s);
/* What recvmsg(2) tells with SO_TIMESTAMP or SO_TIMESTAMPNS set: seconds, and micro- or nanoseconds, when the last byte came that was
 * read, or the last of `peeked` after it. Returns the type of the control message; -ENOENT: nothing is told. */
int xtcp_stamp(struct xtcp *x, int s, size_t peeked, int64_t out[2]);
/* SIOCATMARK: the urgent byte is what would be read next. */
bool xtcp_at_mark(struct xtcp *x, int s);

/* POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR | POLLPRI | POLLRDNORM | POLLWRNORM as true at this moment, as Linux
 * reports them for TCP. When POLLOUT is not among them, the wake-up for free space has been asked for. */
unsigned xtcp_mask(struct xtcp *x, int s);

/* Nothing but this is in the mask of a socket that was exported and is relayed now. */
#define XTCP_MOVED 0x10000u

/* A kernel descriptor (an AF_UNIX stream, close-on-exec, blocking as the socket is) that stands for the socket in programs
 * that know nothing of xtcp; it holds the socket as this process does. Bytes are relayed between the two at once (`now`), or
 * from when somebody writes to the descriptor, or when no process of the family holds the socket any more. From then on send,
 * receive and accept fail with -EREMOTE here: the descriptor, which another call gives again, is the way. The caller closes it.
 * `beside` (-1: none) is a descriptor of the program's that goes with a listener, for who joins it. -ENOBUFS: too many. */
int xtcp_export(struct xtcp *x, int s, bool now, int beside);

/* For a program that was given such a descriptor: has the bytes relayed from now on. `path` as for xtcp_attach(), but no context is
 * needed. 0, -ENOENT (it is not one, or no daemon is there) or another errno of the connection. */
int xtcp_claim(const char *path, int fd);

/* For a program of the same user as the family that exported the socket: joins that family and holds the socket itself, on the
 * fast path. `*x` is NULL, and then the new context, or a context that has joined the same family. Returns the socket,
 * -ENOENT (not an exported end, or no daemon), -EREMOTE (it is relayed already: xtcp_claim), -EPERM (another user), -EXDEV
 * (another family) or as xtcp_attach(). `*beside` is the descriptor that went with it, or -1. */
int xtcp_join(struct xtcp **x, const char *path, int fd, int *beside);

/* ---- sleeping ----
 * A waiter collects news of the sockets it is subscribed to. The pattern:
 *     xtcp_waiter_sub(w, s);  look at xtcp_mask(s);
 *     while nothing is ready: if (!xtcp_waiter_prepare(w)) poll on xtcp_waiter_fd(w) and what else there is;
 *                             xtcp_waiter_done(w);  xtcp_waiter_take(w, ...);  look again.
 * News comes for every arrival (so edge triggering can be built on it) and may come in vain. One thread at a time may use a
 * waiter. Who made it frees it. */
int xtcp_waiter_new(struct xtcp *x, struct xtcp_waiter **out); /* -ENOBUFS: too many */
void xtcp_waiter_free(struct xtcp_waiter *w);
int xtcp_waiter_fd(const struct xtcp_waiter *w); /* for poll sets only: readable after a wake-up until _done() */
void xtcp_waiter_sub(struct xtcp_waiter *w, int s);
void xtcp_waiter_unsub(struct xtcp_waiter *w, int s);
/* A listener that it is subscribed to: of the waiters that say so, a connection wakes one (it may wake more). Who takes it back, or
 * unsubscribes, after being woken for a connection that it has not accepted leaves that to the next one. */
void xtcp_waiter_exclusive(struct xtcp_waiter *w, int s, bool on);
bool xtcp_waiter_pending(const struct xtcp_waiter *w); /* news waits to be taken: one load */
bool xtcp_waiter_prepare(struct xtcp_waiter *w);       /* true: do not sleep, there is news */
void xtcp_waiter_done(struct xtcp_waiter *w);          /* after the sleep; drains the eventfd if it was written */
/* Calls fn(arg, socket) for each socket that has news, which are then forgotten. Returns for how many. */
unsigned xtcp_waiter_take(struct xtcp_waiter *w, void (*fn)(void *arg, uint32_t s), void *arg);
/* Spins for at most the configured time; true when news came. Gives way when spinning has not paid lately. */
bool xtcp_waiter_spin(struct xtcp_waiter *w);

/* What processes of a family need to use one waiter together. Who has made it shares it under a name; the others look at it by a view,
 * which is used as a waiter, but for its descriptor: there is none. `lives`: it is still the one of that name. `forget`: the end of a
 * view, or, in the child of a fork, of what was its parent's waiter or view. */
struct xtcp_waiter_name {
    uint32_t number, proc, pid;
};
bool xtcp_can_share(const struct xtcp *x);
void xtcp_waiter_share(struct xtcp_waiter *w, struct xtcp_waiter_name *out);
bool xtcp_waiter_lives(const struct xtcp *x, const struct xtcp_waiter_name *name);
int xtcp_waiter_view(struct xtcp *x, const struct xtcp_waiter_name *name, struct xtcp_waiter **out); /* -ENOBUFS */
void xtcp_waiter_forget(struct xtcp_waiter *w);

/* Tells the sockets apart that have a number one after the other; and xtcp_mask() of a socket that any process of the family holds,
 * XTCP_GONE when none does any more. */
#define XTCP_GONE 0x20000u
uint32_t xtcp_gen(const struct xtcp *x, int s);
unsigned xtcp_mask_of(struct xtcp *x, int s, uint32_t gen);
/* A number that changes with whatever makes an edge, or nearly: with `space`, any acknowledged byte does. What a process was told of
 * before it took the number need not be told again to another that finds the same one. */
uint64_t xtcp_history(const struct xtcp *x, int s, bool space);

/* Whether a call that a signal has interrupted is to go on: every handler of this process wants that (SA_RESTART). */
bool xtcp_restarts(void);

/* To be told before this thread leaves a signal handler by a jump (longjmp), as that may end a call on a socket half-way. And how
 * often it was told. */
void xtcp_jumped(void);
uint32_t xtcp_jumps(void);

/* ---- fork ----
 * Call _prepare before fork(), then _parent or _child after it. The child becomes a process of the family that holds every socket
 * its parent held. _prepare fails with -ENOBUFS (too many processes) or -ECONNABORTED; fork may go on without: the child then
 * has no sockets. */
int xtcp_fork_prepare(struct xtcp *x);
void xtcp_fork_parent(struct xtcp *x);
void xtcp_fork_child(struct xtcp *x);

#ifdef __cplusplus
}
#endif
#endif
