/* SPDX-License-Identifier: Apache-2.0
 * Processes that shut themselves in (sshd's pre-auth child: RLIMIT_NOFILE = 1, seccomp): soon they can make no descriptor to
 * sleep on, and only few system calls. Their connections become kernel descriptors before, for which read, write and poll
 * are enough. */
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
