/* SPDX-License-Identifier: Apache-2.0
 * The exec family: a program that is given a fresh environment stays on xtcp. And vfork, whose child may not touch the
 * parent's memory here. Everything below runs in vfork children too: no allocation but on the stack. */
#include <alloca.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/preload/preload.h"

#define MAX_KEPT 8
#define PRELOAD "LD_PRELOAD="

extern char **environ;
extern void *__libc_stack_end; /* the dynamic linker's: where the program's stack began */

/* "LD_PRELOAD=<path of this library>", empty when it was not loaded that way; and our variables as they were at start. */
static char preload[sizeof PRELOAD + PATH_MAX];
static char *kept[MAX_KEPT];

static char *const *find(char *const *env, const char *assignment)
{
    size_t len = strcspn(assignment, "=") + 1;
    for (; env && *env; env++)
        if (strncmp(*env, assignment, len) == 0)
            return env;
    return NULL;
}

/* Before libc has set itself up (DT_PREINIT_ARRAY) the environment is only where the kernel has put it: behind the arguments. */
static char **environment(void)
{
    long *start = __libc_stack_end;
    return environ ? environ : (char **)(start + 1 + *start + 1);
}

/* At the library's start, or before when others use it in their constructors. */
__attribute__((constructor)) static void remember_environment(void)
{
    static bool done;
    Dl_info info;
    unsigned n = 0;
    if (done)
        return;
    done = true;
    char *const *ld = find(environment(), PRELOAD);
    if (!ld || !dladdr((void *)remember_environment, &info) || !info.dli_fname || !strstr(*ld, info.dli_fname))
        return;
    strcpy(preload, PRELOAD);
    if (!realpath(info.dli_fname, preload + sizeof PRELOAD - 1))
        preload[0] = '\0';
    for (char **e = environment(); *e && n < MAX_KEPT; e++)
        if (strncmp(*e, "XTCP_", 5) == 0 && strncmp(*e, "XTCP_FDS=", 9) != 0)
            kept[n++] = strdup(*e);
}

const char *xp_setting(const char *name)
{
    size_t len = strlen(name);
    remember_environment();
    const char *now = getenv(name);
    for (unsigned i = 0; !now && i < MAX_KEPT && kept[i]; i++)
        if (strncmp(kept[i], name, len) == 0 && kept[i][len] == '=')
            now = kept[i] + len + 1;
    return now && *now ? now : NULL;
}

/* "XTCP_FDS=<n>:<file>": descriptors below n that the next program shall look at, and what is in the sets among them (-1: nothing). */
static char inherited[48];

static void before_exec(void)
{
    remember_environment();
    int top = xp_before_exec();
    if (top)
        snprintf(inherited, sizeof inherited, "XTCP_FDS=%d:%d", top, xp_sets_before_exec());
    else
        inherited[0] = 0;
}

static bool has_library(const char *assignment)
{
    const char *name = strrchr(preload, '/');
    return name && strstr(assignment, name + 1) != NULL;
}

static size_t env_count(char *const *env)
{
    size_t n = 0;
    while (env && env[n])
        n++;
    return n;
}

/* Fills `out` (env_count(env) + MAX_KEPT + 3 entries) with env and what it lacks; `line` has room for a longer
 * LD_PRELOAD. */
static char **complete(char *const *env, char **out, char *line)
{
    char *const *ld = find(env, PRELOAD), *const *fds = find(env, "XTCP_FDS=");
    const char *libraries = ld ? *ld : NULL;
    size_t n = 0;
    for (char *const *e = env; e && *e; e++)
        if (e != fds && (e != ld || has_library(*e)))
            out[n++] = *e;
    if (inherited[0])
        out[n++] = inherited;
    if (!libraries) {
        out[n++] = preload;
    } else if (!has_library(libraries)) {
        strcpy(line, preload);
        strcat(line, ":");
        strcat(line, libraries + sizeof PRELOAD - 1);
        out[n++] = line;
    }
    for (unsigned i = 0; i < MAX_KEPT && kept[i]; i++)
        if (!find(env, kept[i]))
            out[n++] = kept[i];
    out[n] = NULL;
    return out;
}

static size_t line_room(char *const *env)
{
    char *const *ld = find(env, PRELOAD);
    return sizeof preload + (ld ? strlen(*ld) : 0) + 2;
}

/* The environment to run a program with; lives in the caller's frame. */
#define ENVIRONMENT(env)          \
    (!preload[0] ? (char **)(env) \
                 : complete((env), alloca((env_count(env) + MAX_KEPT + 3) * sizeof(char *)), alloca(line_room(env))))

XP_EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
    before_exec();
    return xp_real.execve(path, argv, ENVIRONMENT(envp));
}

XP_EXPORT int execv(const char *path, char *const argv[])
{
    before_exec();
    return xp_real.execve(path, argv, ENVIRONMENT(environ));
}

XP_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
    before_exec();
    return xp_real.execvpe(file, argv, ENVIRONMENT(envp));
}

XP_EXPORT int execvp(const char *file, char *const argv[])
{
    before_exec();
    return xp_real.execvpe(file, argv, ENVIRONMENT(environ));
}

