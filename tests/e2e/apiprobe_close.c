/* SPDX-License-Identifier: Apache-2.0
 * Every way to an end: what the calls answer after shutdowns, FINs and resets of either side. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static volatile sig_atomic_t pipes;

static void count_pipe(int sig)
{
    pipes++;
}

/* All that looks at a socket without changing it. */
static void look(const char *name, int fd)
{
    struct sockaddr_in a = {0};
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    int unread = -1, rc = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    say("%s: TCP_INFO %d, state %d", name, rc, info.tcpi_state);
    say_mask(name, fd);
    len = sizeof a;
    say_ret("  getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
    len = sizeof a;
    rc = getsockname(fd, (struct sockaddr *)&a, &len);
    say("  getsockname: %d, a port %d", rc, a.sin_port != 0);
    rc = ioctl(fd, FIONREAD, &unread);
    say("  FIONREAD: %d", rc < 0 ? -errno : unread);
}

/* All that uses it up: the error that waits is told by the first of `calls` that can. */
static void use(const char *name, int fd, const char *calls)
{
    char buf[16];
    int err = -1;
    socklen_t len = sizeof err;
    for (; *calls; calls++) {
        say("%s, %c:", name, *calls);
        pipes = 0;
        switch (*calls) {
        case 'r':
            say_ret("  read", recv(fd, buf, sizeof buf, MSG_DONTWAIT));
            break;
        case 'p':
            say_ret("  peek", recv(fd, buf, sizeof buf, MSG_DONTWAIT | MSG_PEEK));
            break;
        case 'w':
            say_ret("  write", send(fd, "x", 1, MSG_DONTWAIT));
            say("  SIGPIPE: %d", (int)pipes);
            break;
        case 'e':
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
            say("  SO_ERROR: %s", err ? strerrorname_np(err) : "0");
            break;
        case 'o':
            say_ret("  recv OOB", recv(fd, buf, 1, MSG_OOB | MSG_DONTWAIT));
            break;
        case 'R':
            say_ret("  shutdown RD", shutdown(fd, SHUT_RD));
            break;
        case 'W':
            say_ret("  shutdown WR", shutdown(fd, SHUT_WR));
            break;
        case 'B':
            say_ret("  shutdown RDWR", shutdown(fd, SHUT_RDWR));
            break;
        case 'a':
            say_ret("  accept", accept(fd, NULL, NULL));
            break;
        default:
            say_ret("  listen", listen(fd, 5));
        }
        say_mask("  mask", fd);
    }
}

/* The peer has read our end of file; its ACK may still be on the way. */
static void until_fin_wait2(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 || info.tcpi_state != TCP_FIN_WAIT1)
            return;
        poll(NULL, 0, 1);
    }
}

/* Both have said their FIN, we first: TIME_WAIT. */
static void we_first(void)
{
    int n, fd = dial(&n);
    shutdown(fd, SHUT_WR);
    peer("eof %d", n);
    until_fin_wait2(fd);
    look("FIN_WAIT2", fd);
    use("FIN_WAIT2", fd, "rwepoW");
    peer("fin %d", n);
    until(fd, POLLHUP);
    look("TIME_WAIT", fd);
    use("TIME_WAIT", fd, "rwpeoRWBL");
    close(fd);
}

static void peer_first(void)
{
    int n, fd = dial(&n);
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    look("CLOSE_WAIT", fd);
    use("CLOSE_WAIT", fd, "rweporR");
    shutdown(fd, SHUT_WR);
    peer("eof %d", n);
    until(fd, POLLHUP);
    use("both closed, peer first", fd, "rwpeoRWB");
    close(fd);
}

/* The peer's reset, told in each order. */
static void peer_resets(const char *calls)
{
    int n, fd = dial(&n);
    peer("rst %d", n);
    until(fd, POLLHUP);
    look("reset", fd);
    use("reset", fd, calls);
    close(fd);
}

