/* SPDX-License-Identifier: Apache-2.0
 * Waiting: time-outs, signals, masks, arguments. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
    signals++;
}

static void on_signal(int flags)
{
    struct sigaction sa = {.sa_handler = count_signal, .sa_flags = flags};
    sigaction(SIGUSR1, &sa, NULL);
    signals = 0;
}

/* ---- every way to wait, for one descriptor to be readable; ms -1: for ever ---- */

enum way { POLL, PPOLL, SELECT, PSELECT, EPOLL, EPOLL_P, EPOLL_P2, WAYS };
static const char *const way_names[WAYS] = {"poll",       "ppoll",       "select",      "pselect",
                                            "epoll_wait", "epoll_pwait", "epoll_pwait2"};

static bool takes_mask(enum way w)
{
    return w == PPOLL || w == PSELECT || w == EPOLL_P || w == EPOLL_P2;
}

static int await(enum way w, int fd, int ep, long ns, const sigset_t *mask)
{
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}, *t = ns < 0 ? NULL : &ts;
    struct timeval tv = {.tv_sec = ns / 1000000000, .tv_usec = ns % 1000000000 / 1000};
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct epoll_event ev;
    int ms = ns < 0 ? -1 : (int)((ns + 999999) / 1000000);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    switch (w) {
    case POLL:
        return poll(&p, 1, ms);
    case PPOLL:
        return ppoll(&p, 1, t, mask);
    case SELECT:
        return select(fd + 1, &in, NULL, NULL, ns < 0 ? NULL : &tv);
    case PSELECT:
        return pselect(fd + 1, &in, NULL, NULL, t, mask);
    case EPOLL:
        return epoll_wait(ep, &ev, 1, ms);
    case EPOLL_P:
        return epoll_pwait(ep, &ev, 1, ms, mask);
    case EPOLL_P2:
        return epoll_pwait2(ep, &ev, 1, t, mask);
    case WAYS:
        break;
    }
    return -1;
}

static long elapsed_ns(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - since->tv_sec) * 1000000000L + now.tv_nsec - since->tv_nsec;
}

static void say_times(enum way w, int fd, int ep)
{
    static const long times[] = {0, 1, 300000, 2500000, 20000000};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct timespec start;
        clock_gettime(CLOCK_MONOTONIC, &start);
        int r = await(w, fd, ep, times[i], NULL);
        bool early = elapsed_ns(&start) < times[i] - (w == SELECT ? 1000 : 0);
        say("%s, %ld ns: %d%s", way_names[w], times[i], r, early ? ", too early" : "");
    }
}

/* A signal that is pending and blocked is let in by the mask of the call, and only by that. */
static void say_masks(enum way w, int fd, int ep, bool ready)
{
    sigset_t block, open;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, &open);
    for (int k = 0; k < 3; k++) {
        on_signal(SA_RESTART);
        raise(SIGUSR1);
        int r = await(w, fd, ep, k == 0 ? 0 : k == 1 ? 5000000 : -1, k == 1 ? &block : &open);
        say("%s, %s, a signal pending, %s: %s, handled %d", way_names[w], ready ? "data" : "no data",
            k == 0   ? "mask open, no time"
            : k == 1 ? "mask closed, some time"
                     : "mask open, for ever",
            r < 0 ? strerrorname_np(errno)
            : r   ? "ready"
                  : "nothing",
            (int)signals);
        sigprocmask(SIG_SETMASK, &open, NULL);
        sigprocmask(SIG_BLOCK, &block, NULL);
    }
    sigprocmask(SIG_SETMASK, &open, NULL);
}

static pthread_t waiter_thread;
static atomic_bool over;

static void *send_signals(void *unused)
{
    const struct timespec a_while = {.tv_nsec = 20000000};
    while (!over) {
        nanosleep(&a_while, NULL);
        pthread_kill(waiter_thread, SIGUSR1);
    }
    return NULL;
}

