/* SPDX-License-Identifier: Apache-2.0
 * A short fixed course of TCP through every call that has state: both ends of it, told which by the first argument.
 *
 *   exchange peer PORT            serves the other end, for ever
 *   exchange run PEER PORT        one course: exits 0 when each call did what it should and every byte was right, else says what
 *                                 went wrong
 *   exchange more PEER PORT       a longer one: with buffers that grow, epoll, and a connection for a program that knows nothing of xtcp
 *   exchange hurried PEER PORT    connections in a hurry, and no more than they want
 *   exchange spread PEER PORT     a listener of several processes, and later of another program, and several connections to it at a time
 *   exchange answer FD            that program: what `spread` executes
 *   exchange cats PORT            gives each connection to a cat, which knows nothing of xtcp, for ever
 *   exchange echoed PEER PORT     one connection to that: likewise
 *
 * A request is a byte for what to do and a byte for how many KiB (in fours). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 60 /* patience; nothing here measures time */
#define KIB4 4096u
#define LISTEN_PORT 7070
#define CLOSED_PORT 9
#define CHUNK 16384
#define CALLS 6u /* at a time */

enum { SEND = 'S', TAKE = 'T', CALL_BACK = 'C', BAD = 'B', GOOD = 'G' };

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 2654435761u >> 11);
}

static void put(int fd, unsigned n, const char *what)
{
    uint8_t buf[CHUNK];
    for (unsigned at = 0; at < n;) {
        unsigned len = n - at < sizeof buf ? n - at : sizeof buf;
        for (unsigned i = 0; i < len; i++)
            buf[i] = byte_at(at + i);
        ssize_t r = send(fd, buf, len, MSG_NOSIGNAL);
        check(r > 0, what);
        at += (unsigned)r;
    }
}

/* All up to the end of file: `n` bytes, the right ones. */
static bool take(int fd, unsigned n, const char *what)
{
    uint8_t buf[CHUNK];
    unsigned at = 0;
    for (;;) {
        ssize_t r = recv(fd, buf, sizeof buf, 0);
        if (r < 0)
            perror(what);
        if (r <= 0 && at != n)
            fprintf(stderr, "%s: the end after %u of %u bytes\n", what, at, n);
        if (r <= 0)
            return r == 0 && at == n;
        for (unsigned i = 0; i < (unsigned)r; i++)
            if (buf[i] != byte_at(at + i)) {
                fprintf(stderr, "%s: byte %u is %02x, not %02x\n", what, at + i, buf[i], byte_at(at + i));
                return false;
            }
        at += (unsigned)r;
    }
}

static struct sockaddr_in at(const char *ip, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    check(inet_pton(AF_INET, ip, &a.sin_addr) == 1, ip);
    return a;
}

static int dial(const char *ip, int port, const char *what)
{
    struct sockaddr_in a = at(ip, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd >= 0, "socket");
    check(connect(fd, (struct sockaddr *)&a, sizeof a) == 0, what);
    return fd;
}

static int serve_at(const char *ip, int port)
{
    struct sockaddr_in a = at(ip, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    check(fd >= 0, "socket");
    check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "setsockopt");
    check(bind(fd, (struct sockaddr *)&a, sizeof a) == 0, "bind");
    check(listen(fd, 8) == 0, "listen");
    return fd;
}

/* ---- the peer ---- */

static void call_back(int fd, unsigned n)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    char ip[INET_ADDRSTRLEN];
    check(getpeername(fd, (struct sockaddr *)&a, &len) == 0, "getpeername");
    int back = dial(inet_ntop(AF_INET, &a.sin_addr, ip, sizeof ip), LISTEN_PORT, "peer's connect");
    put(back, n, "peer's send");
    shutdown(back, SHUT_WR);
    char verdict = take(back, n, "peer's recv") ? GOOD : BAD;
    check(send(fd, &verdict, 1, MSG_NOSIGNAL) == 1, "verdict");
}

