/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/fdstore.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

bool xt_fdstore_name_ok(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
            return false;
    return n > 0 && n < XT_FDSTORE_NAME_MAX;
}

/* Two descriptors of one open file. Where the kernel does not tell, they count as different. */
static bool same_file(int a, int b)
{
    pid_t self = getpid();
    return syscall(SYS_kcmp, self, self, KCMP_FILE, a, b) == 0;
}

int xt_fdstore_add(struct xt_fdstore *s, const char *name, int fd)
{
    int rc = 0;
    if (!xt_fdstore_name_ok(name))
        rc = -EINVAL;
    for (unsigned i = 0; rc == 0 && i < s->n; i++) {
        if (strcmp(s->item[i].name, name) == 0 && same_file(s->item[i].fd, fd)) {
            close(fd);
            return 0;
        }
    }
    if (rc == 0 && s->n == XT_FDSTORE_MAX)
        rc = -ENOSPC;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    s->item[s->n].fd = fd;
    strcpy(s->item[s->n].name, name);
    s->n++;
    return 0;
}

unsigned xt_fdstore_remove(struct xt_fdstore *s, const char *name)
{
    unsigned kept = 0, before = s->n;
    for (unsigned i = 0; i < before; i++) {
        if (strcmp(s->item[i].name, name) == 0)
            close(s->item[i].fd);
        else
            s->item[kept++] = s->item[i];
    }
    s->n = kept;
    return before - kept;
}

void xt_fdstore_clear(struct xt_fdstore *s)
{
    for (unsigned i = 0; i < s->n; i++)
        close(s->item[i].fd);
    s->n = 0;
}

static int set_env(const struct xt_fdstore *s)
{
    char number[16];
    char *names = calloc(s->n + 1, XT_FDSTORE_NAME_MAX);
    if (!names)
        return -ENOMEM;
    char *p = names;
    for (unsigned i = 0; i < s->n; i++)
        p += sprintf(p, "%s%s", i ? ":" : "", s->item[i].name);
    snprintf(number, sizeof number, "%u", s->n);
    bool ok = setenv("LISTEN_FDS", number, 1) == 0 && setenv("LISTEN_FDNAMES", names, 1) == 0;
    snprintf(number, sizeof number, "%d", getpid());
    ok = ok && setenv("LISTEN_PID", number, 1) == 0;
    free(names);
    return ok ? 0 : -ENOMEM;
}

int xt_fdstore_hand_over(const struct xt_fdstore *s)
{
    int *high = calloc(s->n + 1, sizeof *high);
    if (!high)
        return -ENOMEM;
    int rc = 0;
    /* First out of the way of the places they go to. */
    for (unsigned i = 0; i < s->n && rc == 0; i++) {
        high[i] = fcntl(s->item[i].fd, F_DUPFD_CLOEXEC, XT_FDSTORE_FIRST + (int)s->n);
        if (high[i] < 0)
            rc = -errno;
    }
    for (unsigned i = 0; i < s->n && rc == 0; i++)
        if (dup2(high[i], XT_FDSTORE_FIRST + (int)i) < 0)
            rc = -errno;
    free(high);
    return rc < 0 ? rc : set_env(s);
}
