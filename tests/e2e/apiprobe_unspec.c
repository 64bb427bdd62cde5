/* SPDX-License-Identifier: Apache-2.0
 * connect() to no address family in every state: what the socket then is, what the peer is told, and that it can be used anew. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static int disconnect(int fd)
{
    struct sockaddr a = {.sa_family = AF_UNSPEC};
    return connect(fd, &a, sizeof a);
}

static int again(int fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port)};
    inet_pton(AF_INET, peer_addr, &a.sin_addr);
    return connect(fd, (struct sockaddr *)&a, sizeof a);
}

static int connect_nobody(int fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = inet_addr("10.77.0.99")};
    return connect(fd, (struct sockaddr *)&a, sizeof a);
}

static void look(int fd)
{
    struct sockaddr_in a = {0};
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    int unread = -1;
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    say("  state %d", info.tcpi_state);
    say_mask("  mask", fd);
    len = sizeof a;
    say_ret("  getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
    len = sizeof a;
    memset(&a, 0, sizeof a);
    getsockname(fd, (struct sockaddr *)&a, &len);
    say("  getsockname: an address %d, a port %d",
        a.sin_addr.s_addr == inet_addr(own_addr) ? 2 : a.sin_addr.s_addr != 0,
        a.sin_port == htons((uint16_t)own_port) ? 2 : a.sin_port != 0);
    ioctl(fd, FIONREAD, &unread);
    say("  FIONREAD %d", unread);
}

/* The calls that tell of the error, in the order of `calls`. */
static void use(int fd, const char *calls)
{
    char c;
    int err;
    socklen_t len = sizeof err;
    for (; *calls; calls++) {
        if (*calls == 'r')
            say_ret("  read", recv(fd, &c, 1, MSG_DONTWAIT));
        else if (*calls == 'w')
            say_ret("  write", send(fd, "x", 1, MSG_DONTWAIT));
        else if (*calls == 'e')
            say_ret("  SO_ERROR", getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? -1 : err);
        else if (*calls == 'o')
            say_ret("  OOB", recv(fd, &c, 1, MSG_OOB));
        else if (*calls == 'a')
            say_ret("  accept", accept(fd, NULL, NULL));
        else if (*calls == 'd')
            say_ret("  once more", disconnect(fd));
    }
    say_mask("  mask", fd);
}

/* Bytes both ways over a new connection of the same socket. */
static void anew(int fd)
{
    char buf[8] = "";
    int n, flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    say_ret("  connect anew", again(fd));
    n = peer("accept");
    say_mask("  mask", fd);
    say_ret("  send", send(fd, "hello", 5, 0));
    say("  the peer reads %d", peer("read %d 5", n));
    peer("send %d 3", n);
    say_ret("  read", recv(fd, buf, 3, MSG_WAITALL));
    say("  %s", buf);
    look(fd);
    peer("fin %d", n);
    say_ret("  end of file", recv(fd, buf, 1, 0));
    close(fd);
    peer("close %d", n);
}

static void part(int fd, int n)
{
    say_ret("  disconnect", disconnect(fd));
    say("  the peer is told %d", peer("end %d", n));
}

static void established(const char *calls)
{
    int n, fd = dial(&n);
    say("ESTABLISHED, then %s", calls);
    part(fd, n);
    look(fd);
    use(fd, calls);
    anew(fd);
}

/* Until neither the peer nor the send buffer takes any more. */
static void fill(int fd)
{
    static char big[65536];
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    do
        while (send(fd, big, sizeof big, 0) > 0)
            ;
    while (poll(&p, 1, 300) > 0);
}

static void with_data(void)
{
    int n, fd = dial(&n);
    say("data unread");
    peer("send %d 5", n);
    peer("oob %d", n);
    until(fd, POLLIN | POLLPRI);
    part(fd, n);
    look(fd);
    use(fd, "orre");
    anew(fd);
    say("data unsent");
    fd = dial(&n);
    fill(fd);
    part(fd, n);
    look(fd);
    use(fd, "wwre");
    anew(fd);
}

