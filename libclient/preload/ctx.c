/* SPDX-License-Identifier: Apache-2.0
 * Attachment to the daemon, the library's own descriptors, and what fork() means for them. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "libclient/preload/both.h"
#include "libclient/preload/decide.h"
#include "libclient/preload/preload.h"

#define OWN_ROOM 64  /* how far below the descriptor limit the library's own begin */
#define OWN_MAX 8192 /* but not higher: the kernel's table grows with the highest number, and fork copies it */

struct xtcp *xp_ctxs[XP_CTXS];
bool xp_bystander;
unsigned xp_fork_gen;

static pthread_mutex_t attach_lock = XP_LOCK_INIT;
static _Atomic int current = -1; /* index of the context in use */
static unsigned used;            /* contexts made so far */
static _Atomic int placeholder = -1;
static bool configured, debug, fallback, complained;
static int fork_ready[XP_CTXS]; /* results of the last xtcp_fork_prepare() */

void xp_debug(const char *fmt, ...)
{
    char line[256];
    int saved = errno;
    va_list ap;
    if (!debug)
        return;
    XP_NO_CANCEL();
    int n = snprintf(line, sizeof line, "xtcp: [%d] ", (int)getpid());
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (n > (int)sizeof line - 2)
        n = sizeof line - 2;
    line[n++] = '\n';
    if (xp_real.write(STDERR_FILENO, line, (size_t)n) < 0)
        debug = false;
    errno = saved;
}

static void check_rules(void)
{
    char why[128], line[192];
    if (xt_rules_check(xp_own_rules(), why, sizeof why) == 0)
        return;
    int n = snprintf(line, sizeof line, "xtcp: XTCP_RULES, %s\n", why);
    if (xp_real.write(STDERR_FILENO, line, (size_t)n) < 0)
        return;
}

static void configure(void)
{
    const char *s;
    if (configured)
        return;
    configured = true;
    s = xp_setting("XTCP_LOG");
    debug = s && strcmp(s, "debug") == 0;
    s = xp_setting("XTCP_FALLBACK");
    fallback = s && strcmp(s, "kernel") == 0;
    check_rules();
}

static void complain(void)
{
    char line[512];
    if (complained)
        return;
    complained = true;
    int n = snprintf(line, sizeof line, "xtcp: %s; set XTCP_FALLBACK=kernel to use the kernel's TCP\n",
                     xtcp_strerror_attach());
    if (n >= (int)sizeof line)
        n = sizeof line - 1;
    if (xp_real.write(STDERR_FILENO, line, (size_t)n) < 0)
        complained = false;
}

static int add_context(struct xtcp *x)
{
    static bool forks_watched;
    if (!forks_watched)
        pthread_atfork(xp_fork_prepare, xp_fork_parent, xp_fork_child);
    forks_watched = true;
    xp_ctxs[used] = x;
    if (atomic_load(&current) < 0 || !xtcp_alive(xp_ctxs[atomic_load(&current)]))
        atomic_store(&current, (int)used);
    return (int)used++;
}

/* The family of an end may be one that this process has joined already. */
static uint64_t join_locked(int fd, int *half)
{
    struct xtcp *x = NULL;
    int s = -EXDEV;
    unsigned i = 0;
    configure();
    for (; i < used && s == -EXDEV; i++)
        if (xtcp_alive(x = xp_ctxs[i]))
            s = xtcp_join(&x, xp_setting("XTCP_SOCKET"), fd, half);
    if (s >= 0)
        return xp_word(XP_XTCP, i - 1, 0, (uint32_t)s);
    x = NULL;
    if (s == -EXDEV)
        s = used < XP_CTXS ? xtcp_join(&x, xp_setting("XTCP_SOCKET"), fd, half) : -ENOSPC;
    if (s >= 0)
        return xp_word(XP_XTCP, (unsigned)add_context(x), 0, (uint32_t)s);
    xp_debug("fd %d: not joined: %s", fd, strerror(-s));
    return 0;
}

