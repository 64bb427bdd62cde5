/* SPDX-License-Identifier: Apache-2.0
 * Scripts against the kernel's TCP, as a second opinion: a fresh pair of namespaces for each, the calls made from within one, the
 * scripted peer at the other end of the veth. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/packet/script/kernel_setup.h"
#include "tests/packet/script/live.h"

struct kernel {
    struct pkt_live live; /* first */
    struct pkt_wire wire;
    struct xt_netpair net;
    struct kernel_setup setup;
    struct pkt_sock_ops ops;
};

/* What has no sysctl is each socket's own. */
static int set_up(void *x, int fd)
{
    const struct kernel_setup *k = x;
    const int off = 0;
    if (fd >= 0 && k->congestion[0] &&
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, k->congestion, (socklen_t)strlen(k->congestion)) != 0)
        perror(k->congestion);
    if (fd >= 0 && k->no_quickack && setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off) != 0)
        perror("TCP_QUICKACK");
    return fd;
}

static int new_socket(void *x)
{
    return set_up(x, pkt_sock_kernel.socket(x));
}

static int accept_one(void *x, int s, struct sockaddr *addr, socklen_t *len, int flags)
{
    return set_up(x, pkt_sock_kernel.accept(x, s, addr, len, flags));
}

static void stop(struct pkt_run *r)
{
    struct kernel *k = r->impl;
    const int fds[] = {k->live.sock.conn, k->live.sock.listener, k->wire.fd, k->net.own, k->net.peer};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pkt_live_end(&k->live);
    free(k);
}

static bool start(struct pkt_run *r)
{
    struct kernel *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    r->impl = k;
    k->ops = pkt_sock_kernel;
    k->ops.socket = new_socket;
    k->ops.accept = accept_one;
    k->live.sock = (struct pkt_sock){.ops = &k->ops, .x = &k->setup, .listener = -1, .conn = -1};
    k->wire.fd = k->net.own = k->net.peer = -1;
    const char *why = pkt_live_net(&k->net, &k->wire);
    if (!why)
        why = kernel_setup_apply(&k->setup, r->s);
    if (!why && !pkt_live_begin(&k->live, &k->wire))
        why = "the kernel does not answer";
    if (why) {
        snprintf(r->why, sizeof r->why, "%s", why);
        stop(r);
    }
    return !why;
}

static const char *unfit(const struct pkt_script *s)
{
    static char why[100];
    const char *lacks = kernel_setup_lacks(s), *all = getenv("XT_PKT_DIFFERS");
    if (!lacks)
        return s->differs[0] && !(all && strcmp(all, "1") == 0) ? s->differs : NULL;
    snprintf(why, sizeof why, "the kernel has no setting for %s", lacks);
    return why;
}

/* The namespaces are each script's own; this is only to see whether they can be made. */
static bool prepare(void)
{
    struct xt_netpair np;
    struct pkt_wire wire;
    const char *why = pkt_live_net(&np, &wire);
    if (why)
        printf("skipped: %s\n", why);
    return !why;
}

const struct pkt_backend pkt_kernel = {
    .name = "kernel",
    .sockets = true,
    .prepare = prepare,
    .unfit = unfit,
    .start = start,
    .stop = stop,
    .advance = pkt_live_advance,
    .next = pkt_live_next,
    .settle = pkt_live_settle,
    .inject = pkt_live_inject,
    .icmp = pkt_live_icmp,
    .call = pkt_live_call,
    .state = pkt_live_state,
    .early = 25000,
    .late = 150000,
    .late_permille = 40,
};
