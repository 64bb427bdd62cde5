/* SPDX-License-Identifier: Apache-2.0
 * Calls that wait: what ends the waiting, and what they answer then. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static pthread_t waiting;
static volatile sig_atomic_t signals;
static atomic_bool waited;

static void count_signal(int sig)
{
    signals++;
}

/* What happens after the main thread has begun to wait, most likely: a command to the peer. Before it with '~' a few signals, with
 * '!' as many as it takes to end the waiting. Each result is the same when all comes too early. */
static void *later(void *arg)
{
    const struct timespec a_while = {.tv_nsec = 50000000};
    const char *command = arg;
    for (int i = 0; (*command == '!' && !waited) || (*command == '~' && i < 3); i++) {
        nanosleep(&a_while, NULL);
        pthread_kill(waiting, SIGUSR1);
    }
    command += *command == '!' || *command == '~';
    if (*command) {
        nanosleep(&a_while, NULL);
        peer("%s", command);
    }
    return NULL;
}

static pthread_t after(const char *command)
{
    pthread_t t;
    waiting = pthread_self();
    waited = false;
    pthread_create(&t, NULL, later, (void *)command);
    return t;
}

/* The waiting is over: answers what the call did. */
static long over(pthread_t t, long result)
{
    int err = errno;
    waited = true;
    pthread_join(t, NULL);
    errno = err;
    return result;
}

static void patience(int fd, int option, long ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, option, &tv, sizeof tv);
}

static void on_signal(int flags)
{
    struct sigaction sa = {.sa_handler = count_signal, .sa_flags = flags};
    sigaction(SIGUSR1, &sa, NULL);
    signals = 0;
}

/* recv that waits, ended by what the peer does, with a signal in between. */
static void wait_recv(const char *name, const char *what, int size, int flags, int sa_flags, int timeout)
{
    char buf[64], command[32];
    int n, fd = dial(&n);
    snprintf(command, sizeof command, what, n);
    on_signal(sa_flags);
    if (timeout)
        patience(fd, SO_RCVTIMEO, timeout);
    pthread_t t = after(command);
    say_ret(name, over(t, recv(fd, buf, (size_t)size, flags)));
    say("  signals: %d", signals > 0);
    close(fd);
}

static void receiving(void)
{
    wait_recv("recv, data", "send %d 5", 10, 0, 0, 0);
    wait_recv("recv, FIN", "fin %d", 10, 0, 0, 0);
    wait_recv("recv, RST", "rst %d", 10, 0, 0, 0);
    wait_recv("recv, signal", "!", 10, 0, 0, 0);
    wait_recv("recv, signals that restart", "~send %d 5", 10, 0, SA_RESTART, 0);
    wait_recv("recv with a time-out, signal that restarts", "!", 10, 0, SA_RESTART, 5000);
    wait_recv("recv WAITALL, data that do not suffice, time-out", "send %d 5", 10, MSG_WAITALL, 0, 1500);
    wait_recv("recv WAITALL, RST", "rst %d", 10, MSG_WAITALL, 0, 0);
    wait_recv("recv PEEK, FIN", "fin %d", 10, MSG_PEEK, 0, 0);
    wait_recv("recv PEEK WAITALL, data", "send %d 10", 10, MSG_PEEK | MSG_WAITALL, 0, 0);
    wait_recv("recv OOB, none", "send %d 5", 1, MSG_OOB, 0, 0);
}

static void partly(void)
{
    char buf[64];
    int n, fd = dial(&n);
    peer("send %d 5", n);
    until(fd, POLLIN);
    on_signal(0);
    pthread_t t = after("!");
    say_ret("recv WAITALL, some, signal", over(t, recv(fd, buf, 10, MSG_WAITALL)));
    peer("send %d 5", n);
    until(fd, POLLIN);
    peer("rst %d", n);
    until(fd, POLLHUP);
    say_ret("recv WAITALL, some, reset", recv(fd, buf, 10, MSG_WAITALL));
    say_ret("recv after it", recv(fd, buf, 10, MSG_WAITALL));
    say_ret("recv after that", recv(fd, buf, 10, MSG_WAITALL));
    close(fd);
}