static void serve(int fd)
{
    uint8_t request[2];
    check(recv(fd, request, sizeof request, MSG_WAITALL) == sizeof request, "request");
    unsigned n = request[1] * KIB4;
    if (request[0] == SEND)
        put(fd, n, "peer's send");
    else if (request[0] == CALL_BACK)
        call_back(fd, n);
    else
        check(send(fd, take(fd, n, "peer's recv") ? "G" : "B", 1, MSG_NOSIGNAL) == 1, "verdict");
}

static void each_connection(int port, void (*serves)(int fd))
{
    int l = serve_at("0.0.0.0", port);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(l, NULL, NULL);
        if (fd >= 0 && fork() == 0) {
            alarm(SECONDS);
            serves(fd);
            _exit(0);
        }
        close(fd);
    }
}

/* ---- the course ---- */

static void ask(int fd, char what, unsigned n)
{
    uint8_t request[2] = {(uint8_t)what, (uint8_t)(n / KIB4)};
    check(send(fd, request, sizeof request, MSG_NOSIGNAL) == sizeof request, "send of a request");
}

static void verdict(int fd, const char *what)
{
    char v = BAD;
    check(recv(fd, &v, 1, MSG_WAITALL) == 1, what);
    errno = EBADMSG;
    check(v == GOOD, what);
    check(recv(fd, &v, 1, 0) == 0, "end of file");
}

static void upload(const char *ip, int port)
{
    int fd = dial(ip, port, "connect for the upload");
    ask(fd, TAKE, 16 * KIB4);
    put(fd, 16 * KIB4, "send");
    check(shutdown(fd, SHUT_WR) == 0, "shutdown");
    verdict(fd, "upload");
    check(close(fd) == 0, "close");
}

static void download(const char *ip, int port)
{
    int fd = dial(ip, port, "connect for the download");
    ask(fd, SEND, 16 * KIB4);
    errno = EBADMSG;
    check(take(fd, 16 * KIB4, "recv"), "download");
    check(close(fd) == 0, "close");
}

/* What the child does with what the peer sends: it reads it all, then sends the same. */
static void echo(int s)
{
    errno = EBADMSG;
    check(take(s, 4 * KIB4, "child's recv"), "child's bytes");
    put(s, 4 * KIB4, "child's send");
    exit(0);
}

/* Likewise, as a program that knows nothing of xtcp. */
static void echo_by_cat(int s)
{
    static char *const argv[] = {"cat", NULL}, *const no_env[] = {NULL};
    check(dup2(s, 0) == 0 && dup2(s, 1) == 1, "dup2");
    execve("/bin/cat", argv, no_env);
    check(false, "execve");
}

/* The peer calls; a child has the connection, and the listener's descriptor too. */
static void called(const char *ip, int port, void (*child_main)(int s))
{
    int l = serve_at("0.0.0.0", LISTEN_PORT), fd = dial(ip, port, "connect for the call"), status = 1;
    ask(fd, CALL_BACK, 4 * KIB4);
    int s = accept(l, NULL, NULL);
    check(s >= 0, "accept");
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        alarm(SECONDS);
        child_main(s);
    }
    check(close(s) == 0, "close of the child's");
    verdict(fd, "what the child sent");
    check(waitpid(child, &status, 0) == child && status == 0, "child");
    check(close(fd) == 0 && close(l) == 0, "close");
}

/* The other end is a cat's: what is sent comes back, also while it is being sent. */
static void echoed(const char *ip, int port)
{
    const unsigned n = 48 * KIB4;
    int fd = dial(ip, port, "connect to a cat"), status = 1;
    pid_t sender = fork();
    check(sender >= 0, "fork");
    if (sender == 0) {
        put(fd, n, "send to a cat");
        check(shutdown(fd, SHUT_WR) == 0, "shutdown");
        _exit(0);
    }
    errno = EBADMSG;
    check(take(fd, n, "recv from a cat"), "echo");
    check(waitpid(sender, &status, 0) == sender && status == 0, "sender");
    check(close(fd) == 0, "close");
}

