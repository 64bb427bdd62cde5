/* SPDX-License-Identifier: Apache-2.0
 * sendfile and splice: file pages are read straight into the send ring, received bytes are written straight from the
 * receive ring. */
#include <sys/stat.h>

#include "libclient/preload/preload.h"

static size_t clip(struct iovec iov[2], size_t n)
{
    if (iov[0].iov_len >= n) {
        iov[0].iov_len = n;
        iov[1].iov_len = 0;
    } else if (iov[0].iov_len + iov[1].iov_len > n) {
        iov[1].iov_len = n - iov[0].iov_len;
    }
    return iov[0].iov_len + iov[1].iov_len;
}

/* Free send ring in `iov`, waiting for it when the socket blocks and `block`. Bytes, at most `max`, or -errno. */
static ssize_t room(int fd, uint64_t w, struct iovec iov[2], size_t max, bool block)
{
    for (;;) {
        ssize_t r = xtcp_reserve(xp_x(w), xp_sock(w), iov);
        int rc;
        if (r > 0)
            return (ssize_t)clip(iov, max);
        if (r < 0 && r != -EAGAIN)
            return r;
        if (!block || xtcp_get_nonblock(xp_x(w), xp_sock(w))) {
            xp_mask(w); /* asks to be told of free space, as a failed send does */
            return -EAGAIN;
        }
        rc = xp_wait_fd(fd, POLLOUT, xp_timeo_ms(w, SO_SNDTIMEO));
        if (rc < 0)
            return rc;
    }
}

static ssize_t read_at(int fd, const struct iovec *iov, off_t *off)
{
    ssize_t r = off ? preadv(fd, iov, 2, *off) : xp_real.readv(fd, iov, 2);
    return r < 0 ? -errno : r;
}

/* Copies up to `count` bytes of file `in` (from *off, or its own position) to an xtcp socket. Bytes or -errno. */
static ssize_t file_to_xtcp(int out, uint64_t w, int in, off_t *off, size_t count)
{
    size_t done = 0;
    while (done < count) {
        struct iovec iov[2] = {{0}};
        ssize_t r = room(out, w, iov, count - done, true);
        if (r > 0)
            r = read_at(in, iov, off);
        if (r > 0) {
            int rc = xtcp_commit(xp_x(w), xp_sock(w), (size_t)r);
            if (rc < 0)
                r = rc;
        }
        if (r <= 0)
            return done ? (ssize_t)done : r;
        done += (size_t)r;
        if (off)
            *off += r;
    }
    return (ssize_t)done;
}

XP_EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t count)
{
    struct stat st;
    uint64_t w, wi;
    ssize_t r;
    if (!xp_is_xtcp(out, &w))
        return xp_real.sendfile(out, in, off, count);
    if (xp_is_xtcp(in, &wi))
        return xp_ret(-EINVAL);
    if (fstat(in, &st) < 0)
        return -1;
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return xp_ret(-EINVAL);
    r = file_to_xtcp(out, w, in, off, count);
    if (r == -EPIPE)
        xp_sigpipe();
    return xp_ret(r);
}

XP_EXPORT ssize_t sendfile64(int out, int in, off64_t *off, size_t count) __attribute__((alias("sendfile")));

static ssize_t pipe_to_xtcp(int in, int out, uint64_t w, size_t len, unsigned flags)
{
    struct iovec iov[2] = {{0}};
    ssize_t r = room(out, w, iov, len, !(flags & SPLICE_F_NONBLOCK));
    if (r > 0)
        r = read_at(in, iov, NULL);
    if (r > 0) {
        int rc = xtcp_commit(xp_x(w), xp_sock(w), (size_t)r);
        if (rc < 0)
            r = rc;
    }
    if (r == -EPIPE)
        xp_sigpipe();
    return r;
}

static ssize_t xtcp_to_pipe(int in, uint64_t w, int out, size_t len, unsigned flags)
{
    struct iovec iov[2] = {{0}};
    ssize_t r;
    while ((r = xtcp_peek(xp_x(w), xp_sock(w), iov)) == 0 || r == -EAGAIN) {
        int rc;
        if ((flags & SPLICE_F_NONBLOCK) || xtcp_get_nonblock(xp_x(w), xp_sock(w)))
            return -EAGAIN;
        rc = xp_wait_fd(in, POLLIN | POLLRDHUP, xp_timeo_ms(w, SO_RCVTIMEO));
        if (rc < 0)
            return rc;
    }
    if (r < 0)
        return r == -ESHUTDOWN ? 0 : r;
    clip(iov, len);
    r = xp_real.writev(out, iov, 2);
    if (r < 0)
        return -errno;
    xtcp_consume(xp_x(w), xp_sock(w), (size_t)r);
    return r;
}

XP_EXPORT ssize_t splice(int in, off64_t *inoff, int out, off64_t *outoff, size_t len, unsigned flags)
{
    uint64_t wi, wo;
    bool from = xp_is_xtcp(in, &wi), to = xp_is_xtcp(out, &wo);
    if (!from && !to)
        return xp_real.splice(in, inoff, out, outoff, len, flags);
    if ((from && inoff) || (to && outoff))
        return xp_ret(-ESPIPE);
    if (from && to)
        return xp_ret(-EINVAL);
    return xp_ret(from ? xtcp_to_pipe(in, wi, out, len, flags) : pipe_to_xtcp(in, out, wo, len, flags));
}
