/* SPDX-License-Identifier: Apache-2.0
 * The read and write families. */
#include <time.h>

#include <linux/errqueue.h> /* for which <time.h> is first */
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "libclient/preload/args.h"
#include "libclient/preload/preload.h"

/* As the kernel's calls, these are cancellation points. */
ssize_t xp_recvv(uint64_t w, const struct iovec *iov, int n, int flags)
{
    pthread_testcancel();
    return xtcp_recvv(xp_x(w), xp_sock(w), iov, n, flags);
}

ssize_t xp_sendv(uint64_t w, const struct iovec *iov, int n, int flags)
{
    pthread_testcancel();
    return xtcp_sendv(xp_x(w), xp_sock(w), iov, n, flags);
}

/* An inherited or relayed stream has no addresses to tell or to be told. */
static ssize_t real_recvv(int fd, const struct iovec *iov, int n, int flags)
{
    struct msghdr mh = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
    return xp_real.recvmsg(fd, &mh, flags);
}

static ssize_t real_sendv(int fd, const struct iovec *iov, int n, int flags)
{
    struct msghdr mh = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
    return xp_real.sendmsg(fd, &mh, flags);
}

static ssize_t recvv_ret(int fd, uint64_t w, const struct iovec *iov, size_t n, int flags)
{
    ssize_t r = flags & MSG_TRUNC ? 0 : xp_check_pieces(iov, n); /* with it nothing is written there */
    if (r == 0)
        r = xp_recvv(w, iov, (int)n, flags);
    if (r != -EREMOTE)
        return xp_ret(r);
    xp_go_over(w);
    return real_recvv(fd, iov, (int)n, flags);
}

static ssize_t recv_ret(int fd, uint64_t w, void *buf, size_t len, int flags)
{
    struct iovec iov = {.iov_base = buf, .iov_len = len};
    return recvv_ret(fd, w, &iov, 1, flags);
}

static ssize_t sendv_ret(int fd, uint64_t w, const struct iovec *iov, size_t n, int flags)
{
    ssize_t r = xp_check_pieces(iov, n);
    if (r == 0)
        r = xp_sendv(w, iov, (int)n, flags);
    if (r == -EREMOTE) {
        xp_go_over(w);
        return real_sendv(fd, iov, (int)n, flags);
    }
    if (r == -EPIPE && !(flags & MSG_NOSIGNAL))
        xp_sigpipe();
    return xp_ret(r);
}

static ssize_t send_ret(int fd, uint64_t w, const void *buf, size_t len, int flags)
{
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
    return sendv_ret(fd, w, &iov, 1, flags);
}

XP_EXPORT ssize_t read(int fd, void *buf, size_t len)
{
    uint64_t w;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.read(fd, buf, len);
    return len == 0 ? 0 : recv_ret(fd, w, buf, len, 0);
}
XP_ALIAS(read);

XP_EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
    uint64_t w;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.write(fd, buf, len);
    return send_ret(fd, w, buf, len, 0);
}
XP_ALIAS(write);

static ssize_t readv_ret(int fd, uint64_t w, const struct iovec *iov, int n, int flags)
{
    int rc = xp_check_count(n);
    if (rc < 0)
        return xp_ret(rc);
    return xp_is_empty(iov, n) ? 0 : recvv_ret(fd, w, iov, (size_t)n, flags);
}

static ssize_t writev_ret(int fd, uint64_t w, const struct iovec *iov, int n, int flags)
{
    int rc = xp_check_count(n);
    return rc < 0 ? xp_ret(rc) : sendv_ret(fd, w, iov, (size_t)n, flags);
}

XP_EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
    uint64_t w;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.readv(fd, iov, n);
    return readv_ret(fd, w, iov, n, 0);
}
XP_ALIAS(readv);

XP_EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
    uint64_t w;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.writev(fd, iov, n);
    return writev_ret(fd, w, iov, n, 0);
}
XP_ALIAS(writev);

XP_EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    uint64_t w;
    int rc;
    if (!xp_is_xtcp(fd, &w) || off != -1)
        return xp_real.preadv2(fd, iov, n, off, flags);
    rc = xp_check_rwf(flags);
    return rc < 0 ? xp_ret(rc) : readv_ret(fd, w, iov, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}
XP_ALIAS(preadv2);

XP_EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    uint64_t w;
    int rc;
    if (!xp_is_xtcp(fd, &w) || off != -1)
        return xp_real.pwritev2(fd, iov, n, off, flags);
    rc = xp_check_rwf(flags);
    return rc < 0 ? xp_ret(rc) : writev_ret(fd, w, iov, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}
XP_ALIAS(pwritev2);

XP_EXPORT ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags)
    __attribute__((alias("preadv2")));
