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

/* Reads at most `max` bytes of `in` into the free part of the send ring, and sends them. 0: end of file. -EAGAIN: no room. */
static ssize_t fill(uint64_t w, int in, off_t *off, size_t max)
{
    struct xtcp *x = xp_x(w);
    struct iovec iov[2] = {{0}};
    int s = xp_sock(w), rc = xtcp_hold_ring(x, s, true);
    if (rc < 0)
        return rc;
    ssize_t r = xtcp_reserve(x, s, iov);
    if (r > 0) {
        clip(iov, max);
        r = read_at(in, iov, off);
        rc = r > 0 ? xtcp_commit(x, s, (size_t)r) : 0;
    } else if (r == 0) {
        r = -EAGAIN;
    }
    xtcp_release_ring(x, s, true);
    return rc < 0 ? rc : r;
}

/* Copies up to `count` bytes of file `in` (from *off, or its own position) to an xtcp socket. Bytes or -errno. */
static ssize_t file_to_xtcp(int out, uint64_t w, int in, off_t *off, size_t count)
{
    size_t done = 0;
    while (done < count) {
        struct iovec iov[2] = {{0}};
        ssize_t r = room(out, w, iov, count - done, true);
        if (r > 0)
            r = fill(w, in, off, count - done);
        if (r == -EAGAIN && !xtcp_get_nonblock(xp_x(w), xp_sock(w)) && xp_timeo_ms(w, SO_SNDTIMEO) == 0)
            continue; /* another thread was faster */
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
    if (r == -EREMOTE) {
        xp_go_over(w);
        return xp_real.sendfile(out, in, off, count);
    }
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
        r = fill(w, in, NULL, len);
    if (r == -EPIPE)
        xp_sigpipe();
    return r;
}

/* Writes what is unread, at most `len` bytes, to a pipe. 0: nothing there. */
static ssize_t drain(uint64_t w, int out, size_t len)
{
    struct xtcp *x = xp_x(w);
    struct iovec iov[2] = {{0}};
    int s = xp_sock(w), rc = xtcp_hold_ring(x, s, false);
    if (rc < 0)
        return rc;
    ssize_t r = xtcp_peek(x, s, iov);
    if (r > 0) {
        clip(iov, len);
        r = xp_real.writev(out, iov, 2);
        if (r < 0)
            r = -errno;
        else
            xtcp_consume(x, s, (size_t)r);
    }
    xtcp_release_ring(x, s, false);
    return r;
}

static ssize_t xtcp_to_pipe(int in, uint64_t w, int out, size_t len, unsigned flags)
{
    ssize_t r;
    while ((r = drain(w, out, len)) == 0) {
        int rc;
        if ((flags & SPLICE_F_NONBLOCK) || xtcp_get_nonblock(xp_x(w), xp_sock(w)))
            return -EAGAIN;
        rc = xp_wait_fd(in, POLLIN | POLLRDHUP, xp_timeo_ms(w, SO_RCVTIMEO));
        if (rc < 0)
            return rc;
    }
    return r == -ESHUTDOWN ? 0 : r;
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
    ssize_t r = from ? xtcp_to_pipe(in, wi, out, len, flags) : pipe_to_xtcp(in, out, wo, len, flags);
    if (r != -EREMOTE)
        return xp_ret(r);
    xp_go_over(from ? wi : wo);
    return xp_real.splice(in, inoff, out, outoff, len, flags);
}
