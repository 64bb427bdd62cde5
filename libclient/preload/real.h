/* SPDX-License-Identifier: Apache-2.0
 * The next definitions of the names that this library interposes. xp_real is filled once, by the constructor or by the first
 * call that comes before it; dlsym() does not allocate when it succeeds. */
#ifndef XP_REAL_H
#define XP_REAL_H

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

extern __typeof__(longjmp) __longjmp_chk;

/* clang-format off */
#define XP_REAL_LIST(X) \
    X(socket) X(bind) X(listen) X(accept) X(accept4) X(connect) X(shutdown) X(getsockname) X(getpeername) \
    X(getsockopt) X(setsockopt) X(read) X(write) X(readv) X(writev) X(recv) X(send) X(recvfrom) X(sendto) \
    X(recvmsg) X(sendmsg) X(recvmmsg) X(sendmmsg) X(preadv2) X(pwritev2) X(close) X(dup) X(dup2) X(dup3) X(fcntl) X(ioctl) X(poll) \
    X(ppoll) X(select) X(pselect) X(epoll_create) X(epoll_create1) X(epoll_ctl) X(epoll_wait) X(epoll_pwait) \
    X(epoll_pwait2) X(sendfile) X(splice) X(close_range) X(fclose) X(freopen) X(fdopen) X(fileno) X(dlopen) \
    X(execve) X(execvpe) X(fexecve) X(execveat) X(posix_spawn) X(posix_spawnp) \
    X(vdprintf) X(posix_spawn_file_actions_adddup2) X(system) X(popen) X(clone) X(unshare) X(fstat) X(prctl) \
    X(chroot) X(setuid) X(seteuid) X(setreuid) X(setresuid) \
    X(longjmp) X(_longjmp) X(siglongjmp) X(__longjmp_chk)
/* clang-format on */

struct xp_real_calls {
#define X(name) __typeof__(name) *name;
    XP_REAL_LIST(X)
#undef X
    _Atomic int ready;
};
extern struct xp_real_calls xp_real_table;

/* Fills the table; idempotent, safe to run in several threads at once (all store the same values). */
void xp_real_init(void);

static inline const struct xp_real_calls *xp_real_get(void)
{
    if (__builtin_expect(!atomic_load_explicit(&xp_real_table.ready, memory_order_acquire), 0))
        xp_real_init();
    return &xp_real_table;
}
#define xp_real (*xp_real_get())

/* A system call without libc: works before anything is initialised. Returns -errno on failure. */
long xp_rawcall(long n, long a, long b, long c, long d, long e, long f);

#endif
