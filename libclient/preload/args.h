/* SPDX-License-Identifier: Apache-2.0
 * What the kernel says to the arguments of the read and write families before it looks at the socket. 0 or -errno. */
#ifndef XP_ARGS_H
#define XP_ARGS_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define XP_LOWEST 4096u               /* no program has memory below (vm.mmap_min_addr) ... */
#define XP_HIGHEST (UINT64_MAX >> 17) /* ... nor above: the addresses of a 64-bit user space */

/* Memory that nobody has. A pointer that is wrong in a less obvious way is a crash here, where the kernel says EFAULT. */
static inline bool xp_is_nowhere(const void *p, size_t len)
{
    uintptr_t at = (uintptr_t)p;
    return len && (at < XP_LOWEST || at > XP_HIGHEST || len > XP_HIGHEST - at);
}

static inline int xp_check_pieces(const struct iovec *iov, size_t n)
{
    if (xp_is_nowhere(iov, n))
        return -EFAULT;
    for (size_t i = 0; i < n; i++) {
        if (iov[i].iov_len > SSIZE_MAX)
            return -EINVAL;
        if (xp_is_nowhere(iov[i].iov_base, iov[i].iov_len))
            return -EFAULT;
    }
    return 0;
}

static inline int xp_check_count(int n)
{
    return n < 0 || n > IOV_MAX ? -EINVAL : 0;
}

static inline bool xp_is_empty(const struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++)
        if (iov[i].iov_len)
            return false;
    return true;
}

/* Flags of preadv2() and pwritev2(); those that speak of a disk change nothing. */
static inline int xp_check_rwf(int flags)
{
    return flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND) ? -EOPNOTSUPP : 0;
}

/* A stream sends no control message along, but the kernel looks whether they are in order. */
static inline int xp_check_message(const struct msghdr *m)
{
    if (!m)
        return -EFAULT;
    if (m->msg_iovlen > IOV_MAX)
        return -EMSGSIZE;
    if (!m->msg_control)
        return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR((struct msghdr *)m, c)) {
        size_t left = m->msg_controllen - (size_t)((char *)c - (char *)m->msg_control);
        if (c->cmsg_len < sizeof *c || c->cmsg_len > left)
            return -EINVAL;
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type != SCM_RIGHTS && c->cmsg_type != SCM_CREDENTIALS &&
            c->cmsg_type != SO_MARK && c->cmsg_type != SO_TIMESTAMPING && c->cmsg_type != SO_PRIORITY)
            return -EINVAL;
    }
    return 0;
}

#endif
