/* SPDX-License-Identifier: Apache-2.0
 * The socket calls of scripts, through whichever socket layer. */
#ifndef PKT_SOCK_CALLS_H
#define PKT_SOCK_CALLS_H

#include <sys/socket.h>
#include <sys/types.h>

#include "tests/packet/script/run.h"

/* As in libxtcp (xtcp.h): errors are negative errno. The first argument is pkt_sock's x. */
struct pkt_sock_ops {
    int (*socket)(void *x);
    int (*bind)(void *x, int s, const struct sockaddr *addr, socklen_t len);
    int (*listen)(void *x, int s, int backlog);
    int (*connect)(void *x, int s, const struct sockaddr *addr, socklen_t len);
    int (*accept)(void *x, int s, struct sockaddr *addr, socklen_t *len, int flags);
    ssize_t (*send)(void *x, int s, const void *buf, size_t len, int flags);
    ssize_t (*sendto)(void *x, int s, const void *buf, size_t len, int flags, const struct sockaddr *addr,
                      socklen_t alen);
    ssize_t (*recv)(void *x, int s, void *buf, size_t len, int flags);
    int (*shutdown)(void *x, int s, int how);
    int (*close)(void *x, int s);
    int (*setsockopt)(void *x, int s, int level, int name, const void *val, socklen_t len);
    int (*getsockopt)(void *x, int s, int level, int name, void *val, socklen_t *len);
    int (*set_nonblock)(void *x, int s, bool on);
    int (*inq)(void *x, int s);
    int (*outq)(void *x, int s);
};

extern const struct pkt_sock_ops pkt_sock_xtcp, pkt_sock_kernel;

struct pkt_sock {
    const struct pkt_sock_ops *ops;
    void *x;
    int listener, conn; /* -1: none */
};

/* Once, without waiting. */
long pkt_sock_call(struct pkt_run *r, struct pkt_sock *s, const struct pkt_event *e);

/* May the call be made again when it did not return what was wanted? Only when it changed nothing. */
bool pkt_sock_may_repeat(const struct pkt_event *e, long result);

/* A figure of struct tcp_info by its name there, cut to 31 bits; -ENOENT: there is none such. */
long pkt_sock_info(struct pkt_sock *s, const char *name);

/* Name of the connection's state by TCP_INFO; NULL without a socket. */
const char *pkt_sock_state(struct pkt_sock *s);

#endif
