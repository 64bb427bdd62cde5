/* SPDX-License-Identifier: Apache-2.0
 * The less common calls of the read and write families, and what they say to arguments that are wrong. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags, void *addr, socklen_t *alen);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room);
int __dprintf_chk(int fd, int flag, const char *fmt, ...);
int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap);
ssize_t __read(int fd, void *buf, size_t len);
ssize_t __write(int fd, const void *buf, size_t len);
ssize_t __send(int fd, const void *buf, size_t len, int flags);
int __poll(struct pollfd *fds, nfds_t n, int timeout);
int __close(int fd);

static char buf[256];
static volatile int minus_one = -1;

static void vectors(void)
{
    static struct iovec many[IOV_MAX + 1], huge[2] = {{buf, 10}, {buf, SIZE_MAX / 2}};
    struct msghdr m = {.msg_iov = many, .msg_iovlen = IOV_MAX + 1};
    int n, fd = dial(&n);
    for (int i = 0; i <= IOV_MAX; i++)
        many[i] = (struct iovec){"v", 1};
    say_ret("writev, most pieces", writev(fd, many, IOV_MAX));
    say_ret("writev, too many", writev(fd, many, IOV_MAX + 1));
    say_ret("writev, none", writev(fd, many, 0));
    say_ret("writev, less than none", writev(fd, many, minus_one));
    say_ret("writev, too long", writev(fd, huge, 2));
    say_ret("sendmsg, too many", sendmsg(fd, &m, 0));
    say_ret("recvmsg, too many", recvmsg(fd, &m, MSG_DONTWAIT));
    m.msg_iovlen = 0;
    say_ret("sendmsg, no pieces", sendmsg(fd, &m, 0));
    say_ret("recvmsg, no pieces", recvmsg(fd, &m, MSG_DONTWAIT));
    say_ret("writev, empty pieces", writev(fd, (struct iovec[]){{NULL, 0}, {"ab", 2}, {NULL, 0}, {"c", 1}}, 4));
    say("the peer reads %d", peer("read %d %d", n, IOV_MAX + 3));
    peer("send %d 8", n);
    until(fd, POLLIN);
    say_ret("readv, too many", readv(fd, many, IOV_MAX + 1));
    say_ret("readv, none", readv(fd, many, 0));
    say_ret("readv, less than none", readv(fd, many, minus_one));
    say_ret("readv, too long", readv(fd, huge, 2));
    say_ret("readv, empty pieces", readv(fd, (struct iovec[]){{NULL, 0}, {buf, 2}, {NULL, 0}, {buf, 1}}, 4));
    say_ret("read nothing", read(fd, buf, 0));
    say_ret("write nothing", write(fd, buf, 0));
    close(fd);
}

static void bad_memory(void)
{
    void *volatile nowhere = NULL, *volatile beyond = (void *)-4096L;
    int n, fd = dial(&n);
    peer("send %d 8", n);
    until(fd, POLLIN);
    say_ret("read to nowhere", read(fd, nowhere, 4));
    say_ret("read beyond", read(fd, beyond, 4));
    say_ret("write from nowhere", write(fd, nowhere, 4));
    say_ret("write from beyond", write(fd, beyond, 4));
    say_ret("readv to nowhere", readv(fd, (struct iovec[]){{buf, 2}, {nowhere, 2}}, 2));
    say_ret("writev from nowhere", writev(fd, (struct iovec[]){{nowhere, 2}, {buf, 2}}, 2));
    say_ret("recvmsg, no header", recvmsg(fd, nowhere, MSG_DONTWAIT));
    say_ret("sendmsg, no header", sendmsg(fd, nowhere, 0));
    say_ret("recv after it", recv(fd, buf, sizeof buf, MSG_DONTWAIT));
    say_ret("ioctl to nowhere", ioctl(fd, FIONREAD, nowhere));
    close(fd);
}

static void positions(void)
{
    struct iovec v = {buf, 4};
    int n, fd = dial(&n);
    peer("send %d 9", n);
    until(fd, POLLIN);
    say_ret("preadv2", preadv2(fd, &v, 1, -1, 0));
    say_ret("preadv2 at 0", preadv2(fd, &v, 1, 0, 0));
    say_ret("preadv2 NOWAIT", preadv2(fd, &v, 1, -1, RWF_NOWAIT));
    say_ret("preadv2 unknown flag", preadv2(fd, &v, 1, -1, 0x4000000));
    say_ret("preadv2 the rest", preadv2(fd, &v, 1, -1, 0));
    say_ret("preadv2 NOWAIT, nothing there", preadv2(fd, &v, 1, -1, RWF_NOWAIT));
    say_ret("preadv", preadv(fd, &v, 1, 0));
    say_ret("preadv -1", preadv(fd, &v, 1, -1));
    say_ret("pwritev2", pwritev2(fd, &v, 1, -1, 0));
    say_ret("pwritev2 at 0", pwritev2(fd, &v, 1, 0, 0));
    say_ret("pwritev2 NOWAIT", pwritev2(fd, &v, 1, -1, RWF_NOWAIT));
    say_ret("pwritev2 DSYNC", pwritev2(fd, &v, 1, -1, RWF_DSYNC));
    say_ret("pwrite", pwrite(fd, buf, 1, 0));
    say("the peer reads %d", peer("read %d 12", n));
    say_ret("fsync", fsync(fd));
    say_ret("ftruncate", ftruncate(fd, 0));
    close(fd);
}

static void messages(void)
{
    struct iovec v = {buf, 4}, w[2] = {{buf, 3}, {buf, 2}};
    char control[64];
    struct sockaddr_in from;
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};
    struct mmsghdr mm[3] = {{.msg_hdr = m}, {.msg_hdr = m}, {.msg_hdr = m}};
    struct timespec soon = {.tv_nsec = 1000000}, later = {.tv_sec = 9};
    int n, fd = dial(&n);
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    peer("send %d 9", n);
    until(fd, POLLIN);
    say_ret("recvmsg", recvmsg(fd, &m, 0));
    say("flags %x, control %zu, name %u", (unsigned)m.msg_flags, m.msg_controllen, m.msg_namelen);
    m.msg_controllen = 1;
    say_ret("recvmsg TRUNC", recvmsg(fd, &m, MSG_TRUNC));
    say("flags %x, control %zu", (unsigned)m.msg_flags, m.msg_controllen);
    say_ret("recvmmsg WAITFORONE", recvmmsg(fd, mm, 3, MSG_WAITFORONE, NULL));
    say("first %u, name %u", mm[0].msg_len, mm[0].msg_hdr.msg_namelen);
    peer("send %d 8", n);
    settle();
    say_ret("recvmmsg", recvmmsg(fd, mm, 2, 0, NULL));
    say("%u %u", mm[0].msg_len, mm[1].msg_len);
    peer("send %d 4", n);
    until(fd, POLLIN);
    say_ret("recvmmsg DONTWAIT", recvmmsg(fd, mm, 3, MSG_DONTWAIT, NULL));
    say_ret("recvmmsg DONTWAIT, nothing there", recvmmsg(fd, mm, 3, MSG_DONTWAIT, NULL));
    peer("send %d 4", n);
    until(fd, POLLIN);
    nanosleep(&soon, NULL);
    say_ret("recvmmsg, time up", recvmmsg(fd, mm, 3, 0, (struct timespec[]){{0}}));
    peer("send %d 8", n);
    settle();
    say_ret("recvmmsg, time left", recvmmsg(fd, mm, 2, 0, &later));
    say("time was taken: %d", later.tv_sec < 9);
    say_ret("recvmmsg, wrong time", recvmmsg(fd, mm, 2, MSG_DONTWAIT, (struct timespec[]){{.tv_nsec = -1}}));
    say_ret("recvmmsg of none", recvmmsg(fd, mm, 0, 0, NULL));
    mm[1].msg_hdr.msg_iov = w;
    mm[1].msg_hdr.msg_iovlen = 2;
    for (int i = 0; i < 3; i++)
        mm[i].msg_hdr.msg_namelen = 0;
    say_ret("sendmmsg", sendmmsg(fd, mm, 3, 0));
    say("%u %u %u", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
    say_ret("sendmmsg of none", sendmmsg(fd, mm, 0, 0));
    mm[1].msg_hdr.msg_iovlen = IOV_MAX + 1;
    say_ret("sendmmsg, the second is wrong", sendmmsg(fd, mm, 3, 0));
    say_ret("sendto, address too long", sendto(fd, "x", 1, 0, (void *)&from, 200));
    say_ret("sendto, address without length", sendto(fd, "x", 1, 0, (void *)&from, 0));
    m.msg_controllen = CMSG_SPACE(sizeof(int));
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof fd);
    m.msg_namelen = 0;
    say_ret("sendmsg with a descriptor", sendmsg(fd, &m, 0));
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){1, SOL_SOCKET, SCM_RIGHTS};
    say_ret("sendmsg with a broken control message", sendmsg(fd, &m, 0));
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, 999};
    say_ret("sendmsg with an unknown control message", sendmsg(fd, &m, 0));
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){CMSG_LEN(sizeof(int)), IPPROTO_UDP, 999};
    say_ret("sendmsg with another protocol's", sendmsg(fd, &m, 0));
    close(fd);
    say("the peer reads %d", peer("eof %d", n));
}

static void flag_bits(void)
{
    static const struct {
        int flag;
        const char *name;
    } kinds[] = {{MSG_EOR, "EOR"},           {MSG_CONFIRM, "CONFIRM"}, {MSG_DONTROUTE, "DONTROUTE"},
                 {MSG_ZEROCOPY, "ZEROCOPY"}, {MSG_FIN, "FIN"},         {MSG_SYN, "SYN"},
                 {MSG_WAITALL, "WAITALL"},   {MSG_PEEK, "PEEK"},       {MSG_ERRQUEUE, "ERRQUEUE"},
                 {MSG_TRUNC, "TRUNC"},       {MSG_CTRUNC, "CTRUNC"},   {MSG_CMSG_CLOEXEC, "CMSG_CLOEXEC"}};
    struct iovec v = {buf, 2};
    int n, fd = dial(&n), total = 0;
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        ssize_t r = send(fd, "xy", 2, kinds[i].flag);
        total += r > 0 ? (int)r : 0;
        say("send %s", kinds[i].name);
        say_ret("  ", r);
    }
    say("the peer reads %d", peer("read %d %d", n, total));
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
        peer("send %d 2", n);
        until(fd, POLLIN);
        say("recv %s", kinds[i].name);
        say_ret("  ", recvmsg(fd, &m, kinds[i].flag | MSG_DONTWAIT));
        say("   flags %x", (unsigned)m.msg_flags);
        while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
            continue;
    }
    peer("send %d 9", n);
    until(fd, POLLIN);
    say_ret("recv PEEK TRUNC", recv(fd, buf, 4, MSG_PEEK | MSG_TRUNC));
    say_ret("recv PEEK WAITALL", recv(fd, buf, 9, MSG_PEEK | MSG_WAITALL));
    say_ret("recv TRUNC WAITALL", recv(fd, buf, 9, MSG_TRUNC | MSG_WAITALL));
    say_ret("recv ERRQUEUE", recv(fd, buf, 9, MSG_ERRQUEUE));
    close(fd);
}

/* The same calls by libc's other names. */
static void aliases(void)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    struct timespec now = {0};
    int n, fd = dial(&n);
    peer("send %d 12", n);
    until(fd, POLLIN);
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    say_ret("__read_chk", __read_chk(fd, buf, 2, sizeof buf));
    say_ret("__recv_chk", __recv_chk(fd, buf, 2, sizeof buf, 0));
    say_ret("__recvfrom_chk", __recvfrom_chk(fd, buf, 2, sizeof buf, 0, &a, &len));
    say_ret("__poll_chk", __poll_chk(&p, 1, 0, sizeof p));
    say("%s", events_text((unsigned)p.revents));
    say_ret("__ppoll_chk", __ppoll_chk(&p, 1, &now, NULL, sizeof p));
    say("%s", events_text((unsigned)p.revents));
    say_ret("__read", __read(fd, buf, 2));
    say_ret("__write", __write(fd, buf, 2));
    say_ret("__send", __send(fd, buf, 2, 0));
    say_ret("__poll", __poll(&p, 1, 0));
    say_ret("dprintf", dprintf(fd, "%d", 12345));
    say_ret("__dprintf_chk", __dprintf_chk(fd, 1, "%s", "ab"));
    say("the peer reads %d", peer("read %d 11", n));
    say_ret("__close", __close(fd));
    say("the peer reads %d", peer("eof %d", n));
}

