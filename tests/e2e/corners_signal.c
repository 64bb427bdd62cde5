/* SPDX-License-Identifier: Apache-2.0
 * Signal handlers that use sockets, whatever they interrupt. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/corners.h"

#define PATIENCE 2 /* seconds: how long a storm lasts at most */

static volatile sig_atomic_t fired, enough;
static volatile long done, wrong, added;
static int line, other, lsock;
static time_t until;

static time_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* `fn` on each of `n` ticks, or fewer when they are slow. */
static void storm(void (*fn)(int sig), int n, int us)
{
    struct sigaction sa = {.sa_handler = fn, .sa_flags = SA_RESTART};
    struct itimerval it = {.it_interval.tv_usec = us, .it_value.tv_usec = us};
    fired = 0;
    enough = n;
    done = wrong = added = 0;
    until = now() + PATIENCE;
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
}

static void calm(void)
{
    static const struct itimerval off;
    setitimer(ITIMER_REAL, &off, NULL);
    signal(SIGALRM, SIG_IGN);
}

static bool is_over(void)
{
    return fired >= enough;
}

/* Is this tick one to act on? */
static bool tick(void)
{
    if (is_over())
        return false;
    if (now() > until)
        enough = fired + 1;
    if (++fired >= enough)
        calm();
    return true;
}

/* ---- another socket, and looks at the one that is interrupted ---- */

static void use_both(int sig)
{
    int saved = errno, n;
    char c, back;
    struct pollfd p[2] = {{.fd = line, .events = POLLIN | POLLOUT}, {.fd = other, .events = POLLOUT}};
    socklen_t len = sizeof n;
    if (!tick())
        return;
    c = (char)fired;
    if (send(other, &c, 1, 0) == 1)
        done++;
    while (recv(other, &back, 1, MSG_DONTWAIT) == 1)
        added += (unsigned char)back;
    wrong += poll(p, 2, 0) < 0;
    wrong += recv(line, &back, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno != EAGAIN;
    wrong += ioctl(line, FIONREAD, &n) < 0 || getsockopt(line, SOL_SOCKET, SO_TYPE, &n, &len) < 0 || n != SOCK_STREAM;
    errno = saved;
}

/* Bytes go out and come back, with all that a loop of a server calls. */
static void pump(size_t total)
{
    static unsigned char out[50000], in[60000];
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT};
    size_t sent = 0, got = 0;
    bool right = true;
    fcntl(line, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(ep, EPOLL_CTL_ADD, line, &ev) < 0)
        fail("epoll_ctl");
    while (got < total || !is_over()) {
        void *p = malloc(1000 + got % 100000);
        if (sent - got < 200000 && (sent < total || !is_over())) {
            for (size_t i = 0; i < sizeof out; i++)
                out[i] = (unsigned char)((sent + i) % 251);
            ssize_t n = write(line, out, sizeof out);
            sent += n > 0 ? (size_t)n : 0;
        }
        ev.events = EPOLLIN | (sent - got < 200000 ? EPOLLOUT : 0);
        epoll_ctl(ep, EPOLL_CTL_MOD, line, &ev);
        if (epoll_wait(ep, &ev, 1, 1000) < 0 && errno != EINTR)
            fail("epoll_wait");
        ssize_t n = read(line, in, sizeof in);
        for (ssize_t i = 0; i < n; i++)
            right = right && in[i] == (got + (size_t)i) % 251;
        got += n > 0 ? (size_t)n : 0;
        if (sent == got && got >= total && is_over())
            break;
        free(p);
    }
    check("storm: bytes", right);
    close(ep);
}

void corner_storm(void)
{
    unsigned char back;
    line = dial("echo");
    other = dial("echo");
    storm(use_both, 3000, 150);
    pump(4 << 20);
    shutdown(other, SHUT_WR);
    while (recv(other, &back, 1, 0) == 1)
        added += back;
    long want = 0;
    for (int i = 1; i <= fired; i++)
        want += (unsigned char)i;
    check("storm: calls in the handler", done == fired && wrong == 0);
    check("storm: what it sent came back", added == want);
}

/* ---- the very socket, and the direction, that is interrupted ---- */

static void send_too(int sig)
{
    int saved = errno;
    if (tick() && send(line, "\1", 1, 0) == 1)
        done++;
    errno = saved;
}

static void recv_too(int sig)
{
    int saved = errno;
    unsigned char c;
    if (tick() && recv(line, &c, 1, MSG_DONTWAIT) == 1) {
        done++;
        added += c;
    }
    errno = saved;
}

#define FLOOD 10000000

void corner_same(void)
{
    static unsigned char buf[100000];
    memset(buf, 0, sizeof buf);
    line = dial("sum");
    storm(send_too, 1000, 200);
    long n = 0;
    while (!is_over()) {
        send_all(line, buf, sizeof buf);
        n += (long)sizeof buf;
    }
    check("same: sends in the handler", done == fired);
    /* The sum alone: how much was sent in that time differs. */
    char text[64] = "";
    shutdown(line, SHUT_WR);
    if (recv(line, text, sizeof text - 1, MSG_WAITALL) <= 0)
        fail("recv");
    check("same: count", strtol(text, NULL, 10) == n + done);
    check("same: sum", strtol(strchr(text, ' '), NULL, 10) == done);
    close(line);

    line = dial("flood 10000000");
    long got = 0, sum = 0, want = 0;
    storm(recv_too, 1000, 200);
    for (ssize_t r; (r = recv(line, buf, sizeof buf, 0)) != 0;) {
        if (r < 0)
            fail("recv");
        for (ssize_t i = 0; i < r; i++)
            sum += buf[i];
        got += r;
    }
    calm();
    for (int i = 0; i < FLOOD; i++)
        want += i % 251;
    check("same: received", got + done == FLOOD);
    check("same: received sum", sum + added == want);
}

