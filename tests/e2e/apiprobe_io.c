/* SPDX-License-Identifier: Apache-2.0
 * Flags of the read and write families, full buffers, sendfile, SIGPIPE. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static volatile sig_atomic_t pipes;

static void count_pipe(int sig)
{
    pipes++;
}

static void flags(void)
{
    char buf[64];
    struct iovec iov[2] = {{buf, 3}, {buf + 3, 50}};
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = iov, .msg_iovlen = 2};
    int n, fd = dial(&n);
    say_ret("recv DONTWAIT", recv(fd, buf, sizeof buf, MSG_DONTWAIT));
    peer("send %d 10", n);
    until(fd, POLLIN);
    say_ret("recv PEEK", recv(fd, buf, 4, MSG_PEEK));
    say_ret("recv PEEK more", recv(fd, buf, sizeof buf, MSG_PEEK));
    say_ret("recv TRUNC", recv(fd, NULL, 2, MSG_TRUNC));
    say_ret("readv", readv(fd, (struct iovec[]){{buf, 1}, {buf, 1}}, 2));
    say_ret("recvfrom", recvfrom(fd, buf, 2, 0, (struct sockaddr *)&from, &len));
    say("recvfrom address length: %u", len);
    say_ret("recvmsg", recvmsg(fd, &m, 0));
    say("recvmsg name length %u, flags %x", m.msg_namelen, (unsigned)m.msg_flags);
    peer("send %d 20", n);
    say_ret("recv WAITALL", recv(fd, buf, 20, MSG_WAITALL));
    peer("send %d 5", n);
    peer("fin %d", n);
    say_ret("recv WAITALL, then end", recv(fd, buf, 20, MSG_WAITALL));
    say_ret("recv at end", recv(fd, buf, 20, 0));
    say_ret("recv of nothing at end", recv(fd, buf, 0, 0));
    say_ret("writev", writev(fd, (struct iovec[]){{"ab", 2}, {"cde", 3}}, 2));
    say_ret("sendto with address", sendto(fd, "fg", 2, 0, (struct sockaddr *)&from, sizeof(struct sockaddr_in)));
    say_ret("send MORE", send(fd, "h", 1, MSG_MORE));
    say_ret("send of nothing", send(fd, "", 0, 0));
    close(fd);
    say("peer got: %d", peer("eof %d", n));
    say_ret("pread", pread(fd = dial(&n), buf, 1, 0));
    say_ret("lseek", lseek(fd, 0, SEEK_SET));
    close(fd);
}

static void full(void)
{
    static char block[65536];
    long sent = 0;
    ssize_t r;
    struct pollfd p;
    int n, fd = dial(&n);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    /* What the peer's kernel can take is still on its way for a while: until nothing moves. */
    do {
        while ((r = write(fd, block, sizeof block)) > 0)
            sent += r;
        p = (struct pollfd){.fd = fd, .events = POLLOUT};
    } while (poll(&p, 1, 300) > 0);
    say("full: %s", sent > 100000 ? "took more than 100000 bytes" : "took little");
    say("full write: %s", strerrorname_np(errno));
    say_mask("full mask", fd);
    peer("read %d %ld", n, sent - 10);
    until(fd, POLLOUT);
    say_mask("drained mask", fd);
    say_ret("drained write", write(fd, "x", 1));
    close(fd);
    say("peer got the rest: %d", peer("eof %d", n));
}

static void send_file(void)
{
    static char data[300000];
    off_t off = 1000;
    int n, fd = dial(&n), mem = memfd_create("apiprobe", 0);
    if (write(mem, data, sizeof data) != sizeof data)
        say("memfd: %s", strerrorname_np(errno));
    say_ret("sendfile at offset", sendfile(fd, mem, &off, 5000));
    say("sendfile offset: %ld, position: %ld", (long)off, (long)lseek(mem, 0, SEEK_CUR));
    lseek(mem, 0, SEEK_SET);
    say_ret("sendfile from position", sendfile(fd, mem, NULL, 1000));
    say("sendfile position: %ld", (long)lseek(mem, 0, SEEK_CUR));
    say_ret("sendfile past the end", sendfile(fd, mem, (off_t[]){299990}, 1000));
    say_ret("sendfile at the end", sendfile(fd, mem, (off_t[]){300000}, 1000));
    /* No more than surely fits while the peer does not read. */
    say_ret("sendfile much", sendfile(fd, mem, (off_t[]){0}, 100000));
    say("peer got: %d", peer("read %d %d", n, 5000 + 1000 + 10 + 100000));
    say_ret("sendfile from a socket", sendfile(fd, fd, NULL, 10));
    shutdown(fd, SHUT_WR);
    say_ret("sendfile after shutdown", sendfile(fd, mem, (off_t[]){0}, 10));
    close(mem);
    close(fd);
}

static void sigpipe(void)
{
    int n, fd = dial(&n);
    shutdown(fd, SHUT_WR);
    signal(SIGPIPE, count_pipe);
    say_ret("EPIPE write", write(fd, "x", 1));
    say("SIGPIPE: %d", (int)pipes);
    say_ret("EPIPE send NOSIGNAL", send(fd, "x", 1, MSG_NOSIGNAL));
    say("SIGPIPE: %d", (int)pipes);
    signal(SIGPIPE, SIG_IGN);
    close(fd);
}

static void timeouts(void)
{
    char c;
    struct timeval tv = {.tv_usec = 20000}, got;
    socklen_t len = sizeof got;
    int n, fd = dial(&n);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len);
    say("RCVTIMEO reads back: %ld us", (long)got.tv_usec);
    say_ret("read with RCVTIMEO", read(fd, &c, 1));
    close(fd);
}

static void selects(void)
{
    fd_set in, out, ex;
    struct timeval now = {0};
    int n, fd = dial(&n), p[2];
    if (pipe(p) < 0)
        return;
    peer("send %d 3", n);
    until(fd, POLLIN);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&ex);
    FD_SET(fd, &in);
    FD_SET(p[0], &in);
    FD_SET(fd, &out);
    FD_SET(p[1], &out);
    FD_SET(fd, &ex);
    say_ret("select", select((fd > p[1] ? fd : p[1]) + 1, &in, &out, &ex, &now));
    say("select: socket in %d out %d ex %d, pipe in %d out %d", FD_ISSET(fd, &in) != 0, FD_ISSET(fd, &out) != 0,
        FD_ISSET(fd, &ex) != 0, FD_ISSET(p[0], &in) != 0, FD_ISSET(p[1], &out) != 0);
    struct pollfd twice[4] = {{.fd = fd, .events = POLLIN}, {.fd = fd}, {.fd = -1, .revents = 7}, {.fd = 999}};
    say_ret("poll the same twice", poll(twice, 4, 0));
    say("poll: %s", events_text((unsigned)twice[0].revents));
    say("poll: %s", events_text((unsigned)twice[1].revents));
    say("poll: %s", events_text((unsigned)twice[2].revents));
    say("poll: %s", events_text((unsigned)twice[3].revents));
    close(p[0]);
    close(p[1]);
    close(fd);
}

void probe_io(void)
{
    flags();
    full();
    send_file();
    sigpipe();
    timeouts();
    selects();
}
