/* SPDX-License-Identifier: Apache-2.0
 * libxtcp's own calls. The linker sends its references to these names here (--wrap), past the interposed functions, and
 * every descriptor that it makes is known as the library's own. */
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>

#include "libclient/preload/preload.h"

int __real_socketpair(int domain, int type, int protocol, int pair[2]);
int __real_eventfd(unsigned value, int flags);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_socketpair(int domain, int type, int protocol, int pair[2]);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_close(int fd);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap_dup(int fd);
int __wrap_dup3(int fd, int nfd, int flags);
int __wrap_fcntl(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...);

static int own(int fd)
{
    if (fd >= 0)
        xp_put(fd, xp_word(XP_OWN, 0, 0, 0));
    return fd;
}

int __wrap_socket(int domain, int type, int protocol)
{
    return own(xp_real.socket(domain, type, protocol));
}

int __wrap_socketpair(int domain, int type, int protocol, int pair[2])
{
    int rc = __real_socketpair(domain, type, protocol, pair);
    if (rc == 0) {
        own(pair[0]);
        own(pair[1]);
    }
    return rc;
}

int __wrap_eventfd(unsigned value, int flags)
{
    return own(__real_eventfd(value, flags));
}

int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    return xp_real.connect(fd, addr, len);
}

int __wrap_close(int fd)
{
    xp_take(fd);
    return xp_real.close(fd);
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
    return xp_real.read(fd, buf, len);
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
    return xp_real.write(fd, buf, len);
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
    return xp_real.recv(fd, buf, len, flags);
}

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
    return xp_real.send(fd, buf, len, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
    ssize_t r = xp_real.recvmsg(fd, msg, flags);
    if (r < 0)
        return r;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int passed;
            memcpy(&passed, CMSG_DATA(c) + i * sizeof passed, sizeof passed);
            own(passed);
        }
    }
    return r;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return xp_real.sendmsg(fd, msg, flags);
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
    return xp_real.poll(fds, n, timeout);
}

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    return xp_real.ppoll(fds, n, timeout, mask);
}

int __wrap_dup(int fd)
{
    return own(xp_real.dup(fd));
}

int __wrap_dup3(int fd, int nfd, int flags)
{
    return own(xp_real.dup3(fd, nfd, flags));
}

int __wrap_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    int rc;
    va_start(ap, cmd);
    rc = xp_real.fcntl(fd, cmd, va_arg(ap, void *));
    va_end(ap);
    return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? own(rc) : rc;
}

int __wrap_fcntl64(int fd, int cmd, ...) __attribute__((alias("__wrap_fcntl")));