/* A write that waits for room. */
static void wait_send(const char *name, const char *what, int timeout)
{
    static char block[16 << 20];
    char command[32];
    int n, fd = dial(&n);
    snprintf(command, sizeof command, what, n);
    on_signal(0);
    if (timeout)
        patience(fd, SO_SNDTIMEO, timeout);
    pthread_t t = after(command);
    ssize_t r = send(fd, block, sizeof block, 0);
    if (strncmp(what, "rst", 3) == 0)
        while (r > 0)
            r = send(fd, block, sizeof block, 0);
    r = over(t, r);
    say("%s: %s", name, r < 0 ? strerrorname_np(errno) : r < (ssize_t)sizeof block ? "some" : "all");
    if (r < 0)
        say_ret("  and then", send(fd, block, 1, 0));
    close(fd);
}

static void sending(void)
{
    wait_send("send, time-out", "", 200);
    wait_send("send, signal", "!", 0);
    wait_send("send, RST", "rst %d", 0);
}

static void accepting(void)
{
    int fd = listener();
    patience(fd, SO_RCVTIMEO, 100);
    say_ret("accept, time-out", accept(fd, NULL, NULL));
    on_signal(SA_RESTART);
    patience(fd, SO_RCVTIMEO, 5000);
    pthread_t t = after("!");
    say_ret("accept with a time-out, signal that restarts", over(t, accept(fd, NULL, NULL)));
    patience(fd, SO_RCVTIMEO, 0);
    on_signal(0);
    t = after("!");
    say_ret("accept, signal", over(t, accept(fd, NULL, NULL)));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    say_ret("accept without listen", accept(fd, NULL, NULL));
    close(fd);
}

/* An address of the network that nobody has. */
static struct sockaddr_in nobody(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port)};
    inet_pton(AF_INET, peer_addr, &a.sin_addr);
    a.sin_addr.s_addr = htonl((ntohl(a.sin_addr.s_addr) & ~0xffu) | 0xee);
    return a;
}

static int so_error(int fd)
{
    int e = -1;
    socklen_t len = sizeof e;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
    return e;
}

static void connecting(void)
{
    struct sockaddr_in a = nobody(), name;
    struct tcp_info info;
    char c;
    socklen_t len = sizeof info;
    int q = -1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say_ret("connect", connect(fd, (struct sockaddr *)&a, sizeof a));
    say_ret("connect again", connect(fd, (struct sockaddr *)&a, sizeof a));
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    say("connecting: state %d, SO_ERROR %d", info.tcpi_state, so_error(fd));
    say_mask("connecting", fd);
    len = sizeof name;
    say_ret("connecting: getpeername", getpeername(fd, (struct sockaddr *)&name, &len));
    len = sizeof name;
    say_ret("connecting: getsockname", getsockname(fd, (struct sockaddr *)&name, &len));
    say_ret("connecting: recv", recv(fd, &c, 1, 0));
    say_ret("connecting: send", send(fd, "x", 1, 0));
    say_ret("connecting: FIONREAD", ioctl(fd, FIONREAD, &q));
    say_ret("connecting: listen", listen(fd, 1));
    say_ret("connecting: shutdown RDWR", shutdown(fd, SHUT_RDWR));
    say_mask("connecting, shut down", fd);
    say("connecting, shut down: SO_ERROR %d", so_error(fd));
    say_ret("connecting, shut down: recv", recv(fd, &c, 1, 0));
    say_ret("connecting, shut down: send", send(fd, "x", 1, 0));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    patience(fd, SO_SNDTIMEO, 100);
    say_ret("connect, time-out", connect(fd, (struct sockaddr *)&a, sizeof a));
    say_ret("connect after its time-out", connect(fd, (struct sockaddr *)&a, sizeof a));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    on_signal(0);
    pthread_t t = after("!");
    say_ret("connect, signal", over(t, connect(fd, (struct sockaddr *)&a, sizeof a)));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say_ret("connect after its signal", connect(fd, (struct sockaddr *)&a, sizeof a));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    say_ret("connect to nobody", connect(fd, (struct sockaddr *)&a, sizeof a));
    say("to nobody: SO_ERROR %d", so_error(fd));
    say_ret("to nobody: recv", recv(fd, &c, 1, 0));
    say_ret("to nobody: send", send(fd, "x", 1, 0));
    close(fd);
}