static void closing(void)
{
    int n, fd = dial(&n);
    say("LAST_ACK, with data unsent");
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    fill(fd);
    shutdown(fd, SHUT_WR);
    part(fd, n);
    use(fd, "ewr");
    anew(fd);
    say("FIN_WAIT2");
    fd = dial(&n);
    shutdown(fd, SHUT_WR);
    peer("eof %d", n);
    part(fd, n);
    look(fd);
    use(fd, "re");
    anew(fd);
    say("SHUT_RD");
    fd = dial(&n);
    shutdown(fd, SHUT_RD);
    part(fd, n);
    use(fd, "wr");
    anew(fd);
    say("CLOSE_WAIT");
    fd = dial(&n);
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    part(fd, n);
    look(fd);
    use(fd, "ewr");
    anew(fd);
    say("TIME_WAIT");
    fd = dial(&n);
    shutdown(fd, SHUT_WR);
    peer("eof %d", n);
    peer("fin %d", n);
    until(fd, POLLHUP);
    say_ret("  disconnect", disconnect(fd));
    look(fd);
    use(fd, "erw");
    anew(fd);
    say("closed by both, the peer first");
    fd = dial(&n);
    peer("fin %d", n);
    until(fd, POLLRDHUP);
    shutdown(fd, SHUT_WR);
    peer("eof %d", n);
    until(fd, POLLHUP);
    say_ret("  disconnect", disconnect(fd));
    look(fd);
    use(fd, "erw");
    anew(fd);
}

static void after_reset(void)
{
    int n, fd = dial(&n);
    say("reset by the peer");
    peer("rst %d", n);
    until(fd, POLLHUP);
    say_ret("  disconnect", disconnect(fd));
    look(fd);
    use(fd, "rrw");
    anew(fd);
    fd = dial(&n);
    say("reset by the peer, told");
    peer("rst %d", n);
    until(fd, POLLHUP);
    use(fd, "r");
    say_ret("  disconnect", disconnect(fd));
    look(fd);
    use(fd, "rwe");
    anew(fd);
}

static void unconnected(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)own_port)};
    struct sockaddr_in nobody = {.sin_family = AF_INET};
    say("fresh");
    say_ret("  a family too short", connect(fd, (struct sockaddr *)&a, 1));
    say_ret("  disconnect", disconnect(fd));
    look(fd);
    use(fd, "redd");
    anew(fd);
    say("bound");
    fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, own_addr, &a.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    say_ret("  bind", bind(fd, (struct sockaddr *)&a, sizeof a));
    say_ret("  disconnect", disconnect(fd));
    look(fd);
    say_ret("  bind", bind(fd, (struct sockaddr *)&a, sizeof a));
    anew(fd);
    say("refused");
    fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, peer_addr, &nobody.sin_addr);
    nobody.sin_port = htons(9);
    say_ret("  connect", connect(fd, (struct sockaddr *)&nobody, sizeof nobody));
    say_ret("  disconnect", disconnect(fd));
    look(fd);
    use(fd, "rwe");
    anew(fd);
    say("SYN_SENT");
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say_ret("  connect", connect_nobody(fd));
    say_ret("  disconnect", disconnect(fd));
    look(fd);
    use(fd, "rwe");
    anew(fd);
}

/* A socket that was bound to a port of its choice keeps it; one that was not has none afterwards. */
static void bound(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)own_port)};
    int n, one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    say("bound to a port, connected");
    inet_pton(AF_INET, own_addr, &a.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bind(fd, (struct sockaddr *)&a, sizeof a);
    again(fd);
    n = peer("accept");
    part(fd, n);
    look(fd);
    say_ret("  listen", listen(fd, 3));
    look(fd);
    n = peer_dials();
    until(fd, POLLIN);
    int got = accept(fd, NULL, NULL);
    peer("send %d 1", n);
    say_ret("  accepted reads", recv(got, (char[1]){0}, 1, 0));
    close(got);
    peer("close %d", n);
    say_ret("  disconnect the listener", disconnect(fd));
    look(fd);
    anew(fd);
    say("bound to any port, connected");
    fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_port = 0;
    bind(fd, (struct sockaddr *)&a, sizeof a);
    again(fd);
    n = peer("accept");
    part(fd, n);
    look(fd);
    anew(fd);
}

static void listening(void)
{
    int n, fd = listener();
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)own_port)};
    say("LISTEN");
    n = peer_dials();
    until(fd, POLLIN);
    say_ret("  disconnect", disconnect(fd));
    say("  who waited is told %d", peer("end %d", n));
    look(fd);
    use(fd, "arwe");
    inet_pton(AF_INET, own_addr, &a.sin_addr);
    say_ret("  bind", bind(fd, (struct sockaddr *)&a, sizeof a));
    say_ret("  listen", listen(fd, 3));
    look(fd);
    n = peer_dials();
    until(fd, POLLIN);
    int got = accept(fd, NULL, NULL);
    say_ret("  accept", got < 0 ? got : 0);
    say_ret("  disconnect what was accepted", disconnect(got));
    say("  the peer is told %d", peer("end %d", n));
    look(got);
    say_ret("  disconnect", disconnect(fd));
    anew(got);
    anew(fd);
}

