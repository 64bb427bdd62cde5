/* SPDX-License-Identifier: Apache-2.0
 * Urgent data: the mark, the byte beside the stream and within it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static void read_step(int fd, int flags)
{
    char buf[64];
    int at = -1, unread = -1;
    ioctl(fd, SIOCATMARK, &at);
    ioctl(fd, FIONREAD, &unread);
    say("  at mark: %d, FIONREAD: %d", at, unread);
    say_mask("  mask", fd);
    ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT | flags);
    say_ret(flags & MSG_PEEK ? "  peek" : flags & MSG_OOB ? "  recv OOB" : "  recv", n);
    for (ssize_t i = 0; i < n; i++)
        if (buf[i] == 'u')
            say("  the urgent byte is at %d", (int)i);
}

static void read_all(int fd, int steps)
{
    while (steps-- > 0)
        read_step(fd, 0);
}

/* 3 bytes, the urgent one, 2 bytes; all there before the first is read. */
static int mixed(int *n, int inlined)
{
    int fd = dial(n);
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &inlined, sizeof inlined);
    peer("send %d 3", *n);
    peer("oob %d", *n);
    peer("send %d 2", *n);
    settle();
    return fd;
}

static void beside(void)
{
    int n, fd = mixed(&n, 0);
    say("urgent, beside the stream");
    read_step(fd, MSG_PEEK);
    read_all(fd, 2);
    read_step(fd, MSG_OOB);
    read_step(fd, MSG_OOB);
    read_all(fd, 1);
    close(fd);
    fd = mixed(&n, 0);
    say("urgent, taken first");
    read_step(fd, MSG_OOB | MSG_PEEK);
    read_step(fd, MSG_OOB);
    read_all(fd, 3);
    close(fd);
}

static void within(void)
{
    int n, fd = mixed(&n, 1);
    say("urgent, in line");
    read_step(fd, MSG_OOB);
    read_all(fd, 3);
    close(fd);
}

/* Two urgent bytes: the first becomes one like others. */
static void twice(int inlined)
{
    int n, fd = dial(&n);
    say("urgent twice, in line %d", inlined);
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &inlined, sizeof inlined);
    peer("send %d 2", n);
    peer("oob %d", n);
    peer("send %d 2", n);
    peer("oob %d", n);
    peer("send %d 1", n);
    settle();
    read_all(fd, 4);
    close(fd);
}

static void none(void)
{
    int n, fd = dial(&n), at = -1;
    say("urgent, none");
    say_ret("recv OOB", recv(fd, (char[1]){0}, 1, MSG_OOB | MSG_DONTWAIT));
    say_ret("SIOCATMARK", ioctl(fd, SIOCATMARK, &at));
    say("at mark: %d", at);
    say_ret("sockatmark", sockatmark(fd));
    peer("send %d 2", n);
    until(fd, POLLIN);
    say_ret("sockatmark, data there", sockatmark(fd));
    say_ret("recv OOB, data there", recv(fd, (char[1]){0}, 1, MSG_OOB));
    say_ret("send OOB", send(fd, "abc", 3, MSG_OOB));
    say_ret("send OOB nothing", send(fd, "", 0, MSG_OOB));
    shutdown(fd, SHUT_WR);
    say("the peer reads beside the stream: %d", peer("eof %d", n));
    say_ret("send OOB after shutdown", send(fd, "a", 1, MSG_OOB));
    close(fd);
}

void probe_urgent(void)
{
    beside();
    within();
    twice(0);
    twice(1);
    none();
}
