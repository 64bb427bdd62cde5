/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/app/daemon.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/time.h"
#include "proto/xt_ctl.h"
#include "proto/xt_msg.h"

#define MAX_CONNS 4096

/* ---- data plane ---- */

static int no_device(void *arg, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen,
                     const struct iovec *iov, unsigned niov)
{
    return 0; /* what leaves for the wire is nobody's */
}

static void bell_add(void *arg, int fd, uint32_t session)
{
    struct daemon *d = arg;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static void bell_remove(void *arg, int fd, uint32_t session)
{
    struct daemon *d = arg;
    epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void sleep_until_work(struct daemon *d)
{
    if (!xt_app_prepare_sleep(d->app)) {
        uint64_t now = xt_time_us(), deadline = xt_stack_deadline(d->stack);
        uint64_t ms = deadline <= now ? 0 : (deadline - now) / 1000 + 1;
        struct epoll_event ev[8];
        epoll_wait(d->epoll_fd, ev, 8, ms > 1000 ? 1000 : (int)ms);
    }
    xt_app_awake(d->app);
}

static void *data_main(void *arg)
{
    struct daemon *d = arg;
    unsigned idle = 0;
    while (!atomic_load(&d->stop)) {
        uint64_t now = xt_time_us();
        bool work = xt_app_poll(d->app, now);
        if (xt_stack_deadline(d->stack) <= now) {
            xt_stack_timers(d->stack, now);
            work = true;
        }
        work |= xt_stack_output(d->stack, now);
        xt_app_flush(d->app);
        uint64_t took = xt_time_us() - now;
        if (took > atomic_load(&d->longest_round_us))
            atomic_store(&d->longest_round_us, took);
        idle = work ? 0 : idle + 1;
        if (idle > 2)
            sleep_until_work(d);
    }
    return NULL;
}

/* ---- control ---- */

static struct daemon *ending; /* whose messages run now: on_end gets the session alone */

static void on_session_end(void *session)
{
    for (unsigned i = 0; i < DAEMON_CLIENTS; i++)
        if (ending->client[i].fd >= 0 && ending->client[i].session == session) {
            close(ending->client[i].fd);
            ending->client[i].fd = -1;
        }
    xt_session_free(session);
    atomic_fetch_add(&ending->ended, 1);
}

/* The queue has a single producer: here, whoever has the lock. */
static void post(struct daemon *d, const struct xt_msg *m)
{
    int rc;
    do {
        pthread_mutex_lock(&d->post_lock);
        rc = xt_app_post(d->app, m);
        pthread_mutex_unlock(&d->post_lock);
    } while (rc == -EAGAIN && poll(NULL, 0, 1) == 0);
}

static void reply(struct daemon_client *c, int err, const char *key, uint32_t value, const int *fds, unsigned nfds)
{
    uint8_t buf[256];
    struct xt_msg_out o;
    xt_msg_begin(&o, buf, sizeof buf);
    xt_msg_bool(&o, "ok", err == 0);
    if (err) {
        xt_msg_uint(&o, "errno", (uint64_t)err);
        xt_msg_str(&o, "error", "no");
    } else {
        xt_msg_uint(&o, key, value);
        xt_msg_uint(&o, "session", xt_session_id(c->session));
    }
    xt_msg_send(c->fd, buf, (size_t)xt_msg_end(&o), fds, nfds, 0);
}

static void attach(struct daemon *d, struct daemon_client *c, const struct xt_msg_in *in)
{
    uint64_t abi = 0;
    xt_msg_get_uint(in, "abi", &abi);
    int rc = abi == XT_ABI_VERSION ? xt_session_new(d->app, getpid(), getuid(), "test", &c->session) : -EPROTONOSUPPORT;
    if (rc < 0) {
        reply(c, -rc, "proc", 0, NULL, 0);
        return;
    }
    c->proc = (uint32_t)xt_session_add_proc(c->session, getpid());
    struct xt_msg m = {.type = XT_MSG_SESSION, .ptr = c->session, .done = on_session_end};
    post(d, &m);
    const int fds[3] = {xt_session_memfd(c->session), xt_session_doorbell(c->session), xt_app_global_ro(d->app)};
    reply(c, 0, "proc", c->proc, fds, 3);
}

static struct daemon_client *new_client(struct daemon *d, int fd)
{
    for (unsigned i = 0; i < DAEMON_CLIENTS; i++)
        if (d->client[i].fd < 0) {
            d->client[i] = (struct daemon_client){.fd = fd};
            return &d->client[i];
        }
    close(fd);
    return NULL;
}

static void fork_request(struct daemon *d, struct daemon_client *c, struct xt_msg_anc *anc)
{
    int proc = xt_session_add_proc(c->session, 0);
    if (proc < 0 || anc->nfds != 1) {
        reply(c, proc < 0 ? -proc : EINVAL, "proc", 0, NULL, 0);
        return;
    }
    struct daemon_client *child = new_client(d, anc->fd[0]);
    anc->fd[0] = -1;
    child->session = c->session;
    child->proc = (uint32_t)proc;
    reply(c, 0, "proc", (uint32_t)proc, NULL, 0);
}

static void gone(struct daemon *d, struct daemon_client *c)
{
    close(c->fd);
    c->fd = -1;
    struct xt_msg m = {.type = XT_MSG_PROC_GONE, .ptr = c->session, .arg = c->proc};
    if (c->session)
        post(d, &m);
}

static void serve(struct daemon *d, struct daemon_client *c)
{
    uint8_t buf[1024];
    struct xt_msg_anc anc;
    struct xt_msg_in in;
    ssize_t n = xt_msg_recv(c->fd, buf, sizeof buf, &anc, MSG_DONTWAIT);
    if (n <= 0 || xt_msg_parse(&in, buf, (size_t)n) < 0) {
        if (n != -EAGAIN)
            gone(d, c);
        return;
    }
    if (xt_msg_is(&in, "op", "attach")) {
        attach(d, c, &in);
    } else if (xt_msg_is(&in, "op", "waiter")) {
        int fd = -1, w = xt_session_add_waiter(c->session, c->proc, &fd);
        reply(c, w < 0 ? -w : 0, "waiter", (uint32_t)w, &fd, w >= 0);
    } else if (xt_msg_is(&in, "op", "fork")) {
        fork_request(d, c, &anc);
    } else if (xt_msg_is(&in, "op", "settle")) {
        reply(c, 0, "settled", 1, NULL, 0);
    } else if (!xt_msg_is(&in, "op", "hello")) { /* that wants no answer: a child would take it for the next one's */
        reply(c, EOPNOTSUPP, "errno", 0, NULL, 0);
    }
    xt_msg_anc_close(&anc);
}

static void *ctl_main(void *arg)
{
    struct daemon *d = arg;
    ending = d;
    for (;;) {
        struct pollfd p[DAEMON_CLIENTS + 3] = {{.fd = d->stop_fd, .events = POLLIN},
                                               {.fd = d->listen_fd, .events = POLLIN},
                                               {.fd = xt_app_ctl_fd(d->app), .events = POLLIN}};
        for (unsigned i = 0; i < DAEMON_CLIENTS; i++)
            p[3 + i] = (struct pollfd){.fd = d->client[i].fd, .events = POLLIN};
        poll(p, DAEMON_CLIENTS + 3, -1);
        if (p[0].revents)
            return NULL;
        for (unsigned i = 0; i < DAEMON_CLIENTS; i++)
            if (p[3 + i].revents && d->client[i].fd == p[3 + i].fd)
                serve(d, &d->client[i]);
        if (p[1].revents)
            new_client(d, accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC));
        if (p[2].revents)
            xt_app_ctl_run(d->app);
    }
}

/* ---- life ---- */

#define PATIENCE 200 /* s: on a busy machine the longest takes some of them */

static void stands_still(int sig)
{
    static const char where[] = "stands still; what each thread waits in (/proc/PID/task/TID/syscall):\n";
    (void)!write(STDERR_FILENO, where, sizeof where - 1);
    (void)!system("cat /proc/$PPID/task/*/syscall >&2");
    signal(sig, SIG_DFL);
    raise(sig);
}

/* Criterion names the test that ends by a signal. Its own .timeout is not used: one that comes before the test has reported to it,
 * as on a machine with too much to do, makes Criterion 2.4.1 itself wait for ever. The signal is for the daemon's threads, so that
 * the test's are seen where they wait. */
static void end_if_it_stands_still(void)
{
    sigset_t set;
    signal(SIGALRM, stands_still);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    alarm(PATIENCE);
}

static void open_socket(struct daemon *d)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(d->path, sizeof d->path, "/tmp/xtcp-unit-%d.sock", (int)getpid());
    memcpy(un.sun_path, d->path, sizeof d->path);
    unlink(d->path);
    d->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(d->listen_fd, (struct sockaddr *)&un, sizeof un), 0);
    cr_assert_eq(listen(d->listen_fd, 64), 0);
}

