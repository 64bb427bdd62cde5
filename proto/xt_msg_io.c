/* SPDX-License-Identifier: Apache-2.0
 * Control messages on the socket, with descriptors and credentials. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/xt_msg.h"

int xt_msg_send(int sock, const void *buf, size_t len, const int *fds, unsigned nfds, int flags)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(XT_MSG_FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {(void *)buf, len};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    if (nfds > XT_MSG_FDS_MAX)
        return -EINVAL;
    if (nfds) {
        memset(&control, 0, sizeof control);
        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(sock, &mh, flags | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* That one datagram can carry: with less room, the kernel would close the rest here and now. */
#define FDS_OF_KERNEL 253

union control {
    struct cmsghdr align;
    char buf[CMSG_SPACE(FDS_OF_KERNEL * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static void close_it(void *arg, int fd)
{
    close(fd);
}

/* Descriptors of one control message. False when there are more than `anc` holds; those are dropped. */
static bool take_fds(const struct cmsghdr *cm, struct xt_msg_anc *anc, xt_msg_drop *drop, void *arg)
{
    size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(cm) + i * sizeof fd, sizeof fd);
        if (anc->nfds < XT_MSG_FDS_MAX) {
            anc->fd[anc->nfds++] = fd;
        } else {
            drop(arg, fd);
            all = false;
        }
    }
    return all;
}

static bool take_anc(struct msghdr *mh, struct xt_msg_anc *anc, xt_msg_drop *drop, void *arg)
{
    bool all = true;
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
        if (cm->cmsg_level != SOL_SOCKET)
            continue;
        if (cm->cmsg_type == SCM_RIGHTS) {
            all = take_fds(cm, anc, drop, arg) && all;
        } else if (cm->cmsg_type == SCM_CREDENTIALS) {
            struct ucred cred;
            memcpy(&cred, CMSG_DATA(cm), sizeof cred);
            anc->has_cred = true;
            anc->pid = cred.pid;
            anc->uid = cred.uid;
        }
    }
    return all;
}

ssize_t xt_msg_recv(int sock, void *buf, size_t size, struct xt_msg_anc *anc, int flags)
{
    return xt_msg_recv_drop(sock, buf, size, anc, flags, close_it, NULL);
}

/* `*whole`: nothing was cut off, and all descriptors are in `anc`. There is room for as many as the kernel takes: when it cut them off,
 * this process has too many. */
static ssize_t receive(int sock, struct iovec *iov, struct xt_msg_anc *anc, int flags, xt_msg_drop *drop, void *arg,
                       bool *whole)
{
    union control control;
    struct msghdr mh = {
        .msg_iov = iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
    memset(anc, 0, sizeof *anc);
    ssize_t n;
    do
        n = recvmsg(sock, &mh, flags | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    *whole = take_anc(&mh, anc, drop, arg) && !(mh.msg_flags & MSG_TRUNC);
    if (mh.msg_flags & MSG_CTRUNC) {
        xt_msg_anc_drop(anc, drop, arg);
        anc->cut = true;
    }
    return n;
}

ssize_t xt_msg_recv_drop(int sock, void *buf, size_t size, struct xt_msg_anc *anc, int flags, xt_msg_drop *drop,
                         void *arg)
{
    struct iovec iov = {buf, size};
    bool whole = false;
    ssize_t n = receive(sock, &iov, anc, flags, drop, arg, &whole);
    if (n < 0 || whole)
        return n;
    xt_msg_anc_drop(anc, drop, arg);
    return -EMSGSIZE;
}

ssize_t xt_msg_recv_bytes(int sock, struct mmsghdr *h, int flags, xt_msg_drop *drop, void *arg)
{
    union control control;
    struct xt_msg_anc anc = {0};
    h->msg_hdr.msg_control = control.buf;
    h->msg_hdr.msg_controllen = sizeof control.buf;
    int n;
    do
        n = recvmmsg(sock, h, 1, flags | MSG_CMSG_CLOEXEC, NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    take_anc(&h->msg_hdr, &anc, drop, arg);
    xt_msg_anc_drop(&anc, drop, arg);
    return (ssize_t)h->msg_len;
}

void xt_msg_anc_drop(struct xt_msg_anc *anc, xt_msg_drop *drop, void *arg)
{
    for (unsigned i = 0; i < anc->nfds; i++)
        if (anc->fd[i] >= 0)
            drop(arg, anc->fd[i]);
    anc->nfds = 0;
}

void xt_msg_anc_close(struct xt_msg_anc *anc)
{
    xt_msg_anc_drop(anc, close_it, NULL);
}