/* A signal ends every waiting, also with SA_RESTART. */
static void say_interrupted(enum way w, int fd, int ep)
{
    for (int flags = 0; flags < 2; flags++)
        for (int ever = 0; ever < 2; ever++) {
            pthread_t t;
            on_signal(flags ? SA_RESTART : 0);
            over = false;
            waiter_thread = pthread_self();
            pthread_create(&t, NULL, send_signals, NULL);
            int r = await(w, fd, ep, ever ? -1 : 30000000000L, NULL), e = errno;
            over = true;
            pthread_join(t, NULL);
            say("%s, a signal%s: %s", way_names[w], flags ? " that restarts" : "",
                r < 0 ? strerrorname_np(e) : "no error");
        }
}

static void ways(void)
{
    int n, fd = dial(&n), ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    for (enum way w = 0; w < WAYS; w++) {
        say_times(w, fd, ep);
        say_interrupted(w, fd, ep);
        if (takes_mask(w))
            say_masks(w, fd, ep, false);
    }
    peer("send %d 1", n);
    until(fd, POLLIN);
    for (enum way w = 0; w < WAYS; w++) {
        say("%s, data: %d", way_names[w], await(w, fd, ep, -1, NULL));
        if (takes_mask(w))
            say_masks(w, fd, ep, true);
    }
    close(ep);
    close(fd);
}

/* ---- arguments ---- */

/* For arguments that the compiler would not let pass. */
static int (*volatile any_poll)(struct pollfd *p, nfds_t n, int timeout) = poll;

static void poll_arguments(void)
{
    int n, fd = dial(&n), closed = dup(fd);
    close(closed);
    struct timespec bad = {.tv_nsec = 1000000000}, negative = {.tv_sec = -1}, none = {0};
    struct pollfd twice[3] = {{.fd = fd, .events = POLLOUT}, {.fd = fd, .events = POLLIN}, {.fd = fd}};
    say_ret("poll, the same three times", poll(twice, 3, 0));
    say("  %#x %#x %#x", (unsigned short)twice[0].revents, (unsigned short)twice[1].revents,
        (unsigned short)twice[2].revents);
    struct pollfd odd[4] = {{.fd = -1, .events = POLLIN, .revents = 5},
                            {.fd = fd, .events = POLLIN, .revents = 5},
                            {.fd = closed, .events = POLLIN, .revents = 5},
                            {.fd = INT_MIN, .events = POLLIN, .revents = 5}};
    say_ret("poll, negative and closed ones", poll(odd, 4, -1));
    say("  %#x %#x %#x %#x", (unsigned short)odd[0].revents, (unsigned short)odd[1].revents,
        (unsigned short)odd[2].revents, (unsigned short)odd[3].revents);
    say_ret("poll, negative time", poll(odd, 3, INT_MIN));
    say_ret("poll, nothing", poll(NULL, 0, 0));
    say_ret("poll, nowhere", any_poll(NULL, 1, 0));
    say_ret("ppoll, bad time", ppoll(twice, 1, &bad, NULL));
    say_ret("ppoll, bad time, negative", ppoll(twice, 1, &negative, NULL));
    twice[0].events = POLLIN;
    say_ret("ppoll, nothing true, bad time", ppoll(twice, 1, &bad, NULL));
    say_ret("ppoll, nothing true", ppoll(twice, 1, &none, NULL));
    close(fd);
}

static void poll_limit(void)
{
    int n, fd = dial(&n);
    struct rlimit old, one = {1, 1};
    struct pollfd p[2] = {{.fd = fd, .events = POLLOUT}, {.fd = fd, .events = POLLOUT}};
    getrlimit(RLIMIT_NOFILE, &old);
    one.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_NOFILE, &one);
    say_ret("poll of two at a limit of one", poll(p, 2, 0));
    say_ret("poll of one at a limit of one", poll(p, 1, 0));
    p[0].events = POLLIN;
    say_ret("poll of one at a limit of one, some time", poll(p, 1, 5));
    peer("send %d 1", n);
    say_ret("poll of one at a limit of one, data", poll(p, 1, 5000));
    setrlimit(RLIMIT_NOFILE, &old);
    close(fd);
}

