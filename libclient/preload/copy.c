/* SPDX-License-Identifier: Apache-2.0
 * sendfile and splice: file pages are read straight into the send ring, received bytes are written straight from the
 * receive ring. */
#include <pthread.h>

#include "libclient/preload/preload.h"

#define PIECE 4096 /* what a pipe that says POLLOUT surely takes without waiting */

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

/* The calls on the other descriptor are cancellation points, but not while this one has the ring. */
static int hold(uint64_t w, bool tx, int *cancel)
{
    int rc = xtcp_hold_ring(xp_x(w), xp_sock(w), tx);
    if (rc == 0)
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel);
    return rc;
}

static void release(uint64_t w, bool tx, int cancel)
{
    xtcp_release_ring(xp_x(w), xp_sock(w), tx);
    pthread_setcancelstate(cancel, NULL);
}

/* Reads at most `max` bytes of `in` into the free part of the send ring, and sends them. 0: end of file. -EAGAIN: no room. */
static ssize_t fill(uint64_t w, int in, off_t *off, size_t max)
{
    struct xtcp *x = xp_x(w);
    struct iovec iov[2] = {{0}};
    int cancel = 0, s = xp_sock(w), rc = hold(w, true, &cancel);
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
    release(w, true, cancel);
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

static bool is_pipe(int fd)
{
    return xp_real.fcntl(fd, F_GETPIPE_SZ) >= 0;
}

/* A descriptor to read from (to write to): 0 or -EBADF. */
static int check_mode(int fd, int other)
{
    int fl = xp_real.fcntl(fd, F_GETFL);
    return fl < 0 || (fl & O_ACCMODE) == other ? -EBADF : 0;
}

static int check_sendfile(int in, const off_t *off)
{
    int rc = check_mode(in, O_WRONLY);
    if (rc < 0)
        return rc;
    if (off && *off < 0)
        return -EINVAL;
    if (lseek(in, 0, SEEK_CUR) >= 0)
        return 0;
    return off ? -ESPIPE : -EINVAL;
}

/* From a socket: to a pipe only. */
static ssize_t sendfile_from(int out, int in, uint64_t w, const off_t *off, size_t count)
{
    if (off)
        return xp_ret(-ESPIPE);
    if (check_mode(out, O_RDONLY) < 0)
        return xp_ret(-EBADF);
    return is_pipe(out) ? splice(in, NULL, out, NULL, count, 0) : xp_ret(-EINVAL);
}

/* What is wrong with the file is told before anything else. Who names an offset, and does not wait, pays for asking only when nothing
 * was sent: preadv() itself takes what can be read at an offset, and nothing else. */
static ssize_t sendfile_to(int out, uint64_t w, int in, off_t *off, size_t count)
{
    bool late = off && xtcp_get_nonblock(xp_x(w), xp_sock(w));
    int wrong = late ? 0 : check_sendfile(in, off);
    ssize_t r = wrong < 0 ? wrong : file_to_xtcp(out, w, in, off, count);
    if (late && r <= 0 && r != -EREMOTE && (wrong = check_sendfile(in, off)) < 0)
        r = wrong;
    return r;
}

XP_EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t count)
{
    uint64_t w, wi;
    ssize_t r;
    if (xp_is_xtcp(in, &wi))
        return sendfile_from(out, in, wi, off, count);
    if (!xp_is_xtcp(out, &w))
        return xp_real.sendfile(out, in, off, count);
    r = sendfile_to(out, w, in, off, count);
    if (r == -EREMOTE) {
        xp_go_over(w);
        return xp_real.sendfile(out, in, off, count);
    }
    if (r == -EPIPE)
        xp_sigpipe();
    return xp_ret(r);
}
XP_ALIAS(sendfile);

XP_EXPORT ssize_t sendfile64(int out, int in, off64_t *off, size_t count) __attribute__((alias("sendfile")));

/* Waits until a pipe has something to read, or room. SPLICE_F_NONBLOCK speaks of the pipe, O_NONBLOCK of either for itself. */
static int wait_pipe(int fd, short events, unsigned flags)
{
    struct pollfd p = {.fd = fd, .events = events};
    int fl = xp_real.fcntl(fd, F_GETFL);
    bool block = !(flags & SPLICE_F_NONBLOCK) && fl >= 0 && !(fl & O_NONBLOCK);
    int r = xp_real.poll(&p, 1, block ? -1 : 0);
    return r < 0 ? -errno : r == 0 ? -EAGAIN : 0;
}