/* connect to the peer, from the first call to the last. */
static void connected(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port)};
    struct sockaddr_in none = {.sin_family = AF_UNSPEC}, other = {.sin_family = AF_INET6};
    inet_pton(AF_INET, peer_addr, &a.sin_addr);
    int n, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say_ret("connect, too short", connect(fd, (struct sockaddr *)&a, 4));
    say_ret("connect, another family", connect(fd, (struct sockaddr *)&other, sizeof other));
    say_ret("connect", connect(fd, (struct sockaddr *)&a, sizeof a));
    n = peer("accept");
    until(fd, POLLOUT);
    say("connected: SO_ERROR %d", so_error(fd));
    say_ret("connect, once more", connect(fd, (struct sockaddr *)&a, sizeof a));
    say_ret("connect, and again", connect(fd, (struct sockaddr *)&a, sizeof a));
    say_ret("listen", listen(fd, 1));
    say_ret("bind", bind(fd, (struct sockaddr *)&a, sizeof a));
    say_ret("accept", accept(fd, NULL, NULL));
    say_ret("connect, no family", connect(fd, (struct sockaddr *)&none, sizeof none));
    say_mask("disconnected", fd);
    say("the peer is told %d", peer("end %d", n));
    say_ret("disconnected: recv", recv(fd, (char[1]){0}, 1, 0));
    say_ret("connect anew", connect(fd, (struct sockaddr *)&a, sizeof a));
    n = peer("accept");
    until(fd, POLLOUT);
    say_ret("send", send(fd, "abc", 3, 0));
    close(fd);
    say("the peer reads %d", peer("eof %d", n));
    fd = listener();
    say_ret("connect a listener", connect(fd, (struct sockaddr *)&a, sizeof a));
    close(fd);
}

/* Refused, and what further calls of connect say. */
static void refused(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(peer_port + 1))};
    inet_pton(AF_INET, peer_addr, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say_ret("refused", connect(fd, (struct sockaddr *)&a, sizeof a));
    until(fd, POLLHUP);
    say_ret("refused, connect", connect(fd, (struct sockaddr *)&a, sizeof a));
    say_ret("refused, connect again", connect(fd, (struct sockaddr *)&a, sizeof a));
    until(fd, POLLHUP);
    say("refused, SO_ERROR %d", so_error(fd));
    say_ret("refused, told, connect", connect(fd, (struct sockaddr *)&a, sizeof a));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    say_ret("refused, waiting", connect(fd, (struct sockaddr *)&a, sizeof a));
    say_mask("refused, waiting", fd);
    say("refused, waiting: SO_ERROR %d", so_error(fd));
    say_ret("refused, waiting: recv", recv(fd, (char[1]){0}, 1, 0));
    say_ret("refused, waiting: send", send(fd, "x", 1, 0));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say_ret("refused, later", connect(fd, (struct sockaddr *)&a, sizeof a));
    until(fd, POLLHUP);
    say_ret("refused, send first", send(fd, "x", 1, 0));
    say_ret("refused, then recv", recv(fd, (char[1]){0}, 1, 0));
    say_ret("refused, then shutdown", shutdown(fd, SHUT_WR));
    say_ret("refused, then listen", listen(fd, 1));
    close(fd);
}

void probe_block(void)
{
    receiving();
    partly();
    sending();
    accepting();
    connecting();
    connected();
    refused();
}
