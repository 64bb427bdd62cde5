/* SPDX-License-Identifier: Apache-2.0
 * Descriptors of all kinds that nobody expects. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/chaos/liar/liar.h"

static int pipe_end(int which)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return -1;
    close(p[!which]);
    return p[which];
}

/* Half of a pair; the other end is closed, or stays open in this process. */
static int pair_end(int type, bool alone)
{
    int p[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, p) < 0)
        return -1;
    if (alone)
        close(p[1]);
    return p[0];
}

static int memory(uint64_t *rng, unsigned seals)
{
    int fd = memfd_create("liar", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ftruncate(fd, (off_t)(liar_value(rng, 4096) >> 20)) < 0)
        return fd;
    fcntl(fd, F_ADD_SEALS, seals);
    return fd;
}

/* A connection of the kernel's TCP with bytes that its peer never takes: who closes it last waits for them, for an hour. */
static int lingering(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger hour = {1, 3600};
    socklen_t len = sizeof a;
    static char buf[65536];
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bind(l, (struct sockaddr *)&a, sizeof a);
    listen(l, 1);
    getsockname(l, (struct sockaddr *)&a, &len);
    connect(s, (struct sockaddr *)&a, sizeof a);
    while (send(s, buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    setsockopt(s, SOL_SOCKET, SO_LINGER, &hour, sizeof hour);
    return s; /* the listener stays for as long as this process */
}

int liar_descriptor(uint64_t *rng, int ctl)
{
    switch (liar_below(rng, 16)) {
    case 0:
        return pipe_end(0);
    case 1:
        return pipe_end(1);
    case 2:
        return pair_end(SOCK_SEQPACKET, false);
    case 3:
        return pair_end(SOCK_SEQPACKET, true);
    case 4:
        return pair_end(SOCK_STREAM, false);
    case 5:
        return dup(ctl);
    case 6:
        return memory(rng, 0);
    case 7:
        return memory(rng, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    case 8:
        return open("/dev/zero", O_RDWR | O_CLOEXEC);
    case 9:
        return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    case 10:
        return open("/tmp", O_PATH | O_CLOEXEC);
    case 11:
        return eventfd((unsigned)-2, EFD_CLOEXEC);
    case 12:
        return epoll_create1(EPOLL_CLOEXEC);
    case 13:
        return lingering();
    case 14:
        return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    default:
        return open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    }
}
