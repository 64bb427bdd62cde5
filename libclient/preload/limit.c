/* SPDX-License-Identifier: Apache-2.0
 * Limits. Of address space (RLIMIT_AS): What libxtcp maps is large, hardly any of it memory, and none of it the program's: a
 * limit is the program's own plus that, or a program that sets one (vsftpd, dovecot) could not map another page. */
#include <sys/resource.h>
#include <sys/syscall.h>

#include "libclient/preload/preload.h"

#define FEW 16u /* descriptors: with a lower limit there is no room for the library's own */

static rlim_t ours(void)
{
    rlim_t sum = 0;
    if (!xp_bystander)
        xp_attach_quietly();
    for (unsigned i = 0; i < XP_CTXS && xp_ctxs[i]; i++)
        sum += xtcp_footprint(xp_ctxs[i]);
    return sum;
}

static rlim_t with(rlim_t limit, rlim_t more)
{
    return limit < RLIM_INFINITY - more ? limit + more : RLIM_INFINITY;
}

/* One that was set before the program began may be smaller than what is ours. */
static rlim_t without(rlim_t limit, rlim_t more)
{
    return limit == RLIM_INFINITY || limit < more ? limit : limit - more;
}

static bool finite(const struct rlimit *lim)
{
    return lim->rlim_cur != RLIM_INFINITY || lim->rlim_max != RLIM_INFINITY;
}

static int limit_space(const struct rlimit *set, struct rlimit *get)
{
    struct rlimit mine, old;
    if (set && finite(set)) {
        rlim_t more = ours();
        mine = (struct rlimit){with(set->rlim_cur, more), with(set->rlim_max, more)};
        set = &mine;
    }
    long rc = xp_rawcall(SYS_prlimit64, 0, RLIMIT_AS, (long)set, (long)&old, 0, 0);
    if (rc == 0 && get) {
        rlim_t more = finite(&old) ? ours() : 0;
        *get = (struct rlimit){without(old.rlim_cur, more), without(old.rlim_max, more)};
    }
    return (int)xp_ret(rc);
}

/* A sanitizer's start asks for limits before its own memory is there. */
#define BEFORE_SANITIZERS __attribute__((no_sanitize("address", "undefined")))

XP_EXPORT BEFORE_SANITIZERS int prlimit(pid_t pid, enum __rlimit_resource which, const struct rlimit *set,
                                        struct rlimit *get)
{
    if (which == RLIMIT_NOFILE && set && set->rlim_cur < FEW && (pid == 0 || pid == getpid()))
        xp_confined();
    if (which == RLIMIT_NOFILE && set && (pid == 0 || pid == getpid())) {
        int rc = (int)xp_ret(xp_rawcall(SYS_prlimit64, pid, which, (long)set, (long)get, 0, 0));
        xp_kept_limit();
        return rc;
    }
    if (which == RLIMIT_AS && (pid == 0 || pid == getpid()))
        return limit_space(set, get);
    return (int)xp_ret(xp_rawcall(SYS_prlimit64, pid, which, (long)set, (long)get, 0, 0));
}

XP_EXPORT BEFORE_SANITIZERS int setrlimit(__rlimit_resource_t which, const struct rlimit *set)
{
    return prlimit(0, (enum __rlimit_resource)which, set, NULL);
}

XP_EXPORT BEFORE_SANITIZERS int getrlimit(__rlimit_resource_t which, struct rlimit *get)
{
    return prlimit(0, (enum __rlimit_resource)which, NULL, get);
}

XP_EXPORT int prlimit64(pid_t pid, enum __rlimit_resource which, const struct rlimit64 *set, struct rlimit64 *get)
{
    return prlimit(pid, which, (const void *)set, (void *)get);
}

XP_EXPORT int setrlimit64(__rlimit_resource_t which, const struct rlimit64 *set)
{
    return setrlimit(which, (const void *)set);
}

XP_EXPORT int getrlimit64(__rlimit_resource_t which, struct rlimit64 *get)
{
    return getrlimit(which, (void *)get);
}