void daemon_start(struct daemon *d, const struct xt_app_cfg *cfg)
{
    static const uint8_t key[32] = "only a test knows this key";
    struct xt_stack_cfg sc = {.mac = {2}, .addr = daemon_addr(0).sin_addr.s_addr, .prefix = 24, .mtu = 1500};
    struct xt_stack_ops ops = {.tx = no_device};
    memset(d, 0, sizeof *d);
    pthread_mutex_init(&d->post_lock, NULL);
    for (unsigned i = 0; i < DAEMON_CLIENTS; i++)
        d->client[i].fd = -1;
    sc.max_conns = MAX_CONNS;
    sc.port_min = 32768;
    sc.port_max = 60999;
    sc.ttl = 64;
    xt_tcp_cfg_default(&sc.tcp);
    sc.tcp.msl = 1000000;
    cr_assert_eq(xt_app_new(&d->app, cfg), 0);
    xt_app_stack_ops(d->app, &ops);
    d->state_size = xt_stack_state_size(MAX_CONNS);
    d->state = mmap(NULL, d->state_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_eq(xt_stack_new(&d->stack, &sc, &ops, d->state, key, xt_time_us()), 0);
    xt_app_set_stack(d->app, d->stack);
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    d->stop_fd = eventfd(0, EFD_CLOEXEC);
    xt_app_on_doorbell(d->app, bell_add, bell_remove, d);
    bell_add(d, xt_app_data_fd(d->app), 0);
    open_socket(d);
    pthread_create(&d->data, NULL, data_main, d);
    pthread_create(&d->ctl, NULL, ctl_main, d);
    end_if_it_stands_still();
}

static void nothing(void *arg)
{
}

void daemon_stop(struct daemon *d)
{
    uint64_t one = 1;
    atomic_store(&d->stop, true);
    struct xt_msg m = {.type = XT_MSG_CALL, .fn = nothing, .done = nothing};
    post(d, &m);
    pthread_join(d->data, NULL);
    cr_assert_eq(write(d->stop_fd, &one, sizeof one), sizeof one);
    pthread_join(d->ctl, NULL);
    for (unsigned i = 0; i < DAEMON_CLIENTS; i++)
        if (d->client[i].fd >= 0)
            close(d->client[i].fd);
    close(d->listen_fd);
    unlink(d->path);
}

void daemon_free(struct daemon *d)
{
    xt_stack_free(d->stack);
    xt_app_free(d->app);
    munmap(d->state, d->state_size);
    close(d->epoll_fd);
    close(d->stop_fd);
}

struct call {
    void (*fn)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
};

static void run_call(void *arg)
{
    struct call *c = arg;
    c->fn(c->arg);
}

static void call_done(void *arg)
{
    struct call *c = arg;
    pthread_mutex_lock(&c->lock);
    c->done = true;
    pthread_cond_signal(&c->cond);
    pthread_mutex_unlock(&c->lock);
}

void daemon_call(struct daemon *d, void (*fn)(void *arg), void *arg)
{
    struct call c = {.fn = fn, .arg = arg, .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    struct xt_msg m = {.type = XT_MSG_CALL, .ptr = &c, .fn = run_call, .done = call_done};
    post(d, &m);
    pthread_mutex_lock(&c.lock);
    while (!c.done)
        pthread_cond_wait(&c.cond, &c.lock);
    pthread_mutex_unlock(&c.lock);
}

struct stats_call {
    struct daemon *d;
    struct xt_app_stats stats;
    unsigned conns, mask;
};

static void count_conn(void *arg, struct xt_conn *c)
{
    struct stats_call *sc = arg;
    sc->conns += sc->mask >> c->state & 1;
}

static void take_stats(void *arg)
{
    struct stats_call *sc = arg;
    uint32_t cursor = 0;
    sc->stats = *xt_app_stats(sc->d->app);
    sc->conns = 0;
    while (xt_stack_each(sc->d->stack, &cursor, 1000, count_conn, sc))
        ;
}

struct xt_app_stats daemon_stats(struct daemon *d)
{
    struct stats_call sc = {.d = d};
    daemon_call(d, take_stats, &sc);
    return sc.stats;
}

unsigned daemon_conns(struct daemon *d, unsigned mask)
{
    struct stats_call sc = {.d = d, .mask = mask};
    daemon_call(d, take_stats, &sc);
    return sc.conns;
}

bool daemon_until(bool (*cond)(void *arg), void *arg)
{
    for (unsigned n = 0; n < 20000; n++) {
        if (cond(arg))
            return true;
        poll(NULL, 0, 1);
    }
    return false;
}

struct sockaddr_in daemon_addr(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x0a090001)};
}