/* The kernel's half knows what family the program asked for. */
static uint64_t with_half(uint64_t w, int half)
{
    int domain = 0;
    socklen_t len = sizeof domain;
    half = xp_make_own(half);
    if (xp_real.getsockopt(half, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_INET6)
        w |= XP_F_INET6;
    xp_half_put(w, half);
    return w | XP_F_BOTH;
}

uint64_t xp_join(int fd)
{
    int half = -1;
    XP_NO_CANCEL();
    xp_lock(&attach_lock);
    uint64_t w = join_locked(fd, &half);
    xp_unlock(&attach_lock);
    return w && half >= 0 ? with_half(w, half) : w;
}

/* Errors that socket() has too; all others mean that there is no xtcp here. */
static int socket_error(int rc)
{
    if (rc == -ENOSPC)
        return -ENOBUFS;
    return rc == -ENOMEM || rc == -ENOBUFS || rc == -EMFILE || rc == -ENFILE ? rc : -ENETDOWN;
}

static int attach_locked(bool quietly)
{
    struct xtcp *x;
    int i = atomic_load(&current), rc;
    if (i >= 0 && xtcp_alive(xp_ctxs[i]))
        return i;
    configure();
    rc = used < XP_CTXS ? xtcp_attach(&x, xp_setting("XTCP_SOCKET")) : -ENOSPC;
    if (rc < 0) {
        xp_debug("attach: %s", xtcp_strerror_attach());
        if (fallback)
            return -EAGAIN;
        rc = socket_error(rc);
        if (!quietly && (rc == -ENETDOWN || rc == -ENOMEM))
            complain();
        return rc;
    }
    xp_debug("attached");
    return add_context(x);
}

/* Some places are left for daemons to come. */
#define LEFT (XP_CTXS / 3)

static struct {
    bool is;
    unsigned of;
    uint32_t shard;
} beside[XP_CTXS];

static int attach_beside_locked(unsigned ctx, uint32_t shard)
{
    struct xtcp *x;
    for (unsigned i = 0; i < used; i++)
        if (beside[i].is && beside[i].of == ctx && beside[i].shard == shard && xtcp_alive(xp_ctxs[i]))
            return (int)i;
    int rc = used + LEFT < XP_CTXS ? xtcp_attach_beside(xp_ctxs[ctx], shard, &x) : -ENOSPC;
    if (rc < 0) {
        xp_debug("shard %u: not attached: %s", shard, strerror(-rc));
        return rc;
    }
    beside[used].is = true;
    beside[used].of = ctx;
    beside[used].shard = shard;
    return add_context(x);
}

int xp_attach_beside(unsigned ctx, uint32_t shard)
{
    XP_NO_CANCEL();
    xp_lock(&attach_lock);
    int i = attach_beside_locked(ctx, shard);
    xp_unlock(&attach_lock);
    return i;
}

/* While the dynamic linker relocates (and a program's IFUNC resolvers run) thread-local variables are zero, and lost later. */
static XP_TLS volatile int relocated = 1;

int xp_attach(void)
{
    int i = atomic_load(&current);
    if (__builtin_expect(i >= 0 && xtcp_alive(xp_ctxs[i]), 1))
        return i;
    if (!relocated)
        return -EAGAIN;
    XP_NO_CANCEL();
    xp_lock(&attach_lock);
    i = attach_locked(false);
    xp_unlock(&attach_lock);
    return i;
}

void xp_attach_quietly(void)
{
    XP_NO_CANCEL();
    xp_lock(&attach_lock);
    attach_locked(true);
    xp_unlock(&attach_lock);
}

void xp_disown(int fd)
{
    xp_take(fd);
    xp_real.close(fd);
}

int xp_make_own(int fd)
{
    struct rlimit lim;
    int high = -1;
    if (fd < 0)
        return fd;
    XP_NO_CANCEL();
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur > 2 * OWN_ROOM) {
        int base = (int)(lim.rlim_cur < OWN_MAX ? lim.rlim_cur : OWN_MAX) - OWN_ROOM;
        high = xp_real.fcntl(fd, F_DUPFD_CLOEXEC, base);
        if (high < 0)
            high = xp_real.fcntl(fd, F_DUPFD_CLOEXEC, base / 2);
    }
    if (high >= 0) {
        xp_disown(fd);
        fd = high;
    }
    xp_put(fd, xp_word(XP_OWN, 0, 0, 0));
    return fd;
}

