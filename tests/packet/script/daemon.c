/* SPDX-License-Identifier: Apache-2.0
 * Scripts against the whole daemon: a fresh xtcpd for each, on a veth whose other end is the scripted peer. Real time, so what is
 * expected may come a little late; a ping tells when the daemon has seen all that was sent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/xtcp.h"
#include "tests/packet/script/live.h"

struct daemon {
    struct pkt_live live; /* first */
    struct xtcp *x;
    pid_t pid;
    int log; /* the daemon's standard error */
    char path[64];
};

static struct pkt_wire wire; /* of the one veth that all scripts use in turn */

static bool prepare(void)
{
    struct xt_netpair np;
    const char *why = pkt_live_net(&np, &wire);
    if (why)
        printf("skipped: %s\n", why);
    return !why;
}

static void exec_daemon(const struct pkt_run *r, const struct daemon *d, int log)
{
    const char *program = getenv("XTCPD");
    char flags[PKT_SETTINGS][40];
    const char *argv[13 + 2 * PKT_SETTINGS] = {program ? program : "xtcpd",
                                               "--no-keeper",
                                               "--config",
                                               "/dev/null",
                                               "--interface",
                                               XT_NETPAIR_OWN,
                                               "--address",
                                               "10.99.0.1/24",
                                               "--socket",
                                               d->path,
                                               "--mtu",
                                               "1500"};
    int n = 12;
    for (int i = 0; i < r->s->nsettings; i++) {
        snprintf(flags[i], sizeof flags[i], "--%s", r->s->settings[i][0]);
        argv[n++] = flags[i];
        argv[n++] = r->s->settings[i][1];
    }
    argv[n] = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDERR_FILENO);
    execvp(argv[0], (char *const *)argv);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Until the daemon's log says that it serves. */
static bool wait_serving(struct pkt_run *r, struct daemon *d)
{
    char text[4096];
    size_t n = 0;
    uint64_t deadline = pkt_wire_now() + 5 * PKT_PATIENCE_US;
    while (n < sizeof text - 1 && pkt_wire_now() < deadline) {
        struct pollfd pfd = {.fd = d->log, .events = POLLIN};
        poll(&pfd, 1, 100);
        ssize_t got = pfd.revents ? read(d->log, text + n, sizeof text - 1 - n) : 0;
        if (pfd.revents && got <= 0)
            break;
        n += (size_t)got;
        text[n] = 0;
        if (strstr(text, "serving on"))
            return true;
    }
    text[n] = 0;
    snprintf(r->why, sizeof r->why, "xtcpd does not start: %.300s", text);
    return false;
}

static void stop(struct pkt_run *r)
{
    struct daemon *d = r->impl;
    char text[2048];
    if (d->x)
        xtcp_detach(d->x);
    kill(d->pid, SIGTERM);
    waitpid(d->pid, NULL, 0);
    fcntl(d->log, F_SETFL, O_NONBLOCK);
    for (ssize_t n; r->failed && (n = read(d->log, text, sizeof text)) > 0;)
        printf("    xtcpd: %.*s", (int)n, text);
    close(d->log);
    unlink(d->path);
    snprintf(text, sizeof text, "%s.lock", d->path);
    unlink(text);
    pkt_live_end(&d->live);
    free(d);
}

static bool start(struct pkt_run *r)
{
    struct daemon *d = calloc(1, sizeof *d);
    int log[2];
    if (!d || pipe2(log, O_CLOEXEC) != 0)
        abort();
    r->impl = d;
    d->live.sock = (struct pkt_sock){.ops = &pkt_sock_xtcp, .listener = -1, .conn = -1};
    d->log = log[0];
    snprintf(d->path, sizeof d->path, "/tmp/xt-packet-%d.sock", (int)getpid());
    d->pid = fork();
    if (d->pid == 0)
        exec_daemon(r, d, log[1]);
    close(log[1]);
    bool ok = wait_serving(r, d);
    if (ok && (xtcp_attach(&d->x, d->path) != 0 || !pkt_live_begin(&d->live, &wire))) {
        snprintf(r->why, sizeof r->why, "xtcpd does not answer: %s", xtcp_strerror_attach());
        ok = false;
    }
    d->live.sock.x = d->x;
    if (!ok)
        stop(r);
    return ok;
}

const struct pkt_backend pkt_daemon = {
    .name = "daemon",
    .sockets = true,
    .prepare = prepare,
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