static void raw(void)
{
    struct iovec v = {buf, 2};
    struct timespec now = {0};
    struct sockaddr_in a = {0};
    socklen_t len = sizeof a;
    fd_set in;
    int n, fd = dial(&n), nfd, ep = (int)syscall(SYS_epoll_create1, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    peer("send %d 9", n);
    until(fd, POLLIN);
    FD_ZERO(&in);
    FD_SET(fd, &in);
    say_ret("raw poll", syscall(SYS_poll, &p, 1L, 0L));
    say("%s", events_text((unsigned)p.revents));
    say_ret("raw ppoll", syscall(SYS_ppoll, &p, 1L, &now, NULL, 8L));
    say("%s", events_text((unsigned)p.revents));
    say_ret("raw select", syscall(SYS_select, (long)fd + 1, &in, NULL, NULL, NULL));
    say_ret("raw pselect6", syscall(SYS_pselect6, (long)fd + 1, &in, NULL, NULL, NULL, NULL));
    say_ret("raw read", syscall(SYS_read, fd, buf, 2L));
    say_ret("raw recvfrom", syscall(SYS_recvfrom, fd, buf, 2L, 0L, NULL, NULL));
    say_ret("raw preadv2", syscall(SYS_preadv2, fd, &v, 1L, -1L, -1L, 0L));
    say_ret("raw write", syscall(SYS_write, fd, buf, 2L));
    say_ret("raw sendto", syscall(SYS_sendto, fd, buf, 2L, 0L, NULL, 0L));
    say_ret("raw writev", syscall(SYS_writev, fd, &v, 1L));
    say_ret("raw pwritev2", syscall(SYS_pwritev2, fd, &v, 1L, -1L, -1L, 0L));
    say_ret("raw getpeername", syscall(SYS_getpeername, fd, &a, &len));
    say("port is the peer's: %d", ntohs(a.sin_port) == peer_port);
    say_ret("raw epoll_ctl", syscall(SYS_epoll_ctl, ep, 1L, fd, (char[16]){POLLIN}));
    say_ret("raw epoll_wait", syscall(SYS_epoll_wait, ep, buf, 1L, 0L));
    say_ret("raw epoll_pwait", syscall(SYS_epoll_pwait, ep, buf, 1L, 0L, NULL, 8L));
    nfd = (int)syscall(SYS_dup, fd);
    say_ret("raw close", syscall(SYS_close, fd));
    say_ret("raw dup2", syscall(SYS_dup2, nfd, fd) - fd);
    say_ret("raw write to the copy", syscall(SYS_write, fd, buf, 2L));
    while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0) /* else the close is a reset */
        continue;
    say_ret("raw fcntl", syscall(SYS_fcntl, fd, F_GETFL, 0L) & O_ACCMODE);
    syscall(SYS_close, nfd);
    syscall(SYS_close, ep);
    syscall(SYS_close, fd);
    say("the peer reads %d", peer("eof %d", n));
    say_ret("raw read of nothing", syscall(SYS_read, fd, buf, 1L));
}

void probe_calls(void)
{
    vectors();
    bad_memory();
    positions();
    messages();
    flag_bits();
    aliases();
    raw();
}