XP_EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags)
    __attribute__((alias("pwritev2")));

/* The stream that stands for a relayed connection has no error queue, and would give data instead. */
static bool asks_relay_for_errors(uint64_t w, int flags)
{
    return xp_kind(w) == XP_RELAY && flags & MSG_ERRQUEUE;
}

XP_EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    uint64_t w;
    if (!xp_is_xtcp(fd, &w))
        return asks_relay_for_errors(w, flags) ? xp_ret(-EAGAIN) : xp_real.recv(fd, buf, len, flags);
    return recv_ret(fd, w, buf, len, flags);
}
XP_ALIAS(recv);

XP_EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    uint64_t w;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.send(fd, buf, len, flags);
    return send_ret(fd, w, buf, len, flags);
}
XP_ALIAS(send);

/* A stream has no source address to tell: the length comes back as 0. */
XP_EXPORT ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *alen)
{
    uint64_t w;
    ssize_t r;
    if (xp_is_xtcp(fd, &w))
        r = recv_ret(fd, w, buf, len, flags);
    else if (asks_relay_for_errors(w, flags))
        r = xp_ret(-EAGAIN);
    else
        r = xp_real.recvfrom(fd, buf, len, flags, addr, alen);
    if (r >= 0 && addr && alen && (xp_kind(w) == XP_XTCP || xp_kind(w) == XP_RELAY))
        *alen = 0;
    return r;
}
XP_ALIAS(recvfrom);

/* sendmsg() with MSG_FASTOPEN connects. False: the socket is not ours. */
static bool fast_open(int fd, const struct iovec *iov, size_t n, int flags, const struct sockaddr *addr, socklen_t alen,
                      ssize_t *r)
{
    struct sockaddr_in in;
    const struct sockaddr *to = addr;
    uint64_t w;
    int rc = 0;
    bool peer = addr && alen >= sizeof(sa_family_t) && addr->sa_family != AF_UNSPEC;
    if (!(flags & MSG_FASTOPEN) || (!peer && !xp_is_xtcp(fd, &w)) ||
        (peer && !xp_to_connect(fd, addr, alen, &w, &in, &rc)))
        return false;
    if (peer) {
        to = (struct sockaddr *)&in;
        alen = sizeof in;
    }
    pthread_testcancel();
    *r = rc < 0 ? rc : xtcp_sendto(xp_x(w), xp_sock(w), iov, (int)n, flags, to, alen);
    if (*r == -EPIPE && !(flags & MSG_NOSIGNAL))
        xp_sigpipe();
    *r = xp_ret(*r);
    return true;
}

/* Otherwise a destination address on a stream is ignored. */
XP_EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t alen)
{
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
    ssize_t r;
    uint64_t w;
    if (fast_open(fd, &iov, 1, flags, addr, alen, &r))
        return r;
    if (!xp_is_xtcp(fd, &w))
        return xp_kind(w) == XP_RELAY ? xp_real.send(fd, buf, len, flags)
                                      : xp_real.sendto(fd, buf, len, flags, addr, alen);
    if (addr && alen > sizeof(struct sockaddr_storage))
        return xp_ret(-EINVAL);
    return send_ret(fd, w, buf, len, flags);
}
XP_ALIAS(sendto);

/* Room for ancillary data that is not used yet. */
struct cmsg_room {
    struct msghdr *msg;
    char *at;
    size_t left;
};

static struct cmsg_room cmsg_begin(struct msghdr *msg)
{
    struct cmsg_room room = {msg, msg->msg_control, msg->msg_control ? msg->msg_controllen : 0};
    msg->msg_controllen = 0;
    return room;
}

/* As far as there is room for it. */
static void put_cmsg(struct cmsg_room *room, int level, int type, const void *data, size_t len)
{
    struct cmsghdr h = {.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len)};
    if (room->left < sizeof h) {
        room->msg->msg_flags |= MSG_CTRUNC;
        return;
    }
    if (h.cmsg_len > room->left) {
        room->msg->msg_flags |= MSG_CTRUNC;
        h.cmsg_len = room->left;
    }
    size_t used = CMSG_SPACE(len) < room->left ? CMSG_SPACE(len) : room->left;
    memcpy(room->at, &h, sizeof h);
    memcpy(room->at + sizeof h, data, h.cmsg_len - sizeof h);
    room->msg->msg_controllen += used;
    room->at += used;
    room->left -= used;
}

