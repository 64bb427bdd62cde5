/* SPDX-License-Identifier: Apache-2.0
 * Processes that shut themselves in. sshd's pre-auth child (RLIMIT_NOFILE = 1, seccomp) can soon make no descriptor to sleep on,
 * and only few system calls: its connections become kernel descriptors before, for which read, write and poll are enough.
 * dovecot's login process goes to an empty root as a user of its own: it does not find the daemon's socket there, and
 * may not join the family of a listener that it inherited. So that is done before. */
#include <stdarg.h>
#include <sys/prctl.h>

#include "libclient/preload/preload.h"

XP_EXPORT int prctl(int option, ...)
{
    unsigned long a[4];
    va_list ap;
    va_start(ap, option);
    for (unsigned i = 0; i < 4; i++)
        a[i] = va_arg(ap, unsigned long);
    va_end(ap);
    if (option == PR_SET_SECCOMP)
        xp_confined();
    return xp_real.prctl(option, a[0], a[1], a[2], a[3]);
}

/* Another user may not join a family that it does not belong to. */
static void before_other_user(void)
{
    int saved = errno;
    if (!xp_bystander)
        xp_claim_all(true);
    errno = saved;
}

XP_EXPORT int chroot(const char *path)
{
    int saved = errno;
    if (!xp_bystander) {
        xp_claim_all(false);
        xp_attach_quietly();
    }
    errno = saved;
    return xp_real.chroot(path);
}

XP_EXPORT int setuid(uid_t uid)
{
    before_other_user();
    return xp_real.setuid(uid);
}

XP_EXPORT int seteuid(uid_t uid)
{
    before_other_user();
    return xp_real.seteuid(uid);
}

XP_EXPORT int setreuid(uid_t real, uid_t effective)
{
    before_other_user();
    return xp_real.setreuid(real, effective);
}

XP_EXPORT int setresuid(uid_t real, uid_t effective, uid_t saved)
{
    before_other_user();
    return xp_real.setresuid(real, effective, saved);
}