static void refused(const char *ip)
{
    struct sockaddr_in a = at(ip, CLOSED_PORT);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
    socklen_t len = sizeof err;
    check(fd >= 0, "socket");
    check(connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno == EINPROGRESS, "connect without waiting");
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    check(poll(&p, 1, -1) == 1, "poll");
    check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0, "getsockopt");
    errno = err;
    check(err == ECONNREFUSED, "refusal");
    check(close(fd) == 0, "close");
}

/* Connections one after the other, none of which waits for connect(): from the second on the daemon finds what is wanted in the slot. */
static void hurried(const char *ip, int port)
{
    struct sockaddr_in a = at(ip, port);
    for (unsigned n = 0; n < 3; n++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, err = 0;
        socklen_t len = sizeof err;
        check(fd >= 0, "socket");
        check(connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno == EINPROGRESS, "connect in a hurry");
        check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "setsockopt");
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        check(poll(&p, 1, -1) == 1, "poll in a hurry");
        check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0, "getsockopt");
        if (p.revents != POLLOUT || err) {
            fprintf(stderr, "connection in a hurry: events %#x\n", (unsigned)p.revents);
            errno = err;
            check(false, "connection in a hurry");
        }
        check(fcntl(fd, F_SETFL, 0) == 0, "fcntl");
        ask(fd, SEND, KIB4);
        errno = EBADMSG;
        check(take(fd, KIB4, "recv"), "download in a hurry");
        check(close(fd) == 0, "close");
    }
}

static void hurried_alone(const char *ip, int port)
{
    int fd = dial(ip, port, "connect before the hurry");
    ask(fd, SEND, 0);
    errno = EBADMSG;
    check(take(fd, 0, "recv"), "nothing");
    check(close(fd) == 0, "close");
    hurried(ip, port);
}

/* Takes connections, of which some may be in one shard and some in another. */
static void answer(int l, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct pollfd p = {.fd = l, .events = POLLIN};
        check(i % 2 || (poll(&p, 1, -1) == 1 && p.revents == POLLIN), "poll for a connection");
        int s = accept(l, NULL, NULL);
        check(s >= 0, "accept");
        errno = EBADMSG;
        check(take(s, 4 * KIB4, "recv of the called"), "what the caller sent");
        put(s, 4 * KIB4, "send of the called");
        check(close(s) == 0, "close");
    }
}

static void answer_for_ever(int l)
{
    for (;;)
        answer(l, 1);
}

/* All at a time; of those that `own` says this process answers itself. */
static void calls(const char *ip, int port, int l, unsigned own)
{
    int fd[CALLS];
    for (unsigned i = 0; i < CALLS; i++) {
        fd[i] = dial(ip, port, "connect for a call");
        ask(fd[i], CALL_BACK, 4 * KIB4);
    }
    answer(l, own);
    for (unsigned i = 0; i < CALLS; i++) {
        verdict(fd[i], "call");
        check(close(fd[i]) == 0, "close");
    }
}

/* A process that answers, and goes on; or another program does that, which knows nothing of what this one did. */
static pid_t helper(int l, bool executed)
{
    char fd[12];
    char *const argv[] = {"exchange", "answer", fd, NULL};
    snprintf(fd, sizeof fd, "%d", l);
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child > 0)
        return child;
    alarm(SECONDS);
    if (!executed)
        answer_for_ever(l);
    check(fcntl(l, F_SETFD, 0) == 0, "fcntl");
    execv("/proc/self/exe", argv);
    check(false, "execv");
    return 0;
}

