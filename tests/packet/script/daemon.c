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

#include "tests/lib/netpair.h"
#include "tests/packet/script/daemon_calls.h"
#include "tests/packet/script/queue.h"
#include "tests/packet/script/wirepeer.h"

#define PATIENCE_US 2000000 /* for things that take no time on an idle machine */
#define RETRY_US 1000
#define VETH_MTU 9000 /* the peer may send more than the 1500 that the daemon keeps to */

struct daemon {
    struct daemon_sock sock;
    struct pkt_wire *wire;
    struct pkt_queue sent;
    pid_t pid;
    int log; /* the daemon's standard error */
    uint64_t t0;
    bool unseen; /* the daemon may not have seen all that was injected */
    char path[64];
};

static struct pkt_wire wire; /* of the one veth that all scripts use in turn */

static bool prepare(void)
{
    struct xt_netpair np;
    char err[160];
    if (xt_netpair_make(&np, VETH_MTU, err, sizeof err) != 0) {
        printf("skipped: %s\n", err);
        return false;
    }
    /* Without offloads each end sees what a wire would carry. */
    if (system("ethtool -K " XT_NETPAIR_OWN " tx off tso off gso off gro off sg off >/dev/null 2>&1") != 0 ||
        xt_netpair_enter(np.peer) != 0 || !pkt_wire_open(&wire, XT_NETPAIR_PEER) || xt_netpair_enter(np.own) != 0) {
        printf("skipped: no bare veth pair: %s\n", strerror(errno));
        return false;
    }
    return true;
}

static void on_tcp(void *arg, const uint8_t *p, size_t len, uint8_t ecn)
{
    struct daemon *d = arg;
    memcpy(pkt_queue_add(&d->sent, pkt_wire_now() - d->t0, len, ecn), p, len);
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
    uint64_t deadline = pkt_wire_now() + 5 * PATIENCE_US;
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
    if (d->sock.x)
        xtcp_detach(d->sock.x);
    kill(d->pid, SIGTERM);
    waitpid(d->pid, NULL, 0);
    fcntl(d->log, F_SETFL, O_NONBLOCK);
    for (ssize_t n; r->failed && (n = read(d->log, text, sizeof text)) > 0;)
        printf("    xtcpd: %.*s", (int)n, text);
    close(d->log);
    unlink(d->path);
    snprintf(text, sizeof text, "%s.lock", d->path);
    unlink(text);
    pkt_queue_free(&d->sent);
    free(d);
}

static bool start(struct pkt_run *r)
{
    struct daemon *d = calloc(1, sizeof *d);
    int log[2];
    if (!d || pipe2(log, O_CLOEXEC) != 0)
        abort();
    r->impl = d;
    d->sock.listener = d->sock.conn = -1;
    d->wire = &wire;
    d->log = log[0];
    snprintf(d->path, sizeof d->path, "/tmp/xt-packet-%d.sock", (int)getpid());
    wire.tcp = on_tcp;
    wire.arg = d;
    wire.bad = NULL;
    d->pid = fork();
    if (d->pid == 0)
        exec_daemon(r, d, log[1]);
    close(log[1]);
    bool ok = wait_serving(r, d);
    if (ok && (xtcp_attach(&d->sock.x, d->path) != 0 || !pkt_wire_resolve(&wire, pkt_wire_now() + PATIENCE_US) ||
               !pkt_wire_sync(&wire, pkt_wire_now() + PATIENCE_US))) {
        snprintf(r->why, sizeof r->why, "xtcpd does not answer: %s", xtcp_strerror_attach());
        ok = false;
    }
    pkt_queue_free(&d->sent); /* the last words of the daemon before */
    d->t0 = pkt_wire_now();
    if (!ok)
        stop(r);
    return ok;
}

static void advance(struct pkt_run *r, uint64_t at)
{
    struct daemon *d = r->impl;
    pkt_wire_pump(d->wire, d->t0 + at, NULL, NULL);
    /* When it is the runner that comes late, the script's clock waits for it. */
    uint64_t now = pkt_wire_now();
    if (now > d->t0 + at)
        d->t0 = now - at;
}

static bool something(void *arg)
{
    struct daemon *d = arg;
    return !pkt_queue_empty(&d->sent);
}

static bool next(struct pkt_run *r, struct pkt_sent *out, uint64_t until)
{
    struct daemon *d = r->impl;
    if (pkt_queue_empty(&d->sent))
        pkt_wire_pump(d->wire, d->t0 + until, something, d);
    if (d->wire->bad)
        printf("%s: %s\n", r->s->path, d->wire->bad);
    /* One that came later was only picked up late by the runner; it stays. */
    if (pkt_queue_empty(&d->sent) || (until && pkt_queue_first(&d->sent) > until))
        return false;
    pkt_queue_take(&d->sent, out);
    if (d->wire->bad)
        out->bytes[13] = 0; /* fails whatever is expected */
    return true;
}

static void settle(struct pkt_run *r)
{
    struct daemon *d = r->impl;
    pkt_wire_sync(d->wire, pkt_wire_now() + PATIENCE_US);
    d->unseen = false;
}

static void inject(struct pkt_run *r, const uint8_t *p, size_t len, uint8_t ecn)
{
    struct daemon *d = r->impl;
    pkt_wire_send_tcp(d->wire, (uint8_t *)p, len, ecn);
    d->unseen = true;
}

static void icmp(struct pkt_run *r, uint8_t type, uint8_t code, uint32_t mtu, uint32_t seq)
{
    struct daemon *d = r->impl;
    pkt_wire_send_error(d->wire, type, code, mtu, r->base.own_port, r->base.peer_port, seq);
    d->unseen = true;
}

static long call(struct pkt_run *r, const struct pkt_event *e, const struct pkt_range *want)
{
    struct daemon *d = r->impl;
    uint64_t deadline = pkt_wire_now() + PATIENCE_US / 4;
    if (d->unseen)
        settle(r);
    /* All that is to be read at once must be there first. */
    while (strcmp(e->args[0], "read") == 0 && (int32_t)want->lo > 0 && d->sock.conn >= 0 && pkt_wire_now() < deadline &&
           xtcp_inq(d->sock.x, d->sock.conn) < (int)want->lo)
        pkt_wire_pump(d->wire, pkt_wire_now() + RETRY_US, NULL, NULL);
    long v = daemon_sock_call(r, &d->sock, e);
    while (!pkt_result_ok(want, v) && daemon_sock_may_repeat(e, v) && pkt_wire_now() < deadline) {
        pkt_wire_pump(d->wire, pkt_wire_now() + RETRY_US, NULL, NULL);
        v = daemon_sock_call(r, &d->sock, e);
    }
    return v;
}

static const char *state(struct pkt_run *r, const char *want)
{
    struct daemon *d = r->impl;
    uint64_t deadline = pkt_wire_now() + PATIENCE_US / 4;
    const char *s = daemon_sock_state(&d->sock);
    while (s && strcmp(s, want) != 0 && pkt_wire_now() < deadline) {
        pkt_wire_pump(d->wire, pkt_wire_now() + RETRY_US, NULL, NULL);
        s = daemon_sock_state(&d->sock);
    }
    return s;
}

const struct pkt_backend pkt_daemon = {
    .name = "daemon",
    .sockets = true,
    .prepare = prepare,
    .start = start,
    .stop = stop,
    .advance = advance,
    .next = next,
    .settle = settle,
    .inject = inject,
    .icmp = icmp,
    .call = call,
    .state = state,
    .early = 25000,
    .late = 150000,
    .late_permille = 40,
};
