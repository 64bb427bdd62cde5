/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/log.h"

#define SCORE "/proc/self/oom_score_adj"
#define SPARED "-1000"

void xt_oom_spare(char was[XT_OOM_SCORE])
{
    int fd = open(SCORE, O_RDWR | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, was, XT_OOM_SCORE - 1);
    if (n < 0 || pwrite(fd, SPARED, strlen(SPARED), 0) < 0) {
        xt_log_info("keeper: not spared when memory is short: %s", strerror(errno));
        n = 0;
    }
    was[n] = 0;
    if (fd >= 0)
        close(fd);
}

void xt_oom_restore(const char *was)
{
    if (!*was)
        return;
    int fd = open(SCORE, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, was, strlen(was)) < 0)
        xt_log_warn("keeper: the stack process, too, will be spared when memory is short: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
}