/* MSG_ERRQUEUE: an entry of the error queue has no bytes, and nobody who was the cause. */
static ssize_t recv_error(uint64_t w, struct msghdr *msg, int flags)
{
    struct {
        struct sock_extended_err err;
        struct sockaddr_in6 offender;
    } e = {0};
    bool inet6 = xp_flags(w) & XP_F_INET6;
    int rc = xtcp_errqueue(xp_x(w), xp_sock(w), &e.err);
    if (rc < 0)
        return rc;
    struct cmsg_room room = cmsg_begin(msg);
    msg->msg_namelen = 0;
    msg->msg_flags = MSG_ERRQUEUE | (flags & MSG_CMSG_CLOEXEC);
    put_cmsg(&room, inet6 ? SOL_IPV6 : SOL_IP, inet6 ? IPV6_RECVERR : IP_RECVERR, &e,
             sizeof e.err + (inet6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)));
    return 0;
}

static ssize_t recvmsg_ret(int fd, uint64_t w, struct msghdr *msg, int flags)
{
    if (!msg)
        return xp_ret(-EFAULT);
    if (msg->msg_iovlen > IOV_MAX)
        return xp_ret(-EMSGSIZE);
    if (flags & MSG_ERRQUEUE)
        return xp_ret(recv_error(w, msg, flags));
    ssize_t r = recvv_ret(fd, w, msg->msg_iov, msg->msg_iovlen, flags);
    if (r >= 0) {
        struct cmsg_room room = cmsg_begin(msg);
        int64_t stamp[2];
        int inq = xtcp_inq_hint(xp_x(w), xp_sock(w));
        int kind = r > 0 && !(flags & MSG_OOB)
                       ? xtcp_stamp(xp_x(w), xp_sock(w), flags & MSG_PEEK ? (size_t)r : 0, stamp)
                       : -ENOENT;
        msg->msg_namelen = 0;
        msg->msg_flags = flags & (MSG_OOB | MSG_CMSG_CLOEXEC);
        if (kind >= 0)
            put_cmsg(&room, SOL_SOCKET, kind, stamp, sizeof stamp);
        if (inq >= 0)
            put_cmsg(&room, IPPROTO_TCP, TCP_CM_INQ, &inq, sizeof inq);
    }
    return r;
}

static ssize_t real_recvmsg(int fd, struct msghdr *msg, int flags)
{
    ssize_t r = xp_real.recvmsg(fd, msg, flags);
    if (r >= 0 && msg->msg_controllen)
        xp_after_receive(msg);
    return r;
}

static ssize_t real_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (msg && msg->msg_control && msg->msg_controllen)
        xp_before_send(msg);
    return xp_real.sendmsg(fd, msg, flags);
}

XP_EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    uint64_t w;
    if (!xp_is_xtcp(fd, &w))
        return asks_relay_for_errors(w, flags) ? xp_ret(-EAGAIN) : real_recvmsg(fd, msg, flags);
    return recvmsg_ret(fd, w, msg, flags);
}
XP_ALIAS(recvmsg);

static ssize_t sendmsg_ret(int fd, uint64_t w, const struct msghdr *msg, int flags)
{
    int rc = msg ? xp_check_message(msg) : -EFAULT;
    return rc < 0 ? xp_ret(rc) : sendv_ret(fd, w, msg->msg_iov, msg->msg_iovlen, flags);
}

XP_EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    uint64_t w;
    ssize_t r;
    if (msg && fast_open(fd, msg->msg_iov, msg->msg_iovlen, flags, msg->msg_name, msg->msg_namelen, &r))
        return r;
    if (!xp_is_xtcp(fd, &w))
        return real_sendmsg(fd, msg, flags);
    return sendmsg_ret(fd, w, msg, flags);
}
XP_ALIAS(sendmsg);

XP_EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
    uint64_t w;
    unsigned i;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.sendmmsg(fd, v, n, flags);
    for (i = 0; i < n; i++) {
        ssize_t r = sendmsg(fd, &v[i].msg_hdr, flags);
        if (r < 0)
            return i ? (int)i : -1;
        v[i].msg_len = (unsigned)r;
    }
    return (int)i;
}
XP_ALIAS(sendmmsg);

XP_EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
    uint64_t w;
    unsigned i;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.recvmmsg(fd, v, n, flags, timeout);
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000))
        return (int)xp_ret(-EINVAL);
    int64_t end = xp_deadline(timeout);
    for (i = 0; i < n; i++) {
        ssize_t r = recvmsg_ret(fd, w, &v[i].msg_hdr, flags & ~MSG_WAITFORONE);
        if (r < 0)
            return i ? (int)i : -1;
        v[i].msg_len = (unsigned)r;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        /* The time that is left is told, and looked at only here. */
        if (timeout && xp_left(end, timeout) && timeout->tv_sec == 0 && timeout->tv_nsec == 0)
            return (int)i + 1;
    }
    return (int)i;
}
XP_ALIAS(recvmmsg);
