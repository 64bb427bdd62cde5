/* SPDX-License-Identifier: Apache-2.0
 * SO_LINGER: who waits in close() and who does not, and what the peer is told. Each wait is a second or, if it should not be, a minute. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define MINUTE 60

static void linger(int fd, int seconds)
{
    struct linger l = {.l_onoff = seconds >= 0, .l_linger = seconds};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

/* Until neither the peer nor the send buffer takes any more. */
static void fill(int fd)
{
    static char big[65536];
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    do
        while (send(fd, big, sizeof big, MSG_DONTWAIT) > 0)
            ;
    while (poll(&p, 1, 300) > 0);
}

static void say_close(const char *name, int fd, int seconds)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    int rc = close(fd);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double t = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    say("%s: close gives %d, has waited %d", name, rc, t > seconds * 0.9);
}

/* The peer reads nothing before the close. */
static void time_is_up(const char *name, bool nonblocking, bool shut)
{
    int n, fd = dial(&n);
    if (nonblocking)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    fill(fd);
    if (shut)
        shutdown(fd, SHUT_WR);
    linger(fd, 1);
    say_close(name, fd, 1);
    say("  the peer is told %d", peer("end %d", n));
}

static void at_once(void)
{
    int n, fd = dial(&n), copy;
    send(fd, "hello", 5, 0);
    linger(fd, MINUTE);
    say_close("acknowledged", fd, MINUTE);
    say("  the peer is told %d", peer("end %d", n));
    fd = dial(&n);
    fill(fd);
    linger(fd, -1);
    say_close("off", fd, MINUTE);
    say("  the peer is told %d", peer("end %d", n));
    fd = dial(&n);
    fill(fd);
    linger(fd, 0);
    say_close("of 0", fd, MINUTE);
    say("  the peer is told %d", peer("end %d", n));
    fd = dial(&n);
    peer("send %d 5", n);
    until(fd, POLLIN);
    fill(fd);
    linger(fd, MINUTE);
    say_close("with data unread", fd, MINUTE);
    say("  the peer is told %d", peer("end %d", n));
    fd = dial(&n);
    copy = dup(fd);
    fill(fd);
    linger(fd, MINUTE);
    say_close("a copy", copy, MINUTE);
    linger(fd, 0);
    say_close("the other, of 0", fd, MINUTE);
    say("  the peer is told %d", peer("end %d", n));
    fd = listener();
    linger(fd, MINUTE);
    say_close("a listener", fd, MINUTE);
}

/* A process ends that alone has the socket. */
static void dies(const char *name, int seconds, int sig)
{
    int n, fd = dial(&n), go[2];
    char c;
    if (pipe(go) < 0)
        return;
    fill(fd);
    linger(fd, seconds);
    pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        _exit(read(go[0], &c, 1) != 0);
    }
    close(go[0]);
    say_close(name, fd, MINUTE);
    if (sig)
        kill(pid, sig);
    close(go[1]);
    waitpid(pid, NULL, 0);
    say("  the peer is told %d", peer("end %d", n));
}

static int closing;
static _Atomic pid_t closer;

static void *in_close(void *unused)
{
    closer = gettid();
    close(closing);
    return NULL;
}

/* A thread is cancelled while it lingers: the socket is closed all the same. */
static void cancelled(void)
{
    int n;
    pthread_t t;
    void *ret;
    closing = dial(&n);
    fill(closing);
    linger(closing, MINUTE);
    pthread_create(&t, NULL, in_close, NULL);
    until_asleep(&closer);
    pthread_cancel(t);
    pthread_join(t, &ret);
    say("cancelled: %s", ret == PTHREAD_CANCELED ? "yes" : "no");
    say_ret("  the descriptor", fcntl(closing, F_GETFD));
    say("  the peer is told %d", peer("end %d", n));
}

void probe_linger(void)
{
    cancelled();
    time_is_up("blocking", false, false);
    time_is_up("not blocking", true, false);
    time_is_up("after a shutdown", false, true);
    at_once();
    dies("killed, a minute", MINUTE, SIGKILL);
    dies("killed, 0", 0, SIGKILL);
    dies("exits, a minute", MINUTE, 0);
}