static void select_arguments(void)
{
    int n, fd = dial(&n), closed = dup(fd);
    struct timeval none = {0}, bad = {.tv_usec = -1}, negative = {.tv_sec = -1}, large = {.tv_usec = 3000000};
    struct timespec bad_ns = {.tv_nsec = 1000000000};
    fd_set in, out;
    close(closed);
    FD_ZERO(&in);
    FD_SET(fd, &in);
    say_ret("select, n -1", select(-1, &in, NULL, NULL, &none));
    say_ret("select, n 0", select(0, &in, NULL, NULL, &none));
    say("  the set is as it was: %d", FD_ISSET(fd, &in) != 0);
    say_ret("select, n below", select(fd, &in, NULL, NULL, &none));
    say("  the set is as it was: %d", FD_ISSET(fd, &in) != 0);
    say_ret("select, n FD_SETSIZE", select(FD_SETSIZE, &in, NULL, NULL, &none));
    say("  the set is as it was: %d", FD_ISSET(fd, &in) != 0);
    FD_SET(fd, &in);
    say_ret("select, bad time", select(fd + 1, &in, NULL, NULL, &bad));
    say_ret("select, negative time", select(fd + 1, &in, NULL, NULL, &negative));
    say_ret("pselect, bad time", pselect(fd + 1, &in, NULL, NULL, &bad_ns, NULL));
    say("  the set is as it was: %d", FD_ISSET(fd, &in) != 0);
    FD_SET(closed, &in);
    say_ret("select, a closed one", select(FD_SETSIZE, &in, NULL, NULL, &none));
    say("  the sets are as they were: %d %d", FD_ISSET(fd, &in) != 0, FD_ISSET(closed, &in) != 0);
    FD_CLR(closed, &in);
    FD_ZERO(&out);
    FD_SET(fd, &out);
    say_ret("select, in and out", select(fd + 1, &in, &out, NULL, &large));
    say("  %d %d, time left: %d", FD_ISSET(fd, &in) != 0, FD_ISSET(fd, &out) != 0,
        large.tv_sec > 0 || large.tv_usec > 0);
    FD_SET(fd, &in);
    large = (struct timeval){.tv_usec = 2000};
    say_ret("select, time passes", select(fd + 1, &in, NULL, NULL, &large));
    say("  %d, time left: %ld %ld", FD_ISSET(fd, &in) != 0, (long)large.tv_sec, (long)large.tv_usec);
    peer("send %d 1", n);
    until(fd, POLLIN);
    FD_SET(fd, &in);
    say_ret("select, both true", select(fd + 1, &in, &out, NULL, NULL));
    close(fd);
}

static void epoll_times(void)
{
    int n, fd = dial(&n), ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    struct timespec bad = {.tv_nsec = 1000000000}, negative = {.tv_sec = -1};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    say_ret("epoll_pwait2, bad time", epoll_pwait2(ep, &ev, 1, &bad, NULL));
    say_ret("epoll_pwait2, negative time", epoll_pwait2(ep, &ev, 1, &negative, NULL));
    say_ret("epoll_pwait2, bad time, for none", epoll_pwait2(ep, &ev, 0, &bad, NULL));
    peer("send %d 1", n);
    until(fd, POLLIN);
    say_ret("epoll_pwait2, bad time, data", epoll_pwait2(ep, &ev, 1, &bad, NULL));
    say_ret("epoll_wait, time -2", epoll_wait(ep, &ev, 1, -2));
    close(ep);
    close(fd);
}

/* Many descriptors, and high ones. */
static void many(void)
{
    enum { N = 300 };
    static struct pollfd p[N];
    int n, fd = dial(&n), e = eventfd(0, 0), count = 0;
    for (int i = 0; i < N; i++)
        p[i] = (struct pollfd){.fd = i % 2 ? dup(fd) : dup(e), .events = POLLIN | POLLOUT};
    say_ret("poll, many", poll(p, N, -1));
    peer("send %d 1", n);
    until(fd, POLLIN);
    say_ret("poll, many, data", poll(p, N, -1));
    for (int i = 0; i < N; i++)
        count += p[i].revents == (i % 2 ? POLLIN | POLLOUT : POLLOUT);
    say("  as it should be: %d", count);
    for (int i = 0; i < N; i++)
        close(p[i].fd);
    close(fd);
    close(e);
}

void probe_waits(void)
{
    ways();
    poll_arguments();
    poll_limit();
    select_arguments();
    epoll_times();
    many();
}
