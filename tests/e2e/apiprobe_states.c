/* SPDX-License-Identifier: Apache-2.0
 * Poll masks and errors by state. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static int so_error(int fd)
{
    int e = -1;
    socklen_t len = sizeof e;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
    return e;
}

static void fresh(void)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    char c;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say_mask("fresh mask", fd);
    say_ret("fresh read", read(fd, &c, 1));
    say_ret("fresh write", write(fd, "x", 1));
    say_ret("fresh shutdown", shutdown(fd, SHUT_WR));
    say_ret("fresh getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
    say_ret("fresh accept", accept(fd, NULL, NULL));
    close(fd);
    say_ret("closed read", read(fd, &c, 1));
}

static void listening(void)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    char c;
    int fd = listener(), second, n, got;
    say_mask("listening mask", fd);
    say_ret("listening read", read(fd, &c, 1));
    say_ret("listening write", write(fd, "x", 1));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say_ret("listening accept, none there", accept(fd, NULL, NULL));
    fcntl(fd, F_SETFL, 0);
    second = socket(AF_INET, SOCK_STREAM, 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    say("listening name: %s:%s", inet_ntoa(a.sin_addr), ntohs(a.sin_port) == own_port ? "own" : "other");
    say_ret("bind twice", bind(second, (struct sockaddr *)&a, sizeof a));
    close(second);
    n = peer_dials();
    until(fd, POLLIN);
    say_mask("pending mask", fd);
    len = sizeof a;
    got = accept4(fd, (struct sockaddr *)&a, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    say("accept: %s, from the peer %d, nonblock %d, cloexec %d", got >= 0 ? "ok" : strerrorname_np(errno),
        strcmp(inet_ntoa(a.sin_addr), peer_addr) == 0, (fcntl(got, F_GETFL) & O_NONBLOCK) != 0, fcntl(got, F_GETFD));
    say_mask("listening again mask", fd);
    say_mask("accepted mask", got);
    say_ret("accepted read, none there", read(got, &c, 1));
    peer("close %d", n);
    until(got, POLLIN);
    close(got);
    close(fd);
    fd = listener();
    say("close and listen again: ok");
    close(fd);
}

static void refused(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(peer_port + 1))};
    char c;
    inet_pton(AF_INET, peer_addr, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say_ret("refused connect", connect(fd, (struct sockaddr *)&a, sizeof a));
    say("refused SO_ERROR after connect told it: %d", so_error(fd));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say_ret("refused connect, nonblocking", connect(fd, (struct sockaddr *)&a, sizeof a));
    until(fd, POLLHUP);
    say_mask("refused mask", fd);
    say("refused SO_ERROR: %s", strerrorname_np(so_error(fd)));
    say("refused SO_ERROR again: %d", so_error(fd));
    say_mask("refused mask, error taken", fd);
    say_ret("refused read", read(fd, &c, 1));
    say_ret("refused write", write(fd, "x", 1));
    close(fd);
}

static void established(void)
{
    char buf[64];
    int n, fd = dial(&n), q;
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    say_mask("idle mask", fd);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say_ret("idle read", read(fd, buf, sizeof buf));
    say_ret("idle connect", connect(fd, (struct sockaddr *)&a, (getpeername(fd, (struct sockaddr *)&a, &len), len)));
    peer("send %d 10", n);
    until(fd, POLLIN);
    say_mask("data mask", fd);
    say_ret("data read part", read(fd, buf, 4));
    say_mask("data mask, rest unread", fd);
    ioctl(fd, FIONREAD, &q);
    say("FIONREAD: %d", q);
    say_ret("data read rest", read(fd, buf, sizeof buf));
    say_mask("data mask, all read", fd);
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    say_mask("peer FIN mask", fd);
    say_ret("peer FIN read", read(fd, buf, sizeof buf));
    say_ret("peer FIN write", write(fd, "xyz", 3));
    say("peer reads: %d", peer("read %d 3", n));
    shutdown(fd, SHUT_WR);
    until(fd, POLLHUP);
    say_mask("both shut mask", fd);
    say("peer reads to the end: %d", peer("eof %d", n));
    say_ret("both shut write", write(fd, "x", 1));
    close(fd);
}

static void half_closed(void)
{
    char buf[64];
    int n, fd = dial(&n);
    say_ret("shutdown WR", shutdown(fd, SHUT_WR));
    say("peer sees the end: %d", peer("eof %d", n));
    say_mask("shutdown WR mask", fd);
    say_ret("shutdown WR write", write(fd, "x", 1));
    peer("send %d 5", n);
    until(fd, POLLIN);
    say_ret("shutdown WR read", read(fd, buf, sizeof buf));
    peer("close %d", n);
    until(fd, POLLHUP);
    say_mask("shutdown WR, then peer FIN mask", fd);
    close(fd);
    fd = dial(&n);
    say_ret("shutdown RD", shutdown(fd, SHUT_RD));
    say_mask("shutdown RD mask", fd);
    say_ret("shutdown RD read", read(fd, buf, sizeof buf));
    say_ret("shutdown RD write", write(fd, "x", 1));
    say_ret("shutdown RDWR", shutdown(fd, SHUT_RDWR));
    say_mask("shutdown RDWR mask", fd);
    say_ret("shutdown bad how", shutdown(fd, 7));
    close(fd);
}

static void reset(void)
{
    char buf[64];
    int n, fd = dial(&n);
    peer("rst %d", n);
    until(fd, POLLHUP);
    say_mask("reset mask", fd);
    say("reset SO_ERROR: %s", strerrorname_np(so_error(fd)));
    say_mask("reset mask, error taken", fd);
    say_ret("reset read", read(fd, buf, sizeof buf));
    say_ret("reset write", write(fd, "x", 1));
    close(fd);
    fd = dial(&n);
    peer("rst %d", n);
    until(fd, POLLHUP);
    say_ret("reset, first read", read(fd, buf, sizeof buf));
    say_ret("reset, second read", read(fd, buf, sizeof buf));
    close(fd);
}

static void urgent(void)
{
    char c = 0;
    int n, fd = dial(&n);
    peer("oob %d", n);
    until(fd, POLLPRI);
    say_mask("urgent mask", fd);
    say_ret("urgent recv", recv(fd, &c, 1, MSG_OOB));
    say("urgent byte: %c", c);
    say_mask("urgent mask, byte taken", fd);
    say_ret("urgent recv again", recv(fd, &c, 1, MSG_OOB));
    close(fd);
}

void probe_states(void)
{
    fresh();
    listening();
    refused();
    established();
    half_closed();
    reset();
    urgent();
}