static void reset_after_data(const char *calls)
{
    int n, fd = dial(&n);
    peer("send %d 5", n);
    until(fd, POLLIN);
    peer("rst %d", n);
    until(fd, POLLHUP);
    look("reset with data unread", fd);
    use("reset with data unread", fd, calls);
    close(fd);
}

static void reset_after_fin(const char *calls)
{
    int n, fd = dial(&n);
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    peer("rst %d", n);
    until(fd, POLLHUP);
    look("reset in CLOSE_WAIT", fd);
    use("reset in CLOSE_WAIT", fd, calls);
    close(fd);
}

static void reset_in_fin_wait2(const char *calls)
{
    int n, fd = dial(&n);
    shutdown(fd, SHUT_WR);
    peer("eof %d", n);
    peer("rst %d", n);
    until(fd, POLLERR);
    look("reset in FIN_WAIT2", fd);
    use("reset in FIN_WAIT2", fd, calls);
    close(fd);
}

/* What the peer is told when we go. */
static void we_go(void)
{
    const struct linger at_once = {.l_onoff = 1};
    int n, fd = dial(&n);
    close(fd);
    say("closed: the peer is told %d", peer("end %d", n));
    fd = dial(&n);
    peer("send %d 5", n);
    until(fd, POLLIN);
    close(fd);
    say("closed with data unread: the peer is told %d", peer("end %d", n));
    fd = dial(&n);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    say("closed with a linger of 0: the peer is told %d", peer("end %d", n));
    fd = dial(&n);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    shutdown(fd, SHUT_WR);
    close(fd);
    say("shut down, closed with a linger of 0: the peer is told %d", peer("end %d", n));
    fd = dial(&n);
    peer("send %d 5", n);
    until(fd, POLLIN);
    shutdown(fd, SHUT_RDWR);
    say("shut down with data unread: the peer is told %d", peer("end %d", n));
    use("shut down with data unread", fd, "rre");
    close(fd);
}

/* Data that comes after we said that we want none. */
static void unwanted(void)
{
    int n, fd = dial(&n);
    shutdown(fd, SHUT_RD);
    peer("send %d 5", n);
    say_ret("SHUT_RD, then data: read", recv(fd, (char[8]){0}, 8, MSG_WAITALL));
    use("SHUT_RD, then data", fd, "rw");
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    use("SHUT_RD, then FIN", fd, "rew");
    close(fd);
    fd = dial(&n);
    shutdown(fd, SHUT_RDWR);
    peer("eof %d", n);
    peer("send %d 5", n);
    until(fd, POLLERR);
    look("SHUT_RDWR, then data", fd);
    use("SHUT_RDWR, then data", fd, "rewr");
    say("SHUT_RDWR, then data: the peer is told %d", peer("end %d", n));
    close(fd);
}

static void listeners(void)
{
    int n, fd = listener(), got;
    use("listener", fd, "WerL");
    n = peer_dials();
    until(fd, POLLIN);
    peer("rst %d", n);
    settle();
    got = accept(fd, NULL, NULL);
    say_ret("accept of what was reset", got < 0 ? -1 : 0);
    use("accepted, reset", got, "rrew");
    close(got);
    use("listener", fd, "R");
    look("listener, SHUT_RD", fd);
    use("listener, SHUT_RD", fd, "arwLR");
    close(fd);
    fd = listener();
    use("listener", fd, "BL");
    close(fd);
}

static void fresh_ones(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    look("fresh", fd);
    use("fresh", fd, "rwpeoaRWB");
    close(fd);
}

void probe_close(void)
{
    static const char *const orders[] = {"rwer", "wre", "erw", "pre", "RWre"};
    signal(SIGPIPE, count_pipe);
    fresh_ones();
    we_first();
    peer_first();
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        say("order %s", orders[i]);
        peer_resets(orders[i]);
        reset_after_data(orders[i]);
        reset_after_fin(orders[i]);
        reset_in_fin_wait2(orders[i]);
    }
    we_go();
    unwanted();
    listeners();
    signal(SIGPIPE, SIG_IGN);
}