/* ---- members of epoll sets, closed by the handler ---- */

#define MEMBERS 40
static volatile sig_atomic_t members[MEMBERS], next_one;

static void close_one(int sig)
{
    int saved = errno;
    if (tick() && next_one < MEMBERS) {
        wrong += close(members[next_one++]) < 0;
        done++;
    }
    errno = saved;
}

/* Members join and go in two ways: by the handler, which takes them from the front, and by other calls on the set. */
static void fill_set(int ep)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET}, evs[MEMBERS];
    int fresh[MEMBERS];
    for (int i = 0; i < MEMBERS; i++) {
        fresh[i] = dial("echo");
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fresh[i], &ev) < 0)
            fail("epoll_ctl");
        members[i] = fresh[i];
    }
    next_one = 0;
    while (next_one < MEMBERS) {
        if (epoll_wait(ep, evs, MEMBERS, 0) < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < 10; i++) {
            int fd = dup(line);
            if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0 || epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev) < 0 ||
                epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL) < 0)
                fail("epoll_ctl");
            close(fd);
        }
    }
}

void corner_close(void)
{
    struct epoll_event ev = {.events = EPOLLIN};
    int ep = epoll_create1(0);
    char c = 'x';
    line = dial("echo");
    next_one = MEMBERS;
    storm(close_one, 1 << 30, 200);
    until += 60;
    for (int i = 0; i < 10; i++)
        fill_set(ep);
    calm();
    check("close: of members", wrong == 0 && done == 10 * MEMBERS);
    check("close: the set is empty", epoll_wait(ep, &ev, 1, 0) == 0);
    ev = (struct epoll_event){.events = EPOLLIN};
    send_all(line, &c, 1);
    check("close: it still works", epoll_ctl(ep, EPOLL_CTL_ADD, line, &ev) == 0 && epoll_wait(ep, &ev, 1, 10000) == 1);
}

/* ---- jumps out of calls ---- */

static sigjmp_buf out;
static volatile sig_atomic_t may_jump;

static void jump(int sig)
{
    if (tick() && may_jump)
        siglongjmp(out, 1);
}

enum { RECV, POLL, EPOLL, SEND, WAYS };

static void jump_out_of(int way, int n)
{
    static char buf[200000];
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    struct pollfd p = {.fd = line, .events = POLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, line, &ev);
    storm(jump, n, 100);
    while (!is_over()) {
        if (sigsetjmp(out, 1))
            continue;
        may_jump = 1;
        if (way == RECV)
            (void)!recv(line, buf, sizeof buf, 0);
        else if (way == POLL)
            poll(&p, 1, -1);
        else if (way == EPOLL)
            epoll_wait(ep, &ev, 1, -1);
        else
            (void)!send(other, buf, sizeof buf, 0);
        may_jump = 0;
    }
    may_jump = 0;
    close(ep);
}

void corner_jump(void)
{
    char c = 'x';
    line = dial("echo");
    other = dial("sum");
    jump_out_of(RECV, 4300);
    jump_out_of(POLL, 300);
    jump_out_of(EPOLL, 300);
    jump_out_of(SEND, 300);
    for (int i = 0; i < 2; i++) { /* and in a process that was not in the call */
        send_all(line, &c, 1);
        recv_all(line, &c, 1);
        send_all(other, &c, 1);
        if (i == 0 && fork() > 0) {
            int status;
            wait(&status);
            check("jump: sockets go on", status == 0);
            return;
        }
    }
    _exit(0);
}

/* ---- a program started by the handler ---- */

static void start_program(int sig)
{
    int saved = errno;
    if (tick()) {
        pid_t pid = fork();
        if (pid == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        int end = pid < 0 ? -1 : end_of(pid);
        wrong += end != 0;
        done++;
    }
    errno = saved;
}

void corner_spawn(void)
{
    line = dial("echo");
    storm(start_program, 60, 5000);
    pump(1 << 20);
    check("spawn: programs", done == fired && wrong == 0);
}

/* ---- connections that the handler accepts ---- */

static void accept_one(int sig)
{
    int saved = errno, c;
    char k;
    if (tick())
        while ((c = accept(lsock, NULL, NULL)) >= 0) {
            if (recv(c, &k, 1, 0) == 1)
                done++;
            close(c);
        }
    errno = saved;
}

void corner_accept(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t len = sizeof any;
    char command[64];
    lsock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(lsock, (struct sockaddr *)&any, sizeof any) < 0 || listen(lsock, 200) < 0 ||
        getsockname(lsock, (struct sockaddr *)&any, &len) < 0)
        fail("listen");
    line = dial("echo");
    snprintf(command, sizeof command, "call %d 100", ntohs(any.sin_port));
    storm(accept_one, 1 << 30, 300);
    until += 60;
    int s = dial(command);
    long mine = 0;
    while (mine + done < 100) {
        int c = accept(lsock, NULL, NULL);
        char k = 'x';
        send_all(line, &k, 1);
        recv_all(line, &k, 1);
        if (c < 0)
            continue;
        if (recv(c, &k, 1, 0) == 1)
            mine++;
        close(c);
    }
    calm();
    check("accept: all of them", mine + done == 100);
    close(s);
}