/* Not connected: who reads what this library does not serve gets an error, not an end of file, which would be a lie. */
static int placeholder_new(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    xp_take(fd); /* the wrapped socket() has marked it as the library's own, under a number that it does not keep */
    return xp_make_own(fd);
}

static int placeholder_copy(int src, int fd, bool cloexec)
{
    if (fd < 0)
        return xp_real.fcntl(src, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
    return xp_real.dup3(src, fd, cloexec ? O_CLOEXEC : 0);
}

int xp_placeholder(int fd, bool cloexec)
{
    int src = atomic_load(&placeholder);
    int r = src < 0 ? -1 : placeholder_copy(src, fd, cloexec);
    if (r >= 0)
        return r;
    if (src >= 0 && errno != EBADF)
        return -errno;
    XP_NO_CANCEL();
    /* None yet, or something closed it behind our back. */
    xp_lock(&attach_lock);
    if (atomic_load(&placeholder) == src)
        atomic_store(&placeholder, placeholder_new());
    src = atomic_load(&placeholder);
    xp_unlock(&attach_lock);
    if (src < 0)
        return src;
    r = placeholder_copy(src, fd, cloexec);
    return r < 0 ? -errno : r;
}

void xp_ctx_lock(void)
{
    xp_lock(&attach_lock);
}

void xp_ctx_unlock(void)
{
    xp_unlock(&attach_lock);
}

void xp_fork_prepare(void)
{
    xp_bare_make_all(false);
    if (xp_bystander)
        return;
    xp_lock(&attach_lock);
    xp_sets_lock();
    for (unsigned i = 0; i < used; i++)
        fork_ready[i] = xtcp_fork_prepare(xp_ctxs[i]);
    if (used && xtcp_can_share(xp_ctxs[used - 1]))
        xp_sets_share();
}

void xp_fork_parent(void)
{
    if (xp_bystander)
        return;
    for (unsigned i = 0; i < used; i++)
        if (fork_ready[i] == 0)
            xtcp_fork_parent(xp_ctxs[i]);
    xp_sets_unlock();
    xp_unlock(&attach_lock);
}

void xp_fork_child(void)
{
    if (xp_bystander)
        return;
    xp_fork_gen++;
    xp_sets_unlock_child();
    xp_unlock_child(&attach_lock);
    for (unsigned i = 0; i < used; i++) {
        if (fork_ready[i] == 0 || fork_ready[i] == -ECONNABORTED) {
            /* Without a daemon the sockets are dead in the child too, but it may attach to the next one. */
            xtcp_fork_child(xp_ctxs[i]);
        } else {
            xp_debug("fork: %s; this process has no xtcp sockets", strerror(-fork_ready[i]));
            xp_stand_by();
        }
    }
}

void xp_stand_by(void)
{
    xp_kept_drop();
    xp_bystander = true;
}

void xp_sigpipe(void)
{
    siginfo_t si = {.si_signo = SIGPIPE, .si_code = SI_USER}; /* as the kernel's own says it, not SI_TKILL */
    si.si_pid = getpid();
    si.si_uid = getuid();
    xp_rawcall(SYS_rt_tgsigqueueinfo, si.si_pid, xp_rawcall(SYS_gettid, 0, 0, 0, 0, 0, 0), SIGPIPE, (long)&si, 0, 0);
}

__attribute__((constructor)) static void xp_begin(void)
{
    xp_real_init();
}
