/* SPDX-License-Identifier: Apache-2.0
 * The socket layers: libxtcp's, and the kernel's in the shape of it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libclient/xtcp.h"
#include "tests/packet/script/sock_calls.h"

static int x_socket(void *x)
{
    return xtcp_socket(x);
}

static int x_bind(void *x, int s, const struct sockaddr *addr, socklen_t len)
{
    return xtcp_bind(x, s, addr, len);
}

static int x_listen(void *x, int s, int backlog)
{
    return xtcp_listen(x, s, backlog);
}

static int x_connect(void *x, int s, const struct sockaddr *addr, socklen_t len)
{
    return xtcp_connect(x, s, addr, len);
}

static int x_accept(void *x, int s, struct sockaddr *addr, socklen_t *len, int flags)
{
    return xtcp_accept(x, s, addr, len, flags);
}

static ssize_t x_send(void *x, int s, const void *buf, size_t len, int flags)
{
    return xtcp_send(x, s, buf, len, flags);
}

static ssize_t x_sendto(void *x, int s, const void *buf, size_t len, int flags, const struct sockaddr *addr,
                        socklen_t alen)
{
    struct iovec iov = {(void *)(uintptr_t)buf, len};
    return xtcp_sendto(x, s, &iov, 1, flags, addr, alen);
}

static ssize_t x_recv(void *x, int s, void *buf, size_t len, int flags)
{
    return xtcp_recv(x, s, buf, len, flags);
}

static int x_shutdown(void *x, int s, int how)
{
    return xtcp_shutdown(x, s, how);
}

static int x_close(void *x, int s)
{
    return xtcp_close(x, s);
}

static int x_setsockopt(void *x, int s, int level, int name, const void *val, socklen_t len)
{
    return xtcp_setsockopt(x, s, level, name, val, len);
}

static int x_getsockopt(void *x, int s, int level, int name, void *val, socklen_t *len)
{
    return xtcp_getsockopt(x, s, level, name, val, len);
}

static int x_set_nonblock(void *x, int s, bool on)
{
    return xtcp_set_nonblock(x, s, on);
}

static int x_inq(void *x, int s)
{
    return xtcp_inq(x, s);
}

static int x_outq(void *x, int s)
{
    return xtcp_outq(x, s);
}

const struct pkt_sock_ops pkt_sock_xtcp = {
    .socket = x_socket,
    .bind = x_bind,
    .listen = x_listen,
    .connect = x_connect,
    .accept = x_accept,
    .send = x_send,
    .sendto = x_sendto,
    .recv = x_recv,
    .shutdown = x_shutdown,
    .close = x_close,
    .setsockopt = x_setsockopt,
    .getsockopt = x_getsockopt,
    .set_nonblock = x_set_nonblock,
    .inq = x_inq,
    .outq = x_outq,
};

static long result(long rc)
{
    return rc < 0 ? -errno : rc;
}

static int k_socket(void *x)
{
    return (int)result(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int k_bind(void *x, int s, const struct sockaddr *addr, socklen_t len)
{
    return (int)result(bind(s, addr, len));
}

static int k_listen(void *x, int s, int backlog)
{
    return (int)result(listen(s, backlog));
}

static int k_connect(void *x, int s, const struct sockaddr *addr, socklen_t len)
{
    return (int)result(connect(s, addr, len));
}

static int k_accept(void *x, int s, struct sockaddr *addr, socklen_t *len, int flags)
{
    return (int)result(accept4(s, addr, len, flags | SOCK_CLOEXEC));
}

static ssize_t k_send(void *x, int s, const void *buf, size_t len, int flags)
{
    return result(send(s, buf, len, flags | MSG_NOSIGNAL));
}

static ssize_t k_sendto(void *x, int s, const void *buf, size_t len, int flags, const struct sockaddr *addr,
                        socklen_t alen)
{
    return result(sendto(s, buf, len, flags | MSG_NOSIGNAL, addr, alen));
}

static ssize_t k_recv(void *x, int s, void *buf, size_t len, int flags)
{
    return result(recv(s, buf, len, flags));
}

static int k_shutdown(void *x, int s, int how)
{
    return (int)result(shutdown(s, how));
}

static int k_close(void *x, int s)
{
    return (int)result(close(s));
}

static int k_setsockopt(void *x, int s, int level, int name, const void *val, socklen_t len)
{
    return (int)result(setsockopt(s, level, name, val, len));
}

static int k_getsockopt(void *x, int s, int level, int name, void *val, socklen_t *len)
{
    return (int)result(getsockopt(s, level, name, val, len));
}

static int k_set_nonblock(void *x, int s, bool on)
{
    return (int)result(fcntl(s, F_SETFL, on ? O_NONBLOCK : 0));
}

static int k_inq(void *x, int s)
{
    int n = 0;
    int rc = ioctl(s, SIOCINQ, &n);
    return rc < 0 ? -errno : n;
}

static int k_outq(void *x, int s)
{
    int n = 0;
    int rc = ioctl(s, SIOCOUTQ, &n);
    return rc < 0 ? -errno : n;
}

const struct pkt_sock_ops pkt_sock_kernel = {
    .socket = k_socket,
    .bind = k_bind,
    .listen = k_listen,
    .connect = k_connect,
    .accept = k_accept,
    .send = k_send,
    .sendto = k_sendto,
    .recv = k_recv,
    .shutdown = k_shutdown,
    .close = k_close,
    .setsockopt = k_setsockopt,
    .getsockopt = k_getsockopt,
    .set_nonblock = k_set_nonblock,
    .inq = k_inq,
    .outq = k_outq,
};