static ssize_t pipe_to_xtcp(int in, int out, uint64_t w, size_t len, unsigned flags)
{
    struct iovec iov[2] = {{0}};
    ssize_t r = wait_pipe(in, POLLIN, flags);
    if (r == 0)
        r = room(out, w, iov, len, true);
    if (r > 0)
        r = fill(w, in, NULL, len);
    if (r == -EPIPE)
        xp_sigpipe();
    return r;
}

/* Writes to a pipe, not waiting for room, as a ring is held. */
static ssize_t write_some(int out, struct iovec iov[2])
{
    struct pollfd p = {.fd = out, .events = POLLOUT};
    ssize_t r = xp_real.pwritev2(out, iov, 2, -1, RWF_NOWAIT);
    if (r < 0 && errno == EOPNOTSUPP) { /* Linux before 6.4 */
        clip(iov, PIECE);
        r = xp_real.poll(&p, 1, 0) > 0 ? xp_real.writev(out, iov, 2) : (errno = EAGAIN, -1);
    }
    return r < 0 ? -errno : r;
}

/* Writes what is unread, at most `len` bytes, to a pipe. 0: nothing there. -EAGAIN: no room in the pipe. */
static ssize_t drain(uint64_t w, int out, size_t len)
{
    struct xtcp *x = xp_x(w);
    struct iovec iov[2] = {{0}};
    int s = xp_sock(w), cancel, rc = hold(w, false, &cancel);
    if (rc < 0)
        return rc;
    ssize_t r = xtcp_peek(x, s, iov);
    if (r > 0) {
        clip(iov, len);
        r = write_some(out, iov);
        if (r > 0)
            xtcp_consume(x, s, (size_t)r);
    }
    release(w, false, cancel);
    return r;
}

static ssize_t xtcp_to_pipe(int in, uint64_t w, int out, size_t len, unsigned flags)
{
    struct pollfd p = {.fd = out};
    if (xp_real.poll(&p, 1, 0) > 0 && p.revents & POLLERR) { /* nobody reads it: even an end of file is too much */
        xp_sigpipe();
        return -EPIPE;
    }
    for (;;) {
        ssize_t r = drain(w, out, len);
        if (r == -EAGAIN)
            r = wait_pipe(out, POLLOUT, flags);
        else if (r != 0)
            return r == -ESHUTDOWN ? 0 : r;
        else if (xtcp_get_nonblock(xp_x(w), xp_sock(w)))
            r = -EAGAIN;
        else
            r = xp_wait_fd(in, POLLIN | POLLRDHUP, xp_timeo_ms(w, SO_RCVTIMEO));
        if (r < 0)
            return r;
    }
}

/* What the kernel checks before it moves anything. 1: go on. */
static int check_splice(int in, const off64_t *inoff, int out, const off64_t *outoff, size_t len, unsigned flags)
{
    bool from_pipe = is_pipe(in), to_pipe = is_pipe(out);
    if (len == 0)
        return 0;
    if (flags & ~(unsigned)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
        return -EINVAL;
    if ((from_pipe && inoff) || (to_pipe && outoff))
        return -ESPIPE;
    if (check_mode(in, O_WRONLY) < 0 || check_mode(out, O_RDONLY) < 0)
        return -EBADF;
    return inoff || outoff || !(from_pipe || to_pipe) ? -EINVAL : 1;
}

XP_EXPORT ssize_t splice(int in, off64_t *inoff, int out, off64_t *outoff, size_t len, unsigned flags)
{
    uint64_t wi, wo;
    bool from = xp_is_xtcp(in, &wi), to = xp_is_xtcp(out, &wo);
    if (!from && !to)
        return xp_real.splice(in, inoff, out, outoff, len, flags);
    ssize_t r = check_splice(in, inoff, out, outoff, len, flags);
    if (r <= 0)
        return xp_ret(r);
    r = from ? xtcp_to_pipe(in, wi, out, len, flags) : pipe_to_xtcp(in, out, wo, len, flags);
    if (r != -EREMOTE)
        return xp_ret(r);
    xp_go_over(from ? wi : wo);
    return xp_real.splice(in, inoff, out, outoff, len, flags);
}
XP_ALIAS(splice);