XP_EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
    before_exec();
    return xp_real.fexecve(fd, argv, ENVIRONMENT(envp));
}

XP_EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
    before_exec();
    return xp_real.execveat(dir, path, argv, ENVIRONMENT(envp), flags);
}

static size_t count_args(va_list ap)
{
    size_t n = 1;
    va_list copy;
    va_copy(copy, ap);
    while (va_arg(copy, char *))
        n++;
    va_end(copy);
    return n;
}

/* argv[0] is `arg`; the rest and the NULL come from the list. */
static char **take_args(const char *arg, va_list *ap, char **argv)
{
    size_t n = 0;
    argv[n++] = (char *)arg;
    while (argv[n - 1])
        argv[n++] = va_arg(*ap, char *);
    return argv;
}

#define ARGUMENTS(arg, ap) take_args((arg), &(ap), alloca(((arg) ? count_args(ap) + 1 : 1) * sizeof(char *)))

XP_EXPORT int execl(const char *path, const char *arg, ...)
{
    va_list ap;
    va_start(ap, arg);
    char **argv = ARGUMENTS(arg, ap);
    va_end(ap);
    before_exec();
    return xp_real.execve(path, argv, ENVIRONMENT(environ));
}

XP_EXPORT int execlp(const char *file, const char *arg, ...)
{
    va_list ap;
    va_start(ap, arg);
    char **argv = ARGUMENTS(arg, ap);
    va_end(ap);
    before_exec();
    return xp_real.execvpe(file, argv, ENVIRONMENT(environ));
}

XP_EXPORT int execle(const char *path, const char *arg, ...)
{
    va_list ap;
    va_start(ap, arg);
    char **argv = ARGUMENTS(arg, ap);
    char **envp = va_arg(ap, char **);
    va_end(ap);
    before_exec();
    return xp_real.execve(path, argv, ENVIRONMENT(envp));
}

XP_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                          const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    before_exec();
    return xp_real.posix_spawn(pid, path, actions, attr, argv, ENVIRONMENT(envp));
}

XP_EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                           const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    before_exec();
    return xp_real.posix_spawnp(pid, file, actions, attr, argv, ENVIRONMENT(envp));
}

/* These fork and exec where we do not see it. */
XP_EXPORT int system(const char *command)
{
    before_exec();
    return xp_real.system(command);
}

XP_EXPORT FILE *popen(const char *command, const char *type)
{
    before_exec();
    return xp_real.popen(command, type);
}

/* spawn's duplicates happen where we do not see them. */
XP_EXPORT int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int nfd)
{
    xp_expose(fd);
    return xp_real.posix_spawn_file_actions_adddup2(actions, fd, nfd);
}

static bool any_socket(void)
{
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1))
        if (xp_kind(xp_get(fd)) == XP_XTCP)
            return true;
    return false;
}

/* The child gets a copy of the memory, so that what it closes and duplicates before exec does not change the parent's
 * table. It is a process of the family only when there are sockets that it may want to hand on. */
XP_EXPORT pid_t vfork(void)
{
    pid_t pid;
    bool member = !xp_bystander && any_socket();
    xp_bare_make_all(false);
    if (member)
        xp_fork_prepare();
    pid = _Fork();
    if (pid == 0 && member)
        xp_fork_child();
    else if (pid == 0)
        xp_stand_by();
    else if (member)
        xp_fork_parent();
    return pid;
}

/* ---- clone() ---- */

struct start {
    int (*fn)(void *arg);
    void *arg;
    bool member;
};

static int begin(void *p)
{
    struct start s = *(struct start *)p;
    if (s.member)
        xp_fork_child();
    else
        xp_stand_by();
    return s.fn(s.arg);
}

/* A child with descriptors of its own gets a copy of the memory too, as that of vfork() does. What shares both is a thread. */
XP_EXPORT int clone(int (*fn)(void *arg), void *stack, int flags, void *arg, ...)
{
    struct start s = {fn, arg, !xp_bystander};
    pid_t *parent_tid, *child_tid;
    void *tls;
    va_list ap;
    va_start(ap, arg);
    parent_tid = va_arg(ap, pid_t *);
    tls = va_arg(ap, void *);
    child_tid = va_arg(ap, pid_t *);
    va_end(ap);
    bool copies = (flags & CLONE_VM) && (flags & CLONE_VFORK) && !(flags & CLONE_FILES);
    if (!copies && !(flags & CLONE_FILES) != !(flags & CLONE_VM))
        xp_kept_end();
    if ((flags & CLONE_VM) && !copies)
        return xp_real.clone(fn, stack, flags, arg, parent_tid, tls, child_tid);
    if (s.member)
        xp_fork_prepare();
    int pid = xp_real.clone(begin, stack, flags & ~CLONE_VM, &s, parent_tid, tls, child_tid);
    if (s.member)
        xp_fork_parent();
    return pid;
}

XP_EXPORT int unshare(int flags)
{
    if (flags & CLONE_FILES)
        xp_kept_end();
    return xp_real.unshare(flags);
}