static void spread(const char *ip, int port)
{
    int l = serve_at("0.0.0.0", LISTEN_PORT);
    int fd = dial(ip, port, "connect for the first call");
    ask(fd, CALL_BACK, 4 * KIB4);
    answer(l, 1); /* from here on it listens in all shards */
    verdict(fd, "first call");
    check(close(fd) == 0, "close");
    calls(ip, port, l, CALLS);
    pid_t one = helper(l, false);
    calls(ip, port, l, 0);
    pid_t other = helper(l, true); /* then it is in one shard again, but for what waits */
    calls(ip, port, l, 0);
    check(kill(one, SIGKILL) == 0 && waitpid(one, NULL, 0) == one, "helper");
    check(kill(other, SIGKILL) == 0 && waitpid(other, NULL, 0) == other, "another program");
    check(close(l) == 0, "close");
}

/* connect() to no family on an open connection: the socket is as new. */
static void given_up(const char *ip, int port)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sockaddr_in a = at(ip, port);
    int fd = dial(ip, port, "connect to be given up"), err = 0;
    socklen_t len = sizeof err;
    ask(fd, SEND, 16 * KIB4);
    check(connect(fd, &none, sizeof none) == 0, "connect to nobody");
    check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0, "getsockopt");
    errno = err;
    check(err == ECONNRESET, "error of what was given up");
    check(connect(fd, (struct sockaddr *)&a, sizeof a) == 0, "connect anew");
    ask(fd, SEND, 4 * KIB4);
    errno = EBADMSG;
    check(take(fd, 4 * KIB4, "recv"), "download anew");
    check(close(fd) == 0, "close");
}

/* As much as a request can say each way, which the buffers of the start do not hold; sent when epoll says so. */
static void much(const char *ip, int port)
{
    const unsigned n = 255 * KIB4;
    uint8_t buf[KIB4];
    struct epoll_event e = {.events = EPOLLOUT};
    int fd = dial(ip, port, "connect for much"), ep = epoll_create1(EPOLL_CLOEXEC);
    check(ep >= 0, "epoll_create1");
    check(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
    ask(fd, TAKE, n);
    for (unsigned at = 0; at < n;) {
        unsigned len = n - at < sizeof buf ? n - at : sizeof buf;
        for (unsigned i = 0; i < len; i++)
            buf[i] = byte_at(at + i);
        check(epoll_wait(ep, &e, 1, -1) == 1, "epoll_wait");
        ssize_t r = send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        check(r > 0 || errno == EAGAIN, "send of much");
        at += r > 0 ? (unsigned)r : 0;
    }
    check(shutdown(fd, SHUT_WR) == 0, "shutdown");
    verdict(fd, "upload of much");
    check(close(fd) == 0 && close(ep) == 0, "close");
    fd = dial(ip, port, "connect for much");
    ask(fd, SEND, n);
    errno = EBADMSG;
    check(take(fd, n, "recv"), "download of much");
    check(close(fd) == 0, "close");
}

static void course(const char *ip, int port, bool more)
{
    upload(ip, port);
    download(ip, port);
    called(ip, port, echo);
    if (more) {
        much(ip, port);
        called(ip, port, echo_by_cat);
    }
    refused(ip);
    hurried(ip, port);
    given_up(ip, port);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "peer") == 0)
        each_connection(atoi(argv[2]), serve);
    if (argc == 3 && strcmp(argv[1], "cats") == 0)
        each_connection(atoi(argv[2]), echo_by_cat);
    if (argc == 3 && strcmp(argv[1], "answer") == 0) {
        alarm(SECONDS);
        answer_for_ever(atoi(argv[2]));
    }
    if (argc != 4)
        return 2;
    const char *what = argv[1], *ip = argv[2];
    int port = atoi(argv[3]);
    bool more = strcmp(what, "more") == 0;
    alarm(SECONDS);
    if (strcmp(what, "echoed") == 0)
        echoed(ip, port);
    else if (strcmp(what, "hurried") == 0)
        hurried_alone(ip, port);
    else if (strcmp(what, "spread") == 0)
        spread(ip, port);
    else if (more || strcmp(what, "run") == 0)
        course(ip, port, more);
    else
        return 2;
    return 0;
}
