/* SPDX-License-Identifier: Apache-2.0
 * To be preloaded (after libxtcp-preload.so): calls that ask for memory, descriptors or processes fail where a test says so.
 *
 * The file that the environment variable XT_SCARCE_FILE names holds a struct scarce; all processes that have it count together. */
#include "tests/chaos/scarce/scarce.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
/* The name of 64 bits is the same function here. */
#define SAME(name) EXPORT __typeof__(name) name##64 __attribute__((alias(#name)))
/* The next definition, looked up once. */
#define NEXT(name)                 \
    static __typeof__(name) *next; \
    if (!next)                     \
    next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static struct scarce *shared;

static void __attribute__((constructor)) open_shared(void)
{
    NEXT(mmap);
    const char *path = getenv("XT_SCARCE_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = next(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p != MAP_FAILED)
        shared = p;
}

/* True when this call is to fail: it then says which it was. */
static bool scarce(const char *call, const void *caller)
{
    if (!shared)
        return false;
    int64_t n = atomic_fetch_add(&shared->passed, 1) + 1, from = atomic_load(&shared->from);
    if (!from || n < from || n - from >= atomic_load(&shared->count))
        return false;
    Dl_info at = {0};
    if (atomic_fetch_add(&shared->failed, 1) == 0 && dladdr(caller, &at) && at.dli_fname) {
        const char *slash = strrchr(at.dli_fname, '/');
        snprintf(shared->place, sizeof shared->place, "%s() in %s+0x%tx", call, slash ? slash + 1 : at.dli_fname,
                 (const char *)caller - (const char *)at.dli_fbase);
    }
    return true;
}

/* Fails the calling function with `err`. */
#define MAY_FAIL(err, result)                                \
    do {                                                     \
        if (scarce(__func__, __builtin_return_address(0))) { \
            errno = err;                                     \
            return result;                                   \
        }                                                    \
    } while (0)

/* ---- memory: of libc or the sanitizer's runtime, for dlsym() may need some ---- */

#define ALLOCATOR(ret, name, args) \
    extern ret __libc_##name args; \
    extern ret __interceptor_##name args __attribute__((weak));
ALLOCATOR(void *, malloc, (size_t))
ALLOCATOR(void *, calloc, (size_t, size_t))
ALLOCATOR(void *, realloc, (void *, size_t))
ALLOCATOR(void *, memalign, (size_t, size_t))
#define ALLOCATE(name, ...) (__interceptor_##name ? __interceptor_##name(__VA_ARGS__) : __libc_##name(__VA_ARGS__))

EXPORT void *malloc(size_t n)
{
    MAY_FAIL(ENOMEM, NULL);
    return ALLOCATE(malloc, n);
}

EXPORT void *calloc(size_t n, size_t size)
{
    MAY_FAIL(ENOMEM, NULL);
    return ALLOCATE(calloc, n, size);
}

EXPORT void *realloc(void *p, size_t n)
{
    MAY_FAIL(ENOMEM, NULL);
    return ALLOCATE(realloc, p, n);
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
    MAY_FAIL(ENOMEM, NULL);
    return ALLOCATE(memalign, align, n);
}

EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
    MAY_FAIL(ENOMEM, ENOMEM);
    *out = ALLOCATE(memalign, align, n);
    return *out ? 0 : ENOMEM;
}

EXPORT void *mmap(void *addr, size_t n, int prot, int flags, int fd, off_t off)
{
    NEXT(mmap);
    MAY_FAIL(ENOMEM, MAP_FAILED);
    return next(addr, n, prot, flags, fd, off);
}

EXPORT int mprotect(void *addr, size_t n, int prot)
{
    NEXT(mprotect);
    MAY_FAIL(ENOMEM, -1);
    return next(addr, n, prot);
}

EXPORT int ftruncate(int fd, off_t n)
{
    NEXT(ftruncate);
    MAY_FAIL(ENOSPC, -1);
    return next(fd, n);
}

EXPORT int fallocate(int fd, int mode, off_t at, off_t n)
{
    NEXT(fallocate);
    MAY_FAIL(ENOSPC, -1);
    return next(fd, mode, at, n);
}

SAME(mmap);
SAME(ftruncate);
SAME(fallocate);

/* ---- processes ---- */

EXPORT pid_t fork(void)
{
    NEXT(fork);
    MAY_FAIL(EAGAIN, -1);
    return next();
}

EXPORT int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
    NEXT(pthread_create);
    MAY_FAIL(EAGAIN, EAGAIN);
    return next(t, a, fn, arg);
}

/* ---- descriptors ---- */

EXPORT int memfd_create(const char *name, unsigned flags)
{
    NEXT(memfd_create);
    MAY_FAIL(EMFILE, -1);
    return next(name, flags);
}

EXPORT int socket(int domain, int type, int protocol)
{
    NEXT(socket);
    MAY_FAIL(EMFILE, -1);
    return next(domain, type, protocol);
}

EXPORT int socketpair(int domain, int type, int protocol, int fd[2])
{
    NEXT(socketpair);
    MAY_FAIL(EMFILE, -1);
    return next(domain, type, protocol, fd);
}

EXPORT int pipe2(int fd[2], int flags)
{
    NEXT(pipe2);
    MAY_FAIL(EMFILE, -1);
    return next(fd, flags);
}

EXPORT int eventfd(unsigned v, int flags)
{
    NEXT(eventfd);
    MAY_FAIL(EMFILE, -1);
    return next(v, flags);
}

EXPORT int epoll_create1(int flags)
{
    NEXT(epoll_create1);
    MAY_FAIL(EMFILE, -1);
    return next(flags);
}

EXPORT int timerfd_create(int clock, int flags)
{
    NEXT(timerfd_create);
    MAY_FAIL(EMFILE, -1);
    return next(clock, flags);
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    unsigned mode = flags & O_CREAT ? va_arg(ap, unsigned) : 0;
    va_end(ap);
    NEXT(open);
    MAY_FAIL(EMFILE, -1);
    return next(path, flags, mode);
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
    NEXT(fopen);
    MAY_FAIL(EMFILE, NULL);
    return next(path, mode);
}

EXPORT int accept4(int fd, struct sockaddr *a, socklen_t *len, int flags)
{
    NEXT(accept4);
    MAY_FAIL(EMFILE, -1);
    return next(fd, a, len, flags);
}

EXPORT int dup(int fd)
{
    NEXT(dup);
    MAY_FAIL(EMFILE, -1);
    return next(fd);
}

EXPORT int fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    NEXT(fcntl);
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
        MAY_FAIL(EMFILE, -1);
    return next(fd, cmd, arg);
}

SAME(open);
SAME(fopen);
SAME(fcntl);

/* The message comes, its descriptors do not: what the kernel does when there is no room for them. */
EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    NEXT(recvmsg);
    ssize_t n = next(fd, m, flags);
    struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(m);
    while (c && (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS))
        c = CMSG_NXTHDR(m, c);
    if (!c || !scarce(__func__, __builtin_return_address(0)))
        return n;
    for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
        int got;
        memcpy(&got, (const char *)c + at, sizeof got);
        close(got);
    }
    m->msg_controllen = (size_t)((char *)c - (char *)m->msg_control); /* the kernel puts them last */
    m->msg_flags |= MSG_CTRUNC;
    return n;
}