static void in_sets(void)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET}, out = {0};
    int n, fd = dial(&n), copy = dup(fd), edge = epoll_create1(0), level = epoll_create1(0);
    say("in epoll sets, with a copy");
    epoll_ctl(edge, EPOLL_CTL_ADD, fd, &ev);
    ev.events = EPOLLIN | EPOLLRDHUP;
    epoll_ctl(level, EPOLL_CTL_ADD, fd, &ev);
    epoll_wait(edge, &out, 1, 0);
    say_ret("  disconnect the copy", disconnect(copy));
    out.events = 0;
    int rc = epoll_wait(edge, &out, 1, 5000);
    say("  edge: %d %s", rc, events_text(out.events));
    rc = epoll_wait(edge, &out, 1, 0);
    say("  edge again: %d", rc);
    out.events = 0;
    rc = epoll_wait(level, &out, 1, 5000);
    say("  level: %d %s", rc, events_text(out.events));
    use(fd, "e");
    close(copy);
    peer("end %d", n);
    say_ret("  connect anew", again(fd));
    n = peer("accept");
    peer("send %d 2", n);
    until(fd, POLLIN);
    out.events = 0;
    epoll_wait(edge, &out, 1, 5000);
    say("  edge: %s", events_text(out.events));
    out.events = 0;
    epoll_wait(level, &out, 1, 5000);
    say("  level: %s", events_text(out.events));
    close(fd);
    close(edge);
    close(level);
    peer("end %d", n);
}

struct blocked {
    int fd;
    _Atomic pid_t tid;
    const char *how;
    ssize_t r;
    int err;
};

static void *block(void *arg)
{
    static char big[1 << 20];
    struct blocked *b = arg;
    b->tid = gettid();
    if (*b->how == 'c')
        b->r = connect_nobody(b->fd);
    else if (*b->how == 'r')
        b->r = recv(b->fd, big, 1, 0);
    else if (*b->how == 'a')
        b->r = accept(b->fd, NULL, NULL);
    else
        do
            b->r = send(b->fd, big, sizeof big, MSG_NOSIGNAL);
        while (b->r > 0);
    b->err = errno;
    return NULL;
}

/* A thread that sleeps in a call meanwhile. */
static void others_sleep(const char *how)
{
    pthread_t t;
    int n = -1;
    struct blocked b = {.how = how};
    b.fd = *how == 'a' ? listener() : *how == 'c' ? socket(AF_INET, SOCK_STREAM, 0) : dial(&n);
    say("another thread in %s", how);
    pthread_create(&t, NULL, block, &b);
    until_asleep(&b.tid);
    say_ret("  disconnect", disconnect(b.fd));
    pthread_join(t, NULL);
    say("  it has %zd %s", b.r > 0 ? 1 : b.r, b.r < 0 ? strerrorname_np(b.err) : "");
    if (n >= 0)
        peer("end %d", n);
    use(b.fd, "e");
    anew(b.fd);
}

/* bind() to no family: the wildcard address, or nothing. */
static void bind_to(const char *name, int family, const char *addr, int after)
{
    struct sockaddr_in6 a = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&a;
    int n = -1, fd = socket(family, SOCK_STREAM, 0);
    in->sin_addr.s_addr = inet_addr(addr);
    say("bind to no family, %s", name);
    if (after)
        say_ret("  connect", again(fd));
    say_ret("  bind", bind(fd, (struct sockaddr *)&a, family == AF_INET ? sizeof *in : sizeof a));
    if (family == AF_INET && !after)
        say_ret("  connect", again(fd));
    if (family == AF_INET)
        n = peer("accept");
    look(fd);
    close(fd);
    if (n >= 0)
        peer("end %d", n);
}

void probe_unspec(void)
{
    bind_to("any address", AF_INET, "0.0.0.0", 0);
    bind_to("an address", AF_INET, own_addr, 0);
    bind_to("connected", AF_INET, "0.0.0.0", 1);
    bind_to("IPv6", AF_INET6, "0.0.0.0", 0);
    unconnected();
    established("rrwwe");
    established("wwre");
    established("ere");
    established("dd");
    established("");
    with_data();
    closing();
    after_reset();
    bound();
    listening();
    in_sets();
    others_sleep("recv");
    others_sleep("send");
    others_sleep("accept");
    others_sleep("connect");
}
